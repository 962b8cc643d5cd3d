"""Labels outside the model's columns, and missing labels."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pointillist.models.classes import Classes, checked_labels
from pointillist.models.configuration import Configuration
from pointillist.models.fitting import prepare
from pointillist.models.process import Learned
from pointillist.models.request import Request
from pointillist.tables.table import Table


def labels_in(column, known):
    known = np.array(known)
    return Classes(known, np.ones(len(known), np.int64)).labels_in(Table(pa.table({"y": column})).cells[0])


def test_labels_of_the_table_are_used():
    assert labels_in(["A", "AB", None], ["A", "B"]) == ["A", "AB", None]
    assert labels_in([1.0, 1.7], [1, 2]) == [1.0, 1.7] and labels_in([1, None], ["1", "2"]) == ["1", None]
    assert labels_in(pa.array([None, None], pa.string()), ["A", "B"]) == [None, None]
    classes = Classes(np.array(["A", "B"]), np.ones(2, np.int64))
    with pytest.raises(ValueError, match="unknown label 'AB'"):
        classes.indices(["A", "AB"])
    assert Classes(np.array([1, 2]), np.ones(2, np.int64)).indices([2.0, 1.0]).tolist() == [1, 0]


def test_masked_labels_are_missing():
    with pytest.raises(ValueError, match="y has masked labels"):
        checked_labels(np.ma.array([0, 1, 1], mask=[0, 0, 1]), 3)
    with pytest.raises(ValueError, match=r"y has (missing|NaN or infinite) labels"):
        checked_labels(pd.Series([0, 1, None], dtype="Int64"), 3)


def test_unknown_labels_are_refused():
    frame = pd.DataFrame({"kind": ["a", "b", "c", "a"] * 20, "y": [1, 2, 3, 5] * 20})
    plan = prepare(Configuration(process="masked"), Table(pa.Table.from_pandas(frame), "y"), None).plan
    learned = Learned(plan.codec, plan.process, None, Classes(np.array([1, 2, 3, 5]), np.full(4, 20), ("y", 1)))
    for request in (Request(2, labels=4), Request(2, where={"y": 99})):
        with pytest.raises(ValueError, match=r"column 'y' has no (4|99) in the training rows, which have 1, 2, 3, 5"):
            plan.process.plan_sampling(learned, request)


def test_guidance_in_mixed_tables_needs_dropped_labels():
    x = np.random.default_rng(0).normal(size=300)
    y = x + 0.1 * np.random.default_rng(1).normal(size=300)
    frame = pd.DataFrame({"x": x, "y": y, "kind": ["a", "b", "c"] * 100})
    for p_uncond in (0.0, 0.2):
        plan = prepare(Configuration(p_uncond=p_uncond), frame, ["yes", "no"] * 150).plan
        assert plan.process.architecture.tokens.with_number and plan.process.can_guide == (p_uncond > 0)
        learned = Learned(
            plan.codec, plan.process, None, Classes(np.array(["no", "yes"]), np.ones(2, int), ("label", 3))
        )
        if not p_uncond:
            with pytest.raises(ValueError, match="guidance needs a model also trained without labels"):
                plan.process.plan_sampling(learned, Request(2, labels="yes", guidance=1.0))
    alone = prepare(Configuration(p_uncond=0.0), frame[["kind"]], ["yes", "no"] * 150).plan
    assert alone.process.can_guide
