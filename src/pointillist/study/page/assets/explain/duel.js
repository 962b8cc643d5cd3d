/* Two stages in lockstep: one noise, one clock that runs through the noise levels, and one frame. */

const { Clock, LAST_LAMBDA, Stage, moveSlider } = window.pointillist;

class Duel {
  /** @param {HTMLElement} root holds two canvases, a button `.play` and a range `.time` */
  constructor(root, channel) {
    this.button = root.querySelector(".play");
    this.time = root.querySelector(".time");
    this.stages = [...root.querySelectorAll("canvas")].map(
      (canvas, i) =>
        new Stage(canvas, {
          channel: `${channel}-${i}`,
          onFrame: () => this.clock.isPlaying || this.#show(this.clock.share),
          onPick: (row) => this.stages.forEach((stage) => stage.pick(row)),
        }),
    );
    this.clock = new Clock({
      ready: () => (this.stages.every(({ ready }) => ready === 1) ? 1 : 0),
      show: (share) => this.#show(share),
      changed: (isPlaying) => (this.button.textContent = isPlaying ? "Pause" : "Play"),
      seconds: 5,
    });
    this.button.addEventListener("click", () => (this.clock.isPlaying ? this.clock.pause() : this.clock.play()));
    this.time.addEventListener("input", () => this.clock.seek(Number(this.time.value) / 1000));
  }

  /**
   * Draws both sides anew, and plays them.
   * @param {Pick<Run, "id" | "sampler" | "steps" | "guidance" | "labels">[]} sides
   */
  async run(sides) {
    this.clock.pause();
    this.clock.share = 0;
    const runs = this.stages.map((stage, i) => stage.run(sides[i]));
    this.clock.play();
    return Promise.all(runs);
  }

  /** The log-SNR from which both sides start; a side that starts with less noise waits. */
  get #first() {
    return Math.min(...this.stages.map(({ frames }) => frames[0]?.level.lambda ?? LAST_LAMBDA));
  }

  #show(share) {
    const lambda = this.#first + share * (LAST_LAMBDA - this.#first);
    this.stages.forEach((stage) => (share < 1 ? stage.showLevel(lambda) : stage.show(1)));
    moveSlider(this.time, share);
  }
}

Object.assign(window.pointillist, { Duel });
