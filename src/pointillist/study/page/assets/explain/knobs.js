/* The last step of the explainer: two lanes from one noise, which differ in model, sampler or guidance. */

const { Duel, asCells, chart, codecs, copyFrom, csvField, debounced, evaluationsOf, fragment, keyOf, labelsFor } = window.pointillist;
const { models, percentOf, pool, save, twoSampleTest } = window.pointillist;
/** Fewest and most evaluations. */
const [LEAST, MOST] = [3, 1000];
/** Most steps of each sampler. @type {Record<string, number>} */
const STEPS = { dpm: 100, heun: 50, ddim: 1000, ancestral: 1000 };
const SIDES = ["left", "right"];
/** Numbers of evaluations at which rows are tested. */
const BUDGETS = [3, 5, 8, 12, 20, 32, 50];
const MEASURED_ROWS = 500;

/** Number of sampler steps for a number of evaluations. */
function stepsFor(sampler, evaluations, { timesteps }) {
  const most = sampler in { ddim: 0, ancestral: 0 } ? timesteps : Infinity;
  const steps = sampler === "heun" ? Math.floor((evaluations + 1) / 2) : evaluations;
  return Math.max(2, Math.min(steps, STEPS[sampler], most));
}

class KnobsStep {
  /** @type {string} set by `show` */
  set;
  /** @type {StudyModel[]} models of the set */
  offered = [];
  /** @type {object | undefined} */
  measuring;

  isLinked = false;
  /** Evaluations of the network for a row. */
  n = 20;

