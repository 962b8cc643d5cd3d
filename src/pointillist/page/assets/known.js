/* Rows of numbers of which some are given: what a network is told of them, and a denoiser of the others. */

/** A residual network of which columns may be given, if it has weights for them. */
class GivenMLP extends ResidualMLP {
  /**
   * @param {Memory} memory
   * @param {ResidualContent} model
   */
  constructor(memory, model) {
    super(memory, model);
    const weight = model.tensors.observed;
    this.given = weight && new Dense(memory, weight, new Float32Array(this.width));
    this.told = memory.take(weight ? this.given.inputs * BLOCK : 0);
  }

  /**
   * What given columns add, for at most a block of rows.
   * @param {Float32Array} values rows × columns, NaN where none is given
   */
  of(values) {
    const size = this.columns * BLOCK;
    const told = this.memory.view(this.told, this.given.inputs * BLOCK);
    const { row_frequencies: frequencies } = this.model;
    told.fill(0);
    values.forEach((value, i) => {
      if (Number.isNaN(value)) return;
      const place = (i % this.columns) * BLOCK + Math.floor(i / this.columns);
      const waves = frequencies.flatMap((frequency) => [Math.sin(frequency * value), Math.cos(frequency * value)]);
      [value, ...waves, 1].forEach((feature, k) => (told[k * size + place] = feature));
    });
    this.given.apply(this.told, this.u);
    return this.memory.view(this.u, this.width * BLOCK).slice();
  }
}

NETWORKS.residual = GivenMLP;

/** The denoiser of rows of which some values are given. */
class KnownRows {
  /**
   * @param {Denoiser} denoiser
   * @param {Float32Array} values rows × columns, NaN where none is given
   * @param {Int32Array | undefined} labels equal ones together
   */
  constructor(denoiser, values, labels, guidance) {
    const { columns, network } = denoiser;
    if (!(network instanceof GivenMLP)) throw new Error("this model has not learned from rows with given columns");
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

  /** E[x_0 | x_t, given values], whatever x_t has where one is given. */
  mean(x, level) {
    const { denoiser, network, values, guidance } = this;
    const shown = x.map((value, i) => (Number.isNaN(values[i]) ? value : 0));
    const x0 = new Float32Array(x.length);
    for (const { first, last, label, known } of this.blocks) {
      network.known = known;
      x0.set(denoiser.predict(shown.subarray(first, last), level, { label, guidance }), first);
    }
    network.known = new Float32Array();
    return this.withGiven(x0);
  }

  /** Rows in which given values are as they were given. */
  withGiven(x) {
    return x.map((value, i) => (Number.isNaN(this.values[i]) ? value : this.values[i]));
  }
}
