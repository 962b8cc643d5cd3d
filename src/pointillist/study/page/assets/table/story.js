/* The table of the page: its rows, and a model that draws rows and tells how. */

const { Workers, byId, columnOf, datasetOf, element, isMissing } = window.pointillist;
const { kernelText, readCsv, textIn, unpackNumbers, withNumbers } = window.pointillist;

/** Columns that pictures show, to the right and upwards. */
const SHOWN = ["bill_length_mm", "bill_depth_mm"];
/** The column that colors the points, and one that it restricts. */
const [COLORED, HOME] = ["species", "island"];
/** Fraction of the way of a row in which its tokens are drawn; its numbers follow. */
const TOKENS = 0.5;
/** Evaluations of the network of numbers for rows of which only the tokens are shown. */
const FEW = 2;
/** Steps of the numbers of rows that are spoilt. */
const STEPS = 20;

function softmax(logits) {
  const highest = Math.max(...logits);
  const weights = Array.from(logits, (logit) => Math.exp(logit - highest));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

/** The way of a row from nothing to its last cell; moments on it are numbers from 0 to 1. */
class Story {
  /**
   * @param {RowTable} table
   * @param {Float32Array} drawn the row
   * @param {number[]} order its tokens as they are drawn
   * @param {number[][]} chances of the values of these tokens
   * @param {Float32Array[]} scores normal scores of its numbers, step by step
   */
  constructor(table, drawn, order, chances, scores) {
    this.table = table;
    this.drawn = drawn;
    this.order = order;
    this.chances = chances;
    this.scores = scores;
  }

  /** The moment after some tokens, or all of them and some steps of the numbers. */
  momentAfter(position) {
    const [n, steps] = [this.order.length, this.scores.length - 1];
    return position <= n ? (TOKENS * position) / n : TOKENS + ((1 - TOKENS) * (position - n)) / steps;
  }

  /** Number of tokens and steps. */
  get length() {
    return this.order.length + this.scores.length - 1;
  }

  /** The number of tokens that are drawn by a moment; `ahead` lets rows differ by less than a token. */
  seen(moment, ahead = 0) {
    return Math.min(this.order.length, Math.floor((moment / TOKENS) * this.order.length + ahead + 1e-9));
  }

  /** The row with its numbers as they are at a moment. */
  #rowAt(moment) {
    const position = Math.max(0, (moment - TOKENS) / (1 - TOKENS)) * (this.scores.length - 1);
    const [from, to] = [Math.floor(position), Math.ceil(position)].map((i) => this.scores[i]);
    const row = this.drawn.slice();
    from.forEach((score, k) => (row[this.table.model.sizes.length + k] = score + (position % 1) * (to[k] - score)));
    return row;
  }

  /** The cells at a moment: their values and texts, and whether they are drawn already, or still move. */
  cells(moment, ahead = 0) {
    const row = this.#rowAt(moment);
    const seen = this.seen(moment, ahead);
    return this.table.columns.map((column) => {
      const value = column.decode(row, 0);
      const isDrawn = this.order.indexOf(column.token) < seen;
      return {
        value,
        text: isDrawn ? column.write(value) || "missing" : "?",
        isDrawn,
        isMoving: isDrawn && moment < 1 && column.score !== null && !Number.isNaN(value),
      };
    });
  }

  /** Where the row's point is at a moment; NaN if a number is missing. */
  point(moment) {
    const row = this.#rowAt(moment);
    const { centre, unit } = this.table.dataset;
    return this.table.shown.map((c, axis) => (this.table.columns[c].decode(row, 0) - centre[axis]) / unit[axis]);
  }

  /** The way of the point, from the first step of the numbers on. */
  get path() {
    return Float32Array.from(this.scores.flatMap((_, i) => this.point(this.momentAfter(this.order.length + i))));
  }

  /** The fraction of the numbers' variance that is noise at a moment, for a row that is spoilt. */
  noiseAt(moment) {
    const { sigma } = this.table;
    return sigma[Math.round(Math.min(1, (1 - moment) / (1 - TOKENS)) * (sigma.length - 1))] ** 2;
  }

  /** The index of the row's color; -1 before it is drawn. */
  color(moment, ahead = 0) {
    const { value, isDrawn } = this.cells(moment, ahead)[this.table.colored];
    return isDrawn ? value : -1;
  }
}

/** Rows differ, so that cells turn over one by one. */
const aheadOf = (row) => (row * 0.618034) % 1;

/** Writes cells of a row into a line of a table, from a column on. */
function showCells(line, /** @type {ReturnType<Story["cells"]>} */ cells, first = 0) {
  cells.forEach(({ text, isDrawn, isMoving }, c) =>
    Object.assign(line.cells[first + c], { textContent: text, className: isDrawn ? (isMoving ? "moving" : "") : "masked" }),
  );
}

