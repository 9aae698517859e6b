// The review page: it joins the photos, the views, the keys and the decisions.

import { get, post } from '/static/api.js';
import { Decisions } from '/static/decisions.js';
import { Grid } from '/static/grid.js';
import { KEYS, listen } from '/static/keys.js';
import { CLIPPED, Overlays, SHARP } from '/static/overlays.js';
import { Moving } from '/static/moving.js';
import { Pane, View } from '/static/pane.js';
import { Photos } from '/static/photos.js';
import { Pictures } from '/static/pictures.js';
import { burstInWords, element, isAway, maclipsInWords, mineInWords, mineOf, sentence, stars } from '/static/words.js';

const LOOK_MS = 1500;
const MOST_COMPARED = 4;
const $ = (selector) => document.querySelector(selector);

const form = $('#filters');
const photos = new Photos();
const pictures = new Pictures();
const grid = new Grid($('#grid'), photos, () => show('loupe'), selected);
const loupe = new Pane($('#loupe'), new View(), pictures);
const overlays = new Overlays(loupe);
let undoneFrom = -1; // the place at which U was pressed
let compared = [];
const compareView = new View();
let panes = [];
let active = 0;
let mode = 'grid';
let goesOn = true;
let trouble = '';
let noticeTimer = 0;

const decisions = new Decisions(photos, say);

function say(text, { stays = false, isTrouble = false } = {}) {
  const box = $('#notice');
  box.firstElementChild.textContent = text;
  box.hidden = !text;
  box.classList.toggle('trouble', isTrouble);
  trouble = isTrouble ? text : '';
  clearTimeout(noticeTimer);
  if (text && !stays && !isTrouble) noticeTimer = setTimeout(() => say(''), 6000);
}

function current() {
  if (mode === 'compare' && compared.length) return compared[active];
  return photos.at(grid.selected);
}

function selected() {
  describe();
  if (mode === 'loupe') showInLoupe();
  else pictures.prepare(photos, grid.selected);
  remember();
}

async function showInLoupe() {
  const index = grid.selected;
  const photo = await photos.wait(index);
  if (!photo || index !== grid.selected || mode !== 'loupe') return;
  loupe.view.isWhole = true;
  await loupe.show(photo);
  describe();
  if (index === grid.selected) pictures.prepare(photos, index);
}

function describe() {
  const photo = current();
  const about = $('#about');
  if (!photo) {
    about.textContent = '';
    for (const button of document.querySelectorAll('#decide [aria-pressed]')) button.setAttribute('aria-pressed', false);
    return;
  }
  const index = photos.indexOf(photo.id);
  const lines = [element('strong', '', photo.name), element('span', '', mineInWords(photo)),
    element('span', '', maclipsInWords(photo))];
  if (isAway(photo)) lines.push(element('span', 'reasons', 'not in its folder'));
  if (photo.reasons) lines.push(element('span', 'reasons', photo.reasons));
  if (photo.burst) lines.push(element('span', 'burst', burstInWords(photo)));
  if (photo.exif) lines.push(element('span', 'more', photo.exif));
  if (photo.taken) lines.push(element('span', 'more', photo.taken.replace('T', ' ')));
  if (photo.width) lines.push(element('span', 'more', `${photo.width} × ${photo.height}`));
  if (photo.files > 1) lines.push(element('span', 'more', 'RAW and JPEG'));
  lines.push(element('span', 'more folder', photo.folder));
  about.replaceChildren(...lines);
  about.setAttribute('aria-label', sentence(photo, index < 0 ? grid.selected : index, photos.total));
  for (const button of document.querySelectorAll('#decide [data-rating]')) {
    button.setAttribute('aria-pressed', String(mineOf(photo)) === button.dataset.rating);
  }
  $('#decide [data-pick]').setAttribute('aria-pressed', photo.picked);
  $('#tools [data-key=enter]').disabled = !photo.burst;
}

function count() {
  const pace = photos.pace ? `, ${Math.round(photos.pace)} a minute` : '';
  const total = photos.isWhole ? photos.total.toLocaleString('en') : 'many';
  $('#progress').textContent = `${photos.rated.toLocaleString('en')} of ${total} decided${pace}`;
  $('#nothing').hidden = photos.total > 0 || !photos.isWhole;
}

