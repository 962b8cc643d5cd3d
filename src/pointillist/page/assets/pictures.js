/* Pictures of drawn rows: histograms of columns, compared with the training rows, and scatter plots of pairs. */

const { color, seriesColors, sized } = window.pointillist;
const BINS = 40;
/** Largest number of categories or integers with a bar each. */
const MOST_BARS = 60;
const MOST_POINTS = 5000;
const MARGIN = 0.04;
/** Steps of two sequences that fill a square evenly together (Roberts 2018, "The unreasonable effectiveness of quasirandom
 * sequences"): a cell of two categories is filled, not crossed by a line. */
const EVENLY = [0.7548777, 0.5698403];
/** Smallest width of a category's name, in pixels. */
const LEAST_ROOM = 30;

/** Formats a number for reading. */
const shown = (value) => {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2);
  return value.toLocaleString("en", { maximumSignificantDigits: size >= 100 ? 6 : 3, useGrouping: size >= 10000 });
};

/**
 * The ends of a column's axis.
 * @param {DrawnColumn} column
 * @returns {[number, number]}
 */
function ends({ nominal, isWhole, minimum, maximum, values }, rows) {
  if (nominal) return [-0.5, Math.min(MOST_BARS, nominal.length) - 0.5];
  let [low, high] = [minimum, maximum];
  for (let r = 0; r < rows; r++) {
    if (values[r] < low) low = values[r];
    if (values[r] > high) high = values[r];
  }
  if (isWhole && high - low < MOST_BARS) return [low - 0.5, high + 0.5];
  const edge = MARGIN * (high - low) || 0.5;
  return [low - edge, high + edge];
}

/** Fraction of the training rows in each bin; null if the model does not know it. */
function expected(column, edges) {
  if (column.shares) return column.shares;
  // Edges lie between integers, so each bin holds one integer.
  return column.below ? edges.slice(1).map((edge, i) => column.below(edge) - column.below(edges[i])) : null;
}

/**
 * Draws a histogram of the first rows of a column.
 * @param {HTMLCanvasElement} canvas
 * @param {DrawnColumn} column
 */
function histogram(canvas, column, rows) {
  const { context, width, height } = sized(canvas);
  if (!width) return;
  const [low, high] = ends(column, rows);
  const isCounted = column.nominal || (column.isWhole && high - low <= MOST_BARS);
  const count = isCounted ? Math.round(high - low) : BINS;
  const edges = Array.from({ length: count + 1 }, (_, i) => low + (i / count) * (high - low));
  const shares = new Float64Array(count);
  for (let r = 0; r < rows; r++) {
    const bin = Math.floor(((column.values[r] - low) / (high - low)) * count);
    if (bin >= 0 && bin < count) shares[bin] += 1 / rows;
  }
  const known = expected(column, edges);
  const most = Math.max(...shares, ...(known ?? []), 1e-9);
  const [bottom, bar] = [height - 16, width / count];
  const top = (share) => bottom - (share / most) * (bottom - 6);
  context.fillStyle = color("--series-1");
  context.globalAlpha = 0.75;
  shares.forEach((share, i) => context.fillRect(i * bar, top(share), bar * 0.9, bottom - top(share)));
  context.globalAlpha = 1;
  context.strokeStyle = color("--fg");
  context.lineWidth = 1.5;
  if (known) {
    context.beginPath();
    known.forEach((share, i) => {
      context.lineTo(i * bar, top(share));
      context.lineTo((i + 1) * bar, top(share));
    });
    context.stroke();
  } else if (column.is_standard) {
    markMoments(context, column, (value) => ((value - low) / (high - low)) * width, bottom);
  }
  context.strokeStyle = color("--line");
  context.beginPath();
  context.moveTo(0, bottom);
  context.lineTo(width, bottom);
  context.stroke();
  writeAxis(context, column, width, height, [low, high]);
}

