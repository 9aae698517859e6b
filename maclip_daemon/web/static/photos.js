// The chosen photos: how many there are, and the rows of those that were looked at.

import { get } from '/static/api.js';

const PAGE = 100;
const AHEAD = 60; // photos
const KEPT_PAGES = 60; // a hundred photos each: memory stays flat however far one scrolls
const ASK_AGAIN_MS = 400;

export class Photos extends EventTarget {
  total = 0;
  rated = 0;
  pace = 0;
  isWhole = false;
  #query = '';
  #pages = new Map();
  #asked = new Map();
  #indexes = new Map();

  get query() { return this.#query; }

  // Choose other photos. Resolves when those around an index are there; `known`: they came with the page.
  async choose(query, index = 0, known = null) {
    this.#query = query;
    this.#pages.clear();
    this.#asked.clear();
    this.#indexes.clear();
    this.total = 0;
    this.isWhole = false;
    if (known) this.#take(known.offset / PAGE, known);
    else await this.#load(Math.max(0, Math.floor(index / PAGE)), true);
  }

  // Resolve once it is known how many photos there are.
  whole() {
    if (this.isWhole) return Promise.resolve();
    return new Promise((resolve) => {
      const look = () => {
        if (!this.isWhole) return;
        for (const event of ['change', 'count']) this.removeEventListener(event, look);
        resolve();
      };
      for (const event of ['change', 'count']) this.addEventListener(event, look);
    });
  }

  at(index) {
    if (index < 0 || index >= this.total) return null;
    const number = Math.floor(index / PAGE);
    const page = this.#pages.get(number);
    if (!page) {
      this.#load(number);
      return null;
    }
    const ahead = Math.floor(Math.min(index + AHEAD, this.total - 1) / PAGE);
    if (!this.#pages.has(ahead)) this.#load(ahead); // before it is reached
    this.#pages.delete(number); // the one used last is kept longest
    this.#pages.set(number, page);
    return page[index % PAGE] ?? null;
  }

  // Resolve with the photo at an index, once it is there.
  async wait(index) {
    const number = Math.floor(index / PAGE);
    if (!this.#pages.has(number)) await this.#load(number);
    return this.at(index);
  }

  indexOf(id) { return this.#indexes.get(id) ?? -1; }

  // Take over rows that the server sent.
  update(rows) {
    for (const row of rows) {
      const index = this.#indexes.get(row.id);
      if (index === undefined) continue;
      const page = this.#pages.get(Math.floor(index / PAGE));
      if (page) page[index % PAGE] = row;
    }
    this.dispatchEvent(new Event('change'));
  }

  async refreshCounts() {
    const query = this.#query;
    const found = await get(`/api/photos?${query}&offset=0&count=0`);
    if (query !== this.#query) return; // others were chosen meanwhile
    this.#count(found);
    this.dispatchEvent(new Event('count'));
    this.#countLater();
  }

  // The order of a million photos takes a while: ask until it is known how many they are.
  #countLater() {
    clearTimeout(this.timer);
    if (!this.isWhole) this.timer = setTimeout(() => this.refreshCounts().catch(() => {}), ASK_AGAIN_MS);
  }

  #count(found) {
    this.rated = found.rated;
    this.pace = found.pace;
    if (found.total !== null) {
      this.total = found.total;
      this.isWhole = true;
    }
  }

  #load(number, renew = false) {
    if (this.#asked.has(number)) return this.#asked.get(number);
    const query = this.#query;
    const loading = (async () => {
      const found = await get(
        `/api/photos?${query}&offset=${number * PAGE}&count=${PAGE}${renew ? '&renew=1' : ''}`);
      if (query !== this.#query) return;
      this.#take(number, found);
      this.#countLater();
    })();
    this.#asked.set(number, loading);
    const done = () => { if (this.#asked.get(number) === loading) this.#asked.delete(number); };
    loading.then(done, done);
    loading.catch(() => {});
    return loading;
  }

  #take(number, found) {
    this.#pages.set(number, found.photos);
    found.photos.forEach((row, place) => this.#indexes.set(row.id, number * PAGE + place));
    this.#count(found);
    if (!this.isWhole) this.total = Math.max(this.total, number * PAGE + found.photos.length);
    this.#forget();
    this.dispatchEvent(new Event('change'));
  }

  #forget() {
    while (this.#pages.size > KEPT_PAGES) {
      const [number, page] = this.#pages.entries().next().value;
      this.#pages.delete(number);
      page.forEach((row) => this.#indexes.delete(row.id));
    }
  }
}
