/* Columns of a model's page: they decode drawn values and encode observed ones. Each kind of column is one script. */

const { formats } = window.pointillist;
/** Largest number of values that a form lists one by one. */
const MOST_VALUES = 12;

/**
 * Functions that complete a column, by kind of column.
 * @type {Record<string, (column: PageColumn, content: PageContent) => Partial<PageColumn>>}
 */
const columnKinds = {};

/**
 * Completes a column with the properties and functions of its kind.
 * @param {Column} described
 * @param {PageContent} content
 */
function columnOf(described, content) {
  const { format, limits: [low, high] = [-Infinity, Infinity], has_missing: hasMissing, scale } = described;
  // The ends of a range of integers may be fractions.
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
    /** Parses an observed cell: NaN means a missing cell, and numbers that the column cannot hold are refused. */
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

/** Makes the error for a condition that no value of the column meets. */
function nothing({ name, minimum, maximum, writeEnd }) {
  const span = `${writeEnd(minimum)} to ${writeEnd(maximum)}`;
  return new Error(`${name}: no training row lies there; its values go from ${span}`);
}

/**
 * The encoding of a column with a token and perhaps a score. The last token value means a missing cell.
 * @param {PageColumn} column
 * @param {object} code
 * @param {(token: number, score: number) => number} code.decode
 * @param {(value: number) => number[]} code.encode returns the token and the score
 * @param {ArrayLike<number>} code.values values that have their token value
 */
function tokenOf({ token, score, n_values: size, has_missing: hasMissing, write }, { decode, encode, values }) {
  /** @type {[number, string][]} */
  const known = Array.from(values, (value) => [value, write(value)]);
  return {
    slot: token,
    /** Values for an observed cell, with their texts; NaN means missing. */
    choices: /** @type {[number, string][]} */ (hasMissing ? [...known, [NaN, "(missing)"]] : known),
    decode: (row, start) => {
      const value = row[start + token];
      return value >= size ? NaN : decode(value, score === null ? 0 : row[start + score]);
    },
    tell: (row, value) => {
      const [tokenValue, number] = Number.isNaN(value) ? [size, NaN] : encode(value);
      row[token] = tokenValue;
      if (score !== null) row[score] = number;
    },
    /** The condition that a cell has one of several values. */
    inSet: (values, of) => {
      const numbers = values.filter((value) => !Number.isNaN(value));
      const ends = numbers.length ? [Math.min(...numbers), Math.max(...numbers)] : [-Infinity, Infinity];
      const pieces = values.map((value) => [Number.isNaN(value) ? size : of(value), 1, 0, 1]);
      return { token, pieces, ends, is_set: true };
    },
  };
}

Object.assign(window.pointillist, { MOST_VALUES, columnKinds, columnOf, nothing, tokenOf });
