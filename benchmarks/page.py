"""A study's page in headless Chromium: size, seconds until rows move and are ready, frames per second of playback."""

import argparse
import shutil
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from machine import median_and_range, report

PLAY = """async () => {
  const moved = [];
  const seen = new MutationObserver(() => moved.push(performance.now()));
  seen.observe(document.getElementById("live-moment"), { childList: true });
  const begin = performance.now();
  document.getElementById("live-play").click();
  await new Promise((resolve) => {
    const status = document.getElementById("live-status");
    const wait = () => (/ rows in /.test(status.textContent) ? resolve() : requestAnimationFrame(wait));
    requestAnimationFrame(wait);
  });
  const ready = performance.now() - begin;
  const frames = [];
  await new Promise((resolve) => {
    const tick = (now) => {
      frames.push(now);
      document.getElementById("live-play").textContent === "Pause" ? requestAnimationFrame(tick) : resolve();
    };
    requestAnimationFrame(tick);
  });
  seen.disconnect();
  return { first: moved[0] - begin, ready, frames };
}"""


def main() -> None:
    """Prints all measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path, help="a study's index.html")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--figure", type=Path, help="where to write a picture of the page")
    options = parser.parse_args()
    print(f"{options.page.name}: {options.page.stat().st_size / 1e6:.2f} MB")
    first, ready, rates = [], [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(options.repeats):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(f"{options.page.resolve().as_uri()}#live")
            found = page.evaluate(PLAY)
            first.append(found["first"] / 1e3)
            ready.append(found["ready"] / 1e3)
            rates.append(1e3 / float(np.median(np.diff(found["frames"]))))
            page.close()
        if options.figure is not None:
            _draw(browser.new_page(viewport={"width": 1280, "height": 900}), options.page, options.figure)
        browser.close()
    for name, unit, values in (
        ("from play to the first picture", "s", first),
        ("to all 2,000 rows, 20 evaluations", "s", ready),
        ("playback, median of a run", "frames/s", rates),
    ):
        median, low, high = median_and_range(values)
        print(f"{name}: {median:.2f} {unit} ({low:.2f} to {high:.2f})")
    report("page", {"bytes": options.page.stat().st_size, "first_s": first, "ready_s": ready, "frames_a_second": rates})


def _draw(page: Page, path: Path, figure: Path) -> None:
    page.goto(path.resolve().as_uri())
    page.wait_for_timeout(1000)
    page.screenshot(path=figure)


if __name__ == "__main__":
    main()
