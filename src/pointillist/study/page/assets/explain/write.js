/* Writes one row: its tokens in order, with the probabilities of the next one, then all numbers together. */

const { Clock, Stage, barsOf, element, moveSlider } = window.pointillist;
/** Seconds for all tokens and numbers, and steps of numbers at a click. */
const [SECONDS, AT_ONCE] = [12, 6];

class WriteStep {
  /** @type {Story[]} */
  stories = [];
  row = 0;

  /**
   * @param {HTMLElement} root
   * @param {Promise<RowTable>} table
   */
  constructor(root, table) {
    this.readout = root.querySelector(".readout");
    this.list = root.querySelector("table");
    this.bars = root.querySelector(".bars");
    this.time = root.querySelector(".time");
    this.scene = new Stage(root.querySelector("canvas"), { hasKeys: false, onPick: () => {} }).scene;
    const play = root.querySelector(".play");
    this.clock = new Clock({
      ready: () => Number(this.stories.length > 0),
      show: (moment) => this.#show(moment),
      changed: (isPlaying) => (play.textContent = isPlaying ? "Pause" : "Play"),
      seconds: SECONDS,
    });
    play.addEventListener("click", () => (this.clock.isPlaying ? this.clock.pause() : this.clock.play()));
    this.time.addEventListener("input", () => this.clock.seek(Number(this.time.value) / 1000));
    /** @type {Record<string, () => void>} */
    const acts = {
      step: () => this.#step(),
      rewind: () => this.clock.seek(0),
      other: () => (this.row++, this.clock.seek(0)),
    };
    for (const button of root.querySelectorAll("button"))
      if (button.name) button.addEventListener("click", () => this.stories.length && acts[button.name]());
    table.then(async (found) => {
      this.stories = await found.draw(found.model.chunk, { seed: 4 });
      this.scene.setDataset(found.dataset, 2);
      this.clock.seek(0);
    });
  }

  show() {}

  /** Goes on to the next token, or by some steps of the numbers. */
  #step() {
    const story = this.stories[this.row % this.stories.length];
    const isEarly = (position) => story.momentAfter(position) <= this.clock.share + 1e-6;
    let position = 0;
    while (position < story.length && isEarly(position)) position += position < story.order.length ? 1 : AT_ONCE;
    this.clock.seek(story.momentAfter(Math.min(position, story.length)));
  }

  #show(moment) {
    if (!this.stories.length) return;
    const story = this.stories[this.row % this.stories.length];
    const { columns, titles } = story.table;
    const cells = story.cells(moment);
    const seen = story.seen(moment);
    const next = columns.findIndex(({ token }) => token === story.order[seen]);
    this.list.replaceChildren(
      ...cells.map(({ text, isDrawn, isMoving }, c) => {
        const className = isDrawn ? (isMoving ? "moving" : "") : c === next ? "masked next" : "masked";
        return element("tr", {}, element("th", { scope: "row" }, titles[c]), element("td", { className }, text));
      }),
    );
    moveSlider(this.time, moment);
    const color = story.color(moment);
    this.scene.chosen = seen === story.order.length ? 0 : null;
    this.scene.path = story.path;
    this.scene.setRows(Float32Array.from(story.point(moment)), undefined, [color]);
    this.#explain(story, seen, next, moment);
  }

  #explain(story, seen, next, moment) {
    const { columns, titles } = story.table;
    if (next < 0) {
      this.bars.replaceChildren();
      this.readout.textContent = moment < 1 ? "Now all numbers together, from noise to their places." : "The row is written.";
      return;
    }
    this.bars.replaceChildren(...barsOf(columns[next], story.chances[seen]));
    const known = seen ? `, given the ${seen === 1 ? "cell" : `${seen} cells`} above` : "";
    this.readout.textContent = `Next: ${titles[next]}${known}.`;
  }
}

Object.assign(window.pointillist, { WriteStep });
