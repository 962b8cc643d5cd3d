/* A kernel density estimate of the dots of a picture. */

const { contextOf } = window.pointillist;
const BINS = 96;
/** Bandwidth of the kernel, in bins. */
const BANDWIDTH = 1.5;

const holder = document.createElement("canvas");
holder.width = holder.height = BINS;

/**
 * Returns a small picture of the density, to be drawn larger.
 * @param {Float32Array} points pixel coordinates, x and y in turn, of a picture of some size
 */
function densityOf(points, size, /** @type {number[]} */ [red, green, blue]) {
  let bins = new Float32Array(BINS * BINS);
  for (let i = 0; i < points.length; i += 2) {
    const [a, b] = [Math.floor((points[i] / size) * BINS), Math.floor((points[i + 1] / size) * BINS)];
    if (a >= 0 && a < BINS && b >= 0 && b < BINS) bins[b * BINS + a]++;
  }
  bins = blur(blur(bins, 1), BINS);
  const most = bins.reduce((a, b) => Math.max(a, b), 1e-9);
  const image = new ImageData(BINS, BINS);
  bins.forEach((value, i) => image.data.set([red, green, blue, 200 * Math.sqrt(value / most)], 4 * i));
  contextOf(holder).putImageData(image, 0, 0);
  return holder;
}

/** One pass of a Gaussian kernel along an axis. */
function blur(bins, stride) {
  const reach = Math.ceil(3 * BANDWIDTH);
  const kernel = Float32Array.from({ length: 2 * reach + 1 }, (_, k) =>
    Math.exp(-0.5 * ((k - reach) / BANDWIDTH) ** 2),
  );
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

Object.assign(window.pointillist, { densityOf });
