/* The first two steps of the explainer, which share a time t: adding noise, and guessing what was there. */

const { Stage, chart, keyOf, latest, levelAt, pool } = window.pointillist;

/** Normal numbers, by the Box-Muller transform. */
const normals = (length) =>
  Float32Array.from({ length }, () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()));

const noised = (rows, noise, { alpha, sigma }) => rows.map((value, i) => alpha * value + sigma * noise[i]);

const percent = (share) => `${(100 * share).toFixed(share < 0.095 ? 1 : 0)} %`;

/** Rows with noise, and how much of the data the schedule leaves at each time. */
class NoiseStep {
  /** @type {StudyDataset} set by `show`, like the next two */
  dataset;
  /** @type {StudyModel} */
  model;
  /** @type {Level} */
  level;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.readout = root.querySelector(".readout");
    this.chart = root.querySelector(".curve");
    this.keys = root.querySelector(".keys");
    const onPick = (row) => {
      this.scene.chosen = row;
      this.#trace();
      this.scene.draw();
    };
    this.scene = new Stage(root.querySelector("canvas"), { onPick, show: { real: false } }).scene;
  }

  /** @param {Shown} shown */
  show({ dataset, model, t }) {
    if (this.dataset !== dataset) {
      this.noise = normals(dataset.real.length);
      this.scene.chosen = null;
    }
    const [level, last] = [t, model.timesteps].map((time) => levelAt(model, time));
    Object.assign(this, { dataset, model, level });
    this.scene.setDataset(dataset, model.columns);
    this.#trace();
    this.scene.setRows(noised(dataset.real, this.noise, level), level);
    const kl = model.prior_kl;
    this.readout.textContent =
      `Now ${percent(level.alpha ** 2)} of a unit variance is the data's, at T = ${model.timesteps} ${percent(last.alpha ** 2)}.` +
      (kl === undefined ? "" : ` Pure noise is off by ${kl < 0.001 ? "less than 0.001" : kl.toPrecision(2)} nats per column.`);
    this.#drawSchedule(model, t);
  }

  #drawSchedule(model, t) {
    const T = model.timesteps;
    const n = Math.min(T, 200);
    const times = Array.from({ length: n + 1 }, (_, i) => Math.round((i * T) / n));
    const series = model.schedule.map((table, i) => ({
      name: ["α, factor of the data", "σ, factor of the noise"][i],
      color: i,
      dash: i,
      points: times.map((time) => [time, table[time]]),
    }));
    chart(this.chart, {
      label: `α and σ of ${model.title}, t from 0 to ${T}`,
      x: { range: [0, T], name: "t" },
      y: { range: [0, 1], name: "factor" },
      series,
      marker: t,
    });
    this.keys.replaceChildren(...keyOf(series));
  }

  /** Traces a row from t = 0 to the current time, with the same noise. */
  #trace() {
    const { scene, dataset, noise, model, level } = this;
    const { chosen } = scene;
    scene.path = null;
    if (chosen === null) return;
    const of = (numbers) => numbers.subarray(chosen * model.columns, (chosen + 1) * model.columns);
    const levels = Array.from({ length: 41 }, (_, i) => levelAt(model, (level.t * i) / 40));
    scene.path = Float32Array.from(levels.flatMap((each) => [...noised(of(dataset.real), of(noise), each)]));
  }
}

/** Noisy rows and the network's predictions for a point, a grid, and all rows. */
class DenoiseStep {
  /** @type {StudyDataset} set by `show` */
  dataset;
  /** @type {Shown} set by `show` */
  state;
  /** @type {ArrayLike<number> | null} x_t to predict from; null for a row's x_t */
  point = null;
  row = 0;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.readout = root.querySelector(".readout");
    const [asked, answers] = root.querySelectorAll("canvas");
    const onPick = (row, x, y) => this.#ask(row, x, y);
    this.asked = new Stage(asked, { onPick, show: { real: false, field: true } });
    this.answers = new Stage(answers, { onPick: () => {}, hasKeys: false });
    this.update = latest((state) => this.#update(state));
  }

  /** @param {Shown} state */
  show(state) {
    if (this.dataset !== state.dataset) {
      this.dataset = state.dataset;
      this.noise = normals(state.dataset.real.length);
      this.point = state.model.columns === 2 ? [0.5, 0.9] : null;
      this.row = 0;
    }
    this.update(state);
  }

  /** Predicts from a point of the picture, or from a row (by keyboard, or in three columns). */
  #ask(row, x, y) {
    if (!this.state || (row === null && x === undefined)) return;
    const { scene } = this.asked;
    scene.chosen = row;
    if (this.state.model.columns !== 2) this.row = row ?? this.row;
    else if (x !== undefined) this.point = scene.at(x, y);
    else if (row !== null && scene.x) this.point = Array.from(scene.x.subarray(2 * row, 2 * row + 2));
    this.update(this.state);
  }

  /** @param {Shown} state */
  async #update(state) {
    const { dataset, model } = state;
    const level = levelAt(model, Math.max(1, state.t));
    this.state = state;
    const x = noised(dataset.real, this.noise, level);
    const { scene } = this.asked;
    scene.setDataset(dataset, model.columns);
    Object.assign(scene, { x, level, labels: null });
    const field = scene.fieldPoints();
    const point = Float32Array.from(this.point ?? x.subarray(this.row * model.columns, (this.row + 1) * model.columns));
    const x0 = await pool.predict(model.id, level.lambda, Float32Array.of(...x, ...field, ...point));
    const ofField = x0.subarray(x.length, x.length + field.length);
    const ofPoint = x0.subarray(x.length + field.length);
    scene.field = { from: field, to: ofField.map((value) => value * level.alpha) };
    scene.guess = { from: point, to: ofPoint };
    scene.setRows(x, level);
    this.answers.scene.setDataset(dataset, model.columns);
    this.answers.scene.setRows(x0.slice(0, x.length));
    const text = (values) => `(${Array.from(values, (value) => value.toFixed(2)).join(", ")})`;
    this.readout.textContent = `At t = ${Math.round(level.t)} the network answers x̂₀ = ${text(ofPoint)} for xₜ = ${text(point)}.`;
  }
}

Object.assign(window.pointillist, { NoiseStep, DenoiseStep });
