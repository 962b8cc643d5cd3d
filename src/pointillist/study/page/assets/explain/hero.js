/* The picture at the top: rows that go from noise to data and back until the user stops them. */

const { Stage, animation, calm } = window.pointillist;
const [SECONDS, REST] = [3.6, 1.1];
const COLORS = 9;

class Hero {
  share = 0;
  direction = 1;
  rest = 0;
  isReady = false;
  isSeen = false;
  /** @type {StudyModel} set by `show` */
  model;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.button = root.querySelector(".play");
    this.bar = root.querySelector(".progress span");
    const show = { real: false, ground: false, scale: false };
    this.stage = new Stage(root.querySelector("canvas"), { channel: "hero", rows: 1200, show });
    Object.assign(this.stage.scene, { size: 1.25, margin: 1.08 });
    this.wants = !calm.matches;
    this.move = animation((passed) => {
      const isMoving = this.wants && this.isSeen && this.isReady;
      if (isMoving) this.#advance(passed);
      return isMoving;
    });
    this.button.addEventListener("click", () => {
      this.wants = !this.wants;
      this.#start();
    });
    new IntersectionObserver(([{ isIntersecting }]) => {
      this.isSeen = isIntersecting;
      this.#start();
    }).observe(this.stage.canvas);
  }

  /** @param {Shown} shown */
  async show({ model }) {
    // A model that was trained here again keeps its name.
    if (this.model === model) return;
    this.model = model;
    this.isReady = false;
    const rows = await this.stage.run({ id: model.id, sampler: "dpm", steps: 32, seed: 3 });
    if (!rows) return;
    this.#paint(rows, model.columns);
    this.isReady = true;
    [this.share, this.direction, this.rest] = calm.matches ? [1, 1, 0] : [0, 1, 0];
    this.#draw();
    this.#start();
  }

  /** Colors rows by their end points, so that a row keeps its color. */
  #paint(rows, columns) {
    const n = rows.length / columns;
    const position = (r) => rows[r * columns] - (columns > 1 ? 0.35 * rows[r * columns + 1] : 0);
    const order = Array.from({ length: n }, (_, r) => r).sort((a, b) => position(a) - position(b));
    const of = new Uint8Array(n);
    order.forEach((r, rank) => (of[r] = Math.floor((rank * COLORS) / n)));
    this.stage.scene.ramp = { count: COLORS, of };
  }

  #start() {
    this.button.textContent = this.wants ? "Pause" : "Play";
    this.move();
  }

  #advance(seconds) {
    if (this.rest > 0) {
      this.rest -= seconds;
      return;
    }
    this.share += (this.direction * seconds) / SECONDS;
    if (this.share >= 1 || this.share <= 0) {
      this.share = Math.min(1, Math.max(0, this.share));
      this.direction = this.share ? -1 : 1;
      this.rest = this.share ? 2 * REST : REST / 2;
    }
    this.#draw();
  }

  #draw() {
    // Slow down where the data appears.
    this.stage.show(1 - (1 - this.share) ** 1.6);
    this.bar.style.width = `${100 * this.share}%`;
  }
}

Object.assign(window.pointillist, { Hero });
