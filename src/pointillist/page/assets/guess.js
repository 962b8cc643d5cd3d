/* Hides a cell of a shown row, and shows what the model expects there, given the rest of the row. */

const { byId, histogram } = window.pointillist;
const GUESSES = 200;

/**
 * What guesses of a cell say, in words.
 * @param {DrawnColumn} column
 */
function summaryOf({ values, nominal, write }) {
  const percent = (n) => `${Math.round((100 * n) / values.length)} %`;
  const present = values.filter((value) => !Number.isNaN(value)).sort();
  const missing = present.length < values.length ? `, missing ${percent(values.length - present.length)}` : "";
  if (!nominal) {
    const [low, middle, high] = [0.05, 0.5, 0.95].map((share) => write(present[Math.floor(share * present.length)] ?? NaN));
    return `${middle}, in nine of ten cases from ${low} to ${high}${missing}`;
  }
  const counts = nominal.map((name, i) => ({ name, n: present.filter((value) => value === i).length }));
  const most = counts.sort((a, b) => b.n - a.n).filter(({ n }, i) => n && i < 3);
  return most.map(({ name, n }) => `${name} ${percent(n)}`).join(", ") + missing;
}

/**
 * Shows the distribution of a cell given the other cells of its row.
 * @param {DrawnTable} table
 * @param {(asked: Asked) => Promise<DrawnTable | null>} draw
 */
async function guess(table, row, column, draw) {
  const { name } = table.columns[column];
  const say = (text) => (byId("guess-note").textContent = text);
  byId("guess").hidden = false;
  say(`Guessing ${name} from the rest of the row …`);
  /** @type {[number, number][]} */
  const given = table.columns.flatMap(({ can_be_given: canBe, slot, values }, c) =>
    canBe && c !== column ? [[slot, values[row]]] : [],
  );
  const label = table.columns.find(({ kind }) => kind === "label")?.values[row] ?? null;
  const made = await draw({ rows: GUESSES, seed: 1, label, given });
  if (!made) return;
  histogram(byId("guess-picture"), made.columns[column], GUESSES);
  say(`${name}, guessed from the rest of the row: ${summaryOf(made.columns[column])}. The row has ${table.text(column, row) || "none"}.`);
}

Object.assign(window.pointillist, { guess });
