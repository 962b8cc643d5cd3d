/* The squared energy distance with its standard error, as in pointillist.metrics.energy_distance. */

/** Sums the distances of each row of A to the rows of B. */
function sums(A, B, columns) {
  const [n, m] = [A.length / columns, B.length / columns];
  const out = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < m; j++) {
      let square = 0;
      for (let c = 0; c < columns; c++) square += (A[i * columns + c] - B[j * columns + c]) ** 2;
      out[i] += Math.sqrt(square);
    }
  }
  return out;
}

const total = (values) => values.reduce((a, b) => a + b, 0);
const squares = (values) => values.reduce((sum, value) => sum + value * value, 0);

function variance(values) {
  const middle = total(values) / values.length;
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1);
}

/** Column sums, and the sum of squares. */
function moments(A, columns) {
  const columnSums = Array.from({ length: columns }, (_, c) => total(A.filter((_value, i) => i % columns === c)));
  return { sums: columnSums, square: squares(A) };
}

/** E[h²] for a row of each sample. */
function secondBetween(a, b, sumsA, sumsB) {
  const [n, m] = [sumsA.length, sumsB.length];
  const cross = a.sums.reduce((sum, value, c) => sum + value * b.sums[c], 0);
  const all = m * a.square + n * b.square - 2 * cross;
  const centered = all - squares(sumsA) / m - squares(sumsB) / n + total(sumsA) ** 2 / (n * m);
  return Math.max(0, centered) / ((n - 1) * (m - 1));
}

/** E[h²] for two rows of one sample. */
function secondWithin(a, rowSums) {
  const n = rowSums.length;
  const all = 2 * n * a.square - 2 * squares(a.sums);
  const centered = all - (2 * squares(rowSums)) / (n - 2) + total(rowSums) ** 2 / ((n - 1) * (n - 2));
  return Math.max(0, centered) / (n * (n - 3));
}

/**
 * @param {Float32Array} A rows × columns, at least four rows
 * @param {Float32Array} B rows × columns, at least four rows
 * @returns {{value: number, error: number, nullError: number}} 2 E‖X - Y‖ - E‖X - X'‖ - E‖Y - Y'‖, its standard error,
 *   and the standard error for two samples of one distribution
 */
function energyDistance(A, B, columns) {
  const [n, m] = [A.length / columns, B.length / columns];
  const [ab, ba, aa, bb] = [sums(A, B, columns), sums(B, A, columns), sums(A, A, columns), sums(B, B, columns)];
  const value = (2 * total(ab)) / (n * m) - total(aa) / (n * (n - 1)) - total(bb) / (m * (m - 1));
  const a = ab.map((sum, i) => 2 * (sum / m - aa[i] / (n - 1)));
  const b = ba.map((sum, i) => 2 * (sum / n - bb[i] / (m - 1)));
  const jackknife = variance(a) / n + variance(b) / m;
  const [ofA, ofB] = [moments(A, columns), moments(B, columns)];
  const second =
    (4 * secondBetween(ofA, ofB, ab, ba)) / (n * m) +
    (2 * secondWithin(ofA, aa)) / (n * (n - 1)) +
    (2 * secondWithin(ofB, bb)) / (m * (m - 1));
  return { value, error: Math.sqrt(Math.max(jackknife - second, second)), nullError: Math.sqrt(second) };
}

Object.assign(window.pointillist, { energyDistance });
