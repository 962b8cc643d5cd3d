/* The token network, the number network, and the conditional normal distribution of numbers given others. */

/** Variance of the noise of observed numbers, and smallest variance of other numbers. */
const GIVEN_NOISE = 1e-5;

/** Mean and standard deviation of each number of x ~ N(0, C), given the numbers that are not NaN; without C, of N(0, I). */
function conditionalNormal(covariance, numbers) {
  const k = numbers.length;
  const [mean, left] = [new Float64Array(k), Float64Array.from(covariance ?? [])];
  if (!covariance) return [mean, mean.map(() => 1)];
  numbers.forEach((x, i) => {
    if (Number.isNaN(x)) return;
    const column = left.slice(i * k, (i + 1) * k);
    const variance = column[i] + GIVEN_NOISE;
    const gain = column.map((value) => value / variance);
    const off = x - mean[i];
    for (let a = 0; a < k; a++) {
      mean[a] += gain[a] * off;
      for (let b = 0; b < k; b++) left[a * k + b] -= gain[a] * column[b];
    }
  });
  return [mean, mean.map((_, a) => Math.sqrt(Math.max(left[a * k + a], GIVEN_NOISE)))];
}

/**
 * Returns the center 0, the standard deviations along axes, and the axes, [number][axis], of numbers.
 * @param {Float32Array | null} basis the axes, as long as their standard deviations; null for the coordinate axes
 */
function axesOf(basis, columns) {
  const center = new Float64Array(columns);
  if (!basis) return [center, center.map(() => 1), null];
  const deviation = center.map((_, a) => Math.hypot(...center.map((_, c) => basis[c * columns + a])));
  return [center, deviation, Float64Array.from(basis, (value, i) => value / deviation[i % columns])];
}

/** A linear layer on one-hot inputs: sums rows of the weight, for a block of rows. */
class Sum {
  /**
   * @param {Float32Array} weight shape (inputs, width)
   * @param {Float32Array} bias shape (width,)
   */
  constructor(weight, bias) {
    this.weight = weight;
    this.bias = bias;
    this.width = bias.length;
  }

  /** The bias for every row: [width][row]. */
  start() {
    const sum = new Float32Array(this.width * BLOCK);
    for (let j = 0; j < this.width; j++) sum.fill(this.bias[j], j * BLOCK, (j + 1) * BLOCK);
    return sum;
  }

  add(sum, row, input, factor = 1) {
    const first = input * this.width;
    for (let j = 0; j < this.width; j++) sum[j * BLOCK + row] += factor * this.weight[first + j];
  }
}

/** The token network, from the sum over observed tokens to the logits. */
class TokenNetwork {
  /**
   * @param {Memory} memory
   * @param {MixedContent} model
   */
  constructor(memory, { tensors, depth }) {
    const layer = (name) => new Dense(memory, tensors[`${name}.weight`], tensors[`${name}.bias`]);
    const names = (kind) => Array.from({ length: depth }, (_, i) => `token_network.${kind}.${i}`);
    this.memory = memory;
    this.seen = new Sum(tensors["token_network.input.weight"], tensors["token_network.input.bias"]);
    this.inner = names("inner").map(layer);
    this.outer = names("outer").map(layer);
    this.weight = tensors["token_network.output.weight"];
    this.bias = tensors["token_network.output.bias"];
    this.width = this.seen.width;
    this.scale = memory.take(this.width, new Float32Array(this.width).fill(1));
    this.shift = memory.take(this.width);
    this.h = memory.take(this.width * BLOCK);
    this.u = memory.take(this.width * BLOCK);
    this.v = memory.take(this.width * BLOCK);
  }

  /** The last hidden layer, [width][row], until the next call. */
  through(sum) {
    const { memory, scale, shift, h, u, width } = this;
    memory.view(h, sum.length).set(sum);
    this.inner.forEach((_, block) => addBlock(this, block, scale, shift));
    memory.kernel.normalize(h, u, scale, shift, width, BLOCK);
    return memory.view(u, sum.length);
  }

  /** Logits of some slots for a row. */
  logits(h, row, first, count) {
    const slots = this.bias.length;
    const out = new Float64Array(count);
    for (let s = 0; s < count; s++) out[s] = this.bias[first + s];
    for (let j = 0; j < this.width; j++) {
      const [value, at] = [h[j * BLOCK + row], j * slots + first];
      for (let s = 0; s < count; s++) out[s] += value * this.weight[at + s];
    }
    return out;
  }
}

/** The number network: residual blocks that the noise level modulates, with the tokens' contribution as context. */
class NumberNetwork extends ResidualMLP {
  /** @type {Uint8Array} whether each number is drawn, [number][row] */
  isOpen = new Uint8Array();
  /** @type {Map<number, Float64Array>} contributions of noise levels, which all blocks of rows share */
  levels = new Map();

  /**
   * @param {Memory} memory
   * @param {MixedContent & {columns: number}} model
   * @param {string} part prefix of its tensors' names
   */
  constructor(memory, model, part) {
    const tensors = Object.fromEntries(
      Object.entries(model.tensors)
        .filter(([name]) => name.startsWith(part))
        .map(([name, values]) => [name.slice(part.length), values]),
    );
    const layers = (kind) => Array.from({ length: model.depth }, (_, i) => `${kind}.${i}`);
    super(memory, { ...model, tensors, inner: layers("inner"), outer: layers("outer") });
    this.context = new Sum(tensors["context.weight"], tensors["context.bias"]);
  }

  /** The contribution of a noise level to the scales and shifts of all blocks. */
  ofLevel(lambda) {
    const { level_features: width, noise_level_frequencies: frequencies } = this.model;
    if (!this.levels.has(lambda)) this.levels.set(lambda, this.share(noiseLevelEmbedding(lambda, width, frequencies)));
    return this.levels.get(lambda);
  }

  /** @override */
  see(x) {
    const size = this.columns * BLOCK;
    const row = this.memory.view(x, size);
    const seen = this.memory.view(this.seen, this.input.inputs * BLOCK);
    seen.fill(0);
    for (let i = 0; i < size; i++) {
      if (!this.isOpen[i]) continue;
      seen[i] = 1;
      seen[size + i] = row[i];
      let [sin, cos] = [Math.sin(row[i]), Math.cos(row[i])];
      // The frequencies are 1, 2, 4, …: each doubles the angle.
      for (let k = 0; k < this.model.row_frequencies.length; k++) {
        seen[(2 * k + 2) * size + i] = sin;
        seen[(2 * k + 3) * size + i] = cos;
        [sin, cos] = [2 * sin * cos, 1 - 2 * sin * sin];
      }
    }
  }
}
