// Rejected photos leave for a folder, and come back: asked once, done by the server, told as it goes.

import { get, post } from '/static/api.js';
import { counted, element, megabytes } from '/static/words.js';

const LOOK_MS = 500;
const LOOK_AGAIN_MS = 1500; // after the server did not answer

export class Moving {
  #isLooking = false;

  // `ask(question, details)` resolves with whether the person agreed; `onMoved(sentence)` is told how a move ended.
  constructor(root, ask, onMoved) {
    this.root = root;
    this.ask = ask;
    this.onMoved = onMoved;
    this.form = root.querySelector('form');
    this.field = this.form.elements.target;
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#try(() => this.#move());
    });
    root.querySelector('.stop').addEventListener('click', () => this.#try(() => post('/api/rejected/stop')));
  }

  // Show what could move, and a move that runs already: perhaps another window began it.
  async open() {
    this.#say('');
    this.#name([]);
    await this.#try(() => this.#plan());
    await this.#try(async () => {
      const progress = await get('/api/rejected/progress');
      if (progress && !progress.is_over) this.#look();
    });
  }

  async #plan() {
    const plan = await get('/api/rejected');
    this.form.hidden = !plan.photos;
    if (plan.photos) {
      this.field.value = plan.folder;
      this.form.querySelector('.where').textContent = `${whatOf(plan)} ${whereOf(plan)}`;
    }
    this.root.querySelector('.kept').replaceChildren(...plan.kept.map(({ folder, files }) => {
      const line = element('li', '', `${counted(files, 'file')} in ${folder} `);
      const button = element('button', '', 'Bring back');
      button.type = 'button';
      button.setAttribute('aria-label', `Bring back what is in ${folder}`);
      button.addEventListener('click', () => this.#try(() => this.#begin('back', folder)));
      line.append(button);
      return line;
    }));
  }

  async #move() {
    const plan = await get(`/api/rejected?folder=${encodeURIComponent(this.field.value)}`);
    if (!plan.photos) return;
    const question = `Move ${counted(plan.photos, 'photo')} to ${plan.folder}?`;
    if (await this.ask(question, `${whatOf(plan)} ${whereOf(plan)} Nothing is deleted, and “Bring back” undoes it.`)) {
      await this.#begin('move', plan.folder);
    }
  }

  async #begin(what, folder) {
    this.#name([]);
    await post(`/api/rejected/${what}`, folder);
    this.#say(what === 'move' ? 'The photos are on their way.' : 'The photos are on their way back.');
    this.#look();
  }

  // Look until the move is over; the page can be used meanwhile.
  async #look() {
    if (this.#isLooking) return;
    this.#isLooking = true;
    let progress = null;
    for (;;) {
      try {
        progress = await get('/api/rejected/progress');
        this.#problem('');
        if (!progress || progress.is_over) break;
        this.#draw(progress);
        await wait(LOOK_MS);
      } catch (error) {
        this.#problem(`${error.message} What has moved is listed in its folder, and can be brought back.`);
        await wait(LOOK_AGAIN_MS);
      }
    }
    this.#isLooking = false;
    this.root.querySelector('.running').hidden = true;
    await this.#try(() => this.#plan());
    const end = progress ? endOf(progress) : 'The move was cut off. What has moved is below; move again for the rest.';
    this.#say(end);
    this.#name(progress?.left ?? [], progress?.left_count);
    this.onMoved(end);
    (this.form.hidden ? this.root.querySelector('.kept button') : this.field)?.focus();
  }

  #draw({ done, total }) {
    const line = this.root.querySelector('.running');
    line.hidden = false;
    Object.assign(line.querySelector('progress'), { value: done, max: total });
    line.querySelector('span').textContent = `${done.toLocaleString('en')} of ${total.toLocaleString('en')}`;
    this.form.hidden = true;
  }

  #name(left, count = left.length) {
    const more = count - left.length;
    const lines = more > 0 ? [...left, `and ${more.toLocaleString('en')} more`] : left;
    this.root.querySelector('.left').replaceChildren(...lines.map((line) => element('li', '', line)));
  }

  #say(text) { this.root.querySelector('.said').textContent = text; }

  #problem(text) {
    const line = this.root.querySelector('.problem');
    line.textContent = text;
    line.hidden = !text;
  }

  async #try(work) {
    this.#problem('');
    try {
      await work();
    } catch (error) {
      this.#problem(error.message);
    }
  }
}

const wait = (duration) => new Promise((resolve) => { setTimeout(resolve, duration); });

const whatOf = ({ photos, files, bytes }) => `${counted(photos, 'rejected photo')}: ${counted(files, 'file')} with `
  + `sidecars and RAWs, ${megabytes(bytes)}.`;

function whereOf(plan) {
  const disk = plan.same_disk ? '' : ' It is on another disk: each file is copied and compared before it leaves, which takes longer.';
  return `${plan.is_new ? 'The folder is made for them.' : 'The folder is there already.'}${disk}`;
}

function endOf({ action, folder, files, left_count: left, problem }) {
  const done = action === 'move' ? `${counted(files, 'file')} moved to ${folder}.` : `${counted(files, 'file')} brought back.`;
  return [done, left ? `${counted(left, 'file')} left alone:` : '', problem].filter(Boolean).join(' ');
}
