/* Draws rows of tokens and numbers: first the tokens one by one, then all numbers given the tokens. */

const HIDDEN = -1;
const LARGEST_POSITION = 1 - 2 ** -12;
const LARGEST_SCORE = 5.5;

/** Number of hidden tokens of a wide row that are drawn by the end of each evaluation. */
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

/**
 * @typedef {object} Candidate a row that is drawn
 * @property {Float32Array} row its tokens
 * @property {Float32Array} numbers its observed numbers, NaN for others
 * @property {(Float64Array | null)[]} [normal] center, standard deviations and axes of its numbers; see `axesOf`
 * @typedef {object} Settings settings that all rows share
 * @property {[token: number, value: number]} [guided]
 * @property {number} guidance
 * @property {boolean} isFilling
 * @property {NumberNetwork} network the number network
 */

/** Applies a function to blocks of rows, and joins the results. */
function inBlocks(rows, apply) {
  const made = [];
  for (let first = 0; first < rows.length; first += BLOCK) made.push(...apply(rows.slice(first, first + BLOCK)));
  return made;
}

/** Keys of a row's tokens and of its numbers; of the numbers, 0 is the start and i is step i. */
const STREAMS = {
  plain: (tokens) => ({
    tokenNetwork: (key) => key,
    numberNetwork: (key, i) => (i ? foldIn(foldIn(key, tokens + 1), i) : foldIn(key, tokens + 1)),
  }),
  restricted: () => ({
    tokenNetwork: (key) => foldIn(foldIn(key, 1), 0),
    numberNetwork: (key, i) => (i ? foldIn(foldIn(foldIn(key, 2), 1), i - 1) : foldIn(foldIn(key, 2), 0)),
  }),
};

class MixedModel {
  constructor(/** @type {Memory} */ memory, /** @type {MixedContent} */ model) {
    this.model = model;
    this.memory = memory;
    this.schedule = new Schedule(model.alpha, model.sigma);
    this.tokenNetwork = new TokenNetwork(memory, model);
    this.columns = model.with_number.length;
    if (this.columns) {
      const network = (part) => new NumberNetwork(memory, { ...model, columns: this.columns }, part);
      /** @type {NumberNetwork} undefined without numbers */
      this.numberNetwork = network("number_network.");
      if (model.has_joint_network) {
        /** @type {NumberNetwork} undefined without a joint network */
        this.jointNetwork = network("joint_network.");
        this.basis = axesOf(model.basis, this.columns);
      }
      this.block = memory.take(this.columns * BLOCK);
    }
    let first = 0;
    this.starts = model.sizes.map((size) => (first += size) - size);
  }

