/* The live model: controls, playback, and the link that restores a view. */

const ROWS = 2000;
/** Duration of a trajectory, in seconds. */
const SECONDS = 4;
/** @type {("steps" | "guidance" | "class" | "seed")[]} */
const CHOICES = ["steps", "guidance", "class", "seed"];
/** @type {Record<string, [least: number, most: number, usual: number]>} */
const STEPS = { dpm: [2, 100, 20], heun: [2, 50, 11], ddim: [1, 1000, 50], ancestral: [1, 1000, 1000] };

const { Clock, Stage, copyFrom, csvField, debounced, evaluationsOf, fragment, labelsFor, later, models, pool } =
  window.pointillist;
const { TRAINED, save, theTrainer } = window.pointillist;

/** @type {<Id extends keyof LiveElements>(id: Id) => LiveElements[Id]} */
const byId = (id) => document.getElementById(`live-${id}`);

class Live {
  hasBegun = false;
  wasPlayed = false;
  /** @type {URLSearchParams | null} a link whose model is in training */
  awaited = null;

  constructor() {
    this.stage = new Stage(byId("canvas"), {
      channel: "live",
      rows: ROWS,
      onFrame: () => this.clock.isPlaying || this.#show(),
      hasKeys: false,
    });
    this.clock = new Clock({
      ready: () => this.stage.ready,
      show: () => this.#show(),
      changed: (isPlaying) => {
        byId("play").textContent = isPlaying ? "Pause" : "Play";
        if (!isPlaying) this.#write();
      },
      seconds: SECONDS,
    });
    this.scene = this.stage.scene;
    this.replay = debounced(() => this.play());
    this.#fillSets();
    this.#chooseSet();
    this.#listen();
  }

  get position() {
    return this.clock.share * this.stage.total;
  }

  get model() {
    return models.get(byId("model").value);
  }

  get dataset() {
    return models.datasets[this.model.dataset];
  }

