"""`pointillist.evaluate`: real rows first, as arrays or frames, of columns of any kind."""

import numpy as np
import pandas
import polars
import pytest

from pointillist import evaluate
from pointillist.evaluation import Evaluation, MixedEvaluation, evaluate_numbers

RNG = np.random.default_rng(0)
DATA, LIKE, HOLDOUT = (RNG.normal(size=(n, 2)) for n in (300, 200, 100))


def mixed(n, shift=0.0):
    kind = RNG.choice(["a", "b"], n)
    return pandas.DataFrame({"kind": kind, "x": RNG.normal(size=n) + shift * (kind == "a"), "n": RNG.integers(0, 5, n)})


def numbers(found):
    return {name: value for name, value in found.to_json().items() if name != "seconds"}


def test_arrays_and_frames_of_numbers_are_the_same():
    expected = evaluate_numbers(LIKE, DATA, names=("p", "q"), holdout=HOLDOUT)
    assert numbers(evaluate(DATA, LIKE, holdout=HOLDOUT))["energy"] == numbers(expected)["energy"]
    frames = [pandas.DataFrame(rows, columns=["p", "q"]) for rows in (DATA, LIKE, HOLDOUT)]
    assert numbers(evaluate(frames[0], frames[1], holdout=frames[2])) == numbers(expected)
    moved = polars.DataFrame(LIKE[:, ::-1], schema=["q", "p"])
    assert numbers(evaluate(frames[0], moved, holdout=frames[2])) == numbers(expected)


def test_labels_of_frames_of_numbers():
    frames = [pandas.DataFrame(rows, columns=["p", "q"]).assign(y=np.arange(len(rows)) % 2) for rows in (DATA, LIKE)]
    found = evaluate(*frames, target="y")
    assert isinstance(found, Evaluation) and found.labels is not None and found.names == ("p", "q")


def test_text_columns_are_compared_too():
    found = evaluate(mixed(300), mixed(200), holdout=mixed(200), target="n")
    assert isinstance(found, MixedEvaluation) and not found.can_be_told_apart and found.target == "n"
    assert "cannot tell" in found.verdict
    assert evaluate(mixed(600), mixed(600, shift=3.0)).can_be_told_apart


@pytest.mark.parametrize(
    ("sides", "options", "message"),
    [
        ((DATA, pandas.DataFrame(LIKE)), {}, "data is an array and another side is a data frame"),
        ((DATA, LIKE), {"target": 0}, "target names a column of data frames"),
        ((mixed(50), mixed(50)), {"target": "colour"}, "target='colour' is no column of every table"),
        ((mixed(50), mixed(50).drop(columns="n")), {}, "n"),
        (
            (pandas.DataFrame(DATA, columns=["a", "b"]), pandas.DataFrame(LIKE, columns=["a", "c"])),
            {},
            "rows has other columns than data: 'b' is in one of them alone",
        ),
        ((DATA[:9], LIKE), {}, r"data has 9 row\(s\) but needs at least 10"),
    ],
)
def test_tables_that_cannot_be_compared(sides, options, message):
    with pytest.raises(ValueError, match=message) as error:
        evaluate(*sides, **options)
    assert "\n" not in str(error.value)
