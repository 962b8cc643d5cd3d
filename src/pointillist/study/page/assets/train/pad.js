/* A canvas for drawing points with a mouse, a pen or a finger. */

const { Dots, bytesOf, contextOf, onDrag, onTheme, rgb } = window.pointillist;
/** Number of points per move, and their standard deviation in half widths. */
const [EACH, SCATTER] = [5, 0.028];
/** Largest number of points, so that a link can hold them. */
const MOST = 2000;
/** Points are multiples of this part, as a link holds them. */
const FULL = 32767;

class Pad {
  /** @type {[number, number][]} */
  points = [];
  isOpen = false;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => void} changed called after each change
   */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.dots = new Dots();
    onDrag(canvas, {
      begin: (event) => this.isOpen && (this.#add(event), true),
      move: (dx, dy, event) => (event.getCoalescedEvents?.() ?? [event]).forEach((one) => this.#add(one)),
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
    onTheme(() => this.draw());
  }

  #add({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [(2 * (clientX - box.left)) / box.width - 1, 1 - (2 * (clientY - box.top)) / box.height];
    for (let i = 0; i < EACH && this.points.length < MOST; i++) {
      const radius = SCATTER * Math.sqrt(-2 * Math.log(1 - Math.random()));
      const angle = 2 * Math.PI * Math.random();
      const rounded = (value) => Math.round(Math.max(-1, Math.min(1, value)) * FULL) / FULL;
      this.points.push([rounded(x + radius * Math.cos(angle)), rounded(y + radius * Math.sin(angle))]);
    }
    this.draw();
    this.changed();
  }

  /** The points as a text for a link. */
  get text() {
    const bytes = new Uint8Array(Int16Array.from(this.points.flat(), (value) => Math.round(value * FULL)).buffer);
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  }

  /** @param {string} text of a link; empty for no points */
  set text(text) {
    const numbers = Array.from(new Int16Array(bytesOf(text).buffer), (value) => value / FULL);
    this.points = numbers.flatMap((x, i) => (i % 2 ? [] : [[x, numbers[i + 1]]]));
    this.draw();
    this.changed();
  }

  draw() {
    if (!this.isOpen) return;
    const { canvas } = this;
    const scale = Math.min(2, window.devicePixelRatio || 1);
    const side = Math.round(canvas.clientWidth * scale);
    if (!side) return;
    canvas.width = canvas.height = side;
    const context = contextOf(canvas);
    const style = getComputedStyle(canvas);
    if (!this.points.length) {
      context.fillStyle = style.getPropertyValue("--muted");
      context.font = `${17 * scale}px system-ui, sans-serif`;
      context.textAlign = "center";
      context.fillText("Draw here", side / 2, side / 2);
    }
    const color = rgb(style.getPropertyValue("--series-1").trim());
    this.dots.begin(side);
    for (const [x, y] of this.points) this.dots.add(((x + 1) * side) / 2, ((1 - y) * side) / 2, color, scale, 0, 1);
    this.dots.paint(context);
  }
}

Object.assign(window.pointillist, { Pad });
