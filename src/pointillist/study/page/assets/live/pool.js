"use strict";
/* The models of the page, and workers that draw rows of them. */

(() => {
  const MOST_WORKERS = 4;

  function bytes(base64) {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  }

  /** float16 as float32: sign, 5 bits of exponent, 10 of fraction. */
  function widened(halves) {
    return Float32Array.from(halves, (half) => {
      const [sign, exponent, fraction] = [half & 0x8000 ? -1 : 1, (half >> 10) & 31, half & 1023];
      if (exponent === 0) return sign * fraction * 2 ** -24;
      if (exponent === 31) return fraction ? NaN : sign * Infinity;
      return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
    });
  }

  function numbers(base64, type) {
    const { buffer } = bytes(base64);
    return type === "float16" ? widened(new Uint16Array(buffer)) : new Float32Array(buffer);
  }

  /** What the workers need of a model, its weights unpacked. */
  function unpacked(model) {
    const all = numbers(model.weights, model.weights_type);
    let first = 0;
    const tensors = {};
    for (const [name, shape] of model.shapes) {
      const length = shape.reduce((a, b) => a * b, 1);
      tensors[name] = all.subarray(first, first + length);
      first += length;
    }
    const [alpha, sigma] = [numbers(model.alpha, "float32"), numbers(model.sigma, "float32")];
    const { weights, shapes, ...rest } = model;
    return { ...rest, tensors, alpha, sigma };
  }

  class Pool {
    /**
     * @param {string} source the workers' program
     * @param {string} kernel WebAssembly, base64
     * @param {object[]} models as the page holds them
     */
    constructor(source, kernel, models) {
      this.models = new Map(models.map((model) => [model.id, model]));
      this.loaded = new Map();
      this.calls = new Map();
      this.runs = new Map();
      this.nextCall = 0;
      this.nextRun = 0;
      const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      const count = Math.min(MOST_WORKERS, Math.max(1, navigator.hardwareConcurrency || 2));
      this.workers = Array.from({ length: count }, () => {
        const worker = new Worker(url);
        worker.onmessage = ({ data }) => this.#receive(data);
        return worker;
      });
      this.kernel = WebAssembly.compile(bytes(kernel));
    }

    #call(worker, message) {
      return new Promise((resolve, reject) => {
        const call = this.nextCall++;
        this.calls.set(call, ({ error, ...rest }) => (error ? reject(new Error(error)) : resolve(rest)));
        worker.postMessage({ call, ...message });
      });
    }

    #receive(data) {
      if (data.frame) {
        this.runs.get(data.run)?.(data);
        return;
      }
      this.calls.get(data.answer)(data);
      this.calls.delete(data.answer);
    }

    /** Hands a model to all workers, once. */
    load(id) {
      if (!this.loaded.has(id)) {
        const model = unpacked(this.models.get(id));
        const given = this.kernel.then((kernel) =>
          Promise.all(this.workers.map((worker) => this.#call(worker, { type: "load", id, model, kernel }))),
        );
        this.loaded.set(id, given);
      }
      return this.loaded.get(id);
    }

    /**
     * Draws rows; a run that goes on is stopped.
     *
     * @param {{id: string, sampler: string, steps: number, seed: number, rows: number, variance?: string,
     *   guidance?: number, labels?: Int32Array, prior?: Float32Array}} options labels in order of the classes; prior
     *   rows × columns
     * @param {(index: number, level: object, x: Float32Array) => void} onFrame called in order of index, from x_T on
     * @returns {Promise<Float32Array|null>} the rows, rows × columns; null if it was stopped
     */
    async run(options, onFrame = () => {}) {
      const run = this.nextRun++;
      this.latest = run;
      await this.load(options.id);
      if (this.latest !== run) return null;
      const { columns } = this.models.get(options.id);
      const { prior, labels, rows, ...rest } = options;
      const share = (i) => Math.round((rows * i) / this.workers.length);
      const frames = [];
      let shown = 0;
      const firstOf = [];
      const answers = this.workers.map((worker, i) => {
        const [first, last] = [share(i), share(i + 1)];
        firstOf.push(first);
        return this.#call(worker, {
          type: "run",
          run,
          variance: "posterior",
          guidance: 0,
          ...rest,
          firstRow: first,
          rows: last - first,
          labels: labels?.slice(first, last),
          prior: prior?.slice(first * columns, last * columns),
          place: i,
        });
      });
      this.runs.set(run, ({ index, level, x, place }) => {
        frames[index] ??= { level, x: new Float32Array(rows * columns), parts: 0 };
        frames[index].x.set(x, firstOf[place] * columns);
        frames[index].parts++;
        for (; frames[shown]?.parts === this.workers.length; shown++) {
          onFrame(shown, frames[shown].level, frames[shown].x);
        }
      });
      const ends = await Promise.all(answers);
      this.runs.delete(run);
      return ends.some((end) => end.stopped) ? null : frames.at(-1).x;
    }

    /** Ends the run that goes on, if there is one. */
    stop() {
      this.latest = -1;
      this.workers.forEach((worker) => this.#call(worker, { type: "stop" }));
    }

    /** x̂_0 of a few rows at a noise level λ. */
    async predict(id, lambda, x, { label = null, guidance = 0 } = {}) {
      await this.load(id);
      return (await this.#call(this.workers.at(-1), { type: "predict", id, lambda, x, label, guidance })).x0;
    }
  }

  window.pointillist ??= {};
  window.pointillist.Pool = Pool;
  window.pointillist.unpackNumbers = numbers;
})();
