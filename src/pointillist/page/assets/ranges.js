"use strict";
/* Ranges of the numbers of a model of numbers, from what a form says to what workers are told; and rows in ranges. */

(() => {
  const { clamp, mixed, onGrid, scaler, short } = window.pointillist;

  /** Most numbers that are offered one by one. */
  const MOST_VALUES = 12;

  /** A number on a grid stands for all that are rounded to it, so much of a step to each side. */
  const HALF = 0.499;

  /**
   * Distance of neighbouring values on a column's grid; 0 without one.
   *
   * @param {Column} column
   */
  const unitOf = ({ grid }) => (grid ? grid[2] / grid[0] : 0);

  /** The nearest number on a column's grid that is not below a bound, or (-1) not above it. */
  function inward(column, bound, sign) {
    const nearest = onGrid(column, bound);
    return sign * nearest >= sign * bound ? nearest : onGrid(column, nearest + sign * unitOf(column));
  }

  /**
   * The values of a column of categories or few numbers, with their texts; null if it has others.
   *
   * @param {Column} column
   * @returns {[value: number, text: string][] | null}
   */
  function fewValues(column) {
    const { is_whole, minimum, maximum, type, token, categories, scores, n_values: count } = column;
    const step = unitOf(column);
    if (token !== undefined) return categories || (!scores && count <= MOST_VALUES) ? mixed.choices(column) : null;
    if (!is_whole || maximum - minimum >= MOST_VALUES * step) return null;
    const write = (value) => String(type === "bool" ? value !== 0 : value);
    const values = Array.from({ length: (maximum - minimum) / step + 1 }, (_, i) => minimum + i * step);
    return values.map((value) => [value, write(value)]);
  }

  /** How the ends of a column are written. */
  const endWriter = (column) => (column.place === undefined ? mixed.writer(column) : short);

  /** The error of a condition that allows nothing. */
  function nothing(column) {
    const write = endWriter(column);
    const span = `${write(column.minimum)} to ${write(column.maximum)}`;
    return new Error(`${column.name}: no training row lies there; its values go from ${span}`);
  }

  /**
   * What a condition allows of a number.
   *
   * @param {Column} column one that varies
   * @param {{values?: number[], low?: number, high?: number}} asked
   * @param {[number[], number[]]} bounds lowest and highest scaled values
   * @returns {InRanges}
   * @throws {Error} that says in one line that nothing is allowed
   */
  function rangesOf(column, { values, low = -Infinity, high = Infinity }, bounds) {
    const { grid, minimum, maximum, place = 0 } = column;
    /** @type {[number, number][]} */
    const asked = values ? values.map((value) => [value, value]) : [[low, high]];
    const kept = asked
      .map(([first, last]) => [inward(column, first, 1), inward(column, last, -1)])
      .filter(([first, last]) => (grid ? first <= last : first < last) && first <= maximum && last >= minimum);
    if (!kept.length) throw nothing(column);
    const scale = scaler(column, bounds);
    const half = HALF * unitOf(column);
    // A value that repeats has many quantiles, and all of them are inside.
    const scaled = (value, side) => Math.fround(scale(clamp(value, minimum - 0.5, maximum + 0.5), grid ? 0 : side));
    return {
      place,
      ranges: kept.map(([first, last]) => [
        first <= minimum ? -Infinity : scaled(first - half, -1),
        last >= maximum ? Infinity : scaled(last + half, 1),
      ]),
      ends: [Math.min(...kept.map(([first]) => first)), Math.max(...kept.map(([, last]) => last))],
    };
  }

  /**
   * Draws populations, one after another, until enough rows are in their ranges.
   *
   * @param {{workers: Worker[], call: (worker: Worker, message: object) => Promise<Population>}} workers
   * @param {RangedContent} settings
   * @param {number} width of a row
   * @param {number} rows
   * @param {object} message what a worker is told of each population
   * @param {() => boolean} isWanted whether to go on
   * @param {(first: number, drawn: Float32Array) => void} put called with the rows from the first on
   * @returns {Promise<number>} effective number of rows
   * @throws {Error} if too few rows are in the ranges
   */
  async function inRanges(workers, settings, width, rows, message, isWanted, put) {
    let [next, found] = [0, 0];
    // Those that found less than the mean mass so far are taken in proportion to it, and the others weigh more.
    let [seen, total, credit, weights, squares] = [0, 0, 0, 0, 0];
    const last = settings.most_tries * Math.max(2, Math.ceil(rows / settings.kept));
    while (found < rows && isWanted()) {
      if (next >= last) {
        throw new Error("too few rows meet the conditions together; ask for more than that");
      }
      const most = Math.ceil((rows - found) / settings.kept);
      const calls = workers.workers.slice(0, most).map((worker) => workers.call(worker, { ...message, index: next++ }));
      for (const { drawn, logMass, families } of await Promise.all(calls)) {
        seen += 1;
        total += Math.exp(logMass);
        if (!isWanted() || logMass < Math.log(settings.smallest_mass)) continue;
        const share = (Math.exp(logMass) * seen) / total;
        credit += Math.min(share, 1);
        if (credit < 1 - 1e-9 || found >= rows) continue;
        credit -= 1;
        const weight = Math.max(share, 1);
        const count = Math.min(settings.kept, rows - found);
        const sizes = new Map();
        for (const family of families.slice(0, count)) sizes.set(family, (sizes.get(family) ?? 0) + weight);
        for (const size of sizes.values()) {
          weights += size;
          squares += size ** 2;
        }
        put(found, drawn.subarray(0, count * width));
        found += count;
      }
    }
    return found ? weights ** 2 / squares : 0;
  }

  Object.assign(window.pointillist, { endWriter, fewValues, nothing, rangesOf, inRanges });
})();
