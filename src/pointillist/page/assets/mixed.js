"use strict";
/* Rows of tokens and numbers: tokens one after another, then the numbers at once, given them. */

const HIDDEN = -1;
const LARGEST_PLACE = 1 - 2 ** -12;
const LARGEST_SCORE = 5.5;

/** Variance of the noise that a number is given with, and smallest variance of one that is not. */
const GIVEN_NOISE = 1e-5;

/** Mean and standard deviation of each number of x ~ N(0, C), given those that are not NaN; without C, of N(0, I). */
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
 * Centre 0 of numbers, their deviations along axes, and the axes, [number][axis].
 * @param {Float32Array | null} basis the axes, each as long as its deviation; null for the numbers themselves
 */
function axesOf(basis, columns) {
  const centre = new Float64Array(columns);
  if (!basis) return [centre, centre.map(() => 1), null];
  const deviation = centre.map((_, a) => Math.hypot(...centre.map((_, c) => basis[c * columns + a])));
  return [centre, deviation, Float64Array.from(basis, (value, i) => value / deviation[i % columns])];
}

/** Most draws for a row until it meets all conditions, and the smallest mass of a condition. */
const MOST_TRIES = 300;
const SMALLEST_MASS = 1e-9;

/** How many hidden tokens of a wide row are drawn by the end of each evaluation. */
function stepsOf(hidden, most) {
  return Array.from({ length: most }, (_, i) => {
    const share = Math.fround(1 - Math.cos(((Math.PI / 2) * (i + 1)) / most));
    const wanted = Math.fround(hidden * share);
    const low = Math.floor(wanted);
    const even = low + (low % 2);
    const near = wanted - low === 0.5 ? even : Math.round(wanted);
    return Math.min(hidden, Math.max(near, i + 1));
  });
}

/** A sum of rows of a weight, one for each one-hot input, kept for a block of rows. */
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

/** The network of tokens, from the sum of those that are seen to what logits are made of. */
class TokenNetwork {
  /**
   * @param {Memory} memory
   * @param {MixedContent} model
   */
  constructor(memory, { tensors, depth }) {
    const layer = (name) => new Dense(memory, tensors[`${name}.weight`], tensors[`${name}.bias`]);
    const names = (kind) => Array.from({ length: depth }, (_, i) => `of_tokens.${kind}.${i}`);
    this.memory = memory;
    this.seen = new Sum(tensors["of_tokens.input.weight"], tensors["of_tokens.input.bias"]);
    this.inner = names("inner").map(layer);
    this.outer = names("outer").map(layer);
    this.weight = tensors["of_tokens.output.weight"];
    this.bias = tensors["of_tokens.output.bias"];
    this.width = this.seen.width;
    this.u = memory.take(this.width * BLOCK);
    this.v = memory.take(this.width * BLOCK);
  }

