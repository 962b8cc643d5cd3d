/* Drawn rows, or rows whose gaps are filled, as columns of the table, in its units, and as CSV. */

const { clamp, csvField: field, restoreRules } = window.pointillist;
const ROWS_AT_ONCE = 5000;

/** @implements {DrawnTable} */
class Table {
  /**
   * @param {PageContent} content
   * @param {number} rows
   * @param {Pick<Asked, "given" | "gaps" | "ranges" | "conditions">} asked
   */
  constructor(content, rows, { given = [], gaps, ranges = [], conditions = [] } = {}) {
    const { columns, model, rules = [], rule_texts: texts } = content;
    this.rows = rows;
    this.width = model.width;
    this.given = new Map(given);
    this.gaps = gaps;
    this.rules = rules;
    this.texts = texts;
    /** @type {number | undefined} */
    this.effective = undefined;
    // A condition without ends, such as that no cell is missing, leaves numbers free to obey rules.
    const limited = [...ranges.map(({ place, ...own }) => ({ token: place, ...own })), ...conditions].filter(({ ends }) =>
      ends.some(Number.isFinite),
    );
    /** @type {Map<number | undefined, [number, number]>} */
    this.ends = new Map(limited.map(({ token, ends }) => [token, ends]));
    const inSets = conditions.filter(({ is_set: isSet, ends }) => isSet && ends.some(Number.isFinite));
    const fixed = new Set([...this.given.keys(), ...inSets.map(({ token }) => token)]);
    const indices = new Map(columns.map(({ slot }, c) => [slot, c]));
    this.isStrict = !gaps && (given.length > 0 || limited.length > 0);
    this.isFixed = (row, slot) => (gaps ? this.isGiven(row, indices.get(slot)) : fixed.has(slot));
    /** @type {DrawnColumn[]} */
    this.columns = columns.map((column) => ({
      ...column,
      values: new Float64Array(rows),
      bounds: fixed.has(column.slot) ? undefined : this.ends.get(column.slot),
    }));
    /** @type {DrawnColumn[]} */
    this.byToken = [];
    for (const column of this.columns) this.byToken[column.slot] = column;
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
  known(row, column, slot) {
    if (!this.gaps) return this.given.get(slot);
    return this.isGiven(row, column) ? this.gaps.values[row][column] : undefined;
  }

  /** Puts what a model has drawn in its place. */
  fill(first, drawn, labels) {
    const rows = drawn.length / this.width;
    this.columns.forEach(({ values, decode, slot, kind }, c) => {
      const [low, high] = this.ends.get(slot) ?? [-Infinity, Infinity];
      for (let r = 0; r < rows; r++) {
        // Classes beside a row are shown to the model, not drawn.
        const known = kind === "label" ? undefined : this.known(first + r, c, slot);
        values[first + r] = known ?? clamp(decode(drawn, r * this.width, labels?.[r]), low, high);
      }
    });
    if (!this.rules.length) return;
    const [broken] = restoreRules(this.rules, this.byToken, first, rows, this.isFixed, this.isStrict);
    if (!broken) return;
    const text = this.texts[this.rules.indexOf(broken)];
    throw new Error(`these conditions contradict the rule ${text}: change one of them`);
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

Object.assign(window.pointillist, { Table });
