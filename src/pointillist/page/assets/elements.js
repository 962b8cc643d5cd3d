"use strict";
/* Elements of a page: those that it has, and new ones. */

(() => {
  /** @type {<Id extends keyof PageElements>(id: Id) => PageElements[Id]} */
  const byId = (id) => document.getElementById(id);

  /**
   * An element with properties and children.
   *
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

  Object.assign(window.pointillist, { byId, element, contextOf });
})();
