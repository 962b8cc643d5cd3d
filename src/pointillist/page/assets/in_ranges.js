/* Draws rows under conditions, in populations of candidates, until there are enough. */

/**
 * Draws populations until enough rows meet the conditions.
 * @param {{workers: Worker[], call: (worker: Worker, message: object) => Promise<Population>}} workers
 * @param {RangedContent} settings
 * @param {number} width of a row
 * @param {object} message message to the workers, the same for each population
 * @param {() => boolean} isWanted whether to go on
 * @param {(first: number, drawn: Float32Array) => void} put called with the rows from the first on
 * @returns {Promise<number>} effective number of rows
 * @throws {Error} if too few rows are in the ranges
 */
async function inRanges(workers, settings, width, rows, message, isWanted, put) {
  let [next, found] = [0, 0];
  // Populations with less than the mean mass so far are accepted in proportion to it; the others get more weight.
  let [seen, total, credit, weights, squares] = [0, 0, 0, 0, 0];
  const last = settings.most_tries * Math.max(2, Math.ceil(rows / settings.kept));
  while (found < rows && isWanted()) {
    if (next >= last) {
      throw new Error("too few rows meet the conditions together: widen them");
    }
    const most = Math.ceil((rows - found) / settings.kept);
    const calls = workers.workers.slice(0, most).map((worker) => workers.call(worker, { ...message, index: next++ }));
    for (const { drawn, logMass, families } of await Promise.all(calls)) {
      seen += 1;
      total += Math.exp(logMass);
      if (!isWanted() || logMass < Math.log(settings.smallest_mass)) continue;
      const share = (Math.exp(logMass) * seen) / total;
      credit += Math.min(share, 1);
      if (credit < 1 - 1e-9 || found >= rows) continue;
      credit -= 1;
      const weight = Math.max(share, 1);
      const count = Math.min(settings.kept, rows - found);
      const sizes = new Map();
      for (const family of families.slice(0, count)) sizes.set(family, (sizes.get(family) ?? 0) + weight);
      for (const size of sizes.values()) {
        weights += size;
        squares += size ** 2;
      }
      put(found, drawn.subarray(0, count * width));
      found += count;
    }
  }
  return found ? weights ** 2 / squares : 0;
}

Object.assign(window.pointillist, { inRanges });
