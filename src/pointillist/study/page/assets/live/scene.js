"use strict";
/* Drawing rows at one moment of their walk: points, the rows' density, the denoiser's field. */

(() => {
  const BINS = 96;
  /** Of the density's kernel, in bins. */
  const BANDWIDTH = 1.5;
  const FIELD_ARROWS = 18;
  const POINT = 2.2;

  /** How far a picture of x_t reaches: the data's extent, and three standard deviations of noise. */
  function halfWidth(extent, { alpha, sigma }) {
    return Math.hypot(1.15 * alpha * extent, 3 * sigma);
  }

  class Scene {
    /** @param {HTMLCanvasElement} canvas */
    constructor(canvas) {
      this.canvas = canvas;
      this.context = canvas.getContext("2d");
      this.turn = { yaw: -0.6, pitch: 0.45 };
      this.blurred = document.createElement("canvas");
      this.blurred.width = this.blurred.height = BINS;
      this.show = { field: false, density: false, real: true };
      this.sprites = new Map();
      new ResizeObserver(() => this.#resize()).observe(canvas);
    }

    /** @param {object} dataset as the page holds it, with `real`: its rows */
    setDataset(dataset, columns) {
      this.dataset = dataset;
      this.columns = columns;
      this.isSolid = columns === 3;
      this.draw();
    }

    /**
     * @param {Float32Array} x rows × columns
     * @param {{alpha: number, sigma: number}} level
     * @param {Int32Array|null} labels
     */
    setRows(x, level, labels) {
      Object.assign(this, { x, level, labels });
      this.draw();
    }

    /** @param {{from: Float32Array, to: Float32Array}|null} field points in the picture's own units, in pairs */
    setField(field) {
      this.field = field;
    }

    #resize() {
      const scale = Math.min(2, window.devicePixelRatio || 1);
      const side = Math.round(this.canvas.clientWidth * scale);
      if (side && side !== this.canvas.width) {
        this.canvas.width = this.canvas.height = side;
        this.draw();
      }
    }

    /** Two coordinates of each row, as they are looked at. */
    project(x) {
      const { origin, directions } = this.dataset;
      const rows = x.length / this.columns;
      const out = new Float32Array(2 * rows);
      const axes = this.#axes(directions);
      const across = axes.length > 1 ? axes[1] : null;
      for (let r = 0; r < rows; r++) {
        let [a, b] = [0, 0];
        for (let c = 0; c < this.columns; c++) {
          const value = x[r * this.columns + c] - origin[c];
          a += value * axes[0][c];
          if (across) b += value * across[c];
        }
        out[2 * r] = a;
        // A single column is spread out, so that its rows do not hide each other.
        out[2 * r + 1] = across ? b : 0.8 * ((r * 0.618034) % 1) - 0.4;
      }
      return out;
    }

    #axes(directions) {
      if (directions.length < 3) return directions;
      const { yaw, pitch } = this.turn;
      const right = [Math.cos(yaw), Math.sin(yaw), 0];
      const up = [Math.sin(yaw) * Math.sin(pitch), -Math.cos(yaw) * Math.sin(pitch), Math.cos(pitch)];
      return [right, up].map((axis) => axis.map((_, c) => axis.reduce((sum, a, k) => sum + a * directions[k][c], 0)));
    }

    #style(name) {
      return getComputedStyle(this.canvas).getPropertyValue(name).trim();
    }

    /** A dot of a colour, drawn once: two thousand of them are then copies. */
    #sprite(colour, scale) {
      const key = `${colour} ${scale}`;
      if (!this.sprites.has(key)) {
        const sprite = document.createElement("canvas");
        const radius = POINT * scale;
        sprite.width = sprite.height = Math.ceil(2 * radius + 2);
        const context = sprite.getContext("2d");
        context.fillStyle = colour;
        context.globalAlpha = 0.75;
        context.arc(sprite.width / 2, sprite.width / 2, radius, 0, 2 * Math.PI);
        context.fill();
        this.sprites.set(key, sprite);
      }
      return this.sprites.get(key);
    }

    colours() {
      return Array.from({ length: 8 }, (_, i) => this.#style(`--series-${i + 1}`) || "#4477aa");
    }

    draw() {
      const { context, canvas } = this;
      if (!this.dataset || !canvas.width) return;
      const size = canvas.width;
      const scale = Math.min(2, window.devicePixelRatio || 1);
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.fillStyle = this.#style("--panel") || "#fff";
      context.fillRect(0, 0, size, size);
      const level = this.level ?? { alpha: 1, sigma: 0 };
      const half = halfWidth(this.dataset.extent, level);
      const place = (points) => points.map((value, i) => size / 2 + ((i % 2 ? -value : value) * size) / 2 / half);
      const points = this.x && place(this.project(this.x));
      if (points && this.show.density) this.#drawDensity(points, size);
      if (this.show.real) {
        const real = this.dataset.real.map((value) => value * level.alpha);
        this.#dots(place(this.project(real)), () => this.#style("--muted") || "#999", scale * 0.7, 0.35);
      }
      if (points) {
        const colours = this.colours();
        this.#dots(points, (r) => colours[this.labels ? this.labels[r] % colours.length : 0], scale, 1);
      }
      if (this.show.field && this.field) this.#drawField(place(this.field.from), place(this.field.to), scale);
      this.#drawScale(half, size, scale);
    }

    #dots(points, colour, scale, opacity) {
      const { context } = this;
      context.globalAlpha = opacity;
      for (let r = 0; 2 * r < points.length; r++) {
        const sprite = this.#sprite(colour(r), scale);
        context.drawImage(sprite, points[2 * r] - sprite.width / 2, points[2 * r + 1] - sprite.width / 2);
      }
      context.globalAlpha = 1;
    }

    /** A kernel estimate of the density of the rows that are shown. */
    #drawDensity(points, size) {
      let bins = new Float32Array(BINS * BINS);
      for (let i = 0; i < points.length; i += 2) {
        const [a, b] = [Math.floor((points[i] / size) * BINS), Math.floor((points[i + 1] / size) * BINS)];
        if (a >= 0 && a < BINS && b >= 0 && b < BINS) bins[b * BINS + a]++;
      }
      bins = blur(blur(bins, 1), BINS);
      const most = bins.reduce((a, b) => Math.max(a, b), 1e-9);
      const image = new ImageData(BINS, BINS);
      const [red, green, blue] = rgb(this.#style("--series-1") || "#4477aa");
      bins.forEach((value, i) => image.data.set([red, green, blue, 200 * Math.sqrt(value / most)], 4 * i));
      this.blurred.getContext("2d").putImageData(image, 0, 0);
      this.context.imageSmoothingEnabled = true;
      this.context.drawImage(this.blurred, 0, 0, size, size);
    }

    #drawField(from, to, scale) {
      const { context } = this;
      const longest = (this.canvas.width / FIELD_ARROWS) * 0.8;
      context.strokeStyle = this.#style("--fg") || "#222";
      context.globalAlpha = 0.75;
      context.lineWidth = scale;
      context.beginPath();
      for (let i = 0; i < from.length; i += 2) {
        const [dx, dy] = [to[i] - from[i], to[i + 1] - from[i + 1]];
        const length = Math.hypot(dx, dy);
        const shown = Math.min(longest, length);
        if (shown < 1) continue;
        const [ux, uy] = [dx / length, dy / length];
        const [x, y] = [from[i] + ux * shown, from[i + 1] + uy * shown];
        const head = Math.min(4 * scale, shown / 2);
        context.moveTo(from[i], from[i + 1]);
        context.lineTo(x, y);
        context.moveTo(x - head * (ux + 0.6 * uy), y - head * (uy - 0.6 * ux));
        context.lineTo(x, y);
        context.lineTo(x - head * (ux - 0.6 * uy), y - head * (uy + 0.6 * ux));
      }
      context.stroke();
      context.globalAlpha = 1;
    }

    /** How long one unit is, at the lower left. */
    #drawScale(half, size, scale) {
      const { context } = this;
      const unit = [0.1, 0.2, 0.5, 1, 2].find((u) => u >= half / 6) ?? 2;
      const length = (unit * size) / 2 / half;
      const [x, y] = [12 * scale, size - 12 * scale];
      context.strokeStyle = context.fillStyle = this.#style("--muted") || "#666";
      context.lineWidth = scale;
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(x + length, y);
      context.stroke();
      context.font = `${11 * scale}px system-ui, sans-serif`;
      context.fillText(String(unit), x, y - 5 * scale);
    }

    /** Where to ask for the denoiser's field: on a grid in two columns, else at some of the rows. */
    fieldPoints() {
      if (this.columns !== 2) return this.x ? this.x.slice(0, 300 * this.columns) : null;
      const half = halfWidth(this.dataset.extent, this.level);
      const points = new Float32Array(2 * FIELD_ARROWS ** 2);
      for (let i = 0; i < FIELD_ARROWS ** 2; i++) {
        points[2 * i] = half * ((2 * (i % FIELD_ARROWS) + 1) / FIELD_ARROWS - 1);
        points[2 * i + 1] = half * ((2 * Math.floor(i / FIELD_ARROWS) + 1) / FIELD_ARROWS - 1);
      }
      return points;
    }
  }

  /** One pass of a Gaussian kernel along an axis. */
  function blur(bins, stride) {
    const reach = Math.ceil(3 * BANDWIDTH);
    const kernel = Float32Array.from({ length: 2 * reach + 1 }, (_, k) => Math.exp(-0.5 * ((k - reach) / BANDWIDTH) ** 2));
    const out = new Float32Array(bins.length);
    for (let i = 0; i < bins.length; i++) {
      if (bins[i] === 0) continue;
      const along = Math.floor(i / stride) % BINS;
      for (let k = -reach; k <= reach; k++) {
        if (along + k >= 0 && along + k < BINS) out[i + k * stride] += bins[i] * kernel[k + reach];
      }
    }
    return out;
  }

  function rgb(hex) {
    const digits = hex.length === 4 ? [...hex.slice(1)].map((d) => d + d).join("") : hex.slice(1);
    return [0, 2, 4].map((i) => parseInt(digits.slice(i, i + 2), 16));
  }

  window.pointillist ??= {};
  window.pointillist.Scene = Scene;
})();
