"""Checks the cells that a condition allows in a column against decoded cells."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import norm

from pointillist.columns.kinds import fit_encoder
from pointillist.tables.conditions import Between, OneOf, between, missing, one_of, present
from pointillist.tables.table import Column

RNG = np.random.default_rng(0)
N = 5000
WHOLE = np.zeros(N, bool)


def allowed(encoder, arrow_type, condition, order=None):
    return encoder.allowed(condition, arrow_type, order)


def code(values, is_missing=WHOLE, **options):
    return fit_encoder("x", Column(np.asarray(values, float), is_missing), **options)


CONTINUOUS = code(RNG.normal(10, 3, N))
ROUNDED = code(np.round(RNG.gamma(3, 20, N), 2))
FEW = code(RNG.choice([1, 2, 5, 9], N))
MANY = code(RNG.integers(0, 1000, N))
SPIKED = code(np.where(RNG.random(N) < 0.3, 0.0, RNG.gamma(3, 20, N)), RNG.random(N) < 0.1)
BY_INTERVALS = code(RNG.gamma(3, 20, N), explained=0.0)
DATE, DAY = datetime(2020, 1, 1, tzinfo=UTC), 86_400
DAYS = fit_encoder("x", Column(DATE.timestamp() + DAY * RNG.integers(0, 900, N), WHOLE, is_date=True))
TEXTS = fit_encoder("x", Column(RNG.integers(0, 3, N), RNG.random(N) < 0.2, ("Lyon", "Nice", "Paris")))
DOUBLE = pa.float64()


def decoded(code, cells, n=4000):
    """Draws cells uniformly from the allowed pieces and ranges, and decodes them."""
    piece = RNG.integers(0, len(cells.token_values), n)
    tokens = (
        cells.token_values[piece]
        + (cells.low[piece] + RNG.random(n) * (cells.high - cells.low)[piece]) * code.has_intervals
    )
    tokens = np.where(cells.token_values[piece] >= code.n_values, cells.token_values[piece], tokens)
    scores = np.zeros(n)
    if len(cells.ranges):
        low, high = norm.cdf(cells.ranges[RNG.integers(0, len(cells.ranges), n)]).T
        scores = norm.ppf(np.clip(low + RNG.random(n) * (high - low), 1e-7, 1 - 1e-7))
    drawn = code.decode(tokens, scores[:, None])
    return drawn.values[~drawn.is_missing], drawn.is_missing


@pytest.mark.parametrize("column", [CONTINUOUS, ROUNDED, MANY, SPIKED, BY_INTERVALS, FEW])
@pytest.mark.parametrize(("low", "high"), [(5, 9), (None, 4), (8, None)])
def test_between_allows_only_values_in_the_range(column, low, high):
    values, is_missing = decoded(column, allowed(column, DOUBLE, between(low, high)))
    assert not is_missing.any() and len(values)
    slack = 1e-4
    assert (low is None or values.min() >= low - slack) and (high is None or values.max() <= high + slack)


@pytest.mark.parametrize("column", [CONTINUOUS, ROUNDED, SPIKED, BY_INTERVALS])
def test_a_range_has_its_fraction_of_the_training_rows(column):
    found = allowed(column, DOUBLE, between(5, 12))
    mass = np.diff(norm.cdf(found.ranges), axis=1).sum()
    if column is BY_INTERVALS:
        mass = np.sum((found.high - found.low) * np.diff(column.scores.edges)[found.token_values - len(column.atoms)])
    points = column.scores.decode(norm.ppf((np.arange(20_000) + 0.5) / 20_000))
    assert mass == pytest.approx(((points >= 5) & (points <= 12)).mean(), abs=2e-3)


def test_one_of_allows_only_the_listed_values():
    assert allowed(FEW, DOUBLE, one_of(2, 9)).token_values.tolist() == [1, 3]
    assert set(decoded(MANY, allowed(MANY, DOUBLE, one_of(3, 700)))[0]) == {3, 700}
    value = float(ROUNDED.scores.decode(np.zeros(1))[0].round(2))
    assert set(decoded(ROUNDED, allowed(ROUNDED, DOUBLE, one_of(value, 8)))[0].round(2)) <= {value, 8.0}
    found = allowed(TEXTS, pa.string(), one_of("Paris", None))
    assert found.token_values.tolist() == [2, 3]
    assert allowed(TEXTS, pa.string(), present).token_values.tolist() == [0, 1, 2]
    assert allowed(SPIKED, DOUBLE, present).allows_every_number and allowed(
        TEXTS, pa.string(), missing
    ).token_values.tolist() == [3]
    assert len(allowed(SPIKED, DOUBLE, between(0, 0)).ranges) == 0
    values, _ = decoded(BY_INTERVALS, allowed(BY_INTERVALS, DOUBLE, between(20, 20.5)))
    assert values.min() >= 20 - 1e-4 and values.max() <= 20.5 + 1e-4


def test_between_follows_the_order_of_categories():
    order = ("Nice", "Rome", "Lyon", "Paris")
    for (low, high), token_values in [(("Rome", "Lyon"), [0]), ((None, "Lyon"), [0, 1]), (("Lyon", None), [0, 2])]:
        found = allowed(TEXTS, pa.dictionary(pa.int8(), pa.string(), ordered=True), between(low, high), order)
        assert found.token_values.tolist() == token_values and not len(found.ranges)
    for (low, high), message in [
        (("Rome", "Rome"), "column 'x': no training row is between"),
        (
            ("Lyon", "Rome"),
            "between\\('Lyon', 'Rome'\\) is empty: its categories in order are Nice, Rome, Lyon, P",
        ),
        ((None, "Oslo"), "column 'x' has no 'Oslo': its categories in order are Nice"),
    ]:
        with pytest.raises(ValueError, match=message):
            allowed(TEXTS, pa.string(), between(low, high), order)


def test_ends_of_a_range_need_not_occur_in_the_column():
    money = pa.decimal128(5, 2)
    for low, high in ((5, 9), (4.999, 9.001), (Decimal(5), Decimal("9.0"))):
        values, _ = decoded(ROUNDED, allowed(ROUNDED, money, between(low, high)))
        assert values.min() >= 5 and values.max() <= 9
    found = allowed(MANY, pa.int64(), between(3.2, 5.7))
    assert set(decoded(MANY, found)[0]) == {4, 5} and found.ends[:2] == (4, 5)
    found = allowed(
        DAYS, pa.timestamp("s", "UTC"), between(DATE + timedelta(hours=5), DATE + timedelta(days=2, hours=5))
    )
    assert set(decoded(DAYS, found)[0] - DATE.timestamp()) == {DAY, 2 * DAY}
    assert allowed(FEW, money, one_of(2, 9)).token_values.tolist() == [1, 3]
    for kind in (money, DOUBLE, pa.int64()):
        assert allowed(FEW, kind, between(2, np.inf)).token_values.tolist() == [1, 2, 3]


def test_pandas_na_means_a_missing_cell():
    with pytest.raises(ValueError, match="an end of between is missing"):
        between(pd.NA, 3)
    with_na, with_none = (allowed(TEXTS, pa.string(), one_of("Lyon", cell)) for cell in (pd.NA, None))
    assert with_na.token_values.tolist() == with_none.token_values.tolist()


@pytest.mark.parametrize(
    ("column", "kind", "condition", "message"),
    [
        (TEXTS, pa.string(), between("a", "b"), "holds categories, which have no order: use one_of"),
        (TEXTS, pa.string(), one_of("Rome"), "column 'x' has no 'Rome' in the training rows, which have 'Lyon'"),
        (FEW, DOUBLE, between(6, 8), "column 'x': no training row is between\\(6, 8\\); its values go from 1 to 9"),
        (FEW, DOUBLE, one_of(3, 4), "column 'x': no training row is 3$"),
        (FEW, DOUBLE, one_of(1, 4), "column 'x': no training row is 4$"),
        (CONTINUOUS, DOUBLE, between(100, None), "no training row is between\\(100, None\\)"),
        (CONTINUOUS, DOUBLE, between(10, 10), "no training row is between\\(10, 10\\)"),
        (ROUNDED, DOUBLE, between(5.021, 5.024), "no training row is between\\(5.021, 5.024\\)"),
        (ROUNDED, DOUBLE, one_of(5.021, 5.024), "no training row is 5.021$"),
        (MANY, pa.int64(), between(3.2, 3.8), "no training row is between\\(3.2, 3.8\\)"),
        (CONTINUOUS, DOUBLE, one_of(9, 10), "no training row is 9$"),
        (CONTINUOUS, DOUBLE, missing, "has no missing cells in the model"),
        (CONTINUOUS, DOUBLE, between("a", "b"), "column 'x' holds double, not 'a'"),
        (FEW, DOUBLE, one_of(1, None), "has no missing cells in the model"),
    ],
)
def test_impossible_conditions_are_refused_in_one_line(column, kind, condition, message):
    with pytest.raises(ValueError, match=message) as raised:
        allowed(column, kind, condition)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: between(), "between needs a low or a high end"),
        (lambda: between(3, 2), "between\\(3, 2\\) is empty"),
        (lambda: between(np.nan, 2), "an end of between is missing"),
        (lambda: between("a", 2), "the ends of between must be of one kind"),
        (lambda: one_of(), "one_of needs at least one value"),
    ],
)
def test_invalid_conditions_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_equal_conditions_compare_and_hash_equal():
    assert between(1, 2) == Between(1, 2) and one_of(1, 1, 2) == OneOf((1, 2)) and hash(present) == hash(present)
    assert [str(each) for each in (present, missing, one_of("a"))] == ["present", "missing", "one_of('a')"]
