// Mouse, pen and fingers on a pane: drag, wheel, pinch, swipe and double tap.

const SWIPE = 48; // pixels
const TAP = 12; // pixels that a finger may slip
const DOUBLE_MS = 350;
const LINE = 33; // pixels of one line of the wheel

export class Gestures {
  #fingers = new Map(); // by pointer, where it is
  #begun = null; // where the view was
  #lastTap = null;

  constructor(pane) {
    this.pane = pane;
    const { frame, view } = pane;
    frame.addEventListener('wheel', (event) => {
      event.preventDefault();
      const delta = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE : 1);
      pane.zoom(Math.exp(-Math.max(-120, Math.min(120, delta)) * (event.ctrlKey ? 0.01 : 0.002)), event);
    }, { passive: false });
    frame.addEventListener('dblclick', (event) => {
      if (!this.#lastTap) view.toggle(...pane.placeOf(event)); // fingers were told already
    });
    frame.addEventListener('pointerdown', (event) => this.#down(event));
    frame.addEventListener('pointermove', (event) => this.#move(event));
    frame.addEventListener('pointerup', (event) => this.#up(event, true));
    frame.addEventListener('pointercancel', (event) => this.#up(event, false));
  }

  #down(event) {
    if (event.button) return;
    this.#fingers.set(event.pointerId, event);
    this.pane.frame.setPointerCapture(event.pointerId);
    if (event.pointerType === 'mouse') this.#lastTap = null;
    this.#begin();
  }

  // Remember the view, whenever a finger comes or goes.
  #begin() {
    const { view } = this.pane;
    const fingers = [...this.#fingers.values()];
    if (!fingers.length) {
      this.#begun = null;
      return;
    }
    const middle = middleOf(fingers);
    this.#begun = {
      ...middle, x: view.x, y: view.y, scale: this.pane.scale,
      spread: spreadOf(fingers), place: this.pane.placeOf(middle), isPinch: fingers.length > 1,
    };
  }

  #move(event) {
    if (!this.#fingers.has(event.pointerId) || !this.pane.drawn) return;
    this.#fingers.set(event.pointerId, event);
    const fingers = [...this.#fingers.values()];
    const begun = this.#begun;
    const { view, drawn } = this.pane;
    if (fingers.length > 1) {
      this.pane.zoomTo(begun.scale * (spreadOf(fingers) / begun.spread), begun.place, middleOf(fingers));
    } else if (!view.isWhole) {
      view.move(begun.x - (event.clientX - begun.clientX) / (drawn.width * drawn.scale),
        begun.y - (event.clientY - begun.clientY) / (drawn.height * drawn.scale));
    }
  }

  #up(event, isDone) {
    if (!this.#fingers.delete(event.pointerId)) return;
    const begun = this.#begun;
    this.#begin();
    if (this.#begun) this.#begun.isPinch = true; // the last finger of a pinch neither taps nor swipes
    if (!isDone || begun.isPinch || event.pointerType === 'mouse') return;
    const x = event.clientX - begun.clientX;
    const y = event.clientY - begun.clientY;
    const { view, root } = this.pane;
    if (Math.hypot(x, y) < TAP) this.#tap(event);
    else if (view.isWhole && Math.abs(x) > SWIPE && Math.abs(x) > 2 * Math.abs(y)) {
      root.dispatchEvent(new CustomEvent('swipe', { detail: x < 0 ? 1 : -1 }));
    }
  }

  #tap(event) {
    const now = event.timeStamp; // when the finger came: a busy page hears of it later
    const last = this.#lastTap;
    const isDouble = last && now - last.at < DOUBLE_MS
      && Math.hypot(event.clientX - last.x, event.clientY - last.y) < 3 * TAP;
    if (isDouble) this.pane.view.toggle(...this.pane.placeOf(event));
    this.#lastTap = { at: isDouble ? 0 : now, x: event.clientX, y: event.clientY };
  }
}

const middleOf = (fingers) => ({
  clientX: fingers.reduce((sum, each) => sum + each.clientX, 0) / fingers.length,
  clientY: fingers.reduce((sum, each) => sum + each.clientY, 0) / fingers.length,
});

function spreadOf(fingers) {
  if (fingers.length < 2) return 1;
  return Math.max(1, Math.hypot(fingers[0].clientX - fingers[1].clientX, fingers[0].clientY - fingers[1].clientY));
}
