/* Reads rows with missing cells from CSV, and encodes their observed cells. */

const { isMissing, listed, readCsv } = window.pointillist;
const MOST_ROWS = 100_000;

/** The text categories of a column; in quotes, one of them may be a word that otherwise means a missing cell. */
/** @param {PageColumn} column */
const textsOf = ({ categories }) => new Set(categories?.filter((each) => typeof each === "string"));

/**
 * Encodes rows without observed cells.
 * @param {Pick<PageContent, "columns" | "model">} content
 */
function unknownRows({ columns, model }, rows) {
  const { width } = model;
  const known = new Float32Array(rows * width).fill(NaN);
  if (model.kind === "mixed") for (let r = 0; r < rows; r++) known.fill(-1, r * width, r * width + columns.length);
  return { known, width };
}

/**
 * Encodes the observed cells of a row; returns undefined if there are none.
 * @param {[slot: number, value: number][]} given
 * @param {PageContent} content
 */
function knownRow(given, content) {
  if (!given.length) return undefined;
  const { known } = unknownRows(content, 1);
  for (const [slot, value] of given) content.columns.find((each) => each.slot === slot)?.tell(known, value);
  return known;
}

/**
 * Reads CSV as rows with missing cells.
 * @param {Pick<PageContent, "columns" | "model" | "classes">} content
 * @param {number | null} label index of the class of rows without a class in the file
 * @returns {IncompleteRows}
 * @throws {Error} in one line, for an invalid file
 */
function readIncompleteRows(text, content, label = null) {
  const { columns, classes } = content;
  const [head, ...rows] = readCsv(text);
  if (!head || !rows.length) throw new Error("There are no rows: give a line of column names, and rows below it.");
  if (rows.length > MOST_ROWS) throw new Error(`There are ${rows.length} rows; a page fills at most ${MOST_ROWS}.`);
  const names = columns.map(({ name }) => name);
  const order = head.cells.map((name) => names.indexOf(names.includes(name) ? name : name.trim()));
  const unknown = head.cells.filter((_, i) => order[i] < 0);
  if (unknown.length) throw new Error(`Unknown column ${listed(unknown)}: the model's columns are ${listed(names)}.`);
  const twice = head.cells.filter((_, i) => order.indexOf(order[i]) < i);
  if (twice.length) throw new Error(`Column ${listed(twice)} occurs twice.`);
  const { known, width } = unknownRows(content, rows.length);
  const labels = classes && new Int32Array(rows.length);
  const classColumn = columns.findIndex(({ kind }) => kind === "label");
  let missing = 0;
  const values = rows.map(() => columns.map(() => NaN));
  const named = columns.map(textsOf);
  const texts = rows.map(({ cells, quoted, line }, r) => {
    if (cells.length !== order.length) {
      throw new Error(`Line ${line} has ${cells.length} cells, and the first line ${order.length}.`);
    }
    const row = known.subarray(r * width, (r + 1) * width);
    /** @type {(string | null)[]} */
    const given = columns.map(() => null);
    order.forEach((c, i) => {
      const cell = cells[i];
      // Classes are not drawn: an empty class cell stays empty.
      if (c === classColumn) given[c] = cell;
      if (isMissing(cell) && !(quoted[i] && named[c].has(cell))) return;
      const column = columns[c];
      try {
        values[r][c] = column.parse(cell);
        column.tell(row, values[r][c]);
      } catch (error) {
        throw new Error(`Line ${line}, column "${column.name}": ${error.message}.`);
      }
      given[c] = cell;
    });
    if (labels) labels[r] = classOf(values[r][classColumn] ?? NaN, label, classes, line);
    missing += given.filter((cell, c) => cell === null && c !== classColumn).length;
    return given;
  });
  if (!missing) throw new Error("No cell is empty, so there is nothing to fill.");
  const lacking = names.map((_, i) => i).filter((i) => !order.includes(i) && i !== classColumn);
  return { texts, values, order: [...order, ...lacking], known, labels, missing };
}

/** Index of a row's class: from its cell, or else the chosen class, or else the number of classes (unknown). */
function classOf(value, chosen, { labels, can_guide: canBeUnknown }, line) {
  const label = Number.isNaN(value) ? chosen : value;
  if (label === null && !canBeUnknown) {
    throw new Error(`Line ${line} has no class, which this model needs: write it there, or choose one above.`);
  }
  return label ?? labels.length;
}

Object.assign(window.pointillist, { readIncompleteRows, knownRow });
