/** Generated and real rows side by side. */

const { bytesOf, element, fragment, later, data, sections } = window.pointillist;
const { color, seriesColors, sized, onTheme } = window.pointillist;
/** Azimuth and elevation in degrees. */
const ANGLES = [-60, 25];
const BINS = 40;

/** @type {Record<string, Draw> | undefined} */
let draws;
/** Generated rows by key, parsed when they are first shown. */
const drawOf = (key) => (draws ??= JSON.parse(document.getElementById("page.draws").textContent))[key];

/** @type {WeakMap<Draw, Float32Array>} */
const cache = new WeakMap();

/**
 * Coordinates from -1 to 1, row by row.
 * @param {Draw} draw
 */
function points(draw) {
  const found = cache.get(draw) ?? Float32Array.from(new Int16Array(bytesOf(draw.rows).buffer), (value) => value / 32767);
  cache.set(draw, found);
  return found;
}

const [sinA, cosA, sinE, cosE] = ANGLES.flatMap((degrees) => [Math.sin, Math.cos].map((of) => of((degrees * Math.PI) / 180)));

/** Projects three columns to x, y and depth, which increases towards the eye. */
const project = (x, y, z) => {
  const towards = cosA * x + sinA * y;
  return [(-sinA * x + cosA * y) / 1.6, (cosE * z - sinE * towards) / 1.6, sinE * z + cosE * towards];
};

/** Draws rows, if there are any, into a square of `side` pixels at the context's origin. */
function paint(context, side, draw, dimensions, colors) {
  if (draw?.rows === undefined) return;
  const rows = points(draw);
  const n = rows.length / dimensions;
  // Rows are sorted by class.
  const labels = (draw.classes ?? []).flatMap((count, label) => Array(count).fill(label));
  const colorOf = (i) => colors[labels.length ? labels[i] % colors.length : 0];
  const toPixels = (x, y) => [((x + 1) / 2) * side, ((1 - y) / 2) * side];
  if (dimensions === 1) {
    paintHistogram(context, side, rows, colors[0]);
    return;
  }
  const radius = Math.max(0.8, Math.min(side / 170, 2.2));
  const dot = (x, y, alpha, fill) => {
    const [left, top] = toPixels(x, y);
    context.globalAlpha = alpha;
    context.fillStyle = fill;
    context.beginPath();
    context.arc(left, top, radius, 0, 2 * Math.PI);
    context.fill();
  };
  if (dimensions === 2) {
    for (let i = 0; i < n; i++) dot(rows[2 * i], rows[2 * i + 1], 0.6, colorOf(i));
  } else {
    const placed = Array.from({ length: n }, (_, i) => [...project(...rows.subarray(3 * i, 3 * i + 3)), i]);
    // Draw far rows first, and paler.
    placed.sort((a, b) => a[2] - b[2]);
    for (const [x, y, depth, i] of placed) dot(x, y, Math.min(0.85, Math.max(0.2, 0.5 + 0.3 * depth)), colorOf(i));
  }
  context.globalAlpha = 1;
}

function paintHistogram(context, side, rows, fill) {
  const counts = new Array(BINS).fill(0);
  for (const row of rows) counts[Math.min(BINS - 1, Math.floor(((row + 1) / 2) * BINS))]++;
  const highest = Math.max(...counts, 1);
  context.fillStyle = fill;
  counts.forEach((count, i) => {
    const height = (count / highest) * side * 0.92;
    context.fillRect((i * side) / BINS, side - height, (0.8 * side) / BINS, height);
  });
}

const count = (n) => n.toLocaleString("en");

/** @param {ShownSection} section */
function setUp(section) {
  const figure = section.root.querySelector(".rows");
  if (!figure) return;
  const select = figure.querySelector("select");
  const holder = figure.querySelector(".panels");
  const legend = figure.querySelector(".legend");
  const withClasses = figure.dataset.classes === "true";
  const [metric, metricTitle] = section.chart.metrics[0];
  /** @type {{panel: number, draw: Draw, canvas: HTMLCanvasElement}[]} panel: index of the setting; -1: the data */
  let shown = [];
  const set = () => data.sets[select.value];

  function caption(panel) {
    if (panel < 0) return `${count(set().real.n)} rows`;
    const row = section.chart.rows.find((one) => one.set === select.value && one.metric === metric);
    const text = row?.text[panel] ?? "not yet";
    return text === "not yet" ? "" : `${metricTitle} ${text}`;
  }

  function remark(draw) {
    if (!draw) return "not finished";
    if (draw.lost) return `diverged: ${count(draw.lost)} of ${count(draw.n)} rows are not finite`;
    return draw.outside ? `${count(draw.outside)} of ${count(draw.n)} outside` : "";
  }

  function build() {
    holder.replaceChildren();
    shown = ["data", ...section.chart.heads].map((title, i) => {
      const panel = i - 1;
      const draw = i ? drawOf(section.draws[select.value][panel]) : set().real;
      const ariaLabel = `${i ? "Generated" : "Real"} rows of ${select.value}, ${title}`;
      const canvas = element("canvas", { role: "img", ariaLabel });
      const note = element("span", { className: "remark" }, remark(draw));
      const frame = element("div", { className: "frame" }, canvas, ...(note.textContent ? [note] : []));
      const [head, foot] = [element("b", {}, title), element("small", {}, caption(panel))];
      holder.append(element("div", { className: "picture" }, head, foot, frame));
      return { panel, draw, canvas };
    });
    holder.style.setProperty("--count", String(shown.length));
    legend.textContent = [
      `At most 1,000 evenly chosen rows of each model of seed 0. Axes: ${set().axes.join(", ")}`,
      set().projected ? " of the real rows, their first two principal components." : ".",
      withClasses && set().axes.length > 1 ? " Color: the class of a row, or the class that it was drawn for." : "",
    ].join("");
    draw();
  }

  function draw() {
    for (const { panel, draw: rows, canvas } of shown) {
      const side = canvas.clientWidth;
      if (side) paint(sized(canvas, [side, side]).context, side, rows, set().axes.length, colors(panel));
    }
  }

  const colors = (panel) =>
    withClasses && set().axes.length > 1 ? seriesColors() : [color(panel < 0 ? "--muted" : "--accent")];

  select.addEventListener("change", () => {
    build();
    fragment.change(section.view, { figure: select.value });
  });
  new ResizeObserver(draw).observe(holder);
  onTheme(draw);
  fragment.onRestore(section.view, (params) => {
    const wanted = params.get("figure");
    select.value = wanted !== null && Object.hasOwn(section.draws, wanted) ? wanted : select.options[0].value;
    build();
  });
  if (!shown.length) build();
}

for (const section of sections) later(() => setUp(section));
