"use strict";
/* Pictures of drawn rows: a histogram of each column beside what the model knows of the data, and pairs of columns. */

(() => {
  const BINS = 40;
  const MOST_POINTS = 5000;
  const MARGIN = 0.04;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /** A number as people write it. */
  const shown = (value) => {
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2);
    return value.toLocaleString("en", { maximumSignificantDigits: size >= 1000 ? 7 : 4, useGrouping: size >= 10000 });
  };

  /** Sizes a canvas for the screen's pixels; gives its context in units of the page, and its size. */
  function sized(canvas) {
    const scale = Math.min(2, devicePixelRatio || 1);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    return { context, width, height };
  }

  const isNominal = (column) => column.is_label;

  /** The ends of a column's axis. */
  function ends(column, count, rows) {
    if (isNominal(column)) return [-0.5, count - 0.5];
    let [low, high] = [column.minimum, column.maximum];
    for (let r = 0; r < rows; r++) {
      low = Math.min(low, column.values[r]);
      high = Math.max(high, column.values[r]);
    }
    const edge = MARGIN * (high - low) || 0.5;
    return [low - edge, high + edge];
  }

  /** Share of the training rows below a value, where the model holds quantiles. */
  function shareBelow(known, value) {
    const last = known.length - 1;
    if (value <= known[0]) return value < known[0] ? 0 : 0.5 / last;
    if (value >= known[last]) return 1;
    let [low, high] = [0, last];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (known[middle] <= value) low = middle;
      else high = middle;
    }
    return (low + (value - known[low]) / (known[high] - known[low])) / last;
  }

  /** What the model knows of a column's bins: shares of the training rows; null if it knows none. */
  function expected(column, classes, edges) {
    if (isNominal(column)) {
      const all = classes.counts.reduce((a, b) => a + b, 0);
      return classes.counts.map((n) => n / all);
    }
    if (!column.known) return null;
    return edges.slice(1).map((edge, i) => shareBelow(column.known, edge) - shareBelow(column.known, edges[i]));
  }

  /** Draws a histogram of the first rows of a column. */
  function histogram(canvas, column, rows, classes) {
    const { context, width, height } = sized(canvas);
    if (!width) return;
    const count = isNominal(column) ? classes.counts.length : BINS;
    const [low, high] = ends(column, count, rows);
    const edges = Array.from({ length: count + 1 }, (_, i) => low + (i / count) * (high - low));
    const shares = new Float64Array(count);
    for (let r = 0; r < rows; r++) {
      shares[Math.min(count - 1, Math.floor(((column.values[r] - low) / (high - low)) * count))] += 1 / rows;
    }
    const known = expected(column, classes, edges);
    const most = Math.max(...shares, ...(known ?? []), 1e-9);
    const [bottom, bar] = [height - 16, width / count];
    const top = (share) => bottom - (share / most) * (bottom - 6);
    context.fillStyle = colour("--series-1");
    context.globalAlpha = 0.75;
    shares.forEach((share, i) => context.fillRect(i * bar, top(share), bar * 0.9, bottom - top(share)));
    context.globalAlpha = 1;
    context.strokeStyle = colour("--fg");
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
    context.strokeStyle = colour("--line");
    context.beginPath();
    context.moveTo(0, bottom);
    context.lineTo(width, bottom);
    context.stroke();
    if (!isNominal(column)) writeEnds(context, width, height, low, high);
  }

  /** The mean of the training rows, and a standard deviation to either side. */
  function markMoments(context, { centre, unit }, place, bottom) {
    context.beginPath();
    context.moveTo(place(centre), 4);
    context.lineTo(place(centre), bottom);
    context.moveTo(place(centre - unit), 10);
    context.lineTo(place(centre + unit), 10);
    for (const end of [centre - unit, centre + unit]) {
      context.moveTo(place(end), 6);
      context.lineTo(place(end), 14);
    }
    context.stroke();
  }

  function writeEnds(context, width, height, low, high) {
    context.fillStyle = colour("--muted");
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "left";
    context.fillText(shown(low), 0, height - 3);
    context.textAlign = "right";
    context.fillText(shown(high), width, height - 3);
  }

  /** Draws the first rows of a pair of columns, with the class as the colour if there is one. */
  function pair(canvas, x, y, label, rows, classes) {
    const { context, width, height } = sized(canvas);
    if (!width) return;
    const [left, bottom] = [48, height - 22];
    const count = classes?.counts.length;
    const [[x0, x1], [y0, y1]] = [ends(x, count, rows), ends(y, count, rows)];
    const spread = (column, r) => (isNominal(column) ? 0.7 * (((r * 0.618034) % 1) - 0.5) : 0);
    const colours = Array.from({ length: 8 }, (_, i) => colour(`--series-${i + 1}`));
    context.strokeStyle = colour("--line");
    context.strokeRect(left, 6, width - left - 6, bottom - 6);
    context.globalAlpha = Math.min(0.8, Math.max(0.25, 600 / rows));
    for (let r = 0; r < Math.min(rows, MOST_POINTS); r++) {
      const across = left + ((x.values[r] + spread(x, r) - x0) / (x1 - x0)) * (width - left - 6);
      const up = bottom - ((y.values[r] + spread(y, r) - y0) / (y1 - y0)) * (bottom - 6);
      context.fillStyle = colours[label ? label.values[r] % 8 : 0];
      context.beginPath();
      context.arc(across, up, 2, 0, 2 * Math.PI);
      context.fill();
    }
    context.globalAlpha = 1;
    context.translate(left, 0);
    if (!isNominal(x)) writeEnds(context, width - left - 6, height, x0, x1);
    context.translate(-left, 0);
    context.textAlign = "right";
    if (!isNominal(y)) for (const [value, at] of [[y0, bottom], [y1, 14]]) context.fillText(shown(value), left - 5, at);
  }

  Object.assign(window.pointillist, { histogram, pair, shown, MOST_POINTS });
})();
