"""What is tried with one table of the sweep, and what has to come back."""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pointillist import Diffusion, evaluate
from pointillist.models.codec import Codec
from pointillist.models.fitting import prepare
from pointillist.rules.equation import Equation
from pointillist.rules.inequalities import Inequality

TINY = {"width": 16, "depth": 1, "epochs": 1, "random_state": 0}
"""Parameters of fits whose rows need not be good."""

ROWS, COMPARED = 200, 500
"""Most rows that are drawn and filled, and most rows of data that they are compared with."""

OWN_LINES = "is left out", "the noise schedule leaves signal"
"""Warnings that are no fault."""


class Wrong(Exception):
    """Raised where something comes back that should not."""


def try_table(frame: pd.DataFrame, say: Callable[[str], None], *, is_trained: bool = True) -> list[str]:
    """Fits a frame, draws and fills rows, scores, saves and evaluates.

    Args:
        frame: The table.
        say: Is told the name of each stage when it begins.
        is_trained: Whether a network is trained; without one, rows are decoded from random values.

    Returns:
        The warnings, each once.

    Raises:
        Wrong: If something comes back that should not, or a warning is given that tells the user nothing.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (_try if is_trained else _try_untrained)(frame, say)
    found = list(dict.fromkeys(f"{each.category.__name__}: {each.message}" for each in caught))
    for line in found:
        if not any(own in line for own in OWN_LINES):
            raise Wrong(f"warns: {line}")
    return found


def _try(frame: pd.DataFrame, say: Callable[[str], None]) -> None:
    n = min(ROWS, len(frame))
    say("fit")
    model = Diffusion(**TINY).fit(frame)
    say("sample")
    rows = model.sample(n, random_state=0)
    kept = _kept(frame, rows)
    inside = _inside(model.model_.codec)
    _check_rows(rows, kept, inside)
    _same("index of new rows", list(rows.index), list(range(n)))
    say("impute")
    some = kept.sample(n, random_state=0)
    _check_filled(model, some, kept, _inside(model.model_.codec, are_given=True))
    say("score")
    if not np.isfinite(model.score_samples(some.head(50))).all():
        raise Wrong("log-densities of training rows are not finite")
    say("save")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        model.save(path)
        again = Diffusion.load(path).sample(n, random_state=0)
    pd.testing.assert_frame_equal(again, rows)
    say("evaluate")
    if not evaluate(frame.sample(min(COMPARED, len(frame)), random_state=0), rows).verdict:
        raise Wrong("there is no verdict")


def _try_untrained(frame: pd.DataFrame, say: Callable[[str], None]) -> None:
    """Decodes values that fit nothing but the columns: tokens of even chances, and scores beyond those of the table."""
    say("plan")
    codec = prepare(Diffusion(**TINY), frame).plan.codec
    say("decode")
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1.5, (ROWS, codec.width))
    if codec.encoding.n_tokens:
        for place, code in enumerate(codec.encoding.columns):
            values[:, place] = rng.integers(0, code.size, ROWS) + code.has_intervals * rng.random(ROWS)
    rows = codec.layout.restore(codec.decode(values, {}, slice(0, ROWS)))
    _check_rows(rows, _kept(frame, rows), _inside(codec))


def _kept(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of the table that the rows have as well."""
    return frame[[name for name in frame.columns if name in set(rows.columns)]]


def _inside(codec: Codec, *, are_given: bool = False) -> set[str]:
    """Columns of tokens whose numbers stay in the table's range: all but those of many values of a sum.

    If cells are given, one in an order may leave it: a part is no more than a given total, however small that is.
    """
    if not codec.encoding.n_tokens:
        return set()
    summed = {column for rule in codec.rules if isinstance(rule, Equation) for column in rule.columns}
    ordered = {column for rule in codec.rules if isinstance(rule, Inequality) for column in rule.columns}
    codes = enumerate(codec.encoding.columns)
    kept = {code.name for place, code in codes if code.scores is None or place not in summed}
    return kept - {codec.encoding.columns[place].name for place in ordered} if are_given else kept


def _check_filled(model: Diffusion, rows: pd.DataFrame, known: pd.DataFrame, inside: set[str]) -> None:
    """Removes some cells of rows, and checks what they are filled with."""
    holes = np.random.default_rng(0).random(rows.shape) < 0.15
    holed = rows.mask(holes)
    filled = model.impute(holed, random_state=0)
    _check_rows(filled, known, inside)
    _same("index of filled rows", list(filled.index), list(rows.index))
    if filled.isna().any(axis=None):
        raise Wrong(f"cells of {filled.columns[filled.isna().any()].tolist()} are not filled")
    for name in rows.columns:
        given = holed[name].notna().to_numpy()
        _same(f"given cells of {name!r}", filled[name][given].tolist(), rows[name][given].tolist())


def _check_rows(rows: pd.DataFrame, known: pd.DataFrame, inside: set[str]) -> None:
    """Checks columns, types and values of rows against those of the table."""
    _same("columns", list(rows.columns), list(known.columns))
    for name in rows.columns:
        own, old = rows[name], known[name]
        _same(f"type of {name!r}", str(own.dtype), str(old.dtype))
        if own.isna().any() and not old.isna().any():
            raise Wrong(f"{name!r} has missing cells, and has none in the table")
        values, possible = own.dropna(), old.dropna()
        if not pd.api.types.is_numeric_dtype(own.dtype) or own.dtype == bool:
            _same(f"kinds of values of {name!r}", set(map(type, values)) - set(map(type, possible)), set())
            _same(f"new categories of {name!r}", set(values) - set(possible), set())
        elif name in inside and len(values):
            low, high = possible.min(), possible.max()
            if not (values.between(low, high)).all():
                raise Wrong(f"{name!r} goes from {values.min()} to {values.max()}, and in the table {low} to {high}")
            if (possible % 1 == 0).all() and not (values % 1 == 0).all():
                raise Wrong(f"{name!r} is not whole")
        elif not np.isfinite(values.to_numpy(float)).all():
            raise Wrong(f"{name!r} is not finite")


def _same(what: str, own: Any, wanted: Any) -> None:
    if own != wanted:
        raise Wrong(f"{what}: {own!r:.300}, not {wanted!r:.300}")
