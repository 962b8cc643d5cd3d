/* The training worker: batches of noised rows, Adam, averaged weights, and progress reports. */

/** Generates numbers in [0, 1) from a seed (mulberry32). */
function uniforms(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296;
  };
}

const ADAM = { first: 0.9, second: 0.99, epsilon: 1e-8 };
/** Largest decay of the averaged weights, which draw rows. */
const MOST_KEPT = 0.999;

/** A network in training: "edm" prediction (Karras et al. 2022), every time 1 … T with one probability. */
class Training {
  constructor(/** @type {Memory} */ memory, /** @type {Learned} */ model, /** @type {Settings} */ settings) {
    this.memory = memory;
    this.model = model;
    this.settings = settings;
    this.uniform = uniforms(settings.seed);
    this.noise = new Noise(settings.seed, 0, settings.batch, model.columns);
    this.network = new TrainedMLP(memory, {
      columns: model.columns,
      features: model.time_embedding,
      width: settings.width,
      depth: settings.depth,
      rows: settings.batch,
    });
    this.network.begin(this.uniform);
    this.features = Array.from({ length: model.alpha.length }, (_, t) => sinusoidalEmbedding(t, model.time_embedding));
    this.parts = this.network.layers.flatMap((layer) => [
      [layer.weight, layer.ofWeight],
      [layer.offset, layer.ofOffset],
    ]);
    this.moments = this.parts.map(([values]) => [new Float32Array(values.length), new Float32Array(values.length)]);
    this.averages = this.parts.map(([values]) => values.slice());
    this.steps = 0;
  }

  /** Computes the loss and the gradients for rows x0 at times t with noise. */
  lossOf(x0, times, noise) {
    const { model, network, memory } = this;
    const { columns } = model;
    const rows = times.length;
    const x = memory.view(network.x, network.inputs * rows);
    const wanted = new Float32Array(columns * rows);
    for (let r = 0; r < rows; r++) {
      const [alpha, sigma] = [model.alpha[times[r]], model.sigma[times[r]]];
      for (let c = 0; c < columns; c++) {
        const s = model.sigma_data[c];
        const total = sigma ** 2 + (alpha * s) ** 2;
        const x_t = alpha * x0[r * columns + c] + sigma * noise[r * columns + c];
        x[c * rows + r] = x_t / Math.sqrt(total);
        // The target F for which skip x_t + out F = x_0.
        wanted[c * rows + r] =
          (x0[r * columns + c] - ((alpha * s * s) / total) * x_t) / ((sigma * s) / Math.sqrt(total));
      }
      const features = this.features[times[r]];
      for (let i = 0; i < features.length; i++) x[(columns + i) * rows + r] = features[i];
    }
    return network.loss(wanted);
  }

  /** Takes a training step on a batch of rows; returns the loss. */
  step(data) {
    const { columns } = this.model;
    const { batch } = this.settings;
    const n = data.length / columns;
    const T = this.model.alpha.length - 1;
    const x0 = new Float32Array(batch * columns);
    const times = new Int32Array(batch);
    for (let r = 0; r < batch; r++) {
      const row = Math.floor(n * this.uniform());
      for (let c = 0; c < columns; c++) x0[r * columns + c] = data[row * columns + c];
      times[r] = 1 + Math.floor(T * this.uniform());
    }
    const loss = this.lossOf(x0, times, this.noise.draw());
    this.#update();
    return loss;
  }

  #update() {
    const { first, second, epsilon } = ADAM;
    this.steps++;
    const kept = Math.min(MOST_KEPT, (1 + this.steps) / (10 + this.steps));
    const rate =
      this.settings.rate *
      Math.min(1, this.steps / 100) *
      (Math.sqrt(1 - second ** this.steps) / (1 - first ** this.steps));
    this.parts.forEach(([values, gradients], k) => {
      const [m, v] = this.moments[k];
      const average = this.averages[k];
      for (let i = 0; i < values.length; i++) {
        const g = gradients[i];
        m[i] += (1 - first) * (g - m[i]);
        v[i] += (1 - second) * (g * g - v[i]);
        values[i] -= (rate * m[i]) / (Math.sqrt(v[i]) + epsilon);
        average[i] += (1 - kept) * (values[i] - average[i]);
      }
    });
    for (const layer of this.network.layers) layer.pack();
  }

  /** The averaged weights, by their names in the page's models. */
  get tensors() {
    return Object.fromEntries(
      this.network.names.flatMap((name, i) => [
        [`${name}.weight`, this.averages[2 * i].slice()],
        [`${name}.bias`, this.averages[2 * i + 1].slice()],
      ]),
    );
  }
}

/** Time between two reports, in milliseconds. */
const REPORT = 400;
/** A worker trains once, and may be stopped before it starts. */
let isStopped = false;

Object.assign(handlers, {
  /**
   * Trains until it is stopped or all steps are done; reports the loss and the weights regularly and at the end.
   * @param {{model: Learned, settings: Settings, data: Float32Array, kernel: WebAssembly.Module, steps: number}} message
   */
  async train({ model, settings, data, kernel, steps }) {
    const training = new Training(new Memory(await WebAssembly.instantiate(kernel)), model, settings);
    let [reported, sum, count] = [performance.now(), 0, 0];
    const report = (isDone) => {
      const { steps: step, tensors } = training;
      self.postMessage({ progress: true, step, loss: sum / Math.max(1, count), tensors, isDone });
      [reported, sum, count] = [performance.now(), 0, 0];
    };
    do {
      for (let i = 0; i < 10; i++) sum += training.step(data);
      count += 10;
      if (performance.now() - reported > REPORT) report(false);
      await breath();
    } while (!isStopped && training.steps < steps);
    report(true);
    return {};
  },

  async stopTraining() {
    isStopped = true;
    return {};
  },
});