function show(next) {
  if (next !== 'grid' && !photos.total) return;
  mode = next;
  for (const name of ['grid', 'loupe', 'compare']) {
    $(`#${name}`).hidden = name !== mode;
    $(`#show-${name}`).setAttribute('aria-pressed', name === mode);
  }
  document.body.dataset.mode = mode;
  if (mode === 'grid') {
    grid.reveal();
    grid.draw();
    $('#grid').focus({ preventScroll: true });
  } else {
    grid.rest();
    if (document.activeElement === $('#grid')) $('#photos').focus({ preventScroll: true });
  }
  if (mode === 'loupe') showInLoupe();
  describe();
}

async function compare() {
  const wanted = [];
  const first = current();
  const many = first?.burst ? MOST_COMPARED : 2; // of a burst as many as there are
  for (let step = 0; step < many && grid.selected + step < photos.total; step += 1) {
    wanted.push(await photos.wait(grid.selected + step));
  }
  compared = wanted.filter((photo, place) => photo && (place < 2 || photo.burst === first.burst));
  if (compared.length < 2) {
    say('There is no second photo to compare with.');
    return;
  }
  active = 0;
  mode = 'compare';
  drawCompared();
  show('compare');
}

function drawCompared() {
  const root = $('#compare');
  root.replaceChildren();
  compareView.isWhole = true;
  panes = compared.map((photo, place) => {
    const box = element('div', 'pane');
    box.tabIndex = -1;
    box.addEventListener('pointerdown', () => { active = place; markActive(); });
    root.append(box);
    const pane = new Pane(box, compareView, pictures);
    box.append(element('p', 'caption'));
    pane.show(photo);
    return pane;
  });
  root.dataset.count = compared.length;
  markActive();
}

function markActive() {
  compared = compared.map((photo) => photos.at(photos.indexOf(photo.id)) ?? photo);
  panes.forEach((pane, place) => {
    pane.root.classList.toggle('active', place === active);
    pane.root.classList.toggle('rejected', mineOf(compared[place]) === -1);
    pane.root.querySelector('.caption').textContent = `${compared[place].name}: ${mineInWords(compared[place])}, ${maclipsInWords(compared[place])}`;
  });
  describe();
}

async function compareMore() {
  if (compared.length >= MOST_COMPARED) return;
  const last = photos.indexOf(compared.at(-1).id);
  const next = await photos.wait(last + 1);
  if (!next || compared.some((photo) => photo.id === next.id)) return;
  compared.push(next);
  drawCompared();
}

function compareFewer() {
  if (compared.length <= 2) return;
  compared.pop();
  active = Math.min(active, compared.length - 1);
  drawCompared();
}

async function nextBurst() {
  if (form.elements.order.value !== 'bursts') {
    form.elements.order.value = 'bursts';
    await choose(queryOfForm(), 0);
    if (!photos.total) say('No photos of one moment are here.');
    return;
  }
  const start = current();
  let index = grid.selected;
  while (index + 1 < photos.total) {
    index += 1;
    const photo = await photos.wait(index);
    if (!start || photo?.burst !== start.burst) {
      grid.select(index);
      return;
    }
  }
  say('This is the last burst.');
}

let hasAsked = false;

function ask(question, details) {
  const dialog = $('#question');
  dialog.querySelector('h2').textContent = question;
  dialog.querySelector('p').textContent = details;
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}

// Enter: this frame is the best of its burst, and the others are rejected.
async function bestOfBurst() {
  const photo = current();
  if (!photo) return;
  if (!photo.burst) {
    if (mode === 'grid') show('loupe');
    return;
  }
  if (photo.rank === null) {
    say(`This is part of a ${photo.kind}: its frames belong together, and none is rejected.`);
    return;
  }
  try {
    const { photos: frames } = await get(`/api/burst/${photo.id}`);
    const others = frames.filter((each) => each.id !== photo.id);
    const rated = others.filter((each) => mineOf(each) > 0 || each.picked).length;
    const stay = rated === 1 ? 'stays as it is' : 'stay as they are';
    const kept = rated ? ` ${rated} that you gave stars or a pick ${stay}.` : '';
    const rejected = others.filter((each) => !(mineOf(each) > 0 || each.picked));
    if (rejected.length && !hasAsked && !await ask(`Pick ${photo.name} and reject the other ${rejected.length}?`,
      `They are marked, not deleted, and U brings all of them back at once.${kept} Enter does not ask again until this page is closed.`)) return;
    hasAsked ||= rejected.length > 0;
    decisions.decide([[photo, { pick: true }], ...rejected.map((each) => [each, { rating: -1 }])]);
    say(`${photo.name} is picked, ${rejected.length || 'none'} rejected.${kept}`);
    if (mode === 'compare') show('grid');
    nextBurst();
  } catch (error) {
    say(error.message);
  }
}

