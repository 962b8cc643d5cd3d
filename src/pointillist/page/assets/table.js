"use strict";
/* Drawn rows as columns of the table, in its units, and as CSV. */

(() => {
  const { csvField: field } = window.pointillist;

  /** The standard normal distribution function: by a series in the middle, by a continued fraction in the tails. */
  function normalCdf(z) {
    const x = Math.abs(z) / Math.SQRT2;
    let tail;
    if (x < 3) {
      let [term, sum] = [x, x];
      for (let n = 1; term > 1e-17 * sum; n++) sum += term *= (2 * x * x) / (2 * n + 1);
      tail = 1 - (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
    } else {
      let fraction = 0;
      for (let n = 60; n > 0; n--) fraction = n / 2 / (x + fraction);
      tail = Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
    }
    return z < 0 ? tail / 2 : 1 - tail / 2;
  }

  /**
   * Its inverse, by Newton's method on the logarithm of the share.
   *
   * @param {number} share
   * @returns {number}
   */
  function normalQuantile(share) {
    if (share <= 0 || share >= 1) return share <= 0 ? -Infinity : Infinity;
    if (share > 0.5) return -normalQuantile(1 - share);
    let z = -Math.sqrt(-2 * Math.log(share)) + 0.3;
    for (let step = 0; step < 40; step++) {
      const found = normalCdf(z);
      const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
      const change = (Math.log(found / share) * found) / density;
      z -= change;
      if (Math.abs(change) < 1e-14) break;
    }
    return z;
  }

  /** To the nearest integer; of two, to the even one, as NumPy does. */
  function rounded(value) {
    const low = Math.floor(value);
    if (value - low !== 0.5) return Math.round(value);
    return low % 2 ? low + 1 : low;
  }

  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  /**
   * To the nearest number on a column's grid, (first + step k) / scale for all integers k; without a grid, the number.
   *
   * @param {Column} column
   * @param {number} value
   */
  function onGrid({ grid }, value) {
    if (!grid) return value;
    const [scale, first, step] = grid;
    return (first + step * rounded((value * scale - first) / step)) / scale;
  }

  /**
   * From a scaled value to the column's units.
   *
   * @param {Column} column
   * @returns {(value: number) => number}
   */
  function decoder(column) {
    if (column.place === undefined) return () => column.minimum;
    let inverse = (value) => value * column.unit + column.centre;
    const known = column.quantiles;
    if (known) {
      const last = known.length - 1;
      inverse = (value) => {
        const at = normalCdf(value) * last;
        const i = Math.min(last - 1, Math.floor(at));
        return known[i] + (at - i) * (known[i + 1] - known[i]);
      };
    }
    const low = column.is_end[0] ? column.minimum : -Infinity;
    const high = column.is_end[1] ? column.maximum : Infinity;
    return (value) => onGrid(column, clamp(inverse(value), low, high));
  }

  /** The nearest number of half precision. */
  function half(value) {
    if (!value) return value;
    const step = 2 ** (Math.max(-14, Math.floor(Math.log2(Math.abs(value)))) - 10);
    return rounded(value / step) * step;
  }

  /** @type {Record<string, [round: (value: number) => number, digits: number]>} */
  const TYPES = { float16: [half, 3], float32: [Math.fround, 6] };

  /** A number in the fewest digits that its type needs. */
  function shortest(value, type) {
    if (!(type in TYPES)) return String(value);
    const [round, digits] = TYPES[type];
    const own = round(value);
    for (let n = digits; n < 10; n++) {
      const short = Number(own.toPrecision(n));
      if (round(short) === own) return String(short);
    }
    return String(own);
  }

  /**
   * How a cell of a column is written.
   *
   * @param {Column} column
   * @param {(string | number | boolean)[]} labels
   * @returns {(value: number) => string}
   */
  function writer(column, labels) {
    if (column.is_label) return (value) => String(labels[value]);
    if (column.type === "bool") return (value) => String(value !== 0);
    return (value) => shortest(value, column.type);
  }

  const shares = (counts) => {
    const all = counts.reduce((a, b) => a + b, 0);
    return counts.map((n) => n / all);
  };

  /** Share of the training rows up to a value, by the quantiles of their column. */
  function shareBelow(known, value) {
    const last = known.length - 1;
    if (value <= known[0]) return 0;
    if (value >= known[last]) return 1;
    let [low, high] = [0, last];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (known[middle] <= value) low = middle;
      else high = middle;
    }
    return (low + (value - known[low]) / (known[high] - known[low])) / last;
  }

  const ROWS_AT_ONCE = 5000;

  /**
   * Rows of numbers.
   *
   * @implements {DrawnTable}
   */
  class Table {
    /**
     * @param {{columns: Column[], classes: PageContent["classes"]}} content
     * @param {number} rows
     * @param {Pick<Asked, "given" | "gaps" | "ranges">} asked
     */
    constructor({ columns, classes }, rows, { given = [], gaps, ranges = [] } = {}) {
      const { labels, counts } = classes ?? { labels: [], counts: [] };
      this.rows = rows;
      this.given = new Map(given);
      this.gaps = gaps;
      /** @type {Map<number | undefined, [number, number]>} by place */
      this.ends = new Map(ranges.map(({ place, ends }) => [place, ends]));
      /** @type {number | undefined} */
      this.effective = undefined;
      /** @type {DrawnColumn[]} */
      this.columns = columns.map((column) => ({
        ...column,
        values: new Float64Array(rows),
        nominal: column.is_label ? labels.map(String) : null,
        isWhole: column.is_whole,
        decode: decoder(column),
        write: writer(column, labels),
      }));
      for (const column of this.columns) {
        const known = column.quantiles;
        if (column.is_label) column.shares = shares(counts);
        else if (known && column.place !== undefined) column.below = (value) => shareBelow(known, value);
      }
      this.width = columns.filter((column) => column.place !== undefined).length;
    }

    /** Columns in the order of a file. */
    get order() {
      return this.gaps?.places ?? this.columns.map((_, c) => c);
    }

    /** Whether a cell was there before. */
    isGiven(row, column) {
      return this.gaps ? this.gaps.texts[row][column] !== null : false;
    }

    /** The value of a cell, if that was there before; else undefined. */
    known(row, column, place) {
      if (!this.gaps) return this.given.get(place);
      return this.isGiven(row, column) ? this.gaps.values[row][column] : undefined;
    }

    /** Puts scaled rows in their place. */
    fill(first, drawn, labels) {
      const rows = drawn.length / this.width;
      this.columns.forEach(({ values, decode, place, is_label }, c) => {
        const [low, high] = this.ends.get(place) ?? [-Infinity, Infinity];
        for (let r = 0; r < rows; r++) {
          values[first + r] = is_label
            ? labels[r]
            : this.known(first + r, c, place) ?? clamp(decode(drawn[r * this.width + (place ?? 0)]), low, high);
        }
      });
    }

    text(column, row) {
      return this.gaps?.texts[row][column] ?? this.columns[column].write(this.columns[column].values[row]);
    }

    /** A cell of a file; a missing one is empty, or as it was, but in a single column no line is. */
    #cell(column, row) {
      const value = this.isGiven(row, column) ? this.gaps?.values[row][column] : this.columns[column].values[row];
      const text = this.text(column, row);
      if (!Number.isNaN(value)) return field(text);
      return text || this.order.length > 1 ? text : "NA";
    }

    /** The table as a file; the page can answer while it is written. */
    async csv() {
      const { order } = this;
      const parts = [`${order.map((c) => field(this.columns[c].name)).join(",")}\n`];
      for (let first = 0; first < this.rows; first += ROWS_AT_ONCE) {
        const rows = Math.min(ROWS_AT_ONCE, this.rows - first);
        const line = (_, r) => order.map((c) => this.#cell(c, first + r)).join(",");
        parts.push(`${Array.from({ length: rows }, line).join("\n")}\n`);
        await new Promise((resume) => setTimeout(resume));
      }
      return new Blob(parts, { type: "text/csv" });
    }
  }

  Object.assign(window.pointillist, { Table, normalCdf, normalQuantile, rounded, clamp, onGrid, shortest });
})();
