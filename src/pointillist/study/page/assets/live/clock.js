/* A clock that plays from 0 to 1, for one stage or several in lockstep. */

const { calm } = window.pointillist;

/**
 * Returns a function that starts an animation, unless it is running.
 * @param {(passed: number) => boolean} tick called in each frame with the seconds since the last one, at most 0.1; returns
 *   whether to go on
 */
function animation(tick) {
  /** @type {number | null} */
  let before = null;
  let isRunning = false;
  const frame = (now) => {
    isRunning = tick(Math.min(0.1, (now - (before ?? now)) / 1000));
    before = isRunning ? now : null;
    if (isRunning) requestAnimationFrame(frame);
  };
  return () => {
    if (!isRunning) requestAnimationFrame(frame);
    isRunning = true;
  };
}

class Clock {
  share = 0;
  isPlaying = false;

  /**
   * @param {object} options
   * @param {() => number} options.ready largest share that can be shown at present
   * @param {(share: number) => void} options.show
   * @param {(isPlaying: boolean) => void} options.changed
   * @param {number} options.seconds from 0 to 1
   */
  constructor({ ready, show, changed, seconds }) {
    this.ready = ready;
    this.show = show;
    this.changed = changed;
    this.seconds = seconds;
    this.start = animation((passed) => this.isPlaying && this.#advance(passed));
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
    this.start();
  }

  #advance(passed) {
    this.share = Math.min(this.share + passed / this.seconds, this.ready());
    this.show(this.share);
    if (this.share >= 1) this.#set(false);
    return this.isPlaying;
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

/** Wraps a function so that it runs when it has not been called for a moment. */
function debounced(act) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, 150);
  };
}

/** Moves a slider from 0 to 1000 to a share of its way, and says it in percent. */
function moveSlider(slider, share) {
  slider.value = String(1000 * share);
  slider.ariaValueText = `${Math.round(100 * share)} %`;
}

Object.assign(window.pointillist, { Clock, animation, debounced, latest, moveSlider });
