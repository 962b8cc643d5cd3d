"use strict";
/* Dots as small pictures, drawn once each: thousands of them are then copies. Classes differ in shape too. */

(() => {
  const { SHAPES, contextOf } = window.pointillist;
  const RADIUS = 2.2;
  const OPACITY = 0.78;

  class Dots {
    #made = new Map();

    /** @returns {HTMLCanvasElement} */
    get(colour, size, shape = 0) {
      const key = `${colour} ${size} ${shape}`;
      if (!this.#made.has(key)) {
        const made = document.createElement("canvas");
        const radius = RADIUS * size;
        made.width = made.height = Math.ceil(2.6 * radius + 2);
        const context = contextOf(made);
        context.translate(made.width / 2, made.height / 2);
        context.fillStyle = colour;
        context.globalAlpha = OPACITY;
        SHAPES[shape % SHAPES.length](context, radius);
        context.fill();
        this.#made.set(key, made);
      }
      return this.#made.get(key);
    }

    /** Colours have changed. */
    clear() {
      this.#made.clear();
    }
  }

  Object.assign(window.pointillist, { Dots });
})();
