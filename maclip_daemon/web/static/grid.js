// The grid: only the rows in view exist, so that a hundred thousand photos scroll like a hundred.

import { preview } from '/static/api.js';
import { burstInSigns, element, isAway, maclipsInWords, mineInSigns, mineInWords, mineOf, stars } from '/static/words.js';

const TALLEST = 12e6; // pixels; browsers draw no taller element, so larger sets scroll in larger steps
const MARGIN_ROWS = 2;
const SCROLL_REST_MS = 80;
const PICTURE_MS = 1000; // that a first picture may take before others are waited for no longer

export class Grid {
  selected = 0;
  #cells = new Map();
  #free = [];
  #restTimer = 0;

  constructor(root, photos, onOpen, onSelect) {
    this.root = root;
    this.canvas = root.querySelector('.canvas');
    this.photos = photos;
    this.onOpen = onOpen;
    this.onSelect = onSelect;
    for (const cell of this.canvas.children) this.#adopt(cell);
    this.root.addEventListener('scroll', () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(root);
    photos.addEventListener('change', () => this.draw());
    photos.addEventListener('count', () => this.draw());
    let isTouch = false; // a finger has no double click: its second tap opens
    this.canvas.addEventListener('pointerdown', (event) => { isTouch = event.pointerType === 'touch'; });
    this.canvas.addEventListener('click', (event) => {
      const cell = event.target.closest('.cell');
      if (!cell) return;
      const index = Number(cell.dataset.index);
      if (isTouch && index === this.selected) this.onOpen();
      else this.select(index, false);
    });
    this.canvas.addEventListener('dblclick', (event) => {
      if (event.target.closest('.cell')) this.onOpen();
    });
  }

  get columns() {
    const wide = this.root.clientWidth || 1;
    return Math.max(2, Math.floor(wide / (wide < 600 ? 120 : 190)));
  }

  get rowHeight() { return Math.round((this.root.clientWidth / this.columns) * 0.8) + 26; }

  select(index, reveal = true) {
    this.selected = Math.max(0, Math.min(index, this.photos.total - 1));
    if (reveal) this.reveal();
    this.draw();
    this.onSelect();
  }

  reveal() {
    const row = Math.floor(this.selected / this.columns);
    const top = row * this.rowHeight;
    const view = this.root.clientHeight;
    const at = this.#virtualTop();
    if (top < at) this.#scrollTo(top);
    else if (top + this.rowHeight > at + view) this.#scrollTo(top + this.rowHeight - view);
  }

  // Take back what was asked for and is not here: the photo in view must not wait behind it.
  rest() {
    clearTimeout(this.#restTimer);
    for (const cell of this.#cells.values()) {
      const image = cell.querySelector('img');
      if (!cell.pictureKey || image.complete) continue;
      image.removeAttribute('src');
      cell.pictureKey = '';
    }
  }

  // Resolve once the first picture is there, or cannot be: nothing else is to take its time.
  pictured() {
    const image = this.canvas.querySelector('img[src]');
    if (!image || image.complete) return Promise.resolve();
    return new Promise((resolve) => {
      image.addEventListener('load', resolve);
      image.addEventListener('error', resolve);
      setTimeout(resolve, PICTURE_MS);
    });
  }

  draw() {
    if (this.root.hidden) return;
    this.canvas.classList.remove('early');
    const { columns, rowHeight } = this;
    const rows = Math.ceil(this.photos.total / columns);
    const tall = rows * rowHeight;
    this.canvas.style.height = `${Math.min(tall, TALLEST)}px`;
    const top = this.#virtualTop();
    const first = Math.max(0, Math.floor(top / rowHeight) - MARGIN_ROWS);
    const last = Math.min(rows, Math.ceil((top + this.root.clientHeight) / rowHeight) + MARGIN_ROWS);
    const shift = this.root.scrollTop - top; // zero unless the canvas is shorter than the photos
    const from = first * columns;
    const to = Math.min(last * columns, this.photos.total);
    for (const [index, cell] of this.#cells) {
      if (index < from || index >= to) {
        this.#cells.delete(index);
        cell.hidden = true;
        cell.removeAttribute('id'); // another cell may show this place next
        cell.classList.remove('selected');
        this.#free.push(cell);
      }
    }
    const width = this.root.clientWidth / columns;
    for (let index = from; index < to; index += 1) {
      let cell = this.#cells.get(index);
      if (!cell) {
        cell = this.#free.pop() ?? this.#newCell();
        cell.hidden = false;
        cell.dataset.index = index;
        cell.id = `photo-${index}`;
        cell.photoKey = '';
        this.#cells.set(index, cell);
      }
      const left = (index % columns) * width;
      const y = Math.floor(index / columns) * rowHeight + shift;
      cell.style.transform = `translate(${left}px, ${y}px)`;
      cell.style.width = `${width}px`;
      cell.style.height = `${rowHeight}px`;
      this.#fill(cell, index);
    }
    this.root.setAttribute('aria-activedescendant', `photo-${this.selected}`);
    clearTimeout(this.#restTimer);
    this.#restTimer = setTimeout(() => this.#loadPictures(), SCROLL_REST_MS);
  }

  #virtualTop() {
    const tall = Math.ceil(this.photos.total / this.columns) * this.rowHeight;
    const view = this.root.clientHeight;
    if (tall <= TALLEST) return this.root.scrollTop;
    return (this.root.scrollTop / (TALLEST - view)) * (tall - view);
  }

  #scrollTo(top) {
    const tall = Math.ceil(this.photos.total / this.columns) * this.rowHeight;
    const view = this.root.clientHeight;
    this.root.scrollTop = tall <= TALLEST ? top : (top / (tall - view)) * (TALLEST - view);
  }

  #watch(cell, image) {
    image.addEventListener('error', () => cell.classList.add('unreadable'));
    image.addEventListener('load', () => cell.classList.remove('unreadable'));
  }

