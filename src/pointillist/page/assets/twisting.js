/* Draws numbers in ranges by guided, weighted candidates, as in twisting.py. */

/** Smallest variance of x_0 given x_t, relative to normal data. */
const SMALLEST_VARIANCE = 0.1;

/** Largest sigma / alpha at the end of a guided step. */
const MAX_GUIDED_SIGMA = 4;

const ERFC = [
  0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368,
  -1.26551223,
];

/**
 * log Φ(x), to single precision, also in the tails: Press et al. 1992, "Numerical Recipes in C", section 6.2.
 * @returns {number}
 */
function logCdf(x) {
  if (x > 0) return Math.log1p(-Math.exp(logCdf(-x)));
  const z = -x / Math.SQRT2;
  const t = 1 / (1 + z / 2);
  return Math.log(t / 2) + ERFC.reduce((sum, term) => sum * t + term) - z * z;
}

/** log(Φ(b) - Φ(a)) */
function logInterval(a, b) {
  const [low, high] = (a > 0 ? [-b, -a] : [a, b]).map(logCdf);
  return high + Math.log1p(-Math.exp(Math.min(low - high, 0)));
}

const within = (value, low, high) => Math.min(high, Math.max(low, value));

/** φ(x) / z and x φ(x) / z */
function edge(x, logZ) {
  if (!Number.isFinite(x) || !Number.isFinite(logZ)) return [0, 0];
  const ratio = Math.exp(within(-0.5 * x * x - 0.5 * Math.log(2 * Math.PI) - logZ, -80, 80));
  return [ratio, x * ratio];
}

/**
 * Log-mass, mean and variance of a normal distribution within ranges that do not overlap.
 * @param {[number, number][]} ranges
 */
function truncated(mean, variance, ranges) {
  const std = Math.sqrt(variance);
  const parts = ranges.map((range) => {
    const [a, b] = range.map((end) => (end - mean) / std);
    const logZ = logInterval(a, b);
    const [[atA, firstA], [atB, firstB]] = [edge(a, logZ), edge(b, logZ)];
    // Rounding may move the mean out of a narrow range in a tail.
    const first = within(atA - atB, Math.min(a, 1e6), Math.max(b, -1e6));
    return { logZ, first, second: within(1 + firstA - firstB - first ** 2, 0, 1) + first ** 2 };
  });
  const total = logSum(parts.map(({ logZ }) => logZ));
  const shares = parts.map(({ logZ }) => (Number.isFinite(total) ? Math.exp(logZ - total) : 0));
  const first = parts.reduce((sum, part, i) => sum + shares[i] * part.first, 0);
  const second = parts.reduce((sum, part, i) => sum + shares[i] * part.second, 0);
  return { logZ: total, mean: mean + std * first, variance: variance * Math.max(second - first ** 2, 0) };
}

/**
 * Log-probability that a normal x_0 lies in the ranges; sets `x0` to its mean given that it does.
 * @param {Float64Array} x0 its mean
 * @param {Float64Array[]} covariances with each number that has ranges
 * @param {Walk["ranges"]} ranges
 * @param {(index: number) => boolean} isAsked whether the candidate has the number
 * @param {number[]} smallest variance of each number
 * @param {number[]} largest
 */
function twist(x0, covariances, ranges, isAsked, smallest, largest) {
  let logPsi = 0;
  ranges.forEach(({ index, ranges: allowed }, j) => {
    if (!isAsked(index)) return;
    const covariance = covariances[j].slice();
    const variance = within(covariance[index], smallest[index], largest[index]);
    const found = truncated(x0[index], variance, allowed);
    const moved = found.mean - x0[index];
    covariance.forEach((value, c) => {
      const most = Math.sqrt(largest[c] / variance);
      x0[c] += (c === index ? 1 : within(value / variance, -most, most)) * moved;
    });
    const lost = (1 - found.variance / variance) / variance;
    for (const each of covariances) {
      const factor = lost * each[index];
      covariance.forEach((value, c) => (each[c] -= factor * value));
    }
    logPsi += found.logZ;
  });
  return logPsi;
}

/**
 * @typedef {object} Walk of a population of candidates
 * @property {Schedule} schedule
 * @property {number} points
 * @property {number[]} variances of each number
 * @property {Pick<InRanges, "index" | "ranges">[]} ranges
 * @property {(x: Float32Array, level: Level) => Float32Array} predict E[x_0 | x_t] of all candidates
 * @property {(row: number, index: number) => boolean} isAsked whether a candidate has a number
 * @property {(parents: number[]) => void} follow replaces candidates by the resampled ones
 */

