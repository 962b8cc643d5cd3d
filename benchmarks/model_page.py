"""Pages of fitted models in headless Chromium: their size, and how many cells are those of Python for the same seed.

A model of the defaults' size is fitted to the first rows of each table, for a few epochs, and written as a page; page
and `sample` then draw the same rows. A number is near if it is within a hundredth of its column's standard deviation.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, sync_playwright
from pyarrow import csv

from machine import report
from pointillist import Diffusion
from pointillist.columns.table_encoder import TableEncoder

DRAW = """async (asked) => {
  const table = await pointillist.draw(asked);
  const rows = Array.from({ length: table.rows }, (_, r) => r);
  return Object.fromEntries(table.columns.map(({ name }, c) => [name, rows.map((r) => table.text(c, r))]));
}"""


def main() -> None:
    """Prints a line for each table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="a folder with folders `adult` and `default` of `train.csv.gz`")
    parser.add_argument("--tables", nargs="+", default=["adult", "default"])
    parser.add_argument("--fitted", type=int, default=6000, help="rows that a model is fitted to")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--rows", type=int, default=4000, help="rows that are compared")
    options = parser.parse_args()
    found = {}
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name in options.tables:
            table = csv.read_csv(options.data / name / "train.csv.gz").slice(0, options.fitted)
            model = Diffusion(epochs=options.epochs, random_state=0).fit(table)
            path = Path(folder) / f"{name}.html"
            model.page(path)
            one = found[name] = {"bytes": path.stat().st_size} | _compared(browser, path, model, options.rows)
            print(
                f"{name:8} {one['bytes'] / 1e6:.2f} MB; tokens equal {one['tokens']:.4%} (least {one['least']:.2%} in "
                f"a column), numbers near {one['numbers']:.2%}; {options.rows:,} rows in {one['seconds']:.1f} s"
            )
    report("model_page", found)


def _compared(browser: Browser, path: Path, model: Diffusion, n: int) -> dict[str, Any]:
    expected = model.sample(n, random_state=1)
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_function("() => document.querySelector('#csv')?.disabled === false")
    begin = time.perf_counter()
    found = page.evaluate(DRAW, {"rows": n, "seed": 1})
    seconds = time.perf_counter() - begin
    page.close()
    encoding: TableEncoder = model.model_.codec.encoding
    tokens, numbers = [], []
    for name in expected.column_names:
        own = expected[name].to_pylist()
        if encoding.encoder(name).scores is None:
            texts = ["" if value is None else str(value) for value in own]
            tokens.append(np.mean([text == cell for text, cell in zip(texts, found[name], strict=True)]))
        else:
            values = np.array(own, float)
            numbers.append(np.mean(np.abs(values - np.array(found[name], float)) <= 0.01 * values.std()))
    shares = {"tokens": np.mean(tokens), "least": np.min(tokens), "numbers": np.mean(numbers)}
    return {name: float(share) for name, share in shares.items()} | {"seconds": seconds}


if __name__ == "__main__":
    main()
