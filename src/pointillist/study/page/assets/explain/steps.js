/* The first two steps of the explainer: rows of the table are spoilt, and the model guesses what a covered cell was. */

const { Stage, aheadOf, barsOf, chart, element, fillTable, latest, moveSlider, showCells } = window.pointillist;
/** Rows in the table, rows that are drawn for a guess, and points of a curve. */
const [LISTED, GUESSES, POINTS] = [6, 320, 60];
/** The width of a number's bump in a curve, in standard deviations of all. */
const WIDTH = 0.18;

/** @typedef {InstanceType<typeof window.pointillist.RowTable>} PenguinTable */

/** Rows of the data on their way to nothing: numbers drift, then cells are covered. */
class SpoilStep {
  /** @type {ReturnType<PenguinTable["spoilt"]>} */
  stories = [];

  /**
   * @param {HTMLElement} root
   * @param {Promise<PenguinTable>} table
   */
  constructor(root, table) {
    this.readout = root.querySelector(".readout");
    this.time = root.querySelector(".time");
    this.list = root.querySelector("table");
    this.scene = new Stage(root.querySelector("canvas"), { show: { real: false }, hasKeys: false, onPick: () => {} }).scene;
    this.time.addEventListener("input", () => this.#show());
    table.then((found) => {
      this.stories = found.spoilt();
      this.scene.setDataset(found.dataset, 2);
      fillTable(this.list, found.titles, LISTED, () => "");
      this.#show();
    });
  }

  show() {}

  #show() {
    if (!this.stories.length) return;
    const moment = 1 - Number(this.time.value) / 1000;
    moveSlider(this.time, 1 - moment);
    const colors = this.stories.map((story, r) => story.color(moment, aheadOf(r)));
    this.scene.setRows(Float32Array.from(this.stories.flatMap((story) => story.point(moment))), undefined, colors);
    const rows = this.stories.map((story, r) => story.cells(moment, aheadOf(r)));
    rows.slice(0, LISTED).forEach((cells, r) => showCells(this.list.tBodies[0].rows[r], cells));
    const all = rows.flat();
    const covered = all.filter(({ isDrawn }) => !isDrawn).length / all.length;
    this.readout.textContent =
      moment === 1
        ? "Rows of the data, as they are."
        : covered
          ? `The numbers are noise, and ${Math.round(100 * covered)} % of the cells are covered.`
          : `The numbers drift. Noise makes up ${Math.round(100 * this.stories[0].noiseAt(moment))} % of their spread.`;
  }
}

/** A row of the data, cells of which are covered, and what the model expects in one of them. */
class GuessStep {
  /** @type {PenguinTable} set later */
  table;
  row = 0;
  /** @type {number[]} the covered cells; the last one is asked about */
  covered = [];

  /**
   * @param {HTMLElement} root
   * @param {Promise<PenguinTable>} table
   */
  constructor(root, table) {
    this.readout = root.querySelector(".readout");
    this.list = root.querySelector("table");
    this.bars = root.querySelector(".bars");
    this.curve = root.querySelector(".curve");
    this.update = latest((asked) => this.#guess(asked));
    root.querySelector("button").addEventListener("click", () => {
      this.row = (this.row + 137) % this.table.real.length;
      this.#show();
    });
    table.then((found) => {
      this.table = found;
      this.#ask(found.colored);
    });
  }

  show() {}

  /** Covers a cell and asks about it, or uncovers it. */
  #ask(c) {
    const isAsked = this.covered.at(-1) === c;
    this.covered = [...this.covered.filter((each) => each !== c), ...(isAsked ? [] : [c])];
    this.#show();
  }

  #show() {
    const { columns, titles, real } = this.table;
    const asked = this.covered.at(-1);
    this.list.replaceChildren(
      ...columns.map((_, c) => {
        const isCovered = this.covered.includes(c);
        const text = isCovered ? "?" : (real[this.row][c] ?? "missing");
        const ariaLabel = `${titles[c]}: ${isCovered ? "covered" : text}`;
        const button = element("button", { type: "button", ariaLabel }, text);
        button.addEventListener("click", () => {
          this.#ask(c);
          this.list.rows[c].querySelector("button").focus();
        });
        const className = isCovered ? (c === asked ? "masked next" : "masked") : "";
        return element("tr", {}, element("th", { scope: "row" }, titles[c]), element("td", { className }, button));
      }),
    );
    this.readout.textContent = "asking the network …";
    this.update({ covered: this.covered, row: this.row });
  }

  async #guess({ covered, row }) {
    const { table } = this;
    const asked = covered.at(-1);
    if (asked === undefined) {
      this.bars.replaceChildren();
      this.curve.hidden = true;
      this.readout.textContent = "Click a cell to cover it.";
      return;
    }
    const stories = await table.draw(GUESSES, { known: table.encoded(table.real[row], covered), seed: 1 });
    if (covered !== this.covered || row !== this.row) return;
    const column = table.columns[asked];
    const all = stories.map(({ order, chances }) => chances[order.indexOf(column.token)]);
    const chances = all[0].map((_, i) => all.reduce((sum, each) => sum + each[i], 0) / all.length);
    this.bars.replaceChildren(...(column.nominal || column.has_missing ? barsOf(column, chances) : []));
    this.curve.hidden = column.nominal !== null;
    if (!column.nominal) this.#draw(column, table.titles[asked], stories.map((story) => story.cells(1)[asked].value));
    const seen = table.columns.length - covered.length;
    const given = seen ? `, given the ${seen === 1 ? "cell" : `${seen} cells`} that you see` : "";
    const best = column.nominal?.[chances.indexOf(Math.max(...chances))] ?? "missing";
    const likely = column.nominal ? `: most likely ${best}` : "";
    this.readout.textContent = `${table.titles[asked]}${given}${likely}. Click the cell again to uncover it.`;
  }

  /** Draws the density of a number from draws of it. */
  #draw({ minimum: low, maximum: high }, name, drawn) {
    const values = drawn.filter((value) => !Number.isNaN(value));
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const spread = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length);
    // Spread out too, numbers that are nearly known would have an endless peak.
    const width = WIDTH * spread + (high - low) / POINTS;
    /** @type {[number, number][]} */
    const points = Array.from({ length: POINTS + 1 }, (_, i) => {
      const at = low + ((high - low) * i) / POINTS;
      const bumps = values.reduce((sum, v) => sum + Math.exp(-(((at - v) / width) ** 2) / 2), 0);
      return [at, bumps / (values.length * width * Math.sqrt(2 * Math.PI))];
    });
    const most = Math.max(...points.map(([, y]) => y)) || 1;
    chart(this.curve, {
      label: `How likely each ${name} is`,
      x: { range: [low, high], name },
      y: { range: [0, 1.1 * most], log: false, name: "density" },
      series: [{ name, color: 0, dash: 0, points }],
    });
  }
}

Object.assign(window.pointillist, { SpoilStep, GuessStep });
