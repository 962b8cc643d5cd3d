"use strict";
/* Text of CSV: its cells, and back. */

(() => {
  /** A field of CSV. */
  const csvField = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  /** The one of the usual delimiters that the first line has most of, outside of quotes. */
  function delimiterOf(text) {
    const line = text.replace(/"[^"]*"/g, "").split(/\r|\n/, 1)[0];
    const count = (one) => line.split(one).length;
    return [",", ";", "\t", "|"].reduce((best, one) => (count(one) > count(best) ? one : best));
  }

  /**
   * Splits CSV into rows of cells; quotes protect delimiters and ends of lines. Empty lines are left out.
   *
   * @param {string} text
   * @returns {{cells: string[], line: number}[]} line: where the row begins, from 1 on
   */
  function readCsv(text) {
    const whole = text.replace(/^\uFEFF/, "");
    const delimiter = delimiterOf(whole);
    /** @type {{cells: string[], line: number}[]} */
    const rows = [];
    /** @type {string[]} */
    let cells = [];
    let [cell, isQuoted, line, start] = ["", false, 1, 1];
    const endRow = () => {
      cells.push(cell);
      if (cells.length > 1 || cells[0].trim()) rows.push({ cells, line: start });
      [cells, cell, start] = [[], "", line];
    };
    for (let i = 0; i < whole.length; i++) {
      const c = whole[i];
      if (c === "\n" || (c === "\r" && whole[i + 1] !== "\n")) line++;
      if (isQuoted) {
        if (c !== '"') cell += c;
        else if (whole[i + 1] === '"') cell += whole[++i];
        else isQuoted = false;
      } else if (c === '"' && !cell) isQuoted = true;
      else if (c === delimiter) [cells, cell] = [[...cells, cell], ""];
      else if (c === "\n" || (c === "\r" && whole[i + 1] !== "\n")) endRow();
      else if (c !== "\r") cell += c;
    }
    if (isQuoted) throw new Error(`Line ${start}: a quote is opened and never closed.`);
    if (cell || cells.length) endRow();
    return rows;
  }

  Object.assign(window.pointillist, { csvField, readCsv });
})();
