/* Continuous columns: repeated values have token values, and other numbers have normal scores or intervals. */

const { bisect, clamp, columnKinds, interpolated, nearest, normalCdf, normalQuantile, sum, sharesOf } = window.pointillist;
const { numberOf, rounder, unitOf } = window.pointillist;
const EDGE = 1e-7;

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

  /** The quantile function of the column's numbers. */
  ofShare(share) {
    if (!this.isDiscrete) return interpolated(normalQuantile(share), this.levels, this.points);
    return this.points[bisect(this.levels.subarray(1, -1), share)];
  }

  ofScore(score) {
    return this.isDiscrete ? this.ofShare(normalCdf(score)) : interpolated(score, this.levels, this.points);
  }

  /** The number at a relative position in an interval. */
  within(interval, position) {
    const [low, high] = [this.edges[interval], this.edges[interval + 1]];
    return this.ofShare(clamp(low + position * (high - low), low, high * (1 - 2 ** -53)));
  }

  scoreOf(value) {
    if (!this.isDiscrete) return interpolated(value, this.points, this.levels);
    const i = nearest(this.points, value);
    const [low, high] = [this.levels[i], this.levels[i + 1]];
    return normalQuantile(clamp(low + 0.5 * (high - low), EDGE, 1 - EDGE));
  }

  /** The distribution function of the column's numbers. */
  below(value) {
    if (value < this.points[0]) return 0;
    if (value >= this.points[this.points.length - 1]) return 1;
    if (!this.isDiscrete) return normalCdf(this.scoreOf(value));
    return this.levels[bisect(this.points, value)];
  }
}

/** The values of the distribution function at the ends of a range; null if no number lies in it. */
function spanOf(scores, low, high, unit) {
  const { points, levels } = scores;
  if (scores.isDiscrete) {
    const inside = [...points.keys()].filter((i) => points[i] >= low && points[i] <= high);
    return inside.length ? [levels[inside[0]], levels[inside.at(-1) + 1]] : null;
  }
  [low, high] = [low - 0.499 * unit, high + 0.499 * unit];
  const last = points[points.length - 1];
  if (high < points[0] || low > last) return null;
  const share = (value, beyond) => (beyond === null ? normalCdf(scores.scoreOf(value)) : beyond);
  const span = [share(low, low <= points[0] ? 0 : null), share(high, high >= last ? 1 : null)];
  return span[0] < span[1] ? span : null;
}

columnKinds.continuous = (column) => {
  const { atoms, counts, has_missing: hasMissing, n_values: size } = column;
  const scores = new Scores(/** @type {ScoresContent} */ (column.scores));
  const round = rounder(column);
  const of = numberOf(column, {
    decode: (token, score) => {
      const value = Math.floor(token);
      if (value < atoms.length) return atoms[value];
      const found = scores.hasIntervals ? scores.within(value - atoms.length, token - value) : scores.ofScore(score);
      return scores.isDiscrete ? found : round(found);
    },
    encode: (value) => {
      const atom = atoms.indexOf(value);
      if (atom >= 0) return [atom, NaN];
      const score = scores.scoreOf(value);
      if (!scores.hasIntervals) return [atoms.length, score];
      return [atoms.length + bisect(scores.edges.subarray(1, -1), normalCdf(score)), NaN];
    },
    parts: (low, high) => {
      /** @type {Condition["pieces"]} */
      const pieces = [];
      let span = spanOf(scores, low, high, unitOf(column));
      /** @type {Condition["ranges"]} */
      let ranges;
      if (span && !scores.hasIntervals && (span[0] > 0 || span[1] < 1)) {
        ranges = [[Math.fround(normalQuantile(span[0])), Math.fround(normalQuantile(span[1]))]];
        span = [0, 1];
      }
      for (let i = 0; span && i < scores.edges.length - 1; i++) {
        const [first, last] = [scores.edges[i], scores.edges[i + 1]];
        const [begin, end] = span.map((share) => clamp((share - first) / (last - first), 0, 1));
        if (end > begin) pieces.push([atoms.length + i, end - begin, begin, end]);
      }
      return { pieces, ranges };
    },
  });
  const ofAtoms = of.below;
  const others = counts && sum(sharesOf(counts).slice(atoms.length, size));
  const below = ofAtoms
    ? (value) => ofAtoms(value) + others * scores.below(value)
    : atoms.length || hasMissing
      ? undefined
      : (value) => scores.below(value);
  return { ...of, choices: null, few: null, below };
};
