/* Columns of a page: what becomes of drawn values, and of those that are given. Each kind of column is a script. */

const { formats } = window.pointillist;
/** Most numbers that are offered one by one. */
const MOST_VALUES = 12;

/**
 * What each kind of column adds, by the name that the column's encoder gives its kind.
 * @type {Record<string, (column: PageColumn, content: PageContent) => Partial<PageColumn>>}
 */
const columnKinds = {};

/**
 * A column with what its kind adds.
 * @param {Column} described
 * @param {PageContent} content
 */
function columnOf(described, content) {
  const { format, limits: [low, high] = [-Infinity, Infinity], has_missing: hasMissing, scale } = described;
  // Ends of ranges may be fractions.
  const ofEnds = format === "whole" || format === "decimal" ? "number" : format;
  /** @type {any} */
  const column = {
    ...described,
    isWhole: format === "whole" || format === "boolean",
    nominal: null,
    write: (value) => (Number.isNaN(value) ? "" : formats[format].write(value, column)),
    writeEnd: (value) => column.write(value),
    parse: (text) => {
      const value = formats[format].parse(text, column);
      if (value < low || value > high) throw new Error(`the column holds numbers from ${low} to ${high}`);
      return value;
    },
    parseEnd: (text) => formats[ofEnds].parse(text, column),
    /** Of a cell that is given: NaN for a missing one, and no number that the column cannot hold. */
    parseGiven: (text) => {
      if (hasMissing && text.trim().toLowerCase() === "missing") return NaN;
      const value = column.parse(text);
      if (format === "decimal" && Number(value.toFixed(scale)) !== value) {
        throw new Error(`the column holds ${scale} digits after the point`);
      }
      return value;
    },
  };
  /** @type {PageColumn} */
  const made = Object.assign(column, columnKinds[described.kind](column, content));
  return made;
}

/** The error of a condition that allows nothing. */
function nothing({ name, minimum, maximum, writeEnd }) {
  const span = `${writeEnd(minimum)} to ${writeEnd(maximum)}`;
  return new Error(`${name}: no training row lies there; its values go from ${span}`);
}

/**
 * A column of a token, and perhaps a score beside it: its last token stands for a missing cell.
 * @param {PageColumn} column
 * @param {object} code
 * @param {(token: number, score: number) => number} code.decode
 * @param {(value: number) => number[]} code.encode gives the token and the score
 * @param {ArrayLike<number>} code.values that have a token each
 */
function tokenOf({ token, score, n_values: size, has_missing: hasMissing, write }, { decode, encode, values }) {
  /** @type {[number, string][]} */
  const known = Array.from(values, (value) => [value, write(value)]);
  return {
    slot: token,
    /** Values that a cell may be given, NaN for a missing one, with their texts. */
    choices: /** @type {[number, string][]} */ (hasMissing ? [...known, [NaN, "(missing)"]] : known),
    decode: (row, start) => {
      const own = row[start + token];
      return own >= size ? NaN : decode(own, score === null ? 0 : row[start + score]);
    },
    tell: (row, value) => {
      const [own, beside] = Number.isNaN(value) ? [size, NaN] : encode(value);
      row[token] = own;
      if (score !== null) row[score] = beside;
    },
    /** What a set of values allows. */
    inSet: (values, of) => {
      const numbers = values.filter((value) => !Number.isNaN(value));
      const ends = numbers.length ? [Math.min(...numbers), Math.max(...numbers)] : [-Infinity, Infinity];
      const pieces = values.map((value) => [Number.isNaN(value) ? size : of(value), 1, 0, 1]);
      return { token, pieces, ends, is_set: true };
    },
  };
}

Object.assign(window.pointillist, { MOST_VALUES, columnKinds, columnOf, nothing, tokenOf });
