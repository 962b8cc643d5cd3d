"""A study's page in headless Chromium: size, seconds until it can be used, and frames per second of playback.

Also the seconds until rows move at the top, and on the two sides of the knobs, and until a test hardly tells the rows
of a network that is trained in the page from held-out ones. With `--tables`, CSV files that are trained on in the page:
the seconds, those of all processors of the browser, and how well its rows pass for the data, beside rows of Python's
`Diffusion`.
"""

import argparse
import io
import shutil
import statistics
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from machine import median_and_range, report
from pointillist import Diffusion
from pointillist.metrics import boosted_two_sample

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

DRAWN_ROWS = 1000
"""Rows of a table that a page draws, and Python."""

ROWS_OF_TABLE = """async (rows) => {
  const { codecs, models, pool } = pointillist;
  const x = await pool.run({ id: "trained here", sampler: "dpm", steps: 20, seed: 0, rows });
  return codecs.get(models.datasets.yours).decode(x);
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
    parser.add_argument("--tables", type=Path, nargs="*", default=(), help="CSV files that the page learns")
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
        tables = [_learn(browser, options.page, path) for path in options.tables]
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
        "tables": tables,
    }
    report("page", {"bytes": size, **numbers})


def _learn(browser: Browser, path: Path, table: Path) -> dict[str, object]:
    """Trains on a table in the page until it stops, and compares its rows and Python's with the data."""
    page = _open(browser, path)
    page.evaluate("document.getElementById('train').scrollIntoView()")
    page.set_input_files("input[type=file]", table)
    page.wait_for_function("() => pointillist.trainer.dataset")
    session = browser.new_browser_cdp_session()

    def spent() -> float:
        return sum(each["cpuTime"] for each in session.send("SystemInfo.getProcessInfo")["processInfo"])

    before = spent()
    page.evaluate("pointillist.trainer.start()")
    page.wait_for_function("() => pointillist.trainer.done", timeout=600_000)
    seconds = page.evaluate("(performance.now() - pointillist.trainer.training.begin) / 1e3")
    found: dict[str, object] = {"table": table.stem, "seconds": seconds, "processor_seconds": spent() - before}
    real = pd.read_csv(table)
    rows = page.evaluate(ROWS_OF_TABLE, DRAWN_ROWS)
    page.close()
    text = pd.DataFrame(rows, columns=real.columns).to_csv(index=False)
    found["page"] = _detection(real, pd.read_csv(io.StringIO(text)))
    found["python"] = _detection(real, Diffusion(random_state=0).fit(real).sample(DRAWN_ROWS, random_state=0))
    print(found)
    return found


def _detection(real: pd.DataFrame, rows: pd.DataFrame) -> dict[str, float]:
    """Scores of a logistic regression and of boosted trees, 1 if neither tells the rows from the data.

    Each score is the mean over parts of the rows that have as many rows as the data.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    n = len(real)
    words = [name for name in real if not pd.api.types.is_numeric_dtype(real[name])]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    # Without shuffling, folds of sorted data would lack classes.
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    linear, trees = [], []
    for first in range(0, max(1, len(rows) - n + 1), n):
        part = rows.iloc[first : first + n]
        both = pd.get_dummies(pd.concat([real, part], ignore_index=True), columns=words, dummy_na=True, dtype=float)
        gaps = both.isna().astype(float).add_suffix(" is missing")
        features = pd.concat([both.fillna(both.mean()), gaps], axis=1)
        area = cross_val_score(model, features, np.repeat([1, 0], [n, len(part)]), cv=folds, scoring="roc_auc").mean()
        linear.append(1 - 2 * max(0.0, float(area) - 0.5))
        sides = [{name: _cells(side[name], name in words) for name in real} for side in (real, part)]
        trees.append(float(boosted_two_sample(*sides).score))
    return {"linear": statistics.mean(linear), "trees": statistics.mean(trees)}


def _cells(column: pd.Series, are_words: bool) -> np.ndarray:
    """A column as the metrics take it: missing words are None."""
    return column.astype(object).where(column.notna(), None).to_numpy() if are_words else column.to_numpy(float)


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
    for step, wait in (("guess", 4000), ("once", 4000), ("knobs", 12_000)):
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
