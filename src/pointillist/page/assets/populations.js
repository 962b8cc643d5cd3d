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

  /** Indices of those that go on in each place, if few candidates carry most of the weight; null if all do. */
  resampled(u) {
    const n = this.logs.length;
    if (this.measure() >= THRESHOLD * n) return null;
    const parents = this.systematic(u, n);
    this.logs.fill(this.logMass);
    return parents;
  }
}
