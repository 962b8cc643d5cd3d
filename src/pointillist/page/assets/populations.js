/* Weighted populations of candidates, and resampling, as in populations.py. */

/** Effective sample size, relative to the population, below which candidates are resampled. */
const THRESHOLD = 0.5;

/** log Σ exp(logs) */
function logSum(logs) {
  const most = logs.reduce((a, b) => Math.max(a, b), -Infinity);
  if (most === -Infinity) return most;
  return most + Math.log(logs.reduce((sum, value) => sum + Math.exp(value - most), 0));
}

/** Candidates with weights. */
class Weighted {
  /** @param {number} n candidates, of equal weights */
  constructor(n) {
    this.logs = new Float64Array(n);
    /** Index of each candidate's first ancestor; candidates of one family are not independent. */
    this.families = Float64Array.from({ length: n }, (_, i) => i);
  }

  times(logFactors) {
    this.logs = this.logs.map((value, i) => value + logFactors[i]);
  }

  /** Log of the mean weight, which estimates the probability of the conditions. */
  get logMass() {
    return logSum(this.logs) - Math.log(this.logs.length);
  }

  /** Weights that sum to 1, equal ones if all are 0. */
  get shares() {
    const sum = logSum(this.logs);
    return this.logs.map((value) => (sum === -Infinity ? 1 / this.logs.length : Math.exp(value - sum)));
  }

  /** (Σ w)² / Σ w² */
  get effective() {
    return this.logMass === -Infinity ? 0 : 1 / this.shares.reduce((sum, share) => sum + share * share, 0);
  }

  /** Indices of `count` candidates by systematic resampling: one uniform number, evenly spaced points. */
  systematic(u, count) {
    let sum = 0;
    const upTo = this.shares.map((share) => (sum += share));
    let index = 0;
    return Array.from({ length: count }, (_, i) => {
      while (index < upTo.length - 1 && upTo[index] / sum < (u + i) / count) index++;
      return index;
    });
  }

  /** The population of resampled candidates, with equal weights. */
  settled(parents) {
    const made = new Weighted(parents.length);
    made.logs.fill(this.logMass);
    made.families = made.families.map((_, i) => this.families[parents[i]]);
    return made;
  }

  /**
   * Draws rows by weight, in random order.
   * @param {number[]} key
   * @param {Float32Array} rows one of each candidate
   * @returns {Population}
   */
  chosen(key, rows, width, kept) {
    const drawn = uniforms(key, kept + 1);
    const indices = this.systematic(drawn[0], kept);
    const order = indices.map((_, i) => i).sort((a, b) => drawn[a + 1] - drawn[b + 1] || a - b);
    const out = new Float32Array(kept * width);
    order.forEach((i, r) => out.set(rows.subarray(indices[i] * width, (indices[i] + 1) * width), r * width));
    return { drawn: out, logMass: this.logMass, families: order.map((i) => this.families[indices[i]]) };
  }

  /** Resamples if few candidates carry most of the weight: returns the index of each candidate's parent, or null. */
  resampled(u) {
    const n = this.logs.length;
    if (this.effective >= THRESHOLD * n) return null;
    const parents = this.systematic(u, n);
    Object.assign(this, this.settled(parents));
    return parents;
  }
}
