/* Reads a table from CSV, encodes its rows as numbers, and makes data sets of rows. */

const { isMissing, readCsv } = window.pointillist;

const [MOST_COLUMNS, MOST_ROWS, LEAST_ROWS] = [8, 2000, 30];
/** Most words of a column, and most different numbers that are taken for words. */
const [MOST_WORDS, FEW] = [20, 6];
/** Root mean square of a scaled column, similar to the study's data sets. */
const SPREAD = 0.5;
/** Distance between a word's number and that of others: well above a number's, so that the largest one tells the word. */
const APART = 1;
/** Fewest rows to learn from: small tables are repeated, with other digits after the last ones. */
const LEARNED = 4000;

/** Mean and standard deviation, 1 for constants. */
function momentsOf(/** @type {number[]} */ values) {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return [mean, Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length) || 1];
}

/** A column of words, each with a number that is large if the cell has this word; a missing cell is one more word. */
class Words {
  constructor(/** @type {(string | null)[]} */ cells) {
    this.words = [...new Set(cells)].sort((a, b) => Number(a === null) - Number(b === null) || (String(a) < String(b) ? -1 : 1));
    this.shares = this.words.map((word) => cells.filter((cell) => cell === word).length / cells.length);
    this.width = this.words.length;
  }

  /** A direction in which the words of a picture lie side by side. */
  get direction() {
    const most = Math.max(1, this.width - 1);
    return this.words.map((_, k) => (2 * SPREAD * k) / most);
  }

  encode(cell) {
    return this.words.map((word, k) => APART * (Number(word === cell) - this.shares[k]));
  }

  decode(x, at) {
    const sizes = this.shares.map((share, k) => x[at + k] / APART + share);
    return this.words[sizes.indexOf(Math.max(...sizes))];
  }
}

/** A column of numbers, with a second number that tells whether the cell is missing, if some are. */
class Numbers {
  constructor(/** @type {(string | null)[]} */ cells) {
    const known = cells.filter((cell) => cell !== null);
    this.values = known.map(Number);
    this.digits = Math.max(...known.map((text) => (/e/i.test(text) ? 9 : (text.split(".")[1]?.length ?? 0))));
    const [mean, spread] = momentsOf(this.values);
    this.centre = mean;
    this.unit = spread / SPREAD;
    this.low = Math.min(...this.values);
    this.high = Math.max(...this.values);
    const all = [...new Set(this.values)];
    /** The column's numbers, if they repeat: then others, between them, would be odd. */
    this.usual = 2 * all.length <= known.length ? all : null;
    this.missing = 1 - known.length / cells.length;
    this.width = this.missing ? 2 : 1;
  }

  get direction() {
    return this.width > 1 ? [1, 0] : [1];
  }

  /** With random numbers, a missing cell has any of the column's, and others get digits after their last. */
  encode(cell, missing, /** @type {(() => number) | undefined} */ uniform) {
    const any = uniform ? this.values[Math.floor(uniform() * this.values.length)] : this.centre + missing;
    const value = (cell === null ? any : Number(cell)) + (uniform ? (uniform() - 0.5) * 10 ** -this.digits : 0);
    const told = this.missing ? [APART * (Number(cell === null) - this.missing)] : [];
    return [(value - this.centre) / this.unit, ...told];
  }

  decode(x, at) {
    if (this.missing && x[at + 1] / APART + this.missing > 0.5) return null;
    const value = Math.max(this.low, Math.min(this.high, x[at] * this.unit + this.centre));
    const nearest = this.usual?.reduce((best, each) => (Math.abs(each - value) < Math.abs(best - value) ? each : best));
    return String(nearest ?? Number(value.toFixed(this.digits)));
  }
}

/** The columns of a table of numbers and words. */
class Codec {
  /** @param {string[]} names @param {(string | null)[][]} cells row by row; null for a missing one */
  constructor(names, cells) {
    this.names = names;
    this.cells = cells;
    this.columns = names.map((name, c) => {
      const own = cells.map((row) => row[c]);
      const known = [...new Set(own)].filter((cell) => cell !== null);
      const odd = known.find((cell) => !Number.isFinite(Number(cell)));
      if (known.length > FEW && odd === undefined) return new Numbers(own);
      if (known.length <= MOST_WORDS) return new Words(own);
      const what = `${known.length.toLocaleString("en")} different words (such as ${odd?.slice(0, 20)})`;
      throw new Error(`${name} has ${what}; at most ${MOST_WORDS} can be learned here.`);
    });
    let width = 0;
    this.starts = this.columns.map((column) => (width += column.width) - column.width);
    this.width = width;
  }

  /** Rows as numbers, row by row; `missing` is 0, or NaN for rows of a picture, which leaves these out. */
  encode(cells, missing = 0, /** @type {(() => number) | undefined} */ uniform = undefined) {
    return Float32Array.from(cells.flatMap((row) => row.flatMap((cell, c) => this.columns[c].encode(cell, missing, uniform))));
  }

  /** Rows as cells. */
  decode(/** @type {ArrayLike<number>} */ x) {
    return Array.from({ length: x.length / this.width }, (_, r) =>
      this.columns.map((column, c) => column.decode(x, r * this.width + this.starts[c])),
    );
  }

