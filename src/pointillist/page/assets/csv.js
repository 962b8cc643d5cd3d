"use strict";
/* Text of CSV: its cells, and back. */

(() => {
  /** Words for a missing cell, as the command line has them, in lower case. */
  const MISSING = new Set(
    ["", "na", "n/a", "<na>", "#na", "#n/a", "#n/a n/a", "null", "nan", "-nan"].concat(
      ["1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"],
    ),
  );

  const isMissing = (text) => MISSING.has(text.trim().toLowerCase());

  /** A field of CSV that is there: in quotes, words for a missing cell are text. */
  const csvField = (text) =>
    /[",\r\n]/.test(text) || isMissing(text) ? `"${text.replaceAll('"', '""')}"` : text;

  /** The one of the usual delimiters that the first line has most of, outside of quotes. */
  function delimiterOf(text) {
    const line = text.replace(/"[^"]*"/g, "").split(/\r|\n/, 1)[0];
    const count = (one) => line.split(one).length;
    return [",", ";", "\t", "|"].reduce((best, one) => (count(one) > count(best) ? one : best));
  }

  /**
   * Splits CSV into rows of cells; quotes protect delimiters and ends of lines. Empty lines are left out, but for those
   * within a single column, where they are missing cells.
   *
   * @param {string} text
   * @returns {{cells: string[], quoted: boolean[], line: number}[]} quoted: which cells were; line: where the row begins,
   *   from 1 on
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
})();
