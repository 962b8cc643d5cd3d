"use strict";
/* Conditions on cells: what a form asks for, and what it allows of tokens, in pieces. */

(() => {
  const { normalCdf, normalQuantile, byId, clamp, element, mixed, parser } = window.pointillist;
  const { endWriter, fewValues, nothing, rangesOf } = window.pointillist;

  /** Columns of tokens, and numbers that vary. */
  const canBeAsked = (column) => column.token !== undefined || column.place !== undefined;

  /**
   * What a condition allows of a column.
   *
   * @param {Column} column
   * @param {{values?: number[], low?: number, high?: number}} asked values: those of a set, NaN for a missing cell; without
   *   ends, all that are not missing
   * @returns {Condition}
   * @throws {Error} that says in one line that nothing is allowed
   */
  function conditionOf(column, { values, low = -Infinity, high = Infinity }) {
    const { token, atoms } = column;
    /** @type {Condition["pieces"]} */
    const pieces = [];
    if (values) {
      const of = (value) => (column.categories ? value : atoms.indexOf(value));
      for (const value of values) pieces.push([Number.isNaN(value) ? column.n_values : of(value), 1, 0, 1]);
      const numbers = values.filter((value) => !Number.isNaN(value));
      /** @type {[number, number]} */
      const ends = numbers.length ? [Math.min(...numbers), Math.max(...numbers)] : [low, high];
      return { token, pieces, ends, is_set: true };
    }
    [low, high] = [mixed.bounded(column, low, 1), mixed.bounded(column, high, -1)];
    atoms.forEach((atom, i) => atom >= low && atom <= high && pieces.push([i, 1, 0, 1]));
    /** @type {Condition["ranges"]} */
    let ranges;
    if (column.scores) {
      const scores = new mixed.Scores(column.scores);
      let span = spanOf(scores, low, high, mixed.unitOf(column));
      if (span && !scores.hasIntervals && (span[0] > 0 || span[1] < 1)) {
        ranges = [[Math.fround(normalQuantile(span[0])), Math.fround(normalQuantile(span[1]))]];
        span = [0, 1];
      }
      for (let i = 0; span && i < scores.edges.length - 1; i++) {
        const [first, last] = [scores.edges[i], scores.edges[i + 1]];
        const [begin, end] = span.map((share) => clamp((share - first) / (last - first), 0, 1));
        if (end > begin) pieces.push([atoms.length + i, end - begin, begin, end]);
      }
    }
    if (!pieces.length) throw nothing(column);
    return { token, pieces, ranges, ends: [low, high] };
  }

  /**
   * Whether every row meets a condition.
   *
   * @param {Column} column
   * @param {Condition} condition
   */
  function isMetByAll({ n_values: values, has_missing: hasMissing }, { pieces, ranges }) {
    const isWhole = pieces.every(([, , low, high]) => high - low === 1);
    return !ranges && isWhole && pieces.length === values + Number(hasMissing);
  }

  /** Shares of the rows below the lowest and up to the highest number of a range; null if there are none. */
  function spanOf(scores, low, high, unit) {
    const { points, levels } = scores;
    if (scores.isDiscrete) {
      const inside = [...points.keys()].filter((i) => points[i] >= low && points[i] <= high);
      return inside.length ? [levels[inside[0]], levels[inside.at(-1) + 1]] : null;
    }
    [low, high] = [low - 0.499 * unit, high + 0.499 * unit];
    const last = points[points.length - 1];
    if (high < points[0] || low > last) return null;
    const share = (value, beyond) => (beyond === null ? normalCdf(scores.scoreOf(value)) : beyond);
    const span = [share(low, low <= points[0] ? 0 : null), share(high, high >= last ? 1 : null)];
    return span[0] < span[1] ? span : null;
  }

  function checkbox(text, value = "") {
    const input = element("input", { type: "checkbox", value });
    return { input, label: element("label", {}, input, text) };
  }

  /** @param {ReturnType<typeof checkbox>[]} boxes */
  const valuesOf = (...boxes) => element("div", { className: "values" }, ...boxes.map(({ label }) => label));

  /** The conditions of a form. */
  class Conditions {
    /** @type {{column: Column, read: () => Parameters<typeof conditionOf>[1] | null, box: HTMLElement}[]} */
    #rows = [];

    /** @param {Pick<PageContent, "columns" | "model">} content */
    constructor({ columns, model }) {
      const some = columns.filter(canBeAsked);
      this.model = model;
      this.count = some.length;
      const select = byId("condition-column");
      select.append(...some.map((column, i) => new Option(column.name, String(i))));
      byId("condition-add").addEventListener("click", () => this.#add(some[Number(select.value)]));
    }

    #add(column) {
      const known = this.#rows.find((row) => row.column === column);
      if (known) return known.box.querySelector("input").focus();
      const remove = element("button", { type: "button", textContent: "Remove" });
      const choices = fewValues(column);
      const { fields, read } = choices ? this.#set(choices) : this.#range(column);
      const box = element("fieldset", {}, element("legend", {}, column.name), ...fields, remove);
      const row = { column, read, box };
      remove.addEventListener("click", () => {
        this.#rows = this.#rows.filter((each) => each !== row);
        box.remove();
        byId("condition-column").focus();
      });
      this.#rows.push(row);
      byId("conditions").append(box);
      box.querySelector("input").focus();
    }

    /** @param {[value: number, text: string][]} choices */
    #set(choices) {
      const boxes = choices.map(([value, text]) => checkbox(text, String(value)));
      const read = () => {
        const values = boxes.filter(({ input }) => input.checked).map(({ input }) => Number(input.value));
        return values.length && values.length < boxes.length ? { values } : null;
      };
      return { fields: [valuesOf(...boxes)], read };
    }

    #range(column) {
      const write = endWriter(column);
      const field = (text, end) => {
        const input = element("input", { type: "text", placeholder: write(end), autocomplete: "off" });
        return { input, label: element("label", {}, text, input) };
      };
      const [from, to] = [field("from", column.minimum), field("to", column.maximum)];
      const kind = column.kind === "whole" || column.kind === "decimal" ? "number" : column.kind;
      const parse = parser({ ...column, kind });
      const end = ({ input }) => {
        if (!input.value.trim()) return undefined;
        try {
          return parse(input.value);
        } catch (error) {
          throw new Error(`${column.name}: ${error.message}`);
        }
      };
      const present = column.has_missing ? checkbox("not missing") : null;
      const read = () => {
        const [low, high] = [end(from), end(to)];
        if (low > high) throw new Error(`${column.name}: from ${from.input.value} to ${to.input.value} is empty`);
        return low === undefined && high === undefined && !present?.input.checked ? null : { low, high };
      };
      return { fields: [from.label, to.label, ...(present ? [valuesOf(present)] : [])], read };
    }

    /**
     * What is asked, without conditions that every row meets. A single category is given.
     *
     * @param {[number, number][]} given tokens or places that have a value
     * @returns {Pick<Asked, "given" | "conditions" | "ranges">}
     * @throws {Error} that says in one line what is wrong
     */
    asked(given) {
      const { kind, bounds } = this.model;
      /** @type {{given: [number, number][], conditions: Condition[], ranges: InRanges[]}} */
      const found = { given: [...given], conditions: [], ranges: [] };
      for (const { column, read } of this.#rows) {
        const own = read();
        if (!own) continue;
        if (given.some(([place]) => place === (kind === "mixed" ? column.token : column.place))) {
          throw new Error(`${column.name} has a value and a condition: leave one of them out`);
        }
        if (kind !== "mixed") found.ranges.push(rangesOf(column, own, bounds));
        else if (own.values?.length === 1) found.given.push([column.token, own.values[0]]);
        else {
          const condition = conditionOf(column, own);
          if (!isMetByAll(column, condition)) found.conditions.push(condition);
        }
      }
      return found;
    }
  }

  Object.assign(window.pointillist, { Conditions, conditionOf });
})();
