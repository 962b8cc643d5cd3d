/* Numeric rows with observed values: the network's features of them, and the denoiser of the other values. */

/** A residual network that conditions on observed columns, if it has weights for them. */
class ConditionalMLP extends ResidualMLP {
  constructor(/** @type {Memory} */ memory, /** @type {ResidualContent} */ model) {
    super(memory, model);
    const weight = model.tensors.observed;
    this.given = weight && new Dense(memory, weight, new Float32Array(this.width));
    this.features = memory.take(weight ? this.given.inputs * BLOCK : 0);
  }

  /**
   * Contribution of observed columns to the first layer, for at most a block of rows.
   * @param {Float32Array} values rows × columns, NaN for unobserved values
   */
  of(values) {
    const size = this.columns * BLOCK;
    const features = this.memory.view(this.features, this.given.inputs * BLOCK);
    const { row_frequencies: frequencies } = this.model;
    features.fill(0);
    values.forEach((value, i) => {
      if (Number.isNaN(value)) return;
      const at = (i % this.columns) * BLOCK + Math.floor(i / this.columns);
      const waves = frequencies.flatMap((frequency) => [Math.sin(frequency * value), Math.cos(frequency * value)]);
      [value, ...waves, 1].forEach((feature, k) => (features[k * size + at] = feature));
    });
    this.given.apply(this.features, this.u);
    return this.memory.view(this.u, this.width * BLOCK).slice();
  }
}

NETWORKS.residual = ConditionalMLP;

/** A denoiser of rows with observed values. */
class ObservedRows {
  /**
   * @param {Denoiser} denoiser
   * @param {Float32Array} values rows × columns, NaN for unobserved values
   * @param {Int32Array | undefined} labels equal labels are adjacent
   */
  constructor(denoiser, values, labels, guidance) {
    const { columns, network } = denoiser;
    if (!(network instanceof ConditionalMLP)) throw new Error("this model was not trained on rows with observed columns");
    this.denoiser = denoiser;
    this.network = network;
    this.values = values;
    this.guidance = guidance;
    /** @type {{first: number, last: number, label: number | null, known: Float32Array}[]} */
    this.blocks = [];
    const rows = values.length / columns;
    for (let first = 0, last; first < rows; first = last) {
      const label = labels ? labels[first] : null;
      const isTogether = (r) => r < rows && r - first < BLOCK && (!labels || labels[r] === label);
      for (last = first; isTogether(last); last++);
      const known = network.of(values.subarray(first * columns, last * columns));
      this.blocks.push({ first: first * columns, last: last * columns, label, known });
    }
  }

  /** E[x_0 | x_t, observed values]; x_t is ignored where a value is observed. */
  mean(x, level) {
    const { denoiser, network, values, guidance } = this;
    const shown = x.map((value, i) => (Number.isNaN(values[i]) ? value : 0));
    const x0 = new Float32Array(x.length);
    for (const { first, last, label, known } of this.blocks) {
      network.known = known;
      x0.set(denoiser.predict(shown.subarray(first, last), level, { label, guidance }), first);
    }
    network.known = new Float32Array();
    return this.withObserved(x0);
  }

  /** Rows with the observed values put back. */
  withObserved(x) {
    return x.map((value, i) => (Number.isNaN(this.values[i]) ? value : this.values[i]));
  }
}
