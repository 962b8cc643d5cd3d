"use strict";
/** Metric against setting, one series a data set; training losses, one series a setting. */
(() => {
  const {
    fragment,
    later,
    sections,
    colour,
    seriesColour,
    onTheme,
    element,
    plot,
    picture,
    save,
    saveCanvas,
    fileName,
  } = window.pointillist;
  const { DASHES, SHAPES, sample, vector } = window.pointillist;

  const range = (n) => Array.from({ length: n }, (_, i) => i);

  function line(context, points) {
    context.beginPath();
    let isDown = false;
    for (const point of points) {
      if (point) context[isDown ? "lineTo" : "moveTo"](...point);
      isDown = point !== null;
    }
    context.stroke();
  }

  /** The floor: a dashed line, and a band around it. Where all settings share it, it goes from edge to edge. */
  function paintFloor(u, place, row, halfLength) {
    const { ctx, bbox } = u;
    const spots = row.floor.map((floor, i) => {
      if (floor === null) return null;
      const half = halfLength * row.spread[i];
      return [place(i, floor), place(i, floor - half)[1], place(i, floor + half)[1]];
    });
    const known = spots.filter(Boolean);
    if (!known.length) return;
    const isShared = new Set(row.floor).size === 1 && new Set(row.spread).size === 1;
    const edges = isShared
      ? [bbox.left, bbox.left + bbox.width].map((x) => [[x, known[0][0][1]], known[0][1], known[0][2]])
      : known;
    ctx.globalAlpha = 0.1;
    ctx.beginPath();
    for (const [[x], low] of edges) ctx.lineTo(x, Number.isFinite(low) ? low : bbox.top + bbox.height);
    for (const [[x], , high] of edges.toReversed()) ctx.lineTo(x, high);
    ctx.fill();
    ctx.globalAlpha = 0.8;
    ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
    line(
      ctx,
      edges.map(([middle]) => middle),
    );
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
  }

  function paintSeries(u, place, row, style) {
    const { ctx } = u;
    const { isJoined, dodge, shape, halfLength, withReported } = style;
    const scale = devicePixelRatio;
    const points = row.value.map((value, i) => {
      if (value === null) return null;
      const [x, y] = place(i, value);
      return [x + dodge, y];
    });
    if (isJoined) line(ctx, points);
    points.forEach((point, i) => {
      if (!point) return;
      const half = halfLength * (row.error[i] ?? 0);
      const [low, high] = [-half, half].map((by) => place(i, row.value[i] + by)[1]);
      const cap = 3 * scale;
      const foot = Number.isFinite(low) ? low : u.bbox.top + u.bbox.height;
      line(ctx, [
        [point[0], foot],
        [point[0], high],
      ]);
      line(ctx, [
        [point[0] - cap, high],
        [point[0] + cap, high],
      ]);
      line(ctx, [
        [point[0] - cap, foot],
        [point[0] + cap, foot],
      ]);
    });
    points.forEach((point, i) => {
      const fill = row.isRanked ? (row.best[i] ? ctx.strokeStyle : colour("--panel")) : colour("--muted");
      if (point) mark(ctx, point, shape, 4 * scale, fill);
      if (row.diverged[i]) cross(ctx, place(i, 1)[0] + dodge, u.bbox.top + u.bbox.height - 10 * scale, 4 * scale);
      if (withReported && row.reported[i] !== null) {
        const [x, y] = place(i, row.reported[i]);
        mark(ctx, [x + dodge, y], SHAPES[3], 5 * scale, "transparent");
      }
    });
  }

  function mark(context, [x, y], shape, radius, fill) {
    context.save();
    context.translate(x, y);
    context.beginPath();
    shape(context, radius);
    context.fillStyle = fill;
    context.fill();
    context.stroke();
    context.restore();
  }

  function cross(context, x, y, r) {
    line(context, [
      [x - r, y - r],
      [x + r, y + r],
    ]);
    line(context, [
      [x - r, y + r],
      [x + r, y - r],
    ]);
  }

  /** @param {ShownSection} section */
  function setUpMetrics(section) {
    const panel = section.root.querySelector(".chart");
    const holder = panel.querySelector(".plot");
    const select = panel.querySelector("select");
    const keys = panel.querySelector(".keys");
    const { chart } = section;
    const sets = [...new Set(chart.rows.map((row) => row.set))];
    const isCategory = chart.x === null;
    const places = chart.x ?? range(chart.heads.length);
    const isLogX = !isCategory && Math.min(...places) > 0 && Math.max(...places) >= 10 * Math.min(...places);
    // uPlot wants its x upwards, whatever the order of the table's columns.
    const order = range(chart.heads.length).sort((a, b) => places[a] - places[b]);
    const inOrder = (row) =>
      Object.fromEntries(
        Object.entries(row).map(([key, value]) => [key, Array.isArray(value) ? order.map((i) => value[i]) : value]),
      );
    const rows = chart.rows.map(inOrder);
    const [heads, labels] = [chart.heads, chart.labels].map((texts) => order.map((i) => texts[i]));
    const hidden = new Set();
    /** @type {Plot | null} */
    let drawn = null;

    const withReported = () => section.root.querySelector("[name=reported]")?.checked ?? false;
    const shownRows = () => rows.filter((row) => row.metric === select.value && !hidden.has(row.set));

    function paint(u, place, shown) {
      const step = Math.min(9, u.bbox.width / devicePixelRatio / heads.length / (shown.length + 1)) * devicePixelRatio;
      shown.forEach((row, k) => {
        const index = sets.indexOf(row.set);
        u.ctx.strokeStyle = u.ctx.fillStyle = seriesColour(index);
        u.ctx.lineWidth = 1.5 * devicePixelRatio;
        paintFloor(u, place, row, chart.halfLength);
        paintSeries(u, place, row, {
          isJoined: !isCategory,
          dodge: isCategory ? (k - (shown.length - 1) / 2) * step : 0,
          shape: SHAPES[index % SHAPES.length],
          halfLength: chart.halfLength,
          withReported: withReported(),
        });
      });
    }

    const describe = (shown) => (i) => ({
      head: heads[i],
      lines: shown.map((row) => ({
        colour: seriesColour(sets.indexOf(row.set)),
        name: row.set,
        text: row.text[i],
        more: [
          row.floorText[i] && `floor ${row.floorText[i]}`,
          withReported() && row.reported[i] !== null && `reported ${row.reported[i]}`,
        ]
          .filter(Boolean)
          .join(", "),
      })),
    });

    function draw() {
      drawn?.destroy();
      const shown = shownRows();
      const inSight = shown.flatMap((row) => [
        ...row.value.flatMap((value, i) => {
          const half = chart.halfLength * (row.error[i] ?? 0);
          // A bar that goes below 0 must not take the logarithm from values that are all positive.
          return value === null ? [] : [value, value + half, value - half > 0 || value <= 0 ? value - half : value];
        }),
        ...row.floor.filter((floor) => floor !== null),
        ...(withReported() ? row.reported.filter((value) => value !== null) : []),
      ]);
      const title = select.selectedOptions[0].textContent;
      drawn = plot(holder, {
        label: `${title} against ${chart.xName || "setting"}`,
        x: order.map((i) => places[i]),
        ticks: labels,
        isCategory,
        isLogX,
        xName: chart.xName,
        inSight,
        paint: (u, place) => paint(u, place, shown),
        describe: describe(shown),
      });
      for (const key of keys.querySelectorAll("button")) {
        key.setAttribute("aria-pressed", String(!hidden.has(key.dataset.set)));
      }
    }

    const write = () => fragment.change(section.view, { chart: select.value, hide: [...hidden].join(",") });

    for (const set of sets) {
      const key = element(
        "button",
        { type: "button" },
        sample({ colour: `var(--series-${(sets.indexOf(set) % 8) + 1})`, shape: sets.indexOf(set), dash: null }),
        set,
      );
      key.dataset.set = set;
      key.addEventListener("click", () => {
        if (!hidden.delete(set)) hidden.add(set);
        draw();
        write();
      });
      keys.append(key);
    }
    select.addEventListener("change", () => {
      draw();
      write();
    });
    panel.querySelector(".save").addEventListener("click", () => {
      const title = `${section.title}: ${select.selectedOptions[0].textContent}`;
      const names = shownRows().map((row) => ({ name: row.set, colour: seriesColour(sets.indexOf(row.set)) }));
      if (drawn) saveCanvas(picture(drawn.canvas(), title, names), `${fileName(section, select.value)}.png`);
    });
    panel.querySelector(".svg").addEventListener("click", () => {
      const title = `${section.title}: ${select.selectedOptions[0].textContent}`;
      const names = shownRows().map((row) => ({ name: row.set, index: sets.indexOf(row.set), hasMark: true }));
      if (drawn) save(vector(drawn.parts, title, names), `${fileName(section, select.value)}.svg`);
    });
    section.root.querySelector("[name=reported]")?.addEventListener("change", draw);
    onTheme(draw);
    fragment.onRestore(section.view, (params) => {
      const wanted = params.get("chart");
      [select.value] = chart.metrics.find(([name]) => name === wanted) ?? chart.metrics[0];
      hidden.clear();
      for (const set of (params.get("hide") ?? "").split(",")) if (sets.includes(set)) hidden.add(set);
      draw();
    });
    if (!drawn) draw();
  }

  /** @param {ShownSection} section */
  function setUpLosses(section) {
    const panel = section.root.querySelector(".losses");
    const { losses } = section;
    if (!panel || !losses) return;
    const holder = panel.querySelector(".plot");
    const select = panel.querySelector("select");
    const keys = panel.querySelector(".keys");
    const { heads } = section.chart;
    /** @type {Plot | null} */
    let drawn = null;

    const curves = () =>
      heads.flatMap((name, i) => {
        const curve = losses[select.value][i];
        return curve ? [{ name, i, curve }] : [];
      });

    function draw() {
      drawn?.destroy();
      drawn = null;
      const shown = curves();
      if (!panel?.open || !shown.length) return;
      keys.replaceChildren(
        ...shown.map(({ name, i }) => {
          return element("span", {}, sample({ colour: `var(--series-${(i % 8) + 1})`, shape: null, dash: i }), name);
        }),
      );
      const x = [...new Set(shown.flatMap(({ curve }) => curve[0]))].sort((a, b) => a - b);
      const at = ({ curve }, i) => curve[1][curve[0].indexOf(x[i])] ?? null;
      drawn = plot(holder, {
        label: `training loss by epoch, ${select.value}`,
        x,
        ticks: null,
        isCategory: false,
        isLogX: false,
        xName: "epoch",
        inSight: shown.flatMap(({ curve }) => curve[1].filter((value) => value !== null)),
        paint: (u, place) => {
          for (const one of shown) {
            u.ctx.strokeStyle = u.ctx.fillStyle = seriesColour(one.i);
            u.ctx.lineWidth = 1.5 * devicePixelRatio;
            u.ctx.setLineDash(
              DASHES[one.i % DASHES.length].split(" ").map((length) => Number(length) * devicePixelRatio),
            );
            // Its own epochs alone: those of longer curves in between are no gaps.
            const points = one.curve[0].map((epoch, k) =>
              one.curve[1][k] === null ? null : place(x.indexOf(epoch), one.curve[1][k]),
            );
            line(u.ctx, points);
            if (x.length === 1 && points[0]) mark(u.ctx, points[0], SHAPES[0], 3 * devicePixelRatio, u.ctx.strokeStyle);
          }
        },
        describe: (i) => ({
          head: `epoch ${x[i]}`,
          lines: shown.map((one) => ({
            colour: seriesColour(one.i),
            name: one.name,
            text: at(one, i) === null ? "" : String(Number(at(one, i).toPrecision(4))),
          })),
        }),
      });
    }

    const write = () => fragment.change(section.view, { loss: panel.open ? select.value : "" });

    panel.addEventListener("toggle", () => {
      draw();
      write();
    });
    select.addEventListener("change", () => {
      draw();
      write();
    });
    panel.querySelector(".save").addEventListener("click", () => {
      const names = curves().map(({ name, i }) => ({ name, colour: seriesColour(i) }));
      const title = `Training loss, ${select.value}: ${section.title}`;
      if (drawn) saveCanvas(picture(drawn.canvas(), title, names), `${fileName(section, "loss", select.value)}.png`);
    });
    panel.querySelector(".svg").addEventListener("click", () => {
      const names = curves().map(({ name, i }) => ({ name, index: i, hasMark: false }));
      const title = `Training loss, ${select.value}: ${section.title}`;
      if (drawn) save(vector(drawn.parts, title, names), `${fileName(section, "loss", select.value)}.svg`);
    });
    onTheme(draw);
    fragment.onRestore(section.view, (params) => {
      const wanted = params.get("loss");
      panel.open = wanted !== null && Object.hasOwn(losses, wanted);
      if (wanted !== null && panel.open) select.value = wanted;
      draw();
    });
  }

  for (const section of sections) {
    later(() => setUpMetrics(section));
    later(() => setUpLosses(section));
  }
})();
