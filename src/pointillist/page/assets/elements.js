/* Finds and creates elements of a page. */

/** @type {<Id extends keyof PageElements>(id: Id) => PageElements[Id]} */
const byId = (id) => document.getElementById(id);

/**
 * An element with properties and children.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Partial<HTMLElementTagNameMap[Tag]>} properties
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** @param {HTMLCanvasElement} canvas */
const contextOf = (canvas) =>
  /** @type {CanvasRenderingContext2D} */
  (canvas.getContext("2d"));

/** Sizes a canvas for the screen's pixels; returns its context in units of the page, and its size. */
function sized(canvas, [width, height] = [canvas.clientWidth, canvas.clientHeight]) {
  const scale = Math.min(2, devicePixelRatio || 1);
  [canvas.width, canvas.height] = [width, height].map((length) => Math.round(length * scale));
  const context = contextOf(canvas);
  context.scale(scale, scale);
  return { context, width, height };
}

/** The value of a color of the style sheet, for example "--accent". */
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const seriesColors = () => Array.from({ length: 8 }, (_, i) => color(`--series-${i + 1}`));

/** Lets the user save a file. */
function save(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/**
 * Fills a table.
 * @param {HTMLTableElement} table
 * @param {(Node | string)[]} names of the columns
 * @param {(row: number, column: number) => Node | string} cell
 */
function fillTable(table, names, rows, cell) {
  const head = element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)));
  const line = (_, r) => element("tr", {}, ...names.map((_, c) => element("td", {}, cell(r, c))));
  const body = element("tbody", {}, ...Array.from({ length: rows }, line));
  // A button in the table keeps the focus.
  const buttons = () => [...table.querySelectorAll("button")];
  const focused = buttons().findIndex((button) => button === document.activeElement);
  table.replaceChildren(element("thead", {}, head), body);
  buttons()[focused]?.focus();
}

Object.assign(window.pointillist, { byId, color, contextOf, element, fillTable, save, seriesColors, sized });
