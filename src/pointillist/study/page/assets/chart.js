/* SVG charts whose values can be read by mouse, touch and keyboard, and saved as files. Series differ in shape and dashes
   as well as in color, because not everyone can distinguish colors. */

const { element, save, say } = window.pointillist;
const DASHES = ["", "6 4", "2 3", "9 3 2 3", "12 4", "4 2 1 2", "1 3", "8 2 2 2 2 2"];
/** Approximate width of a character, in pixels. */
const CHARACTER = 6.2;
const [TOP, RIGHT] = [16, 14];

const polygon = (n, size, start) => (radius) => {
  const corners = Array.from({ length: n }, (_, i) => start + (2 * Math.PI * i) / n);
  const points = corners.map((a) => [Math.cos(a), Math.sin(a)].map((x) => (size * radius * x).toFixed(2)).join(" "));
  return `M${points.join("L")}Z`;
};

/** Outlines around the origin, with similar areas. */
const SHAPES = [
  (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`,
  polygon(4, 1.27, Math.PI / 4),
  polygon(3, 1.3, -Math.PI / 2),
  polygon(4, 1.25, 0),
  polygon(3, 1.3, Math.PI / 2),
  polygon(6, 1.1, 0),
];

const shapePath = (shape, radius) => SHAPES[shape % SHAPES.length](radius);

/**
 * @param {Record<string, any>} attributes
 * @param {(Node | string)[]} children
 */
function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const path = (d, name, more = {}) => svg("path", { d, class: name, ...more });
const text = (x, y, anchor, content, more = {}) => svg("text", { x, y, "text-anchor": anchor, ...more }, content);
const groupOf = (color) => svg("g", { style: `--color: var(--series-${(color % 8) + 1})`, class: "series" });

/**
 * Draws a sample of a series: its line and one mark.
 * @param {Pick<Curve, "color" | "shape" | "dash">} series
 */
function sample({ color, shape = null, dash = null }) {
  const group = groupOf(color);
  if (dash !== null) group.append(path("M0 6H28", "line", { "stroke-dasharray": DASHES[dash % DASHES.length] }));
  if (shape !== null) group.append(path(shapePath(shape, 4), "mark", { transform: "translate(14 6)" }));
  return svg("svg", { viewBox: "0 0 28 12", width: 28, height: 12, class: "sample", "aria-hidden": "true" }, group);
}

/**
 * Makes the legend: the name of each series with its sample.
 * @param {Curve[]} series
 */
const keyOf = (series) => series.map((one) => element("span", { className: "key" }, sample(one), one.name));

/**
 * Chooses an axis that shows all values, logarithmic for wide ranges of positive values.
 * @param {number[]} values
 * @param {{margin?: number, canBeLog?: boolean}} options margin: as a fraction of their range
 * @returns {{range: [number, number], log: boolean}}
 */
function axisOf(values, { margin = 0.08, canBeLog = true } = {}) {
  // As arguments, more than 100,000 values would be too many.
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  if (low > high) return { range: [0, 1], log: false };
  if (canBeLog && low > 0 && high >= 10 * low) {
    const factor = (high / low) ** 0.06;
    return { range: [low / factor, high * factor], log: true };
  }
  const edge = (high - low) * margin || Math.abs(high) * 0.1 || 1;
  return { range: [low - edge, high + edge], log: false };
}

/**
 * Chooses round numbers on an axis.
 * @param {Pick<ChartAxis, "range" | "log">} axis
 */
function ticksOf({ range: [low, high], log }) {
  const ticks = [];
  if (log) {
    for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++)
      for (const m of high / low < 30 ? [1, 2, 5] : [1]) ticks.push(m * 10 ** e);
    return ticks.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  }
  const power = 10 ** Math.floor(Math.log10((high - low) / 5));
  const step = power * ([1, 2, 5].find((m) => m * power >= (high - low) / 5) ?? 10);
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-6; value += step) ticks.push(value);
  return ticks;
}

const number = (value) => String(Number(value.toPrecision(4)));

/**
 * Returns the function from values on an axis to pixels.
 * @param {Pick<ChartAxis, "range" | "log">} axis
 */
function scaleOf({ range: [low, high], log }, from, to) {
  const of = log ? Math.log : (value) => value;
  return (value) => from + ((of(value) - of(low)) / (of(high) - of(low))) * (to - from);
}

/** Values that an axis must show. The lower end of an error bar counts only if it is positive or the value is not. */
const inSight = (series) =>
  series.flatMap(({ points, reported = [], bands = [] }) => [
    ...[...points, ...reported].flatMap(([, y, error = 0]) =>
      y === null ? [] : [y, y + error, y - error > 0 || y <= 0 ? y - error : y],
    ),
    ...bands.map(({ middle }) => middle),
  ]);

/**
 * Draws a chart into an element, and redraws it when its size changes; null removes the chart.
 * @param {ChartHolder} holder
 * @param {ChartOptions | null} options
 */
function chart(holder, options) {
  holder.chart = options && { ...options, y: { ...axisOf(inSight(options.series)), ...options.y } };
  if (!holder.watch) {
    holder.watch = new ResizeObserver(() => draw(holder));
    holder.watch.observe(holder);
  }
  if (options?.describe && !holder.read) listen(holder);
  draw(holder);
}

/** @param {ChartHolder} holder */
function draw(holder) {
  const [width, height] = [holder.clientWidth, holder.clientHeight];
  holder.read?.(null);
  if (!holder.chart) holder.querySelector(".curves")?.remove();
  if (!holder.chart || !width || !height) return;
  const { label, x, y, series, levels = [], marker, describe } = holder.chart;
  /** @type {[number, string][]} */
  const across = (y.ticks ?? ticksOf(y)).map((value) => [value, number(value)]);
  const left = 16 + CHARACTER * Math.max(5, ...across.map(([, { length }]) => length));
  const right = width - RIGHT;
  /** @type {[number, string][]} */
  const along = (x.ticks ?? ticksOf(x)).map((value, i) => [value, x.texts?.[i] ?? number(value)]);
  const longest = CHARACTER * Math.max(...along.map(([, { length }]) => length));
  const isTurned = Boolean(x.isCategory) && longest + 8 > (right - left) / along.length;
  const bottom = height - (isTurned ? Math.min(0.72 * longest + 34, 130) : 40);
  const [toX, toY] = [scaleOf(x, left, right), scaleOf(y, bottom, TOP)];
  // On a logarithmic axis, values that are not positive are drawn at the bottom.
  const within = (at) => (Number.isNaN(at) ? bottom : Math.min(bottom, Math.max(TOP, at)));
  const level = (at, name) => path(`M${left} ${at}H${right}`, name);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "curves" });
  for (const [name, value] of describe ? [["aria-hidden", "true"]] : [["role", "img"], ["aria-label", label]])
    picture.setAttribute(name, value);
  for (const [value, name] of across) picture.append(level(toY(value), "grid"), text(left - 8, toY(value) + 4, "end", name));
  let end = -Infinity;
  for (const [value, name] of along) {
    const [at, half] = [toX(value), (CHARACTER * name.length) / 2];
    const turned = { transform: `translate(${at} ${bottom + 16}) rotate(-45)` };
    if (isTurned) picture.append(text(0, 0, "end", name, turned));
    // Skip labels that would touch the last one.
    else if (at - half >= end) picture.append(text(at, bottom + 18, "middle", name));
    else continue;
    end = at + half + 6;
  }
  picture.append(text(right, height - 4, "end", x.name), text(left, 11, "start", y.name ?? ""));
  if (marker !== undefined && toX(marker) <= right) picture.append(path(`M${toX(marker)} ${TOP}V${bottom}`, "marker"));
  for (const one of series) picture.append(drawn(one, toX, (value) => within(toY(value)), [left, right, bottom], marker));
  for (const { at, name } of levels) {
    const y = within(toY(at));
    const marks = series.flatMap(({ points, reported = [] }) =>
      [...points, ...reported].flatMap(([x, y]) => (y === null ? [] : [[toX(x), within(toY(y))]])),
    );
    const [side, height] = freeSpot([left + 4, right], [y - 5, y + 13], CHARACTER * name.length, marks);
    picture.append(level(y, "level"), text(side, height, side === right ? "end" : "start", name, { class: "over" }));
  }
  if (describe) {
    picture.append(svg("rect", { x: left, y: TOP, width: right - left, height: bottom - TOP, class: "area" }));
    picture.append(path(`M0 ${TOP}V${bottom}`, "cursor"));
  }
  holder.stops = (x.stops ?? x.ticks)?.map(toX);
  holder.querySelector(".curves")?.remove();
  holder.prepend(picture);
}

/**
 * The position of a text, of some sides and heights, that is farthest from marks.
 * @param {[left: number, right: number]} sides left end of the text, or right end
 * @param {number[]} heights
 * @param {number[][]} marks x and y of each
 * @returns {number[]} x and y
 */
function freeSpot([left, right], heights, width, marks) {
  const room = (/** @type {number[]} */ [side, height]) => {
    const first = side === right ? right - width : left;
    const aside = (x) => Math.max(0, first - x, x - first - width);
    return Math.min(...marks.map((/** @type {number[]} */ [x, y]) => Math.hypot(aside(x), y - height)));
  };
  const spots = [right, left].flatMap((side) => heights.map((height) => [side, height]));
  return spots.reduce((best, spot) => (room(spot) > room(best) ? spot : best));
}

/**
 * @param {Curve} one
 * @param {(value: number) => number} toX
 * @param {(value: number) => number} toY
 * @param {number[]} ends of the axes
 * @param {number} [marker]
 */
function drawn(one, toX, toY, [left, right, bottom], marker) {
  const { color, shape = null, dash = null, points, reported = [], bands = [] } = one;
  const group = groupOf(color);
  const joined = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  if (bands.length) {
    const isShared = bands.every(({ middle, half }) => middle === bands[0].middle && half === bands[0].half);
    // A band that all settings share goes from edge to edge.
    const ends = (isShared ? [left, right] : bands.map(({ x }) => toX(x))).map((at, i) => ({ ...bands[i] ?? bands[0], at }));
    const side = (sign) => ends.map(({ at, middle, half }) => [at, toY(middle + sign * half)]);
    group.append(path(`${joined([...side(-1), ...side(1).reverse()])}Z`, "band"), path(joined(side(0)), "baseline"));
  }
  if (dash !== null) {
    const runs = points.map(([x, y], i) => {
      if (y === null) return "";
      return `${i && points[i - 1][1] !== null ? "L" : "M"}${toX(x).toFixed(1)} ${toY(y).toFixed(1)}`;
    });
    group.append(path(runs.join(""), "line", { "stroke-dasharray": DASHES[dash % DASHES.length] }));
  }
  for (const [x, y, error, kind = ""] of [...points, ...reported]) {
    const at = toX(x);
    if (kind === "diverged") group.append(path(`M${at - 4} ${bottom - 14}l8 8m0 -8l-8 8`, "bar"));
    if (y === null || (shape === null && points.length > 1)) continue;
    const [low, high] = [-1, 1].map((sign) => toY(y + sign * (error ?? 0)));
    if (error) group.append(path(`M${at} ${low}V${high}M${at - 3} ${low}h6M${at - 3} ${high}h6`, "bar"));
    const outline = shapePath(kind === "published" ? 3 : (shape ?? 0), kind === "published" ? 5 : 4.2);
    group.append(path(outline, `mark ${kind}`, { transform: `translate(${at.toFixed(1)} ${toY(y).toFixed(1)})` }));
  }
  if (shape === null && marker !== undefined && points.length > 1) {
    const next = Math.max(1, points.findIndex(([x]) => x >= marker));
    const [[x0, y0], [x1, y1]] = [points[next - 1], points[next]];
    const y = y0 + ((y1 - y0) * (marker - x0)) / (x1 - x0);
    group.append(svg("circle", { cx: toX(marker), cy: toY(y), r: 5, class: "mark" }));
  }
  return group;
}

/**
 * Shows the values at an x by mouse, touch and keyboard.
 * @param {ChartHolder} holder
 */
function listen(holder) {
  const tip = element("div", { className: "tip", hidden: true });
  /** @type {number | null} */
  let chosen = null;
  holder.append(tip);
  holder.tabIndex = 0;
  holder.setAttribute("role", "group");
  const read = (holder.read = (i, isSaid = false) => {
    const { describe, label } = holder.chart ?? {};
    if (label) holder.setAttribute("aria-label", `Chart: ${label}. Arrow keys read its values.`);
    chosen = i;
    tip.hidden = i === null || !describe || !holder.stops;
    holder.querySelector(".cursor")?.classList.toggle("on", !tip.hidden);
    if (i === null || !describe || !holder.stops) return;
    const { head, lines } = describe(i);
    const line = ({ color, name, text, more = "" }) => {
      const dot = element("i");
      dot.style.background = `var(--series-${(color % 8) + 1})`;
      return element("div", {}, dot, element("span", {}, name), element("span", {}, text), element("small", {}, more));
    };
    tip.replaceChildren(element("b", {}, head), ...lines.map(line));
    const [at, width] = [holder.stops[i], holder.clientWidth];
    holder.querySelector(".cursor")?.setAttribute("transform", `translate(${at} 0)`);
    const left = at > width / 2 ? at - tip.offsetWidth - 12 : at + 12;
    tip.style.left = `${Math.max(0, Math.min(left, width - tip.offsetWidth))}px`;
    if (!isSaid) return;
    say(`${head}: ${lines.map(({ name, text, more = "" }) => [name, text, more].join(" ")).join("; ")}`);
  });
  const point = (event) => {
    const at = event.clientX - holder.getBoundingClientRect().left;
    const distances = (holder.stops ?? []).map((stop) => Math.abs(stop - at));
    const isInside = event.target instanceof Element && event.target.closest(".curves");
    if (distances.length && isInside) read(distances.indexOf(Math.min(...distances)));
  };
  for (const type of ["pointermove", "pointerdown"]) holder.addEventListener(type, point);
  for (const type of ["pointerleave", "blur"]) holder.addEventListener(type, () => read(null));
  holder.addEventListener("keydown", (event) => {
    const last = (holder.stops?.length ?? 0) - 1;
    /** @type {Record<string, number | null | undefined>} */
    const targets = {
      ArrowLeft: chosen === null ? last : Math.max(0, chosen - 1),
      ArrowRight: chosen === null ? 0 : Math.min(last, chosen + 1),
      Home: 0,
      End: last,
      Escape: null,
    };
    const to = targets[event.key];
    if (to === undefined) return;
    if (to !== null) event.preventDefault();
    read(to, true);
  });
}

/** Style properties that are copied into a file. */
const STYLES = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-opacity"].concat(
  ["paint-order", "visibility", "font-family", "font-size", "font-weight"],
);

/**
 * Saves a chart as SVG, with its title above and its legend below.
 * @param {ChartHolder} holder
 */
function saveChart(holder, title, name) {
  const shown = holder.querySelector(".curves");
  if (!holder.chart || !shown) return;
  const [width, inside] = [holder.clientWidth, holder.clientHeight];
  let [at, line] = [12, 0];
  const keys = holder.chart.series.map((one) => {
    const keyWidth = 50 + 7 * one.name.length;
    if (at > 12 && at + keyWidth > width) [at, line] = [12, line + 1];
    at += keyWidth;
    const move = { transform: `translate(${at - keyWidth} ${50 + inside + 20 * line})` };
    return svg("g", move, sample(one), text(34, 10, "start", one.name, { class: "title" }));
  });
  const height = inside + 76 + 20 * line;
  const file = svg(
    "svg",
    { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${width} ${height}`, width, height, class: "curves" },
    svg("rect", { width, height, class: "ground" }),
    text(12, 22, "start", title, { class: "title" }),
    svg("g", { transform: "translate(0 34)" }, ...[...shown.children].map((child) => child.cloneNode(true))),
    ...keys,
  );
  holder.append(file);
  for (const each of file.querySelectorAll("*")) {
    const style = getComputedStyle(each);
    for (const property of STYLES) each.setAttribute(property, style.getPropertyValue(property));
  }
  file.remove();
  save(new Blob([new XMLSerializer().serializeToString(file)], { type: "image/svg+xml" }), name);
}

Object.assign(window.pointillist, { axisOf, chart, keyOf, number, sample, saveChart, shapePath });
