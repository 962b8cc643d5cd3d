/* Imputes the missing cells of a pasted table or a file, and shows the result. */

const { byId, element, fillTable, readIncompleteRows } = window.pointillist;
const FIRST_ROWS = 8;
/** Largest number of characters shown in the text field; more would be slow. */
const MOST_SHOWN = 200_000;
/** @type {("dragover" | "dragleave" | "drop")[]} */
const DRAGGING = ["dragover", "dragleave", "drop"];

/**
 * @param {object} page
 * @param {PageContent} page.content
 * @param {(asked: Asked, onPart: (table: DrawnTable, n: number) => void) => Promise<DrawnTable | null>} page.draw
 * @param {() => void} page.stop stops a running imputation
 * @param {(table: DrawnTable | null, name: string) => void} page.save
 * @param {(n: number, noun: string) => string} page.many
 * @param {() => number} page.seed
 * @param {() => number | null} page.label
 */
function setUpFill({ content, draw, stop, save, many, seed, label }) {
  const { columns } = content;
  const [form, field] = [byId("fill"), byId("table-text")];
  /** @type {{text: string, name: string} | null} */
  let held = null;
  /** @type {DrawnTable | null} */
  let filled = null;
  let latest = 0;
  field.placeholder = `${columns.map(({ name }) => name).join(",")}\n…`;

  const say = (text, isWrong = false) => {
    byId("fill-status").textContent = text;
    byId("fill-status").classList.toggle("wrong", isWrong);
  };

  /** Clears the last result, and returns the number of the new run. */
  function begin() {
    stop();
    filled = null;
    byId("filled-csv").disabled = true;
    byId("filled-rows").replaceChildren();
    byId("fill-progress").hidden = true;
    byId("filled-note").hidden = true;
    return ++latest;
  }

  async function take(file) {
    if (!file) return;
    const run = begin();
    let text;
    try {
      text = await file.text();
    } catch {
      if (run === latest) say(`${file.name} cannot be read.`, true);
      return;
    }
    // Another file may have been opened meanwhile.
    if (run !== latest) return;
    const isShown = text.length <= MOST_SHOWN;
    field.value = isShown ? text : "";
    held = isShown ? null : { text, name: file.name };
    if (held) say(`${file.name} is too long to be shown here, and is ready to be filled.`);
    else fill();
  }

  async function fill() {
    const run = begin();
    let incomplete;
    try {
      incomplete = readIncompleteRows(held?.text ?? field.value, content, label());
    } catch (error) {
      say(error.message, true);
      return;
    }
    const start = performance.now();
    const rows = incomplete.texts.length;
    byId("fill-progress").hidden = false;
    byId("fill-progress").value = 0;
    say(`filling ${many(incomplete.missing, "cell")} of ${many(rows, "row")} …`);
    try {
      const made = await draw({ rows, seed: seed(), incomplete }, (_, n) => (byId("fill-progress").value = n / rows));
      if (!made) return;
      filled = made;
      show(made);
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      say(`${many(incomplete.missing, "cell")} of ${many(rows, "row")} filled in ${seconds} s`);
    } catch (error) {
      if (run === latest) {
        stop();
        say(`cannot fill cells here: ${error.message.replace(/^Error: /, "")}`, true);
      }
    } finally {
      if (run === latest) byId("fill-progress").hidden = true;
      byId("filled-csv").disabled = !filled;
    }
  }

  /** @param {DrawnTable} table */
  function show(table) {
    const { order, rows } = table;
    const names = order.map((c) => columns[c].name);
    fillTable(byId("filled-rows"), names, Math.min(FIRST_ROWS, rows), (r, i) => {
      const text = table.text(order[i], r);
      return table.isGiven(r, order[i]) ? text : element("mark", {}, text);
    });
    byId("filled-note").hidden = false;
    const all = rows.toLocaleString("en");
    const first = rows > FIRST_ROWS ? `The first ${FIRST_ROWS} rows; the CSV has all ${all}. ` : "";
    byId("filled-note").textContent = `${first}Marked cells were empty.`;
  }

  field.addEventListener("input", () => (held = null));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    fill();
  });
  const picker = byId("table-file");
  byId("table-open").addEventListener("click", () => picker.click());
  picker.addEventListener("change", () => {
    take(picker.files?.[0]);
    picker.value = "";
  });
  byId("filled-csv").addEventListener("click", () => save(filled, "filled.csv"));
  for (const type of DRAGGING) {
    form.addEventListener(type, (event) => {
      event.preventDefault();
      form.classList.toggle("over", type === "dragover");
      if (type === "drop") take(event.dataTransfer?.files[0]);
    });
  }
}

Object.assign(window.pointillist, { setUpFill });
