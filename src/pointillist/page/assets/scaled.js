"use strict";
/* From numbers to what a model of numbers sees: the inverse of what table.js does with drawn ones. */

(() => {
  const { clamp, normalQuantile } = window.pointillist;
  const EDGE = 1e-7;

  /** How many increasing numbers are below a value; with `isWith`, those equal to it too. */
  function countBelow(known, value, isWith) {
    let [low, high] = [0, known.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (known[middle] < value || (isWith && known[middle] === value)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * Share of the training rows below a value; of one that repeats, to the middle of its rows, or to one side of them.
   *
   * @param {Float64Array} known
   * @param {number} value
   * @param {number} side -1 and 1 for all of its rows above and below, 0 for the middle
   */
  function shareBelow(known, value, side) {
    const last = known.length - 1;
    const [below, upTo] = [countBelow(known, value, false), countBelow(known, value, true)];
    if (upTo > below) return (side < 0 ? below : side > 0 ? upTo - 1 : (below + upTo - 1) / 2) / last;
    if (!below || below > last) return below ? 1 : 0;
    return (below - 1 + (value - known[below - 1]) / (known[below] - known[below - 1])) / last;
  }

  /**
   * From a number to what the network sees, which is near its own range.
   *
   * @param {Column} column one that varies
   * @param {[number[], number[]]} bounds lowest and highest scaled values
   * @returns {(value: number, side?: number) => number} of a value that repeats, to a side of its rows
   */
  function scaler({ place = 0, quantiles, centre, unit }, bounds) {
    const scaled = quantiles
      ? (value, side) => normalQuantile(clamp(shareBelow(quantiles, value, side), EDGE, 1 - EDGE))
      : (value) => (value - centre) / unit;
    return (value, side = 0) => clamp(scaled(value, side), bounds[0][place], bounds[1][place]);
  }

  Object.assign(window.pointillist, { scaler });
})();
