// What is said about a photo, in words and stars.

export const stars = (count) => '★'.repeat(count);

// The person's rating as they gave it: what waits to be written counts already.
export const mineOf = (photo) => photo.waiting ?? photo.mine;

export function mineInSigns(photo) {
  const mine = mineOf(photo);
  const pick = photo.picked ? '⚑ ' : '';
  if (mine === null || mine === undefined) return pick.trim();
  if (mine === -1) return `${pick}✕`;
  return mine === 0 ? `${pick}–` : pick + stars(mine);
}

export function mineInWords(photo) {
  const mine = mineOf(photo);
  const pick = photo.picked ? ', picked' : '';
  if (mine === null || mine === undefined) return `not decided${pick}`;
  if (mine === -1) return `rejected${pick}`;
  if (mine === 0) return `no stars from you${pick}`;
  return `${mine} ${mine === 1 ? 'star' : 'stars'} from you${pick}`;
}

export function maclipsInWords(photo) {
  if (photo.stars === null) return photo.score === null ? 'not scored yet' : 'no stars from maclip yet';
  const place = photo.percentile === null ? '' : `, better than ${Math.round(photo.percentile)} % of your photos`;
  return `maclip: ${photo.stars} ${photo.stars === 1 ? 'star' : 'stars'}${place}`;
}

export function burstInWords(photo) {
  if (!photo.burst) return '';
  if (photo.kind === 'duplicate') return photo.rank > 1 ? 'a duplicate' : 'suggested as the best of its duplicates';
  if (photo.rank === null) return `part of a ${photo.kind}`;
  if (photo.rank > 1) return `in a ${photo.kind}`;
  return photo.close ? `suggested of its ${photo.kind}, but too close to call` : `suggested as the best of its ${photo.kind}`;
}

// The same in a corner of the picture.
export function burstInSigns(photo) {
  if (!photo.burst) return '';
  if (photo.rank !== 1) return photo.kind;
  return `best of ${photo.kind === 'duplicate' ? 'duplicates' : photo.kind}${photo.close ? '?' : ''}`;
}

export function sentence(photo, index, total) {
  const away = isAway(photo) ? ', not in its folder' : '';
  const place = `${(index + 1).toLocaleString('en')} of ${total.toLocaleString('en')}`;
  return `${photo.name}${away}, ${mineInWords(photo)}, ${maclipsInWords(photo)}, photo ${place}`;
}

export const counted = (count, noun) => `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;

export function megabytes(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  if (bytes < 1e5) return `${Math.ceil(bytes / 1e3)} kB`;
  return `${bytes < 1e7 ? (bytes / 1e6).toFixed(1) : Math.round(bytes / 1e6)} MB`;
}

// A photo whose file was moved away, or whose drive is not there.
export const isAway = (photo) => photo.state === 'missing';

export const element = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text; // text, never markup
  return made;
};
