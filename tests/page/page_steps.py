"""Helpers of page tests: set random weights, fill cells, and read downloads."""

import csv
import io

import jax
import numpy as np
from pyarrow import csv as csv_of


def with_random_weights(model):
    """Returns the model with random weights, so that predictions depend on every weight."""
    rng = np.random.default_rng(0)

    def normal(leaf):
        return rng.normal(size=leaf.shape, scale=leaf.shape[0] ** -0.5 if leaf.ndim > 1 else 0.1).astype(np.float32)

    object.__setattr__(model.model_, "network", jax.tree.map(normal, model.model_.network))
    return model


def as_csv(table):
    text = io.BytesIO()
    csv_of.write_csv(table, text)
    return text.getvalue().decode()


def csv_lines(text):
    """Returns the lines of CSV as lists of cells."""
    return list(csv.reader(io.StringIO(text)))


def fill(page, text):
    """Lets a page fill the missing cells of CSV."""
    page.fill("#table-text", text)
    page.click("#fill button[type=submit]")


def wait_until_filled(page):
    page.wait_for_function("() => document.querySelector('#fill-status').textContent.includes('filled in')")


def downloaded(page, button, path):
    """Returns the lines of the CSV file that a button of a page downloads."""
    with page.expect_download() as download:
        page.click(button)
    download.value.save_as(path)
    return csv_lines(path.read_text())