function decide(decision) {
  const photo = current();
  if (!photo) {
    if (photos.total) say('This photo is still being read: nothing was decided. Press again once you see it.');
    return;
  }
  const pick = decision.pick === undefined ? undefined : !photo.picked;
  decisions.decide([[photo, pick === undefined ? decision : { pick }]]);
  if (mode === 'compare') {
    if (goesOn) active = (active + 1) % compared.length;
    markActive();
  } else if (goesOn && pick === undefined && grid.selected < photos.total - 1) grid.select(grid.selected + 1);
  describe();
}

function undo() {
  undoneFrom = grid.selected;
  return decisions.undo();
}

decisions.addEventListener('settled', ({ detail: { request, answer } }) => {
  if (request.path.startsWith('/api/undo')) {
    const index = photos.indexOf(answer.results[0]?.id);
    if (index >= 0 && grid.selected === undoneFrom) { // else the person has gone on meanwhile
      grid.select(index);
      undoneFrom = index;
    }
  } else {
    const first = answer.results.find((each) => each.outcome === 'changed' || each.outcome === 'refused');
    const index = first ? photos.indexOf(first.id) : -1;
    if (index >= 0 && mode !== 'compare') grid.select(index); // shown, so that it can be decided again
  }
  if (mode === 'compare') markActive();
  photos.refreshCounts().catch(() => {});
  if ($('#summary').open) countDecisions().catch(() => {});
});
photos.addEventListener('change', () => { count(); describe(); });
photos.addEventListener('count', count);

function step(by) {
  if (mode === 'compare') {
    active = (active + Math.sign(by) + compared.length) % compared.length;
    markActive();
  } else grid.select(grid.selected + by);
}

const view = () => (mode === 'compare' ? compareView : loupe.view);
const pan = (x, y) => { if (mode !== 'grid') view().move(view().x + x, view().y + y); };
const zoom = (factor) => {
  if (mode === 'grid') show('loupe');
  else (mode === 'compare' ? panes[active] : loupe).zoom(factor);
};

function overlay(which) {
  if (mode !== 'loupe') show('loupe');
  overlays.toggle(which);
}

// At the end: what was decided, and how the rejected photos leave.
let hasMoved = false;
const moving = new Moving($('#moving'), ask, (sentence) => {
  countDecisions().catch((error) => say(error.message));
  hasMoved = $('#summary').open;
  if (hasMoved) return; // seen there
  choose(queryOfForm(), grid.selected);
  say(sentence);
});

async function countDecisions() {
  const dialog = $('#summary');
  const { counts, rejected } = await get('/api/summary');
  const name = (rating) => (rating === '-1' ? '✕ rejected' : rating === '0' ? '– no stars' : stars(Number(rating)));
  const order = Object.keys(counts).sort((one, other) => other - one);
  dialog.querySelector('dl').replaceChildren(...order.flatMap((rating) => [
    element('dt', '', name(rating)), element('dd', '', counts[rating].toLocaleString('en'))]));
  dialog.querySelector('.undo-all').hidden = !order.length;
  const text = dialog.querySelector('textarea');
  text.value = rejected.join('\n');
  text.hidden = !rejected.length;
  dialog.querySelector('.copy').hidden = !rejected.length;
  dialog.querySelector('.cull').textContent = rejected.length
    ? 'The rejected photos. Below they can leave for a folder, with their sidecars and RAWs; so they can by '
      + '`maclip cull --move FOLDER`. Nothing is deleted.'
    : 'No photo is rejected.';
}

async function summary() {
  try {
    await countDecisions();
    $('#summary').showModal();
    moving.open();
    await countDecisions(); // what was settled before it was open
  } catch (error) {
    say(error.message);
  }
}

