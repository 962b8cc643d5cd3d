/* Pairs of columns of the training rows: how many lie in each cell of a grid, which the model holds. */

/** How dark the densest cell is, and how fast thin ones fade. */
const [DARKEST, FADING] = [0.4, 50];
/** Of a cell, in pixels: a value that many rows have takes no width. */
const LEAST_SIDE = 3;

/** @param {DrawnColumn} column */
const placeOf = (column) => column.token ?? column.pair;

/** The bins of a column's axis. */
class Bins {
  /**
   * @param {DrawnColumn} column
   * @param {Float64Array} ends
   */
  constructor({ nominal, isWhole }, ends) {
    const last = ends[ends.length - 1];
    this.inner = Array.from(ends.slice(1)).filter((end) => end < last);
    this.categories = nominal && Array.from(ends).filter((index) => index >= 0);
    const half = isWhole ? 0.5 : 0;
    this.ends = [ends[0] - half, ...this.inner, last + half];
  }

  /** The bin of a value; -1 for none. */
  of(value) {
    if (this.categories) return this.categories.indexOf(value);
    return Number.isNaN(value) ? -1 : this.inner.filter((end) => end <= value).length;
  }

  /** The ends of a bin on the axis; null if there is no such bin. */
  span(bin) {
    if (!this.categories) return bin + 1 < this.ends.length ? [this.ends[bin], this.ends[bin + 1]] : null;
    const index = this.categories[bin];
    return index === undefined ? null : [index - 0.5, index + 0.5];
  }
}

/** The grid of two columns. */
class Grid {
  /**
   * @param {PairsContent} pairs
   * @param {DrawnColumn} x
   * @param {DrawnColumn} y
   */
  constructor({ bins, ends, counts }, x, y) {
    const all = ends.length / (bins + 1);
    const [a, b] = [x, y].map(placeOf);
    const [low, high] = [Math.min(a, b), Math.max(a, b)];
    const first = ((low * (2 * all - low - 1)) / 2 + high - low - 1) * bins * bins;
    const own = (place) => ends.subarray(place * (bins + 1), (place + 1) * (bins + 1));
    this.count = bins;
    this.x = new Bins(x, own(a));
    this.y = new Bins(y, own(b));
    this.counts = (i, j) => counts[first + (a < b ? i * bins + j : j * bins + i)];
    this.rows = counts.subarray(first, first + bins * bins).reduce((sum, n) => sum + n, 0);
  }

  /** Calls a function with every cell. */
  each(see) {
    for (let i = 0; i < this.count; i++) for (let j = 0; j < this.count; j++) see(i, j, this.counts(i, j));
  }

  /**
   * Shades the cells, the darker the denser the training rows.
   * @param {CanvasRenderingContext2D} context
   * @param {(value: number) => number} across the pixel of a value
   * @param {(value: number) => number} up
   */
  shade(context, across, up) {
    /** @type {[density: number, left: number, top: number, width: number, height: number][]} */
    const cells = [];
    this.each((i, j, n) => {
      const [columns, lines] = [this.x.span(i), this.y.span(j)];
      if (!n || !columns || !lines) return;
      const [left, right] = columns.map(across);
      const [bottom, top] = lines.map(up);
      const [width, height] = [Math.max(LEAST_SIDE, right - left), Math.max(LEAST_SIDE, bottom - top)];
      cells.push([n / (width * height), (left + right - width) / 2, (top + bottom - height) / 2, width, height]);
    });
    const densest = Math.max(...cells.map(([density]) => density));
    for (const [density, ...box] of cells) {
      context.globalAlpha = (DARKEST * Math.log1p((FADING * density) / densest)) / Math.log1p(FADING);
      context.fillRect(...box);
    }
    context.globalAlpha = 1;
  }

  /**
   * The overlap of the shares of drawn rows and of training rows in the cells, and that of as many training rows, on
   * average: 1 less the total variation distance.
   * @param {DrawnColumn} x
   * @param {DrawnColumn} y
   * @returns {[own: number, expected: number] | null} null if a side has no rows in the cells
   */
  overlap(x, y, rows) {
    const found = new Float64Array(this.count ** 2);
    let n = 0;
    for (let r = 0; r < rows; r++) {
      const [i, j] = [this.x.of(x.values[r]), this.y.of(y.values[r])];
      if (i < 0 || j < 0) continue;
      found[i * this.count + j]++;
      n++;
    }
    if (!n || !this.rows) return null;
    let [own, expected] = [0, 1];
    this.each((i, j, count) => {
      const share = count / this.rows;
      own += Math.min(share, found[i * this.count + j] / n);
      // Half the mean absolute difference of two binomial shares, as normal ones.
      expected -= Math.sqrt((share * (1 - share) * (1 / n + 1 / this.rows)) / (2 * Math.PI));
    });
    return [own, Math.max(0, expected)];
  }
}

/**
 * The grid of two columns; null if the model holds none.
 * @param {PairsContent | null} pairs
 * @param {DrawnColumn} x
 * @param {DrawnColumn} y
 */
const gridOf = (pairs, x, y) => (pairs && placeOf(x) !== placeOf(y) ? new Grid(pairs, x, y) : null);

Object.assign(window.pointillist, { gridOf });
