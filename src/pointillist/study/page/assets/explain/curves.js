"use strict";
/* Small charts as SVG: curves with error bars, named where they end. */

(() => {
  const { DASHES, element, sample, shapePath, svg } = window.pointillist;
  const MARGIN = { top: 16, right: 14, bottom: 40, left: 48 };

  /** @param {CurveAxis} axis */
  function ticksOf({ range: [low, high], log }) {
    if (log) {
      const decades = [];
      for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++)
        for (const m of high / low < 30 ? [1, 2, 5] : [1]) decades.push(m * 10 ** e);
      return decades.filter((value) => value >= low * 0.999 && value <= high * 1.001);
    }
    const rough = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 5].find((m) => m * power >= rough) ?? 10);
    const ticks = [];
    for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-6; value += step) ticks.push(value);
    return ticks;
  }

  const number = (value) => String(Number(value.toPrecision(3)));

  /**
   * Draws a chart into an element, anew whenever its width changes.
   *
   * @param {CurveHolder} holder
   * @param {CurveOptions} options
   */
  function curves(holder, options) {
    holder.chart = options;
    if (!holder.watch) {
      holder.watch = new ResizeObserver(() => draw(holder));
      holder.watch.observe(holder);
    }
    draw(holder);
  }

  /** @param {CurveHolder} holder */
  function draw(holder) {
    if (!holder.chart) return;
    const { label, x, y, series, levels = [], marker } = holder.chart;
    const [width, height] = [holder.clientWidth, holder.clientHeight];
    if (!width || !height) return;
    /**
     * @param {CurveAxis} axis
     * @param {number} from
     * @param {number} to
     */
    const scale = ({ range: [low, high], log }, from, to) => {
      const of = log ? Math.log : (value) => value;
      return (value) => from + ((of(value) - of(low)) / (of(high) - of(low))) * (to - from);
    };
    const toX = scale(x, MARGIN.left, width - MARGIN.right);
    const toY = scale(y, height - MARGIN.bottom, MARGIN.top);
    // On an axis of logarithms, what is not positive lies below all.
    const within = (at) =>
      Number.isNaN(at) ? height - MARGIN.bottom : Math.min(height - MARGIN.bottom, Math.max(MARGIN.top, at));
    const picture = svg("svg", {
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label": label,
      class: "curves",
    });
    for (const value of y.ticks ?? ticksOf(y)) {
      const at = toY(value);
      picture.append(
        svg("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: at, y2: at, class: "grid" }),
        svg("text", { x: MARGIN.left - 8, y: at + 4, "text-anchor": "end" }, number(value)),
      );
    }
    for (const value of x.ticks ?? ticksOf(x)) {
      picture.append(
        svg("text", { x: toX(value), y: height - MARGIN.bottom + 18, "text-anchor": "middle" }, number(value)),
      );
    }
    picture.append(
      svg("text", { x: width - MARGIN.right, y: height - 4, "text-anchor": "end", class: "name" }, x.name),
      svg("text", { x: MARGIN.left, y: 11, class: "name" }, y.name),
    );
    if (marker !== undefined) {
      const at = toX(marker);
      picture.append(svg("line", { x1: at, x2: at, y1: MARGIN.top, y2: height - MARGIN.bottom, class: "marker" }));
    }
    for (const one of series) drawSeries(picture, one, toX, toY, within, marker);
    for (const { at, name } of levels) {
      const place = within(toY(at));
      picture.append(
        svg("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: place, y2: place, class: "level" }),
        svg("text", { x: width - MARGIN.right, y: place - 5, "text-anchor": "end", class: "over" }, name),
      );
    }
    holder.replaceChildren(picture);
  }

  /**
   * @param {SVGElement} picture
   * @param {Curve} one
   */
  function drawSeries(picture, { name, colour, points, isLine }, toX, toY, within, marker) {
    if (!points.length) return;
    const group = svg("g", { style: `--own: var(--series-${colour + 1})`, class: "series" });
    const places = points.map(([x, y]) => [toX(x), within(toY(y))]);
    const line = places.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
    group.append(svg("path", { d: line, class: "line", "stroke-dasharray": DASHES[colour % DASHES.length] }));
    if (!isLine) {
      points.forEach(([x, y, error], i) => {
        if (error) {
          const [low, high] = [y - error, y + error].map((value) => within(toY(value)));
          group.append(
            svg("path", {
              d: `M${toX(x)} ${low}V${high}M${toX(x) - 3} ${low}h6M${toX(x) - 3} ${high}h6`,
              class: "bar",
            }),
          );
        }
        const place = `translate(${places[i].map((value) => value.toFixed(1)).join(" ")})`;
        group.append(svg("path", { d: shapePath(colour, 4.2), transform: place, class: "mark" }));
      });
    }
    if (isLine && marker !== undefined) {
      const next = Math.max(
        1,
        points.findIndex(([x]) => x >= marker),
      );
      const [[x0, y0], [x1, y1]] = [points[next - 1], points[next]];
      const y = y0 + ((y1 - y0) * (marker - x0)) / (x1 - x0);
      group.append(svg("circle", { cx: toX(marker), cy: within(toY(y)), r: 5, class: "mark" }));
    }
    picture.append(group);
  }

  /**
   * Names of series, each with its line and mark as the chart has them.
   *
   * @param {Curve[]} series
   */
  function keyOf(series) {
    return series.map(({ name, colour, isLine }) => {
      const shown = sample({ colour: `var(--series-${colour + 1})`, shape: isLine ? null : colour, dash: colour });
      return element("span", { className: "key" }, shown, name);
    });
  }

  Object.assign(window.pointillist, { curves, keyOf });
})();
