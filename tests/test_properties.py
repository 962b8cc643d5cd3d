"""Properties of fitted models for any rows: files, shapes and types, seeds, scales."""

from functools import cache

import numpy as np
import pandas
import polars
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointillist import Diffusion
from pointillist.columns.scaling import SCALINGS, TableScaling

# Few shapes and one architecture, because each other one needs another compilation.
N = 24
WIDTHS = (1, 2, 5)
QUICK = {"timesteps": 4, "width": 8, "depth": 1, "epochs": 1, "batch_size": 8}
DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "float32", "float64", "bool")
KINDS = {
    "array": None,
    "pandas": pandas.DataFrame,
    "polars": polars.DataFrame,
    "pyarrow": pyarrow.table,
}
LABELS = {
    "none": None,
    "int": np.arange(N) % 3 * 7 - 3,
    "str": np.array(["a", "ß", "c d"])[np.arange(N) % 3],
    "bool": np.arange(N) % 3 > 0,
}


def column(rng, dtype):
    if dtype == "bool":
        return rng.permutation(np.arange(N) % 2 > 0)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=N).astype(dtype)
    # Not beyond what float64 holds.
    low, high = max(np.iinfo(dtype).min, -(2**53)), min(np.iinfo(dtype).max, 2**53)
    edge = rng.integers(low, high, 2, endpoint=True)
    return rng.integers(edge.min(), max(edge) if edge[0] != edge[1] else high, N, dtype=dtype, endpoint=True)


