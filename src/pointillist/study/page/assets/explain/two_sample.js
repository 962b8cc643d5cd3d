/* The two-sample test of the study: a classifier tries to tell real from generated rows by their nearest neighbors. */

const [NEIGHBORS, FOLDS] = [15, 5];

/** Divides all columns by their standard deviations. */
function standardized(rows, columns) {
  const scales = Array.from({ length: columns }, (_, c) => {
    const values = rows.filter((_value, i) => i % columns === c);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) || 1;
  });
  return rows.map((value, i) => value / scales[i % columns]);
}

/**
 * Returns the fraction of right answers for held-out rows, in equal numbers of both samples, with its standard error, as
 * pointillist.metrics.two_sample_test with classifier="knn": 0.5 if the test cannot tell the samples apart.
 * @param {Float32Array} A rows × columns, at least five rows
 * @param {Float32Array} B rows × columns, at least five rows
 */
function twoSampleTest(A, B, columns) {
  const n = Math.min(A.length, B.length) / columns;
  const rows = new Float32Array(2 * n * columns);
  rows.set(A.subarray(0, n * columns));
  rows.set(B.subarray(0, n * columns), n * columns);
  const scaled = standardized(rows, columns);
  const foldOf = (r) => (r % n) % FOLDS;
  const sizes = Array.from({ length: FOLDS }, (_, f) => 2 * n - 2 * Math.ceil((n - f) / FOLDS));
  const nearest = new Float64Array(NEIGHBORS);
  const sides = new Uint8Array(NEIGHBORS);
  let right = 0;
  for (let r = 0; r < 2 * n; r++) {
    const k = Math.min(NEIGHBORS, Math.floor(sizes[foldOf(r)] / 2));
    nearest.fill(Infinity);
    for (let other = 0; other < 2 * n; other++) {
      if (foldOf(other) === foldOf(r)) continue;
      let distance = 0;
      for (let c = 0; c < columns; c++) distance += (scaled[r * columns + c] - scaled[other * columns + c]) ** 2;
      let rank = k;
      for (; rank && distance < nearest[rank - 1]; rank--) {
        if (rank === k) continue;
        nearest[rank] = nearest[rank - 1];
        sides[rank] = sides[rank - 1];
      }
      if (rank === k) continue;
      nearest[rank] = distance;
      sides[rank] = Number(other >= n);
    }
    const votes = sides.subarray(0, k).reduce((sum, side) => sum + side, 0);
    right += Number(2 * votes > k === r >= n);
  }
  const smoothed = (right + 1) / (2 * n + 2);
  return { value: right / (2 * n), error: Math.sqrt(((1 + 2 / Math.PI) * smoothed * (1 - smoothed)) / (2 * n)) };
}

/**
 * Fraction of rows that are farther from the data than 99 % of held-out rows are; data, held: rows × columns.
 * @returns {number}
 */
function strayShare(rows, held, data, columns) {
  const distances = (some) =>
    Array.from({ length: some.length / columns }, (_, r) => {
      let least = Infinity;
      for (let i = 0; i < data.length; i += columns) {
        let distance = 0;
        for (let c = 0; c < columns; c++) distance += (some[r * columns + c] - data[i + c]) ** 2;
        least = Math.min(least, distance);
      }
      return least;
    });
  const usual = distances(held).sort((a, b) => a - b);
  const limit = usual[Math.floor(0.99 * usual.length)];
  return distances(rows).filter((distance) => distance > limit).length / (rows.length / columns);
}

/** Writes a result of the test. */
const percentOf = ({ value, error }) => `${Math.round(100 * value)} % ± ${Math.round(100 * error)} %`;

Object.assign(window.pointillist, { percentOf, strayShare, twoSampleTest });