  /**
   * @param {{seed: number, firstRow: number, rows: number, guidance: number, known?: Float32Array,
   *   isFilling: boolean, conditions?: Condition[], told?: Told}} asked known: observed values, rows × (tokens, then numbers), or one
   *   row for all, -1 and NaN for values to draw; isFilling: whether drawn cells may not be missing; conditions: at most
   *   one, on a token; told: is told how the rows are drawn
   * @returns {Float32Array} rows × (tokens, then numbers)
   */
  draw({ seed, firstRow, rows, guidance, known, isFilling, conditions: [condition] = [], told }) {
    const { sizes, width, ranges } = this.model;
    const how = this.#how(guidance, known, isFilling);
    const key = keyOf(seed, SAMPLING);
    const out = new Float32Array(rows * width);
    for (let first = 0; first < rows; first += BLOCK) {
      const count = Math.min(BLOCK, rows - first);
      const keys = Array.from({ length: count }, (_, r) => foldIn(key, firstRow + first + r));
      const candidates = keys.map((_, r) => this.#start(known?.subarray(((first + r) * width) % known.length)));
      const { tokenNetwork, numberNetwork } = STREAMS[condition ? "restricted" : "plain"](sizes.length);
      if (condition) {
        // Each row is a population of one candidate with weight 1.
        const masses = this.#restrict(candidates, condition, how, (r) => uniforms(foldIn(foldIn(keys[r], 0), 0), 2));
        if (masses[0] < ranges.smallest_mass) throw new Error("too few rows meet the condition: widen it");
      }
      this.#drawTokens(keys.map(tokenNetwork), candidates, how, told);
      /** @type {Float32Array} */
      let x = new Float32Array();
      if (this.columns) {
        const step = (i) => Float32Array.from(keys.flatMap((key) => [...normals(numberNetwork(key, i), this.columns)]));
        const settings = { steps: ranges.points, noiseOf: step };
        told?.states.push(step(0));
        for (const state of dpm(this.schedule, step(0), this.#denoiser(candidates, how), settings)) {
          x = state.x;
          told?.states.push(x);
        }
      }
      out.set(this.#joined(candidates, x), first * width);
    }
    return out;
  }

  /**
   * Draws a population of candidates under conditions, and keeps some rows; see restricted_sampling.py.
   * @param {{seed: number, index: number, guidance: number, known?: Float32Array, conditions: Condition[]}} asked
   *   index: index of the population; known: as in `draw`, one row
   * @returns {Population}
   */
  population({ seed, index, guidance, known, conditions }) {
    const { with_number: withNumber, width } = this.model;
    const { population: n, kept } = this.model.ranges;
    const how = this.#how(guidance, known, false);
    const key = foldIn(keyOf(seed, SAMPLING), index);
    const [ofRestricted, tokenNetwork, numberNetwork, ofChoice] = [0, 1, 2, 3].map((i) => foldIn(key, i));
    const candidates = Array.from({ length: n }, () => this.#start(known));
    const follow = (parents) => {
      const copies = parents.map((r) => ({ ...candidates[r], row: candidates[r].row.slice() }));
      candidates.splice(0, candidates.length, ...copies);
    };
    let weighted = new Weighted(n);
    const turns = uniforms(ofRestricted, conditions.length);
    const order = conditions.map((_, i) => i).sort((a, b) => turns[a] - turns[b] || a - b);
    order.forEach((which, i) => {
      const drawn = uniforms(foldIn(ofRestricted, i), 2 * n + 1);
      const masses = this.#restrict(candidates, conditions[which], how, (r) => [drawn[r], drawn[n + r]]);
      weighted.times(masses.map(Math.log));
      const parents = weighted.resampled(drawn[2 * n]);
      if (parents) follow(parents);
    });
    const byNumber = conditions.map(({ token, ranges }) => ({ index: withNumber.indexOf(token), ranges: ranges ?? [] }));
    const inRanges = byNumber.filter(({ ranges }) => ranges.length);
    if (!inRanges.length) {
      // The weights no longer change.
      const parents = weighted.systematic(uniforms(ofChoice, 1)[0], kept);
      follow(parents);
      weighted = weighted.settled(parents);
    }
    for (let first = 0; first < candidates.length; first += BLOCK) {
      const block = candidates.slice(first, first + BLOCK);
      this.#drawTokens(block.map((_, r) => foldIn(tokenNetwork, first + r)), block, how);
    }
    /** @type {Float32Array} */
    let x = new Float32Array();
    if (this.columns) {
      const start = normals(foldIn(numberNetwork, 0), candidates.length * this.columns);
      x = walkInto(this.#walk(candidates, how, inRanges, follow), foldIn(numberNetwork, 1), start, weighted);
    }
    return weighted.chosen(ofChoice, this.#joined(candidates, x), width, kept);
  }

  /**
   * Prepares the draw of the candidates' numbers in ranges.
   * @param {Candidate[]} candidates
   * @param {Settings} how
   * @param {Walk["ranges"]} ranges
   * @param {Walk["follow"]} follow replaces candidates by the resampled ones
   * @returns {Walk}
   */
  #walk(candidates, how, ranges, follow) {
    const denoisers = () => inBlocks(candidates, (block) => [this.#denoiser(block, how)]);
    const size = BLOCK * this.columns;
    let blocks = denoisers();
    return {
      schedule: this.schedule,
      points: this.model.ranges.points,
      variances: this.model.with_number.map(() => 1),
      ranges,
      predict: (x, level) => {
        const x0 = new Float32Array(x.length);
        blocks.forEach((predict, i) => x0.set(predict(x.subarray(i * size, (i + 1) * size), level), i * size));
        return x0;
      },
      isAsked: (r, index) => this.#isOpen(candidates[r], index),
      follow: (parents) => {
        follow(parents);
        blocks = denoisers();
      },
    };
  }

  /**
   * Returns the settings that all rows share.
   * @param {Float32Array | undefined} known one row, or several rows for imputation
   * @returns {Settings}
   */
  #how(guidance, known, isFilling) {
    const { guided: label, with_number: withNumber, number_values: values } = this.model;
    /** @type {[number, number] | undefined} */
    const guided = guidance && known && label !== null ? [label, known[label]] : undefined;
    const hasObserved = isFilling || withNumber.some((token, k) => known && known[token] === values[k]);
    return { guided, guidance, isFilling, network: hasObserved || !this.jointNetwork ? this.numberNetwork : this.jointNetwork };
  }

  /**
   * Returns a candidate with the observed tokens and numbers.
   * @param {Float32Array | undefined} known
   * @returns {Candidate}
   */
  #start(known) {
    const { sizes, with_number: withNumber, number_values: values } = this.model;
    const row = known ? known.slice(0, sizes.length) : new Float32Array(sizes.length).fill(HIDDEN);
    sizes.forEach((size, token) => size === 1 && row[token] === HIDDEN && (row[token] = 0));
    const numbers = new Float32Array(this.columns).fill(NaN);
    withNumber.forEach((token, c) => {
      if (known && row[token] === values[c]) numbers[c] = known[sizes.length + c];
    });
    return { row, numbers };
  }

  /** Whether a number is drawn. */
  #isOpen({ row, numbers }, c) {
    const { with_number: withNumber, number_values: values } = this.model;
    return row[withNumber[c]] === values[c] && Number.isNaN(numbers[c]);
  }

  /** Joins tokens and numbers to rows; `x` has the drawn numbers. */
  #joined(candidates, x) {
    const n = this.model.sizes.length;
    const out = new Float32Array(candidates.length * this.model.width);
    candidates.forEach(({ row, numbers }, r) => {
      out.set(row, r * this.model.width);
      const merged = numbers.map((value, c) => (Number.isNaN(value) ? x[r * this.columns + c] : value));
      out.set(merged, r * this.model.width + n);
    });
    return out;
  }

  /** Adds the contribution of observed numbers to a sum. */
  #addNumbers(weights, sum, r, numbers) {
    const [slots, k] = [this.model.sizes.reduce((a, b) => a + b, 0), this.columns];
    numbers.forEach((x, c) => {
      if (Number.isNaN(x)) return;
      const waves = this.model.given_frequencies.flatMap((f) => [Math.sin(f * x), Math.cos(f * x)]);
      [1, x, ...waves].forEach((feature, i) => weights.add(sum, r, slots + i * k + c, feature));
    });
  }

  /** A sum with the contribution of the noised numbers. */
  #withNoised(weights, known, x, isOpen) {
    const [sum, { columns }] = [known.slice(), this];
    for (let r = 0; r < x.length / columns; r++) {
      const noised = x.slice(r * columns, (r + 1) * columns).map((value, c) => (isOpen[c * BLOCK + r] ? value : NaN));
      this.#addNumbers(weights, sum, r, noised);
    }
    return sum;
  }

  #slot(token, value) {
    return this.starts[token] + Math.floor(value);
  }

