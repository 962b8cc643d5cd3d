"use strict";
/** Marks and lines that differ in shape and dashes as well as in colour: not everyone can distinguish colours. */
(() => {
  const DASHES = ["", "6 4", "2 3", "9 3 2 3", "12 4", "4 2 1 2", "1 3", "8 2 2 2 2 2"];

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

  /** Records a canvas path as that of an SVG element. */
  class PathText {
    text = "";
    moveTo(x, y) {
      this.text += `M${x.toFixed(2)} ${y.toFixed(2)}`;
    }
    lineTo(x, y) {
      this.text += `${this.text ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`;
    }
    closePath() {
      this.text += "Z";
    }
    arc(x, y, r) {
      this.text += `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`;
    }
    rect(x, y, w, h) {
      this.text += `M${x} ${y}h${w}v${h}h${-w}Z`;
    }
  }

  function shapePath(shape, radius) {
    const path = new PathText();
    SHAPES[shape % SHAPES.length](path, radius);
    return path.text;
  }

  /**
   * @param {string} tag
   * @param {Record<string, any>} attributes
   * @param {(Node | string)[]} children
   */
  function svg(tag, attributes = {}, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  /** A short piece of a series: its line and, if it has marks, one of them. */
  function sample({ colour, shape, dash }) {
    const made = svg("svg", { viewBox: "0 0 28 12", class: "sample", "aria-hidden": "true" });
    const group = svg("g", { style: `--own: ${colour}`, class: "series" });
    if (dash !== null)
      group.append(svg("path", { d: "M0 6H28", class: "line", "stroke-dasharray": DASHES[dash % DASHES.length] }));
    if (shape !== null)
      group.append(svg("path", { d: shapePath(shape, 4), transform: "translate(14 6)", class: "mark" }));
    made.append(group);
    return made;
  }

  Object.assign(window.pointillist, { DASHES, SHAPES, sample, shapePath, svg });
})();
