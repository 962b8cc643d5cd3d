/* Draws rows at one moment: points, and a row's trajectory. */

const { Dots, View, LAYERS, color, contextOf, onTheme, rgb } = window.pointillist;
/** The level of rows without noise. */
const CLEAN = { alpha: 1, sigma: 0, t: 0, lambda: Infinity };
/** Largest distance of a click from a row, in pixels of the page. */
const REACH = 26;

/** Red, green and blue of a color of the style sheet. */
const rgbOf = (name) => rgb(color(name));

class Scene {
  /** @type {InstanceType<typeof View>} set by `setDataset`, like the next two */
  view;
  /** @type {StudyDataset} */
  dataset;
  /** @type {number} */
  columns;
  /** @type {Float32Array | null} rows × columns */
  x = null;
  /** @type {Level} */
  level = CLEAN;
  /** @type {ArrayLike<number> | null} classes of the rows; -1 for one that is not known */
  labels = null;
  /** @type {Float32Array | null} pixel coordinates of the rows, x and y in turn */
  points = null;
  /** @type {number | null} a row */
  chosen = null;
  /** @type {Float32Array | null} the row's trajectory */
  path = null;
  /** @type {(points: Float32Array) => Float32Array} from coordinates to pixels, set by `draw` */
  toPixels;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = contextOf(canvas);
    this.dots = new Dots();
    this.show = { real: true, ground: true };
    this.size = 1;
    this.margin = 1;
    new ResizeObserver(() => this.#resize()).observe(canvas);
    onTheme(() => this.draw());
  }

  get isSolid() {
    return this.view?.isSolid ?? false;
  }

  turnBy(yaw, pitch) {
    const { turn } = this.view;
    turn.yaw += yaw;
    turn.pitch = Math.min(1.5, Math.max(-1.5, turn.pitch + pitch));
    this.draw();
  }

  /** @param {StudyDataset} dataset */
  setDataset(dataset, columns) {
    if (this.view?.dataset === dataset && this.view.columns === columns) return;
    const turn = this.view?.turn;
    this.view = new View(dataset, columns);
    if (turn) this.view.turn = turn;
    Object.assign(this, { dataset, columns, x: null, path: null });
    this.draw();
  }

  /**
   * @param {Float32Array} x rows × columns
   * @param {Level} level
   * @param {ArrayLike<number> | null} labels
   */
  setRows(x, level = CLEAN, labels = null) {
    Object.assign(this, { x, level, labels });
    this.draw();
  }

