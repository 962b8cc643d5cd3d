/* A model's page: reads the form, draws rows, and shows them. */

(async () => {
  const { Workers, Table, columnOf, drawnLabels, histogram, pair, gridOf, unmet, shown, MOST_POINTS } = window.pointillist;
  const { Conditions, byId, element, fillTable, filtered, givenCell, guess, inRanges, knownRow, save, setUpFill, textIn, withNumbers } =
    window.pointillist;
  const MOST_ROWS = 1_000_000;
  const MOST_MARGINALS = 48;
  const FIRST_ROWS = 8;
  /** @type {Record<string, [down: number, right: number]>} */
  const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

  /** @type {PageContent} */
  const content = JSON.parse(byId("content").textContent);
  [content.pairs, ...content.columns] = await withNumbers([content.pairs, ...content.columns], content.numbers);
  content.columns = content.columns.map((column) => columnOf(column, content));
  const { columns, classes, model } = content;
  const workers = new Workers(await textIn("worker-source"), content.kernel, [model]);

  const many = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

  /** Number of the last run of each kind. */
  const latest = { draw: 0, fill: 0, start: 0 };
  /** @type {DrawnTable | null} */
  let table = null;
  let ready = 0;
  /** @type {{row: number, column: number} | null} the cell that is guessed */
  let hidden = null;
  /** @type {{row: number, column: number} | null} the cell at which the tab key stops */
  let tabbed = null;
  /** Whether the rows were drawn without conditions. */
  let areUnconditional = true;

  /** Whether conditions need weighted candidates: one on a single token is drawn exactly. */
  const needsCandidates = (/** @type {Asked} */ { ranges, conditions }) =>
    Boolean(ranges?.length || conditions?.[1] || conditions?.[0]?.ranges);

  /**
   * Draws rows in chunks that workers take in turn.
   * @param {Asked} asked
   * @param {(table: DrawnTable, n: number) => void} onPart called with the number of finished rows, counted from the
   *   first
   * @returns {Promise<DrawnTable | null>} null if another run has begun
   */
  async function draw(asked, onPart = () => {}) {
    const { rows, seed, label = null, guidance = 0, prior, given = [], incomplete, conditions = [], ranges = [] } = asked;
    const kind = incomplete ? "fill" : "draw";
    const run = ++latest[kind];
    await workers.load(model.id);
    const made = new Table(content, rows, { given, incomplete, conditions, ranges });
    /** @type {Int32Array | undefined} */
    let labels;
    if (incomplete) labels = incomplete.labels ?? undefined;
    else if (label !== null) labels = new Int32Array(rows).fill(label);
    else if (classes?.are_drawn && !given.length && !ranges.length) labels = drawnLabels(classes.counts, rows, seed);
    const { chunk, width } = model;
    const row = knownRow(given, content);
    const isWanted = () => run === latest[kind];
    const put = (first, drawn) => {
      if (!drawn.every(Number.isFinite)) throw new Error("some are not numbers; guidance may be too strong");
      made.fill(first, drawn, labels?.subarray(first));
    };
    if (needsCandidates(asked)) {
      const message = { type: "population", id: model.id, seed, label, guidance, known: row, ranges, conditions };
      made.effective = await inRanges(workers, model.ranges, width, rows, message, isWanted, (first, drawn) => {
        put(first, drawn);
        onPart(made, first + drawn.length / width);
      });
      return isWanted() ? made : null;
    }
    const done = new Set();
    let [next, whole] = [0, 0];
    const work = async (worker) => {
      while (next < rows && isWanted()) {
        const first = next;
        next += chunk;
        const { drawn } = await workers.call(worker, {
          type: "draw",
          id: model.id,
          seed,
          firstRow: first,
          rows: Math.min(chunk, rows - first),
          labels: labels?.slice(first, next),
          conditions,
          guidance,
          isFilling: Boolean(incomplete),
          prior: prior?.slice(first * width, (first + chunk) * width),
          known: incomplete?.known.slice(first * width, (first + chunk) * width) ?? row,
        });
        if (!isWanted()) return;
        put(first, drawn);
        done.add(first);
        for (; done.has(whole); whole += chunk) done.delete(whole);
        onPart(made, Math.min(whole, rows));
      }
    };
    await Promise.all(workers.workers.map(work));
    return isWanted() ? made : null;
  }

  const say = (text) => {
    byId("status").textContent = text;
    byId("status").classList.remove("wrong");
  };

  function setBusy(isBusy) {
    byId("draw").textContent = isBusy ? "Stop" : "Draw rows";
    byId("progress").hidden = !isBusy;
    byId("csv").disabled = isBusy || !table;
    byId("draw").dataset.busy = isBusy ? "1" : "";
    // A run can be stopped whatever the fields contain.
    byId("draw").formNoValidate = isBusy;
  }

  /** @param {"rows" | "seed"} id */
  const whole = (id, most) => Math.min(most, Math.max(Number(byId(id).min), Math.floor(Number(byId(id).value)) || 0));

  const conditions = new Conditions(content);
  const guided = byId("guided");

  /** @type {{column: PageColumn, read: () => number | null}[]} fields of observed cells */
  const givenCells = [];

  /** The index of the class that is chosen. */
  function chosenClass() {
    const chosen = byId("class")?.value ?? "all";
    return chosen === "all" ? null : Number(chosen);
  }

  /** @returns {Asked} */
  function asked() {
    const label = chosenClass();
    /** @type {[number, number][]} */
    const given = [];
    /** @type {Wish[]} */
    const wishes = columns.flatMap((column) => (column.kind === "label" && label !== null ? { column, values: [label] } : []));
    for (const { column, read } of givenCells) {
      const value = read();
      if (value === null) continue;
      given.push([column.slot, value]);
      wishes.push({ column, values: [value] });
    }
    const restricted = conditions.asked(given);
    if ((given.length || restricted?.ranges?.length) && classes?.are_drawn && label === null) {
      throw new Error(`classes are not known before the ${given.length ? "given cells" : "ranges"}: choose one`);
    }
    byId("rows").value = String(whole("rows", MOST_ROWS));
    byId("seed").value = String(whole("seed", 2 ** 32 - 1));
    return {
      rows: Number(byId("rows").value),
      seed: Number(byId("seed").value),
      label,
      given,
      ...restricted,
      wishes: [...wishes, ...(restricted?.wishes ?? [])],
      guidance: guided && !guided.hidden ? Number(byId("guidance").value) : 0,
    };
  }

  async function start() {
    const begin = performance.now();
    let choices;
    try {
      choices = asked();
    } catch (error) {
      say(error.message);
      return;
    }
    keepInAddress();
    [table, ready] = [null, 0];
    const { given, label, ranges, conditions: limits } = choices;
    areUnconditional = label === null && !given?.length && !ranges?.length && !limits?.length;
    hidden = null;
    if (byId("guess")) byId("guess").hidden = true;
    setBusy(true);
    byId("progress").value = 0;
    say(`drawing ${many(choices.rows, "row")} …`);
    let drawnAt = 0;
    const run = ++latest.start;
    const onPart = (share) => (byId("progress").value = share);
    try {
      const few = needsCandidates(choices) ? await filtered(content, draw, choices, onPart) : undefined;
      const made = few !== undefined ? few : await draw(choices, (made, n) => {
        byId("progress").value = n / choices.rows;
        if (n && performance.now() - drawnAt > 400) {
          [table, ready] = [made, n];
          show();
          drawnAt = performance.now();
        }
      });
      if (!made) return;
      [table, ready] = [made, choices.rows];
      const seconds = (performance.now() - begin) / 1000;
      const by = many(workers.workers.length, "worker");
      const size = made.effective && Math.round(made.effective).toLocaleString("en");
      const effective = size ? `; effective sample size ${size}` : "";
      const names = unmet(content.pairs, columns, choices.wishes ?? []);
      const guessed = `. No counted training row has ${names.length > 1 ? "both " : ""}${names.join(" and ")} like this: the rows are a guess.`;
      say(`${many(choices.rows, "row")} in ${seconds.toFixed(1)} s, by ${by}${effective}${names.length ? guessed : ""}`);
      byId("status").classList.toggle("wrong", names.length > 0);
    } catch (error) {
      // Another draw may have begun.
      if (latest.start !== run) return;
      latest.draw++;
      // Some rows may have been shown already.
      [table, ready] = [null, 0];
      byId("rows-drawn").hidden = true;
      say(`cannot draw rows here: ${error.message.replace(/^Error: /, "")}`);
    }
    setBusy(false);
    show();
  }

  function stop() {
    latest.draw++;
    latest.start++;
    [table, ready] = [null, 0];
    byId("rows-drawn").hidden = true;
    setBusy(false);
    say("Stopped.");
  }

  /* What is shown. */

  /** @type {{i: number, canvas: HTMLCanvasElement, note: HTMLElement}[]} */
  const marginals = [];
  const axes = [byId("x"), byId("y")];

  function setUpPictures() {
    for (const [i, column] of columns.slice(0, MOST_MARGINALS).entries()) {
      const canvas = element("canvas", { role: "img", ariaLabel: `Histogram of ${column.name}` });
      const note = element("small");
      byId("marginals").append(element("figure", {}, element("b", {}, column.name), canvas, note));
      marginals.push({ i, canvas, note });
    }
    byId("more").hidden = columns.length <= MOST_MARGINALS;
    const options = () => columns.map((column, i) => new Option(column.name, String(i)));
    byId("x").replaceChildren(...options());
    byId("y").replaceChildren(...options());
    // The two columns of numbers that depend on each other most come first.
    const numbers = columns.filter(({ nominal }) => !nominal);
    const grids = numbers.flatMap((x, i) =>
      numbers.slice(i + 1).map((y) => ({ x, y, dependence: gridOf(content.pairs, x, y)?.dependence ?? 0 })),
    );
    const first = grids.sort((a, b) => b.dependence - a.dependence)[0] ?? { x: columns[0], y: columns[columns.length - 1] };
    [byId("x").value, byId("y").value] = [first.x, first.y].map((column) => String(columns.indexOf(column)));
    byId("pair").hidden = columns.length < 2;
    for (const axis of axes) axis.addEventListener("change", show);
    new ResizeObserver(() => show()).observe(byId("marginals"));
    document.addEventListener("pointillist:theme", show);
  }

  /** Number of finished rows with a value, and their mean and standard deviation. */
  function moments(values) {
    let [n, mean, squares] = [0, 0, 0];
    for (let r = 0; r < ready; r++) {
      if (Number.isNaN(values[r])) continue;
      const shift = values[r] - mean;
      mean += shift / ++n;
      squares += shift * (values[r] - mean);
    }
    return [n, mean, Math.sqrt(squares / n)];
  }

  const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

  /** Origin of the columns' ranges. */
  const spanned = content.privacy ? "domain" : "data";

  /** @param {DrawnColumn} column */
  function remark({ values, nominal, format, ...column }) {
    const [n, mean, deviation] = moments(values);
    const missing = n < ready ? `; ${percent(1 - n / ready)} missing` : "";
    if (nominal) {
      const counts = new Uint32Array(nominal.length);
      for (let r = 0; r < ready; r++) counts[values[r]]++;
      const most = counts.indexOf(Math.max(...counts));
      return `${percent(counts[most] / ready)} ${nominal[most]}${missing}`;
    }
    if (format === "day" || format === "time") {
      return `${spanned} from ${column.write(column.minimum)} to ${column.write(column.maximum)}${missing}`;
    }
    const known = column.is_standard ? ` (data: ${shown(column.centre)} ± ${shown(column.unit)})` : "";
    const summary = n ? `${shown(mean)} ± ${shown(deviation)}${known}; ` : "";
    return `${summary}${spanned} from ${shown(column.minimum)} to ${shown(column.maximum)}${missing}`;
  }

  /** Describes the overlap of drawn rows and training rows in a pair of columns. */
  function comparison(grid, x, y) {
    const overlap = areUnconditional && grid.overlap(x, y, ready);
    if (!overlap) return "Shaded: the training rows.";
    const [found, expected] = overlap.map((share) => `${Math.round(100 * share)}\u00a0%`);
    const both = `Cell by cell, the two overlap by ${found} (rows of the same distribution: by about ${expected}).`;
    return `Shaded: the training rows. ${both}`;
  }

  function show() {
    const drawn = table;
    if (!drawn || !ready) return;
    byId("rows-drawn").hidden = false;
    for (const { i, canvas, note } of marginals) {
      histogram(canvas, drawn.columns[i], ready);
      note.textContent = remark(drawn.columns[i]);
    }
    if (columns.length > 1) {
      const label = drawn.columns.find(({ kind, slot }) => kind === "label" || slot === (model.guided ?? -1));
      const [x, y] = axes.map(({ value }) => drawn.columns[Number(value)]);
      const grid = gridOf(content.pairs, x, y);
      pair(byId("scatter"), x, y, label, ready, grid);
      const n = Math.min(ready, MOST_POINTS);
      const points = `${n < ready ? "The first " : ""}${many(n, "row")}${label ? "; color: the class" : ""}.`;
      byId("scatter-note").textContent = `${points}${grid ? ` ${comparison(grid, x, y)}` : ""}`;
    }
    const names = columns.map(({ name }) => name);
    const listed = Math.min(FIRST_ROWS, ready);
    if (tabbed && tabbed.row >= listed) tabbed = null;
    fillTable(byId("first-rows"), names.map(headOf), listed, (r, c) => {
      const text = hidden?.row === r && hidden.column === c ? "?" : drawn.text(c, r);
      if (!content.can_fill || !columns[c].can_be_given) return text;
      // Of all cells, the tab key stops at one; arrow keys reach the others.
      tabbed ??= { row: r, column: c };
      const tabIndex = tabbed.row === r && tabbed.column === c ? 0 : -1;
      const button = element("button", { type: "button", tabIndex, ariaLabel: `${names[c]}: ${text || "missing"}` }, text);
      button.addEventListener("click", () => hide(drawn, r, c));
      button.addEventListener("keydown", (event) => {
        const [down, right] = ARROWS[event.key] ?? [0, 0];
        if (!down && !right) return;
        event.preventDefault();
        for (let k = 1; cellAt(r + k * down, c + k * right); k++) if (stopAt(r + k * down, c + k * right)) return;
      });
      return button;
    });
  }

  const cellAt = (row, column) => byId("first-rows").tBodies[0].rows[row]?.cells[column];

  /** Moves the focus to a cell; returns false if it cannot be hidden. */
  function stopAt(row, column) {
    const button = cellAt(row, column)?.querySelector("button");
    if (!button) return false;
    const before = tabbed && cellAt(tabbed.row, tabbed.column)?.querySelector("button");
    if (before) before.tabIndex = -1;
    tabbed = { row, column };
    button.tabIndex = 0;
    button.focus();
    return true;
  }

  /** The name of a column, which adds a condition on it. */
  function headOf(name) {
    if (!conditions.some.some((column) => column.name === name)) return name;
    const button = element("button", { type: "button", title: `Add a condition on ${name}` }, name);
    button.addEventListener("click", () => {
      byId("given")?.setAttribute("open", "");
      conditions.add(name)?.querySelector("input")?.focus();
    });
    return button;
  }

  /** Hides a cell of a finished table, and lets the model guess it; another click shows it again. */
  function hide(drawn, row, column) {
    if (byId("draw").dataset.busy) return;
    const isSame = hidden !== null && hidden.row === row && hidden.column === column;
    hidden = isSame ? null : { row, column };
    byId("guess").hidden = isSame;
    show();
    stopAt(row, column);
    if (!isSame) guess(drawn, row, column, draw).catch(({ message }) => (byId("guess-note").textContent = message));
  }

  const saveTable = async (table, name) => table && save(await table.csv(), name);

  /** Keeps what the form asks for in the address, so that a link asks for it again. */
  function keepInAddress() {
    const filled = [...new FormData(byId("form"))].filter(([name, value]) => value !== "" || name.startsWith("in."));
    // A page that is opened from some places may not change its address.
    try {
      history.replaceState(null, "", `#${new URLSearchParams(/** @type {[string, string][]} */ (filled))}`);
    } catch {}
  }

  function restoreFromAddress() {
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const name of asked.keys()) conditions.add(/^(?:from|to|in)\.(.*)$/s.exec(name)?.[1]);
    /** @type {NodeListOf<HTMLInputElement>} */
    const fields = byId("form").querySelectorAll("[name]");
    for (const field of fields) {
      const value = asked.get(field.name);
      if (value === null) continue;
      if (field.type === "checkbox") field.checked = asked.getAll(field.name).includes(field.value);
      else if (!field.matches("select") || field.querySelector(`option[value="${CSS.escape(value)}"]`)) field.value = value;
    }
    byId("given")?.toggleAttribute("open", [...asked.keys()].some((name) => name.includes(".")));
  }

  function setUpControls() {
    if (classes) {
      const all = classes.are_drawn ? "all, in the data's shares" : "not chosen";
      const each = classes.labels.map((label, i) => new Option(String(label), String(i)));
      byId("class")?.replaceChildren(new Option(all, "all"), ...each);
    }
    for (const column of columns.filter((each) => each.can_be_given)) {
      const { field, read } = givenCell(column);
      byId("given-cells").append(element("label", {}, column.name, field));
      givenCells.push({ column, read });
    }
    restoreFromAddress();
    const form = byId("given");
    if (form) form.hidden = !givenCells.length && !conditions.some.length;
    const isGuided = ({ column, read }) => column.slot === model.guided && read() !== null;
    if (guided) {
      const update = () => {
        guided.hidden = !givenCells.some(isGuided) && !(classes?.can_guide && chosenClass() !== null);
        byId("guidance-value").textContent = byId("guidance").value;
      };
      byId("form").addEventListener("input", update);
      update();
    }
    byId("form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (byId("draw").dataset.busy) stop();
      else start();
    });
    byId("csv").addEventListener("click", () => saveTable(table, "rows.csv"));
  }

  setUpControls();
  setUpPictures();
  const seed = () => whole("seed", 2 ** 32 - 1);
  if (content.can_fill) setUpFill({ content, draw, stop: () => latest.fill++, save: saveTable, many, seed, label: chosenClass });
  Object.assign(window.pointillist, { draw, workers, content });
  start();
})();
