/* A picture of moving rows: their settings, their frames, and the row whose trajectory is shown. */

const { Scene, models, onDrag, pool } = window.pointillist;

/** The largest log-SNR that is shown on the way: the noise that is left cannot be seen. */
const LAST_LAMBDA = 5;

/** The position of a log-SNR among frames. */
function positionOf(/** @type {Frame[]} */ frames, lambda) {
  const next = frames.findIndex(({ level }) => level.lambda > lambda);
  if (next <= 0) return next ? frames.length - 1 : 0;
  const [from, to] = [next - 1, next].map((i) => Math.min(frames[i].level.lambda, LAST_LAMBDA));
  return next - 1 + (lambda - from) / (to - from);
}

/** The noise level of a variance-preserving process at a log-SNR. */
const levelOf = (lambda) => ({
  alpha: 1 / Math.sqrt(1 + Math.exp(-2 * lambda)),
  sigma: 1 / Math.sqrt(1 + Math.exp(2 * lambda)),
  lambda,
  t: NaN,
});

/**
 * Interpolates between two frames.
 * @param {Frame[]} frames
 * @returns {Frame}
 */
function momentOf(frames, position) {
  const [first, share] = [Math.floor(position), position % 1];
  const from = frames[first];
  if (!share) return from;
  const to = frames[first + 1];
  const between = (a, b) => a + share * (b - a);
  return {
    level: {
      alpha: between(from.level.alpha, to.level.alpha),
      sigma: between(from.level.sigma, to.level.sigma),
      lambda: between(from.level.lambda, Math.min(to.level.lambda, 10)),
      t: between(from.level.t, to.level.t),
    },
    x: from.x.map((value, i) => between(value, to.x[i])),
  };
}

class Stage {
  /** @type {Frame[]} */
  frames = [];
  total = 1;
  /** @type {StudyModel} set by `run` */
  model;
  /** @type {Int32Array | null} */
  labels = null;
  /** @type {Level} set by `show` */
  level;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {object} options
   * @param {string} [options.channel] a run replaces the last run of its channel
   * @param {number} [options.rows]
   * @param {() => void} [options.onFrame] after each new frame
   * @param {(row: number | null, clientX?: number, clientY?: number) => void} [options.onPick] a row was clicked, or
   *   chosen by keyboard
   * @param {Partial<InstanceType<typeof Scene>["show"]>} [options.show] what the scene shows
   * @param {boolean} [options.hasKeys] whether Enter picks another row, and arrow keys turn solid rows
   */
  constructor(canvas, { channel, rows = 1000, onFrame = () => {}, onPick, show = {}, hasKeys = true }) {
    this.scene = new Scene(canvas);
    Object.assign(this.scene.show, show);
    this.canvas = canvas;
    this.channel = channel;
    this.rows = rows;
    this.onFrame = onFrame;
    const picked = onPick ?? ((row) => this.pick(row));
    // A click picks a row, and dragging turns solid rows.
    onDrag(canvas, {
      move: (dx, dy) => this.scene.isSolid && this.scene.turnBy(0.01 * dx, 0.01 * dy),
      click: ({ clientX, clientY }) => picked(this.scene.nearest(clientX, clientY), clientX, clientY),
    });
    if (hasKeys) onKeys(canvas, this.scene, picked);
  }

  /**
   * Draws rows; returns them, or null if another run replaced this one.
   * @param {Omit<Run, "rows" | "seed"> & {seed?: number}} choices
   */
  async run({ id, ...choices }) {
    const model = models.get(id);
    /** @type {Frame[]} */
    const frames = [];
    this.model = model;
    this.frames = frames;
    // Long runs skip states.
    this.total = Math.ceil(choices.steps / Math.ceil(choices.steps / 200));
    this.labels = choices.labels ?? null;
    this.scene.setDataset(models.datasetOf(model), model.columns);
    const asked = { id, variance: model.variance, rows: this.rows, seed: 0, ...choices };
    const onFrame = (index, level, x) => {
      frames.push({ level, x });
      if (frames === this.frames) this.onFrame();
    };
    return pool.run(asked, onFrame, this.channel);
  }

  /** Finished fraction of the trajectory. */
  get ready() {
    return Math.max(0, this.frames.length - 1) / this.total;
  }

  /** Shows the moment at a fraction of the trajectory. */
  show(share) {
    if (!this.frames.length) return;
    const { level, x } = momentOf(this.frames, Math.min(share * this.total, this.frames.length - 1));
    this.level = level;
    this.#tracePath();
    this.scene.setRows(x, level, this.labels);
  }

  /** Shows the moment at a noise level, whatever the steps of the sampler. */
  showLevel(lambda) {
    if (!this.frames.length) return;
    const { x } = momentOf(this.frames, positionOf(this.frames, lambda));
    this.#tracePath();
    this.scene.setRows(x, levelOf(lambda), this.labels);
  }

  /** Shows the trajectory of a row; null for none. */
  pick(row) {
    this.scene.chosen = row;
    this.#tracePath();
    this.scene.draw();
  }

  #tracePath() {
    const { frames, scene } = this;
    scene.path = null;
    if (scene.chosen === null) return;
    const [first, last] = [scene.chosen, scene.chosen + 1].map((row) => row * scene.columns);
    scene.path = Float32Array.from(frames.flatMap(({ x }) => [...x.subarray(first, last)]));
  }
}

/** Another row, far away in the table, because neighbors in the table are often neighbors in space. */
const another = ({ chosen, points }) =>
  ((chosen ?? 0) + Math.floor(0.618034 * (points.length / 2))) % (points.length / 2);

/** @type {Record<string, [yaw: number, pitch: number]>} */
const TURNS = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };

/**
 * @param {HTMLCanvasElement} canvas
 * @param {InstanceType<typeof Scene>} scene
 * @param {(row: number | null) => void} onPick
 */
function onKeys(canvas, scene, onPick) {
  canvas.tabIndex = 0;
  canvas.addEventListener("keydown", (event) => {
    const [yaw, pitch] = TURNS[event.key] ?? [];
    if (event.key === "Enter" && scene.points) onPick(another(scene));
    else if (event.key === "Escape") onPick(null);
    else if (yaw !== undefined && scene.isSolid) scene.turnBy(yaw, pitch);
    else return;
    event.preventDefault();
  });
}

/** Number of network evaluations per row, without guidance. */
const evaluationsOf = (sampler, steps) => (sampler === "heun" ? 2 * steps - 1 : steps);

Object.assign(window.pointillist, { LAST_LAMBDA, Stage, evaluationsOf });
