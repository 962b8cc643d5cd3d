/* Reads two or three numeric columns from CSV, and makes data sets of rows. */

const { readCsv } = window.pointillist;

const MOST_ROWS = 5000;
const LEAST_ROWS = 30;
/** Root mean square of a scaled column, similar to the study's data sets. */
const SPREAD = 0.5;

/**
 * Reads a CSV of two or three columns of numbers, with or without a line of names.
 * @returns {{names: string[], rows: number[][]}}
 * @throws {Error} in one line, for an invalid file
 */
function readColumns(text) {
  const table = readCsv(text).map(({ cells, line }) => ({ cells: cells.map((cell) => cell.trim()), line }));
  if (!table.length) throw new Error("The file is empty.");
  const numbersOf = (cells) => cells.map((cell) => (cell === "" ? NaN : Number(cell)));
  const hasNames = numbersOf(table[0].cells).every(Number.isNaN);
  const names = hasNames ? table[0].cells : table[0].cells.map((_, i) => `column ${i + 1}`);
  if (names.length < 2 || names.length > 3) {
    throw new Error(`The file has ${names.length} column${names.length === 1 ? "" : "s"}; it takes two or three.`);
  }
  const rows = [];
  for (const { cells, line } of table.slice(hasNames ? 1 : 0)) {
    const numbers = numbersOf(cells);
    if (numbers.length !== names.length || !numbers.every(Number.isFinite)) {
      throw new Error(`Line ${line} does not hold ${names.length} numbers: ${cells.join(",").slice(0, 40)}`);
    }
    rows.push(numbers);
  }
  if (rows.length < LEAST_ROWS) throw new Error(`The file has ${rows.length} rows; it takes ${LEAST_ROWS} or more.`);
  return { names, rows };
}

/**
 * Makes a scaled data set of at most 5,000 evenly chosen rows.
 * @param {number[][]} rows
 * @param {string[]} names
 * @param {{together?: boolean}} options together: whether all columns share a unit
 */
function datasetOf(rows, names, { together = false } = {}) {
  const n = Math.min(rows.length, MOST_ROWS);
  const chosen = Array.from({ length: n }, (_, i) => rows[Math.floor((i * rows.length) / n)]);
  const each = names.map((_, c) => chosen.map((row) => row[c]));
  const centre = each.map((values) => values.reduce((a, b) => a + b, 0) / n);
  const spread = each.map((values, c) => Math.sqrt(values.reduce((sum, v) => sum + (v - centre[c]) ** 2, 0) / n) || 1);
  const widest = Math.max(...spread);
  const unit = spread.map((one) => (together ? widest : one) / SPREAD);
  const real = Float32Array.from(chosen.flatMap((row) => row.map((value, c) => (value - centre[c]) / unit[c])));
  return { names, centre, unit, ...pictureOf(real, names) };
}

/** Properties for a picture of scaled rows. */
function pictureOf(real, names) {
  const d = names.length;
  const ends = names.map((_, c) => {
    let [low, high] = [Infinity, -Infinity];
    for (let i = c; i < real.length; i += d) [low, high] = [Math.min(low, real[i]), Math.max(high, real[i])];
    return [low, high];
  });
  const reach = ends.map(([low, high]) => Math.max(-low, high));
  return {
    real,
    labels: null,
    class_sizes: [real.length / d],
    axes: names,
    origin: names.map(() => 0),
    directions: names.map((_, c) => names.map((__, k) => Number(c === k))),
    box: [ends.map(([low]) => low), ends.map(([, high]) => high)],
    extent: d === 3 ? Math.hypot(...reach) : Math.max(...reach),
  };
}

Object.assign(window.pointillist, { readColumns, datasetOf });
