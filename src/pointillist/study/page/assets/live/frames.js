/* The frames of a run: noise levels and rows. */

/** Number of frames after the first, for a number of steps; long runs skip states. */
const framesOf = (steps) => Math.ceil(steps / Math.ceil(steps / 200));

/**
 * Interpolates between two frames.
 * @param {Frame[]} frames
 * @returns {Frame}
 */
function momentOf(frames, position) {
  const [first, share] = [Math.floor(position), position % 1];
  const from = frames[first];
  const to = frames[Math.min(first + 1, frames.length - 1)];
  if (!share) return from;
  const between = (a, b) => a + share * (b - a);
  return {
    level: {
      alpha: between(from.level.alpha, to.level.alpha),
      sigma: between(from.level.sigma, to.level.sigma),
      lambda: between(from.level.lambda, Math.min(to.level.lambda, 10)),
      t: between(from.level.t, to.level.t),
    },
    x: from.x.map((value, i) => between(value, to.x[i])),
  };
}

/** The trajectory of a row over the frames. */
function pathOf(frames, row, columns) {
  const path = new Float32Array(frames.length * columns);
  frames.forEach(({ x }, i) => path.set(x.subarray(row * columns, (row + 1) * columns), i * columns));
  return path;
}

/** Number of network evaluations per row, without guidance. */
const evaluationsOf = (sampler, steps) => (sampler === "heun" ? 2 * steps - 1 : steps);

Object.assign(window.pointillist, { evaluationsOf, framesOf, momentOf, pathOf });