@st.composite
def tables(draw):
    """The kind, and the rows."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind, d = draw(st.sampled_from(list(KINDS))), draw(st.sampled_from(WIDTHS))
    # One type in an array.
    n_types = 1 if kind == "array" else d
    dtypes = draw(st.lists(st.sampled_from(DTYPES), min_size=n_types, max_size=n_types))
    columns = [column(rng, dtype) for dtype in (dtypes * d)[:d]]
    columns[0][:2] = [0, 1]  # so that not all are constant
    if kind == "array":
        return kind, np.stack(columns, axis=1)
    return kind, KINDS[kind]({f"c {i}": values for i, values in enumerate(columns)})


def schema(rows):
    if isinstance(rows, np.ndarray):
        return rows.dtype, rows.shape[1]
    return dict(rows.dtypes) if isinstance(rows, pandas.DataFrame) else rows.schema


def plain(rows):
    """As one array of float64, of an array or of any frame."""
    if isinstance(rows, np.ndarray):
        return rows.astype(np.float64)
    names = rows.column_names if isinstance(rows, pyarrow.Table) else list(rows.columns)
    return np.stack([np.asarray(rows[name]).astype(np.float64) for name in names], axis=1)


def assert_same(found, expected):
    assert type(found) is type(expected) and schema(found) == schema(expected)
    np.testing.assert_array_equal(plain(found), plain(expected))


@pytest.mark.slow
@settings(max_examples=8)
@given(
    table=tables(), labels=st.sampled_from(list(LABELS)), scaling=st.sampled_from(list(SCALINGS)), n=st.integers(0, 40)
)
def test_a_model_comes_back_from_its_file(tmp_path_factory, table, labels, scaling, n):
    _, rows = table
    if scaling is None:
        # Numbers of any size would make training diverge.
        rows = np.random.default_rng(n).normal(size=(N, 2))
    model = Diffusion(**QUICK, scaling=scaling, random_state=n).fit(rows, LABELS[labels])
    path = tmp_path_factory.mktemp("models") / "m"
    model.save(path)
    again = Diffusion.load(path)
    assert again.get_params() == model.get_params() and again.model_.codec.layout == model.model_.codec.layout
    assert vars(again.model_.record)["fingerprint"] == model.model_.record.fingerprint
    has_labels = labels != "none"
    options = {"return_labels": has_labels, "guidance": 0.5 * has_labels, "random_state": 7}
    found, expected = again.sample(n, **options), model.sample(n, **options)
    if has_labels:
        assert again.classes_.dtype == model.classes_.dtype and again.classes_.tolist() == model.classes_.tolist()
        np.testing.assert_array_equal(found[1], expected[1])
        found, expected = found[0], expected[0]
    assert_same(found, expected)
    again.save(path.with_name("n"))
    assert path.with_name("n").read_bytes() == path.read_bytes()


@pytest.mark.slow
@settings(max_examples=15)
@given(table=tables(), n=st.integers(0, 1200), seed=st.integers(0, 2**32 - 1))
def test_rows_are_drawn_as_the_rows_were_that_were_given(table, n, seed):
    kind, rows = table
    model = Diffusion(**QUICK, random_state=0).fit(rows)
    found = model.sample(n, random_state=seed)
    assert type(found) is type(rows) and schema(found) == schema(rows) and len(found) == n
    given, drawn = plain(rows), plain(found)
    low, high = given.min(axis=0), given.max(axis=0)
    types = [np.dtype(name) for name in model.model_.codec.layout.types]
    whole = np.array([dtype.kind in "biu" for dtype in types])
    # A tenth of half the range beyond it, and the rounding of float32.
    margin = np.where(whole, 0.0, 0.1 * (high - low) / 2 + 1e-5 * np.maximum(abs(low), abs(high)))
    assert (drawn >= low - margin).all() and (drawn <= high + margin).all()
    assert (drawn[:, whole] == np.round(drawn[:, whole])).all()
    if kind != "array":
        assert model.feature_names_in_.tolist() == [f"c {i}" for i in range(given.shape[1])]


@cache
def fitted(d, has_classes):
    rows = np.random.default_rng(d).normal(size=(N, d))
    return Diffusion(**QUICK, random_state=0).fit(rows, LABELS["str"] if has_classes else None)


@st.composite
def draws(draw):
    """A model, a number of rows and options; and a smaller number of rows with the same options."""
    d, n = 2, draw(st.integers(1, 1200))
    few = draw(st.integers(1, n))
    has_classes = draw(st.booleans())
    options = {
        "random_state": draw(st.integers(0, 2**32 - 1)),
        "sampler": draw(st.sampled_from(["ancestral", "ddim"])),
        "steps": draw(st.sampled_from([None, 2])),
    }
    first = {}
    if draw(st.booleans()):
        options["prior"] = np.random.default_rng(n).normal(size=(n, d))
        first["prior"] = options["prior"][:few]
        options["deterministic"] = draw(st.booleans())
    if has_classes:
        options["return_labels"] = True
        options["guidance"] = draw(st.sampled_from([0.0, 1.5]))
        if draw(st.booleans()):
            options["labels"] = np.random.default_rng(n).choice(["a", "ß", "c d"], n)
            first["labels"] = options["labels"][:few]
    return (d, has_classes), n, options, few, options | first


def pairs(drawn):
    """Rows, and labels or None."""
    return drawn if isinstance(drawn, tuple) else (drawn, None)


@pytest.mark.slow
@settings(max_examples=10)
@given(draw=draws())
def test_the_same_seed_gives_the_same_rows(draw):
    which, n, options, few, first = draw
    model = fitted(*which)
    rows, labels = pairs(model.sample(n, **options))
    assert rows.shape == (n, model.n_features_in_)
    again, again_labels = pairs(model.sample(n, **options))
    np.testing.assert_array_equal(again, rows)
    np.testing.assert_array_equal(again_labels, labels)
    some, some_labels = pairs(model.sample(few, **first))
    np.testing.assert_array_equal(some, rows[:few])
    np.testing.assert_array_equal(some_labels, None if labels is None else labels[:few])
    batches = [pairs(batch) for batch in model.sample_batches(n, **options)]
    np.testing.assert_array_equal(np.concatenate([batch for batch, _ in batches]), rows)
    if labels is not None:
        np.testing.assert_array_equal(np.concatenate([part for _, part in batches]), labels)
        assert "labels" not in options or (labels == options["labels"]).all()


@pytest.mark.parametrize("method", ["minmax", "standard"])
@settings(max_examples=15)
@given(
    scale=st.floats(-12, 12).map(lambda power: 10.0**power),
    offset=st.floats(-1e3, 1e3),
    d=st.sampled_from(WIDTHS),
    n=st.integers(2, 60),
    seed=st.integers(0, 2**32 - 1),
)
def test_scaled_rows_come_back(method, scale, offset, d, n, seed):
    rows = scale * (offset + np.random.default_rng(seed).normal(size=(n, d)))
    scaling = TableScaling.fit(rows, method, np.zeros(d, bool))
    scaled = scaling.transform(rows)
    assert scaled.dtype == np.float32 and scaled.shape == (n, d) and np.isfinite(scaled).all()
    width = np.ptp(rows, axis=0)
    # Rounding of float32 within the range (as a fraction of it), and of float64 for the offset.
    tolerance = 1e-6 * width + 4 * np.spacing(np.abs(rows).max(axis=0))
    assert (np.abs(scaling.inverse(scaled) - rows) <= tolerance).all()
    # The scaled rows do not depend on the unit.
    other = TableScaling.fit(rows / scale, method, np.zeros(d, bool)).transform(rows / scale)
    np.testing.assert_allclose(scaled, other, atol=1e-5)
