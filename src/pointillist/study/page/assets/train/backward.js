/* Gradients of a multi-layer perceptron. All three products of a layer are done by the kernel's `dense`:
   y = W x + b;   dx = Wᵀ dy;   dW = dy xᵀ, whose "weights" are dy and whose "rows" are the layer's inputs. */

/** Rounds a size up to a multiple. */
const upTo = (size, multiple) => Math.ceil(size / multiple) * multiple;

/** A layer with weights packed for both directions and its gradients, for a batch of rows. */
class TrainedLayer {
  /**
   * @param {Memory} memory
   * @param {number} rows of a batch, a multiple of 8
   */
  constructor(memory, inputs, outputs, rows) {
    this.memory = memory;
    this.inputs = inputs;
    this.outputs = outputs;
    this.rows = rows;
    this.padIn = upTo(inputs, 8);
    this.padOut = upTo(outputs, 4);
    /** Offset of the last batch's input. */
    this.x = 0;
    this.relu = false;
    this.forwards = memory.take(this.padOut * inputs);
    this.backwards = memory.take(upTo(inputs, 4) * this.padOut);
    this.bias = memory.take(this.padOut);
    this.nothing = memory.take(Math.max(this.padIn, this.padOut));
    this.y = memory.take(this.padOut * rows);
    this.dy = memory.take(this.padOut * rows);
    this.turned = memory.take(rows * this.padIn);
    this.packed = memory.take(this.padOut * rows);
    this.gradient = memory.take(this.padOut * this.padIn);
    this.weight = new Float32Array(inputs * outputs);
    this.offset = new Float32Array(outputs);
    this.ofWeight = new Float32Array(inputs * outputs);
    this.ofOffset = new Float32Array(outputs);
  }

  /** Packs the weights, shape (inputs, outputs), for the kernel. */
  pack() {
    const { inputs, outputs, padOut, weight, memory } = this;
    const forwards = memory.view(this.forwards, padOut * inputs);
    const backwards = memory.view(this.backwards, upTo(inputs, 4) * padOut);
    for (let i = 0; i < inputs; i++)
      for (let o = 0; o < outputs; o++) {
        const value = weight[i * outputs + o];
        forwards[((o >> 2) * inputs + i) * 4 + (o & 3)] = value;
        backwards[((i >> 2) * padOut + o) * 4 + (i & 3)] = value;
      }
    memory.view(this.bias, outputs).set(this.offset);
  }

  /** Computes the output at the offset `y` from the input at the offset `x`, [inputs][rows]. */
  forward(x, relu) {
    this.x = x;
    this.relu = relu;
    this.memory.kernel.dense(this.forwards, this.bias, x, this.y, this.inputs, this.padOut, this.rows, relu ? 1 : 0);
    return this.y;
  }

  /**
   * Computes the gradients from the output's gradient at the offset `dy`.
   * @param {number|null} dx where to write the gradient of the input
   */
  backward(dx) {
    const { memory, rows, inputs, outputs, padIn, padOut } = this;
    const dy = memory.view(this.dy, padOut * rows);
    if (this.relu) {
      const y = memory.view(this.y, padOut * rows);
      for (let i = 0; i < dy.length; i++) if (y[i] <= 0) dy[i] = 0;
    }
    const x = memory.view(this.x, inputs * rows);
    const turned = memory.view(this.turned, rows * padIn);
    for (let i = 0; i < inputs; i++) for (let r = 0; r < rows; r++) turned[r * padIn + i] = x[i * rows + r];
    const packed = memory.view(this.packed, padOut * rows);
    for (let o = 0; o < outputs; o++) {
      let sum = 0;
      const first = (o >> 2) * rows * 4 + (o & 3);
      for (let r = 0; r < rows; r++) {
        const value = dy[o * rows + r];
        packed[first + 4 * r] = value;
        sum += value;
      }
      this.ofOffset[o] = sum;
    }
    memory.kernel.dense(this.packed, this.nothing, this.turned, this.gradient, rows, padOut, padIn, 0);
    const gradient = memory.view(this.gradient, padOut * padIn);
    for (let i = 0; i < inputs; i++)
      for (let o = 0; o < outputs; o++) this.ofWeight[i * outputs + o] = gradient[o * padIn + i];
    if (dx !== null) memory.kernel.dense(this.backwards, this.nothing, this.dy, dx, padOut, upTo(inputs, 4), rows, 0);
  }
}

/** The network of `MLP`, for training: a linear layer on (row, features), blocks of linear and ReLU, a linear layer. */
class TrainedMLP {
  /**
   * @param {Memory} memory
   * @param {{columns: number, features: number, width: number, depth: number, rows: number}} sizes
   */
  constructor(memory, { columns, features, width, depth, rows }) {
    this.memory = memory;
    this.inputs = columns + features;
    this.x = memory.take(upTo(this.inputs, 4) * rows);
    this.names = ["input", ...Array.from({ length: depth }, (_, i) => `hidden.${i}`), "output"];
    const sizes = [this.inputs, ...this.names.slice(1).map(() => width), columns];
    this.layers = this.names.map((_, i) => new TrainedLayer(memory, sizes[i], sizes[i + 1], rows));
  }

  /** Draws uniform weights between ± 1 / √inputs, as Equinox does. */
  begin(uniform) {
    for (const layer of this.layers) {
      const bound = 1 / Math.sqrt(layer.inputs);
      for (const values of [layer.weight, layer.offset])
        for (let i = 0; i < values.length; i++) values[i] = bound * (2 * uniform() - 1);
      layer.pack();
    }
  }

  /**
   * Computes the mean squared error of F(x), over rows and columns, and the gradients in the layers.
   * @param {Float32Array} wanted [columns][rows]; the input is at the offset `x`: [columns + features][rows]
   */
  loss(wanted) {
    let at = this.x;
    this.layers.forEach((layer, i) => (at = layer.forward(at, i > 0 && i < this.layers.length - 1)));
    const last = this.layers[this.layers.length - 1];
    const y = this.memory.view(last.y, wanted.length);
    const dy = this.memory.view(last.dy, wanted.length);
    let sum = 0;
    for (let i = 0; i < wanted.length; i++) {
      const apart = y[i] - wanted[i];
      sum += apart * apart;
      dy[i] = (2 * apart) / wanted.length;
    }
    for (let i = this.layers.length - 1; i >= 0; i--) this.layers[i].backward(i ? this.layers[i - 1].dy : null);
    return sum / wanted.length;
  }
}
