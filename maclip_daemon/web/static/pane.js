// One photo in a frame, whole or enlarged. Several panes can share one view, and then zoom and pan together.

import { Gestures } from '/static/gestures.js';
import { element, isAway } from '/static/words.js';

const CLOSEST = 8; // times 100 %

export class View extends EventTarget {
  isWhole = true;
  scale = 1; // of the photo's own pixels to the screen's
  x = 0.5; // of the photo, in the middle of the pane
  y = 0.5;

  toggle(x = this.x, y = this.y) {
    this.isWhole = !this.isWhole;
    Object.assign(this, { scale: 1, x, y });
    this.dispatchEvent(new Event('change'));
  }

  whole() {
    this.isWhole = true;
    this.dispatchEvent(new Event('change'));
  }

  // Enlarge to `scale` with this place of the photo in the middle.
  enlarge(scale, x = this.x, y = this.y) {
    this.isWhole = false;
    this.scale = Math.min(CLOSEST, scale);
    this.move(x, y);
  }

  move(x, y) {
    this.x = Math.max(0, Math.min(1, x));
    this.y = Math.max(0, Math.min(1, y));
    this.dispatchEvent(new Event('change'));
  }
}

export class Pane {
  photo = null;
  #image = null;
  #isFull = false;

  constructor(root, view, pictures) {
    this.root = root;
    this.view = view;
    this.pictures = pictures;
    this.frame = element('div', 'frame');
    this.note = element('p', 'note');
    root.append(this.frame, this.note);
    view.addEventListener('change', () => this.#viewChanged());
    new ResizeObserver(() => this.draw()).observe(this.frame);
    this.gestures = new Gestures(this);
  }

  async show(photo) {
    this.photo = photo;
    this.#isFull = false;
    this.note.textContent = '';
    if (!this.pictures.isReady(photo)) this.frame.classList.add('loading');
    try {
      const image = await this.pictures.now(photo);
      if (this.photo !== photo) return false;
      this.#put(image);
    } catch (error) {
      if (this.photo !== photo) return false;
      this.frame.replaceChildren();
      this.#image = null;
      this.note.textContent = isAway(photo)
        ? `${photo.name} is not in its folder: it was moved away, or its drive is not there.`
        : `${photo.name}: this photo cannot be shown. It is damaged, or of a kind that is not read.`;
    }
    this.frame.classList.remove('loading');
    this.#viewChanged();
    return true;
  }

  draw() {
    if (!this.#image || !this.photo) return;
    const [width, height] = this.#size();
    const [wide, tall] = [this.frame.clientWidth, this.frame.clientHeight];
    const pixel = 1 / window.devicePixelRatio;
    const scale = this.view.isWhole
      ? Math.min(wide / width, tall / height, Math.max(pixel, 2048 / Math.max(width, height)))
      : this.view.scale * pixel;
    const place = (part, size, room) => (size * scale <= room
      ? (room - size * scale) / 2
      : Math.min(0, Math.max(room - size * scale, room / 2 - part * size * scale)));
    const left = this.view.isWhole ? (wide - width * scale) / 2 : place(this.view.x, width, wide);
    const top = this.view.isWhole ? (tall - height * scale) / 2 : place(this.view.y, height, tall);
    Object.assign(this.#image.style, {
      width: `${width * scale}px`,
      height: `${height * scale}px`,
      transform: `translate(${left}px, ${top}px)`,
    });
    this.frame.classList.toggle('enlarged', !this.view.isWhole);
    this.drawn = { scale, left, top, width, height };
    this.root.dispatchEvent(new Event('drawn'));
  }

  get image() { return this.#image; }

  #size() {
    const { width, height } = this.photo;
    return width && height ? [width, height] : [this.#image.naturalWidth, this.#image.naturalHeight];
  }

  #put(image) {
    image.alt = this.photo.name;
    image.draggable = false;
    this.frame.replaceChildren(image);
    this.#image = image;
    this.draw();
  }

  // At 100 % and beyond the photo's own pixels are wanted; the smaller picture stands in until they come.
  async #viewChanged() {
    this.draw();
    const { photo } = this;
    if (this.view.isWhole || this.#isFull || !photo || !this.#image) return;
    this.#isFull = true;
    this.note.textContent = 'loading all pixels…';
    try {
      const image = await this.pictures.now(photo, 'full');
      if (this.photo === photo) this.#put(image);
    } catch { /* the smaller picture stays */ }
    if (this.photo === photo) this.note.textContent = '';
  }

  // The photo's place under a point of the window, as parts of its width and height.
  placeOf({ clientX, clientY }) {
    const box = this.frame.getBoundingClientRect();
    const { scale, left, top, width, height } = this.drawn ?? { scale: 1, left: 0, top: 0, width: 1, height: 1 };
    return [(clientX - box.left - left) / (width * scale), (clientY - box.top - top) / (height * scale)];
  }

  // The scale of what is drawn, of the photo's own pixels to the screen's.
  get scale() { return (this.drawn?.scale ?? 1) * window.devicePixelRatio; }

  // Enlarge by a factor; without a point about the middle. Smaller than the pane is the whole photo.
  zoom(factor, point = null) { this.#zoomTo(this.scale * factor, point && this.placeOf(point), point); }

  // Enlarge to a scale, so that this place of the photo lies under this point.
  zoomTo(scale, place, point) { this.#zoomTo(scale, place, point); }

  #zoomTo(scale, place, point) {
    if (!this.#image) return;
    const [width, height] = this.#size();
    const box = this.frame.getBoundingClientRect();
    const drawn = scale / window.devicePixelRatio;
    const isSmaller = width * drawn <= box.width && height * drawn <= box.height;
    if (isSmaller && scale < Math.max(1, this.scale)) {
      this.view.whole();
      return;
    }
    if (!place) {
      this.view.enlarge(scale);
      return;
    }
    this.view.enlarge(scale, place[0] - (point.clientX - box.left - box.width / 2) / (width * drawn),
      place[1] - (point.clientY - box.top - box.height / 2) / (height * drawn));
  }
}
