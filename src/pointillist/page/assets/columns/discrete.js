/* Discrete columns: each number has a token value. Continuous columns share `numberOf`. */

const { MOST_VALUES, bisect, bounded, columnKinds, nearest, noCategory, nothing, rounder, sharesOf, sum, tokenOf } =
  window.pointillist;

/**
 * The encoding of a numeric column in which some numbers have token values.
 * @param {PageColumn} column
 * @param {object} code
 * @param {(token: number, score: number) => number} code.decode
 * @param {(value: number) => number[]} code.encode returns the token and the score
 * @param {(low: number, high: number) => Partial<Condition>} [code.parts] the part of a condition between two numbers that has no
 *   token values
 */
function numberOf(column, { decode, encode, parts }) {
  const { atoms, counts, is_nominal: isNominal } = column;
  /** @param {AskedValues} asked */
  const allowed = ({ values, low = -Infinity, high = Infinity }) => {
    if (values) return token.inSet(values, (value) => atoms.indexOf(value));
    [low, high] = [bounded(column, low, 1), bounded(column, high, -1)];
    const { pieces: others = [], ranges } = parts?.(low, high) ?? {};
    const inside = [...atoms.keys()].filter((i) => atoms[i] >= low && atoms[i] <= high);
    const pieces = [...inside.map((i) => [i, 1, 0, 1]), ...others];
    if (!pieces.length) throw nothing(column);
    return { token: column.token, pieces, ranges, ends: [low, high] };
  };
  const shares = counts && sharesOf(counts);
  const below = shares ? (value) => sum(shares.slice(0, bisect(atoms, value))) : undefined;
  const token = tokenOf(column, { decode, encode, values: atoms });
  const { parse: plain } = column;
  const parse = (text) => {
    const value = plain(text);
    // The nearest number is meaningless if numbers are categories.
    if (isNominal && !atoms.includes(value)) throw noCategory(text, [...atoms].map(String));
    return value;
  };
  return { ...token, allowed, below, round: rounder(column), parse };
}

columnKinds.discrete = (column) => {
  const { atoms } = column;
  const encode = (value) => [nearest(atoms, value), NaN];
  const made = numberOf(column, { decode: (token) => atoms[token], encode });
  return { ...made, few: column.n_values <= MOST_VALUES ? made.choices : null };
};

Object.assign(window.pointillist, { numberOf });
