/* A clock that plays from 0 to 1, for one stage or several in lockstep. */

const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

class Clock {
  share = 0;
  isPlaying = false;

  /**
   * @param {object} options
   * @param {() => number} options.ready largest share that can be shown at present
   * @param {(share: number) => void} options.show
   * @param {(isPlaying: boolean) => void} options.changed
   * @param {number} [options.seconds] from 0 to 1
   */
  constructor({ ready, show, changed, seconds = 4 }) {
    this.ready = ready;
    this.show = show;
    this.changed = changed;
    this.seconds = seconds;
  }

  /** Plays to the end, or restarts at the end; with reduced motion, jumps to the end. */
  play() {
    if (this.share >= 1) this.share = 0;
    if (calm.matches) {
      this.seek(1);
      return;
    }
    if (this.isPlaying) return;
    this.#set(true);
    /** @type {number | null} */
    let before = null;
    const tick = (now) => {
      if (!this.isPlaying) return;
      // A frame may have an earlier time than the click before it.
      const passed = before === null ? 0 : Math.min(0.1, Math.max(0, now - before) / 1000);
      before = now;
      const ready = this.ready();
      this.share = Math.min(this.share + passed / this.seconds, ready);
      this.show(this.share);
      if (ready >= 1 && this.share >= 1) this.#set(false);
      else requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  pause() {
    if (this.isPlaying) this.#set(false);
  }

  seek(share) {
    this.pause();
    this.share = Math.min(1, Math.max(0, share));
    this.show(this.share);
  }

  #set(isPlaying) {
    this.isPlaying = isPlaying;
    this.changed(isPlaying);
  }
}

/** Wraps an async function so that, while it runs, only the last call waits for the next run. */
function latest(work) {
  let [isBusy, wanted] = [false, null];
  return async (asked) => {
    wanted = asked;
    if (isBusy) return;
    isBusy = true;
    try {
      while (wanted) {
        const now = wanted;
        wanted = null;
        await work(now);
      }
    } finally {
      isBusy = false;
    }
  };
}

Object.assign(window.pointillist, { Clock, calm, latest });