  /** The last hidden layer, [width][row]. */
  through(sum) {
    const size = this.width * BLOCK;
    const h = sum.slice();
    for (let block = 0; block < this.inner.length; block++) {
      normalise(h, this.memory.view(this.u, size), this.width);
      this.inner[block].apply(this.u, this.v);
      const v = this.memory.view(this.v, size);
      for (let i = 0; i < size; i++) v[i] /= 1 + Math.exp(-v[i]);
      this.outer[block].apply(this.v, this.u);
      const u = this.memory.view(this.u, size);
      for (let i = 0; i < size; i++) h[i] += u[i];
    }
    normalise(h, h, this.width);
    return h;
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

/** h / rms(h), row by row. */
function normalise(h, out, width) {
  const norm = new Float64Array(BLOCK);
  for (let i = 0; i < h.length; i++) norm[i % BLOCK] += h[i] * h[i];
  for (let r = 0; r < BLOCK; r++) norm[r] = 1 / Math.sqrt(norm[r] / width + 1e-6);
  for (let i = 0; i < h.length; i++) out[i] = h[i] * norm[i % BLOCK];
}

/** The network of numbers: residual blocks that the noise level modulates, beside what the tokens contribute. */
class NumberNetwork extends ResidualMLP {
  /** @type {Uint8Array} */
  isOpen = new Uint8Array();
  /** @type {Float32Array} */
  known = new Float32Array();

  /**
   * @param {Memory} memory
   * @param {MixedContent & {columns: number}} model
   * @param {string} part what the names of its tensors begin with
   */
  constructor(memory, model, part) {
    const own = Object.entries(model.tensors)
      .filter(([name]) => name.startsWith(part))
      .map(([name, values]) => [name.slice(part.length), values]);
    const layers = (kind) => Array.from({ length: model.depth }, (_, i) => `${kind}.${i}`);
    super(memory, { ...model, tensors: Object.fromEntries(own), inner: layers("inner"), outer: layers("outer") });
    const tensors = Object.fromEntries(own);
    this.context = new Sum(tensors["context.weight"], tensors["context.bias"]);
  }

  /** @param {Uint8Array} isOpen which numbers are drawn, [number][row] */
  given(isOpen, known) {
    this.isOpen = isOpen;
    this.known = known;
  }

  /** @override */
  begin(x) {
    const size = this.columns * BLOCK;
    const row = this.memory.view(x, size);
    const seen = this.memory.view(this.seen, this.input.inputs * BLOCK);
    seen.fill(0);
    for (let i = 0; i < size; i++) {
      if (!this.isOpen[i]) continue;
      seen[i] = 1;
      seen[size + i] = row[i];
      this.model.row_frequencies.forEach((frequency, k) => {
        seen[(2 * k + 2) * size + i] = Math.sin(frequency * row[i]);
        seen[(2 * k + 3) * size + i] = Math.cos(frequency * row[i]);
      });
    }
    this.input.apply(this.seen, this.h);
    const h = this.memory.view(this.h, this.width * BLOCK);
    for (let i = 0; i < h.length; i++) h[i] += this.known[i];
  }
}

class MixedModel {
  /**
   * @param {Memory} memory
   * @param {MixedContent} model
   */
  constructor(memory, model) {
    this.model = model;
    this.memory = memory;
    this.schedule = new Schedule(model.alpha, model.sigma);
    this.ofTokens = new TokenNetwork(memory, model);
    this.columns = model.with_number.length;
    if (this.columns) {
      const network = (part) => new NumberNetwork(memory, { ...model, columns: this.columns }, part);
      /** @type {NumberNetwork} there if there are numbers */
      this.ofNumbers = network("of_numbers.");
      if (model.is_paired) {
        /** @type {NumberNetwork} there if the numbers have a basis */
        this.ofAll = network("of_all.");
        this.basis = axesOf(model.basis, this.columns);
      }
      this.block = memory.take(this.columns * BLOCK);
    }
    let first = 0;
    this.starts = model.sizes.map((size) => (first += size) - size);
    this.longest = Math.max(...model.sizes);
  }

  /**
   * @param {{seed: number, firstRow: number, rows: number, guidance: number, known?: Float32Array,
   *   isFilling: boolean, conditions?: Condition[]}} asked known: rows × (tokens, then numbers), or one row for all,
   *   -1 and NaN for those that are drawn; isFilling: whether none of these stands for a missing cell; conditions: the
   *   pieces that are allowed of a token: a value, its share of the value's mass, and where the place in an interval
   *   begins and ends
   * @returns {Float32Array} rows × (tokens, then numbers)
   */
  draw({ seed, firstRow, rows, guidance, known, isFilling, conditions = [] }) {
    const n = this.model.sizes.length;
    const width = n + this.columns;
    const key = keyOf(seed, SAMPLING);
    const out = new Float32Array(rows * width);
    const { guided: place, with_number: places } = this.model;
    /** @type {[number, number] | undefined} */
    const guided = guidance && known && place !== null ? [place, known[place]] : undefined;
    const isOfAll = !isFilling && !(known && places.some((token) => known[token] !== HIDDEN));
    for (let first = 0; first < rows; first += BLOCK) {
      const count = Math.min(BLOCK, rows - first);
      const keys = Array.from({ length: count }, (_, r) => foldIn(key, firstRow + first + r));
      const starts = keys.map((_, r) => this.#start(known?.subarray(((first + r) * width) % known.length)));
      const numbers = starts.map(({ numbers }) => numbers);
      if (conditions.length) {
        this.#restrict(keys, starts, conditions, guided, guidance);
        keys.forEach((key, r) => (keys[r] = foldIn(foldIn(key, 1), 0)));
      }
      const tokens = this.#drawTokens(keys, starts, guided, guidance, isFilling);
      const drawn = this.columns ? this.#drawNumbers(keys, tokens, numbers, guided, guidance, isOfAll) : null;
      tokens.forEach((row, r) => {
        out.set(row, (first + r) * width);
        if (drawn) out.set(drawn.subarray(r * this.columns, (r + 1) * this.columns), (first + r) * width + n);
      });
    }
    return out;
  }

  /** Tokens of a row and its numbers, NaN where there are none or they are drawn. */
  #start(known) {
    const { sizes, with_number: places, number_values: values } = this.model;
    const row = known ? known.slice(0, sizes.length) : new Float32Array(sizes.length).fill(HIDDEN);
    sizes.forEach((size, token) => size === 1 && row[token] === HIDDEN && (row[token] = 0));
    const numbers = new Float32Array(this.columns).fill(NaN);
    places.forEach((token, c) => {
      if (known && row[token] === values[c]) numbers[c] = known[sizes.length + c];
    });
    return { row, numbers };
  }

  /** Adds what given numbers contribute to a sum. */
  #show(of, sum, r, numbers) {
    const [slots, k] = [this.model.sizes.reduce((a, b) => a + b, 0), this.columns];
    numbers.forEach((x, c) => {
      if (Number.isNaN(x)) return;
      const waves = this.model.given_frequencies.flatMap((f) => [Math.sin(f * x), Math.cos(f * x)]);
      [1, x, ...waves].forEach((feature, i) => of.add(sum, r, slots + i * k + c, feature));
    });
  }

  #slot(token, value) {
    return this.starts[token] + Math.floor(value);
  }

