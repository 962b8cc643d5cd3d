"use strict";
/* Cells of tables of mixed columns: from tokens and scores to values, and to text. */

(() => {
  const { normalCdf, normalQuantile, rounded, clamp, shortest } = window.pointillist;

  /** The last place in increasing values that is not above one; -1 if there is none. */
  function placeOf(values, value) {
    let [low, high] = [-1, values.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (values[middle] <= value) low = middle;
      else high = middle;
    }
    return low;
  }

  /** Linear between points, constant beyond them. */
  function interpolated(x, xs, ys) {
    const i = placeOf(xs, x);
    if (i < 0) return ys[0];
    if (i >= xs.length - 1) return ys[ys.length - 1];
    return ys[i] + ((x - xs[i]) / (xs[i + 1] - xs[i])) * (ys[i + 1] - ys[i]);
  }

  /** Normal scores of a column's numbers. */
  class Scores {
    /** @param {ScoresContent} content */
    constructor({ points, levels, edges, is_discrete, has_intervals }) {
      this.points = points;
      this.levels = levels;
      this.edges = edges;
      this.isDiscrete = is_discrete;
      this.hasIntervals = has_intervals;
    }

    /** The number with a share of the rows below it. */
    ofShare(share) {
      if (!this.isDiscrete) return interpolated(normalQuantile(share), this.levels, this.points);
      return this.points[placeOf(this.levels.subarray(1, -1), share) + 1];
    }

    ofScore(score) {
      return this.isDiscrete ? this.ofShare(normalCdf(score)) : interpolated(score, this.levels, this.points);
    }

    /** The number at a place in an interval. */
    within(interval, place) {
      const [low, high] = [this.edges[interval], this.edges[interval + 1]];
      return this.ofShare(clamp(low + place * (high - low), low, high * (1 - 2 ** -53)));
    }

    /** The score of a number of a continuous column. */
    scoreOf(value) {
      return interpolated(value, this.points, this.levels);
    }

    /** Share of the numbers up to a value. */
    below(value) {
      if (value < this.points[0]) return 0;
      if (value >= this.points[this.points.length - 1]) return 1;
      if (!this.isDiscrete) return normalCdf(this.scoreOf(value));
      return this.levels[placeOf(this.points, value) + 1];
    }
  }

  const CALENDAR = [10000101, 99991231];

  /** The last date, an integer such as 20240320, that is not after a number; or the date some days later. */
  function dateBefore(number, daysLater = 0) {
    const value = clamp(Math.floor(number), CALENDAR[0], CALENDAR[1]);
    const [year, month] = [Math.floor(value / 10000), Math.floor(value / 100) % 100];
    const last = Math.min(month, 12);
    const length = new Date(Date.UTC(year, last, 0)).getUTCDate();
    const inMonth = month < 1 || month > 12 ? length : Math.min(value % 100, length);
    const day = new Date(Date.UTC(year, last - 1, inMonth + daysLater));
    return day.getUTCFullYear() * 10000 + (day.getUTCMonth() + 1) * 100 + day.getUTCDate();
  }

  /** The first date that is not before a number. */
  function dateAfter(number) {
    const before = dateBefore(number);
    return before >= number ? before : dateBefore(number, 1);
  }

  function nearestDate(number) {
    const [before, after] = [dateBefore(number), dateAfter(number)];
    return number - before <= after - number ? before : after;
  }

  /**
   * Rounds to the column's digits, or to its step.
   *
   * @param {Column} column
   * @returns {(value: number) => number}
   */
  function rounder({ step, first, decimals, is_calendar: isCalendar }) {
    if (isCalendar) return nearestDate;
    if (step) return (value) => first + step * rounded((value - first) / step);
    if (decimals === null) return (value) => value;
    return (value) => rounded(value * 10 ** decimals) / 10 ** decimals;
  }

  /**
   * The nearest number with the column's digits, or step, that is not below a bound, or (-1) not above.
   *
   * @param {Column} column
   */
  function bounded(column, bound, sign) {
    if (column.is_calendar) return sign > 0 ? dateAfter(bound) : dateBefore(bound);
    const round = rounder(column);
    const nearest = round(bound);
    return sign * nearest < sign * bound ? round(nearest + sign * unitOf(column)) : nearest;
  }

  /**
   * From a token and a score to a value: the index of a category, a number, or NaN if the cell is missing.
   *
   * @param {Partial<DrawnColumn> & Column} column
   * @returns {(token: number, score?: number) => number}
   */
  function decoder(column) {
    const isMissing = (token) => token >= column.n_values;
    if (column.categories) return (token) => (isMissing(token) ? NaN : token);
    const { atoms } = column;
    const round = rounder(column);
    column.round = round;
    if (!column.scores) return (token) => (isMissing(token) ? NaN : atoms[token]);
    const scores = new Scores(column.scores);
    return (token, score) => {
      const value = Math.floor(token);
      if (isMissing(value)) return NaN;
      if (value < atoms.length) return atoms[value];
      const found = scores.hasIntervals ? scores.within(value - atoms.length, token - value) : scores.ofScore(score);
      return scores.isDiscrete ? found : round(found);
    };
  }

  /**
   * What the model knows of the training rows' values: shares of the categories, or the share up to a number.
   *
   * @param {Column} column
   * @returns {Pick<DrawnColumn, "shares" | "below">}
   */
  function known({ counts, atoms, categories, n_values, has_missing, ...column }) {
    const scores = column.scores && new Scores(column.scores);
    if (!counts) return scores && !atoms.length && !has_missing ? { below: (value) => scores.below(value) } : {};
    const all = counts.reduce((sum, n) => sum + n, 0);
    const shares = Array.from(counts, (n) => n / all);
    if (categories) return { shares: shares.slice(0, n_values) };
    const others = shares.slice(atoms.length, n_values).reduce((sum, share) => sum + share, 0);
    const below = (value) => {
      const few = shares.slice(0, placeOf(atoms, value) + 1).reduce((sum, share) => sum + share, 0);
      return few + (scores ? others * scores.below(value) : 0);
    };
    return { below };
  }

  const two = (number) => String(number).padStart(2, "0");

  function day(milliseconds) {
    const date = new Date(milliseconds);
    return `${String(date.getUTCFullYear()).padStart(4, "0")}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`;
  }

  function time(value, perSecond) {
    const seconds = Math.floor(value / perSecond);
    const [date, digits] = [new Date(1000 * seconds), Math.log10(perSecond)];
    const clock = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(":");
    const part = String(Math.round(value - seconds * perSecond)).padStart(digits, "0");
    return `${day(1000 * seconds)} ${clock}${digits ? `.${part}` : ""}`;
  }

  /**
   * How a cell of a column is written; a missing one is empty.
   *
   * @param {Column} column
   * @returns {(value: number) => string}
   */
  function writer(column) {
    const [low, high] = column.limits ?? [-Infinity, Infinity];
    /** @type {Record<NonNullable<Column["kind"]>, (value: number) => string>} */
    const writers = {
      category: (value) => String(column.categories ? column.categories[value] : value),
      // A sum that is restored may lie beyond the type.
      whole: (value) => String(clamp(rounded(value), low, high)),
      number: (value) => shortest(value, column.type),
      decimal: (value) => clamp(value, low, high).toFixed(column.scale),
      day: (value) => day((1000 * value) / column.per_second),
      time: (value) => time(value, column.per_second),
    };
    const of = writers[column.kind ?? "number"];
    return (value) => (Number.isNaN(value) ? "" : of(value));
  }

  /**
   * Values that a column may be given, NaN for a missing cell, with their texts.
   *
   * @param {Column} column
   * @returns {[value: number, text: string][]}
   */
  function choices(column) {
    const write = writer(column);
    const decode = decoder(column);
    /** @type {[number, string][]} */
    const known = Array.from({ length: column.n_values }, (_, token) => [decode(token), write(decode(token))]);
    return column.has_missing ? [...known, [NaN, "(missing)"]] : known;
  }

  /** What a column's numbers are whole multiples of; 0 if of nothing. */
  const unitOf = ({ step, decimals }) => step || (decimals === null ? 0 : 10 ** -decimals);

  Object.assign(window.pointillist, { mixed: { Scores, decoder, known, writer, bounded, choices, unitOf } });
})();
