"use strict";
/* From texts of cells to what a model of mixed columns is given: the inverse of cells.js. */

(() => {
  const { normalCdf, normalQuantile, clamp, mixed, readCsv } = window.pointillist;

  /** Words for a missing cell, as the command line has them, in lower case. */
  const MISSING = new Set(
    ["", "na", "n/a", "<na>", "#na", "#n/a", "#n/a n/a", "null", "nan", "-nan"].concat(
      ["1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"],
    ),
  );
  const EDGE = 1e-7;
  const FEW = 8;
  const MOST_ROWS = 100_000;

  const nearest = (values, value) => {
    let best = 0;
    values.forEach((each, i) => Math.abs(each - value) < Math.abs(values[best] - value) && (best = i));
    return best;
  };

  const listed = (texts) => {
    const few = texts.slice(0, FEW).map((text) => `"${text}"`);
    return few.join(", ") + (texts.length > FEW ? ", …" : "");
  };

  /** The number of a date or a time in a column's unit; null if the text is none. */
  function moment(text, { kind, per_second: perSecond }) {
    const found = /^(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?$/.exec(text);
    if (!found || (kind === "day" && found[4])) return null;
    const [year, month, day, hour, minute, second] = found.slice(1, 7).map((part) => Number(part ?? 0));
    const seconds = Date.UTC(year, month - 1, day, hour, minute, second) / 1000;
    if (new Date(1000 * seconds).getUTCDate() !== day) return null;
    return Math.round(seconds * perSecond + Number(`0.${found[7] ?? 0}`) * perSecond);
  }

  /** From a text to a value, as `decoder` gives it; throws what is wrong with it. */
  function parser(column) {
    const { kind, categories, atoms } = column;
    const known = categories?.map(String) ?? (kind === "category" ? [...atoms].map(String) : null);
    if (known) {
      const places = new Map(known.map((name, i) => [name, i]));
      const isBoolean = categories?.every((each) => typeof each === "boolean");
      return (text) => {
        const own = isBoolean ? text.trim().toLowerCase() : text;
        const place = places.get(own) ?? places.get(own.trim());
        if (place === undefined) throw new Error(`"${text}" is no category of it: ${listed(known)}`);
        return categories ? place : atoms[place];
      };
    }
    if (kind === "day" || kind === "time") {
      return (text) => {
        const value = moment(text.trim(), column);
        const what = kind === "day" ? "date" : "date or time";
        if (value === null) throw new Error(`"${text}" is no ${what} such as 2024-05-31`);
        return value;
      };
    }
    return (text) => {
      const value = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(text) ? Number(text) : NaN;
      if (!Number.isFinite(value)) throw new Error(`"${text}" is not a number`);
      if (kind === "whole" && !Number.isInteger(value)) throw new Error(`"${text}" is not a whole number`);
      return value;
    };
  }

  /** The parser of a column of a model of numbers; truth values are 0 and 1. */
  function numberParser(column) {
    const categories = column.type === "bool" ? [false, true] : undefined;
    return parser({ ...column, kind: column.is_whole ? "whole" : "number", categories });
  }

  /** From a value to a token and, where it has one, a normal score. */
  function encoder(column) {
    if (column.categories) return (value) => [value, NaN];
    const { atoms } = column;
    if (!column.scores) return (value) => [nearest(atoms, value), NaN];
    const scores = new mixed.Scores(column.scores);
    return (value) => {
      const atom = atoms.indexOf(value);
      if (atom >= 0) return [atom, NaN];
      const score = scoreOf(scores, value);
      if (!scores.hasIntervals) return [atoms.length, score];
      const share = normalCdf(score);
      let interval = 0;
      while (interval < scores.edges.length - 2 && scores.edges[interval + 1] <= share) interval++;
      return [atoms.length + interval, NaN];
    };
  }

  function scoreOf(scores, value) {
    if (!scores.isDiscrete) return scores.scoreOf(value);
    const place = nearest(scores.points, value);
    const [low, high] = [scores.levels[place], scores.levels[place + 1]];
    return normalQuantile(clamp(low + 0.5 * (high - low), EDGE, 1 - EDGE));
  }

  /**
   * Reads CSV as rows with gaps.
   *
   * @param {string} text
   * @param {Pick<PageContent, "columns" | "model">} content
   * @returns {Gaps}
   * @throws {Error} that says in one line what is wrong
   */
  function readGaps(text, { columns, model }) {
    const [head, ...rows] = readCsv(text);
    if (!head || !rows.length) throw new Error("There are no rows: give a line of column names, and rows below it.");
    if (rows.length > MOST_ROWS) throw new Error(`There are ${rows.length} rows; a page fills at most ${MOST_ROWS}.`);
    const names = columns.map(({ name }) => name);
    const own = head.cells.map((name) => names.indexOf(names.includes(name) ? name : name.trim()));
    const unknown = head.cells.filter((_, i) => own[i] < 0);
    if (unknown.length) throw new Error(`Unknown column ${listed(unknown)}: the model's columns are ${listed(names)}.`);
    const twice = head.cells.filter((_, i) => own.indexOf(own[i]) < i);
    if (twice.length) throw new Error(`Column ${listed(twice)} is there twice.`);
    const tools = columns.map((column) => ({ parse: parser(column), encode: encoder(column) }));
    const known = new Float32Array(rows.length * model.width);
    let gaps = 0;
    const values = rows.map(() => columns.map(() => NaN));
    const texts = rows.map(({ cells, line }, r) => {
      if (cells.length !== own.length) {
        throw new Error(`Line ${line} has ${cells.length} cells, and the first line ${own.length}.`);
      }
      const row = known.subarray(r * model.width, (r + 1) * model.width);
      row.fill(-1, 0, columns.length).fill(NaN, columns.length);
      /** @type {(string | null)[]} */
      const given = columns.map(() => null);
      own.forEach((place, i) => {
        const cell = cells[i];
        if (MISSING.has(cell.trim().toLowerCase())) return;
        const column = columns[place];
        try {
          values[r][place] = tools[place].parse(cell);
          const [token, score] = tools[place].encode(values[r][place]);
          row[column.token] = token;
          if (column.score !== null) row[column.score] = score;
        } catch (error) {
          throw new Error(`Line ${line}, column "${column.name}": ${error.message}.`);
        }
        given[place] = cell;
      });
      gaps += given.filter((cell) => cell === null).length;
      return given;
    });
    if (!gaps) throw new Error("No cell is empty, so there is nothing to fill.");
    const places = [...own, ...names.map((_, i) => i).filter((i) => !own.includes(i))];
    return { texts, values, places, known, gaps };
  }

  Object.assign(window.pointillist, { readGaps, parser, numberParser });
})();
