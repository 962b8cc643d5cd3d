/* A picture of rows that walk: what they are drawn with, the frames of their walk, and a row whose path is shown. */

const { Scene, framesOf, models, momentOf, onDrag, pathOf, pool } = window.pointillist;

class Stage {
  /** @type {Frame[]} */
  frames = [];
  total = 1;
  /** @type {StudyModel} there once rows are drawn */
  model;
  /** @type {Int32Array | null} */
  labels = null;
  /** @type {Level} there once rows are shown */
  level;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {object} options
   * @param {string} [options.channel] runs of a channel replace each other
   * @param {number} [options.rows]
   * @param {() => void} [options.onFrame] after each new frame
   * @param {(row: number | null, clientX?: number, clientY?: number) => void} [options.onPick] a row was clicked, or
   *   chosen by keyboard
   * @param {Partial<InstanceType<typeof Scene>["show"]>} [options.show] what the scene shows
   * @param {boolean} [options.hasKeys] whether Enter picks another row and, of solid rows, arrow keys turn the
   *   picture
   */
  constructor(canvas, { channel, rows = 1000, onFrame = () => {}, onPick, show = {}, hasKeys = true }) {
    this.scene = new Scene(canvas);
    Object.assign(this.scene.show, show);
    this.canvas = canvas;
    this.channel = channel;
    this.rows = rows;
    this.onFrame = onFrame;
    const picked = onPick ?? ((row) => this.pick(row));
    // A click picks the row under it; of solid rows dragging turns the picture.
    onDrag(canvas, {
      move: (dx, dy) => this.scene.isSolid && this.scene.turnBy(0.01 * dx, 0.01 * dy),
      click: ({ clientX, clientY }) => picked(this.scene.nearest(clientX, clientY), clientX, clientY),
    });
    if (hasKeys) onKeys(canvas, this.scene, picked);
  }

  /**
   * Draws rows anew; gives them once all are there, null if another run came first.
   * @param {Omit<Run, "rows" | "seed"> & {seed?: number}} choices
   */
  async run({ id, ...choices }) {
    const model = models.get(id);
    /** @type {Frame[]} */
    const frames = [];
    this.model = model;
    this.frames = frames;
    this.total = framesOf(choices.steps);
    this.labels = choices.labels ?? null;
    this.scene.setDataset(models.datasetOf(model), model.columns);
    const asked = { id, variance: model.variance, rows: this.rows, seed: 0, ...choices };
    return pool.run(
      asked,
      (index, level, x) => {
        frames.push({ level, x });
        if (frames === this.frames) this.onFrame();
      },
      this.channel,
    );
  }

  /** How far the walk is known, as a share of it. */
  get ready() {
    return Math.max(0, this.frames.length - 1) / this.total;
  }

  get isReady() {
    return this.frames.length > this.total;
  }

  /** Shows the moment at a share of the walk. */
  show(share) {
    if (!this.frames.length) return;
    const { level, x } = momentOf(this.frames, Math.min(share * this.total, this.frames.length - 1));
    this.level = level;
    this.#tracePath();
    this.scene.setRows(x, level, this.labels);
  }

  /** Shows a row's whole path; null for none. */
  pick(row) {
    this.scene.chosen = row;
    this.#tracePath();
    this.scene.draw();
  }

  #tracePath() {
    const { scene } = this;
    scene.path = scene.chosen === null ? null : pathOf(this.frames, scene.chosen, this.model.columns);
  }
}

/** The golden ratio's share of the rows further on: neighbors in the table are often neighbors in space. */
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

Object.assign(window.pointillist, { Stage });
