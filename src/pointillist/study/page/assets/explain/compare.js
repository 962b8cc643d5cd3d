/* The last two steps of the explainer, which compare two samplers and two guidance scales. */

const { Duel, chart, data, debounced, evaluationsOf, keyOf, labelsFor, models, percentOf, pool, sections, twoSampleTest } =
  window.pointillist;
/** Numbers of evaluations at which rows are tested. */
const BUDGETS = [3, 5, 8, 12, 20, 32, 50];
const MEASURED_ROWS = 500;

/** Number of sampler steps for a number of evaluations. */
const stepsFor = (sampler, evaluations, { timesteps }) =>
  sampler === "heun"
    ? Math.max(2, Math.floor((evaluations + 1) / 2))
    : Math.max(2, sampler === "dpm" ? evaluations : Math.min(evaluations, timesteps));

class SamplerStep {
  /** @type {string} set by `show` */
  set;
  /** @type {StudyModel[]} models of the set */
  offered = [];
  /** @type {object | undefined} */
  measuring;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.duel = new Duel(root, "sampler");
    this.models = [...root.querySelectorAll("[name=model]")];
    this.samplers = [...root.querySelectorAll("[name=sampler]")];
    this.evaluations = root.querySelector("[name=evaluations]");
    this.output = root.querySelector("output");
    this.readout = root.querySelector(".readout");
    this.chart = root.querySelector(".curve");
    this.keys = root.querySelector(".keys");
    const again = debounced(() => this.#run());
    for (const input of [...this.models, ...this.samplers, this.evaluations]) input.addEventListener("input", again);
    this.evaluations.addEventListener("input", () => (this.output.textContent = this.evaluations.value));
  }

  /** @param {Shown} shown */
  show({ set, model }) {
    const offered = models.of(set);
    // A model that was trained here again keeps its name.
    if (offered.length === this.offered.length && offered.every((each, i) => each === this.offered[i])) return;
    this.set = set;
    this.offered = offered;
    for (const select of this.models) {
      select.replaceChildren(...offered.map(({ id, title }) => new Option(title, id)));
      select.value = model.id;
    }
    this.#run();
  }

  #side(i, evaluations = Number(this.evaluations.value)) {
    const model = models.get(this.models[i].value);
    const sampler = this.samplers[i].value;
    const labels = model.class_embedding ? labelsFor(models.datasets[this.set], 1000, "all") : undefined;
    return { id: model.id, sampler, steps: stepsFor(sampler, evaluations, model), labels };
  }

  async #run() {
    const sides = [0, 1].map((i) => this.#side(i));
    const now = {};
    this.measuring = now;
    pool.stop("measure");
    const ends = (await this.duel.run(sides)).filter((rows) => rows !== null);
    if (this.measuring !== now || ends.length < sides.length) return;
    const { columns } = models.get(sides[0].id);
    const real = models.datasets[this.set].real.subarray(0, MEASURED_ROWS * columns);
    const told = ends.map((rows) => percentOf(twoSampleTest(rows.subarray(0, MEASURED_ROWS * columns), real, columns)));
    const evaluations = sides.map(({ sampler, steps }) => evaluationsOf(sampler, steps));
    this.readout.textContent =
      `A test tells generated rows from real ones in ${told[0]} of all cases after ${evaluations[0]} evaluations on the ` +
      `left, ${told[1]} after ${evaluations[1]} on the right. At 50 % it only guesses.`;
    await this.#measure(now, real, columns);
  }

  /** Tests the rows of both sides at each budget. */
  async #measure(now, real, columns) {
    /** @type {Curve[]} */
    const series = [0, 1].map((i) => {
      const [sampler, model] = [this.samplers[i], this.models[i]].map((select) => select.selectedOptions[0].text);
      const name = this.models[0].value === this.models[1].value ? sampler : `${sampler}, ${model}`;
      return { name, color: i, shape: i, dash: i, points: [] };
    });
    this.keys.replaceChildren(...keyOf(series));
    const draw = () =>
      chart(this.chart, {
        label: `Right answers of the two-sample test against evaluations: ${series.map(({ name }) => name).join(", ")}`,
        x: { range: [2.7, 56], log: true, name: "evaluations of the network per row", ticks: BUDGETS },
        y: { range: [0.42, 1.02], name: "right answers of a test: generated or real?", ticks: [0.5, 0.6, 0.7, 0.8, 0.9, 1] },
        levels: [{ at: 0.5, name: "only guesses" }],
        series,
        marker: Number(this.evaluations.value),
      });
    draw();
    for (const budget of BUDGETS) {
      for (const i of [0, 1]) {
        const side = this.#side(i, budget);
        const labels = side.labels && labelsFor(models.datasets[this.set], MEASURED_ROWS, "all");
        const { variance } = models.get(side.id);
        const rows = await pool.run({ ...side, variance, labels, rows: MEASURED_ROWS, seed: 1 }, undefined, "measure");
        if (!rows || this.measuring !== now) return;
        const { value, error } = twoSampleTest(rows, real, columns);
        series[i].points.push([evaluationsOf(side.sampler, side.steps), value, error]);
      }
      draw();
    }
  }
}

