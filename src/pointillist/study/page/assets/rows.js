/** Generated and real rows side by side; rows of three columns can be turned. */

const { bytesOf, element, fragment, later, data, sections } = window.pointillist;
const { color, seriesColors, sized, onDrag, onTheme } = window.pointillist;
const START = [-60, 25]; // azimuth and elevation in degrees
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

/** Returns the projection of three columns to x, y and depth, which increases towards the eye. */
function projection([azimuth, elevation]) {
  const [a, e] = [azimuth, elevation].map((degrees) => (degrees * Math.PI) / 180);
  const [sinA, cosA, sinE, cosE] = [Math.sin(a), Math.cos(a), Math.sin(e), Math.cos(e)];
  return (x, y, z) => {
    const across = -sinA * x + cosA * y;
    const towards = cosA * x + sinA * y;
    return [across / 1.6, (cosE * z - sinE * towards) / 1.6, sinE * z + cosE * towards];
  };
}

const CORNERS = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => [i & 1, i & 2, i & 4].map((bit) => (bit ? 1 : -1)));
const EDGES = CORNERS.flatMap((from, i) =>
  [1, 2, 4].filter((bit) => !(i & bit)).map((bit) => [from, CORNERS[i | bit]]),
);

/** Draws rows, if there are any, into a square of `side` pixels at the context's origin. */
function paint(context, side, draw, dimensions, angles, colors) {
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
    const project = projection(angles);
    context.strokeStyle = color("--line");
    context.lineWidth = 1;
    for (const edge of EDGES) {
      context.beginPath();
      for (const corner of edge) context.lineTo(...toPixels(...project(...corner)));
      context.stroke();
    }
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
  let angles = START;
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
    const is3d = set().axes.length === 3;
    holder.classList.toggle("turns", is3d);
    if (is3d) holder.tabIndex = 0;
    else holder.removeAttribute("tabindex");
    holder.role = is3d ? "group" : null;
    holder.ariaLabel = is3d ? "Rows in three columns. Arrow keys turn them." : null;
    legend.textContent = [
      `At most 1,000 evenly chosen rows of each model of seed 0. Axes: ${set().axes.join(", ")}`,
      set().projected ? " of the real rows, their first two principal components." : ".",
      withClasses && set().axes.length > 1 ? " Color: the class of a row, or the class that it was drawn for." : "",
      is3d ? " Drag or use the arrow keys to turn them." : "",
    ].join("");
    draw();
  }

  function draw() {
    for (const { panel, draw: rows, canvas } of shown) {
      const side = canvas.clientWidth;
      if (!side) continue;
      paint(sized(canvas, [side, side]).context, side, rows, set().axes.length, angles, colors(panel));
    }
  }

  const colors = (panel) =>
    withClasses && set().axes.length > 1 ? seriesColors() : [color(panel === "data" ? "--muted" : "--accent")];

  function write() {
    const isAll = chips.every(isChosen);
    fragment.change(section.view, {
      figure: select.value,
      settings: isAll ? "" : chips.filter(isChosen).map((chip) => chip.dataset.panel).join(".") || "none",
      angle: angles === START ? "" : angles.map(Math.round).join("."),
    });
  }

  function turn(azimuth, elevation) {
    angles = [((angles[0] + azimuth + 540) % 360) - 180, Math.max(-90, Math.min(90, angles[1] + elevation))];
    requestAnimationFrame(draw);
  }

  /** @type {Record<string, [azimuth: number, elevation: number]>} */
  const STEPS = { ArrowLeft: [-5, 0], ArrowRight: [5, 0], ArrowUp: [0, 5], ArrowDown: [0, -5] };
  holder.addEventListener("keydown", (event) => {
    if (!holder.classList.contains("turns") || !(event.key in STEPS)) return;
    event.preventDefault();
    turn(...STEPS[event.key]);
    write();
  });
  onDrag(holder, {
    begin: ({ target }) => holder.classList.contains("turns") && target instanceof HTMLCanvasElement,
    move: (dx, dy) => turn(-0.5 * dx, 0.5 * dy),
    end: write,
  });

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
    const turned = (params.get("angle") ?? "").split(".").map(Number);
    angles = params.has("angle") && turned.length === 2 && turned.every(Number.isFinite) ? turned : START;
    build();
  });
  if (!shown.length) build();
}

for (const section of sections) later(() => setUp(section));
