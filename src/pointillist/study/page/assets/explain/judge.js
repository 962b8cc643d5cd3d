/* Real or invented? The visitor finds the real rows in several rounds; then a classifier tries. */

const { Stage, asCells, labelsFor, models, percentOf, pool, twoSampleTest } = window.pointillist;
const [SHOWN, ROUNDS, TESTED] = [150, 5, 500];

class JudgeStep {
  /** @type {StudyModel} set by `show`, like the next two */
  model;
  /** @type {Float32Array[]} real and generated rows */
  rows;
  /** @type {number} the side of the real rows: 0 or 1 */
  answer;
  round = 0;
  right = 0;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.readout = root.querySelector(".readout");
    this.scenes = [...root.querySelectorAll("canvas")].map(
      (canvas) => new Stage(canvas, { show: { real: false }, hasKeys: false, onPick: () => {} }).scene,
    );
    [...root.querySelectorAll(".buttons button")].forEach((button, side) =>
      button.addEventListener("click", () => this.rows && this.#judge(side)),
    );
  }

  /** @param {Pick<Shown, "model" | "dataset">} shown */
  async show({ model, dataset }) {
    if (this.model === model) return;
    this.model = model;
    const labels = model.class_embedding ? labelsFor(dataset, 1000, "all") : undefined;
    const asked = { id: model.id, sampler: "dpm", steps: 20, variance: model.variance, seed: 5, rows: 1000, labels };
    const rows = await pool.run(asked, undefined, "judge");
    if (!rows || this.model !== model) return;
    this.rows = [dataset.real, asCells(dataset, rows, NaN)];
    this.#deal("");
  }

  /** Shows other rows, real ones on either side. */
  #deal(before) {
    const { columns } = this.model;
    this.answer = Number(Math.random() < 0.5);
    this.scenes.forEach((scene, side) => {
      const rows = this.rows[side === this.answer ? 0 : 1];
      const first = this.round * SHOWN * columns;
      scene.setDataset(models.datasetOf(this.model), columns);
      scene.setRows(Float32Array.from({ length: SHOWN * columns }, (_, i) => rows[(first + i) % rows.length]));
    });
    this.readout.textContent = `${before}Round ${this.round + 1} of ${ROUNDS}: which side is real?`;
  }

  #judge(side) {
    const isRight = side === this.answer;
    this.right += Number(isRight);
    const said = `${isRight ? "Correct" : "Wrong"}: the ${["left", "right"][this.answer]} one was real. `;
    if (++this.round < ROUNDS) {
      this.#deal(said);
      return;
    }
    const { columns } = this.model;
    const [real, rows] = this.rows.map((each) => asCells(models.datasetOf(this.model), each.subarray(0, TESTED * columns), 0));
    const score = percentOf(twoSampleTest(rows, real, columns));
    const summary = `You were right in ${this.right} of ${ROUNDS} rounds. A test that sees single rows is right in ${score} of all cases. `;
    [this.round, this.right] = [0, 0];
    this.#deal(`${said}${summary}`);
  }
}

Object.assign(window.pointillist, { JudgeStep });
