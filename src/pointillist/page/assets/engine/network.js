/* The trained networks, for a block of rows at once. Activations lie unit by unit: [unit][row]. */

/** Rows of a block: their activations stay in a core's cache. A multiple of 8, as the kernel wants. */
const BLOCK = 64;

/** The kernel's memory, allocated from the front and never freed in parts. */
class Memory {
  /** @param {{exports: any}} instance of the kernel */
  constructor(instance) {
    /** @type {Kernel} */
    this.kernel = instance.exports;
    this.top = 16;
  }

  /** Reserves memory and returns its offset: for `length` numbers, filled with `values`, or with zeros by default. */
  take(length, values) {
    const offset = this.top;
    this.top = (offset + length * 4 + 15) & ~15;
    const { memory } = this.kernel;
    const missing = this.top - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / 65536));
    const view = this.view(offset, length);
    view.fill(0);
    if (values) view.set(values);
    return offset;
  }

  /** A view of memory. Renew it after every `take`: growing memory empties old views. */
  view(offset, length) {
    return new Float32Array(this.kernel.memory.buffer, offset, length);
  }
}

/** W x + b for a block of rows. */
class Dense {
  /**
   * @param {Memory} memory
   * @param {Float32Array} weight shape (inputs, outputs)
   * @param {Float32Array} bias shape (outputs,)
   */
  constructor(memory, weight, bias) {
    this.memory = memory;
    this.outputs = bias.length;
    this.inputs = weight.length / bias.length;
    this.padded = (this.outputs + 3) & ~3;
    const packed = new Float32Array(this.padded * this.inputs);
    for (let i = 0; i < this.inputs; i++)
      for (let j = 0; j < this.outputs; j++)
        packed[((j >> 2) * this.inputs + i) * 4 + (j & 3)] = weight[i * this.outputs + j];
    this.weight = memory.take(packed.length, packed);
    this.bias = memory.take(this.padded, bias);
  }

  /** Number of values in a block of outputs. */
  get room() {
    return this.padded * BLOCK;
  }

  apply(x, y, { bias = this.bias, relu = false } = {}) {
    this.memory.kernel.dense(this.weight, bias, x, y, this.inputs, this.padded, BLOCK, relu ? 1 : 0);
  }
}

/** sin(p f_i), cos(p f_i) with f_i = 10000^(-i / (width/2 - 1)). */
function sinusoidalEmbedding(position, width) {
  const half = width / 2;
  return waves(position, Float64Array.from({ length: half }, (_, i) => 10000 ** (-i / (half - 1))));
}

/** sin(λ f_i), cos(λ f_i) with f_i from `low` to `high` in a geometric sequence. */
function noiseLevelEmbedding(lambda, width, [low, high]) {
  const half = width / 2;
  return waves(lambda, Float64Array.from({ length: half }, (_, i) => low * (high / low) ** (i / (half - 1))));
}

function waves(position, frequencies) {
  const half = frequencies.length;
  const out = new Float64Array(2 * half);
  frequencies.forEach((f, i) => {
    out[i] = Math.sin(position * f);
    out[half + i] = Math.cos(position * f);
  });
  return out;
}

/** The product of a vector with the rows of W from `first` on; W has shape (inputs, outputs). */
function product(vector, weight, outputs, first) {
  const out = new Float64Array(outputs);
  vector.forEach((v, i) => {
    const row = (first + i) * outputs;
    for (let j = 0; j < outputs; j++) out[j] += v * weight[row + j];
  });
  return out;
}

/** Input layer on (row, features), blocks of linear and ReLU, output layer. */
class MLP {
  constructor(/** @type {Memory} */ memory, /** @type {NumberNetworkContent} */ model) {
    const { tensors, columns } = model;
    const first = tensors["input.weight"];
    const width = tensors["input.bias"].length;
    this.memory = memory;
    this.features = first.subarray(columns * width);
    this.inputBias = tensors["input.bias"];
    this.input = new Dense(memory, first.subarray(0, columns * width), this.inputBias);
    this.hidden = model.hidden.map((name) => new Dense(memory, tensors[`${name}.weight`], tensors[`${name}.bias`]));
    this.output = new Dense(memory, tensors["output.weight"], tensors["output.bias"]);
    this.shared = memory.take(this.input.padded);
    this.h = [memory.take(this.input.room), memory.take(this.input.room)];
    this.result = memory.take(this.output.room);
  }

