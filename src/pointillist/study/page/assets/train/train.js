/* Trains a network in the page on drawn points, a file or a data set, and shows its progress. */

const { Pad, Stage, asCells, codecs, copyFrom, datasetOf, element, fillTable, fragment, later, models } = window.pointillist;
const { percentOf, pool, readTable, strayShare, twoSampleTest, unpackNumbers } = window.pointillist;

const TRAINED = "trained here";
const NAME = "yours";
const SETTINGS = { width: 64, depth: 3, batch: 256, rate: 3e-3 };
const TIME_EMBEDDING = 16;
const HELD_OUT = 0.2;
/** Largest number of rows on each side of a test. */
const MEASURED = 400;
const LEAST_POINTS = 30;
/** Steps of a training that is not stopped, and of one on a file: small tables are learned by heart afterwards. */
const [STEPS, FILE_STEPS] = [6000, 4500];
/** Rows of the table. */
const LISTED = 6;

class Trainer {
  /** @type {StudyDataset | null} */
  dataset = null;
  /** @type {string | null} name of a data set of the page */
  set = null;
  /** @type {Progress | null} */
  training = null;
  /** @type {Worker | null} */
  worker = null;
  /** @type {{points: string, set: string, trained: string} | null} of the finished model */
  done = null;

  constructor() {
    const content = JSON.parse(document.getElementById("trainer-content").textContent);
    this.schedule = [content.alpha, content.sigma].map((numbers) => unpackNumbers(numbers, "float32"));
    this.source = document.getElementById("worker-source").textContent;
    this.kernel = pool.kernel;
    const root = document.getElementById("train");
    const [left, right] = root.querySelectorAll("canvas");
    this.pad = new Pad(left, () => this.#padChanged());
    this.ofData = element("canvas", { role: "img", ariaLabel: "The rows to learn from" });
    this.data = new Stage(this.ofData, { show: { real: false }, hasKeys: false });
    left.after(this.ofData);
    this.stage = new Stage(right, { channel: "train", rows: MEASURED });
    this.list = root.querySelector("table");
    this.rows = root.querySelector("[role=region]");
    this.choice = root.querySelector("[name=source]");
    this.button = root.querySelector(".start");
    this.clear = root.querySelector(".clear");
    this.file = root.querySelector("input[type=file]");
    this.readout = root.querySelector(".readout");
    this.doneNote = root.querySelector(".done");
    const link = this.doneNote.querySelector("button");
    link.addEventListener("click", () => {
      if (!this.recipe) this.say("A model of your file has no link: its rows stay in this page.");
      else {
        fragment.write("train", new URLSearchParams(Object.entries(this.recipe).filter(([, value]) => value)));
        copyFrom(link, location.href);
      }
    });
    const sets = Object.keys(models.datasets).map((name) => new Option(`the set ${name}`, name));
    this.choice.replaceChildren(new Option("points that you draw", "draw"), new Option("a CSV file", "csv"), ...sets);
    this.choice.addEventListener("change", () => this.choose(this.choice.value));
    this.button.addEventListener("click", () => (this.worker ? this.stop() : this.start()));
    this.clear.addEventListener("click", () => {
      this.pad.text = "";
      this.choose("draw");
    });
    this.file.addEventListener("change", () => {
      this.#read(this.file.files?.[0]);
      // The same file may be chosen again.
      this.file.value = "";
    });
    root.addEventListener("dragover", (event) => event.preventDefault());
    root.addEventListener("drop", (event) => {
      event.preventDefault();
      this.#read(event.dataTransfer?.files[0]);
    });
    this.choose("draw");
    fragment.onRestore("train", (params) => this.restore(params));
  }

  say(text, isWrong = false) {
    this.readout.textContent = text;
    this.readout.classList.toggle("wrong", isWrong);
  }

  /** What a link needs to train the finished model again; null for a file's, which stays here. */
  get recipe() {
    const { done } = this;
    return done && (done.points || done.set) ? done : null;
  }

  /**
   * Trains a link's model again, unless it is the one that is here.
   * @param {URLSearchParams} params
   */
  restore(params) {
    const [points, set, steps] = ["points", "set", "trained"].map((name) => params.get(name) ?? "");
    if (!steps || !(points || Object.hasOwn(models.datasets, set))) return;
    if (this.done?.points === points && this.done.set === set) return;
    try {
      this.choose(points ? "draw" : set);
      if (points) this.pad.text = points;
    } catch {
      return;
    }
    this.start(Math.min(STEPS, Number(steps) || STEPS));
  }

  /** @param {string} source "draw", "csv" or the name of a set */
  choose(source) {
    this.#end();
    this.training = null;
    this.choice.value = source;
    this.doneNote.hidden = this.rows.hidden = true;
    this.stage.scene.setRows(new Float32Array());
    const isDrawn = source === "draw";
    this.pad.isOpen = this.ofData.hidden = isDrawn;
    this.pad.canvas.hidden = this.clear.hidden = !isDrawn;
    this.file.closest("label").hidden = source !== "csv";
    this.dataset = null;
    if (isDrawn) {
      this.pad.draw();
      this.#padChanged();
    } else if (source === "csv") {
      this.#show(null);
      this.say("Choose a CSV file, or drop one here: two to eight columns of numbers or words, at most 2,000 rows.");
    } else this.#show(models.datasets[source], source);
  }

  #padChanged() {
    const count = this.pad.points.length;
    this.button.disabled = count < LEAST_POINTS;
    const howTo = "Draw some points on the empty picture, with a mouse or a finger, or choose something else to learn from.";
    this.say(count ? `${count.toLocaleString("en")} points` : howTo);
  }

