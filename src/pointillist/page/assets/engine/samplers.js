/* Schedules, denoisers and samplers, as the Python package has them; a sampler is a generator of its states. */

/** The λ at which solvers begin if a schedule goes lower. */
const LOWEST_LAMBDA = -2.3;

/** Predictions are not clipped where sigma / alpha is below this fraction of a column's sigma_data. */
const UNCLIPPED = 0.1;

/** alpha and sigma for a value of λ = log(alpha / sigma). */
function atLambda(lambda) {
  return { lambda, alpha: Math.sqrt(1 / (1 + Math.exp(-2 * lambda))), sigma: Math.sqrt(1 / (1 + Math.exp(2 * lambda))) };
}

/** The table of alpha_t and sigma_t, t = 0 … T. */
class Schedule {
  constructor(/** @type {Float32Array} */ alpha, /** @type {Float32Array} */ sigma) {
    this.alpha = alpha;
    this.sigma = sigma;
    this.timesteps = alpha.length - 1;
    this.logSNR = Float64Array.from({ length: this.timesteps }, (_, i) => Math.log(alpha[i + 1] / sigma[i + 1]));
  }

  /** The noise level at an integer time. */
  at(t) {
    const [alpha, sigma] = [this.alpha[t], this.sigma[t]];
    return { t, alpha, sigma, lambda: Math.log(alpha / sigma) };
  }

  /** The noise level for a value of λ, with its time, which may lie between integers. */
  atLambda(lambda) {
    const table = this.logSNR;
    let [low, high] = [0, table.length - 1];
    if (lambda >= table[0]) return { ...atLambda(table[0]), t: 1 };
    if (lambda <= table[high]) return { ...atLambda(table[high]), t: high + 1 };
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (table[middle] >= lambda) low = middle;
      else high = middle;
    }
    return { ...atLambda(lambda), t: 1 + low + (table[low] - lambda) / (table[low] - table[high]) };
  }

  /** λ at t = T and at t = 1, the lowest and the highest. */
  get range() {
    return [this.logSNR[this.timesteps - 1], this.logSNR[0]];
  }
}

/** E[x_0 | x_t] by a network, for rows that lie row after row: Float32Array(rows × columns). */
class Denoiser {
  constructor(/** @type {Memory} */ memory, /** @type {NumberNetworkContent} */ model) {
    this.memory = memory;
    this.model = model;
    this.columns = model.columns;
    this.schedule = new Schedule(model.alpha, model.sigma);
    this.network = new NETWORKS[model.network](memory, model);
    this.block = memory.take(this.columns * BLOCK);
    /** @type {Float64Array[]} */
    this.classShares = [];
  }

  #coefficients({ alpha, sigma }) {
    const sigmaData = this.model.sigma_data;
    const each = (value) => sigmaData.map(() => value);
    switch (this.model.prediction) {
      case "eps":
        return { inside: each(1), skip: each(1 / alpha), out: each(-sigma / alpha) };
      case "v":
        return { inside: each(1), skip: each(alpha), out: each(-sigma) };
      case "x0":
        return { inside: each(1), skip: each(0), out: each(1) };
      default: {
        const total = sigmaData.map((s) => sigma ** 2 + (alpha * s) ** 2);
        return {
          inside: total.map((v) => 1 / Math.sqrt(v)),
          skip: total.map((v, i) => (alpha * sigmaData[i] ** 2) / v),
          out: total.map((v, i) => (sigma * sigmaData[i]) / Math.sqrt(v)),
        };
      }
    }
  }

  #classShare(label) {
    if (!this.model.class_embedding) return null;
    this.classShares[label] ??= this.network.share(
      sinusoidalEmbedding(label, this.model.class_embedding),
      this.model.time_embedding,
    );
    return this.classShares[label];
  }

  /**
   * @param {Float32Array} x rows × columns
   * @param {Level} level
   * @param {{label?: number | null, guidance?: number}} condition the label null is "no class"
   */
  predict(x, level, { label = null, guidance = 0 } = {}) {
    const none = this.model.n_classes;
    const given = this.#predict(x, level, label ?? none);
    if (label === null || guidance === 0) return given;
    const free = this.#predict(x, level, none);
    return given.map((value, i) => value + guidance * (value - free[i]));
  }

  #predict(x, level, label) {
    const { columns, network, memory } = this;
    const { bounds, sigma_data } = this.model;
    const { inside, skip, out } = this.#coefficients(level);
    const isClipped = sigma_data.map((deviation) => level.sigma >= UNCLIPPED * level.alpha * deviation);
    const share = network.share(network.ofNoiseLevel(level.t, level.lambda, this.model.time_embedding));
    this.#classShare(label)?.forEach((value, i) => (share[i] += value));
    const x0 = new Float32Array(x.length);
    const rows = x.length / columns;
    for (let first = 0; first < rows; first += BLOCK) {
      const n = Math.min(BLOCK, rows - first);
      const block = memory.view(this.block, columns * BLOCK);
      for (let r = 0; r < n; r++)
        for (let c = 0; c < columns; c++) block[c * BLOCK + r] = inside[c] * x[(first + r) * columns + c];
      const result = memory.view(network.apply(this.block, share), columns * BLOCK);
      for (let r = 0; r < n; r++)
        for (let c = 0; c < columns; c++) {
          const i = (first + r) * columns + c;
          const value = skip[c] * x[i] + out[c] * result[c * BLOCK + r];
          x0[i] = bounds && isClipped[c] ? Math.min(bounds[1][c], Math.max(bounds[0][c], value)) : value;
        }
    }
    return x0;
  }
}

