// Pictures at the size of the window, decoded before they are asked for.

import { preview } from '/static/api.js';

const AHEAD = 10;
const BEHIND = 3;
const TOGETHER = 3; // requests: the browser has six, and the photo in view must not wait for one

const OF_WINDOW = 1500; // pixels of the smaller kind; the larger one takes twice as long to make

// The kind of picture that fills this window.
export function fitting() {
  const { innerWidth: width, innerHeight: height, devicePixelRatio: pixels } = window;
  return Math.max(width, height) * pixels <= OF_WINDOW ? 'window' : 'screen';
}

export class Pictures {
  #known = new Map();
  #wanted = [];
  #loading = 0;

  // Resolve with a decoded image of a photo; it is asked for at once.
  async now(photo, kind = fitting()) {
    const key = preview(photo, kind);
    const found = this.#known.get(key);
    if (found?.isReady || found?.isUrgent) return found.promise;
    const made = this.#load(key, key, 'high');
    made.isUrgent = true;
    return made.promise;
  }

  isReady(photo, kind = fitting()) { return this.#known.get(preview(photo, kind))?.isReady ?? false; }

  // Prepare what comes next, nearest first, and drop what is far away.
  prepare(photos, index) {
    const near = [];
    for (let step = 1; step <= AHEAD; step += 1) near.push(photos.at(index + step));
    for (let step = 1; step <= BEHIND; step += 1) near.push(photos.at(index - step));
    this.#wanted = near.filter(Boolean).filter((photo) => !this.#known.has(preview(photo, fitting())));
    const here = photos.at(index);
    const keep = new Set([here, ...near].filter(Boolean).map((photo) => `/preview/${photo.id}/`));
    for (const key of this.#known.keys()) {
      if (![...keep].some((start) => key.startsWith(start))) this.#known.delete(key);
    }
    this.#go();
  }

  #go() {
    while (this.#loading < TOGETHER && this.#wanted.length) {
      const photo = this.#wanted.shift();
      const key = preview(photo, fitting());
      if (this.#known.has(key)) continue;
      this.#loading += 1;
      const next = () => { this.#loading -= 1; this.#go(); };
      this.#load(key, preview(photo, fitting(), true)).promise.then(next, next);
    }
  }

  #load(key, address, priority = 'auto') {
    const image = new Image();
    image.decoding = 'async';
    image.fetchPriority = priority;
    image.alt = '';
    const made = { isReady: false, isUrgent: false };
    made.promise = new Promise((resolve, reject) => {
      image.addEventListener('load', () => image.decode().then(() => resolve(image), () => resolve(image)));
      image.addEventListener('error', () => reject(new Error('The picture could not be read.')));
    }).then((loaded) => { made.isReady = true; return loaded; });
    made.promise.catch(() => { if (this.#known.get(key) === made) this.#known.delete(key); });
    image.src = address;
    this.#known.set(key, made);
    return made;
  }
}