  /** @param {File | undefined} file */
  async #read(file) {
    if (!file) return;
    this.choose("csv");
    try {
      this.#show(readTable(await file.text()).dataset);
    } catch (error) {
      this.say(error.message, true);
    }
  }

  /** Shows the training rows. */
  #show(/** @type {StudyDataset | null} */ dataset, /** @type {string | null} */ set = null) {
    this.dataset = dataset;
    this.set = set;
    this.button.disabled = !dataset;
    this.ofData.hidden = !dataset;
    if (!dataset) return;
    const { codec, columns } = this.#sizesOf(dataset);
    this.data.scene.setDataset(dataset, columns);
    this.data.scene.setRows(dataset.real, undefined, codec?.colors(codec.cells) ?? null);
    const seen = dataset.names.length > dataset.axes.length ? `; the picture shows ${dataset.axes.join(" and ")}` : "";
    const gaps = codec?.cells.flat().filter((cell) => cell === null).length;
    const missing = gaps ? `; ${gaps.toLocaleString("en")} missing cells, which are learned too` : "";
    this.say(`${(dataset.real.length / columns).toLocaleString("en")} rows of ${dataset.names.length} columns${seen}${missing}`);
  }

  /** How a table from a file is encoded, and the number of columns that the network sees. */
  #sizesOf(/** @type {StudyDataset} */ dataset) {
    return { codec: codecs.get(dataset), columns: dataset.origin.length };
  }

  start(steps = this.dataset && codecs.has(this.dataset) ? FILE_STEPS : STEPS) {
    if (this.pad.isOpen) this.dataset = datasetOf(this.pad.points, ["x", "y"], { together: true });
    const { dataset } = this;
    if (!dataset) return;
    const { codec, columns } = this.#sizesOf(dataset);
    const [held, rest] = split(asCells(dataset, dataset.real, 0), columns);
    const learned = codec ? codec.learned(codec.decode(rest)) : rest;
    const model = {
      id: TRAINED,
      dataset: NAME,
      title: "trained here",
      network: "mlp",
      prediction: "edm",
      columns,
      n_classes: 0,
      time_embedding: TIME_EMBEDDING,
      class_embedding: 0,
      variance: "posterior",
      hidden: Array.from({ length: SETTINGS.depth }, (_, i) => `hidden.${i}`),
      sigma_data: rootMeanSquares(learned, columns),
      alpha: this.schedule[0],
      sigma: this.schedule[1],
    };
    /** @type {Progress} */
    const training = {
      model,
      dataset,
      held: held.subarray(0, MEASURED * columns),
      rest,
      scores: [],
      begin: performance.now(),
      isMeasuring: false,
      points: this.pad.isOpen ? this.pad.text : "",
      set: this.set ?? "",
    };
    this.training = training;
    this.button.textContent = "Stop";
    this.doneNote.hidden = true;
    // A separate worker trains, because the others draw the model's rows meanwhile.
    const worker = new Worker(URL.createObjectURL(new Blob([this.source], { type: "text/javascript" })));
    this.worker = worker;
    worker.onmessage = ({ data }) => {
      if (data.error) {
        this.#end();
        this.say(`cannot train here: ${data.error}`);
      } else if (data.progress && training === this.training) this.#report(training, data);
    };
    this.kernel.then((compiled) => {
      const settings = { ...SETTINGS, seed: 0 };
      worker.postMessage({ call: 0, type: "train", model, settings, data: learned, kernel: compiled, steps });
    });
    this.say("starting …");
  }

  stop() {
    this.worker?.postMessage({ call: 1, type: "stopTraining" });
  }

  #end() {
    this.worker?.terminate();
    this.worker = null;
    this.button.textContent = "Train";
  }

  /**
   * @param {Progress} training
   * @param {{step: number, tensors: Tensors, isDone: boolean}} message
   */
  async #report(training, { step, tensors, isDone }) {
    const seconds = (performance.now() - training.begin) / 1000;
    if (isDone) this.#end();
    // Skip reports while rows are drawn, except the last.
    if (training.isMeasuring && !isDone) return;
    training.isMeasuring = true;
    const model = { ...training.model, tensors };
    if (isDone) {
      this.done = { points: training.points, set: training.set, trained: String(step) };
      models.add(model, training.dataset);
      this.doneNote.hidden = false;
    } else models.preview(model, training.dataset);
    const drawn = await this.stage.run({ id: TRAINED, sampler: "dpm", steps: 20, seed: 2 });
    training.isMeasuring = false;
    if (!drawn || training !== this.training) return;
    this.#picture(training.dataset, drawn);
    const rows = asCells(training.dataset, drawn, 0);
    const score = twoSampleTest(rows, training.held, model.columns);
    const stray = Math.round(100 * strayShare(rows, training.held, training.rest, model.columns));
    training.scores.push([seconds, score.value]);
    this.say(
      `${isDone ? "Done: " : ""}${step.toLocaleString("en")} steps in ${seconds.toFixed(1)} s. A test tells its rows from ` +
        `held-out ones in ${percentOf(score)} of all cases; at 50 % it only guesses. ${stray} % of its rows lie off the data.`,
    );
  }

  /** Shows drawn rows: as points, and those of a table as cells. */
  #picture(/** @type {StudyDataset} */ dataset, /** @type {Float32Array} */ drawn) {
    const codec = codecs.get(dataset);
    const cells = codec?.decode(drawn) ?? [];
    this.stage.scene.setRows(asCells(dataset, drawn, NaN), undefined, codec?.colors(cells) ?? null);
    this.rows.hidden = !codec;
    if (codec) fillTable(this.list, codec.names, LISTED, (r, c) => cells[r][c] ?? "missing");
  }
}

/** Splits rows into held-out and training rows, deterministically. */
function split(rows, columns) {
  const n = rows.length / columns;
  /** @type {[number[], number[]]} */
  const parts = [[], []];
  // Multiples of the golden ratio: evenly spread, whatever the rows' order.
  for (let r = 0; r < n; r++)
    parts[(r * 0.618034) % 1 < HELD_OUT ? 0 : 1].push(...rows.subarray(r * columns, (r + 1) * columns));
  return parts.map((part) => Float32Array.from(part));
}

function rootMeanSquares(rows, columns) {
  const sums = new Float64Array(columns);
  rows.forEach((value, i) => (sums[i % columns] += value * value));
  return Array.from(sums, (sum) => Math.sqrt((sum * columns) / rows.length) || 1);
}

later(() => Object.assign(window.pointillist, { trainer: new Trainer() }));
