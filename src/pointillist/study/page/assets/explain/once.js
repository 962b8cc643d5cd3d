/* Why not in one go? Cells guessed alone against cells one after another; one jump to the average against steps. */

const { Stage, fillTable, latest, models, pool } = window.pointillist;
const [ROWS, LISTED, STEPS] = [320, 5, 20];

class OnceStep {
  /** @type {StudyModel} set by `show` */
  model;

  /**
   * @param {HTMLElement} root
   * @param {Promise<RowTable>} table
   */
  constructor(root, table) {
    this.readout = root.querySelector(".readout");
    const stages = [...root.querySelectorAll("canvas")].map(
      (canvas) => new Stage(canvas, { channel: "once", hasKeys: false, onPick: () => {} }),
    );
    const sides = stages.slice(0, 2);
    this.jump = stages[2];
    this.steps = stages[3];
    const lists = [...root.querySelectorAll("table")];
    table.then(async (found) => {
      const drawn = await Promise.all([found.draw(ROWS, { id: "alone", seed: 5 }), found.draw(ROWS, { seed: 5 })]);
      const shares = drawn.map((stories, side) => {
        // Numbers that are drawn alone are as far as noise: each column is right.
        const rows = stories.map((story) => (side ? story.cells(1) : story.cells(0, story.order.length)));
        const points = stories.flatMap((story) => story.point(side));
        sides[side].scene.setDataset(found.dataset, 2);
        sides[side].scene.setRows(Float32Array.from(points), undefined, rows.map((cells) => cells[found.colored].value));
        const texts = rows.map((cells) => cells.map(({ text }) => (text === "missing" ? "" : text)));
        const share = texts.filter((cells) => found.isImpossible(cells)).length / ROWS;
        const columns = [found.colored, found.home, ...found.shown];
        fillTable(lists[side], columns.map((c) => found.titles[c]), LISTED, (r, c) => texts[r][columns[c]] || "missing");
        [...lists[side].tBodies[0].rows].forEach((line, r) => line.classList.toggle("bad", found.isImpossible(texts[r])));
        return share ? `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} % of the rows` : "no row";
      });
      this.readout.textContent = `The wrong island for a species: ${shares[0]} on the left, ${shares[1]} on the right.`;
    });
    this.update = latest((model) => this.#update(model));
  }

  /** @param {Pick<Shown, "model">} shown */
  show({ model }) {
    if (this.model === model) return;
    this.model = model;
    this.update(model);
  }

  async #update(model) {
    const rows = await this.steps.run({ id: model.id, sampler: "dpm", steps: STEPS, seed: 6 });
    if (!rows) return;
    const { x, level } = this.steps.frames[0];
    this.steps.show(1);
    this.jump.scene.setDataset(models.datasetOf(model), model.columns);
    this.jump.scene.setRows(await pool.predict(model.id, level.lambda, x));
  }
}

Object.assign(window.pointillist, { OnceStep });
