/* Columns of a model of numbers: numbers that vary, constants, and classes. */

const { MOST_VALUES, clamp, columnKinds, nothing, rounded, sharesOf } = window.pointillist;

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

/** Writes the end of a column's range with six digits; integers are written in full. */
const short = (value) => String(Number.isInteger(value) ? value : Number(value.toPrecision(6)));

columnKinds.scaled = (column, { model: { bounds } }) => {
  const { index = 0, centre, unit, minimum, maximum, is_end: isEnd, type } = column;
  /** Scales a number for the network, clamped near the training range. */
  const scale = (value) => clamp((value - centre) / unit, bounds[0][index], bounds[1][index]);
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
    decode: (row, start) => onGrid(column, clamp(row[start + index] * unit + centre, low, high)),
    tell: (row, value) => (row[index] = scale(value)),
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
  const scaled = (value) => Math.fround(scale(clamp(value, minimum - 0.5, maximum + 0.5)));
  return {
    index,
    ranges: kept.map(([first, last]) => [
      first <= minimum ? -Infinity : scaled(first - half),
      last >= maximum ? Infinity : scaled(last + half),
    ]),
    ends: [Math.min(...kept.map(([first]) => first)), Math.max(...kept.map(([, last]) => last))],
  };
}
