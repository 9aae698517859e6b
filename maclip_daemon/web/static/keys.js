// The keys, as in darktable and Lightroom. `?` shows this list.

export const KEYS = [
  ['← → ↑ ↓', 'the photo before, after, above, below'],
  ['1 … 5', 'your stars'],
  ['0', 'no stars'],
  ['X', 'reject'],
  ['P', 'pick, or no longer'],
  ['U', 'undo the last decision'],
  ['Space', 'one photo, or the grid'],
  ['Z', '100 %, or the whole photo'],
  ['+ −', 'larger, smaller'],
  ['Shift + arrows', 'move within an enlarged photo'],
  ['H', 'histogram and clipped areas'],
  ['S', 'where the photo is sharp'],
  ['B', 'the next burst'],
  ['Enter', 'in a burst: pick this photo and reject the others (asks once)'],
  ['C', 'compare this photo with the next ones'],
  ['G', 'the grid'],
  ['E', 'what was decided; move the rejected photos, or bring them back'],
  ['A', 'go on after each decision, or stay'],
  ['F', 'the filters; Tab leads from one to the next, Escape back to the photos'],
  ['/', 'search by file name'],
  ['?', 'all keys'],
];

const NAMES = {
  ArrowLeft: 'left', ArrowRight: 'right', ArrowUp: 'up', ArrowDown: 'down', ' ': 'space', Enter: 'enter',
  Escape: 'escape', Home: 'home', End: 'end', PageUp: 'pageup', PageDown: 'pagedown',
};

// Call `actions.NAME(event)` for each key that has a name there; keys typed into a field are left alone.
export function listen(actions) {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector('dialog[open]')) return;
    const { target } = event;
    if (target.matches('input, select, textarea')) {
      if (event.key === 'Escape') actions.photos();
      return;
    }
    const isButton = target.matches('button, a');
    if (isButton && (event.key === ' ' || event.key === 'Enter')) return;
    const key = NAMES[event.key] ?? event.key.toLowerCase();
    const action = (event.shiftKey && actions[`shift+${key}`]) || actions[key];
    if (!action) return;
    event.preventDefault();
    action(event);
  });
}