  /** Rows to learn from. */
  learned(/** @type {(string | null)[][]} */ cells) {
    const uniform = randomNumbers();
    const times = Math.ceil(LEARNED / cells.length);
    return Float32Array.from(Array.from({ length: times }, () => [...this.encode(cells, 0, uniform)]).flat());
  }

  /** The rows' words in the first column of words, which colors them: -1 for a missing one; null without such a column. */
  colors(cells) {
    const c = this.columns.findIndex((column) => column instanceof Words);
    const { words = [] } = /** @type {Words} */ (this.columns[c] ?? {});
    return c < 0 ? null : cells.map((row) => (row[c] === null ? -1 : words.indexOf(row[c])));
  }

  /** The data set of the table. A picture shows its numbers, all of three, and words if there are fewer than two. */
  get dataset() {
    const all = this.columns.map((column, c) => ({ column, c }));
    const [numbers, words] = [true, false].map((wanted) => all.filter(({ column }) => column instanceof Numbers === wanted));
    const axes = [...numbers, ...words].slice(0, numbers.length === 3 && this.width === 3 ? 3 : 2);
    const along = axes.map(({ column, c }) => {
      const direction = Array(this.width).fill(0);
      direction.splice(this.starts[c], column.width, ...column.direction);
      return direction;
    });
    const { names } = this;
    const made = { names, centre: [], unit: [], ...pictureOf(this.encode(this.cells, NaN), axes.map(({ c }) => names[c]), along) };
    codecs.set(made, this);
    return made;
  }
}

/** Numbers in [0, 1), the same in every training (Park & Miller 1988). */
function randomNumbers() {
  let state = 1;
  return () => (state = (state * 16807) % 2147483647) / 2147483647;
}

/**
 * The codecs of data sets that are tables from files.
 * @type {WeakMap<StudyDataset, Codec>}
 */
const codecs = new WeakMap();

/** The rows as the cells of the data set's table can be, for a picture (NaN) or a test (0). */
function asCells(/** @type {StudyDataset} */ dataset, x, missing) {
  const codec = codecs.get(dataset);
  return codec ? codec.encode(codec.decode(x), missing) : x;
}

/**
 * Reads a table from CSV, with or without a line of names.
 * @throws {Error} in one line, for an invalid or too large file
 */
function readTable(text) {
  const table = readCsv(text).map(({ cells, line }) => ({
    cells: cells.map((cell) => (isMissing(cell) ? null : cell.trim())),
    line,
  }));
  if (!table.length) throw new Error("The file is empty.");
  const [first] = table;
  const hasNames = first.cells.every((cell) => cell === null || Number.isNaN(Number(cell)));
  const names = first.cells.map((cell, i) => (hasNames && cell) || `column ${i + 1}`);
  const rows = table.slice(hasNames ? 1 : 0);
  const odd = rows.find(({ cells }) => cells.length !== names.length);
  if (odd) throw new Error(`Line ${odd.line} has ${odd.cells.length} cells instead of ${names.length}.`);
  if (names.length < 2) throw new Error("The file has 1 column; it takes two or more.");
  for (const [n, what, most] of /** @type {const} */ ([
    [names.length, "columns", MOST_COLUMNS],
    [rows.length, "rows", MOST_ROWS],
  ])) {
    const [found, limit] = [n, most].map((each) => each.toLocaleString("en"));
    if (n > most) throw new Error(`The file has ${found} ${what}; at most ${limit} can be learned here.`);
  }
  if (rows.length < LEAST_ROWS) throw new Error(`The file has ${rows.length} rows; it takes ${LEAST_ROWS} or more.`);
  return new Codec(names, rows.map(({ cells }) => cells));
}

/**
 * Makes a scaled data set of rows of numbers.
 * @param {number[][]} rows
 * @param {string[]} names
 * @param {{together?: boolean}} options together: whether all columns share a unit
 */
function datasetOf(rows, names, { together = false } = {}) {
  const moments = names.map((_, c) => momentsOf(rows.map((row) => row[c])));
  const centre = moments.map(([mean]) => mean);
  const widest = Math.max(...moments.map(([, spread]) => spread));
  const unit = moments.map(([, spread]) => (together ? widest : spread) / SPREAD);
  const real = Float32Array.from(rows.flatMap((row) => row.map((value, c) => (value - centre[c]) / unit[c])));
  return { names, centre, unit, ...pictureOf(real, names) };
}

/** Properties for a picture of rows; its axes are directions in them. */
function pictureOf(real, axes, directions = axes.map((_, c) => axes.map((__, k) => Number(c === k)))) {
  const d = directions[0].length;
  const rows = Array.from({ length: real.length / d }, (_, r) => real.subarray(r * d, (r + 1) * d));
  const ends = directions.map((direction) => {
    const shown = rows.map((row) => row.reduce((sum, value, k) => sum + (direction[k] && value * direction[k]), 0));
    const known = shown.filter((value) => !Number.isNaN(value));
    return [Math.min(...known), Math.max(...known)];
  });
  const reach = ends.map(([low, high]) => Math.max(-low, high));
  return {
    real,
    labels: null,
    class_sizes: [rows.length],
    axes,
    origin: Array(d).fill(0),
    directions,
    box: [ends.map(([low]) => low), ends.map(([, high]) => high)],
    extent: axes.length === 3 ? Math.hypot(...reach) : Math.max(...reach),
  };
}

Object.assign(window.pointillist, { asCells, codecs, datasetOf, readTable });