/** The study's accuracy and coverage by guidance scale w. */
function measuredGuidance(set) {
  const section = sections.find(({ kind, chart }) => kind === "classes" && chart.x && chart.xName === "guidance");
  if (!section) return null;
  const { chart } = section;
  const scales = chart.x ?? [];
  const rows = ["accuracy", "coverage"].flatMap(
    (metric) => chart.rows.find((row) => row.metric === metric && row.set === set) ?? [],
  );
  if (!rows.length) return null;
  return {
    most: Math.max(...scales),
    series: rows.map((row, i) => ({
      name: row.metric,
      color: i,
      shape: i,
      dash: i,
      points: scales
        .flatMap((w, k) => {
          const value = row.value[k];
          return value === null ? [] : [[w, value, chart.halfLength * (row.error[k] ?? 0)]];
        })
        .sort((a, b) => a[0] - b[0]),
    })),
  };
}

class GuidanceStep {
  /** @type {string | undefined} set by `show`, like the model */
  set;
  /** @type {StudyModel} */
  model;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.duel = new Duel(root, "guidance");
    this.scales = [...root.querySelectorAll("[name=w]")];
    this.outputs = [...root.querySelectorAll("output")];
    this.classes = root.querySelector("[name=class]");
    this.chart = root.querySelector(".curve");
    this.keys = root.querySelector(".keys");
    this.readout = root.querySelector(".readout");
    const again = debounced(() => this.#run());
    for (const input of [...this.scales, this.classes]) input.addEventListener("input", again);
  }

  /** @param {Shown} shown */
  show({ set: wanted }) {
    // For a set without a conditional model, keep the last set, or take the first that has one.
    const hasOne = (name) => models.conditional(name);
    const set = hasOne(wanted) ? wanted : (this.set ?? Object.keys(models.datasets).find(hasOne));
    const conditional = set && models.conditional(set);
    if (!conditional || (this.set === set && this.model === conditional)) return;
    this.set = set;
    this.model = conditional;
    const classes = Array.from({ length: conditional.n_classes }, (_, k) => new Option(`class ${k}`, String(k)));
    this.classes.replaceChildren(new Option("all classes", "all"), ...classes);
    const measured = measuredGuidance(set);
    this.chart.closest("figure").hidden = !measured;
    if (measured) {
      chart(this.chart, {
        label: `${data.study}: accuracy and coverage against the guidance scale w, ${set}`,
        x: { range: [-0.1, measured.most + 0.1], name: "guidance scale w" },
        y: { range: [0, 1.02], name: "fraction of rows, measured in the study", ticks: [0, 0.25, 0.5, 0.75, 1] },
        series: measured.series,
      });
      this.keys.replaceChildren(...keyOf(measured.series));
    }
    this.#run();
  }

  #run() {
    const labels = labelsFor(models.datasets[this.model.dataset], 1000, this.classes.value);
    const scales = this.scales.map(({ value }) => Number(value));
    scales.forEach((w, i) => (this.outputs[i].textContent = String(w)));
    this.readout.textContent = `${this.set}, ${this.model.title}; 1,000 rows from one noise on both sides.`;
    this.duel.run(scales.map((guidance) => ({ id: this.model.id, sampler: "dpm", steps: 24, labels, guidance })));
  }
}

Object.assign(window.pointillist, { SamplerStep, GuidanceStep });
