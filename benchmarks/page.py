"""A study's page in headless Chromium: size, seconds until it can be used, and frames per second of playback.

Also the seconds until rows move at the top, and on the two sides of the knobs, and until a test hardly tells the rows
of a network that is trained in the page from held-out ones.
"""

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from machine import median_and_range, report

WHEN = """const when = (isTrue) => new Promise((resolve) => {
    const wait = () => (isTrue() ? resolve() : requestAnimationFrame(wait));
    wait();
  });"""

PLAY = f"""async () => {{
  {WHEN}
  await when(() => window.pointillist?.explain?.hero.stories.length > 64);
  const frames = [];
  const begin = performance.now();
  await when(() => frames.push(performance.now()) && performance.now() - begin > 5000);
  return frames;
}}"""
"""Frames of the rows at the top, which move from the start."""

DRAWN = f"""async () => {{
  {WHEN}
  await when(() => pointillist.explain.shown.some((step) => step.samplers));
  const {{ duel }} = pointillist.explain.shown.find((step) => step.samplers);
  const begin = performance.now();
  document.querySelector("[data-preset=sampler]").click();
  await when(() => duel.clock.share > 0);
  return performance.now() - begin;
}}"""

TRAIN = """async (set) => {
  const { trainer } = pointillist;
  document.getElementById("train").scrollIntoView();
  trainer.choose(set);
  trainer.start();
  const { training } = trainer;
  const reached = () => training.scores.find(([, value]) => value <= 0.55);
  await new Promise((resolve) => {
    const wait = () => (reached() || !trainer.worker ? resolve() : setTimeout(wait, 50));
    wait();
  });
  trainer.stop();
  return { seconds: reached()?.[0] ?? null };
}"""

BUSY = """() => {
  const program = URL.createObjectURL(new Blob(["while (true) {}"]));
  window.busy = [0, 1].map(() => new Worker(program));
}"""
"""Starts two workers that do nothing else than to keep a core busy each."""

THROTTLE = 4
"""How many times slower the processor is made for the time until the page can be used."""


def main() -> None:
    """Prints all measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path, help="a study's index.html")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--train", default="moons", help="the set on which a network is trained")
    parser.add_argument("--figures", type=Path, help="a folder for pictures of the page")
    options = parser.parse_args()
    size = options.page.stat().st_size
    print(f"{options.page.name}: {size / 1e6:.2f} MB")
    loaded, first, ready, trained = [], [], [], []
    rates: dict[bool, list[float]] = {False: [], True: []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(options.repeats):
            loaded.append(_seconds_to_use(browser, options.page))
            page = _open(browser, options.page)
            page.wait_for_function("() => pointillist.explain.hero.isReady")
            first.append(page.evaluate("performance.now()") / 1e3)
            for is_busy, own in rates.items():
                if is_busy:
                    page.evaluate(BUSY)
                frames = page.evaluate(PLAY)
                own.append(1e3 * (len(frames) - 1) / (frames[-1] - frames[0]))
            page.close()
            page = _open(browser, options.page, "#knobs")
            ready.append(page.evaluate(DRAWN) / 1e3)
            page.close()
        for _ in range(min(3, options.repeats)):
            page = _open(browser, options.page)
            trained.append(page.evaluate(TRAIN, options.train))
            page.close()
        if options.figures is not None:
            _draw(browser, options.page, options.figures)
        browser.close()
    for name, unit, values in (
        (f"until it can be used, processor {THROTTLE} times slower", "s", loaded),
        ("until rows move at the top", "s", first),
        ("to 1,000 rows on both sides of the knobs, 20 evaluations", "s", ready),
        ("playback", "frames/s", rates[False]),
        ("playback beside two busy workers", "frames/s", rates[True]),
    ):
        median, low, high = median_and_range(values)
        print(f"{name}: {median:.2f} {unit} ({low:.2f} to {high:.2f})")
    for one in trained:
        reached = "not reached" if one["seconds"] is None else f"{one['seconds']:.1f} s"
        print(f"training on {options.train} until a test is right in at most 55 %: {reached}")
    numbers = {
        "first_s": first,
        "ready_s": ready,
        "frames_a_second": rates[False],
        "frames_a_second_busy": rates[True],
        "loaded_s": loaded,
        "trained": trained,
    }
    report("page", {"bytes": size, **numbers})


def _open(browser: Browser, path: Path, fragment: str = "", **options: object) -> Page:
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
    page.goto(path.resolve().as_uri() + fragment)
    page.wait_for_function("() => document.documentElement.dataset.isReady")
    return page


def _seconds_to_use(browser: Browser, path: Path) -> float:
    """Seconds from the navigation until all scripts have run."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": THROTTLE})
    page.goto(path.resolve().as_uri())
    seconds = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd") / 1e3
    page.close()
    return seconds


def _draw(browser: Browser, path: Path, folder: Path) -> None:
    """Writes five pictures."""
    page = _open(browser, path, viewport={"width": 1280, "height": 840})
    page.wait_for_function("() => pointillist.explain.hero.clock.share >= 1")
    page.locator(".hero-stage .play").click()
    _save(page.screenshot(), folder / "page.png")
    for step, wait in (("denoise", 2500), ("once", 4000), ("knobs", 12_000)):
        part = page.locator(f"[data-step={step}]")
        part.scroll_into_view_if_needed()
        page.wait_for_timeout(wait)
        _save(part.screenshot(), folder / f"page_{step}.png")
    page.set_viewport_size({"width": 1280, "height": 1200})
    page.evaluate(TRAIN, "moons")
    page.wait_for_timeout(2500)
    _save(page.locator("#train").screenshot(), folder / "page_train.png")
    page.close()
    narrow = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "device_scale_factor": 2}
    page = _open(browser, path, **narrow)
    page.locator("[data-sets] button", has_text="helix").click()
    part = page.locator("[data-step=knobs]")
    part.scroll_into_view_if_needed()
    part.locator("[data-preset=guidance]").click()
    page.wait_for_timeout(8000)
    part.locator(".step-stages").scroll_into_view_if_needed()
    _save(page.screenshot(), folder / "page_phone.png")


def _save(png: bytes, path: Path) -> None:
    """Writes a picture with few colors: a fraction of the bytes."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
