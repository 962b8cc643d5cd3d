"""Compares dates written as integers with NumPy's calendar."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import norm

from pointillist import Diffusion
from pointillist.columns.kinds import fit_encoder
from pointillist.files.reading import read_table
from pointillist.tables.calendar_dates import are_dates, dates_after, dates_before, has_dates, nearest_dates
from pointillist.tables.table import Column, Table

RNG = np.random.default_rng(0)


def written(days):
    return np.array([int(str(day).replace("-", "")) for day in days], float)


CALENDAR = written(np.arange(np.datetime64("1899-12-25"), np.datetime64("2101-01-05")))
DATES = written(np.datetime64("2022-06-01") + RNG.integers(0, 900, 300))


def test_neighboring_dates_follow_the_calendar():
    values = np.concatenate([np.arange(20231200.0, 20241400), RNG.uniform(19000101, 20991231, 50_000)])
    before = CALENDAR[np.searchsorted(CALENDAR, values, side="right") - 1]
    after = CALENDAR[np.searchsorted(CALENDAR, values)]
    np.testing.assert_array_equal(dates_before(values), before)
    np.testing.assert_array_equal(dates_after(values), after)
    np.testing.assert_array_equal(nearest_dates(values), np.where(values - before <= after - values, before, after))


def test_other_integers_are_not_dates():
    assert are_dates(CALENDAR) and are_dates(np.array([20240229.0]))
    for other in ([20230229], [20241301], [20240100], [20240101.5], [17991231], [22000101], [20240101, 0], []):
        assert not are_dates(np.array(other, float))
    assert has_dates(np.stack([DATES, RNG.normal(size=300)], axis=1))
    assert not has_dates(np.stack([RNG.integers(1e7, 3e7, 300), np.full(300, 20240101.0)], axis=1))


@pytest.mark.parametrize("fraction", [0.0, 1.0], ids=["intervals", "scores"])
def test_a_column_of_dates_contains_only_dates(fraction):
    code = fit_encoder("day", Column(DATES, np.zeros(300, bool)), explained=fraction)
    tokens, _ = code.encode(Column(DATES, np.zeros(300, bool)))
    tokens = np.floor(tokens) + RNG.random(300) * code.has_intervals
    drawn = code.decode(tokens, RNG.normal(size=(300, 1))).values
    assert are_dates(drawn) and len(np.setdiff1d(drawn, DATES)) > 9
    assert DATES.min() <= drawn.min() and drawn.max() <= DATES.max()
    between = np.array([20240199.0])
    assert code.bounded(between, 1.0) == 20240201 and code.bounded(between, -1.0) == 20240131


@pytest.mark.parametrize("fraction", [0.0, 1.0], ids=["intervals", "scores"])
def test_days_at_the_ends_of_months_are_no_more_frequent_than_others(fraction):
    """There are 70 numbers between 20240131 and 20240201, and one day."""
    values = CALENDAR[50000:50900:3]
    code = fit_encoder("day", Column(values, np.zeros(300, bool)), explained=fraction)
    fractions = (np.arange(20_000) + 0.5) / 20_000
    tokens = fractions * code.n_intervals if code.has_intervals else np.zeros(20_000)
    drawn = code.decode(tokens, norm.ppf(fractions)[:, None]).values
    for day in (1, 2, 15, 30, 31):
        n = (CALENDAR[50000:50900] % 100 == day).sum()
        # Between two rows, days are equally probable, up to where in its day each row counts.
        assert (drawn % 100 == day).mean() == pytest.approx(n / 900, rel=3 / (12 * n) ** 0.5)


def test_every_container_returns_dates_in_their_original_form(tmp_path):
    frame = pd.DataFrame({"day": DATES.astype("int32"), "x": RNG.normal(size=300)})
    frame.to_csv(tmp_path / "a.csv", index=False)
    for table in (frame, pa.Table.from_pandas(frame), read_table(tmp_path / "a.csv"), frame.to_numpy()):
        model = Diffusion(epochs=1, width=8, depth=1, random_state=0).fit(table)
        rows = model.sample(300, random_state=0)
        drawn = (rows["day"].to_numpy() if hasattr(rows, "columns") else rows[:, 0]).astype(float)
        assert are_dates(drawn) and len(np.unique(drawn)) > 100
    assert model.sample(2, where={0: 20240320}, random_state=0)[:, 0].tolist() == [20240320] * 2


def test_dates_written_as_integers_can_be_requested(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("day,x\n" + "".join(f"{day:.0f},a\n" for day in DATES))
    table = read_table(path, types={"day": "date"})
    assert isinstance(table, Table) and table.arrow["day"].to_pylist() == DATES.tolist()
    path.write_text("day,x\n20240131,a\n20240132,b\n")
    with pytest.raises(ValueError, match="column 'day' cannot be read as date, as not every cell is a date or time"):
        read_table(path, types={"day": "date"})
