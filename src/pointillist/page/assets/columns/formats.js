/* Writes and parses cells, by the format of their column. */

const { clamp, rounded, shortest } = window.pointillist;
/** Largest number of categories in an error message. */
const FEW = 8;

const listed = (texts) => {
  const few = texts.slice(0, FEW).map((text) => `"${text}"`);
  return few.join(", ") + (texts.length > FEW ? ", …" : "");
};

const two = (number) => String(number).padStart(2, "0");

function day(milliseconds) {
  const date = new Date(milliseconds);
  return `${String(date.getUTCFullYear()).padStart(4, "0")}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`;
}

function time(value, perSecond) {
  const seconds = Math.floor(value / perSecond);
  const [date, digits] = [new Date(1000 * seconds), Math.log10(perSecond)];
  const clock = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(":");
  const part = String(Math.round(value - seconds * perSecond)).padStart(digits, "0");
  return `${day(1000 * seconds)} ${clock}${digits ? `.${part}` : ""}`;
}

/** Parses a date or time to a number in the column's unit; returns null for other text. */
function moment(text, { kind, per_second: perSecond }) {
  const found = /^(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?$/.exec(text);
  if (!found || (kind === "day" && found[4])) return null;
  const [year, month, day, hour = "00", minute = "00", second = "00"] = found.slice(1, 7);
  const written = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const date = new Date(written);
  // Browsers read some impossible dates and times as later ones.
  if (Number.isNaN(Number(date)) || date.toISOString() !== written) return null;
  return Math.round((Number(date) / 1000) * perSecond + Number(`0.${found[7] ?? 0}`) * perSecond);
}

const noCategory = (text, known) => new Error(`"${text}" is not a category of this column: ${listed(known)}`);

/** Index of a category. */
function indexOf(text, values) {
  const known = values.map(String);
  const wanted = values.every((each) => typeof each === "boolean") ? text.trim().toLowerCase() : text;
  // A file may format numbers differently.
  const number = values.every((each) => typeof each === "number") ? String(Number(wanted)) : wanted;
  const index = [wanted, wanted.trim(), number].map((each) => known.indexOf(each)).find((i) => i >= 0);
  if (index === undefined) throw noCategory(text, known);
  return index;
}

function parseNumber(text) {
  const value = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(text) ? Number(text) : NaN;
  if (!Number.isFinite(value)) throw new Error(`"${text}" is not a number`);
  return value;
}

function parseWhole(text) {
  const value = parseNumber(text);
  if (!Number.isInteger(value)) throw new Error(`"${text}" is not an integer`);
  return value;
}

const parseMoment = (what) => (text, column) => {
  const value = moment(text.trim(), column);
  if (value === null) throw new Error(`"${text}" is not a ${what} like 2024-05-31`);
  return value;
};

/** @type {Record<Column["format"], {write: (value: number, column: Column) => string, parse: (text: string, column: Column) => number}>} */
const formats = {
  category: {
    write: (value, { categories }) => String(categories ? categories[value] : value),
    parse: (text, { categories, atoms }) =>
      categories ? indexOf(text, categories) : atoms[indexOf(text, [...atoms])],
  },
  boolean: { write: (value) => String(value !== 0), parse: (text) => indexOf(text, [false, true]) },
  // A sum that is restored may lie beyond the type.
  whole: {
    write: (value, { limits, type }) => (limits ? String(clamp(rounded(value), ...limits)) : shortest(value, type)),
    parse: parseWhole,
  },
  number: { write: (value, { type }) => shortest(value, type), parse: parseNumber },
  decimal: {
    write: (value, { limits: [low, high] = [value, value], scale }) => clamp(value, low, high).toFixed(scale),
    parse: parseNumber,
  },
  day: { write: (value, column) => day((1000 * value) / column.per_second), parse: parseMoment("date") },
  time: { write: (value, column) => time(value, column.per_second), parse: parseMoment("date or time") },
};

Object.assign(window.pointillist, { formats, listed, noCategory });
