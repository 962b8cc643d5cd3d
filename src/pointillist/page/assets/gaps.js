/* Rows with gaps, from a text to what a model is told of them. */

const { isMissing, listed, readCsv } = window.pointillist;
const MOST_ROWS = 100_000;

/** The categories or classes of a column that are text: in quotes, one of them may be a word for a missing cell. */
/** @param {PageColumn} column */
const textsOf = ({ categories }) => new Set(categories?.filter((each) => typeof each === "string"));

/**
 * Rows as the model is told of them, of which nothing is known.
 * @param {Pick<PageContent, "columns" | "model">} content
 */
function unknownRows({ columns, model }, rows) {
  const { width } = model;
  const known = new Float32Array(rows * width).fill(NaN);
  if (model.kind === "mixed") for (let r = 0; r < rows; r++) known.fill(-1, r * width, r * width + columns.length);
  return { known, width };
}

/**
 * A row as the model is told of it; undefined if no cell is given.
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
 * Reads CSV as rows with gaps.
 * @param {Pick<PageContent, "columns" | "model" | "classes">} content
 * @param {number | null} label index of the class of rows of which the file says none
 * @returns {Gaps}
 * @throws {Error} that says in one line what is wrong
 */
function readGaps(text, content, label = null) {
  const { columns, classes } = content;
  const [head, ...rows] = readCsv(text);
  if (!head || !rows.length) throw new Error("There are no rows: give a line of column names, and rows below it.");
  if (rows.length > MOST_ROWS) throw new Error(`There are ${rows.length} rows; a page fills at most ${MOST_ROWS}.`);
  const names = columns.map(({ name }) => name);
  const own = head.cells.map((name) => names.indexOf(names.includes(name) ? name : name.trim()));
  const unknown = head.cells.filter((_, i) => own[i] < 0);
  if (unknown.length) throw new Error(`Unknown column ${listed(unknown)}: the model's columns are ${listed(names)}.`);
  const twice = head.cells.filter((_, i) => own.indexOf(own[i]) < i);
  if (twice.length) throw new Error(`Column ${listed(twice)} is there twice.`);
  const { known, width } = unknownRows(content, rows.length);
  const labels = classes && new Int32Array(rows.length);
  const ofClass = columns.findIndex(({ kind }) => kind === "label");
  let gaps = 0;
  const values = rows.map(() => columns.map(() => NaN));
  const named = columns.map(textsOf);
  const texts = rows.map(({ cells, quoted, line }, r) => {
    if (cells.length !== own.length) {
      throw new Error(`Line ${line} has ${cells.length} cells, and the first line ${own.length}.`);
    }
    const row = known.subarray(r * width, (r + 1) * width);
    /** @type {(string | null)[]} */
    const given = columns.map(() => null);
    own.forEach((place, i) => {
      const cell = cells[i];
      // No class is drawn: a cell without one stays as it is.
      if (place === ofClass) given[place] = cell;
      if (isMissing(cell) && !(quoted[i] && named[place].has(cell))) return;
      const column = columns[place];
      try {
        values[r][place] = column.parse(cell);
        column.tell(row, values[r][place]);
      } catch (error) {
        throw new Error(`Line ${line}, column "${column.name}": ${error.message}.`);
      }
      given[place] = cell;
    });
    if (labels) labels[r] = classOf(values[r][ofClass] ?? NaN, label, classes, line);
    gaps += given.filter((cell, c) => cell === null && c !== ofClass).length;
    return given;
  });
  if (!gaps) throw new Error("No cell is empty, so there is nothing to fill.");
  const lacking = names.map((_, i) => i).filter((i) => !own.includes(i) && i !== ofClass);
  return { texts, values, places: [...own, ...lacking], known, labels, gaps };
}

/** The index of a row's class: that of its cell, or else the one that is chosen, or else one more than the last. */
function classOf(value, chosen, { labels, can_guide: canBeUnknown }, line) {
  const label = Number.isNaN(value) ? chosen : value;
  if (label === null && !canBeUnknown) {
    throw new Error(`Line ${line} has no class, which this model needs: write it there, or choose one above.`);
  }
  return label ?? labels.length;
}

Object.assign(window.pointillist, { readGaps, knownRow });
