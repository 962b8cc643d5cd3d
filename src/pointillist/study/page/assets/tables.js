/** Tables: sorting, filters, reported numbers, CSV. */

const { bytesOf, fragment, later, sections, element, save, fileName, say } = window.pointillist;

/**
 * Compares two lines by a column. Numbers are compared within a metric, because metrics have different units; lines
 * without a number come last in either direction.
 * @param {string[]} metrics in the order of the table
 */
function comparison(column, sign, metrics) {
  const text = (row) => (column ? row.dataset.metric : row.dataset.set);
  if (column < 2) return (a, b) => sign * text(a).localeCompare(text(b));
  const number = (row) => Number(row.cells[column].dataset.number ?? NaN);
  const metric = (row) => metrics.indexOf(row.dataset.metric);
  return (a, b) => {
    if (metric(a) !== metric(b)) return metric(a) - metric(b);
    const [x, y] = [number(a), number(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y));
    return sign * (x - y);
  };
}

/** Links a cell to its network in the knobs; by keyboard only the first line of a set is reached. */
function linkLive(cell, isFirst) {
  const value = cell.querySelector(".value");
  const href = `index.html#knobs?${cell.dataset.live}`;
  const link = element("a", { href, className: "open-live", tabIndex: isFirst ? 0 : -1 });
  link.append(value.textContent, element("span", { className: "hidden-text" }, ", draw its rows live"));
  value.replaceChildren(link);
}

/** @param {ShownSection} section */
function setUp(section) {
  const panel = section.root.querySelector(".table-panel");
  const body = panel.querySelector("tbody");
  const rows = [...body.rows];
  const metrics = [...new Set(rows.map((row) => row.dataset.metric ?? ""))];
  const heads = [...panel.querySelectorAll("thead th")];
  const filters = [panel.querySelector("[name=set]"), panel.querySelector("[name=metric]")];
  const ofClasses = panel.querySelector("[name=classes]");
  const checks = [panel.querySelector("[name=reported]"), ofClasses].filter((check) => check !== null);
  let sort = 0; // 1, 2, …: by that column, ascending; negative: descending

  function show() {
    const [set, metric] = filters.map((filter) => filter.value);
    const isShown = (row) =>
      (!set || row.dataset.set === set || row.dataset.set === "all") &&
      (!metric || row.dataset.metric === metric || row.dataset.metric.startsWith(`${metric}, class`));
    const ordered = sort ? [...rows].sort(comparison(Math.abs(sort) - 1, Math.sign(sort), metrics)) : rows;
    let previous = null;
    for (const row of ordered) {
      row.hidden = !isShown(row);
      const isSeen = !row.hidden && (!row.classList.contains("of-class") || ofClasses?.checked);
      if (!isSeen) continue;
      row.classList.toggle("first", row.dataset.set !== previous);
      previous = row.dataset.set;
    }
    body.replaceChildren(...ordered);
    heads.forEach((head, i) => {
      head.ariaSort = Math.abs(sort) !== i + 1 ? null : sort > 0 ? "ascending" : "descending";
    });
    for (const check of checks) panel.classList.toggle(`with-${check.name}`, check.checked);
  }

  function write() {
    const state = Object.fromEntries([
      ...filters.map((filter) => [filter.name, filter.value]),
      ...checks.map((check) => [check.name, check.checked ? "1" : ""]),
    ]);
    fragment.change(section.view, { ...state, sort: sort ? String(sort) : "" });
  }

  // The buttons are made here, because they need scripts.
  for (const head of heads) {
    head.replaceChildren(element("button", { type: "button", className: "sort" }, head.textContent.trim()));
  }
  rows.forEach((row, i) => {
    const isFirst = row.dataset.set !== rows[i - 1]?.dataset.set;
    for (const cell of row.querySelectorAll("[data-live]")) linkLive(cell, isFirst);
  });

  heads.forEach((head, i) =>
    head.querySelector("button").addEventListener("click", () => {
      const isSorted = Math.abs(sort) === i + 1;
      sort = !isSorted ? i + 1 : sort > 0 ? -sort : 0;
      show();
      write();
      say(sort ? `Sorted by ${head.textContent.trim()}, ${sort > 0 ? "ascending" : "descending"}` : "Not sorted");
    }),
  );
  for (const input of [...filters, ...checks]) {
    input.addEventListener("change", () => {
      show();
      write();
    });
  }
  panel.querySelector(".save").addEventListener("click", async () => {
    // The section's lines of results.csv, unchanged.
    const stream = new Blob([bytesOf(section.csv)]).stream().pipeThrough(new DecompressionStream("gzip"));
    save(await new Response(stream).blob(), `${fileName(section)}.csv`);
  });

  fragment.onRestore(section.view, (params) => {
    for (const filter of filters) {
      const value = params.get(filter.name) ?? "";
      filter.value = [...filter.options].some((option) => option.value === value) ? value : "";
    }
    for (const check of checks) check.checked = params.get(check.name) === "1";
    const wanted = Number(params.get("sort"));
    sort = Number.isInteger(wanted) && Math.abs(wanted) <= heads.length ? wanted : 0;
    show();
  });
}

for (const section of sections) later(() => setUp(section));
