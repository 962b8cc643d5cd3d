"""`pointillist.evaluate` of arrays and frames with any columns; real rows come first."""

import numpy as np
import pandas
import polars
import pytest

from pointillist import Diffusion, evaluate

RNG = np.random.default_rng(0)
DATA, LIKE, HOLDOUT = (RNG.normal(size=(n, 2)) for n in (300, 200, 100))


def mixed(n, shift=0.0):
    kind = RNG.choice(["a", "b"], n)
    return pandas.DataFrame({"kind": kind, "x": RNG.normal(size=n) + shift * (kind == "a"), "n": RNG.integers(0, 5, n)})


def numbers(found):
    return {name: value for name, value in found.to_json().items() if name != "seconds"}


@pytest.mark.slow
def test_arrays_and_frames_of_numbers_are_the_same():
    tables = [dict(zip("pq", rows.T, strict=True)) for rows in (DATA, LIKE, HOLDOUT)]
    expected = evaluate(tables[0], tables[1], holdout=tables[2])
    from_arrays = numbers(evaluate(DATA, LIKE, holdout=HOLDOUT))
    assert from_arrays["numbers"]["forest"] == numbers(expected)["numbers"]["forest"]
    frames = [pandas.DataFrame(rows, columns=["p", "q"]) for rows in (DATA, LIKE, HOLDOUT)]
    assert numbers(evaluate(frames[0], frames[1], holdout=frames[2])) == numbers(expected)
    moved = polars.DataFrame(LIKE[:, ::-1], schema=["q", "p"])
    assert numbers(evaluate(frames[0], moved, holdout=frames[2])) == numbers(expected)
    assert numbers(evaluate(DATA, frames[1], holdout=HOLDOUT)) == numbers(expected)


@pytest.mark.slow
def test_numeric_frames_may_have_a_target_of_classes():
    frames = [pandas.DataFrame(rows, columns=["p", "q"]).assign(y=np.arange(len(rows)) % 2) for rows in (DATA, LIKE)]
    found = evaluate(*frames, target="y")
    assert found.numbers.names == ("p", "q") and found.columns[-1].kind == "label"


@pytest.mark.slow
def test_a_column_of_arrays_is_predicted_by_its_position():
    rng = np.random.default_rng(0)
    sides = [np.column_stack([x, rng.normal(x)]) for x in rng.normal(size=(3, 300))]
    found = evaluate(*sides, 1)
    assert found.target == "1" and found.rows.utility.measure == "R²"
    classes = [np.column_stack([side[:, 0], side[:, 0] > 0]) for side in sides]
    assert evaluate(*classes, target=1).rows.utility.measure == "AUC"


def test_text_columns_are_compared_too():
    found = evaluate(mixed(300), mixed(200), holdout=mixed(200), target="n")
    assert found.numbers.names == ("x",) and not found.is_distinguishable and found.target == "n"
    assert found.rows.utility.measure == "AUC"
    assert evaluate(mixed(600), mixed(600, shift=3.0)).is_distinguishable


@pytest.mark.parametrize(
    ("sides", "options", "message"),
    [
        ((DATA, mixed(50)), {}, "rows has no column '0', which data has: pass the same columns"),
        ((DATA, LIKE), {"target": 7}, "target='7' is not a column of data: use one of '0', '1'"),
        ((mixed(50), mixed(50)), {"target": "color"}, "target='color' is not a column of data: use one of"),
        ((mixed(50), mixed(50).drop(columns="n")), {}, "rows has no column 'n', which data has"),
        (
            (pandas.DataFrame(DATA, columns=["a", "b"]), pandas.DataFrame(LIKE, columns=["a", "c"])),
            {},
            "rows has no column 'b', which data has: pass the same columns",
        ),
        ((DATA[:9], LIKE), {}, r"data has 9 row\(s\) but needs at least 10"),
    ],
)
def test_incomparable_tables_are_refused(sides, options, message):
    with pytest.raises(ValueError, match=message) as error:
        evaluate(*sides, **options)
    assert "\n" not in str(error.value)


def test_the_order_and_the_names_of_arguments_are_said():
    with pytest.raises(ValueError, match=r"^data is a Diffusion: real rows come first, evaluate\(data, rows\)$"):
        evaluate(Diffusion(), DATA)
    with pytest.raises(ValueError, match=r"^rows is a Diffusion, not a table: draw rows from it"):
        evaluate(DATA, Diffusion())
    with pytest.raises(TypeError, match=r"^evaluate has no parameter 'targt': did you mean 'target'"):
        evaluate(DATA, LIKE, targt=1)
