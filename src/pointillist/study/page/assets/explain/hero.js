/* The top: a table whose cells turn over one by one, next to the points of its rows, until the user stops them. */

const { Clock, Stage, aheadOf, calm, element, fillTable, keyOf, moveSlider, showCells } = window.pointillist;
/** Seconds of the way, and milliseconds of rest at its end. */
const [SECONDS, REST] = [6, 2000];
/** Rows of the table, rows that are drawn first, and rows in all. */
const [LISTED, FIRST, ROWS] = [6, 64, 384];

class Hero {
  isReady = false;
  /** @type {Story[]} */
  stories = [];
  /** @type {number[]} the rows in the table */
  rows = Array.from({ length: LISTED }, (_, i) => i);

  /**
   * @param {HTMLElement} root
   * @param {HTMLTableElement} table
   */
  constructor(root, table) {
    this.list = table;
    this.time = root.querySelector(".time");
    this.keys = root.querySelector(".keys");
    const button = root.querySelector(".play");
    const show = { real: false, ground: false };
    this.scene = new Stage(root.querySelector("canvas"), { show, onPick: (row) => this.#pick(row) }).scene;
    Object.assign(this.scene, { size: 1.25, margin: 0.9 });
    let [wants, isSeen] = [!calm.matches, true];
    this.play = () => wants && isSeen && this.isReady && this.clock.play();
    this.clock = new Clock({
      ready: () => 1,
      show: () => this.#draw(),
      changed: (isPlaying) => !isPlaying && this.clock.share >= 1 && setTimeout(this.play, REST),
      seconds: SECONDS,
    });
    const want = (wanted) => {
      wants = wanted;
      button.textContent = wants ? "Pause" : "Play";
      if (!wants) this.clock.pause();
      this.play();
    };
    button.hidden = calm.matches;
    button.addEventListener("click", () => want(!wants));
    this.time.addEventListener("input", () => {
      want(false);
      this.clock.seek(Number(this.time.value) / 1000);
    });
    new IntersectionObserver(([{ isIntersecting }]) => {
      isSeen = isIntersecting;
      if (!isSeen) this.clock.pause();
      this.play();
    }).observe(this.scene.canvas);
  }

  /** Shows the first rows as soon as they are drawn, and then all. */
  async begin(/** @type {RowTable} */ table) {
    this.stories = await table.draw(FIRST, { seed: 3 });
    this.scene.setDataset(table.dataset, 2);
    const names = table.columns[table.colored].nominal ?? [];
    this.keys.replaceChildren(...keyOf(names.map((name, i) => ({ name, color: i, shape: i, dash: null, points: [] }))));
    fillTable(this.list, ["point", ...table.titles], LISTED, (r, c) =>
      c ? "" : element("button", { type: "button", ariaLabel: `Show the way of row ${r + 1}` }),
    );
    [...this.list.tBodies[0].rows].forEach((line, r) => line.addEventListener("click", () => this.#pick(this.rows[r])));
    this.isReady = true;
    if (calm.matches) this.clock.seek(1);
    this.#draw();
    this.play();
    this.stories = [...this.stories, ...(await table.draw(ROWS - FIRST, { seed: 3, firstRow: FIRST }))];
    this.#draw();
  }

  /** Shows the way of a row, and the row in the table. */
  #pick(row) {
    if (row !== null && !this.rows.includes(row)) this.rows = [row, ...this.rows.slice(0, -1)];
    this.scene.chosen = row;
    this.#draw();
  }

  /** Writes the rows at the current moment. */
  #write() {
    this.rows.forEach((row, r) => {
      const story = this.stories[row];
      const line = this.list.tBodies[0].rows[r];
      line.classList.toggle("chosen", row === this.scene.chosen);
      const color = story.color(this.clock.share, aheadOf(row));
      line.cells[0].firstElementChild?.setAttribute("style", `background: var(--${color < 0 ? "muted" : `series-${color + 1}`})`);
      showCells(line, story.cells(this.clock.share, aheadOf(row)), 1);
    });
  }

  #draw() {
    if (!this.isReady) return;
    const { scene, stories } = this;
    const moment = this.clock.share;
    const colors = Int8Array.from(stories, (story, r) => story.color(moment, aheadOf(r)));
    scene.path = scene.chosen === null ? null : stories[scene.chosen].path;
    scene.setRows(Float32Array.from(stories.flatMap((story) => story.point(moment))), undefined, colors);
    moveSlider(this.time, moment);
    this.#write();
  }
}

Object.assign(window.pointillist, { Hero });
