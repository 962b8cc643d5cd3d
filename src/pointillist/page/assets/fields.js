/* Form fields for observed cells, and for conditions on columns. */

const { byId, element } = window.pointillist;

/** @typedef {{field: HTMLInputElement | HTMLSelectElement, read: () => number | null}} GivenCell read: returns null for an empty field */

/**
 * Makes a selection field.
 * @param {[value: number, text: string][]} choices
 * @returns {GivenCell}
 */
function choice(choices) {
  const options = choices.map(([value, text]) => new Option(text, String(value)));
  const field = element("select", {}, new Option("drawn", ""), ...options);
  return { field, read: () => (field.value === "" ? null : Number(field.value)) };
}

/**
 * Makes a text field for a number or a date. Reading it throws a one-line error for invalid text.
 * @param {PageColumn} column
 * @returns {GivenCell}
 */
function numberField(column) {
  const { name, minimum, maximum, has_missing: hasMissing, format, writeEnd: write, parseGiven: parse } = column;
  const field = element("input", {
    type: "text",
    // Keyboards for numbers may lack a minus sign, and have a comma for the point.
    inputMode: minimum >= 0 && format === "whole" && !hasMissing ? "numeric" : "text",
    placeholder: `${write(minimum)} … ${write(maximum)}${hasMissing ? ", or missing" : ""}`,
    autocomplete: "off",
  });
  const read = () => {
    if (!field.value.trim()) return null;
    try {
      const value = parse(field.value);
      if (value < minimum || value > maximum) {
        const span = `${write(minimum)} to ${write(maximum)}`;
        throw new Error(`no training row is ${field.value.trim()}; its values go from ${span}`);
      }
      return value;
    } catch (error) {
      throw new Error(`${name}: ${error.message}`);
    }
  };
  return { field, read };
}

/**
 * Makes the field for an observed cell of a column.
 * @param {PageColumn} column
 */
function givenCell(column) {
  const made = column.choices ? choice(column.choices) : numberField(column);
  made.field.name = `given.${column.name}`;
  return made;
}

/**
 * Whether every row meets a condition.
 * @param {Column} column
 * @param {Condition} condition
 */
function isMetByAll({ n_values: values, has_missing: hasMissing }, { pieces, ranges }) {
  const isWhole = pieces.every(([, , low, high]) => high - low === 1);
  return !ranges && isWhole && pieces.length === values + Number(hasMissing);
}

/** The names of fields keep conditions in the address. */
function checkbox(text, name, value = "") {
  const input = element("input", { type: "checkbox", name, value });
  return { input, label: element("label", {}, input, text) };
}

/** @param {ReturnType<typeof checkbox>[]} boxes */
const valuesOf = (...boxes) => element("div", { className: "values" }, ...boxes.map(({ label }) => label));

/** The conditions of a form. */
class Conditions {
  /** @type {{column: PageColumn, read: () => AskedValues | null, box: HTMLElement}[]} */
  #rows = [];

  /** @param {Pick<PageContent, "columns" | "model">} content */
  constructor({ columns, model }) {
    const some = columns.filter(({ allowed }) => allowed);
    this.model = model;
    this.some = some;
    const select = byId("condition-column");
    select.append(...some.map((column, i) => new Option(column.name, String(i))));
    byId("condition-add").addEventListener("click", () =>
      this.add(some[Number(select.value)].name)?.querySelector("input").focus(),
    );
  }

  /** Adds fields for a column, unless it has some; returns them. */
  add(name) {
    const column = this.some.find((each) => each.name === name);
    if (!column) return null;
    const known = this.#rows.find((row) => row.column === column);
    if (known) return known.box;
    const remove = element("button", { type: "button", textContent: "Remove" });
    const { fields, read } = column.few ? this.#set(name, column.few) : this.#range(column);
    const box = element("fieldset", {}, element("legend", {}, column.name), ...fields, remove);
    const row = { column, read, box };
    remove.addEventListener("click", () => {
      this.#rows = this.#rows.filter((each) => each !== row);
      box.remove();
      byId("condition-column").focus();
    });
    this.#rows.push(row);
    byId("conditions").append(box);
    return box;
  }

  /** @param {[value: number, text: string][]} choices */
  #set(name, choices) {
    const boxes = choices.map(([value, text]) => checkbox(text, `in.${name}`, String(value)));
    const read = () => {
      const values = boxes.filter(({ input }) => input.checked).map(({ input }) => Number(input.value));
      return values.length && values.length < boxes.length ? { values } : null;
    };
    return { fields: [valuesOf(...boxes)], read };
  }

  #range(column) {
    const field = (text, end) => {
      const placeholder = column.writeEnd(end);
      const input = element("input", { type: "text", name: `${text}.${column.name}`, placeholder, autocomplete: "off" });
      return { input, label: element("label", {}, text, input) };
    };
    const [from, to] = [field("from", column.minimum), field("to", column.maximum)];
    const end = ({ input }) => {
      if (!input.value.trim()) return undefined;
      try {
        return column.parseEnd(input.value);
      } catch (error) {
        throw new Error(`${column.name}: ${error.message}`);
      }
    };
    const present = column.has_missing ? checkbox("not missing", `in.${column.name}`) : null;
    const read = () => {
      const [low, high] = [end(from), end(to)];
      if (low > high) throw new Error(`${column.name}: from ${from.input.value} to ${to.input.value} is empty`);
      return low === undefined && high === undefined && !present?.input.checked ? null : { low, high };
    };
    return { fields: [from.label, to.label, ...(present ? [valuesOf(present)] : [])], read };
  }

  /**
   * Reads the conditions, except those that every row meets. A single category becomes an observed cell.
   * @param {[number, number][]} given tokens, or indices of numbers, with their values
   * @returns {Pick<Asked, "given" | "conditions" | "ranges"> & {wishes: Wish[]}}
   * @throws {Error} in one line, for invalid text
   */
  asked(given) {
    const isMixed = this.model.kind === "mixed";
    /** @type {{given: [number, number][], conditions: Condition[], ranges: InRanges[], wishes: Wish[]}} */
    const found = { given: [...given], conditions: [], ranges: [], wishes: [] };
    for (const { column, read } of this.#rows) {
      const chosen = read();
      if (!chosen) continue;
      if (given.some(([slot]) => slot === column.slot)) {
        throw new Error(`${column.name} has a value and a condition: leave one of them out`);
      }
      found.wishes.push({ column, ...chosen });
      if (!isMixed) found.ranges.push(column.allowed(chosen));
      else if (chosen.values?.length === 1) found.given.push([column.slot, chosen.values[0]]);
      else {
        const condition = column.allowed(chosen);
        if (!isMetByAll(column, condition)) found.conditions.push(condition);
      }
    }
    return found;
  }
}

Object.assign(window.pointillist, { Conditions, givenCell });
