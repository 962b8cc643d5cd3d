/* Grids of a column's numbers: digits, steps, and dates as integers. */

const { clamp, rounded } = window.pointillist;

const CALENDAR = [10000101, 99991231];

/** The last date (an integer like 20240320) that is not after a number; or the date some days later. */
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
 * @param {Column} column
 * @returns {(value: number) => number}
 */
function rounder({ step, first, decimals, increment, is_calendar: isCalendar }) {
  if (isCalendar) return nearestDate;
  if (step) return (value) => first + step * rounded((value - first) / step);
  if (decimals === null) return (value) => value;
  const inDecimals = (value) => rounded(value * 10 ** decimals) / 10 ** decimals;
  return increment ? (value) => inDecimals(increment * rounded(value / increment)) : inDecimals;
}

/**
 * The nearest number with the column's digits, or step, that is not below a bound, or (-1) not above.
 * @param {Column} column
 */
function bounded(column, bound, sign) {
  if (column.is_calendar) return sign > 0 ? dateAfter(bound) : dateBefore(bound);
  const round = rounder(column);
  const nearest = round(bound);
  return sign * nearest < sign * bound ? round(nearest + sign * unitOf(column)) : nearest;
}

/** The unit of a column's numbers: its step, or its last digit; 0 for any numbers. */
const unitOf = ({ step, increment, decimals }) => step || increment || (decimals === null ? 0 : 10 ** -decimals);

Object.assign(window.pointillist, { bounded, rounder, unitOf });