  /**
   * @param {HTMLElement} root
   * @param {(set: string) => void} chooseSet
   */
  constructor(root, chooseSet) {
    this.chooseSet = chooseSet;
    this.duel = new Duel(root, "knobs");
    this.models = [...root.querySelectorAll("[name=model]")];
    this.samplers = [...root.querySelectorAll("[name=sampler]")];
    this.scales = [...root.querySelectorAll("[name=w]")];
    this.evaluations = root.querySelector("[name=evaluations]");
    this.readout = root.querySelector(".readout");
    this.chart = root.querySelector(".curve");
    this.keys = root.querySelector(".keys");
    /** @type {HTMLButtonElement[]} */
    this.presets = Array.from(root.querySelectorAll("button[data-preset]"));
    const again = debounced(() => this.#run());
    this.evaluations.addEventListener("input", () => (this.n = Math.round(LEAST * (MOST / LEAST) ** Number(this.evaluations.value))));
    for (const input of [...this.models, ...this.samplers, ...this.scales, this.evaluations])
      input.addEventListener("input", () => (this.#update(), this.#write(), again()));
    root.querySelector("[name=csv]").addEventListener("click", () => this.#save());
    root.querySelector("[name=link]").addEventListener("click", ({ currentTarget }) => {
      this.#write();
      copyFrom(currentTarget, location.href);
    });
    for (const button of this.presets)
      button.addEventListener("click", () => (this.#preset(button.dataset.preset), this.#write()));
  }

  /** @param {Pick<Shown, "set">} shown */
  show({ set }) {
    const offered = models.of(set);
    // A model that was trained here again keeps its name.
    if (offered.length === this.offered.length && offered.every((each, i) => each === this.offered[i])) return;
    this.set = set;
    this.offered = offered;
    for (const select of this.models) select.replaceChildren(...offered.map(({ id, title }) => new Option(title, id)));
    /** @type {Record<string, unknown>} */
    const possible = { sampler: true, schedule: this.#other(), guidance: models.conditional(set) };
    this.presets.forEach((button) => (button.hidden = !possible[button.dataset.preset ?? ""]));
    this.#preset("sampler");
    if (this.isLinked) return;
    this.isLinked = true;
    fragment.onRestore("knobs", (params) => this.#restore(params));
  }

  #write() {
    const params = new URLSearchParams({ evaluations: String(this.n) });
    SIDES.forEach((name, i) => params.set(name, [this.models, this.samplers, this.scales].map((of) => of[i].value).join()));
    fragment.write("knobs", params);
  }

  /** Sets what a link asks for; what it does not name stays. */
  #restore(/** @type {URLSearchParams} */ params) {
    const asked = SIDES.map((name) => (params.get(name) ?? "").split(","));
    const model = models.find(asked[0][0]);
    if (!model) return;
    this.chooseSet(model.dataset);
    asked.forEach((values, i) =>
      [this.models, this.samplers, this.scales].forEach((of, k) => {
        const { options } = /** @type {HTMLSelectElement} */ (of[i]);
        if (values[k] && (!options || [...options].some(({ value }) => value === values[k]))) of[i].value = values[k];
      }),
    );
    this.n = Math.min(MOST, Math.max(LEAST, Math.round(Number(params.get("evaluations"))) || this.n));
    this.#update();
    this.#run();
  }

  /** Saves the rows of the left side, in the units of the table. */
  #save() {
    const { frames, labels, model, ready } = this.duel.stages[0];
    if (ready < 1) return;
    const dataset = models.datasetOf(model);
    const { names, centre, unit } = dataset;
    const { x } = frames[frames.length - 1];
    const cells = codecs.get(dataset)?.decode(x).map((row) => row.map((cell) => (cell === null ? "" : csvField(cell))).join());
    const lines = cells ?? Array.from({ length: x.length / model.columns }, (_, r) => {
      const row = Array.from(unit, (size, c) => x[r * model.columns + c] * size + centre[c]);
      return (labels ? [...row, labels[r]] : row).join();
    });
    const heads = labels ? [...names, "label"] : names;
    save(new Blob([[heads.map(csvField).join(), ...lines, ""].join("\n")], { type: "text/csv" }), `${model.dataset}.csv`);
  }

  /** Another model without classes than the plain one. */
  #other() {
    const plain = models.plain(this.set);
    return this.offered.find((model) => model !== plain && !model.class_embedding);
  }

  /** Lets the lanes differ in one thing: "sampler", "schedule" or "guidance". */
  #preset(name) {
    const plain = models.plain(this.set);
    const other = this.#other() ?? plain;
    const guided = models.conditional(this.set) ?? plain;
    const chosen = name === "guidance" ? [guided, guided] : [plain, name === "sampler" ? plain : other];
    chosen.forEach(({ id }, i) => {
      this.models[i].value = id;
      this.samplers[i].value = name === "sampler" && i ? "ancestral" : "dpm";
      this.scales[i].value = name === "guidance" && i ? "4" : "0";
    });
    this.#update();
    this.#run();
  }

  /** Shows the numbers next to the knobs, and those knobs that the models have. */
  #update() {
    const hasClasses = this.models.map(({ value }) => models.get(value).class_embedding > 0);
    this.scales.forEach((input, i) => (input.closest("label").hidden = !hasClasses[i]));
    for (const input of this.scales) input.closest("label").querySelector("b").textContent = input.value;
    this.evaluations.value = String(Math.log(this.n / LEAST) / Math.log(MOST / LEAST));
    this.evaluations.closest("label").querySelector("b").textContent = String(this.n);
    this.evaluations.setAttribute("aria-valuetext", String(this.n));
  }

  #side(i, evaluations = this.n, rows = 1000) {
    const model = models.get(this.models[i].value);
    const sampler = this.samplers[i].value;
    const isConditional = model.class_embedding > 0;
    const labels = isConditional ? labelsFor(models.datasets[this.set], rows, "all") : undefined;
    const guidance = isConditional ? Number(this.scales[i].value) : 0;
    return { id: model.id, sampler, steps: stepsFor(sampler, evaluations, model), labels, guidance };
  }

  async #run() {
    const sides = [0, 1].map((i) => this.#side(i));
    const now = {};
    this.measuring = now;
    pool.stop("measure");
    this.readout.textContent = "drawing rows …";
    const ends = (await this.duel.run(sides)).filter((rows) => rows !== null);
    if (this.measuring !== now || ends.length < sides.length) return;
    const { columns } = models.get(sides[0].id);
    const evaluations = sides.map(({ sampler, steps }) => evaluationsOf(sampler, steps));
    this.readout.textContent = `1,000 rows on each side: ${evaluations[0]} evaluations on the left, ${evaluations[1]} on the right.`;
    const dataset = models.datasets[this.set];
    const real = asCells(dataset, dataset.real.subarray(0, MEASURED_ROWS * columns), 0);
    await this.#measure(now, dataset, real, columns);
  }

  /** Tests the rows of both sides at the chosen number of evaluations, then at each budget. */
  async #measure(now, dataset, real, columns) {
    const test = async (i, evaluations) => {
      const side = this.#side(i, evaluations, MEASURED_ROWS);
      const { variance } = models.get(side.id);
      const rows = await pool.run({ ...side, variance, rows: MEASURED_ROWS, seed: 1 }, undefined, "measure");
      if (!rows || this.measuring !== now) return null;
      const found = twoSampleTest(asCells(dataset, rows, 0), real, columns);
      return { ...found, evaluations: evaluationsOf(side.sampler, side.steps) };
    };
    const chosen = [await test(0), await test(1)];
    if (!chosen[0] || !chosen[1]) return;
    this.readout.textContent =
      `A test tells generated rows from real ones in ${percentOf(chosen[0])} of all cases after ${chosen[0].evaluations} ` +
      `evaluations on the left, ${percentOf(chosen[1])} after ${chosen[1].evaluations} on the right. At 50 % it only guesses.`;
    /** @type {Curve[]} */
    const series = SIDES.map((name, i) => ({ name, color: i, shape: i, dash: i, points: [] }));
    this.keys.replaceChildren(...keyOf(series));
    for (const budget of [0, ...BUDGETS]) {
      for (const i of budget ? [0, 1] : []) {
        const found = await test(i, budget);
        if (!found) return;
        series[i].points.push([found.evaluations, found.value, found.error]);
      }
      chart(this.chart, {
        label: "Right answers of the two-sample test against evaluations, left and right",
        x: { range: [2.7, 56], log: true, name: "evaluations of the network per row", ticks: BUDGETS },
        y: { range: [0.42, 1.02], name: "right answers of a test: generated or real?", ticks: [0.5, 0.6, 0.7, 0.8, 0.9, 1] },
        levels: [{ at: 0.5, name: "only guesses" }],
        series,
        marker: this.n,
      });
    }
  }
}

Object.assign(window.pointillist, { KnobsStep });
