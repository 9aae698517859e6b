// What is measured on the picture in view: histogram, clipped areas, and where it is sharp.

import { element } from '/static/words.js';

const EDGE = 1024; // pixels of the measured picture
const BLOCK = 8; // pixels of one cell of the sharpness map
const NONE = 'none';
const CLIPPED = 'clipped';
const SHARP = 'sharp';

// Return the pixels of an image, reduced to EDGE.
function pixelsOf(image) {
  const scale = Math.min(1, EDGE / Math.max(image.naturalWidth, image.naturalHeight));
  const canvas = element('canvas');
  canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

// Light that is lost in two channels is clipped; one alone is a strong colour. As in photos/measures/tones.py.
function isClipped(red, green, blue) {
  return Math.max(Math.min(red, green), Math.min(Math.max(red, green), blue)) >= 254;
}

function measure({ data }) {
  const counts = [new Uint32Array(256), new Uint32Array(256), new Uint32Array(256)];
  let light = 0;
  let dark = 0;
  for (let at = 0; at < data.length; at += 4) {
    for (let channel = 0; channel < 3; channel += 1) counts[channel][data[at + channel]] += 1;
    if (isClipped(data[at], data[at + 1], data[at + 2])) light += 1;
    else if (Math.max(data[at], data[at + 1], data[at + 2]) <= 1) dark += 1;
  }
  const all = data.length / 400;
  return { counts, light: light / all, dark: dark / all };
}

function clippedMap(pixels) {
  const map = new ImageData(pixels.width, pixels.height);
  const { data } = pixels;
  for (let at = 0; at < data.length; at += 4) {
    if (isClipped(data[at], data[at + 1], data[at + 2])) map.data.set([255, 40, 40, 220], at);
    else if (Math.max(data[at], data[at + 1], data[at + 2]) <= 1) map.data.set([60, 120, 255, 220], at);
  }
  return map;
}

// Mean strength of fine detail (a Laplacian of the brightness) in each block; the strongest tenth is opaque.
function sharpMap({ data, width, height }) {
  const grey = new Float32Array(width * height);
  for (let at = 0; at < grey.length; at += 1) {
    grey[at] = 0.299 * data[at * 4] + 0.587 * data[at * 4 + 1] + 0.114 * data[at * 4 + 2];
  }
  const columns = Math.ceil(width / BLOCK);
  const rows = Math.ceil(height / BLOCK);
  const sums = new Float32Array(columns * rows);
  for (let y = 1; y < height - 1; y += 1) {
    for (let x = 1; x < width - 1; x += 1) {
      const at = y * width + x;
      const detail = 4 * grey[at] - grey[at - 1] - grey[at + 1] - grey[at - width] - grey[at + width];
      sums[Math.floor(y / BLOCK) * columns + Math.floor(x / BLOCK)] += Math.abs(detail);
    }
  }
  const top = Float32Array.from(sums).sort()[Math.floor(sums.length * 0.9)] || 1;
  const map = new ImageData(columns, rows);
  sums.forEach((sum, at) => map.data.set([80, 230, 120, Math.round(200 * Math.min(1, sum / top))], at * 4));
  return map;
}

export class Overlays {
  mode = NONE;

  constructor(pane) {
    this.pane = pane;
    this.map = element('canvas', 'map');
    this.map.setAttribute('aria-hidden', 'true');
    this.box = element('figure', 'histogram');
    this.chart = element('canvas');
    this.chart.width = 256;
    this.chart.height = 72;
    this.chart.setAttribute('aria-hidden', 'true');
    this.words = element('figcaption');
    this.box.append(this.chart, this.words);
    this.box.hidden = true;
    pane.root.append(this.box);
    pane.root.addEventListener('drawn', () => this.draw());
  }

  toggle(mode) {
    this.mode = this.mode === mode ? NONE : mode;
    this.measured = null;
    this.draw();
  }

  draw() {
    const { image, drawn } = this.pane;
    this.box.hidden = this.mode === NONE;
    if (this.mode === NONE || !image || !drawn || !image.naturalWidth) {
      this.map.remove();
      return;
    }
    if (this.measured !== image) {
      this.measured = image;
      this.#measure(image);
    }
    if (this.map.parentElement !== this.pane.frame) this.pane.frame.append(this.map);
    Object.assign(this.map.style, {
      width: image.style.width, height: image.style.height, transform: image.style.transform,
    });
  }

  #measure(image) {
    const pixels = pixelsOf(image);
    const { counts, light, dark } = measure(pixels);
    const map = this.mode === CLIPPED ? clippedMap(pixels) : sharpMap(pixels);
    this.map.width = map.width;
    this.map.height = map.height;
    this.map.getContext('2d').putImageData(map, 0, 0);
    const context = this.chart.getContext('2d');
    context.clearRect(0, 0, 256, 72);
    context.globalCompositeOperation = 'lighter';
    const top = Math.max(...counts.map((each) => Math.max(...each.slice(2, 254)))) || 1;
    ['#e04848', '#38b048', '#4868f0'].forEach((colour, channel) => {
      context.fillStyle = colour;
      counts[channel].forEach((count, value) => {
        const tall = Math.min(72, (count / top) * 68);
        context.fillRect(value, 72 - tall, 1, tall);
      });
    });
    const share = (part) => `${part < 10 ? part.toFixed(1) : Math.round(part)} %`;
    this.words.textContent = this.mode === CLIPPED
      ? `clipped: ${share(light)} highlights (red), ${share(dark)} shadows (blue)`
      : 'green: where the picture at this size has its finest detail';
  }
}

export { CLIPPED, SHARP };
