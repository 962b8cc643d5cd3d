/* Draws rows under conditions: by leaving out plain rows, or in populations of candidates, until there are enough. */

const { Table } = window.pointillist;
/** Fraction of plain rows that have to meet the conditions, so that leaving out the others is faster than populations. */
const LEAST_SHARE = 0.2;

/**
 * Keeps the plain rows that meet the conditions.
 * @param {PageContent} content
 * @param {(asked: Asked) => Promise<DrawnTable | null>} draw
 * @param {Asked} asked
 * @param {(share: number) => void} onPart called with the finished fraction
 * @returns {Promise<DrawnTable | null | undefined>} null if another run has begun, undefined if too few rows meet them
 */
async function filtered(content, draw, { conditions, ranges, wishes = [], rows, seed, ...plain }, onPart) {
  const made = new Table(content, rows);
  const meets = (table, r) =>
    wishes.every(({ column, values, low = -Infinity, high = Infinity }) => {
      const value = table.columns[content.columns.indexOf(column)].values[r];
      return values ? values.some((each) => Object.is(each, value)) : value >= low && value <= high;
    });
  const batch = 2 * content.model.chunk;
  for (let [k, found] = [0, 0]; found < rows; k++) {
    const drawn = await draw({ ...plain, rows: batch, seed: (seed ^ Math.imul(k, 0x9e3779b9)) >>> 0 });
    if (!drawn) return null;
    const kept = Array.from({ length: batch }, (_, r) => r).filter((r) => meets(drawn, r));
    if (!k && kept.length < LEAST_SHARE * batch) return undefined;
    for (const r of kept.slice(0, rows - found)) {
      made.columns.forEach(({ values }, c) => (values[found] = drawn.columns[c].values[r]));
      found++;
    }
    onPart(found / rows);
  }
  return made;
}

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

Object.assign(window.pointillist, { filtered, inRanges });
