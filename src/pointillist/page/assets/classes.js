/* Classes of rows in the data's shares, drawn as NumPy draws them: PCG64 (O'Neill 2014), seeded by a SeedSequence. */

const [ALL, MULTIPLIER] = [(1n << 128n) - 1n, 0x2360ed051fc65da44385df649fccf645n];

/** The words that NumPy's SeedSequence generates from up to four words. */
function seedWords(entropy, count) {
  let constant = 0x43b0d7e5;
  const hashed = (value) => {
    value = (value ^ constant) >>> 0;
    constant = Math.imul(constant, 0x931e8875) >>> 0;
    value = Math.imul(value, constant) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  };
  const mixed = (x, y) => {
    const value = (Math.imul(x, 0xca01f9dd) - Math.imul(y, 0x4973f715)) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  };
  const pool = [0, 1, 2, 3].map((i) => hashed(entropy[i] ?? 0));
  for (let from = 0; from < 4; from++)
    for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mixed(pool[to], hashed(pool[from]));
  let multiplier = 0x8b51f9dd;
  return Array.from({ length: count }, (_, i) => {
    let value = (pool[i % 4] ^ multiplier) >>> 0;
    multiplier = Math.imul(multiplier, 0x58f38ded) >>> 0;
    value = Math.imul(value, multiplier) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  });
}

/** Gives the numbers in [0, 1) of `numpy.random.default_rng(entropy).random()`, one after another. */
function* randoms(entropy) {
  const words = seedWords(entropy, 8).map(BigInt);
  const long = (i) => words[2 * i] | (words[2 * i + 1] << 32n);
  const increment = ((((long(2) << 64n) | long(3)) << 1n) | 1n) & ALL;
  const step = (value) => (value * MULTIPLIER + increment) & ALL;
  let state = step((step(0n) + ((long(0) << 64n) | long(1))) & ALL);
  for (;;) {
    state = step(state);
    const folded = BigInt.asUintN(64, (state >> 64n) ^ state);
    const turn = state >> 122n;
    const value = BigInt.asUintN(64, (folded >> turn) | (folded << ((64n - turn) & 63n)));
    yield Number(value >> 11n) / 2 ** 53;
  }
}

/** Index of the class of each row. */
function drawnLabels(counts, rows, seed) {
  const all = counts.reduce((a, b) => a + b, 0);
  let sum = 0;
  const shares = counts.map((n) => (sum += n) / all);
  const numbers = randoms([seed, 0]);
  return Int32Array.from({ length: rows }, () => {
    const u = numbers.next().value;
    return shares.findIndex((share) => share >= u);
  });
}

Object.assign(window.pointillist, { drawnLabels });