/** Bars of the values of a column's token. */
function barsOf(/** @type {PageColumn} */ { nominal, has_missing: hasMissing }, /** @type {number[]} */ chances) {
  const names = [...(nominal ?? Array(chances.length - Number(hasMissing)).fill("a number")), ...(hasMissing ? ["missing"] : [])];
  return chances.map((chance, i) => {
    const percent = `${(100 * chance).toFixed(chance < 0.0995 ? 1 : 0)}\u00a0%`;
    const bar = element("i");
    // The name and the percentage take 150 pixels.
    bar.style.width = `calc(${chance} * (100% - 150px))`;
    return element("li", {}, element("span", {}, names[i]), bar, percent);
  });
}

/** Normal numbers, by the Box-Muller transform. */
const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());

class RowTable {
  /** Reads what the page holds. */
  static async read() {
    const content = JSON.parse(byId("table-content").textContent ?? "");
    const described = await withNumbers(content.columns, content.numbers);
    return new RowTable(content.model, described.map((column) => columnOf(column, content)), await textIn("table-worker"));
  }

  /**
   * @param {any} model
   * @param {PageColumn[]} columns
   * @param {string} source the workers' program
   */
  constructor(model, columns, source) {
    this.model = model;
    this.columns = columns;
    this.alpha = unpackNumbers(model.alpha, "float32");
    this.sigma = unpackNumbers(model.sigma, "float32");
    this.titles = columns.map(({ name }) => name.replaceAll("_", " ").replace(/ (mm|g)$/, ", $1"));
    const indexOf = (name) => columns.findIndex((column) => column.name === name);
    this.shown = SHOWN.map(indexOf);
    this.colored = indexOf(COLORED);
    this.home = indexOf(HOME);
    const [names, ...rows] = readCsv(byId("table-rows").textContent ?? "").map(({ cells }) => cells);
    /** The cells of the data; null for missing ones. */
    this.real = rows.map((cells) =>
      columns.map(({ name }) => (isMissing(cells[names.indexOf(name)]) ? null : cells[names.indexOf(name)])),
    );
    const whole = this.real.filter((cells) => this.shown.every((c) => cells[c] !== null));
    this.dataset = datasetOf(whole.map((cells) => this.shown.map((c) => Number(cells[c]))), SHOWN);
    // This one draws all tokens of a row at once, so that none knows of the others.
    const alone = { ...model, id: "alone", most_steps: 1, ranges: { ...model.ranges, points: FEW } };
    this.workers = new Workers(source, kernelText, [model, alone]);
  }

  /** A row of the data as the model has it, without some cells. */
  encoded(/** @type {(string | null)[]} */ cells, /** @type {number[]} */ covered = []) {
    const row = new Float32Array(this.model.width).fill(-1, 0, this.model.sizes.length).fill(NaN, this.model.sizes.length);
    this.columns.forEach((column, c) => {
      const cell = cells[c];
      if (!covered.includes(c)) column.tell(row, cell === null ? NaN : column.parse(cell));
    });
    return row;
  }

  /** The ways of all rows of the data, with noise in place of the model's: backwards, they are spoilt. */
  spoilt() {
    const [n, T] = [this.model.sizes.length, this.alpha.length - 1];
    return this.real.map((cells, r) => {
      const row = this.encoded(cells);
      const [x, noise] = [row.slice(n), row.slice(n).map(normal)];
      const scores = Array.from({ length: STEPS + 1 }, (_, i) => {
        const t = Math.round(T * (1 - i / STEPS));
        return x.map((value, k) => this.alpha[t] * value + this.sigma[t] * noise[k]);
      });
      const order = Array.from({ length: n }, (_, i) => (i + r) % n);
      return new Story(this, row, order, [], scores);
    });
  }

  /**
   * Draws rows.
   * @param {number} rows
   * @param {{seed?: number, firstRow?: number, id?: "model" | "alone", known?: Float32Array}} asked known: a row, as
   *   `encoded` makes it, whose cells all rows have
   */
  async draw(rows, { seed = 0, firstRow = 0, id = "model", known = undefined }) {
    await this.workers.load(id);
    const { workers } = this.workers;
    const { chunk, width } = this.model;
    const firsts = Array.from({ length: Math.ceil(rows / chunk) }, (_, i) => i * chunk);
    const parts = await Promise.all(
      firsts.map((first, i) => {
        const asked = { seed, firstRow: firstRow + first, rows: Math.min(chunk, rows - first), guidance: 0, isFilling: false, known };
        return this.workers.call(workers[i % workers.length], { type: "draw", id, isTold: true, ...asked });
      }),
    );
    const k = this.model.with_number.length;
    return parts.flatMap(({ drawn, told: { turns, states } }) =>
      Array.from(
        { length: drawn.length / width },
        (_, r) =>
          new Story(
            this,
            drawn.subarray(r * width, (r + 1) * width),
            turns.flatMap(({ wanted }) => wanted[r]),
            turns.flatMap(({ logits }) => logits[r].map(softmax)),
            states.map((x) => x.subarray(r * k, (r + 1) * k)),
          ),
      ),
    );
  }

  /** Whether no row of the data has the species and the island of some cells. */
  isImpossible(/** @type {(string | null)[]} */ cells) {
    return !this.real.some((known) => [this.colored, this.home].every((c) => known[c] === cells[c]));
  }
}

Object.assign(window.pointillist, { RowTable, aheadOf, barsOf, showCells });