  // Take over a cell that the server drew, with its picture.
  #adopt(cell) {
    const image = cell.querySelector('img');
    cell.pictureKey = image.dataset.address;
    cell.classList.toggle('unreadable', image.complete && !image.naturalWidth);
    this.#watch(cell, image);
    this.#cells.set(Number(cell.dataset.index), cell);
  }

  #newCell() {
    const cell = element('div', 'cell');
    cell.setAttribute('role', 'option');
    const picture = element('div', 'picture');
    const image = element('img');
    image.alt = '';
    image.decoding = 'async';
    image.fetchPriority = 'low';
    this.#watch(cell, image);
    picture.append(image);
    cell.append(picture, element('span', 'mine'), element('span', 'maclips'), element('span', 'name'),
      element('span', 'group'));
    this.canvas.append(cell);
    return cell;
  }

  #fill(cell, index) {
    const photo = this.photos.at(index);
    cell.classList.toggle('selected', index === this.selected);
    cell.setAttribute('aria-selected', index === this.selected);
    cell.setAttribute('aria-posinset', index + 1);
    cell.setAttribute('aria-setsize', this.photos.total);
    cell.photo = photo;
    const [picture, mine, maclips, name, group] = cell.children;
    const image = picture.firstElementChild;
    if (!photo) {
      image.removeAttribute('src');
      cell.pictureKey = '';
      mine.textContent = maclips.textContent = name.textContent = group.textContent = '';
      cell.setAttribute('aria-label', 'loading');
      return;
    }
    if (cell.pictureKey && cell.pictureKey !== preview(photo, 'grid')) {
      image.removeAttribute('src');
      cell.pictureKey = '';
    }
    mine.textContent = mineInSigns(photo);
    maclips.textContent = photo.stars === null ? '' : stars(photo.stars);
    name.textContent = photo.name;
    group.textContent = burstInSigns(photo);
    cell.classList.toggle('odd', Boolean(photo.burst && photo.burst % 2));
    cell.classList.toggle('rejected', mineOf(photo) === -1);
    cell.classList.toggle('away', isAway(photo));
    cell.classList.toggle('waiting', photo.waiting !== null);
    const away = isAway(photo) ? ', not in its folder' : '';
    cell.setAttribute('aria-label', `${photo.name}${away}, ${mineInWords(photo)}, ${maclipsInWords(photo)}`);
  }

  // Pictures are asked for when the scrolling rests; those in view come first.
  #loadPictures() {
    for (const cell of this.#cells.values()) {
      if (!cell.photo) continue;
      const wanted = preview(cell.photo, 'grid');
      if (cell.pictureKey === wanted) continue;
      cell.pictureKey = wanted;
      cell.classList.remove('unreadable');
      cell.querySelector('img').src = wanted;
    }
  }
}
