"use strict";
/* The models of a page, and the workers that compute with them. */

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
    if (type === "float16") return widened(new Uint16Array(buffer));
    return type === "float64" ? new Float64Array(buffer) : new Float32Array(buffer);
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

  class Workers {
    /**
     * @param {string} source the workers' program
     * @param {string} kernel WebAssembly, base64
     * @param {object[]} models as the page holds them
     */
    constructor(source, kernel, models) {
      this.models = new Map(models.map((model) => [model.id, model]));
      this.loaded = new Map();
      this.calls = new Map();
      this.nextCall = 0;
      const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      const count = Math.min(MOST_WORKERS, Math.max(1, navigator.hardwareConcurrency || 2));
      this.workers = Array.from({ length: count }, () => {
        const worker = new Worker(url);
        worker.onmessage = ({ data }) => this.receive(data);
        return worker;
      });
      this.kernel = WebAssembly.compile(bytes(kernel));
    }

    /** Sends a worker a message; gives its answer. */
    call(worker, message) {
      return new Promise((resolve, reject) => {
        const call = this.nextCall++;
        this.calls.set(call, ({ error, ...rest }) => (error ? reject(new Error(error)) : resolve(rest)));
        worker.postMessage({ call, ...message });
      });
    }

    receive(data) {
      this.calls.get(data.answer)(data);
      this.calls.delete(data.answer);
    }

    /** Hands a model to all workers, once. */
    load(id) {
      if (!this.loaded.has(id)) {
        const model = unpacked(this.models.get(id));
        const given = this.kernel.then((kernel) =>
          Promise.all(this.workers.map((worker) => this.call(worker, { type: "load", id, model, kernel }))),
        );
        this.loaded.set(id, given);
      }
      return this.loaded.get(id);
    }
  }

  window.pointillist ??= {};
  window.pointillist.Workers = Workers;
  window.pointillist.unpackNumbers = numbers;
})();
