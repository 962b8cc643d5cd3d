"use strict";
/* Populations of candidates with weights, and which of them are drawn by these, as populations.py has them. */

/** Share of a population's size below which its effective size calls for resampling. */
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
    /** Smallest effective number of candidates so far. */
    this.effective = n;
  }

  times(logFactors) {
    this.logs = this.logs.map((value, i) => value + logFactors[i]);
  }

  /** The log of the mean weight, which estimates that of the condition's mass. */
  get logMass() {
    return logSum(this.logs) - Math.log(this.logs.length);
  }

  /** Weights that sum to 1, equal ones if all are 0. */
  get shares() {
    const sum = logSum(this.logs);
    return this.logs.map((value) => (sum === -Infinity ? 1 / this.logs.length : Math.exp(value - sum)));
  }

  /** Takes note of (Σ w)² / Σ w². */
  measure() {
    const own = this.logMass === -Infinity ? 0 : 1 / this.shares.reduce((sum, share) => sum + share * share, 0);
    this.effective = Math.min(this.effective, own);
    return own;
  }

  /** Indices of `count` candidates by systematic resampling: one uniform number, evenly spaced points. */
  systematic(u, count) {
    let sum = 0;
    const upTo = this.shares.map((share) => (sum += share));
    let place = 0;
    return Array.from({ length: count }, (_, i) => {
      while (place < upTo.length - 1 && upTo[place] / sum < (u + i) / count) place++;
      return place;
    });
  }

  /** Equal weights of `count` candidates that were drawn by these. */
  settled(count) {
    this.measure();
    const made = new Weighted(count);
    made.logs.fill(this.logMass);
    made.effective = this.effective;
    return made;
  }

  /**
   * Rows that are drawn by the weights, in random order.
   *
   * @param {number[]} key
   * @param {Float32Array} rows one of each candidate
   * @param {number} width
   * @param {number} kept
   * @returns {Population}
   */
  chosen(key, rows, width, kept) {
    this.measure();
    const drawn = uniforms(key, kept + 1);
    const places = this.systematic(drawn[0], kept);
    const order = places.map((_, i) => i).sort((a, b) => drawn[a + 1] - drawn[b + 1] || a - b);
    const out = new Float32Array(kept * width);
    order.forEach((i, r) => out.set(rows.subarray(places[i] * width, (places[i] + 1) * width), r * width));
    return { drawn: out, logMass: this.logMass, effective: Math.min(this.effective, kept) };
  }

  /** Indices of those that go on in each place, if few candidates carry most of the weight; null if all do. */
  resampled(u) {
    const n = this.logs.length;
    if (this.measure() >= THRESHOLD * n) return null;
    const parents = this.systematic(u, n);
    this.logs.fill(this.logMass);
    return parents;
  }
}