async function undoAll() {
  if (!await ask('Undo every decision of this review?', 'The files get the bytes of before. What you decided in earlier reviews stays.')) return;
  undoneFrom = grid.selected;
  await decisions.undo('all');
  $('#summary').close();
}
$('#summary .undo-all').addEventListener('click', undoAll);

// Photos that have moved leave the view, and those that are back return to it.
$('#summary').addEventListener('close', () => {
  if (hasMoved) choose(queryOfForm(), grid.selected);
  hasMoved = false;
});

function toFilter(which) {
  if (!form.offsetParent) show('grid'); // on a phone the filters are there alone
  form.querySelector(which).focus();
}

const actions = {
  e: summary,
  h: () => overlay(CLIPPED),
  s: () => overlay(SHARP),
  left: () => step(-1),
  right: () => step(1),
  up: () => step(mode === 'grid' ? -grid.columns : -1),
  down: () => step(mode === 'grid' ? grid.columns : 1),
  pageup: () => grid.select(grid.selected - grid.columns * 4),
  pagedown: () => grid.select(grid.selected + grid.columns * 4),
  home: () => grid.select(0),
  end: () => photos.whole().then(() => grid.select(photos.total - 1)),
  space: () => show(mode === 'grid' ? 'loupe' : 'grid'),
  enter: bestOfBurst,
  b: nextBurst,
  escape: () => show('grid'),
  g: () => show('grid'),
  c: () => (mode === 'compare' ? compareMore() : compare()),
  'shift+c': compareFewer,
  z: () => { if (mode === 'grid') show('loupe'); else view().toggle(); },
  '+': () => zoom(1.25),
  '=': () => zoom(1.25),
  '-': () => zoom(0.8),
  'shift+left': () => pan(-0.1, 0),
  'shift+right': () => pan(0.1, 0),
  'shift+up': () => pan(0, -0.1),
  'shift+down': () => pan(0, 0.1),
  x: () => decide({ rating: -1 }),
  p: () => decide({ pick: true }),
  u: undo,
  a: () => {
    goesOn = !goesOn;
    $('#tools [data-key=a]').setAttribute('aria-pressed', goesOn);
    say(goesOn ? 'After each decision the next photo comes.' : 'After each decision this photo stays.');
  },
  f: () => toFilter('select'),
  photos: () => $(mode === 'grid' ? '#grid' : '#photos').focus({ preventScroll: true }), // out of the filters
  '/': () => toFilter('[name=name]'),
  '?': () => $('#help').showModal(),
};
for (const rating of [0, 1, 2, 3, 4, 5]) actions[rating] = () => decide({ rating });
listen(actions);

// After a button of the page was clicked the keys are the photos' again: Space would press it once more.
document.addEventListener('click', ({ detail, target }) => {
  if (detail && target.closest('nav button, footer button')) actions.photos();
}, true);
$('#decide').addEventListener('click', ({ target }) => {
  if (target.dataset.rating !== undefined) decide({ rating: Number(target.dataset.rating) });
  else if (target.dataset.pick) decide({ pick: true });
  else if (target.id === 'undo') undo();
});
$('#tools').addEventListener('click', ({ target }) => actions[target.dataset.key]?.());
$('#loupe').addEventListener('swipe', ({ detail }) => step(detail));
for (const name of ['grid', 'loupe']) $(`#show-${name}`).addEventListener('click', () => show(name));
$('#show-compare').addEventListener('click', compare);
$('#show-summary').addEventListener('click', summary);
$('#show-help').addEventListener('click', actions['?']);
$('#summary .copy').addEventListener('click', () => {
  const text = $('#summary textarea');
  text.select();
  navigator.clipboard?.writeText(text.value).catch(() => {}); // selected, for browsers that refuse
});
$('#notice button').addEventListener('click', () => say(''));
$('#help dl').append(...KEYS.flatMap(([key, does]) => [element('dt', '', key), element('dd', '', does)]));

// Filters, and where the person was: both are in the address, so that a reload comes back to the same place.
function queryOfForm() {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value) query.set(name, value);
  return query;
}

let typing = 0;
let remembering = 0;
form.addEventListener('input', () => {
  clearTimeout(typing);
  typing = setTimeout(() => choose(queryOfForm(), 0), 250);
});
form.addEventListener('submit', (event) => event.preventDefault());