/**
 * E[x_0 | x_t], log ψ, and the mean in the ranges, of each candidate.
 * @param {Walk} walk
 * @param {Float32Array} x
 * @param {Level} level
 */
function twisted({ variances, ranges, predict, isAsked }, x, level) {
  const columns = variances.length;
  const { alpha, sigma } = level;
  const x0 = predict(x, level);
  const spreads = ranges.map(({ index }) => {
    const shifted = (far) => predict(x.map((value, i) => (i % columns === index ? value + far : value)), level);
    const [above, below] = [shifted(sigma), shifted(-sigma)];
    return above.map((value, i) => (sigma / (2 * alpha)) * (value - below[i]));
  });
  const smallest = variances.map((v) => (SMALLEST_VARIANCE * v * sigma ** 2) / (alpha ** 2 * v + sigma ** 2));
  const wanted = new Float32Array(x.length);
  const logPsi = Float64Array.from({ length: x.length / columns }, (_, r) => {
    const [first, last] = [r * columns, (r + 1) * columns];
    const mean = Float64Array.from(x0.subarray(first, last));
    const covariances = spreads.map((spread) => Float64Array.from(spread.subarray(first, last)));
    const logProbability = twist(mean, covariances, ranges, (index) => isAsked(r, index), smallest, variances);
    wanted.set(mean, first);
    return logProbability;
  });
  return { x0, logPsi, wanted };
}

/** What `twisted` returns where the ranges do not count. */
const untwisted = (x0, columns) => ({ x0, logPsi: new Float64Array(x0.length / columns), wanted: x0.slice() });

/**
 * Draws a population of numbers in ranges by DPM-Solver++(2M) with noise.
 * @param {Walk} walk
 * @param {number[]} key
 * @param {Float32Array} x where the candidates start
 * @param {Weighted} weighted weights of the candidates; updated, and 0 outside the ranges
 * @returns {Float32Array}
 */
function walkInto(walk, key, x, weighted) {
  const { schedule, points, variances, ranges, predict, isAsked } = walk;
  const columns = variances.length;
  const at = lambdas(schedule, points);
  /** @type {Float32Array | undefined} */
  let before;
  for (let i = 0; i < points - 1; i++) {
    const [from, to] = [schedule.atLambda(at[i]), schedule.atLambda(at[i + 1])];
    const isGuided = to.sigma <= MAX_GUIDED_SIGMA * to.alpha;
    let { x0, logPsi, wanted } = isGuided ? twisted(walk, x, from) : untwisted(predict(x, from), columns);
    if (logPsi.every((value) => value === -Infinity)) ({ x0, logPsi, wanted } = untwisted(x0, columns));
    const z = normals(foldIn(key, i), x.length + 1);
    weighted.times(logPsi);
    const parents = weighted.resampled(Math.exp(logCdf(z[x.length])));
    if (parents) {
      const resampled = (rows) => rows.map((_, k) => rows[parents[Math.floor(k / columns)] * columns + (k % columns)]);
      [x, x0, wanted, before] = [resampled(x), resampled(x0), resampled(wanted), before && resampled(before)];
      logPsi = logPsi.map((_, r) => logPsi[parents[r]]);
      walk.follow(parents);
    }
    const { ofX, ofD: towards, ofZ: std } = dpmFactors(from, to, at[i + 1] - at[i], true);
    // A candidate of weight 0 keeps weight 0.
    const ratios = logPsi.map((value) => (value === -Infinity ? 0 : -value));
    const last = before;
    x = x.map((value, k) => {
      const D = last ? 1.5 * x0[k] - 0.5 * last[k] : x0[k];
      const moved = (towards * (wanted[k] - x0[k])) / std;
      ratios[Math.floor(k / columns)] -= moved * z[k] + 0.5 * moved ** 2;
      return ofX * value + towards * D + std * (moved + z[k]);
    });
    weighted.times(ratios);
    before = x0;
  }
  x = predict(x, schedule.atLambda(at[points - 1]));
  const holds = (r) => ({ index, ranges }) => {
    const value = x[r * columns + index];
    return !isAsked(r, index) || ranges.some(([low, high]) => value >= low && value <= high);
  };
  weighted.times(weighted.logs.map((_, r) => (ranges.every(holds(r)) ? 0 : -Infinity)));
  return x;
}
