/* Rows of tokens and numbers: tokens one after another, then the numbers at once, given them. */

const HIDDEN = -1;
const LARGEST_POSITION = 1 - 2 ** -12;
const LARGEST_SCORE = 5.5;

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

/**
 * @typedef {object} Candidate a row that is drawn
 * @property {Float32Array} row its tokens
 * @property {Float32Array} numbers those that are given, NaN for others
 * @property {(Float64Array | null)[]} [near] what its numbers are near to
 * @typedef {object} How what is the same for all rows
 * @property {[token: number, value: number]} [guided]
 * @property {number} guidance
 * @property {boolean} isFilling
 * @property {NumberNetwork} network of the numbers
 */

/** What is made of rows, of a block of them at a time. */
function inBlocks(rows, of) {
  const made = [];
  for (let first = 0; first < rows.length; first += BLOCK) made.push(...of(rows.slice(first, first + BLOCK)));
  return made;
}

/** Keys of a row's tokens, and of its numbers: 0 for where they start, and i for step i. */
const STREAMS = {
  plain: (tokens) => ({
    ofTokens: (key) => key,
    numberNetwork: (key, i) => (i ? foldIn(foldIn(key, tokens + 1), i) : foldIn(key, tokens + 1)),
  }),
  restricted: () => ({
    ofTokens: (key) => foldIn(foldIn(key, 1), 0),
    numberNetwork: (key, i) => (i ? foldIn(foldIn(foldIn(key, 2), 1), i - 1) : foldIn(foldIn(key, 2), 0)),
  }),
};

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
      this.numberNetwork = network("number_network.");
      if (model.has_joint_network) {
        /** @type {NumberNetwork} there if the numbers have a basis */
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
   *   isFilling: boolean, conditions?: Condition[]}} asked known: rows × (tokens, then numbers), or one row for all,
   *   -1 and NaN for those that are drawn; isFilling: whether none of these stands for a missing cell; conditions: one
   *   at most, of a token alone
   * @returns {Float32Array} rows × (tokens, then numbers)
   */
  draw({ seed, firstRow, rows, guidance, known, isFilling, conditions: [condition] = [] }) {
    const { sizes, width, ranges } = this.model;
    const how = this.#how(guidance, known, isFilling);
    const key = keyOf(seed, SAMPLING);
    const out = new Float32Array(rows * width);
    for (let first = 0; first < rows; first += BLOCK) {
      const count = Math.min(BLOCK, rows - first);
      const keys = Array.from({ length: count }, (_, r) => foldIn(key, firstRow + first + r));
      const candidates = keys.map((_, r) => this.#start(known?.subarray(((first + r) * width) % known.length)));
      const { ofTokens, numberNetwork } = STREAMS[condition ? "restricted" : "plain"](sizes.length);
      if (condition) {
        // Each row is a population of one candidate, and nothing weighs it.
        const masses = this.#restrict(candidates, condition, how, (r) => uniforms(foldIn(foldIn(keys[r], 0), 0), 2));
        const isRare = masses[0] < ranges.smallest_mass;
        if (isRare) throw new Error("too few rows meet the condition; ask for more than that");
      }
      this.#drawTokens(keys.map(ofTokens), candidates, how);
      /** @type {Float32Array} */
      let x = new Float32Array();
      if (this.columns) {
        const step = (i) => Float32Array.from(keys.flatMap((key) => [...normals(numberNetwork(key, i), this.columns)]));
        const settings = { steps: ranges.points, noiseOf: step };
        for (const state of dpm(this.schedule, step(0), this.#denoiser(candidates, how), settings)) x = state.x;
      }
      out.set(this.#joined(candidates, x), first * width);
    }
    return out;
  }

  /**
   * Draws a population of candidates under conditions, and keeps some of its rows; restricted_sampling.py says how.
   * @param {{seed: number, index: number, guidance: number, known?: Float32Array, conditions: Condition[]}} asked
   *   index: of the population; known: see above, one row
   * @returns {Population}
   */
  population({ seed, index, guidance, known, conditions }) {
    const { with_number: places, width } = this.model;
    const { population: n, kept } = this.model.ranges;
    const how = this.#how(guidance, known, false);
    const key = foldIn(keyOf(seed, SAMPLING), index);
    const [ofRestricted, ofTokens, numberNetwork, ofChoice] = [0, 1, 2, 3].map((i) => foldIn(key, i));
    const candidates = Array.from({ length: n }, () => this.#start(known));
    const follow = (parents) => {
      const own = parents.map((r) => ({ ...candidates[r], row: candidates[r].row.slice() }));
      candidates.splice(0, candidates.length, ...own);
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
    const placed = conditions.map(({ token, ranges }) => ({ place: places.indexOf(token), ranges: ranges ?? [] }));
    const inRanges = placed.filter(({ ranges }) => ranges.length);
    if (!inRanges.length) {
      // Nothing weighs them any more.
      const parents = weighted.systematic(uniforms(ofChoice, 1)[0], kept);
      follow(parents);
      weighted = weighted.settled(parents);
    }
    for (let first = 0; first < candidates.length; first += BLOCK) {
      const block = candidates.slice(first, first + BLOCK);
      this.#drawTokens(block.map((_, r) => foldIn(ofTokens, first + r)), block, how);
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
   * The walk of candidates' numbers.
   * @param {Candidate[]} candidates
   * @param {How} how
   * @param {Walk["ranges"]} ranges
   * @param {Walk["follow"]} follow puts those that go on in each place
   * @returns {Walk}
   */
  #walk(candidates, how, ranges, follow) {
    const denoisers = () => inBlocks(candidates, (block) => [this.#denoiser(block, how)]);
    const size = BLOCK * this.columns;
    let own = denoisers();
    return {
      schedule: this.schedule,
      points: this.model.ranges.points,
      variances: this.model.with_number.map(() => 1),
      ranges,
      predict: (x, level) => {
        const x0 = new Float32Array(x.length);
        own.forEach((predict, i) => x0.set(predict(x.subarray(i * size, (i + 1) * size), level), i * size));
        return x0;
      },
      isAsked: (r, place) => this.#isOpen(candidates[r], place),
      follow: (parents) => {
        follow(parents);
        own = denoisers();
      },
    };
  }

  /**
   * What is the same for all rows.
   * @param {Float32Array | undefined} known one row, or more if they are filled
   */
  #how(guidance, known, isFilling) {
    const { guided: place, with_number: places, number_values: values } = this.model;
    /** @type {[number, number] | undefined} */
    const guided = guidance && known && place !== null ? [place, known[place]] : undefined;
    const hasGiven = isFilling || places.some((token, k) => known && known[token] === values[k]);
    return { guided, guidance, isFilling, network: hasGiven || !this.jointNetwork ? this.numberNetwork : this.jointNetwork };
  }

  /**
   * Tokens of a row and its numbers, NaN where there are none or they are drawn.
   * @param {Float32Array | undefined} known
   * @returns {Candidate}
   */
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

  /** Whether a number is drawn. */
  #isOpen({ row, numbers }, c) {
    const { with_number: places, number_values: values } = this.model;
    return row[places[c]] === values[c] && Number.isNaN(numbers[c]);
  }

  /** Rows of tokens and numbers: those that are given, or else those that were drawn. */
  #joined(candidates, x) {
    const n = this.model.sizes.length;
    const out = new Float32Array(candidates.length * this.model.width);
    candidates.forEach(({ row, numbers }, r) => {
      out.set(row, r * this.model.width);
      const own = numbers.map((value, c) => (Number.isNaN(value) ? x[r * this.columns + c] : value));
      out.set(own, r * this.model.width + n);
    });
    return out;
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

  /** A sum with what noised numbers contribute as they are. */
  #withNoised(of, known, x, isOpen) {
    const [own, { columns }] = [known.slice(), this];
    for (let r = 0; r < x.length / columns; r++) {
      const numbers = Array.from(x.slice(r * columns, (r + 1) * columns));
      const noised = numbers.map((value, c) => (isOpen[c * BLOCK + r] ? value : NaN));
      this.#show(of, own, r, noised);
    }
    return own;
  }

  #slot(token, value) {
    return this.starts[token] + Math.floor(value);
  }

  /** The sum of what is seen of some rows. */
  #seen(candidates) {
    const { seen } = this.ofTokens;
    const sum = seen.start();
    candidates.forEach(({ row, numbers }, r) => {
      row.forEach((value, token) => value !== HIDDEN && seen.add(sum, r, this.#slot(token, value)));
      this.#show(seen, sum, r, numbers);
    });
    return sum;
  }

  /**
   * Draws a token of candidates from what is allowed of it; gives the mass that was allowed of each.
   * @param {Candidate[]} candidates
   * @param {Condition} condition
   * @param {How} how
   * @param {(r: number) => Iterable<number>} draws which piece a candidate gets, and where in it
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
   * @param {How} how
   */
  #drawTokens(keys, candidates, how) {
    const { sizes, most_steps: mostSteps, with_intervals: intervals, missing_values: missing } = this.model;
    const n = sizes.length;
    const { seen } = this.ofTokens;
    const rows = candidates.map(({ row }) => row);
    const sum = this.#seen(candidates);
    const turns = keys.map((key, r) => {
      const hidden = sizes.map((_, token) => token).filter((token) => rows[r][token] === HIDDEN);
      if (this.model.in_column_order) return hidden;
      const order = uniforms(foldIn(key, n), n);
      return hidden.sort((a, b) => order[a] - order[b] || a - b);
    });
    const ends = turns.map((own) => (mostSteps ? stepsOf(own.length, mostSteps) : own.map((_, i) => i + 1)));
    const steps = Math.max(...ends.map((own) => own.length));
    for (let step = 0; step < steps; step++) {
      const begins = ends.map((own, r) => (step ? (own[step - 1] ?? turns[r].length) : 0));
      const wanted = turns.map((own, r) => own.slice(begins[r], ends[r][step] ?? own.length));
      if (wanted.every((own) => !own.length)) continue;
      const logits = this.#logits(sum, wanted, how);
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
        const places = uniforms(foldIn(key, n + 2), intervals.length, 0, LARGEST_POSITION);
        intervals.forEach((token, i) => turns[r].includes(token) && (rows[r][token] += places[i]));
      });
    }
  }

  /**
   * Logits of the tokens whose turn it is, row by row.
   * @param {Float32Array} sum what is seen
   * @param {number[][]} wanted
   * @param {How} how
   */
  #logits(sum, wanted, { guided, guidance }) {
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

  /**
   * E[x_0 | x_t] of the numbers of a block of rows.
   * @param {Candidate[]} candidates
   * @param {How} how
   * @returns {(x: Float32Array, level: Level) => Float32Array}
   */
  #denoiser(candidates, { guided, guidance, network }) {
    const { columns } = this;
    const known = network.context.start();
    const isOpen = new Uint8Array(columns * BLOCK);
    candidates.forEach((candidate, r) => {
      candidate.row.forEach((value, token) => network.context.add(known, r, this.#slot(token, value)));
      this.#show(network.context, known, r, candidate.numbers);
      for (let c = 0; c < columns; c++) isOpen[c * BLOCK + r] = Number(this.#isOpen(candidate, c));
      candidate.near ??=
        network === this.jointNetwork ? this.basis : conditionalNormal(this.model.covariance, candidate.numbers);
    });
    const without = guided && this.#without(network.context, known, guided, candidates.length);
    const near = candidates.map((candidate) => candidate.near);
    return (x, level) => {
      const x0 = this.#predict(network, x, level, isOpen, known, near);
      if (!guided) return x0;
      const free = this.#predict(network, x, level, isOpen, without, near);
      return x0.map((value, i) => value + guidance * (value - free[i]));
    };
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
    network.given(isOpen, this.jointNetwork && network !== this.jointNetwork ? this.#withNoised(network.context, known, x, isOpen) : known);
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