/** The mean of the training rows, and a standard deviation to either side. */
function markMoments(context, { centre, unit }, across, bottom) {
  context.beginPath();
  context.moveTo(across(centre), 4);
  context.lineTo(across(centre), bottom);
  context.moveTo(across(centre - unit), 10);
  context.lineTo(across(centre + unit), 10);
  for (const end of [centre - unit, centre + unit]) {
    context.moveTo(across(end), 6);
    context.lineTo(across(end), 14);
  }
  context.stroke();
}

/** Writes the ends of the axis below a picture, or the categories if they fit. */
function writeAxis(context, column, width, height, [low, high]) {
  context.fillStyle = color("--muted");
  context.font = "11px system-ui, sans-serif";
  if (column.nominal) {
    const room = width / Math.min(MOST_BARS, column.nominal.length);
    if (room < LEAST_ROOM) return;
    context.textAlign = "center";
    column.nominal.forEach((name, i) => context.fillText(shortened(name, room), (i + 0.5) * room, height - 3));
    return;
  }
  const [first, last] = axisTexts(column, low, high);
  context.textAlign = "left";
  context.fillText(first, 0, height - 3);
  context.textAlign = "right";
  context.fillText(last, width, height - 3);
}

/** About six pixels a character. */
const shortened = (name, room) => (name.length * 6 > room ? `${name.slice(0, Math.floor(room / 6) - 1)}…` : name);

function axisTexts(column, low, high) {
  if (column.format === "day" || column.format === "time") return [low, high].map((value) => column.write(value));
  // Bars of integers reach from half to half.
  return (column.isWhole ? [Math.ceil(low), Math.floor(high)] : [low, high]).map(shown);
}

/**
 * Draws the first rows of a pair of columns, with the class as the color if there is one, over the training rows'
 * grid.
 * @param {HTMLCanvasElement} canvas
 * @param {DrawnColumn} x
 * @param {DrawnColumn} y
 * @param {DrawnColumn | undefined} label
 * @param {PairsGrid | null} grid
 */
function pair(canvas, x, y, label, rows, grid) {
  const { context, width, height } = sized(canvas);
  if (!width) return;
  const [left, bottom] = [48, height - 22];
  const [[x0, x1], [y0, y1]] = [ends(x, rows), ends(y, rows)];
  const placed = ({ nominal, values }, r, axis) => values[r] + (nominal ? 0.7 * (((r * EVENLY[axis]) % 1) - 0.5) : 0);
  const colors = seriesColors();
  const across = (value) => left + ((value - x0) / (x1 - x0)) * (width - left - 6);
  const up = (value) => bottom - ((value - y0) / (y1 - y0)) * (bottom - 6);
  if (grid) {
    context.fillStyle = color("--fg");
    grid.shade(context, across, up);
  }
  context.strokeStyle = color("--line");
  context.strokeRect(left, 6, width - left - 6, bottom - 6);
  context.globalAlpha = Math.min(0.8, Math.max(0.25, 600 / rows));
  const indices = label?.atoms && new Map(Array.from(label.atoms, (value, i) => [value, i]));
  const indexOf = (value) => indices?.get(value) ?? value;
  for (let r = 0; r < Math.min(rows, MOST_POINTS); r++) {
    context.fillStyle = colors[label ? indexOf(label.values[r]) % 8 : 0];
    context.beginPath();
    context.arc(across(placed(x, r, 0)), up(placed(y, r, 1)), 2, 0, 2 * Math.PI);
    context.fill();
  }
  context.globalAlpha = 1;
  context.save();
  context.translate(left, 0);
  writeAxis(context, x, width - left - 6, height, [x0, x1]);
  context.restore();
  if (y.nominal) return;
  context.fillStyle = color("--muted");
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "right";
  axisTexts(y, y0, y1).forEach((text, i) => context.fillText(shortened(text, left), left - 5, i ? 16 : bottom));
}

Object.assign(window.pointillist, { histogram, pair, shown, MOST_POINTS });