/** Normal numbers with one stream per row, so that a row does not depend on the other rows of its block. */
class Noise {
  constructor(seed, firstRow, rows, columns) {
    this.columns = columns;
    this.state = new Uint32Array(rows * 4);
    for (let r = 0; r < rows; r++) {
      const state = this.state.subarray(4 * r, 4 * r + 4);
      state.set([seed, firstRow + r, 0x9e3779b9, 1]);
      for (let i = 0; i < 15; i++) this.#next(state);
    }
  }

  /** sfc32, a small fast counting generator (C. Doty-Humphrey, PractRand). */
  #next(s) {
    const sum = (s[0] + s[1] + s[3]) >>> 0;
    s[3] = s[3] + 1;
    s[0] = s[1] ^ (s[1] >>> 9);
    s[1] = s[2] + (s[2] << 3);
    s[2] = ((s[2] << 21) | (s[2] >>> 11)) + sum;
    return sum;
  }

  /** Fresh numbers of N(0, 1) for all rows, by the method of Box and Muller. */
  draw() {
    const rows = this.state.length / 4;
    const out = new Float32Array(rows * this.columns);
    for (let r = 0; r < rows; r++) {
      const state = this.state.subarray(4 * r, 4 * r + 4);
      for (let c = 0; c < this.columns; c += 2) {
        const radius = Math.sqrt(-2 * Math.log((this.#next(state) + 1) / 4294967296));
        const angle = (2 * Math.PI * this.#next(state)) / 4294967296;
        out[r * this.columns + c] = radius * Math.cos(angle);
        if (c + 1 < this.columns) out[r * this.columns + c + 1] = radius * Math.sin(angle);
      }
    }
    return out;
  }
}

/** Steps at the times T · (K - i) / K of the schedule; yields the level and the rows after each step. */
function* byTransitions(schedule, x, predict, steps, transition) {
  const time = (i) => Math.floor((schedule.timesteps * (steps - i)) / steps);
  for (let i = 0; i < steps; i++) {
    const [from, to] = [schedule.at(time(i)), schedule.at(time(i + 1))];
    x = transition(predict(x, from), x, from, to);
    yield { level: to, x };
  }
}

/**
 * Steps by the distribution of x at a time, given x at a later time and x_0.
 * @param {Schedule} schedule
 * @param {Float32Array} x
 * @param {(x: Float32Array, level: Level) => Float32Array} predict
 * @param {{steps: number, noise?: any, variance: "beta" | "posterior" | "zero"}} settings noise: a `Noise`, if there is
 *   variance
 */
function ancestral(schedule, x, predict, { steps, noise, variance }) {
  const shares = { beta: () => 1, posterior: (from, to) => (to.sigma / from.sigma) ** 2, zero: () => 0 };
  return byTransitions(schedule, x, predict, steps, (x0, x, from, to) => {
    const ratio = from.alpha / to.alpha;
    const beta = from.sigma ** 2 - ratio ** 2 * to.sigma ** 2;
    const ofX0 = (to.alpha * beta) / from.sigma ** 2;
    const ofX = (ratio * to.sigma ** 2) / from.sigma ** 2;
    const std = to.t === 0 ? 0 : Math.sqrt(beta * shares[variance](from, to));
    const z = std > 0 ? noise.draw() : null;
    return x.map((value, i) => ofX0 * x0[i] + ofX * value + (z ? std * z[i] : 0));
  });
}

function ddim(schedule, x, predict, { steps }) {
  return byTransitions(schedule, x, predict, steps, (x0, x, from, to) =>
    x.map((value, i) => to.alpha * x0[i] + (to.sigma * (value - from.alpha * x0[i])) / from.sigma),
  );
}

/** Evenly spaced λ from the schedule's end, or the start of solvers, to λ at t = 1. */
function lambdas(schedule, points) {
  const [end, highest] = schedule.range;
  const lowest = Math.max(end, LOWEST_LAMBDA);
  return Float64Array.from({ length: points }, (_, i) => lowest + (i / (points - 1)) * (highest - lowest));
}

/** Factors of a step of DPM-Solver++ by h in λ: of x, of the extrapolated x̂_0, and of noise, if there is some. */
function dpmFactors(from, to, h, isNoisy) {
  const of = isNoisy ? 2 : 1;
  const ofX = isNoisy ? (to.sigma / from.sigma) * Math.exp(-h) : to.sigma / from.sigma;
  return { ofX, ofD: -to.alpha * Math.expm1(-of * h), ofZ: to.sigma * Math.sqrt(-Math.expm1(-2 * h)) };
}

/**
 * DPM-Solver++(2M).
 * @param {Schedule} schedule
 * @param {Float32Array} x
 * @param {(x: Float32Array, level: Level) => Float32Array} predict
 * @param {{steps: number, noiseOf?: (i: number) => Float32Array}} settings noiseOf: noise of the step to point i,
 *   rows × columns; without it, the probability-flow ODE is solved
 */
function* dpm(schedule, x, predict, { steps, noiseOf }) {
  const points = lambdas(schedule, steps);
  /** @type {Float32Array | undefined} */
  let before;
  for (let i = 0; i < steps - 1; i++) {
    const x0 = predict(x, schedule.atLambda(points[i]));
    const [from, to] = [atLambda(points[i]), schedule.atLambda(points[i + 1])];
    const { ofX, ofD, ofZ } = dpmFactors(from, to, points[i + 1] - points[i], Boolean(noiseOf));
    const [last, z] = [before, noiseOf?.(i + 1)];
    const D = last ? x0.map((value, k) => 1.5 * value - 0.5 * last[k]) : x0;
    x = x.map((value, k) => ofX * value + ofD * D[k] + (z ? ofZ * z[k] : 0));
    before = x0;
    yield { level: to, x };
  }
  yield { level: schedule.at(0), x: predict(x, schedule.atLambda(points[steps - 1])) };
}

/** Heun's method; states are given as x_t = alpha_t y. */
function* heun(schedule, x, predict, { steps }) {
  const points = lambdas(schedule, steps);
  const slope = (y, lambda) => {
    const level = schedule.atLambda(lambda);
    const x0 = predict(y.map((value) => level.alpha * value), level);
    return y.map((value, k) => (value - x0[k]) * Math.exp(lambda));
  };
  let y = x.map((value) => value / atLambda(points[0]).alpha);
  for (let i = 0; i < steps - 1; i++) {
    const change = Math.exp(-points[i + 1]) - Math.exp(-points[i]);
    const first = slope(y, points[i]);
    const second = slope(y.map((value, k) => value + change * first[k]), points[i + 1]);
    y = y.map((value, k) => value + (change * (first[k] + second[k])) / 2);
    const level = schedule.atLambda(points[i + 1]);
    yield { level, x: y.map((value) => level.alpha * value) };
  }
  const last = schedule.atLambda(points[steps - 1]);
  yield { level: schedule.at(0), x: predict(y.map((value) => last.alpha * value), last) };
}

const SAMPLERS = { ancestral, ddim, dpm, heun };

/** The level that a sampler starts from. */
function startOf(sampler, schedule) {
  if (sampler === "ancestral" || sampler === "ddim") return schedule.at(schedule.timesteps);
  return schedule.atLambda(Math.max(schedule.range[0], LOWEST_LAMBDA));
}

/** Rows of one label after another are predicted together. */
function predictByLabel(denoiser, x, level, labels, guidance) {
  if (!labels) return denoiser.predict(x, level, {});
  const out = new Float32Array(x.length);
  for (let first = 0, last; first < labels.length; first = last) {
    for (last = first; last < labels.length && labels[last] === labels[first]; last++);
    const part = x.subarray(first * denoiser.columns, last * denoiser.columns);
    out.set(denoiser.predict(part, level, { label: labels[first], guidance }), first * denoiser.columns);
  }
  return out;
}
