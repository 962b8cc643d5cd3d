"use strict";
/* Drawn rows of mixed columns, or rows whose gaps are filled, as a table. */

(() => {
  const { Table, clamp, mixed, restoreRules } = window.pointillist;

  /** Rows of mixed columns. */
  class MixedTable extends Table {
    /**
     * @param {PageContent} content
     * @param {number} rows
     * @param {Pick<Asked, "given" | "gaps" | "conditions">} asked
     */
    constructor({ columns, model, rules, rule_texts: texts }, rows, { given = [], gaps, conditions = [] }) {
      super({ columns: [], classes: null }, rows, { given, gaps });
      this.rules = rules;
      this.texts = texts;
      // A condition without ends, such as that no cell is missing, leaves numbers free to obey rules.
      const limited = conditions.filter(({ ends }) => ends.some(Number.isFinite));
      this.ends = new Map(limited.map(({ token, ends }) => [token, ends]));
      const inSets = limited.filter(({ is_set: isSet }) => isSet);
      const fixed = new Set([...given, ...inSets.map(({ token }) => [token])].map(([token]) => token));
      this.isStrict = !gaps && (given.length > 0 || limited.length > 0);
      const places = new Map(columns.map(({ token }, c) => [token, c]));
      this.isFixed = (row, token) => (gaps ? this.isGiven(row, places.get(token)) : fixed.has(token));
      this.width = model.width;
      this.columns = columns.map((each) => {
        const column = {
          ...each,
          values: new Float64Array(rows),
          bounds: fixed.has(each.token) ? undefined : this.ends.get(each.token),
          nominal: each.categories?.map(String) ?? null,
          isWhole: each.kind === "whole",
        };
        const decode = mixed.decoder(column);
        return Object.assign(column, mixed.known(column), { decode, write: mixed.writer(column) });
      });
      /** @type {DrawnColumn[]} */
      this.byToken = [];
      for (const column of this.columns) this.byToken[column.token] = column;
    }

    /** @override */
    fill(first, drawn) {
      const rows = drawn.length / this.width;
      this.columns.forEach(({ values, decode, token, score }, c) => {
        const [low, high] = this.ends.get(token) ?? [-Infinity, Infinity];
        for (let r = 0; r < rows; r++) {
          const start = r * this.width;
          values[first + r] =
            this.known(first + r, c, token) ??
            clamp(decode(drawn[start + token], score === null ? 0 : drawn[start + score]), low, high);
        }
      });
      const [broken] = restoreRules(this.rules, this.byToken, first, rows, this.isFixed, this.isStrict);
      if (broken) {
        const text = this.texts[this.rules.indexOf(broken)];
        throw new Error(`these conditions contradict the rule ${text}: change one of them`);
      }
    }
  }

  Object.assign(window.pointillist, { MixedTable });
})();
