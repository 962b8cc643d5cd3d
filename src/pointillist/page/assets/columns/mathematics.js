/* The normal distribution, rounding, and searches in sorted values. */

/** The standard normal distribution function: by a series in the middle, by a continued fraction in the tails. */
function normalCdf(z) {
  const x = Math.abs(z) / Math.SQRT2;
  let tail;
  if (x < 3) {
    let [term, sum] = [x, x];
    for (let n = 1; term > 1e-17 * sum; n++) sum += term *= (2 * x * x) / (2 * n + 1);
    tail = 1 - (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  } else {
    let fraction = 0;
    for (let n = 60; n > 0; n--) fraction = n / 2 / (x + fraction);
    tail = Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
  }
  return z < 0 ? tail / 2 : 1 - tail / 2;
}

/**
 * The inverse of the standard normal distribution function, by Newton's method on the logarithm of the share.
 * @returns {number}
 */
function normalQuantile(share) {
  if (share <= 0 || share >= 1) return share <= 0 ? -Infinity : Infinity;
  if (share > 0.5) return -normalQuantile(1 - share);
  let z = -Math.sqrt(-2 * Math.log(share)) + 0.3;
  for (let step = 0; step < 40; step++) {
    const found = normalCdf(z);
    const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
    const change = (Math.log(found / share) * found) / density;
    z -= change;
    if (Math.abs(change) < 1e-14) break;
  }
  return z;
}

/** Rounds to the nearest integer, and halves to the even one, as NumPy does. */
function rounded(value) {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 ? low + 1 : low;
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/**
 * Counts the values, in increasing order, that are at most a value.
 * @param {ArrayLike<number>} values
 */
function bisect(values, value) {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Interpolates linearly between points; constant beyond them. */
function interpolated(x, xs, ys) {
  const i = bisect(xs, x) - 1;
  if (i < 0) return ys[0];
  if (i >= xs.length - 1) return ys[ys.length - 1];
  return ys[i] + ((x - xs[i]) / (xs[i + 1] - xs[i])) * (ys[i + 1] - ys[i]);
}

const sum = (values) => values.reduce((a, b) => a + b, 0);

/** @returns {number[]} */
function sharesOf(counts) {
  const all = sum(counts);
  return Array.from(counts, (n) => n / all);
}

const nearest = (values, value) => {
  let best = 0;
  values.forEach((each, i) => Math.abs(each - value) < Math.abs(values[best] - value) && (best = i));
  return best;
};

/** Rounds to half precision. */
function half(value) {
  if (!value) return value;
  const step = 2 ** (Math.max(-14, Math.floor(Math.log2(Math.abs(value)))) - 10);
  return rounded(value / step) * step;
}

/** @type {Record<string, [round: (value: number) => number, digits: number]>} */
const TYPES = { float16: [half, 3], float32: [Math.fround, 6] };

/** A number in the fewest digits that its type needs. */
function shortest(value, type) {
  if (!(type in TYPES)) return String(value);
  const [round, digits] = TYPES[type];
  const exact = round(value);
  for (let n = digits; n < 10; n++) {
    const short = Number(exact.toPrecision(n));
    if (round(short) === exact) return String(short);
  }
  return String(exact);
}

Object.assign(window.pointillist, {
  bisect, clamp, interpolated, nearest, normalCdf, normalQuantile, rounded, sharesOf, shortest, sum,
});
