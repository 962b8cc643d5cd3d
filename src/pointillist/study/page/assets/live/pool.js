/* Draws rows in the page's workers, with their trajectories. */

const { Workers, tensorsOf } = window.pointillist;

class Pool extends Workers {
  runs = new Map();
  latest = new Map();
  nextRun = 0;

  /** @override */
  receive(data) {
    if (data.frame) this.runs.get(data.run)?.(data);
    else super.receive(data);
  }

  /**
   * Unpacks a model; a model trained in the page has its tensors already.
   * @override
   */
  async unpacked(model) {
    if (model.tensors) return model;
    const { shapes, schedule, ...others } = model;
    const [alpha, sigma] = schedule;
    const packed = JSON.parse(document.getElementById(`weights.${model.id}`)?.textContent ?? "{}");
    return { ...others, tensors: await tensorsOf({ ...model, ...packed }), alpha, sigma };
  }

  /** Adds or replaces a model with unpacked weights. */
  put(model) {
    this.models.set(model.id, model);
    this.loaded.delete(model.id);
  }

  /**
   * Draws rows, and stops the running run of the same channel.
   * @param {Run} options
   * @param {(index: number, level: Level, x: Float32Array) => void} onFrame called in order of index, from x_T on
   * @param {string} channel
   * @returns {Promise<Float32Array|null>} the rows, rows × columns; null if it was stopped
   */
  async run(options, onFrame = () => {}, channel = "live") {
    const run = this.nextRun++;
    this.latest.set(channel, run);
    await this.load(options.id);
    if (this.latest.get(channel) !== run) return null;
    const columns = this.models.get(options.id)?.columns ?? 0;
    const { prior, labels, rows, ...rest } = options;
    const share = (i) => Math.round((rows * i) / this.workers.length);
    /** @type {(Frame & {parts: number})[]} */
    const frames = [];
    let shown = 0;
    /** @type {number[]} */
    const firstOf = [];
    const answers = this.workers.map((worker, i) => {
      const [first, last] = [share(i), share(i + 1)];
      firstOf.push(first);
      return this.call(worker, {
        type: "run",
        run,
        channel,
        variance: "posterior",
        guidance: 0,
        ...rest,
        firstRow: first,
        rows: last - first,
        labels: labels?.slice(first, last),
        prior: prior?.slice(first * columns, last * columns),
        part: i,
      });
    });
    this.runs.set(run, ({ index, level, x, part }) => {
      frames[index] ??= { level, x: new Float32Array(rows * columns), parts: 0 };
      frames[index].x.set(x, firstOf[part] * columns);
      frames[index].parts++;
      for (; frames[shown]?.parts === this.workers.length; shown++) {
        onFrame(shown, frames[shown].level, frames[shown].x);
      }
    });
    const ends = await Promise.all(answers);
    this.runs.delete(run);
    return ends.some((end) => end.stopped) ? null : frames[frames.length - 1].x;
  }

  /** Stops the running run of a channel. */
  stop(channel = "live") {
    this.latest.delete(channel);
    this.workers.forEach((worker) => this.call(worker, { type: "stop", channel }).catch(() => {}));
  }

  /**
   * Predicts x̂_0 of a few rows at log-SNR λ.
   * @param {string} id
   * @param {number} lambda
   * @param {Float32Array} x
   * @param {{label?: number | null, guidance?: number}} condition
   * @returns {Promise<Float32Array>}
   */
  async predict(id, lambda, x, { label = null, guidance = 0 } = {}) {
    await this.load(id);
    const last = this.workers[this.workers.length - 1];
    return (await this.call(last, { type: "predict", id, lambda, x, label, guidance })).x0;
  }
}

Object.assign(window.pointillist, { Pool });
