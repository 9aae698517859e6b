// Requests to the server. Each failure is one of three kinds, and each has a sentence for people.

export class ServerEnded extends Error {}
export class Refused extends Error {}
export class NotYet extends Error {}

async function answer(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: 'same-origin', cache: 'no-store', ...options });
  } catch {
    throw new ServerEnded('maclip review has ended. Start it again in a terminal; this page then goes on.');
  }
  if (response.ok) return response.json();
  if (response.status === 401) {
    throw new ServerEnded('This window has lost its key. Open the link that `maclip review` printed.');
  }
  let sentence = `The server answered ${response.status}.`;
  try {
    sentence = (await response.json()).error ?? sentence;
  } catch { /* no JSON: the status has to do */ }
  throw response.status >= 500 ? new NotYet(sentence) : new Refused(sentence);
}

export const get = (path) => answer(path, {});

export const post = (path, body) => answer(path, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify(body ?? {}),
});

export const preview = (photo, kind, soon = false) =>
  `/preview/${photo.id}/${kind}?v=${photo.version}${soon ? '&soon=1' : ''}`;