  #fillSets() {
    const chosen = byId("set").value;
    this.#options("set", Object.keys(models.datasets).map((name) => [name, name]));
    if (chosen) byId("set").value = chosen;
  }

  #options(/** @type {"set" | "model" | "class"} */ id, /** @type {[value: string, text: string][]} */ pairs) {
    byId(id).replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
  }

  #chooseSet() {
    this.#options("model", models.of(byId("set").value).map((model) => [model.id, model.title]));
    this.#chooseModel();
  }

  #chooseModel() {
    const { model } = this;
    const isConditional = model.class_embedding > 0;
    byId("conditional").hidden = !isConditional;
    /** @type {[string, string][]} */
    const classes = Array.from({ length: model.n_classes }, (_, k) => [String(k), `class ${k}`]);
    this.#options("class", [["all", "all, in the data's proportions"], ...classes, ["none", "no class"]]);
    this.scene.setDataset(this.dataset, model.columns);
    this.#chooseSampler();
  }

  #chooseSampler() {
    const [least, most, usual] = STEPS[byId("sampler").value];
    const { timesteps } = this.model;
    const byTimes = ["ddim", "ancestral"].includes(byId("sampler").value);
    const [min, max] = [least, byTimes ? Math.min(most, timesteps) : most].map(String);
    Object.assign(byId("steps"), { min, max, value: String(usual) });
    this.#forget();
  }

  /** Discards the rows, because a choice has changed. */
  #forget() {
    pool.stop("live");
    this.clock.pause();
    this.clock.share = 0;
    this.stage.frames = [];
    this.hasBegun = false;
    byId("steps-value").textContent = byId("steps").value;
    byId("guidance-value").textContent = byId("guidance").value;
    if (this.wasPlayed) this.replay();
  }

  get #choices() {
    return {
      id: byId("model").value,
      sampler: byId("sampler").value,
      steps: Number(byId("steps").value),
      seed: Number(byId("seed").value) >>> 0,
      guidance: this.model.class_embedding ? Number(byId("guidance").value) : 0,
      labels: (this.model.class_embedding && labelsFor(this.dataset, ROWS, byId("class").value)) || undefined,
    };
  }

  async #draw() {
    const choices = this.#choices;
    const begin = performance.now();
    this.hasBegun = true;
    this.#say(`drawing ${ROWS.toLocaleString("en")} rows …`);
    try {
      const drawn = this.stage.run(choices);
      const { frames } = this.stage;
      if (!(await drawn) || frames !== this.stage.frames) return;
    } catch (error) {
      this.hasBegun = false;
      this.#say(`cannot draw rows here: ${error.message}`);
      return;
    }
    const evaluations = evaluationsOf(choices.sampler, choices.steps);
    const guided = choices.guidance && choices.labels ? ", each with the class and without it" : "";
    const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
    this.#say(
      `${ROWS.toLocaleString("en")} rows in ${((performance.now() - begin) / 1000).toFixed(2)} s: ` +
        `${count(evaluations, "evaluation")} of the network per row${guided}, ` +
        count(pool.workers.length, "worker"),
    );
  }

  play() {
    this.wasPlayed = true;
    if (!this.hasBegun) {
      this.clock.share = 0;
      this.#draw();
    }
    this.clock.play();
  }

  /** Shows the moment of the clock, or the last finished one. */
  #show() {
    const { clock, stage, model } = this;
    if (!stage.frames.length) return;
    stage.show(clock.share);
    const { level, total } = stage;
    const position = Math.min(this.position, stage.frames.length - 1);
    byId("time").value = String(Math.round((1000 * position) / total));
    byId("moment").textContent =
      `t = ${level.t.toFixed(level.t % 1 ? 1 : 0)} of ${model.timesteps}, ` +
      `noise ${(level.sigma / level.alpha).toPrecision(2)} times the data, ` +
      `step ${Math.floor(position)} of ${total}`;
  }

  #seek(share) {
    if (!this.hasBegun) this.#draw();
    this.clock.seek(share);
  }

  #say(text) {
    byId("status").textContent = text;
  }

  #listen() {
    /**
     * @param {keyof LiveElements} id
     * @param {() => void} act
     */
    const on = (id, type, act) => byId(id).addEventListener(type, act);
    on("set", "change", () => (this.#chooseSet(), this.#write()));
    on("model", "change", () => (this.#chooseModel(), this.#write()));
    on("sampler", "change", () => (this.#chooseSampler(), this.#write()));
    for (const id of CHOICES) on(id, "input", () => (this.#forget(), this.#write()));
    on("play", "click", () => (this.clock.isPlaying ? this.clock.pause() : this.play()));
    on("time", "input", () => this.#seek(Number(byId("time").value) / 1000));
    on("time", "change", () => this.#write());
    on("csv", "click", () => this.#saveRows());
    on("link", "click", () => {
      this.#write();
      if (this.#hasLink) copyFrom(byId("link"), location.href);
      else this.#say("A model of your file has no link: its rows stay in this page.");
    });
    this.#listenToCanvas(byId("canvas"));
    models.onAdded((model) => {
      this.#fillSets();
      if (byId("set").value === model.dataset) this.#chooseSet();
      if (this.awaited) this.#restore(this.awaited);
    });
    fragment.onRestore("live", (params) => this.#restore(params));
  }

  /** @param {HTMLCanvasElement} canvas */
  #listenToCanvas(canvas) {
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: 0, ArrowDown: 0 }[event.key];
      if (event.key === " ") byId("play").click();
      else if (event.shiftKey && this.scene.isSolid && step !== undefined) {
        this.scene.turnBy(0.1 * step, { ArrowUp: -0.1, ArrowDown: 0.1 }[event.key] ?? 0);
      } else if (step) this.#seek((Math.round(this.position) + step) / Math.max(1, this.stage.total));
      else return;
      event.preventDefault();
    });
    canvas.addEventListener("keyup", (event) => event.key.startsWith("Arrow") && this.#write());
  }

  #saveRows() {
    const { frames, labels, total } = this.stage;
    const frame = frames[total];
    if (!frame) {
      this.#say("There are no rows yet: press play, and wait for the last step.");
      return;
    }
    const { columns } = this.model;
    const { names, centre, unit } = this.dataset;
    const lines = Array.from({ length: ROWS }, (_, r) => {
      const row = Array.from(
        frame.x.subarray(r * columns, (r + 1) * columns),
        (value, c) => value * unit[c] + centre[c],
      );
      return (labels ? [...row, labels[r]] : row).join(",");
    });
    const heads = labels ? [...names, "label"] : names;
    const text = [heads.map(csvField).join(","), ...lines, ""].join("\n");
    save(new Blob([text], { type: "text/csv" }), `${this.model.dataset}.csv`);
  }

  #write() {
    const params = new URLSearchParams({
      model: byId("model").value,
      sampler: byId("sampler").value,
      steps: byId("steps").value,
      seed: byId("seed").value,
    });
    if (this.model.id === TRAINED) {
      for (const [name, value] of Object.entries(theTrainer().recipe ?? {})) if (value) params.set(name, value);
    }
    if (this.model.class_embedding) {
      params.set("class", byId("class").value);
      params.set("w", byId("guidance").value);
    }
    if (this.stage.frames.length) params.set("t", this.clock.share.toFixed(3));
    if (this.scene.isSolid) {
      params.set("turn", [this.scene.view.turn.yaw, this.scene.view.turn.pitch].map((a) => a.toFixed(2)).join(","));
    }
    fragment.write("live", params);
  }

  get #hasLink() {
    return this.model.id !== TRAINED || theTrainer().recipe !== null;
  }

  /** @param {URLSearchParams} params */
  #restore(params) {
    this.awaited = theTrainer().restore(params) ? params : null;
    if (this.awaited) this.#say("This link's model is trained here first.");
    const model = models.find(params.get("model"));
    if (!model || this.awaited) return;
    this.wasPlayed = false;
    byId("set").value = model.dataset;
    this.#chooseSet();
    byId("model").value = model.id;
    this.#chooseModel();
    const sampler = params.get("sampler") ?? "";
    if (Object.hasOwn(STEPS, sampler)) byId("sampler").value = sampler;
    this.#chooseSampler();
    for (const id of CHOICES) {
      const [input, wanted] = [byId(id), params.get(id === "guidance" ? "w" : id)];
      const isKnown = !("options" in input) || [...input.options].some(({ value }) => value === wanted);
      if (wanted !== null && isKnown) input.value = wanted;
    }
    const [yaw, pitch] = (params.get("turn") ?? "").split(",").map(Number);
    if (Number.isFinite(yaw) && Number.isFinite(pitch)) Object.assign(this.scene.view.turn, { yaw, pitch });
    this.#forget();
    if (params.has("play")) this.play();
    else if (params.has("t")) {
      this.wasPlayed = true;
      this.#seek(Number(params.get("t")) || 0);
    }
  }
}

later(() => Object.assign(window.pointillist, { live: new Live() }));
