"use strict";
/* Cells that are given: a form's field for a column, and what it says. */

(() => {
  const { element, mixed, numberParser, givenParser } = window.pointillist;

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

  /** A number in six digits, as it stands for an end of a column; whole ones have all of theirs. */
  const short = (value) => String(Number.isInteger(value) ? value : Number(value.toPrecision(6)));

  /**
   * A field for a number or a date; what it says may be refused by an error of one line.
   *
   * @param {Column} column
   * @param {(text: string) => number} parse
   * @param {(value: number) => string} write
   * @returns {GivenCell}
   */
  function numberField({ name, minimum, maximum, has_missing: hasMissing, kind }, parse, write) {
    const field = element("input", {
      type: "text",
      // Keyboards for numbers may lack a minus sign, and have a comma for the point.
      inputMode: minimum >= 0 && kind === "whole" && !hasMissing ? "numeric" : "text",
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
   * The field of a column whose cells may be given.
   *
   * @param {Column} column
   * @param {boolean} isMixed whether it is one of a model of mixed columns
   */
  function givenCell(column, isMixed) {
    if (isMixed) {
      return column.scores
        ? numberField(column, givenParser(column), mixed.writer(column))
        : choice(mixed.choices(column));
    }
    const isBoolean = column.type === "bool";
    if (isBoolean) return choice([false, true].map((value) => [Number(value), String(value)]));
    return numberField(column, numberParser(column), short);
  }

  Object.assign(window.pointillist, { givenCell, short });
})();
