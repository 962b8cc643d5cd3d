"use strict";
/* A worker's side of the pool: it holds models, and draws its share of the rows a step at a time. */

/** Of a walk with more steps not every state is kept. */
const MOST_FRAMES = 200;

const denoisers = new Map();
let current = -1;

/** Lets messages in, such as the one that stops a run; a timer would wait for milliseconds. */
const breath = (() => {
  const channel = new MessageChannel();
  let resume = () => {};
  channel.port1.onmessage = () => resume();
  return () =>
    new Promise((resolve) => {
      resume = resolve;
      channel.port2.postMessage(null);
    });
})();

const handlers = {
  async load({ id, model, kernel }) {
    denoisers.set(id, new Denoiser(new Memory(await WebAssembly.instantiate(kernel)), model));
    return {};
  },

  /** Posts a frame for the start and for each kept state, then answers. */
  async run({ run, place, id, sampler, steps, variance, guidance, labels, seed, firstRow, rows, prior }) {
    current = run;
    const denoiser = denoisers.get(id);
    const noise = new Noise(seed, firstRow, rows, denoiser.columns);
    const x = prior ?? noise.draw();
    const predict = (x, level) => predictByLabel(denoiser, x, level, labels, guidance);
    const post = (index, { level, x }) => self.postMessage({ frame: true, run, place, index, level, x });
    const every = Math.ceil(steps / MOST_FRAMES);
    post(0, { level: startOf(sampler, denoiser.schedule), x });
    let step = 0;
    for (const state of SAMPLERS[sampler](denoiser.schedule, x, predict, { steps, noise, variance })) {
      step++;
      if (step === steps || step % every === 0) post(Math.ceil(step / every), state);
      await breath();
      if (current !== run) return { stopped: true };
    }
    return { stopped: false };
  },

  /** x̂_0 of some rows at the time of a frame. */
  async predict({ id, lambda, x, label, guidance }) {
    const denoiser = denoisers.get(id);
    return { x0: denoiser.predict(x, denoiser.schedule.atLambda(lambda), { label, guidance }) };
  },

  async stop() {
    current = -1;
    return {};
  },
};

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

self.onmessage = async ({ data }) => {
  try {
    self.postMessage({ answer: data.call, ...(await handlers[data.type](data)) });
  } catch (error) {
    self.postMessage({ answer: data.call, error: String(error) });
  }
};
