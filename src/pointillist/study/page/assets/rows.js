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

/** @param {ShownSection} section */
function setUp(section) {
  const figure = section.root.querySelector(".rows");
  if (!figure) return;
  const select = figure.querySelector("select");
  const chips = [...figure.querySelectorAll("[data-panel]")];
  const holder = figure.querySelector(".panels");
  const legend = figure.querySelector(".legend");
  const withClasses = figure.dataset.classes === "true";
  const { heads } = section.chart;
  const main = section.chart.metrics[0];
  /**
   * The visible panels.
   * @type {{panel: string, draw: Draw, canvas: HTMLCanvasElement, box: HTMLElement}[]}
   */
  let shown = [];

  const isChosen = (chip) => chip.getAttribute("aria-pressed") === "true";
  const set = () => data.sets[select.value];

  function caption(panel) {
    if (panel === "data") return `${set().real.n.toLocaleString("en")} rows`;
    const row = section.chart.rows.find((one) => one.set === select.value && one.metric === main[0]);
    const text = row?.text[panel] ?? "not yet";
    return text === "not yet" ? "" : `${main[1]} ${text}`;
  }

  function remark(draw) {
    if (!draw) return "not finished";
    if (draw.lost) return `diverged: ${draw.lost.toLocaleString("en")} of ${draw.n.toLocaleString("en")} rows are not finite`;
    return draw.outside ? `${draw.outside.toLocaleString("en")} of ${draw.n.toLocaleString("en")} outside` : "";
  }

  function build() {
    shown = chips.filter(isChosen).map(({ dataset: { panel = "data" } }) => {
      const draw = panel === "data" ? set().real : drawOf(section.draws[select.value][Number(panel)]);
      const title = panel === "data" ? "data" : heads[Number(panel)];
      const ariaLabel = `${panel === "data" ? "Real" : "Generated"} rows of ${select.value}, ${title}`;
      const canvas = element("canvas", { role: "img", ariaLabel });
      const note = remark(draw);
      const frame = element("div", { className: "frame" }, canvas);
      if (note) frame.append(element("span", { className: "remark" }, note));
      const [head, foot] = [element("b", {}, title), element("small", {}, caption(panel))];
      const box = element("div", { className: "picture" }, head, foot, frame);
      return { panel, draw, canvas, box };
    });
    holder.replaceChildren(...shown.map(({ box }) => box));
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
      if (!side) continue;
      paint(sized(canvas, [side, side]).context, side, rows, set().axes.length, colors(panel));
    }
  }

  const colors = (panel) =>
    withClasses && set().axes.length > 1 ? seriesColors() : [color(panel === "data" ? "--muted" : "--accent")];

  function write() {
    const isAll = chips.every(isChosen);
    fragment.change(section.view, {
      figure: select.value,
      settings: isAll ? "" : chips.filter(isChosen).map((chip) => chip.dataset.panel).join(".") || "none",
    });
  }

  select.addEventListener("change", () => {
    build();
    write();
  });
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", String(!isChosen(chip)));
      build();
      write();
    });
  }
  new ResizeObserver(draw).observe(holder);
  onTheme(draw);
  fragment.onRestore(section.view, (params) => {
    const wanted = params.get("figure");
    select.value = wanted !== null && Object.hasOwn(section.draws, wanted) ? wanted : select.options[0].value;
    const chosen = params.get("settings")?.split(".");
    for (const chip of chips) {
      chip.setAttribute("aria-pressed", String(!chosen || chosen.includes(chip.dataset.panel ?? "")));
    }
    build();
  });
  if (!shown.length) build();
}

for (const section of sections) later(() => setUp(section));
