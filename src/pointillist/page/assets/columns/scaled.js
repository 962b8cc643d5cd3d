/* Columns of a model of numbers: numbers that vary, constants, and classes. */

const { MOST_VALUES, bisect, clamp, columnKinds, normalCdf, normalQuantile, nothing, rounded, sharesOf } =
  window.pointillist;
const EDGE = 1e-7;

/** A number on a grid represents all numbers that are rounded to it: this fraction of a step on each side. */
const HALF = 0.499;

/**
 * Distance of neighboring values on a column's grid; 0 without one.
 * @param {Column} column
 */
const stepOf = ({ grid }) => (grid ? grid[2] / grid[0] : 0);

/** The nearest number on a column's grid that is not below a bound, or (-1) not above it. */
function inward(column, bound, sign) {
  const nearest = onGrid(column, bound);
  return sign * nearest >= sign * bound ? nearest : onGrid(column, nearest + sign * stepOf(column));
}

/**
 * Rounds to a column's grid, (first + step k) / scale for all integers k; without a grid, returns the number.
 * @param {Column} column
 */
function onGrid({ grid }, value) {
  if (!grid) return value;
  const [scale, first, step] = grid;
  return (first + step * rounded((value * scale - first) / step)) / scale;
}

/**
 * Share of the training rows below a value.
 * @param {Float64Array} known
 * @param {number} side -1, 0 and 1: none, half and all of the rows with the value are below
 */
function shareBelow(known, value, side) {
  const last = known.length - 1;
  const [below, upTo] = [bisect(known, value, false), bisect(known, value)];
  if (upTo > below) return (side < 0 ? below : side > 0 ? upTo - 1 : (below + upTo - 1) / 2) / last;
  if (!below || below > last) return below ? 1 : 0;
  return (below - 1 + (value - known[below - 1]) / (known[below] - known[below - 1])) / last;
}

/** Writes the end of a column's range with six digits; integers are written in full. */
const short = (value) => String(Number.isInteger(value) ? value : Number(value.toPrecision(6)));

columnKinds.scaled = (column, { model: { bounds } }) => {
  const { index = 0, quantiles: known, centre, unit, minimum, maximum, is_end: isEnd, type } = column;
  const last = known ? known.length - 1 : 0;
  const inverse = (value) => {
    if (!known) return value * unit + centre;
    const at = normalCdf(value) * last;
    const i = Math.min(last - 1, Math.floor(at));
    return known[i] + (at - i) * (known[i + 1] - known[i]);
  };
  /** Scales a number for the network, clamped near the training range; repeated values map to one side of their rows. */
  const scale = (value, side = 0) => {
    const share = known && clamp(shareBelow(known, value, side), EDGE, 1 - EDGE);
    return clamp(share === undefined ? (value - centre) / unit : normalQuantile(share), bounds[0][index], bounds[1][index]);
  };
  const [low, high] = [isEnd[0] ? minimum : -Infinity, isEnd[1] ? maximum : Infinity];
  const step = stepOf(column);
  const isFew = column.isWhole && maximum - minimum < MOST_VALUES * step;
  /** @type {[number, string][]} */
  const few = Array.from({ length: isFew ? (maximum - minimum) / step + 1 : 0 }, (_, i) => {
    const value = minimum + i * step;
    return [value, type === "bool" ? column.write(value) : String(value)];
  });
  return {
    slot: index,
    decode: (row, start) => onGrid(column, clamp(inverse(row[start + index]), low, high)),
    tell: (row, value) => (row[index] = scale(value)),
    below: known && ((value) => (value <= known[0] ? 0 : shareBelow(known, value, 1))),
    writeEnd: short,
    few: isFew ? few : null,
    choices: type === "bool" ? [false, true].map((value) => [Number(value), String(value)]) : null,
    allowed: (asked) => allowed(column, asked, scale),
  };
};

columnKinds.constant = ({ minimum }) => ({ decode: () => minimum, tell: () => {}, writeEnd: short });

columnKinds.label = (column, { classes }) => {
  const { labels, counts } = classes ?? { labels: [], counts: [] };
  return {
    categories: labels,
    nominal: labels.map(String),
    shares: sharesOf(counts),
    decode: (row, start, label = NaN) => label,
    tell: () => {},
  };
};

/**
 * Returns the ranges that a condition allows, scaled for the network.
 * @param {PageColumn} column
 * @param {AskedValues} asked
 * @returns {InRanges}
 */
function allowed(column, { values, low = -Infinity, high = Infinity }, scale) {
  const { grid, minimum, maximum, slot: index } = column;
  /** @type {[number, number][]} */
  const asked = values ? values.map((value) => [value, value]) : [[low, high]];
  const kept = asked
    .map(([first, last]) => [inward(column, first, 1), inward(column, last, -1)])
    .filter(([first, last]) => (grid ? first <= last : first < last) && first <= maximum && last >= minimum);
  if (!kept.length) throw nothing(column);
  const half = HALF * stepOf(column);
  // A repeated value has many quantiles, and all of them are inside.
  const scaled = (value, side) => Math.fround(scale(clamp(value, minimum - 0.5, maximum + 0.5), grid ? 0 : side));
  return {
    index,
    ranges: kept.map(([first, last]) => [
      first <= minimum ? -Infinity : scaled(first - half, -1),
      last >= maximum ? Infinity : scaled(last + half, 1),
    ]),
    ends: [Math.min(...kept.map(([first]) => first)), Math.max(...kept.map(([, last]) => last))],
  };
}