  #resize() {
    const scale = Math.min(2, window.devicePixelRatio || 1);
    const side = Math.round(this.canvas.clientWidth * scale);
    if (side && side !== this.canvas.width) {
      this.canvas.width = this.canvas.height = side;
      this.draw();
    }
  }

  draw() {
    const { context, canvas, view } = this;
    if (!view || !canvas.width) return;
    const size = canvas.width;
    const scale = Math.min(2, window.devicePixelRatio || 1);
    const isBelow = view.isSolid || !this.show.ground;
    this.dots.begin(size, isBelow ? null : rgbOf("--panel"));
    context.fillStyle = color("--panel");
    if (isBelow) context[this.show.ground ? "fillRect" : "clearRect"](0, 0, size, size);
    const { level } = this;
    const half = this.margin * view.halfWidth(level);
    this.toPixels = (points) => points.map((value, i) => size / 2 + ((i % 2 ? -value : value) * size) / 2 / half);
    const points = this.x && this.toPixels(view.project(this.x));
    this.points = points;
    if (view.isSolid && this.show.ground) this.#drawBox(level.alpha, scale);
    if (this.show.real) {
      const real = this.dataset.real.map((value) => value * level.alpha);
      this.#scatter(this.toPixels(view.project(real)), null, [[rgbOf("--muted"), 0]], null, 0.7 * scale, 0.35);
    }
    if (points) {
      const styles = Array.from({ length: 8 }, (_, i) => [rgbOf(`--series-${i + 1}`), i]);
      this.#scatter(points, this.labels, styles, view.layers(this.x, half), this.size * scale, 1);
    }
    this.dots.paint(context);
    if (this.path) this.#drawPath(this.path, scale);
  }

  /** Draws points; points of solid rows that are far are drawn first, smaller and paler. */
  #scatter(points, kinds, styles, layers, scale, opacity) {
    const rows = points.length / 2;
    /** @type {[number[], number]} */
    const unknown = [rgbOf("--muted"), 0];
    for (let layer = 0; layer < (layers ? LAYERS : 1); layer++) {
      const near = layers ? layer / (LAYERS - 1) : 1;
      const size = layers ? scale * (0.65 + 0.5 * near) : scale;
      const layerOpacity = opacity * (layers ? 0.4 + 0.6 * near : 1);
      for (let r = 0; r < rows; r++) {
        if (layers && layers[r] !== layer) continue;
        const [fill, shape] = kinds && kinds[r] < 0 ? unknown : styles[kinds ? kinds[r] % styles.length : 0];
        this.dots.add(points[2 * r], points[2 * r + 1], fill, size, shape, layerOpacity);
      }
    }
  }

  #drawBox(alpha, scale) {
    const { context, view } = this;
    const edges = view.edges(alpha);
    for (const { ends, isBack } of edges) {
      context.globalAlpha = isBack ? 1 : 0.55;
      context.setLineDash(isBack ? [3 * scale, 3 * scale] : []);
      this.#line(this.toPixels(ends), isBack ? "--line" : "--muted", scale);
    }
    context.setLineDash([]);
    context.globalAlpha = 1;
    context.font = `${11 * scale}px system-ui, sans-serif`;
    context.fillStyle = color("--muted");
    context.textAlign = "center";
    view.named(edges).forEach(({ ends }, axis) => {
      const [x0, y0, x1, y1] = this.toPixels(ends);
      const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2];
      if (axis < 2) {
        context.fillText(this.dataset.axes[axis], x, Math.min(this.canvas.height - 4 * scale, y + 16 * scale));
        return;
      }
      context.save();
      context.translate(Math.max(10 * scale, x - 8 * scale), y);
      context.rotate(-Math.PI / 2);
      context.fillText(this.dataset.axes[axis], 0, 0);
      context.restore();
    });
    context.textAlign = "start";
  }

  /**
   * Draws a row's trajectory, with a dot for each state and a ring at the current one.
   * @param {Float32Array} states
   */
  #drawPath(states, scale) {
    const { chosen, points } = this;
    if (chosen === null || !points) return;
    const path = this.toPixels(this.view.project(states));
    this.#line(path, "--bg", 5 * scale);
    this.#line(path, "--fg", 1.8 * scale);
    if (path.length < 140) {
      this.dots.begin(this.canvas.width);
      this.#scatter(path, null, [[rgbOf("--fg"), 0]], null, 0.9 * scale, 1);
      this.dots.paint(this.context);
    }
    this.#ring(points[2 * chosen], points[2 * chosen + 1], scale);
  }

  #line(points, name, width) {
    const { context } = this;
    context.strokeStyle = color(name);
    context.lineWidth = width;
    context.lineJoin = "round";
    context.beginPath();
    for (let i = 0; i < points.length; i += 2) context.lineTo(points[i], points[i + 1]);
    context.stroke();
  }

  #ring(x, y, scale) {
    const { context } = this;
    for (const [i, name] of ["--bg", "--fg"].entries()) {
      context.strokeStyle = color(name);
      context.lineWidth = [5, 2.2][i] * scale;
      context.beginPath();
      context.arc(x, y, 7 * scale, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  /** The row nearest to a point of the page; null if none is near. */
  nearest(clientX, clientY) {
    if (!this.points) return null;
    const box = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / box.width;
    const [x, y] = [(clientX - box.left) * scale, (clientY - box.top) * scale];
    /** @type {[number | null, number]} */
    let [best, least] = [null, (REACH * scale) ** 2];
    for (let r = 0; 2 * r < this.points.length; r++) {
      const distance = (this.points[2 * r] - x) ** 2 + (this.points[2 * r + 1] - y) ** 2;
      if (distance < least) [best, least] = [r, distance];
    }
    return best;
  }
}

Object.assign(window.pointillist, { Scene });
