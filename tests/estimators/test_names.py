"""Drawn and filled frames keep names of any kind, the index, and days without times."""

from datetime import date

import numpy as np
import pandas
import pytest

from pointillist import Diffusion

QUICK = {"timesteps": 5, "width": 16, "depth": 1, "epochs": 1, "random_state": 0}
N = 40
RNG = np.random.default_rng(0)


def frame(names, **options):
    """Returns a column of categories with missing cells and a column of numbers."""
    kind = RNG.choice(["a", "b"], N).astype(object)
    kind[::7] = None
    made = pandas.DataFrame({0: kind, 1: RNG.normal(size=N)}, **options)
    made.columns = names
    return made


NAMES = {
    "numbers": [0, 1],
    "a number and its text": [1, "1"],
    "dates": pandas.to_datetime(["2024-01-01", "2024-02-01"]),
    "none and a fraction": pandas.Index([None, 0.5], dtype=object),
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_names_index_and_given_cells_are_kept(names, tmp_path):
    data = frame(names).sample(frac=1, random_state=1)
    first, second = data.columns
    model = Diffusion(**QUICK).fit(data)
    model.save(tmp_path / "m")
    again = Diffusion.load(tmp_path / "m")
    rows = again.sample(5, where={first: "a", second: 0.25})
    pandas.testing.assert_index_equal(rows.columns, data.columns)
    assert set(rows[first]) == {"a"} and set(rows[second]) == {0.25}
    filled = again.impute(data, random_state=0)
    pandas.testing.assert_index_equal(filled.index, data.index)
    pandas.testing.assert_index_equal(filled.columns, data.columns)
    assert not filled.isna().any(axis=None)
    given = data.notna()
    assert (filled[given] == data[given])[given].eq(True).to_numpy()[given.to_numpy()].all()
    assert data.fillna(filled).equals(filled)


@pytest.mark.slow
def test_names_of_tables_of_numbers(tmp_path):
    for names in ([0, 1], [1, "1"], [date(2024, 1, 1), date(2024, 1, 2)]):
        data = pandas.DataFrame(RNG.normal(size=(N, 2)), columns=names)
        model = Diffusion(**QUICK).fit(data)
        model.save(tmp_path / "m")
        rows = Diffusion.load(tmp_path / "m").sample(3)
        assert rows.columns.tolist() == data.columns.tolist()
        assert np.isfinite(model.score_samples(data[:2])).all()
        with pytest.raises(ValueError, match="X has the columns of fit in another order"):
            model.score_samples(data[data.columns[::-1]])


def test_a_series_is_refused():
    for name in ("kind", "size"):
        with pytest.raises(ValueError, match=r"X is a Series, not a table: make a data frame of it, X\.to_frame\(\)"):
            Diffusion(**QUICK).fit(frame(["kind", "size"])[name])


@pytest.mark.slow
def test_labels_keep_their_name():
    data = frame(["kind", "size"])
    model = Diffusion(**QUICK).fit(data, pandas.Series(["no", "yes"] * (N // 2), name="answer"))
    assert model.model_.classes.column == ("answer", 2)
    assert len(model.sample(3, where={"answer": "yes"})) == 3


@pytest.mark.slow
def test_whole_days_keep_their_midnight(tmp_path):
    days = pandas.Series(pandas.to_datetime("2020-01-01") + pandas.to_timedelta(RNG.integers(0, 900, 1000), "D"))
    data = pandas.DataFrame(
        {
            "day": days.astype("datetime64[ns]"),
            "there": days.dt.tz_localize("Europe/Berlin"),
            "hours": pandas.to_timedelta(RNG.integers(0, 900, 1000), "h"),
            "instant": days + pandas.to_timedelta(RNG.integers(0, 10**6, 1000), "us"),
        }
    )
    model = Diffusion(**QUICK).fit(data)
    rows = model.sample(500, random_state=0)
    assert rows.dtypes.equals(data.dtypes)
    assert (rows["day"].dt.normalize() == rows["day"]).all()
    assert (rows["there"].dt.normalize() == rows["there"]).all()
    assert (rows["hours"] % pandas.Timedelta("1h") == pandas.Timedelta(0)).all()
    assert (rows["instant"].dt.normalize() != rows["instant"]).mean() > 0.5
    model.save(tmp_path / "m")
    assert Diffusion.load(tmp_path / "m").sample(500, random_state=0).equals(rows)


def test_names_that_cannot_be_kept():
    for names, message in (
        (["a", "a"], "two columns have the same name"),
        ([1, True], "two columns have the same name"),
        ([None, 1.0], "column names must be text"),
        ([("a", 1), ("a", 2)], "column names must be text, numbers or dates, not .'a', 1.: rename the columns"),
        ([frozenset(), "b"], "column names must be text, numbers or dates"),
    ):
        with pytest.raises(ValueError, match=message):
            Diffusion(**QUICK).fit(frame(names))