  ofNoiseLevel(t, lambda, width) {
    return sinusoidalEmbedding(t, width);
  }

  /** The contribution of features, from index `first` on, to the input layer's output. */
  share(features, first = 0) {
    return product(features, this.features, this.inputBias.length, first);
  }

  /** Computes F(x) for a block at offset `x`, with the summed contribution of all features; returns the result's offset. */
  apply(x, share) {
    const bias = this.memory.view(this.shared, this.inputBias.length);
    for (let i = 0; i < bias.length; i++) bias[i] = this.inputBias[i] + share[i];
    let [from, to] = this.h;
    this.input.apply(x, from, { bias: this.shared });
    for (const layer of this.hidden) {
      layer.apply(from, to, { relu: true });
      [from, to] = [to, from];
    }
    this.output.apply(from, this.result);
    return this.result;
  }
}

/** Adds a residual block of scale h / rms(h) + shift to h. All but `block` are offsets in memory. */
function addBlock({ memory: { kernel }, inner, outer, width, h, u, v }, block, scale, shift) {
  const bytes = 4 * width * BLOCK;
  kernel.normalize(h, u, scale, shift, width, BLOCK);
  inner[block].apply(u, v);
  kernel.silu(v, bytes);
  outer[block].apply(v, u);
  kernel.add(h, u, bytes);
}

/** Fourier features of the row, residual blocks that the noise level and the class modulate, output layer. */
class ResidualMLP {
  /**
   * Contribution of the observed values to the first layer's output, [unit][row]; empty without any.
   * @type {Float32Array}
   */
  known = new Float32Array();

  constructor(/** @type {Memory} */ memory, /** @type {ResidualContent} */ model) {
    const { tensors } = model;
    const layer = (name) => new Dense(memory, tensors[`${name}.weight`], tensors[`${name}.bias`]);
    this.memory = memory;
    this.model = model;
    this.columns = model.columns;
    this.modulation = tensors["modulation.weight"];
    this.input = layer("input");
    this.inner = model.inner.map(layer);
    this.outer = model.outer.map(layer);
    this.output = layer("output");
    this.width = this.input.outputs;
    /** Of each block, a scale and then a shift of each unit. */
    this.modulationBias = tensors["modulation.bias"].map((value, i) => value + Number(i % (2 * this.width) < this.width));
    this.modulations = memory.take(this.modulationBias.length);
    this.seen = memory.take(this.input.inputs * BLOCK);
    this.h = memory.take(this.input.room);
    this.u = memory.take(this.input.room);
    this.v = memory.take(this.input.room);
    this.result = memory.take(this.output.room);
  }

  ofNoiseLevel(t, lambda, width) {
    return noiseLevelEmbedding(lambda, width, this.model.noise_level_frequencies);
  }

  /** The contribution of features, from index `first` on, to the scales and shifts of all blocks. */
  share(features, first = 0) {
    return product(features, this.modulation, this.modulationBias.length, first);
  }

  apply(x, share) {
    this.see(x);
    this.input.apply(this.seen, this.h);
    if (this.known.length) {
      this.memory.view(this.u, this.known.length).set(this.known);
      this.memory.kernel.add(this.h, this.u, this.known.byteLength);
    }
    this.memory.view(this.modulations, share.length).set(this.modulationBias.map((bias, i) => bias + share[i]));
    for (let block = 0; block < this.inner.length; block++) {
      const scale = this.modulations + 8 * block * this.width;
      addBlock(this, block, scale, scale + 4 * this.width);
    }
    this.output.apply(this.h, this.result);
    return this.result;
  }

  /** Writes the first layer's inputs: x, then sin and cos of its multiples. */
  see(x) {
    const size = this.columns * BLOCK;
    const row = this.memory.view(x, size);
    const seen = this.memory.view(this.seen, this.input.inputs * BLOCK);
    seen.set(row);
    this.model.row_frequencies.forEach((frequency, k) => {
      for (let i = 0; i < size; i++) {
        seen[(2 * k + 1) * size + i] = Math.sin(frequency * row[i]);
        seen[(2 * k + 2) * size + i] = Math.cos(frequency * row[i]);
      }
    });
  }
}

const NETWORKS = { mlp: MLP, residual: ResidualMLP };
