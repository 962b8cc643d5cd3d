/* Grids of a column's numbers: digits and steps. */

const { rounded } = window.pointillist;

/**
 * Rounds to the column's digits, or to its step.
 * @param {Column} column
 * @returns {(value: number) => number}
 */
function rounder({ step, first, decimals }) {
  if (step) return (value) => first + step * rounded((value - first) / step);
  if (decimals === null) return (value) => value;
  return (value) => rounded(value * 10 ** decimals) / 10 ** decimals;
}

/**
 * The nearest number with the column's digits, or step, that is not below a bound, or (-1) not above.
 * @param {Column} column
 */
function bounded(column, bound, sign) {
  const round = rounder(column);
  const nearest = round(bound);
  return sign * nearest < sign * bound ? round(nearest + sign * unitOf(column)) : nearest;
}

/** What a column's numbers are whole multiples of; 0 if of nothing. */
const unitOf = ({ step, decimals }) => step || (decimals === null ? 0 : 10 ** -decimals);

Object.assign(window.pointillist, { bounded, rounder, unitOf });