  /** The sum over the observed and drawn tokens, and the observed numbers, of some rows. */
  #seen(candidates) {
    const { seen } = this.tokenNetwork;
    const sum = seen.start();
    candidates.forEach(({ row, numbers }, r) => {
      row.forEach((value, token) => value !== HIDDEN && seen.add(sum, r, this.#slot(token, value)));
      this.#addNumbers(seen, sum, r, numbers);
    });
    return sum;
  }

  /**
   * Draws a token of candidates from its allowed values; returns the probability of these values for each candidate.
   * @param {Candidate[]} candidates
   * @param {Condition} condition
   * @param {Settings} how
   * @param {(r: number) => Iterable<number>} draws uniform numbers that choose a candidate's piece and its position in it
   */
  #restrict(candidates, { token, pieces }, how, draws) {
    const isInterval = this.model.with_intervals.includes(token);
    const found = inBlocks(candidates, (block) => this.#logits(this.#seen(block), block.map(() => [token]), how));
    return Float64Array.from(found, ([logits], r) => {
      const highest = Math.max(...logits);
      const shares = logits.map((logit) => Math.exp(logit - highest));
      const all = shares.reduce((a, b) => a + b, 0);
      const weights = pieces.map(([value, share]) => (shares[value] * share) / all);
      const mass = weights.reduce((a, b) => a + b, 0);
      const [choice, inside] = draws(r);
      let [sum, piece] = [weights[0], 0];
      while (sum <= choice * mass && piece < pieces.length - 1) sum += weights[++piece];
      const [value, , low, high] = pieces[piece];
      candidates[r].row[token] = value + (isInterval ? Math.min(low + inside * (high - low), LARGEST_POSITION) : 0);
      return mass;
    });
  }

  /**
   * Draws the hidden tokens of a block of rows.
   * @param {number[][]} keys
   * @param {Candidate[]} candidates
   * @param {Settings} how
   * @param {Told} [told]
   */
  #drawTokens(keys, candidates, how, told) {
    const { sizes, most_steps: mostSteps, with_intervals: intervals, missing_values: missing } = this.model;
    const n = sizes.length;
    const { seen } = this.tokenNetwork;
    const rows = candidates.map(({ row }) => row);
    const sum = this.#seen(candidates);
    const turns = keys.map((key, r) => {
      const hidden = sizes.map((_, token) => token).filter((token) => rows[r][token] === HIDDEN);
      if (this.model.in_column_order) return hidden;
      const order = uniforms(foldIn(key, n), n);
      return hidden.sort((a, b) => order[a] - order[b] || a - b);
    });
    const ends = turns.map((tokens) => (mostSteps ? stepsOf(tokens.length, mostSteps) : tokens.map((_, i) => i + 1)));
    const steps = Math.max(...ends.map((each) => each.length));
    for (let step = 0; step < steps; step++) {
      const begins = ends.map((each, r) => (step ? (each[step - 1] ?? turns[r].length) : 0));
      const wanted = turns.map((tokens, r) => tokens.slice(begins[r], ends[r][step] ?? tokens.length));
      if (wanted.every((tokens) => !tokens.length)) continue;
      const logits = this.#logits(sum, wanted, how);
      told?.turns.push({ wanted, logits });
      rows.forEach((row, r) => {
        wanted[r].forEach((token, i) => {
          const noise = gumbels(foldIn(keys[r], begins[r] + i), sizes[token]);
          let [best, value] = [-Infinity, 0];
          logits[r][i].forEach((logit, v) => {
            if (how.isFilling && v === missing[token]) return;
            if (logit + noise[v] > best) [best, value] = [logit + noise[v], v];
          });
          row[token] = value;
          seen.add(sum, r, this.#slot(token, value));
        });
      });
    }
    if (intervals.length) {
      keys.forEach((key, r) => {
        const positions = uniforms(foldIn(key, n + 2), intervals.length, 0, LARGEST_POSITION);
        intervals.forEach((token, i) => turns[r].includes(token) && (rows[r][token] += positions[i]));
      });
    }
  }

  /**
   * Logits of the tokens whose turn it is, row by row.
   * @param {Float32Array} sum as `#seen` returns it
   * @param {number[][]} wanted
   * @param {Settings} how
   */
  #logits(sum, wanted, { guided, guidance }) {
    const { sizes } = this.model;
    const logitsOf = (input) => {
      const h = this.tokenNetwork.through(input);
      return wanted.map((tokens, r) =>
        tokens.map((token) => this.tokenNetwork.logits(h, r, this.starts[token], sizes[token])),
      );
    };
    const found = logitsOf(sum);
    if (!guided) return found;
    const without = logitsOf(this.#without(this.tokenNetwork.seen, sum, guided, wanted.length));
    return found.map((row, r) =>
      row.map((logits, i) => logits.map((logit, v) => logit + guidance * (logit - without[r][i][v]))),
    );
  }

  /** A sum without the guided token. */
  #without(weights, sum, [token, value], rows) {
    const others = sum.slice();
    for (let r = 0; r < rows; r++) weights.add(others, r, this.#slot(token, value), -1);
    return others;
  }

  /**
   * E[x_0 | x_t] of the numbers of a block of rows.
   * @param {Candidate[]} candidates
   * @param {Settings} how
   * @returns {(x: Float32Array, level: Level) => Float32Array}
   */
  #denoiser(candidates, { guided, guidance, network }) {
    const { columns } = this;
    const known = network.context.start();
    const isOpen = new Uint8Array(columns * BLOCK);
    candidates.forEach((candidate, r) => {
      candidate.row.forEach((value, token) => network.context.add(known, r, this.#slot(token, value)));
      this.#addNumbers(network.context, known, r, candidate.numbers);
      for (let c = 0; c < columns; c++) isOpen[c * BLOCK + r] = Number(this.#isOpen(candidate, c));
      candidate.normal ??=
        network === this.jointNetwork ? this.basis : conditionalNormal(this.model.covariance, candidate.numbers);
    });
    const without = guided && this.#without(network.context, known, guided, candidates.length);
    const normals = candidates.map((candidate) => candidate.normal);
    return (x, level) => {
      const x0 = this.#predict(network, x, level, isOpen, known, normals);
      if (!guided) return x0;
      const free = this.#predict(network, x, level, isOpen, without, normals);
      return x0.map((value, i) => value + guidance * (value - free[i]));
    };
  }

  /** x̂_0 of the drawn numbers, and 0 for others. `normals` has the center, standard deviations and axes of each row. */
  #predict(network, x, { alpha, sigma, lambda }, isOpen, known, normals) {
    const { columns, memory } = this;
    const block = memory.view(this.block, columns * BLOCK);
    block.fill(0);
    const rows = x.length / columns;
    const along = normals.slice(0, rows).map(([center, deviation, axes], r) => {
      const left = Float64Array.from(center, (value, c) => x[r * columns + c] - alpha * value);
      const values = axes ? left.map((_, a) => left.reduce((sum, value, c) => sum + value * axes[c * columns + a], 0)) : left;
      const totals = deviation.map((value) => sigma ** 2 + (alpha * value) ** 2);
      values.forEach((value, a) => (block[a * BLOCK + r] = value / Math.sqrt(totals[a])));
      return { values, totals };
    });
    const isNoised = this.jointNetwork && network !== this.jointNetwork;
    network.isOpen = isOpen;
    network.known = isNoised ? this.#withNoised(network.context, known, x, isOpen) : known;
    const found = memory.view(network.apply(this.block, network.ofLevel(lambda)), columns * BLOCK);
    const x0 = new Float32Array(x.length);
    along.forEach(({ values, totals }, r) => {
      const [center, deviation, axes] = normals[r];
      const moved = values.map((value, a) => {
        const kept = (alpha * deviation[a] ** 2 * value) / totals[a];
        return kept + ((sigma * deviation[a]) / Math.sqrt(totals[a])) * found[a * BLOCK + r];
      });
      for (let c = 0; c < columns; c++) {
        if (!isOpen[c * BLOCK + r]) continue;
        const back = axes ? moved.reduce((sum, value, a) => sum + value * axes[c * columns + a], 0) : moved[c];
        x0[r * columns + c] = Math.min(LARGEST_SCORE, Math.max(-LARGEST_SCORE, center[c] + back));
      }
    });
    return x0;
  }
}

KINDS.mixed = MixedModel;
