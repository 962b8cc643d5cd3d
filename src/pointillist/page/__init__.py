"""A fitted model as a page: one HTML file that draws rows in a browser, without a server or a network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from pointillist.atomic_files import check_writable, write_whole
from pointillist.columns.kinds import KINDS
from pointillist.columns.pair_counts import MOST_ROWS
from pointillist.models.row_model import RowModel
from pointillist.page.mixed import mixed_content
from pointillist.page.numbers import number_content
from pointillist.page.parts import ENGINE, SECURITY, as_json, code, environment, kernel, script, worker
from pointillist.page.weights import deflated

WORKER = (
    *ENGINE,
    *("engine/threefry.js", "observed_rows.js", "populations.js", "twisting.js", "drawing.js"),
    *("numbers.js", "mixed_networks.js", "mixed.js"),
)
"""Scripts of the page's workers."""

FIRST = ("engine/weights.js", "start.js")
"""Scripts that unpack the others."""

COLUMNS = tuple(f"columns/{kind}.js" for kind, encoder in KINDS.items() if encoder.is_on_pages)

SCRIPTS = (
    *("elements.js", "engine/workers.js", "classes.js", "csv.js"),
    *("columns/mathematics.js", "columns/formats.js", "columns/column.js", "columns/grids.js"),
    *COLUMNS,
    *("columns/scaled.js", "rules.js", "table.js", "incomplete_rows.js", "in_ranges.js", "fields.js", "pairs.js"),
    *("pictures.js", "guess.js", "fill.js", "model.js"),
)
"""Scripts of the page, in the order in which it runs them."""

OF_KIND = {
    "numbers": {"observed_rows.js", "numbers.js", "classes.js", "columns/scaled.js"},
    "mixed": {"mixed_networks.js", "mixed.js", "columns/grids.js", "rules.js", *COLUMNS},
}
"""Scripts that only pages of one kind of model need."""

CONTENTS = {"gaussian": number_content, "masked": mixed_content}
"""Functions that describe a model for its page, by the kind of its process."""


@dataclass(frozen=True)
class Verdict:
    """The verdict of an evaluation of a model's rows.

    Attributes:
        text: The verdict in words.
        is_distinguishable: Whether a test distinguishes the rows from the data.
    """

    text: str
    is_distinguishable: bool

    @classmethod
    def from_json(cls, content: Any) -> "Verdict":
        """Read the verdict from the JSON of `pointillist evaluate --json`; raise a ValueError if there is none."""
        found = content if isinstance(content, dict) else {}
        text, is_distinguishable = found.get("verdict"), found.get("is_distinguishable")
        if not isinstance(text, str) or not isinstance(is_distinguishable, bool):
            raise ValueError("holds no verdict: give a file that `pointillist evaluate --json` wrote")
        return cls(text, is_distinguishable)


def write_page(model: RowModel, path: Path, title: str | None = None, verdict: Verdict | None = None) -> None:
    """Write a model's page, whole or not at all.

    Args:
        model: The model.
        path: The HTML file.
        title: Title of the page; the file's name without its ending by default.
        verdict: Verdict of an evaluation of the model's rows, which the page then shows.

    Raises:
        ValueError: If no page can be made of the model.
        OSError: If the file cannot be written.
    """
    check_writable(path)
    write_whole(path, render(model, path.stem if title is None else title, verdict))


def render(model: RowModel, title: str, verdict: Verdict | None = None) -> str:
    """Render the HTML of a model's page, or raise a ValueError; the same model gives the same text."""
    content = model_content(model)
    template = environment(__package__).get_template("model.html.j2")
    return template.render(
        title=title,
        verdict=verdict,
        content=content,
        data=as_json(content),
        worker=_packed(worker(map(code, _needed(WORKER, content["model"])))),
        first=FIRST,
        scripts=_packed(Markup("\n").join(map(script, _needed(SCRIPTS, content["model"])))),
        security=SECURITY,
    )


def table_worker() -> Markup:
    """Return the worker's program for models of mixed columns, deflated."""
    return _packed(worker(map(code, _needed(WORKER, {"kind": "mixed", "with_number": True}))))


def _packed(text: str) -> Markup:
    """Deflate a text, to a third of its length."""
    return Markup(deflated(text.encode(), has_repeats=True))


def _needed(scripts: Sequence[str], model: dict[str, Any]) -> list[str]:
    """Return the scripts that the page of a model needs."""
    unused = {name for kind, names in OF_KIND.items() if kind != model["kind"] for name in names}
    if model["kind"] == "mixed" and not model["with_number"]:
        unused.add("twisting.js")
    return [name for name in scripts if name not in unused]


def model_content(model: RowModel) -> dict[str, Any]:
    """Return everything that a page holds of a model, as JSON values; raise a ValueError if no page can hold it."""
    content = CONTENTS[model.process.kind](model)
    pairs = None
    if model.summary is not None and (counts := model.summary.pairs) is not None:
        n_bins = counts.counts.shape[-1]
        pairs = {"bins": n_bins, "ends": counts.ends.ravel(), "counts": counts.counts.ravel().astype(float)}
        content["carried"].append(
            f"how many training rows (of up to {MOST_ROWS:,}) lie in each cell of a grid of {n_bins} × {n_bins}, for "
            "each two columns"
        )
    arrays = [np.empty(0)]
    content["columns"], content["pairs"] = _without_arrays([content["columns"], pairs], arrays)
    numbers = np.concatenate(arrays).astype("<f8")
    # All first bytes come before all second bytes, so that neighbors are alike.
    content["numbers"] = deflated(numbers.view(np.uint8).reshape(-1, 8).T.tobytes(), has_repeats=True)
    content["privacy"] = None
    if guarantee := model.record.guarantee:
        content["privacy"] = {"line": guarantee.line, "public": "; ".join(guarantee.public)}
        content["carried"][1:] = [
            "names, types, categories, ranges and distributions of columns, as they were declared, or measured "
            "with noise"
        ]
    return content | {"kernel": kernel()}


def _without_arrays(value: Any, arrays: list[np.ndarray]) -> Any:
    """Move the arrays in a value to a list, and leave the index of their first number and their length."""
    if isinstance(value, np.ndarray):
        first = sum(map(len, arrays))
        arrays.append(value)
        return {"first": first, "length": len(value)}
    if isinstance(value, dict):
        return {key: _without_arrays(each, arrays) for key, each in value.items()}
    return [_without_arrays(each, arrays) for each in value] if isinstance(value, list) else value
