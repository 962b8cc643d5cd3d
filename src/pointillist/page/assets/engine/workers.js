/* The models of a page, and the workers that compute with them. */

const { bytesOf, tensorsOf, unpackNumbers } = window.pointillist;
const MOST_WORKERS = 4;

class Workers {
  /**
   * @param {string} source the workers' program
   * @param {string} kernel WebAssembly, base64
   * @param {(PackedWeights & {id: string, columns: number})[]} models as the page holds them
   */
  constructor(source, kernel, models) {
    this.models = new Map(models.map((model) => [model.id, model]));
    this.loaded = new Map();
    this.calls = new Map();
    this.nextCall = 0;
    /** The error of a worker that stopped. */
    this.failed = "";
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const count = Math.min(MOST_WORKERS, Math.max(1, navigator.hardwareConcurrency || 2));
    this.workers = Array.from({ length: count }, () => {
      const worker = new Worker(url);
      worker.onmessage = ({ data }) => this.receive(data);
      worker.onerror = ({ message }) => this.#fail(message || "a worker cannot start");
      return worker;
    });
    this.kernel = WebAssembly.compile(bytesOf(kernel));
  }

  /**
   * Sends a worker a message, and returns its answer.
   * @param {Worker} worker
   * @param {object} message
   * @returns {Promise<any>}
   */
  call(worker, message) {
    if (this.failed) return Promise.reject(new Error(this.failed));
    return new Promise((resolve, reject) => {
      const call = this.nextCall++;
      this.calls.set(call, ({ error, ...rest }) => (error ? reject(new Error(error)) : resolve(rest)));
      worker.postMessage({ call, ...message });
    });
  }

  receive(data) {
    // The answer of a canceled call may arrive late.
    this.calls.get(data.answer)?.(data);
    this.calls.delete(data.answer);
  }

  /** Fails all pending calls, and forgets which models are loaded, because some workers may lack them. */
  #fail(error) {
    this.failed = error;
    for (const answer of this.calls.values()) answer({ error });
    this.calls.clear();
    this.loaded.clear();
  }

  /** Hands a model to all workers, once. */
  load(id) {
    if (!this.loaded.has(id)) this.loaded.set(id, this.#hand(id, this.models.get(id)));
    return this.loaded.get(id);
  }

  async #hand(id, held) {
    const [model, kernel] = await Promise.all([this.unpacked(held), this.kernel]);
    await Promise.all(this.workers.map((worker) => this.call(worker, { type: "load", id, model, kernel })));
  }

  /** What the workers need of a model, its weights unpacked. */
  async unpacked(model) {
    const { weights, shapes, scales, rest, ...others } = model;
    const parts = [model.alpha, model.sigma, model.covariance, model.basis];
    const [alpha, sigma, covariance, basis] = parts.map((numbers) => numbers && unpackNumbers(numbers, "float32"));
    return { ...others, tensors: await tensorsOf(model), alpha, sigma, covariance, basis };
  }
}

Object.assign(window.pointillist, { Workers });
