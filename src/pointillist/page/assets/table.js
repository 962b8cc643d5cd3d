"use strict";
/* Drawn rows as columns of the table, in its units, and as CSV. */

(() => {
  const { unpackNumbers } = window.pointillist;

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

  /** To the nearest integer; of two, to the even one, as NumPy does. */
  function rounded(value) {
    const low = Math.floor(value);
    if (value - low !== 0.5) return Math.round(value);
    return low % 2 ? low + 1 : low;
  }

  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  /** From a scaled value to the column's units. */
  function decoder(column) {
    if (column.place === undefined) return () => column.minimum;
    let inverse = (value) => value * column.unit + column.centre;
    if (column.quantiles) {
      column.known = unpackNumbers(column.quantiles, "float64");
      const last = column.known.length - 1;
      inverse = (value) => {
        const at = normalCdf(value) * last;
        const i = Math.min(last - 1, Math.floor(at));
        return column.known[i] + (at - i) * (column.known[i + 1] - column.known[i]);
      };
    }
    if (!column.is_whole) return inverse;
    return (value) => clamp(rounded(inverse(value)), column.minimum, column.maximum);
  }

  /** The nearest number of half precision. */
  function half(value) {
    if (!value) return value;
    const step = 2 ** (Math.max(-14, Math.floor(Math.log2(Math.abs(value)))) - 10);
    return rounded(value / step) * step;
  }

  /** A number in the fewest digits that its type needs. */
  function shortest(value, round, digits) {
    const own = round(value);
    for (let n = digits; n < 10; n++) {
      const short = Number(own.toPrecision(n));
      if (round(short) === own) return String(short);
    }
    return String(own);
  }

  /** How a cell of a column is written. */
  function writer(column, labels) {
    if (column.is_label) return (value) => String(labels[value]);
    switch (column.type) {
      case "bool":
        return (value) => String(value !== 0);
      case "float16":
        return (value) => shortest(value, half, 3);
      case "float32":
        return (value) => shortest(value, Math.fround, 6);
      default:
        return (value) => String(value);
    }
  }

  /** A field of CSV. */
  const field = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  const ROWS_AT_ONCE = 5000;

  class Table {
    /**
     * @param {object[]} columns as the page holds them
     * @param {any[]} labels the classes
     * @param {number} rows
     */
    constructor(columns, labels, rows) {
      this.rows = rows;
      this.columns = columns.map((column) => ({
        ...column,
        values: new Float64Array(rows),
        decode: decoder(column),
        write: writer(column, labels),
      }));
      this.width = columns.filter((column) => column.place !== undefined).length;
    }

    /** Puts scaled rows in their place. */
    fill(first, drawn, labels) {
      const rows = drawn.length / this.width;
      for (const { values, decode, place, is_label } of this.columns) {
        for (let r = 0; r < rows; r++) {
          values[first + r] = is_label ? labels[r] : decode(drawn[r * this.width + place]);
        }
      }
    }

    text(column, row) {
      return this.columns[column].write(this.columns[column].values[row]);
    }

    /** The table as a file; the page can answer while it is written. */
    async csv() {
      const parts = [`${this.columns.map(({ name }) => field(name)).join(",")}\n`];
      for (let first = 0; first < this.rows; first += ROWS_AT_ONCE) {
        const rows = Math.min(ROWS_AT_ONCE, this.rows - first);
        const line = (_, r) => this.columns.map((_, c) => field(this.text(c, first + r))).join(",");
        parts.push(`${Array.from({ length: rows }, line).join("\n")}\n`);
        await new Promise((resume) => setTimeout(resume));
      }
      return new Blob(parts, { type: "text/csv" });
    }
  }

  window.pointillist.Table = Table;
})();