  /** The sum of what is seen of some rows. */
  #seen(starts) {
    const { seen } = this.ofTokens;
    const sum = seen.start();
    starts.forEach(({ row, numbers }, r) => {
      row.forEach((value, token) => value !== HIDDEN && seen.add(sum, r, this.#slot(token, value)));
      this.#show(seen, sum, r, numbers);
    });
    return sum;
  }

  /**
   * Draws tokens under conditions: each from what is allowed of it, given those before. A draw counts with the mass
   * that was allowed, which is the same for all rows for the first token; for the others it is the chance that it is kept.
   */
  #restrict(keys, starts, conditions, guided, guidance) {
    const { seen } = this.ofTokens;
    const sum = this.#seen(starts);
    const of = (logits, pieces) => {
      const highest = Math.max(...logits);
      const shares = logits.map((logit) => Math.exp(logit - highest));
      const all = shares.reduce((a, b) => a + b, 0);
      return pieces.map(([value, share]) => (shares[value] * share) / all);
    };
    const massOf = (weights) => weights.reduce((a, b) => a + b, 0);
    const first = this.#logits(sum, [conditions.map(({ token }) => token)], guided, guidance)[0];
    const masses = new Map(conditions.map((each, i) => [each, massOf(of(first[i], each.pieces))]));
    // The rarest first: it is never drawn in vain.
    const ordered = conditions.slice().sort((a, b) => masses.get(a) - masses.get(b));
    let open = starts.map((_, r) => r);
    for (let attempt = 0; open.length; attempt++) {
      if (attempt === MOST_TRIES || masses.get(ordered[0]) < SMALLEST_MASS) {
        throw new Error("too few rows meet the conditions together; ask for more than that");
      }
      const own = sum.slice();
      const drawn = starts.map(() => []);
      let kept = open;
      ordered.forEach(({ token, pieces }, i) => {
        const wanted = starts.map((_, r) => (kept.includes(r) ? [token] : []));
        const logits = this.#logits(own, wanted, guided, guidance);
        kept = kept.filter((r) => {
          const weights = of(logits[r][0], pieces);
          const mass = massOf(weights);
          const key = foldIn(foldIn(keys[r], 0), attempt * ordered.length + i);
          const [choice, inside, chance] = uniforms(key, 3);
          if (i && chance >= mass) return false;
          let [sum, piece] = [weights[0], 0];
          while (sum <= choice * mass && piece < pieces.length - 1) sum += weights[++piece];
          const [value, , low, high] = pieces[piece];
          const isInterval = this.model.with_intervals.includes(token);
          drawn[r].push([token, value + (isInterval ? Math.min(low + inside * (high - low), LARGEST_PLACE) : 0)]);
          seen.add(own, r, this.#slot(token, value));
          return true;
        });
      });
      for (const r of kept) for (const [token, value] of drawn[r]) starts[r].row[token] = value;
      open = open.filter((r) => !kept.includes(r));
    }
  }

  #drawTokens(keys, starts, guided, guidance, isFilling) {
    const { sizes, most_steps: mostSteps, with_intervals: intervals, missing_values: missing } = this.model;
    const n = sizes.length;
    const { seen } = this.ofTokens;
    const rows = starts.map(({ row }) => row);
    const sum = this.#seen(starts);
    const turns = keys.map((key, r) => {
      const order = uniforms(foldIn(key, n), n);
      const hidden = sizes.map((_, token) => token).filter((token) => rows[r][token] === HIDDEN);
      return hidden.sort((a, b) => order[a] - order[b] || a - b);
    });
    const ends = turns.map((own) => (mostSteps ? stepsOf(own.length, mostSteps) : own.map((_, i) => i + 1)));
    const steps = Math.max(...ends.map((own) => own.length));
    for (let step = 0; step < steps; step++) {
      const begins = ends.map((own, r) => (step ? (own[step - 1] ?? turns[r].length) : 0));
      const wanted = turns.map((own, r) => own.slice(begins[r], ends[r][step] ?? own.length));
      if (wanted.every((own) => !own.length)) continue;
      const logits = this.#logits(sum, wanted, guided, guidance);
      rows.forEach((row, r) => {
        wanted[r].forEach((token, i) => {
          const noise = gumbels(foldIn(keys[r], begins[r] + i), sizes[token]);
          let [best, value] = [-Infinity, 0];
          logits[r][i].forEach((logit, v) => {
            if (isFilling && v === missing[token]) return;
            if (logit + noise[v] > best) [best, value] = [logit + noise[v], v];
          });
          row[token] = value;
          seen.add(sum, r, this.#slot(token, value));
        });
      });
    }
    if (intervals.length) {
      keys.forEach((key, r) => {
        const places = uniforms(foldIn(key, n + 2), intervals.length, 0, LARGEST_PLACE);
        intervals.forEach((token, i) => turns[r].includes(token) && (rows[r][token] += places[i]));
      });
    }
    return rows;
  }

  /** Logits of the tokens whose turn it is, row by row. */
  #logits(sum, wanted, guided, guidance) {
    const { sizes } = this.model;
    const of = (own) => {
      const h = this.ofTokens.through(own);
      return wanted.map((tokens, r) =>
        tokens.map((token) => this.ofTokens.logits(h, r, this.starts[token], sizes[token])),
      );
    };
    const found = of(sum);
    if (!guided) return found;
    const without = of(this.#without(this.ofTokens.seen, sum, guided, wanted.length));
    return found.map((row, r) =>
      row.map((logits, i) => logits.map((logit, v) => logit + guidance * (logit - without[r][i][v]))),
    );
  }

  /** A sum without the guided token. */
  #without(weights, sum, [token, value], rows) {
    const own = sum.slice();
    for (let r = 0; r < rows; r++) weights.add(own, r, this.#slot(token, value), -1);
    return own;
  }

  #drawNumbers(keys, tokens, numbers, guided, guidance, isOfAll) {
    const { with_number: places, number_values: values, steps, covariance } = this.model;
    const { columns } = this;
    const n = this.model.sizes.length;
    const network = isOfAll && this.ofAll ? this.ofAll : this.ofNumbers;
    const known = network.context.start();
    const isOpen = new Uint8Array(columns * BLOCK);
    tokens.forEach((row, r) => {
      row.forEach((value, token) => network.context.add(known, r, this.#slot(token, value)));
      this.#show(network.context, known, r, numbers[r]);
      places.forEach((token, c) => {
        isOpen[c * BLOCK + r] = Number(row[token] === values[c] && Number.isNaN(numbers[r][c]));
      });
    });
    const without = guided && this.#without(network.context, known, guided, keys.length);
    const own = keys.map((key) => foldIn(key, n + 1));
    const normal = (of) => Float32Array.from(own.flatMap((key) => [...normals(of(key), columns)]));
    const noise = { step: (i) => normal((key) => foldIn(key, i)) };
    const near = numbers.map((row) => (network === this.ofAll ? this.basis : conditionalNormal(covariance, row)));
    const predict = (x, level) => {
      const x0 = this.#predict(network, x, level, isOpen, known, near);
      if (!guided) return x0;
      const free = this.#predict(network, x, level, isOpen, without, near);
      return x0.map((value, i) => value + guidance * (value - free[i]));
    };
    /** @type {Float32Array} */
    let x = normal((key) => key);
    for (const state of dpmSde(this.schedule, x, predict, { steps, noise })) x = state.x;
    return x.map((value, i) => {
      const own = numbers[Math.floor(i / columns)][i % columns];
      return Number.isNaN(own) ? value : own;
    });
  }

  /**
   * x̂_0 of the numbers that are drawn, 0 for others.
   * near: of each row, its centre, the deviations from it, and the axes of these; null for the numbers themselves.
   */
  #predict(network, x, { alpha, sigma, lambda }, isOpen, known, near) {
    const { columns, memory } = this;
    const level = noiseLevelEmbedding(lambda, this.model.level_features, this.model.noise_level_frequencies);
    const block = memory.view(this.block, columns * BLOCK);
    block.fill(0);
    const rows = x.length / columns;
    const along = near.slice(0, rows).map(([centre, , axes], r) => {
      const left = Float64Array.from(centre, (value, c) => x[r * columns + c] - alpha * value);
      return axes ? left.map((_, a) => left.reduce((sum, value, c) => sum + value * axes[c * columns + a], 0)) : left;
    });
    along.forEach((own, r) => {
      own.forEach((value, a) => (block[a * BLOCK + r] = value / Math.hypot(sigma, alpha * near[r][1][a])));
    });
    network.given(isOpen, known);
    const found = memory.view(network.apply(this.block, network.share(level)), columns * BLOCK);
    const x0 = new Float32Array(x.length);
    along.forEach((own, r) => {
      const [centre, deviation, axes] = near[r];
      const moved = own.map((value, a) => {
        const total = sigma ** 2 + (alpha * deviation[a]) ** 2;
        const kept = (alpha * deviation[a] ** 2 * value) / total;
        return kept + ((sigma * deviation[a]) / Math.sqrt(total)) * found[a * BLOCK + r];
      });
      for (let c = 0; c < columns; c++) {
        if (!isOpen[c * BLOCK + r]) continue;
        const back = axes ? moved.reduce((sum, value, a) => sum + value * axes[c * columns + a], 0) : moved[c];
        x0[r * columns + c] = Math.min(LARGEST_SCORE, Math.max(-LARGEST_SCORE, centre[c] + back));
      }
    });
    return x0;
  }
}

KINDS.mixed = MixedModel;
