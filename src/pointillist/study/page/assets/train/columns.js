/* Reads numeric columns from CSV, and makes data sets of rows. */

const { isMissing, readCsv } = window.pointillist;

const MOST_COLUMNS = 8;
const MOST_ROWS = 5000;
const LEAST_ROWS = 30;
/** Root mean square of a scaled column, similar to the study's data sets. */
const SPREAD = 0.5;

/**
 * Reads the columns of numbers of a CSV file, with or without a line of names; rows with missing cells are left out.
 * @returns {{names: string[], rows: number[][], left: string[]}} left: what was left out, in words
 * @throws {Error} in one line, for an invalid file
 */
function readColumns(text) {
  const table = readCsv(text).map(({ cells, line }) => ({ cells: cells.map((cell) => cell.trim()), line }));
  if (!table.length) throw new Error("The file is empty.");
  const hasNames = table[0].cells.every((cell) => isMissing(cell) || Number.isNaN(Number(cell)));
  const titles = table[0].cells.map((cell, i) => (hasNames ? cell : `column ${i + 1}`));
  const lines = table.slice(hasNames ? 1 : 0);
  const odd = lines.find(({ cells }) => cells.length !== titles.length);
  if (odd) throw new Error(`Line ${odd.line} has ${odd.cells.length} cells instead of ${titles.length}.`);
  const columns = titles.map((name, c) => {
    const values = lines.map(({ cells }) => (isMissing(cells[c]) ? NaN : Number(cells[c])));
    return { name, values, wrong: lines.find(({ cells }, r) => !isMissing(cells[c]) && !Number.isFinite(values[r])), c };
  });
  const numbers = columns.filter(({ wrong, values }) => !wrong && !values.every(Number.isNaN));
  const kept = numbers.slice(0, MOST_COLUMNS);
  const left = columns
    .filter((column) => !kept.includes(column))
    .map(({ name, wrong, c }) => (wrong ? `${name} (line ${wrong.line} has ${wrong.cells[c].slice(0, 20)})` : name));
  if (kept.length < 2) {
    const why = left.length ? `, without ${left.join(", ").slice(0, 80)}` : "";
    throw new Error(`The file has ${kept.length} column${kept.length === 1 ? "" : "s"} of numbers${why}; it takes two or more.`);
  }
  const all = lines.map((_, r) => kept.map(({ values }) => values[r]));
  const rows = all.filter((row) => !row.some(Number.isNaN));
  if (rows.length < LEAST_ROWS) {
    throw new Error(`The file has ${rows.length} rows without missing cells; it takes ${LEAST_ROWS} or more.`);
  }
  if (rows.length < all.length) left.push(`${(all.length - rows.length).toLocaleString("en")} rows with missing cells`);
  return { names: kept.map(({ name }) => name), rows, left };
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
