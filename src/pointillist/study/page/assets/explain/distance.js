"use strict";
/* The squared energy distance of rows, as pointillist.metrics has it: an unbiased U-statistic. */

(() => {
  /** Mean distance of each row of A to those of B; of a set to itself over the others. */
  function means(A, B, columns) {
    const [n, m] = [A.length / columns, B.length / columns];
    const out = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let j = 0; j < m; j++) {
        let square = 0;
        for (let c = 0; c < columns; c++) square += (A[i * columns + c] - B[j * columns + c]) ** 2;
        sum += Math.sqrt(square);
      }
      out[i] = sum / (A === B ? m - 1 : m);
    }
    return out;
  }

  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const variance = (values) => {
    const middle = mean(values);
    return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1);
  };

  /**
   * @param {Float32Array} A rows × columns
   * @param {Float32Array} B rows × columns
   * @returns {{value: number, error: number}} 2 E‖X - Y‖ - E‖X - X'‖ - E‖Y - Y'‖ and the jackknife's standard error,
   *   which is too large rather than too small where the two agree
   */
  function energyDistance(A, B, columns) {
    const [xy, yx, xx, yy] = [means(A, B, columns), means(B, A, columns), means(A, A, columns), means(B, B, columns)];
    const [a, b] = [xy.map((value, i) => 2 * (value - xx[i])), yx.map((value, i) => 2 * (value - yy[i]))];
    return { value: 2 * mean(xy) - mean(xx) - mean(yy), error: Math.sqrt(variance(a) / a.length + variance(b) / b.length) };
  }

  window.pointillist.energyDistance = energyDistance;
})();
