/** Charts of metrics by setting, one series per data set. */

const { axisOf, chart, element, fileName, fragment, later, sample, saveChart, sections } = window.pointillist;

const range = (n) => Array.from({ length: n }, (_, i) => i);

/** @param {ShownSection} section */
function setUpMetrics(section) {
  const panel = section.root.querySelector(".chart");
  const select = panel.querySelector("select");
  const { heads, labels, xName, x, rows, metrics, halfLength } = section.chart;
  const sets = [...new Set(rows.map((row) => row.set))];
  const isCategory = x === null;
  const positions = x ?? range(heads.length);
  // The axis increases, whatever the order of the table's columns.
  const order = range(heads.length).sort((a, b) => positions[a] - positions[b]);
  const reported = section.root.querySelector("[name=reported]");
  const hidden = new Set();
  const keyFor = (i) => ({ color: i, shape: i, dash: isCategory ? null : 0 });
  const titleOf = () => select.selectedOptions[0].textContent;

  /** @returns {Curve} */
  function curveOf(row, k, n) {
    const i = sets.indexOf(row.set);
    const dodge = isCategory ? (k - (n - 1) / 2) * Math.min(0.08, 1 / (n + 1)) : 0;
    const kindOf = (j) => (row.diverged[j] ? "diverged" : !row.isRanked ? "unranked" : row.best[j] ? "best" : "other");
    const points = order.map((j) => [positions[j] + dodge, row.value[j], halfLength * (row.error[j] ?? 0), kindOf(j)]);
    const known = order.filter((j) => row.baseline[j] !== null);
    const bands = known.map((j) => ({ x: positions[j], middle: row.baseline[j], half: halfLength * row.spread[j] }));
    const others = reported?.checked ? order.map((j) => [positions[j] + dodge, row.reported[j], 0, "published"]) : [];
    return { name: row.set, ...keyFor(i), points, reported: others, bands };
  }

  function draw() {
    const shown = rows.filter((row) => row.metric === select.value && !hidden.has(row.set));
    const series = shown.map((row, k) => curveOf(row, k, shown.length));
    const at = order.map((j) => positions[j]);
    /** @type {Pick<ChartAxis, "range" | "log">} */
    const ends = isCategory ? { range: [-0.5, at.length - 0.5] } : axisOf(at, { margin: 0.05 });
    chart(panel.querySelector(".plot"), {
      label: `${titleOf()} against ${xName || "setting"}`,
      x: { ...ends, isCategory, name: xName, ticks: at, texts: order.map((j) => labels[j]) },
      series,
      describe: (k, j = order[k]) => ({
        head: heads[j],
        lines: shown.map((row) => ({
          color: sets.indexOf(row.set),
          name: row.set,
          text: row.text[j],
          more: [
            row.baselineText[j] && `baseline ${row.baselineText[j]}`,
            reported?.checked && row.reported[j] !== null && `reported ${row.reported[j]}`,
          ]
            .filter(Boolean)
            .join(", "),
        })),
      }),
    });
    for (const key of keys) key.setAttribute("aria-pressed", String(!hidden.has(key.dataset.set)));
  }

  function choose() {
    draw();
    fragment.change(section.view, { chart: select.value, hide: [...hidden].join(",") });
  }

  const keys = sets.map((set, i) => {
    const key = element("button", { type: "button" }, sample(keyFor(i)), set);
    key.dataset.set = set;
    key.addEventListener("click", () => {
      if (!hidden.delete(set)) hidden.add(set);
      choose();
    });
    return key;
  });
  panel.querySelector(".keys").append(...keys);
  select.addEventListener("change", choose);
  reported?.addEventListener("change", draw);
  panel.querySelector(".save").addEventListener("click", () =>
    saveChart(panel.querySelector(".plot"), `${section.title}: ${titleOf()}`, `${fileName(section, select.value)}.svg`),
  );
  fragment.onRestore(section.view, (params) => {
    const wanted = params.get("chart");
    [select.value] = metrics.find(([name]) => name === wanted) ?? metrics[0];
    hidden.clear();
    for (const set of (params.get("hide") ?? "").split(",")) if (sets.includes(set)) hidden.add(set);
    draw();
  });
  draw();
}

for (const section of sections) later(() => setUpMetrics(section));
