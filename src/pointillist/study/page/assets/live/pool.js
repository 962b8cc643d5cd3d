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
   * Draws rows, and stops the last run of the same channel.
   * @param {Run} options
   * @param {(index: number, level: Level, x: Float32Array) => void} onFrame called in order of index, from x_T on
   * @returns {Promise<Float32Array|null>} the rows, rows × columns; null if it was stopped
   */
  async run(options, onFrame = () => {}, channel = "live") {
    const run = this.nextRun++;
    this.latest.set(channel, run);
    await this.load(options.id);
    if (this.latest.get(channel) !== run) return null;
    const columns = this.models.get(options.id)?.columns ?? 0;
    const { prior, labels, rows, ...rest } = options;
    /** @type {(Frame & {parts: number})[]} */
    const frames = [];
    let shown = 0;
    const answers = this.workers.map((worker, i, { length }) => {
      const [firstRow, last] = [i, i + 1].map((part) => Math.round((rows * part) / length));
      return this.call(worker, {
        type: "run",
        run,
        channel,
        variance: "posterior",
        guidance: 0,
        ...rest,
        firstRow,
        rows: last - firstRow,
        labels: labels?.slice(firstRow, last),
        prior: prior?.slice(firstRow * columns, last * columns),
      });
    });
    this.runs.set(run, ({ index, level, x, firstRow }) => {
      frames[index] ??= { level, x: new Float32Array(rows * columns), parts: 0 };
      frames[index].x.set(x, firstRow * columns);
      frames[index].parts++;
      for (; frames[shown]?.parts === this.workers.length; shown++) {
        onFrame(shown, frames[shown].level, frames[shown].x);
      }
    });
    const ends = await Promise.all(answers);
    this.runs.delete(run);
    return ends.some((end) => end.stopped) ? null : frames[frames.length - 1].x;
  }

  /** Stops the last run of a channel. */
  stop(channel = "live") {
    this.latest.delete(channel);
    this.workers.forEach((worker) => this.call(worker, { type: "stop", channel }).catch(() => {}));
  }

  /**
   * Predicts x̂_0 of a few rows at log-SNR λ.
   * @param {{label?: number | null, guidance?: number}} condition
   * @returns {Promise<Float32Array>}
   */
  async predict(id, lambda, x, condition = {}) {
    await this.load(id);
    return (await this.call(this.workers[this.workers.length - 1], { type: "predict", id, lambda, x, ...condition })).x0;
  }
}

Object.assign(window.pointillist, { Pool });
