"use strict";
/* From texts of cells to what a model is given: the inverse of cells.js, and of what table.js does with numbers. */

(() => {
  const { normalCdf, normalQuantile, clamp, isMissing, mixed, readCsv, scaler } = window.pointillist;

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
    const [year, month, day, hour = "00", minute = "00", second = "00"] = found.slice(1, 7);
    const written = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
    const date = new Date(written);
    // Browsers take some dates and times that there are not as later ones.
    if (Number.isNaN(Number(date)) || date.toISOString() !== written) return null;
    return Math.round((Number(date) / 1000) * perSecond + Number(`0.${found[7] ?? 0}`) * perSecond);
  }

  /** From a text to a value, as `decoder` gives it; throws what is wrong with it. */
  function parser(column) {
    const { kind, categories, atoms } = column;
    const values = categories ?? (kind === "category" ? [...atoms] : null);
    if (values) {
      const known = values.map(String);
      // A file may write numbers in another way.
      const isOfNumbers = values.every((each) => typeof each === "number");
      const places = new Map(known.map((name, i) => [name, i]));
      const isBoolean = values.every((each) => typeof each === "boolean");
      return (text) => {
        const own = isBoolean ? text.trim().toLowerCase() : text;
        const place = places.get(own) ?? places.get(own.trim()) ?? (isOfNumbers && places.get(String(Number(own))));
        if (typeof place !== "number") throw new Error(`"${text}" is no category of it: ${listed(known)}`);
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
    return within(column, parser({ ...column, kind: column.is_whole ? "whole" : "number", categories }));
  }

  /** A parser that takes no number beyond what a column's type holds. */
  function within({ limits: [low, high] = [-Infinity, Infinity] }, parse) {
    return (text) => {
      const value = parse(text);
      if (value < low || value > high) throw new Error(`the column holds numbers from ${low} to ${high}`);
      return value;
    };
  }

  /**
   * The parser of a cell that is given: NaN for a missing one, and no number that the column cannot hold.
   *
   * @param {Column} column
   * @returns {(text: string) => number}
   */
  function givenParser(column) {
    const { kind, scale, has_missing: hasMissing } = column;
    const parse = within(column, parser(column));
    return (text) => {
      if (hasMissing && text.trim().toLowerCase() === "missing") return NaN;
      const value = parse(text);
      if (kind === "decimal" && Number(value.toFixed(scale)) !== value) {
        throw new Error(`the column holds ${scale} digits after the point`);
      }
      return value;
    };
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
   * How a cell's text becomes a value, and how a row that the model is given is told of it.
   *
   * @param {Column} column
   * @param {Pick<PageContent, "classes" | "model">} content
   * @returns {{parse: (text: string) => number, tell: (row: Float32Array, value: number) => void}}
   */
  function cellOf(column, { classes, model }) {
    if (model.kind === "mixed") {
      const encode = encoder(column);
      const tell = (row, value) => {
        const [token, score] = Number.isNaN(value) ? [column.n_values, NaN] : encode(value);
        row[column.token] = token;
        if (column.score !== null) row[column.score] = score;
      };
      const parse = parser(column);
      if (!column.is_nominal) return { parse, tell };
      // Its numbers are categories: the nearest of them is no better than any.
      const known = (text) => {
        const value = parse(text);
        if (!column.atoms.includes(value)) {
          throw new Error(`"${text}" is no category of it: ${listed([...column.atoms].map(String))}`);
        }
        return value;
      };
      return { parse: known, tell };
    }
    if (column.is_label) return { parse: parser({ ...column, categories: classes?.labels ?? [] }), tell: () => {} };
    const { place } = column;
    if (place === undefined) return { parse: numberParser(column), tell: () => {} };
    const scale = scaler(column, model.bounds);
    return { parse: numberParser(column), tell: (row, value) => (row[place] = scale(value)) };
  }

  /** The categories or classes of a column that are text: in quotes, one of them may be a word for a missing cell. */
  function textsOf(column, { classes }) {
    const known = column.is_label ? classes?.labels : column.categories;
    return new Set(known?.filter((each) => typeof each === "string"));
  }

  /**
   * Rows as the model is told of them, of which nothing is known.
   *
   * @param {Pick<PageContent, "columns" | "model">} content
   * @param {number} rows
   */
  function unknownRows({ columns, model }, rows) {
    const [isMixed, width] = model.kind === "mixed" ? [true, model.width] : [false, model.columns];
    const known = new Float32Array(rows * width).fill(NaN);
    if (isMixed) for (let r = 0; r < rows; r++) known.fill(-1, r * width, r * width + columns.length);
    return { known, width };
  }

  /**
   * A row as the model is told of it; undefined if no cell is given.
   *
   * @param {[place: number, value: number][]} given
   * @param {PageContent} content
   */
  function knownRow(given, content) {
    if (!given.length) return undefined;
    const { known } = unknownRows(content, 1);
    const isMixed = content.model.kind === "mixed";
    for (const [place, value] of given) {
      const column = content.columns.find((each) => (isMixed ? each.token : each.place) === place);
      if (column) cellOf(column, content).tell(known, value);
    }
    return known;
  }

  /**
   * Reads CSV as rows with gaps.
   *
   * @param {string} text
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
    const tools = columns.map((column) => cellOf(column, content));
    const { known, width } = unknownRows(content, rows.length);
    const labels = classes && new Int32Array(rows.length);
    const ofClass = columns.findIndex((column) => column.is_label);
    let gaps = 0;
    const values = rows.map(() => columns.map(() => NaN));
    const named = columns.map((column) => textsOf(column, content));
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
          values[r][place] = tools[place].parse(cell);
          tools[place].tell(row, values[r][place]);
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

  Object.assign(window.pointillist, { readGaps, knownRow, parser, numberParser, givenParser });
})();