async function choose(query, index, known = null) {
  try {
    await photos.choose(query.toString(), index, known);
    count();
    if (photos.total) grid.select(Math.min(index, photos.total - 1));
    else show('grid');
  } catch (error) {
    say(error.message, { stays: true, isTrouble: true });
  }
  grid.draw();
}

function remember() {
  const query = new URLSearchParams(photos.query);
  query.set('at', grid.selected);
  history.replaceState(null, '', `/#${query}`);
  clearTimeout(remembering); // for the next run of maclip review
  remembering = setTimeout(() => post('/api/place', query.toString()).catch(() => {}), 1000);
}

// Other windows, what waits for a disk, and photos that came with the page: looked for while it is visible.
let serial = 0;
async function look() {
  try {
    const found = await get(`/api/changes?after=${serial}`);
    const isNew = found.serial < serial;
    serial = found.serial;
    if (found.photos.length) {
      photos.update(found.photos);
      if (mode === 'compare') markActive();
    }
    if (isNew || found.photos.length) photos.refreshCounts().catch(() => {});
    if (found.waiting) {
      const many = found.waiting === 1 ? '1 decision is' : `${found.waiting} decisions are`;
      say(`${many} not written yet, but kept and tried again: ${found.reason}`, { isTrouble: true });
    } else if (trouble) say('All decisions are written.');
  } catch (error) {
    if (!decisions.unsent) say(error.message, { stays: true, isTrouble: true });
  }
  setTimeout(look, document.hidden ? LOOK_MS * 4 : LOOK_MS);
}

// Folders below a common one are named from there on.
function shortNames(folders) {
  const top = folders.reduce((common, folder) => {
    let length = 0;
    while (length < common.length && common[length] === folder[length]) length += 1;
    return common.slice(0, length);
  }, folders[0] ?? '');
  const start = top.lastIndexOf('/', top.length - 1) + 1;
  return new Map(folders.map((folder) => [folder, folder.slice(start)]));
}

// Folders, cameras and lenses to choose from; the first page does not wait for them.
async function nameEquipment() {
  const known = await get('/api/equipment').catch(() => ({ cameras: [], lenses: [], folders: [] }));
  const short = shortNames(known.folders);
  for (const [name, values] of [['folder', known.folders], ['camera', known.cameras], ['lens', known.lenses]]) {
    const field = form.elements[name];
    const chosen = field.value;
    for (const option of [...field.options].slice(1)) if (values.includes(option.value)) option.remove();
    field.append(...values.map((value) => {
      const option = element('option', '', short.get(value) ?? value);
      option.value = value;
      return option;
    }));
    field.value = chosen;
    field.closest('label').hidden = values.length < 2 && !chosen;
  }
}

// A part of a camera's name, or stars that no choice names: `maclip review --camera r5` begins with these.
function fillIn(field, value) {
  field.value = value;
  if (field.value === value || field.tagName !== 'SELECT') return;
  const option = element('option', '', value);
  option.value = value;
  field.append(option);
  field.value = value;
  field.closest('label').hidden = false;
}

// What the server knew already when the link was opened; the address of a reload may ask for something else.
function firstWindow() {
  const known = $('#first');
  return known && !location.hash ? JSON.parse(known.content.textContent) : null;
}

async function begin() {
  document.body.dataset.mode = mode;
  const first = firstWindow();
  if (location.pathname !== '/') history.replaceState(null, '', `/${location.hash}`); // without the token
  let start = first ?? { query: '', serial: 0 };
  try {
    if (!first) start = await get('/api/start');
  } catch (error) {
    say(error.message, { stays: true, isTrouble: true });
  }
  const query = new URLSearchParams(location.hash.slice(1) || start.query);
  const index = Number(query.get('at') ?? 0);
  query.delete('at');
  const needsNames = !first && ['folder', 'camera', 'lens'].some((name) => query.has(name));
  if (needsNames) await nameEquipment();
  for (const [name, value] of query) if (form.elements[name]) fillIn(form.elements[name], value);
  serial = start.serial;
  await choose(queryOfForm(), index, first);
  $('#grid').focus({ preventScroll: true });
  if (first) {
    await grid.pictured();
    photos.refreshCounts().catch(() => {});
  }
  if (!needsNames) nameEquipment();
  look();
}

begin();
