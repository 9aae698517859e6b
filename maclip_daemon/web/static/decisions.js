// Decisions: shown at once, sent one after the other, kept until the server has them.

import { NotYet, Refused, ServerEnded, post } from '/static/api.js';
import { mineOf, stars } from '/static/words.js';

const RETRY_MS = 1500;
const KEPT = 'maclip-decisions'; // in this window, over a reload

export class Decisions extends EventTarget {
  #queue = [];
  #isSending = false;
  unsent = 0;

  constructor(photos, say) {
    super();
    this.photos = photos;
    this.say = say;
    try {
      this.#queue = JSON.parse(sessionStorage.getItem(KEPT) ?? '[]');
    } catch { this.#queue = []; }
    this.#send();
  }

  // Decide about photos: [[photo, {rating, pick}], …], all of one key press.
  decide(decided) {
    const body = decided.map(([photo, { rating = null, pick = null }]) => {
      const seen = photo.mine;
      if (rating !== null) photo.waiting = rating;
      if (pick !== null) photo.picked = pick;
      return { id: photo.id, rating, pick, seen };
    });
    this.photos.update(decided.map(([photo]) => photo));
    this.#queue.push({ path: '/api/decisions', body: { decisions: body } });
    return this.#send();
  }

  undo(what = 'last') {
    this.#queue.push({ path: `/api/undo/${what}`, body: {} });
    return this.#send();
  }

  async #send() {
    this.#keep();
    if (this.#isSending) return;
    this.#isSending = true;
    while (this.#queue.length) {
      const first = this.#queue[0];
      try {
        const answer = await post(first.path, first.body);
        this.#queue.shift();
        this.#take(first, answer);
      } catch (error) {
        if (error instanceof Refused) {
          this.#queue.shift();
          this.say(error.message);
          continue;
        }
        const many = this.#queue.length;
        const kept = `${many} ${many === 1 ? 'decision is' : 'decisions are'} kept in this window and sent then.`;
        this.say(`${error.message} ${kept}`, { stays: true, isTrouble: error instanceof ServerEnded || error instanceof NotYet });
        this.#keep();
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
      this.#keep();
    }
    this.#isSending = false;
  }

  #keep() {
    this.unsent = this.#queue.length;
    if (this.unsent) sessionStorage.setItem(KEPT, JSON.stringify(this.#queue));
    else sessionStorage.removeItem(KEPT);
  }

  #take(request, answer) {
    this.photos.update(answer.photos);
    this.dispatchEvent(new CustomEvent('settled', { detail: { request, answer } }));
    if (request.path.startsWith('/api/undo')) {
      const left = answer.results.filter((each) => !each.done);
      if (!answer.results.length) this.say('Nothing is left to undo in this review.');
      else if (left.length) this.say(`Not undone: ${left[0].reason}`);
      else if (answer.results.length === 1) this.say('Undone.');
      else this.say(`${answer.results.length} decisions undone.`);
      return;
    }
    for (const each of answer.results) {
      if (each.outcome === 'changed') {
        const theirs = each.rating > 0 ? stars(each.rating) : each.rating === -1 ? 'a reject' : 'no stars';
        this.say(`Another program gave this photo ${theirs} meanwhile, and that was kept. Press your key again to replace it.`);
      } else if (each.outcome === 'refused') this.say(`Not written: ${each.reason}`);
      else if (each.outcome === 'waiting') {
        this.say(`Not written yet: ${each.reason} Your decision is kept and tried again.`, { isTrouble: true });
      }
    }
  }
}

export { mineOf };
