/* Random numbers as JAX makes them: Threefry-2x32 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). */

const TURNS = [[13, 15, 26, 6], [17, 29, 16, 24]];

/** Encrypts two words with a key of two words. */
function threefry([k0, k1], x0, x1) {
  const keys = [k0, k1, (k0 ^ k1 ^ 0x1bd11bda) >>> 0];
  x0 = (x0 + k0) >>> 0;
  x1 = (x1 + k1) >>> 0;
  for (let round = 0; round < 5; round++) {
    for (const turn of TURNS[round % 2]) {
      x0 = (x0 + x1) >>> 0;
      x1 = ((x1 << turn) | (x1 >>> (32 - turn))) >>> 0;
      x1 = (x1 ^ x0) >>> 0;
    }
    x0 = (x0 + keys[(round + 1) % 3]) >>> 0;
    x1 = (x1 + keys[(round + 2) % 3] + round + 1) >>> 0;
  }
  return [x0, x1];
}

/** `jax.random.fold_in`, of a number below 2^32. */
const foldIn = (key, number) => threefry(key, 0, number);

/** The key of a stream of a seed; rows are drawn with stream 1. */
const keyOf = (seed, stream) => foldIn([0, seed], stream);

/** `jax.random.uniform`: numbers in [low, high), single precision. */
function uniforms(key, length, low = 0, high = 1) {
  const span = Math.fround(high - low);
  return Float32Array.from({ length }, (_, i) => {
    const [a, b] = threefry(key, 0, i);
    const share = ((a ^ b) >>> 9) / 2 ** 23;
    return Math.max(low, Math.fround(Math.fround(share * span) + low));
  });
}

const NEAR_MINUS_ONE = -1 + 2 ** -24;

/** `jax.random.normal`. */
function normals(key, length) {
  return uniforms(key, length, NEAR_MINUS_ONE, 1).map((u) => Math.SQRT2 * inverseErf(u));
}

const SMALLEST = 2 ** -126;

/** `jax.random.gumbel`. */
function gumbels(key, length) {
  return uniforms(key, length, SMALLEST, 1).map((u) => -Math.log(-Math.log(u)));
}

const CENTRAL = [
  2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 0.00021858087, -0.00125372503, -0.00417768164,
  0.246640727, 1.50140941,
];
const TAIL = [
  -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
  1.00167406, 2.83297682,
];

/** The inverse of the error function, to single precision: Giles 2010, "Approximating the erfinv function". */
function inverseErf(x) {
  const w = -Math.log1p(-x * x);
  const [terms, at] = w < 5 ? [CENTRAL, w - 2.5] : [TAIL, Math.sqrt(w) - 3];
  return terms.reduce((sum, term) => sum * at + term) * x;
}
