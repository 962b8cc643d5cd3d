/* The top: a table whose rows go from noise to data and back, next to their points, until the user stops them. */

const { Stage, animation, calm, element, fillTable, models } = window.pointillist;
const [SECONDS, REST] = [3.6, 1.1];
const COLORS = 9;

/** The color of a row, as its point has it. */
function colorOf(index) {
  const [first, share] = [Math.min(1, Math.floor((2 * index) / (COLORS - 1))), ((2 * index) / (COLORS - 1)) % 1];
  const [from, to] = [["--series-1", "--series-4"], ["--series-4", "--series-2"]][first];
  return `color-mix(in srgb, var(${to}) ${100 * (index === COLORS - 1 ? 1 : share)}%, var(${from}))`;
}

class Hero {
  share = 0;
  direction = 1;
  rest = 0;
  isReady = false;
  isSeen = false;
  /** @type {number[]} the rows in the table */
  rows = [];
  /** @type {StudyModel} set by `show` */
  model;

  /**
   * @param {HTMLElement} root
   * @param {HTMLTableElement} table
   */
  constructor(root, table) {
    this.table = table;
    this.button = root.querySelector(".play");
    this.time = root.querySelector(".time");
    const show = { real: false, ground: false };
    this.stage = new Stage(root.querySelector("canvas"), { channel: "hero", rows: 1200, show, onPick: (row) => this.#pick(row) });
    Object.assign(this.stage.scene, { size: 1.25, margin: 1.08 });
    this.wants = !calm.matches;
    this.move = animation((passed) => {
      const isMoving = this.wants && this.isSeen && this.isReady;
      if (isMoving) this.#advance(passed);
      return isMoving;
    });
    this.button.addEventListener("click", () => {
      this.wants = !this.wants;
      this.#start();
    });
    this.time.addEventListener("input", () => {
      [this.wants, this.share, this.rest] = [false, Number(this.time.value) / 1000, 0];
      this.#start();
      this.#draw();
    });
    new IntersectionObserver(([{ isIntersecting }]) => {
      this.isSeen = isIntersecting;
      this.#start();
    }).observe(this.stage.canvas);
  }

  /** @param {Shown} shown */
  async show({ model }) {
    // A model that was trained here again keeps its name.
    if (this.model === model) return;
    this.model = model;
    this.isReady = false;
    const rows = await this.stage.run({ id: model.id, sampler: "dpm", steps: 32, seed: 3 });
    if (!rows) return;
    this.#paint(rows, model.columns);
    // One row of every other color.
    this.rows = [0, 2, 4, 6, 8].map((color) => this.stage.scene.ramp?.of.indexOf(color) ?? 0);
    this.#fillTable();
    this.isReady = true;
    [this.share, this.direction, this.rest] = calm.matches ? [1, 1, 0] : [0, 1, 0];
    this.#draw();
    this.#start();
  }

  /** Colors rows by their end points, so that a row keeps its color. */
  #paint(rows, columns) {
    const n = rows.length / columns;
    const position = (r) => rows[r * columns] - (columns > 1 ? 0.35 * rows[r * columns + 1] : 0);
    const order = Array.from({ length: n }, (_, r) => r).sort((a, b) => position(a) - position(b));
    const of = new Uint8Array(n);
    order.forEach((r, rank) => (of[r] = Math.floor((rank * COLORS) / n)));
    this.stage.scene.ramp = { count: COLORS, of };
  }

  #fillTable() {
    const { names, axes } = models.datasetOf(this.model);
    fillTable(this.table, ["point", ...(axes.length === names.length ? axes : names)], this.rows.length, (r, c) => {
      if (c) return "";
      const button = element("button", { type: "button", ariaLabel: `Show the way of row ${r + 1}` });
      button.style.background = colorOf(this.stage.scene.ramp?.of[this.rows[r]] ?? 0);
      return button;
    });
    [...this.table.tBodies[0].rows].forEach((line, r) => line.addEventListener("click", () => this.#pick(this.rows[r])));
  }

  /** Shows the way of a row, and the row in the table. */
  #pick(row) {
    if (row !== null && !this.rows.includes(row)) {
      this.rows = [row, ...this.rows.slice(0, -1)];
      this.#fillTable();
    }
    this.stage.pick(row);
    this.#write();
  }

  /** Writes the rows at the current moment. */
  #write() {
    const { x, columns, chosen } = this.stage.scene;
    const { centre, unit } = models.datasetOf(this.model);
    this.rows.forEach((row, r) => {
      const line = this.table.tBodies[0].rows[r];
      line.classList.toggle("chosen", row === chosen);
      for (let c = 0; x && c < columns; c++) {
        const digits = Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(unit[c]))));
        line.cells[c + 1].textContent = (x[row * columns + c] * unit[c] + centre[c]).toFixed(digits);
      }
    });
  }

  #start() {
    this.button.textContent = this.wants ? "Pause" : "Play";
    this.move();
  }

  #advance(seconds) {
    if (this.rest > 0) {
      this.rest -= seconds;
      return;
    }
    this.share += (this.direction * seconds) / SECONDS;
    if (this.share >= 1 || this.share <= 0) {
      this.share = Math.min(1, Math.max(0, this.share));
      this.direction = this.share ? -1 : 1;
      this.rest = this.share ? 2 * REST : REST / 2;
    }
    this.#draw();
  }

  #draw() {
    // Slow down where the data appears.
    this.stage.show(1 - (1 - this.share) ** 1.6);
    this.time.value = String(Math.round(1000 * this.share));
    this.#write();
  }
}

Object.assign(window.pointillist, { Hero });
