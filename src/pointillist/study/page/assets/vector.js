"use strict";
/** Charts as SVG: what paints on a canvas paints on a recorder, and axes are set as text. */
(() => {
  const { DASHES, colour, shapePath, svg, FONT } = window.pointillist;
  const WIDTH = 760;
  const AREA = { left: 64, top: 44, right: WIDTH - 16, bottom: 356 };

  /** The part of a canvas's context that the charts' painters use; each stroke and each fill becomes a path. */
  class Recorder {
    strokeStyle = "#000";
    fillStyle = "#000";
    lineWidth = 1;
    globalAlpha = 1;
    /** @type {number[]} */
    #dash = [];
    #path = "";
    #at = [0, 0];
    /** @type {[object, number[]][]} */
    #kept = [];

    constructor(group) {
      this.group = group;
    }

    #place(x, y) {
      return `${(x + this.#at[0]).toFixed(2)} ${(y + this.#at[1]).toFixed(2)}`;
    }

    beginPath() {
      this.#path = "";
    }

    moveTo(x, y) {
      this.#path += `M${this.#place(x, y)}`;
    }

    lineTo(x, y) {
      this.#path += `${this.#path ? "L" : "M"}${this.#place(x, y)}`;
    }

    closePath() {
      this.#path += "Z";
    }

    rect(x, y, width, height) {
      this.#path += `M${this.#place(x, y)}h${width}v${height}h${-width}Z`;
    }

    arc(x, y, r) {
      this.#path += `M${this.#place(x - r, y)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`;
    }

    setLineDash(lengths) {
      this.#dash = lengths;
    }

    translate(x, y) {
      this.#at = [this.#at[0] + x, this.#at[1] + y];
    }

    save() {
      const { strokeStyle, fillStyle, lineWidth, globalAlpha } = this;
      this.#kept.push([{ strokeStyle, fillStyle, lineWidth, globalAlpha }, this.#at]);
    }

    restore() {
      const [styles, at] = this.#kept.pop() ?? [{}, [0, 0]];
      Object.assign(this, styles);
      this.#at = at;
    }

    #add(attributes) {
      if (this.#path) this.group.append(svg("path", { d: this.#path, opacity: this.globalAlpha, ...attributes }));
    }

    stroke() {
      const dash = this.#dash.join(" ");
      this.#add({ fill: "none", stroke: this.strokeStyle, "stroke-width": this.lineWidth, "stroke-dasharray": dash });
    }

    fill() {
      if (this.fillStyle !== "transparent") this.#add({ fill: this.fillStyle });
    }
  }

  const number = (value) => String(Number(value.toPrecision(4)));

  function ticksOf([low, high], isLog) {
    const factors = isLog ? (high / low < 30 ? [1, 2, 5] : [1]) : [];
    const ticks = [];
    if (isLog) {
      for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++)
        for (const f of factors) ticks.push(f * 10 ** e);
    } else {
      const power = 10 ** Math.floor(Math.log10((high - low) / 5));
      const step = power * ([1, 2, 5].find((f) => f * power >= (high - low) / 6) ?? 10);
      for (let value = Math.ceil(low / step) * step; value <= high; value += step) ticks.push(value);
    }
    return ticks.filter((value) => value >= low && value <= high);
  }

  /**
   * Where the names below a picture stand, from left to right and in as many lines as they need.
   *
   * @template T
   * @param {T[]} names
   * @param {number} left
   * @param {number} right
   * @param {(name: T) => number} widthOf
   * @returns {[[number, number][], number]} the left end and the line of each, and the number of lines
   */
  function keySpots(names, left, right, widthOf) {
    let [at, line] = [left, 0];
    const spots = names.map((name) => {
      const width = widthOf(name);
      if (at > left && at + width > right) [at, line] = [left, line + 1];
      at += width;
      return /** @type {[number, number]} */ ([at - width, line]);
    });
    return [spots, line + 1];
  }

  /**
   * A chart as an SVG file.
   *
   * @param {PlotParts} parts
   * @param {string} title
   * @param {{name: string, index: number, hasMark: boolean}[]} names of the series
   * @returns {Blob}
   */
  function vector({ x, ticks, isLogX, xName, xRange, yRange, isLogY, paint }, title, names) {
    const scale = ([low, high], isLog, from, to) => {
      const of = isLog ? Math.log : (value) => value;
      return (value) => from + ((of(value) - of(low)) / (of(high) - of(low))) * (to - from);
    };
    const ratio = devicePixelRatio;
    const toX = scale(xRange, isLogX, AREA.left, AREA.right);
    const toY = scale(yRange, isLogY, AREA.bottom, AREA.top);
    const longest = ticks ? Math.max(...ticks.map((tick) => tick.length)) * 6.5 : 0;
    const isTurned = longest + 8 > (AREA.right - AREA.left) / x.length;
    const below = AREA.bottom + (isTurned ? longest * 0.72 : 0);
    const [spots, n] = keySpots(names, AREA.left, WIDTH, ({ name }) => 54 + 7 * name.length);
    const height = below + 64 + 20 * n;
    const picture = svg("svg", {
      xmlns: "http://www.w3.org/2000/svg",
      viewBox: `0 0 ${WIDTH} ${height}`,
      width: WIDTH,
      height,
      "font-family": FONT,
      "font-size": 12,
      fill: colour("--muted"),
    });
    picture.append(
      svg("rect", { width: WIDTH, height, fill: colour("--panel") }),
      svg("text", { x: 16, y: 24, "font-size": 14, "font-weight": 600, fill: colour("--fg") }, title),
    );
    for (const value of ticksOf(yRange, isLogY)) {
      const at = toY(value);
      picture.append(
        svg("path", { d: `M${AREA.left} ${at}H${AREA.right}`, stroke: colour("--line") }),
        svg("text", { x: AREA.left - 8, y: at + 4, "text-anchor": "end" }, number(value)),
      );
    }
    /** @type {[number, string][]} */
    const across = ticks
      ? x.map((value, i) => [value, ticks[i]])
      : ticksOf(xRange, isLogX).map((value) => [value, number(value)]);
    for (const [value, text] of across) {
      const where = isTurned
        ? { transform: `translate(${toX(value)} ${AREA.bottom + 16}) rotate(-45)`, "text-anchor": "end" }
        : { x: toX(value), y: AREA.bottom + 20, "text-anchor": "middle" };
      picture.append(svg("text", where, text));
    }
    picture.append(svg("text", { x: AREA.right, y: below + 40, "text-anchor": "end" }, xName ?? ""));
    // Painters think in the screen's pixels.
    const group = svg("g", { transform: `scale(${1 / ratio})` });
    const bbox = {
      left: AREA.left * ratio,
      top: AREA.top * ratio,
      width: (AREA.right - AREA.left) * ratio,
      height: (AREA.bottom - AREA.top) * ratio,
    };
    paint({ ctx: new Recorder(group), bbox }, (i, value) => [toX(x[i]) * ratio, toY(value) * ratio]);
    picture.append(group);
    names.forEach(({ name, index, hasMark }, i) => {
      const own = colour(`--series-${(index % 8) + 1}`);
      const [at, line] = spots[i];
      const y = below + 66 + 20 * line;
      const place = `translate(${at} ${y})`;
      const dashes = hasMark ? "" : DASHES[index % DASHES.length];
      picture.append(
        svg("path", { d: "M0 0H28", transform: place, stroke: own, "stroke-width": 2, "stroke-dasharray": dashes }),
      );
      if (hasMark)
        picture.append(
          svg("path", { d: shapePath(index, 4.5), transform: `translate(${at + 14} ${y})`, fill: own }),
        );
      picture.append(svg("text", { x: at + 34, y: y + 4, fill: colour("--fg") }, name));
    });
    return new Blob([new XMLSerializer().serializeToString(picture)], { type: "image/svg+xml" });
  }

  Object.assign(window.pointillist, { keySpots, vector });
})();
