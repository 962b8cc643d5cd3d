/* Drawn rows, or imputed rows, as columns in the units of the table, and as CSV. */

const { clamp, csvField: field, restoreRules } = window.pointillist;
const ROWS_AT_ONCE = 5000;

/** @implements {DrawnTable} */
class Table {
  /**
   * @param {PageContent} content
   * @param {number} rows
   * @param {Pick<Asked, "given" | "incomplete" | "ranges" | "conditions">} asked
   */
  constructor(content, rows, { given = [], incomplete, ranges = [], conditions = [] } = {}) {
    const { columns, model, rules = [], rule_texts: texts } = content;
    this.rows = rows;
    this.width = model.width;
    this.given = new Map(given);
    this.incomplete = incomplete;
    this.rules = rules;
    this.texts = texts;
    /** @type {number | undefined} */
    this.effective = undefined;
    // A condition without ends (no cell is missing) leaves numbers free to obey rules.
    const limited = [...ranges.map(({ index, ...range }) => ({ token: index, ...range })), ...conditions].filter(({ ends }) =>
      ends.some(Number.isFinite),
    );
    /** @type {Map<number | undefined, [number, number]>} */
    this.ends = new Map(limited.map(({ token, ends }) => [token, ends]));
    const inSets = conditions.filter(({ is_set: isSet, ends }) => isSet && ends.some(Number.isFinite));
    const fixed = new Set([...this.given.keys(), ...inSets.map(({ token }) => token)]);
    const indices = new Map(columns.map(({ slot }, c) => [slot, c]));
    this.isStrict = !incomplete && (given.length > 0 || limited.length > 0);
    this.isFixed = (row, slot) => (incomplete ? this.isGiven(row, indices.get(slot)) : fixed.has(slot));
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
    return this.incomplete?.order ?? this.columns.map((_, c) => c);
  }

  /** Whether a cell was present in the incomplete table. */
  isGiven(row, column) {
    return this.incomplete ? this.incomplete.texts[row][column] !== null : false;
  }

  /** The observed value of a cell; undefined if it is drawn. */
  known(row, column, slot) {
    if (!this.incomplete) return this.given.get(slot);
    return this.isGiven(row, column) ? this.incomplete.values[row][column] : undefined;
  }

  /** Decodes drawn rows into the columns, from row `first` on. */
  fill(first, drawn, labels) {
    const rows = drawn.length / this.width;
    this.columns.forEach(({ values, decode, slot, kind }, c) => {
      const [low, high] = this.ends.get(slot) ?? [-Infinity, Infinity];
      for (let r = 0; r < rows; r++) {
        // Labels outside the table condition the model and are not drawn.
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
    return this.incomplete?.texts[row][column] ?? this.columns[column].write(this.columns[column].values[row]);
  }

  /** A cell as CSV. A missing cell is empty or unchanged; in a table of one column it is NA, because empty lines are skipped. */
  #cell(column, row) {
    const value = this.isGiven(row, column) ? this.incomplete?.values[row][column] : this.columns[column].values[row];
    const text = this.text(column, row);
    if (!Number.isNaN(value)) return field(text);
    return text || this.order.length > 1 ? text : "NA";
  }

  /** The table as a CSV file; the page stays responsive meanwhile. */
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
