/* Reads and writes CSV. */

/** Words for a missing cell, as the command line has them, in lower case. */
const MISSING = new Set(
  ["", "na", "n/a", "<na>", "#na", "#n/a", "#n/a n/a", "null", "nan", "-nan"].concat(
    ["1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"],
  ),
);

/** Number of lines from which the delimiter is detected. */
const MOST_LINES = 100;

const isMissing = (text) => MISSING.has(text.trim().toLowerCase());

/** A non-missing CSV field; words that mean a missing cell are quoted. */
const csvField = (text) =>
  /[",;|\t\r\n]/.test(text) || isMissing(text) ? `"${text.replaceAll('"', '""')}"` : text;

/** Detects the delimiter: the one that gives the most fields per line, the same number in all lines, outside quotes. */
function delimiterOf(text) {
  const lines = text.replace(/"[^"]*"/g, "").split(/[\r\n]+/, MOST_LINES + 1);
  const whole = (lines.length > MOST_LINES ? lines.slice(0, -1) : lines).filter((line) => line.trim());
  const fields = (one) => whole[0]?.split(one).length ?? 0;
  const isRegular = (one) => fields(one) > 1 && whole.every((line) => line.split(one).length === fields(one));
  const known = [",", ";", "\t", "|"];
  const regular = known.filter(isRegular);
  return (regular.length ? regular : known).reduce((best, one) => (fields(one) > fields(best) ? one : best));
}

/**
 * Splits CSV into rows of cells; quotes protect delimiters and ends of lines. Empty lines are skipped, except in
 * a single column, where they are missing cells.
 * @returns {{cells: string[], quoted: boolean[], line: number}[]} quoted: which cells were quoted; line: first line
 *   of the row, from 1
 */
function readCsv(text) {
  const whole = text.replace(/^\uFEFF/, "");
  const delimiter = delimiterOf(whole);
  /** @type {ReturnType<typeof readCsv>} */
  const rows = [];
  /** @type {string[]} */
  let cells = [];
  /** @type {boolean[]} */
  let quoted = [];
  let [cell, isQuoted, wasQuoted, line, start] = ["", false, false, 1, 1];
  const endCell = () => {
    cells.push(cell);
    quoted.push(wasQuoted);
    [cell, wasQuoted] = ["", false];
  };
  const isBlank = (row) => row.cells.length === 1 && !row.cells[0].trim() && !row.quoted[0];
  const endRow = () => {
    endCell();
    const row = { cells, quoted, line: start };
    if (!isBlank(row) || rows[0]?.cells.length === 1) rows.push(row);
    [cells, quoted, start] = [[], [], line];
  };
  for (let i = 0; i < whole.length; i++) {
    const c = whole[i];
    if (c === "\n" || (c === "\r" && whole[i + 1] !== "\n")) line++;
    if (isQuoted) {
      if (c !== '"') cell += c;
      else if (whole[i + 1] === '"') cell += whole[++i];
      else isQuoted = false;
    } else if (c === '"' && !cell) isQuoted = wasQuoted = true;
    else if (c === delimiter) endCell();
    else if (c === "\n" || (c === "\r" && whole[i + 1] !== "\n")) endRow();
    else if (c !== "\r") cell += c;
  }
  if (isQuoted) throw new Error(`Line ${start}: a quote is opened and never closed.`);
  if (cell || wasQuoted || cells.length) endRow();
  while (rows.length && isBlank(rows[rows.length - 1])) rows.pop();
  return rows;
}

Object.assign(window.pointillist, { csvField, isMissing, readCsv });
