/* Tables with gaps: from a field or a file to a table without, and what is shown of it. */

const { byId, element, fillTable, readGaps } = window.pointillist;
const FIRST_ROWS = 8;
/** A field of more characters is slow. */
const MOST_SHOWN = 200_000;
/** @type {("dragover" | "dragleave" | "drop")[]} */
const DRAGGING = ["dragover", "dragleave", "drop"];

/**
 * @param {object} page parts of it
 * @param {PageContent} page.content
 * @param {(asked: Asked, onPart: (table: DrawnTable, n: number) => void) => Promise<DrawnTable | null>} page.draw
 * @param {() => void} page.stop ends a filling that goes on
 * @param {(table: DrawnTable | null, name: string) => void} page.save
 * @param {(n: number, noun: string) => string} page.many
 * @param {() => number} page.seed
 * @param {() => number | null} page.label
 */
function setUpFill({ content, draw, stop, save, many, seed, label }) {
  const { columns } = content;
  const [form, field] = [byId("fill"), byId("gaps")];
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

  /** Makes way for what is asked now, which may be wrong; gives its number. */
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
    // Another table may have been given meanwhile.
    if (run !== latest) return;
    const isShown = text.length <= MOST_SHOWN;
    field.value = isShown ? text : "";
    held = isShown ? null : { text, name: file.name };
    if (held) say(`${file.name} is too long to be shown here, and is ready to be filled.`);
    else fill();
  }

  async function fill() {
    const run = begin();
    let gaps;
    try {
      gaps = readGaps(held?.text ?? field.value, content, label());
    } catch (error) {
      say(error.message, true);
      return;
    }
    const start = performance.now();
    const rows = gaps.texts.length;
    byId("fill-progress").hidden = false;
    byId("fill-progress").value = 0;
    say(`filling ${many(gaps.gaps, "cell")} of ${many(rows, "row")} …`);
    try {
      const made = await draw({ rows, seed: seed(), gaps }, (_, n) => (byId("fill-progress").value = n / rows));
      if (!made) return;
      filled = made;
      show(made);
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      say(`${many(gaps.gaps, "cell")} of ${many(rows, "row")} filled in ${seconds} s`);
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
  const picker = byId("gaps-file");
  byId("gaps-open").addEventListener("click", () => picker.click());
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
