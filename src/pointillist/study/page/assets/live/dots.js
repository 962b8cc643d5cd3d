"use strict";
/* Dots as small pictures, drawn once each: thousands of them are then copies. Classes differ in shape too. */

(() => {
  const RADIUS = 2.2;
  const OPACITY = 0.78;

  /** Outlines around the origin, with about the same area. */
  const SHAPES = [
    (path, r) => path.arc(0, 0, r, 0, 2 * Math.PI),
    (path, r) => path.rect(-0.9 * r, -0.9 * r, 1.8 * r, 1.8 * r),
    (path, r) => polygon(path, 1.3 * r, 3, -Math.PI / 2),
    (path, r) => polygon(path, 1.25 * r, 4, 0),
    (path, r) => polygon(path, 1.3 * r, 3, Math.PI / 2),
    (path, r) => polygon(path, 1.1 * r, 6, 0),
  ];

  function polygon(path, radius, n, start) {
    for (let i = 0; i < n; i++) {
      const angle = start + (2 * Math.PI * i) / n;
      path[i ? "lineTo" : "moveTo"](radius * Math.cos(angle), radius * Math.sin(angle));
    }
    path.closePath();
  }

  class Dots {
    #made = new Map();

    /** @returns {HTMLCanvasElement} */
    get(colour, size, shape = 0) {
      const key = `${colour} ${size} ${shape}`;
      if (!this.#made.has(key)) {
        const made = document.createElement("canvas");
        const radius = RADIUS * size;
        made.width = made.height = Math.ceil(2.6 * radius + 2);
        const context = made.getContext("2d");
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

  Object.assign(window.pointillist, { Dots, SHAPES });
})();
