/* Histograms of pairs of columns of the training rows, which the model holds. */

/** How dark the densest of many cells is, of few large ones for each, and how fast thin ones fade. */
const [DARKEST, EACH_DARKER, FADING] = [0.4, 0.02, 50];
/** Smallest side of a cell in pixels; a repeated value would have no width. */
const LEAST_SIDE = 3;

/** @param {PageColumn} column */
const pairIndexOf = (column) => column.token ?? column.pair;

/** The bins of a column's axis. */
class Bins {
  /**
   * @param {PageColumn} column
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

  /** The ends of a bin on the axis; null for an unused bin. */
  span(bin) {
    if (!this.categories) return bin + 1 < this.ends.length ? [this.ends[bin], this.ends[bin + 1]] : null;
    const index = this.categories[bin];
    return index === undefined ? null : [index - 0.5, index + 0.5];
  }

  /** Whether rows that meet a condition are counted: those of rare categories and missing cells are not. */
  hasCounted(/** @type {AskedValues} */ { values }) {
    return !values || values.every((value) => (this.categories ? this.categories.includes(value) : !Number.isNaN(value)));
  }

  /**
   * Whether a bin can hold values that meet a condition.
   * @param {AskedValues} asked
   */
  canMeet(bin, asked) {
    const { values, low = -Infinity, high = Infinity } = asked;
    if (values) return values.some((value) => this.of(value) === bin);
    const span = this.span(bin);
    return span !== null && span[0] <= high && span[1] >= low;
  }
}

/** The grid of two columns. */
class Grid {
  /**
   * @param {PairsContent} pairs
   * @param {PageColumn} x
   * @param {PageColumn} y
   */
  constructor({ bins, ends, counts }, x, y) {
    const all = ends.length / (bins + 1);
    const [a, b] = [x, y].map(pairIndexOf);
    const [low, high] = [Math.min(a, b), Math.max(a, b)];
    const first = ((low * (2 * all - low - 1)) / 2 + high - low - 1) * bins * bins;
    const endsOf = (index) => ends.subarray(index * (bins + 1), (index + 1) * (bins + 1));
    this.count = bins;
    this.x = new Bins(x, endsOf(a));
    this.y = new Bins(y, endsOf(b));
    this.counts = (i, j) => counts[first + (a < b ? i * bins + j : j * bins + i)];
    this.rows = counts.subarray(first, first + bins * bins).reduce((sum, n) => sum + n, 0);
  }

  /** Total variation between the two columns and independent ones. */
  get dependence() {
    const [across, up] = [new Float64Array(this.count), new Float64Array(this.count)];
    this.each((i, j, n) => ((across[i] += n / this.rows), (up[j] += n / this.rows)));
    let sum = 0;
    this.each((i, j, n) => (sum += Math.abs(n / this.rows - across[i] * up[j])));
    return sum / 2;
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
    // Large cells would hide the points.
    const darkest = Math.min(DARKEST, EACH_DARKER * cells.length);
    for (const [density, ...box] of cells) {
      context.globalAlpha = (darkest * Math.log1p((FADING * density) / densest)) / Math.log1p(FADING);
      context.fillRect(...box);
    }
    context.globalAlpha = 1;
  }

  /**
   * Overlap of drawn and training rows over the cells (1 minus the total variation distance), and its expectation for
   * the same number of training rows.
   * @param {DrawnColumn} x
   * @param {DrawnColumn} y
   * @returns {[shared: number, expected: number] | null} null if a side has no rows in the cells
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
    let [shared, expected] = [0, 1];
    this.each((i, j, count) => {
      const share = count / this.rows;
      shared += Math.min(share, found[i * this.count + j] / n);
      // Half the mean absolute difference of two binomial fractions, by the normal approximation.
      expected -= Math.sqrt((share * (1 - share) * (1 / n + 1 / this.rows)) / (2 * Math.PI));
    });
    return [shared, Math.max(0, expected)];
  }
}

/**
 * The grid of two columns; null if the model holds none.
 * @param {PairsContent | null} pairs
 * @param {PageColumn} x
 * @param {PageColumn} y
 */
const gridOf = (pairs, x, y) => (pairs && pairIndexOf(x) !== pairIndexOf(y) ? new Grid(pairs, x, y) : null);

/**
 * Names the columns whose conditions no training row meets together, as far as the grids show it; empty if they show none.
 * @param {PairsContent | null} pairs
 * @param {PageColumn[]} columns
 * @param {Wish[]} wishes
 */
function unmet(pairs, columns, wishes) {
  for (const wish of wishes) {
    for (const column of columns) {
      const other = wishes.find((each) => each.column === column);
      const grid = other || !(column.nominal || column.has_missing) ? gridOf(pairs, wish.column, column) : null;
      if (!grid || !grid.x.hasCounted(wish) || !grid.y.hasCounted(other ?? {})) continue;
      let met = 0;
      grid.each((i, j, n) => (met += grid.x.canMeet(i, wish) && grid.y.canMeet(j, other ?? {}) ? n : 0));
      if (!met) return other ? [wish.column.name, column.name] : [wish.column.name];
    }
  }
  return [];
}

Object.assign(window.pointillist, { gridOf, unmet });
