/* The worker of a model's page: it draws the same rows as the Python package. */

/** Stream of the keys of rows. */
const SAMPLING = 1;

/** @type {Record<string, new (memory: Memory, model: any) => {draw: (asked: any) => Float32Array}>} */
const KINDS = {};

const models = new Map();

Object.assign(handlers, {
  /** @param {{id: string, model: any, kernel: WebAssembly.Module}} message */
  async load({ id, model, kernel }) {
    models.set(id, new KINDS[model.kind](new Memory(await WebAssembly.instantiate(kernel)), model));
    return {};
  },

  /** Draws rows; `isTold` asks for the steps too. */
  async draw({ id, isTold, ...asked }) {
    /** @type {Told | undefined} */
    const told = isTold ? { turns: [], states: [] } : undefined;
    return { drawn: models.get(id).draw({ ...asked, told }), told };
  },

  async population({ id, ...asked }) {
    return models.get(id).population(asked);
  },
});
