"use strict";
/** A chart by uPlot, with what all charts of the page have: values by mouse, touch and keyboard, themes, pictures. */
(() => {
  const { colour, contextOf, element, keySpots, say, FONT } = window.pointillist;

  const number = (value) => (value === null ? "" : String(Number(value.toPrecision(4))));

  /**
   * The ends of an axis that shows all values; wide ranges of positive ones are shown by their logarithms.
   *
   * @param {number[]} values
   * @returns {{range: [number, number], isLog: boolean}}
   */
  function axisOf(values) {
    const finite = values.filter(Number.isFinite);
    if (!finite.length) return { range: [0, 1], isLog: false };
    // As arguments, more than 100,000 values would be too many.
    const low = finite.reduce((a, b) => Math.min(a, b));
    const high = finite.reduce((a, b) => Math.max(a, b));
    if (low > 0 && high > 10 * low) {
      const margin = (high / low) ** 0.06;
      return { range: [low / margin, high * margin], isLog: true };
    }
    const margin = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
    return { range: [low - margin, high + margin], isLog: false };
  }

  /** Leaves out labels that would touch the one before. */
  function thinned(u, positions, labels) {
    const font = `11px ${FONT}`;
    u.ctx.save();
    u.ctx.font = font;
    let end = -Infinity;
    const shown = labels.map((label, i) => {
      const half = u.ctx.measureText(label).width / 2;
      const at = u.valToPos(positions[i], "x");
      if (at - half < end) return "";
      end = at + half + 6;
      return label;
    });
    u.ctx.restore();
    return shown;
  }

  /** As it starts, uPlot asks for the time zone, which takes a while: the first picture needs no chart. */
  function provideUPlot() {
    const source = document.getElementById("page.uplot").textContent;
    if (!("uPlot" in window)) document.head.append(element("script", { textContent: source }));
  }

  /**
   * Draws a chart into an element.
   *
   * @param {HTMLElement} holder
   * @param {PlotOptions} options
   * @returns {Plot}
   */
  function plot(holder, options) {
    const { x, ticks, isCategory, isLogX } = options;
    const y = axisOf(options.inSight);
    const tip = element("div", { className: "tip", hidden: true });
    const longest = ticks ? Math.max(...ticks.map((tick) => tick.length)) * 6.2 : 0;
    const isTurned = isCategory && longest + 8 > (holder.clientWidth - 60) / x.length;
    /** @type {number | null} */
    let chosen = null;

    /** @returns {[number, number]} */
    const xRange = () => {
      const [low, high] = [x[0], x[x.length - 1]];
      if (isCategory) return [-0.5, x.length - 0.5];
      if (isLogX) return [low / (high / low) ** 0.06, high * (high / low) ** 0.06];
      const margin = (high - low) * 0.05 || 1;
      return [low - margin, high + margin];
    };

    const axis = (more) => ({
      font: `11px ${FONT}`,
      labelFont: `12px ${FONT}`,
      stroke: () => colour("--muted"),
      grid: { stroke: () => colour("--line"), width: 1 },
      ticks: { stroke: () => colour("--line"), width: 1, size: 4 },
      ...more,
    });

    const xAxis = axis({
      label: options.xName || undefined,
      labelSize: options.xName ? 18 : 0,
      size: isTurned ? Math.min(longest * 0.72 + 18, 120) : 26,
      rotate: isTurned ? 45 : 0,
      grid: { show: false },
      ...(ticks && {
        splits: () => x,
        filter: (u, splits) => splits,
        values: (u, splits) => (isTurned ? ticks : thinned(u, splits, ticks)),
      }),
    });
    const yAxis = axis({
      size: (u, values) => 14 + 6.2 * Math.max(3, ...(values ?? []).map((value) => (value ?? "").length)),
      values: (u, splits) => splits.map(number),
    });

    function show(u, i) {
      chosen = i;
      if (i === null) {
        tip.hidden = true;
        return;
      }
      const { head, lines } = options.describe(i);
      tip.replaceChildren(
        element("b", {}, head),
        ...lines.map((line) => {
          const dot = element("i", {});
          dot.style.background = line.colour;
          const more = element("small", {}, line.more ?? "");
          return element("div", {}, dot, element("span", {}, line.name), element("span", {}, line.text), more);
        }),
      );
      tip.hidden = false;
      const [at, width] = [u.valToPos(x[i], "x"), u.over.clientWidth];
      const left = at > width / 2 ? at - tip.offsetWidth - 12 : at + 12;
      tip.style.left = `${Math.max(-40, Math.min(left, width - tip.offsetWidth))}px`;
    }

    provideUPlot();
    const u = new uPlot(
      {
        width: Math.max(holder.clientWidth, 200),
        height: holder.clientHeight,
        padding: [10, 10, 0, 0],
        scales: {
          x: { time: false, distr: isLogX ? 3 : 1, range: xRange },
          y: { distr: y.isLog ? 3 : 1, range: () => y.range },
        },
        axes: [xAxis, yAxis],
        series: [{}, { paths: () => null, points: { show: false } }],
        legend: { show: false },
        cursor: {
          x: true,
          y: false,
          points: { show: false },
          drag: { x: false, y: false, setScale: false },
          move: (self, left, top) => [left < 0 ? left : self.valToPos(x[self.posToIdx(left)], "x"), top],
        },
        hooks: {
          draw: [
            (self) => {
              self.ctx.save();
              self.ctx.beginPath();
              self.ctx.rect(self.bbox.left, self.bbox.top, self.bbox.width, self.bbox.height);
              self.ctx.clip();
              options.paint(self, (i, value) => [self.valToPos(x[i], "x", true), self.valToPos(value, "y", true)]);
              self.ctx.restore();
            },
          ],
          setCursor: [(self) => show(self, self.cursor.left < 0 ? null : (self.cursor.idx ?? null))],
        },
      },
      // One series of values in sight keeps the axes alive; `paint` draws the real ones.
      [x, x.map(() => y.range[0])],
      holder,
    );
    u.over.append(tip);

    holder.tabIndex = 0;
    holder.setAttribute("role", "group");
    holder.setAttribute("aria-label", `Chart: ${options.label}. Arrow keys read its values.`);

    function read(i) {
      u.setCursor({ left: u.valToPos(x[i], "x"), top: u.over.clientHeight / 2 });
      const { head, lines } = options.describe(i);
      say(`${head}: ${lines.map((line) => [line.name, line.text, line.more ?? ""].join(" ")).join("; ")}`);
    }

    const keys = (event) => {
      const last = x.length - 1;
      /** @type {Record<string, number | undefined>} */
      const targets = {
        ArrowLeft: chosen === null ? last : Math.max(0, chosen - 1),
        ArrowRight: chosen === null ? 0 : Math.min(last, chosen + 1),
        Home: 0,
        End: last,
      };
      const to = targets[event.key];
      if (to !== undefined) {
        event.preventDefault();
        read(to);
      } else if (event.key === "Escape") {
        hide();
      }
    };
    const hide = () => u.setCursor({ left: -10, top: -10 });
    holder.addEventListener("keydown", keys);
    holder.addEventListener("blur", hide);

    const watch = new ResizeObserver(() => {
      if (holder.clientWidth) u.setSize({ width: holder.clientWidth, height: holder.clientHeight });
    });
    watch.observe(holder);

    return {
      canvas: () => u.ctx.canvas,
      /** What a picture of the chart in vectors needs. */
      parts: { ...options, xRange: xRange(), yRange: y.range, isLogY: y.isLog },
      destroy() {
        watch.disconnect();
        holder.removeEventListener("keydown", keys);
        holder.removeEventListener("blur", hide);
        u.destroy();
      },
    };
  }

  /** A picture of a chart with its title above and its colours' names below. */
  function picture(canvas, title, names) {
    const scale = devicePixelRatio || 1;
    const font = `${11 * scale}px ${FONT}`;
    const measuring = contextOf(element("canvas"));
    measuring.font = font;
    const widthOf = ({ name }) => 26 * scale + measuring.measureText(name).width;
    const [spots, n] = keySpots(names, 12 * scale, canvas.width, widthOf);
    const [top, row] = [34 * scale, 20 * scale];
    const made = element("canvas", { width: canvas.width, height: canvas.height + top + n * row + 10 * scale });
    const context = contextOf(made);
    context.fillStyle = colour("--panel");
    context.fillRect(0, 0, made.width, made.height);
    context.drawImage(canvas, 0, top);
    context.textBaseline = "middle";
    context.fillStyle = colour("--fg");
    context.font = `600 ${13 * scale}px ${FONT}`;
    context.fillText(title, 12 * scale, top / 2, made.width - 24 * scale);
    context.font = font;
    names.forEach(({ name, colour: own }, i) => {
      const [at, line] = spots[i];
      const y = top + canvas.height + (line + 0.5) * row;
      context.fillStyle = own;
      context.fillRect(at, y - 4 * scale, 8 * scale, 8 * scale);
      context.fillStyle = colour("--fg");
      context.fillText(name, at + 12 * scale, y);
    });
    return made;
  }

  Object.assign(window.pointillist, { plot, picture });
})();
