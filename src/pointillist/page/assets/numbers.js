/* Draws numeric rows: all columns at once. */

class NumberModel {
  /**
   * @param {Memory} memory
   * @param {NumberNetworkContent & {sampler: keyof typeof SAMPLERS, steps: number, ranges: RangedContent}} model
   */
  constructor(memory, model) {
    this.model = model;
    this.denoiser = new Denoiser(memory, model);
  }

  /**
   * @param {{seed: number, firstRow: number, rows: number, labels?: Int32Array, guidance: number,
   *   prior?: Float32Array, known?: Float32Array}} asked labels: index of each row's class; prior: x_T, rows × columns;
   *   known: observed values, scaled, NaN for others, rows × columns, or one row for all
   * @returns {Float32Array} rows × columns, scaled
   */
  draw({ seed, firstRow, rows, labels, guidance, prior, known }) {
    const { denoiser } = this;
    const { columns, schedule } = denoiser;
    const key = keyOf(seed, SAMPLING);
    // Rows of the same class are predicted together.
    const order = Array.from({ length: rows }, (_, r) => r);
    if (labels) order.sort((a, b) => labels[a] - labels[b] || a - b);
    const sorted = labels && Int32Array.from(order, (r) => labels[r]);
    let x = new Float32Array(rows * columns);
    order.forEach((r, position) => {
      const start = prior
        ? prior.subarray(r * columns, (r + 1) * columns)
        : normals(foldIn(foldIn(key, firstRow + r), 0), columns);
      x.set(start, position * columns);
    });
    const given = known && new ObservedRows(denoiser, this.#sorted(known, order), sorted, guidance);
    const predict = (x_t, level) =>
      given ? given.mean(x_t, level) : predictByLabel(denoiser, x_t, level, sorted, guidance);
    const { sampler, steps } = this.model;
    if (given || (sorted && !prior && sampler === "dpm")) {
      // The mean of a class, or given observed values, may be far from 0, and noised rows keep a part of it.
      const level = startOf(sampler, schedule);
      const mean = predict(new Float32Array(x.length), level);
      x = x.map((value, i) => value + level.alpha * mean[i]);
    }
    for (const state of SAMPLERS[sampler](schedule, x, predict, { steps, variance: "zero" })) x = state.x;
    x = given?.withObserved(x) ?? x;
    const out = new Float32Array(x.length);
    order.forEach((r, position) => out.set(x.subarray(position * columns, (position + 1) * columns), r * columns));
    return out;
  }

  /**
   * Draws a population of candidates with the same class and observed values, and keeps some rows.
   * @param {{seed: number, index: number, label: number | null, guidance: number, known?: Float32Array,
   *   ranges: InRanges[]}} asked index: of the population; known: see above, one row
   * @returns {Population}
   */
  population({ seed, index, label, guidance, known, ranges }) {
    const { denoiser, model } = this;
    const { population: rows, kept, points } = model.ranges;
    /** @type {(x: Float32Array, level: Level) => Float32Array} */
    let predict = (x, level) => denoiser.predict(x, level, { label, guidance });
    if (known) {
      const order = Array.from({ length: rows }, (_, r) => r);
      const labels = label === null ? undefined : new Int32Array(rows).fill(label);
      const given = new ObservedRows(denoiser, this.#sorted(known, order), labels, guidance);
      predict = (x, level) => given.mean(x, level);
    }
    const key = foldIn(keyOf(seed, SAMPLING), index);
    const { columns, schedule } = denoiser;
    const variances = denoiser.model.sigma_data.map((deviation) => deviation ** 2);
    const walk = { schedule, points, variances, ranges, predict, isAsked: () => true, follow: () => {} };
    const weighted = new Weighted(rows);
    const x = walkInto(walk, foldIn(key, 1), normals(foldIn(key, 0), rows * columns), weighted);
    return weighted.chosen(foldIn(key, 2), x, columns, kept);
  }

  /** Rows, or one row for all, in an order. */
  #sorted(known, order) {
    const { columns } = this.denoiser;
    const position = (i) => (order[Math.floor(i / columns)] * columns + (i % columns)) % known.length;
    return Float32Array.from({ length: order.length * columns }, (_, i) => known[position(i)]);
  }
}

KINDS.numbers = NumberModel;
