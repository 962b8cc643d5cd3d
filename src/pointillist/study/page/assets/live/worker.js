/* The worker of the pool: holds models, and draws its part of the rows step by step. */

/** Largest number of frames of a run; longer runs skip states. */
const MOST_FRAMES = 200;

const denoisers = new Map();
/** The last run of each channel. */
const current = new Map();

Object.assign(handlers, {
  /** @param {{id: string, model: NumberNetworkContent, kernel: WebAssembly.Module}} message */
  async load({ id, model, kernel }) {
    denoisers.set(id, new Denoiser(new Memory(await WebAssembly.instantiate(kernel)), model));
    return {};
  },

  /**
   * Posts a frame for the start and for each kept state, then answers.
   * @param {Run & {run: number, channel: string, firstRow: number, variance: any, sampler: keyof typeof SAMPLERS}} message
   */
  async run({ run, channel, id, sampler, steps, variance, guidance, labels, seed, firstRow, rows, prior }) {
    current.set(channel, run);
    /** @type {Denoiser} */
    const denoiser = denoisers.get(id);
    const noise = new Noise(seed, firstRow, rows, denoiser.columns);
    const x = prior ?? noise.draw();
    const predict = (x, level) => predictByLabel(denoiser, x, level, labels, guidance);
    const post = (index, { level, x }) => self.postMessage({ frame: true, run, firstRow, index, level, x });
    const every = Math.ceil(steps / MOST_FRAMES);
    post(0, { level: startOf(sampler, denoiser.schedule), x });
    let step = 0;
    for (const state of SAMPLERS[sampler](denoiser.schedule, x, predict, { steps, noise, variance })) {
      step++;
      if (step === steps || step % every === 0) post(Math.ceil(step / every), state);
      await breath();
      if (current.get(channel) !== run) return { stopped: true };
    }
    return { stopped: false };
  },

  /** Predicts x̂_0 of rows at log-SNR λ. */
  async predict({ id, lambda, x, label, guidance }) {
    /** @type {Denoiser} */
    const denoiser = denoisers.get(id);
    return { x0: denoiser.predict(x, denoiser.schedule.atLambda(lambda), { label, guidance }) };
  },

  async stop({ channel }) {
    current.delete(channel);
    return {};
  },
});
