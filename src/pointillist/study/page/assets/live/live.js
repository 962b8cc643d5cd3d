"use strict";
/* The live model: controls, playback, and the link that restores a view. */

(() => {
  const ROWS = 2000;
  /** Of a whole walk at speed 1. */
  const SECONDS = 4;
  const STEPS = { dpm: [2, 100, 20], heun: [2, 50, 11], ddim: [1, 1000, 50], ancestral: [1, 1000, 1000] };

  const byId = (id) => document.getElementById(`live-${id}`);

  class Live {
    constructor(content, pool) {
      this.content = content;
      this.pool = pool;
      this.scene = new window.pointillist.Scene(byId("canvas"));
      this.position = 0;
      this.frames = [];
      this.total = 0;
      this.isPlaying = false;
      this.still = window.matchMedia("(prefers-reduced-motion: reduce)");
      for (const dataset of Object.values(content.datasets)) {
        dataset.real = window.pointillist.unpackNumbers(dataset.rows, "float16");
      }
      this.#options("set", Object.keys(content.datasets).map((name) => [name, name]));
      this.#chooseSet();
      this.#listen();
    }

    get model() {
      return this.pool.models.get(byId("model").value);
    }

    get dataset() {
      return this.content.datasets[this.model.dataset];
    }

    #options(id, pairs) {
      byId(id).replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
    }

    #chooseSet() {
      const models = this.content.models.filter((model) => model.dataset === byId("set").value);
      this.#options("model", models.map((model) => [model.id, model.title]));
      this.#chooseModel();
    }

    #chooseModel() {
      const { model } = this;
      const isConditional = model.class_embedding > 0;
      byId("conditional").hidden = !isConditional;
      const classes = Array.from({ length: model.n_classes }, (_, k) => [k, `class ${k}`]);
      this.#options("class", [["all", "all, in the data's proportions"], ...classes, ["none", "no class"]]);
      this.scene.x = null;
      this.scene.setDataset(this.dataset, model.columns);
      this.#chooseSampler();
    }

    #chooseSampler() {
      const [least, most, usual] = STEPS[byId("sampler").value];
      const timesteps = this.content.timesteps[this.model.id];
      const byTimes = ["ddim", "ancestral"].includes(byId("sampler").value);
      Object.assign(byId("steps"), { min: least, max: byTimes ? Math.min(most, timesteps) : most });
      byId("steps").value = usual;
      this.#forget();
    }

    /** What was drawn is of other choices now. */
    #forget() {
      this.pool.stop();
      this.frames = [];
      this.hasBegun = false;
      this.wantedField = null;
      this.position = 0;
      byId("steps-value").textContent = byId("steps").value;
      byId("guidance-value").textContent = byId("guidance").value;
      this.scene.setField(null);
      if (this.wasPlayed) {
        clearTimeout(this.waiting);
        this.waiting = setTimeout(() => this.play(), 150);
      }
    }

    #labels() {
      const { model, dataset } = this;
      const chosen = byId("class").value;
      if (!model.class_embedding || chosen === "none") return null;
      if (chosen !== "all") return new Int32Array(ROWS).fill(Number(chosen));
      const sizes = dataset.class_sizes;
      const all = sizes.reduce((a, b) => a + b, 0);
      let [label, until] = [0, sizes[0]];
      return Int32Array.from({ length: ROWS }, (_, r) => {
        while (((r + 0.5) / ROWS) * all > until) until += sizes[++label];
        return label;
      });
    }

    get #choices() {
      return {
        id: byId("model").value,
        sampler: byId("sampler").value,
        steps: Number(byId("steps").value),
        variance: this.model.variance,
        seed: Number(byId("seed").value) >>> 0,
        guidance: this.model.class_embedding ? Number(byId("guidance").value) : 0,
        rows: ROWS,
        labels: this.#labels() ?? undefined,
      };
    }

    /** Draws the rows, and gives them once all are there. */
    async draw() {
      const choices = this.#choices;
      const begin = performance.now();
      const frames = [];
      this.frames = frames;
      this.hasBegun = true;
      this.labels = choices.labels ?? null;
      this.total = Math.ceil(choices.steps / Math.ceil(choices.steps / 200));
      this.#say(`drawing ${ROWS.toLocaleString("en")} rows …`);
      const rows = await this.pool.run(choices, (index, level, x) => {
        frames.push({ level, x });
        if (frames === this.frames && !this.isPlaying) this.#show();
      });
      if (rows && frames === this.frames) {
        const evaluations = choices.sampler === "heun" ? 2 * choices.steps - 1 : choices.steps;
        const guided = choices.guidance && choices.labels ? ", each with the class and without it" : "";
        const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
        this.#say(
          `${ROWS.toLocaleString("en")} rows in ${((performance.now() - begin) / 1000).toFixed(2)} s: ` +
            `${count(evaluations, "evaluation")} of the network per row${guided}, ` +
            count(this.pool.workers.length, "worker"),
        );
      }
      return rows;
    }

    /** Begins to draw the rows, once for all choices: the first frame comes later. */
    #begin() {
      this.draw().catch((error) => {
        this.hasBegun = false;
        this.#say(`cannot draw rows here: ${error.message}`);
      });
    }

    async play() {
      this.wasPlayed = true;
      if (this.frames.length && this.position >= this.total) this.position = 0;
      if (!this.hasBegun) {
        this.position = 0;
        this.#begin();
      }
      if (this.still.matches) {
        this.position = this.total;
        return;
      }
      this.#setPlaying(true);
    }

    #setPlaying(isPlaying) {
      const wasPlaying = this.isPlaying;
      this.isPlaying = isPlaying;
      byId("play").textContent = isPlaying ? "Pause" : "Play";
      if (isPlaying && !wasPlaying) {
        let before = null;
        const tick = (now) => {
          if (!this.isPlaying) return;
          // A frame's time may be earlier than that of the click that comes before it.
          const seconds = before === null ? 0 : Math.min(0.1, (now - before) / 1000);
          before = now;
          this.#advance(seconds * Number(byId("speed").value));
          requestAnimationFrame(tick);
        };
        requestAnimationFrame(tick);
      }
      if (!isPlaying) this.#write();
    }

    #advance(seconds) {
      const ready = this.frames.length - 1;
      this.position = Math.min(this.position + (seconds / SECONDS) * this.total, Math.max(0, ready));
      this.#show();
      if (ready >= this.total && this.position >= this.total) this.#setPlaying(false);
    }

    /** Draws the moment between two frames. */
    #show() {
      if (!this.frames.length) return;
      const position = Math.min(this.position, this.frames.length - 1);
      const [first, share] = [Math.floor(position), position % 1];
      const from = this.frames[first];
      const to = this.frames[Math.min(first + 1, this.frames.length - 1)];
      const between = (a, b) => a + share * (b - a);
      const level = {
        alpha: between(from.level.alpha, to.level.alpha),
        sigma: between(from.level.sigma, to.level.sigma),
        lambda: share ? between(from.level.lambda, Math.min(to.level.lambda, 10)) : from.level.lambda,
        t: between(from.level.t, to.level.t),
      };
      const x = share ? from.x.map((value, i) => between(value, to.x[i])) : from.x;
      this.scene.setRows(x, level, this.labels);
      byId("time").value = Math.round((1000 * position) / this.total);
      const noise = level.sigma / level.alpha;
      byId("moment").textContent =
        `t = ${level.t.toFixed(level.t % 1 ? 1 : 0)} of ${this.content.timesteps[this.model.id]}, ` +
        `noise sigma_t / alpha_t = ${noise.toPrecision(2)}, step ${Math.floor(position)} of ${this.total}`;
      if (this.scene.show.field) this.#askField(level);
    }

    /** Asks for the field at a noise level; of those wanted while one is computed, only the last counts. */
    async #askField(level) {
      this.wantedField = level;
      if (this.isAsking) return;
      this.isAsking = true;
      try {
        while (this.wantedField) {
          const wanted = this.wantedField;
          const field = await this.#field(wanted);
          if (this.wantedField === wanted) this.wantedField = null;
          if (this.frames.length) this.scene.setField(field);
        }
      } finally {
        this.isAsking = false;
      }
      if (!this.isPlaying) this.scene.draw();
    }

    async #field(level) {
      const points = this.scene.fieldPoints();
      const label = byId("class").value;
      const condition = {
        label: this.model.class_embedding && /^\d+$/.test(label) ? Number(label) : null,
        guidance: Number(byId("guidance").value),
      };
      const lambda = Math.min(level.lambda, 10);
      const x0 = await this.pool.predict(this.model.id, lambda, points, condition);
      const to = x0.map((value) => value * level.alpha);
      return { t: level.t, from: this.scene.project(points), to: this.scene.project(to) };
    }

    #seek(share) {
      this.isPlaying = false;
      byId("play").textContent = "Play";
      if (!this.hasBegun) this.#begin();
      this.position = Math.min(1, Math.max(0, share)) * this.total;
      this.#show();
    }

    #say(text) {
      byId("status").textContent = text;
    }

    #listen() {
      const on = (id, type, act) => byId(id).addEventListener(type, act);
      on("set", "change", () => (this.#chooseSet(), this.#write()));
      on("model", "change", () => (this.#chooseModel(), this.#write()));
      on("sampler", "change", () => (this.#chooseSampler(), this.#write()));
      for (const id of ["steps", "guidance", "class", "seed"]) on(id, "input", () => (this.#forget(), this.#write()));
      on("play", "click", () => (this.isPlaying ? this.#setPlaying(false) : this.play()));
      on("time", "input", () => this.#seek(byId("time").value / 1000));
      on("time", "change", () => this.#write());
      for (const id of ["real", "density", "field"]) {
        on(id, "change", () => {
          this.scene.show[id] = byId(id).checked;
          this.#show();
          this.scene.draw();
          this.#write();
        });
      }
      on("png", "click", () => byId("canvas").toBlob((blob) => save(blob, `${this.model.dataset}.png`)));
      on("csv", "click", () => this.#saveRows());
      on("link", "click", () => (this.#write(), window.pointillist.copyFrom(byId("link"), location.href)));
      this.#listenToCanvas(byId("canvas"));
      new MutationObserver(() => this.scene.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
      window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.scene.draw());
      window.pointillist.fragment.onRestore("live", (params) => this.#restore(params));
    }

    #listenToCanvas(canvas) {
      let last = null;
      canvas.addEventListener("pointerdown", (event) => {
        last = [event.clientX, event.clientY];
        canvas.setPointerCapture(event.pointerId);
      });
      canvas.addEventListener("pointermove", (event) => {
        if (!last) return;
        const [dx, dy] = [event.clientX - last[0], event.clientY - last[1]];
        last = [event.clientX, event.clientY];
        if (this.scene.isSolid) this.#turn(dx * 0.01, dy * 0.01);
        else this.#seek(Number(byId("time").value) / 1000 + dx / canvas.clientWidth);
      });
      for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (last = null, this.#write()));
      canvas.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: 0, ArrowDown: 0 }[event.key];
        if (event.key === " ") byId("play").click();
        else if (event.shiftKey && this.scene.isSolid && step !== undefined) {
          this.#turn(0.1 * step, { ArrowUp: -0.1, ArrowDown: 0.1 }[event.key] ?? 0);
        } else if (step) this.#seek((Math.round(this.position) + step) / Math.max(1, this.total));
        else return;
        event.preventDefault();
      });
      canvas.addEventListener("keyup", (event) => event.key.startsWith("Arrow") && this.#write());
    }

    #turn(yaw, pitch) {
      const { turn } = this.scene;
      turn.yaw += yaw;
      turn.pitch = Math.min(1.5, Math.max(-1.5, turn.pitch + pitch));
      this.scene.draw();
    }

    #saveRows() {
      const frame = this.frames[this.total];
      if (!frame) {
        this.#say("There are no rows yet: press play, and wait for the last step.");
        return;
      }
      const { columns } = this.model;
      const { names, centre, unit } = this.dataset;
      const field = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
      const lines = Array.from({ length: ROWS }, (_, r) => {
        const row = Array.from(frame.x.subarray(r * columns, (r + 1) * columns), (value, c) => value * unit[c] + centre[c]);
        return (this.labels ? [...row, this.labels[r]] : row).join(",");
      });
      const heads = this.labels ? [...names, "label"] : names;
      const text = [heads.map(field).join(","), ...lines, ""].join("\n");
      save(new Blob([text], { type: "text/csv" }), `${this.model.dataset}.csv`);
    }

    #write() {
      const params = new URLSearchParams({
        model: byId("model").value,
        sampler: byId("sampler").value,
        steps: byId("steps").value,
        seed: byId("seed").value,
      });
      if (this.model.class_embedding) {
        params.set("class", byId("class").value);
        params.set("w", byId("guidance").value);
      }
      if (this.frames.length) params.set("t", (this.position / this.total).toFixed(3));
      for (const id of ["density", "field"]) if (byId(id).checked) params.set(id, "1");
      if (!byId("real").checked) params.set("real", "0");
      if (this.scene.isSolid) {
        params.set("turn", [this.scene.turn.yaw, this.scene.turn.pitch].map((a) => a.toFixed(2)).join(","));
      }
      window.pointillist.fragment.write("live", params);
    }

    #restore(params) {
      const model = this.pool.models.get(params.get("model"));
      if (!model) return;
      this.wasPlayed = false;
      byId("set").value = model.dataset;
      this.#chooseSet();
      byId("model").value = model.id;
      this.#chooseModel();
      if (Object.hasOwn(STEPS, params.get("sampler") ?? "")) byId("sampler").value = params.get("sampler");
      this.#chooseSampler();
      const set = (id, key) => {
        const [input, wanted] = [byId(id), params.get(key)];
        const isKnown = !input.options || [...input.options].some(({ value }) => value === wanted);
        if (wanted !== null && isKnown) input.value = wanted;
      };
      set("steps", "steps");
      set("seed", "seed");
      set("class", "class");
      set("guidance", "w");
      for (const id of ["density", "field", "real"]) {
        byId(id).checked = params.has(id) ? params.get(id) === "1" : id === "real";
        this.scene.show[id] = byId(id).checked;
      }
      const [yaw, pitch] = (params.get("turn") ?? "").split(",").map(Number);
      if (Number.isFinite(yaw) && Number.isFinite(pitch)) Object.assign(this.scene.turn, { yaw, pitch });
      this.#forget();
      if (params.has("t")) {
        this.wasPlayed = true;
        this.#seek(Number(params.get("t")) || 0);
      }
    }
  }

  function save(blob, name) {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  const content = JSON.parse(document.getElementById("live-content").textContent);
  const source = document.getElementById("worker-source").textContent;
  const pool = new window.pointillist.Pool(source, content.kernel, content.models);
  content.timesteps = Object.fromEntries(
    content.models.map((model) => [model.id, window.pointillist.unpackNumbers(model.alpha, "float32").length - 1]),
  );
  window.pointillist.pool = pool;
  window.pointillist.live = new Live(content, pool);
})();
