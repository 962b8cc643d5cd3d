"""Pages of fitted models in headless Chromium: size, cells that equal Python's for the same seed, and seconds of draws.

A model of the defaults' size is fitted to the first rows of each table, for a few epochs, and written as a page; page
and `sample` then draw the same rows. A number is near if it is within a hundredth of its column's standard deviation.
The page also draws 250 rows with a number in the middle half of the training rows, and in the lowest 2 %.
"""

import argparse
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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

ROWS_IN_RANGE = 250
RANGES = {"the middle half": (0.25, 0.75), "the lowest 2 %": (0.0, 0.02)}
"""Ranges of the number with most values, as fractions of the training rows."""

IS_DRAWN = """() => document.getElementById("status").textContent.includes(" s, by ")"""


def main() -> None:
    """Prints a line for each table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="a folder with folders `adult` and `default` of `train.csv.gz`")
    parser.add_argument("--tables", nargs="+", default=["adult", "default"])
    parser.add_argument("--columns", type=int, help="first columns that are kept (default: all)")
    parser.add_argument("--fitted", type=int, default=6000, help="rows that a model is fitted to")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--rows", type=int, default=4000, help="rows that are compared")
    options = parser.parse_args()
    found = {}
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name in options.tables:
            table = csv.read_csv(options.data / name / "train.csv.gz").slice(0, options.fitted)
            table = table.select(table.column_names[: options.columns])
            model = Diffusion(epochs=options.epochs, random_state=0).fit(table)
            path = Path(folder) / f"{name}.html"
            model.page(path)
            one = found[name] = {"bytes": path.stat().st_size} | _compared(browser, path, model, options.rows)
            one["ranges"] = {text: _seconds(browser, path, table, ends) for text, ends in RANGES.items()}
            print(
                f"{name:8} {one['bytes'] / 1e6:.2f} MB; tokens equal {one['tokens']:.4%} (least {one['least']:.2%} in "
                f"a column), numbers near {one['numbers']:.2%}; {options.rows:,} rows in {one['seconds']:.1f} s"
            )
            for text, seconds in one["ranges"].items():
                print(f"{'':8} {ROWS_IN_RANGE} rows in {text}: {seconds:.1f} s")
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
            # A page writes 57, and Python 57.0.
            texts = ["" if value is None else str(value).removesuffix(".0") for value in own]
            tokens.append(np.mean([text == cell for text, cell in zip(texts, found[name], strict=True)]))
        else:
            values = np.array(own, float)
            drawn = np.array([cell or "nan" for cell in found[name]], float)
            numbers.append(np.mean(np.isclose(drawn, values, rtol=0, atol=0.01 * np.nanstd(values), equal_nan=True)))
    shares = {"tokens": np.mean(tokens), "least": np.min(tokens), "numbers": np.mean(numbers)}
    return {name: float(share) for name, share in shares.items()} | {"seconds": seconds}


def _seconds(browser: Browser, path: Path, table: pa.Table, fractions: tuple[float, float]) -> float:
    """Seconds that the page prints for rows with a number in a range."""
    numbers = [
        field.name for field in table.schema if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    ]
    column = max(numbers, key=lambda name: pc.count_distinct(table[name]).as_py())
    low, high = pc.quantile(table[column], fractions).to_pylist()
    page = browser.new_page()
    fields = {"rows": ROWS_IN_RANGE, f"from.{column}": low, f"to.{column}": high}
    page.goto(f"{path.as_uri()}#{urlencode(fields)}")
    page.wait_for_function(IS_DRAWN, timeout=300_000)
    found = re.search(r"([\d.]+) s, by", page.locator("#status").text_content() or "")
    page.close()
    assert found
    return float(found[1])


if __name__ == "__main__":
    main()
