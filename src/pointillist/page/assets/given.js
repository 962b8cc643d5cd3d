"use strict";
/* Cells that are given: a form's field for a column, and what it says. */

(() => {
  const { element, mixed, numberParser } = window.pointillist;

  /** @typedef {{field: HTMLElement, read: () => number | null}} GivenCell read: null if nothing is given */

  /**
   * A choice of values.
   *
   * @param {[value: number, text: string][]} choices
   * @returns {GivenCell}
   */
  function choice(choices) {
    const options = choices.map(([value, text]) => new Option(text, String(value)));
    const field = element("select", {}, new Option("drawn", ""), ...options);
    return { field, read: () => (field.value === "" ? null : Number(field.value)) };
  }

  const short = (value) => String(Number(value.toPrecision(4)));

  /**
   * A field for a number; what it says may be refused by an error of one line.
   *
   * @param {Column} column
   * @returns {GivenCell}
   */
  function numberField(column) {
    const { name, minimum, maximum } = column;
    const field = element("input", {
      type: "text",
      // Keyboards for numbers may lack a minus sign.
      inputMode: minimum < 0 ? "text" : "decimal",
      placeholder: `${short(minimum)} … ${short(maximum)}`,
      autocomplete: "off",
    });
    const parse = numberParser(column);
    const read = () => {
      if (!field.value.trim()) return null;
      try {
        return parse(field.value);
      } catch (error) {
        throw new Error(`${name}: ${error.message}`);
      }
    };
    return { field, read };
  }

  /**
   * The field of a column whose cells may be given.
   *
   * @param {Column} column
   * @param {boolean} isMixed whether it is one of a model of mixed columns
   */
  function givenCell(column, isMixed) {
    if (isMixed) return choice(mixed.choices(column));
    const isBoolean = column.type === "bool";
    return isBoolean ? choice([false, true].map((value) => [Number(value), String(value)])) : numberField(column);
  }

  Object.assign(window.pointillist, { givenCell, short });
})();
