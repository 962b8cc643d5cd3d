/* Projects rows to the plane: rows of three columns are turned, in a box. */

/** Number of layers, from far to near. */
const LAYERS = 6;

class View {
  constructor(/** @type {StudyDataset} */ dataset, columns) {
    this.dataset = dataset;
    this.columns = columns;
    this.isSolid = dataset.directions.length === 3;
    this.turn = { yaw: -0.6, pitch: 0.42 };
  }

  /**
   * Half the width of a picture of x_t: the data's extent and three standard deviations of noise.
   * @param {Pick<Level, "alpha" | "sigma">} level
   */
  halfWidth({ alpha, sigma }) {
    return Math.hypot((this.isSolid ? 1.02 : 1.15) * alpha * this.dataset.extent, 3 * sigma);
  }

  /** Directions to the right, upwards, and, for solid rows, towards the eye. */
  get axes() {
    const { directions } = this.dataset;
    if (!this.isSolid) return directions;
    const { yaw, pitch } = this.turn;
    const [sinY, cosY, sinP, cosP] = [Math.sin(yaw), Math.cos(yaw), Math.sin(pitch), Math.cos(pitch)];
    return [
      [cosY, sinY, 0],
      [sinY * sinP, -cosY * sinP, cosP],
      [sinY * cosP, -cosY * cosP, -sinP],
    ].map((axis) => axis.map((_, c) => axis.reduce((sum, a, k) => sum + a * directions[k][c], 0)));
  }

  /** Projects rows to two coordinates. */
  project(x) {
    const { origin } = this.dataset;
    const { columns, axes } = this;
    const rows = x.length / columns;
    const out = new Float32Array(2 * rows);
    const across = axes.length > 1 ? axes[1] : null;
    for (let r = 0; r < rows; r++) {
      let [a, b] = [0, 0];
      for (let c = 0; c < columns; c++) {
        const value = x[r * columns + c] - origin[c];
        // A number that is missing and that the picture does not show leaves the point where it is.
        if (axes[0][c]) a += value * axes[0][c];
        if (across?.[c]) b += value * across[c];
      }
      out[2 * r] = a;
      // Rows of a single column are spread out vertically.
      out[2 * r + 1] = across ? b : 0.8 * ((r * 0.618034) % 1) - 0.4;
    }
    return out;
  }

  /** The layer of each row, 0 is the farthest; null for flat rows. */
  layers(x, half) {
    if (!this.isSolid) return null;
    const towards = this.axes[2];
    return Uint8Array.from({ length: x.length / 3 }, (_, r) => {
      const depth = x[3 * r] * towards[0] + x[3 * r + 1] * towards[1] + x[3 * r + 2] * towards[2];
      return Math.max(0, Math.min(LAYERS - 1, Math.floor(((depth / half + 1) / 2) * LAYERS)));
    });
  }

  /** Edges of the box around the data, scaled by alpha, as two projected corners each; back edges first. */
  edges(alpha) {
    const [low, high] = this.dataset.box;
    const corner = (i) => [0, 1, 2].map((c) => alpha * ((i >> c) & 1 ? high[c] : low[c]));
    const towards = this.axes[2];
    const depth = (i) => corner(i).reduce((sum, value, c) => sum + value * towards[c], 0);
    const farthest = [0, 1, 2, 3, 4, 5, 6, 7].reduce((a, b) => (depth(b) < depth(a) ? b : a));
    const edges = [];
    for (let i = 0; i < 8; i++)
      for (let c = 0; c < 3; c++) {
        if ((i >> c) & 1) continue;
        const to = i | (1 << c);
        edges.push({
          axis: c,
          isBack: i === farthest || to === farthest,
          ends: this.project([...corner(i), ...corner(to)]),
        });
      }
    return edges.sort((a, b) => Number(b.isBack) - Number(a.isBack));
  }

  /** The edge that carries each axis's name: the lowest in front. */
  named(edges) {
    const middle = ({ ends }) => (ends[1] + ends[3]) / 2;
    return [0, 1, 2].map((axis) => {
      const front = edges.filter((edge) => edge.axis === axis && !edge.isBack);
      // The vertical axis is named at the side, where it hides nothing.
      const best = axis === 2 ? (e) => -(e.ends[0] + e.ends[2]) : (e) => -middle(e);
      return front.reduce((a, b) => (best(b) > best(a) ? b : a));
    });
  }
}

Object.assign(window.pointillist, { View, LAYERS });
