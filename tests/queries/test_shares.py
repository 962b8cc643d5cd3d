"""Rows with given shares of values: exact counts, the closest joint distribution, and clear refusals."""

import numpy as np
import pandas as pd
import pytest

from made_models import untrained
from pointillist import Diffusion, between
from pointillist.queries.shares import SharedColumn, proportional_fit, whole_counts

N = 400


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    city = rng.choice(["Lyon", "Nice", "Paris"], N, p=[0.3, 0.01, 0.69])
    hole = np.where(rng.random(N) < 0.2, None, np.where(rng.random(N) < 0.5, "x", "y"))
    return pd.DataFrame(
        {
            "city": city,
            "north": np.where(city == "Paris", "yes", "no"),
            "kids": rng.integers(0, 4, N),
            "pay": 1000 * np.exp(0.4 * rng.standard_normal(N)),
            "sure": rng.random(N) < 0.3,
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 3, N), "D"),
            "hole": hole,
        }
    )


@pytest.fixture(scope="module")
def model(frame):
    """An untrained model: shares are exact whatever it has learned."""
    fitted = Diffusion(random_state=0)
    fitted._hold(untrained(frame, np.where(frame["pay"] > 1500, "rich", "poor"), process="masked"))
    return fitted


def shared(name, *shares, groups=None):
    n = len(shares) if groups is None else len(groups)
    groups = np.arange(n) if groups is None else np.array(groups)
    return SharedColumn(name, np.arange(n), np.arange(n), groups, np.array(shares))


def test_the_joint_distribution_has_the_shares_and_keeps_the_odds_ratios(rng):
    joint = rng.dirichlet(np.ones(6)).reshape(2, 3)
    fitted = proportional_fit(joint, [shared("a", 0.9, 0.1), shared("b", 0.2, 0.3, 0.5)])
    np.testing.assert_allclose(fitted.sum(axis=1), [0.9, 0.1], atol=1e-9)
    np.testing.assert_allclose(fitted.sum(axis=0), [0.2, 0.3, 0.5], atol=1e-9)
    odds = joint[0] * joint[1, 0] / (joint[1] * joint[0, 0])
    np.testing.assert_allclose(fitted[0] * fitted[1, 0] / (fitted[1] * fitted[0, 0]), odds, rtol=1e-6)


def test_values_without_a_share_keep_their_proportions():
    fitted = proportional_fit(np.array([0.1, 0.6, 0.3]), [shared("a", 0.7, 0.3, groups=[0, 1, 1])])
    np.testing.assert_allclose(fitted, [0.7, 0.2, 0.1])


@pytest.mark.parametrize("n", [1, 7, 1000])
def test_whole_counts_have_all_margins_up_to_rounding(rng, n):
    columns = [shared(i, *rng.dirichlet(np.ones(size))) for i, size in enumerate((3, 4, 5))]
    fitted = proportional_fit(rng.dirichlet(np.ones(60)).reshape(3, 4, 5), columns)
    counts = whole_counts(fitted, columns, n, rng)
    assert counts.sum() == n and (counts >= 0).all()
    for axis, column in enumerate(columns):
        margin = counts.sum(axis=tuple({0, 1, 2} - {axis}))
        assert (np.abs(margin - n * column.shares) < 1).all()
    assert np.abs(counts / n - fitted).max() < 3 / n


def test_whole_counts_are_the_joint_distribution_on_average():
    columns = [shared("a", 0.5, 0.5), shared("b", 0.5, 0.5)]
    fitted = np.array([[0.4, 0.1], [0.1, 0.4]])
    counts = [whole_counts(fitted, columns, 3, np.random.default_rng(seed)) for seed in range(120)]
    np.testing.assert_allclose(np.mean(counts, axis=0) / 3, fitted, atol=0.08)


def test_a_rare_category_gets_its_share(model):
    """Like the reports of rare categories that generated tables lack, and of labels that must be balanced."""
    rows = model.sample(101, shares={"city": {"Nice": 0.5}}, random_state=0)
    assert (rows["city"] == "Nice").sum() in (50, 51) and rows["city"].nunique() > 1
    _, labels = model.sample(
        60, shares={"label": {"rich": 0.45, "poor": 0.55}}, return_labels=True, guidance=1, random_state=0
    )
    assert np.unique(labels, return_counts=True)[1].tolist() == [33, 27]
    _, labels = model.sample(10, shares={"label": {"rich": 1}}, return_labels=True, random_state=0)
    assert set(labels) == {"rich"}


def test_several_columns_of_every_kind(model):
    shares = {"city": {"Lyon": 0.4, "Paris": 0.6}, "kids": {3: 0.7}, "sure": {True: 0.5}, "hole": {None: 0.9}}
    rows = model.sample(50, shares=shares, random_state=0)
    counts = [(rows["city"] == "Lyon").sum(), (rows["kids"] == 3).sum(), rows["sure"].sum(), rows["hole"].isna().sum()]
    assert counts == [20, 35, 25, 45]
    assert ((rows["city"] == "Paris") == (rows["north"] == "yes")).all()
    pd.testing.assert_frame_equal(rows, model.sample(50, shares=shares, random_state=0))
    assert not rows.equals(model.sample(50, shares=shares, random_state=1))
    days = model.sample(10, shares={"day": {pd.Timestamp("2024-01-02"): 0.5}}, random_state=0)["day"]
    assert (days == "2024-01-02").sum() == 5


def test_shares_within_conditions(model):
    where = {"pay": between(800, 1200), "kids": 2}
    rows = model.sample(20, shares={"sure": {True: 0.5}, "city": {"Lyon": 0.5}}, where=where, random_state=0)
    assert rows["sure"].sum() == 10 == (rows["city"] == "Lyon").sum()
    assert rows["pay"].between(800, 1200).all() and (rows["kids"] == 2).all()


@pytest.mark.parametrize(
    ("shares", "options", "message"),
    [
        ({"city": {"Oslo": 0.5}}, {}, "column 'city' has no 'Oslo'"),
        ({"kids": {7: 0.5}}, {}, "column 'kids': no training row is 7"),
        ({"sure": {None: 0.5}}, {}, "column 'sure' has no missing cells"),
        ({"pay": {1000: 0.5}}, {}, "column 'pay' holds continuous numbers, which have no shares"),
        ({"town": {"Oslo": 0.5}}, {}, "there is no column 'town'"),
        ({"sure": {True: 0.5, False: 0.4}}, {}, "shares of column 'sure' add up to 0.9: make the sum 1"),
        ({"city": {"Lyon": 0.5, "Nice": 0.6}}, {}, "shares of column 'city' add up to 1.1: make the sum at most 1"),
        ({"sure": {True: 1.5}}, {}, "a share of column 'sure' is 1.5: give a fraction from 0 to 1"),
        ({"sure": 0.5}, {}, "shares of column 'sure' must map values to fractions"),
        ([0.5], {}, "shares must map columns to fractions"),
        ({"city": {"Paris": 0.5}, "north": {"no": 0.6}}, {}, "no rows have these shares of 'city' and 'north'"),
        ({"city": {"Paris": 0.5}, "sure": {True: 0.5}}, {"where": {"north": "no"}}, "no rows have these shares"),
        ({"sure": {True: 0.5}}, {"where": {"sure": True}}, "where and shares both set column 'sure'"),
        ({"sure": {True: 0.5}}, {"where": {"kids": [1] * 9}}, "where gives column 'kids' one value per row"),
        ({"label": {"rich": 0.5}}, {"labels": "rich"}, "labels and shares both set column 'label'"),
    ],
)
def test_shares_that_are_refused(model, shares, options, message):
    with pytest.raises(ValueError, match=message) as refused:
        model.sample(9, shares=shares, random_state=0, **options)
    assert "\n" not in str(refused.value)


def test_shares_need_a_number_of_rows(model):
    with pytest.raises(ValueError, match="shares need a number of rows"):
        model.sample(shares={"sure": {True: 0.5}})


def test_labels_of_a_gaussian_model(rng):
    model = Diffusion(random_state=0)
    y = np.array(["a"] * 200 + ["b"] * 60 + ["c"] * 40)
    model._hold(untrained(rng.standard_normal((300, 2)), y, process="gaussian"))
    _, labels = model.sample(100, shares={"label": {"c": 0.5}}, return_labels=True, random_state=0)
    kinds, counts = np.unique(labels, return_counts=True)
    assert kinds.tolist() == ["a", "b", "c"] and counts[2] == 50 and abs(counts[0] - 50 * 200 / 260) < 1
    shares = {"label": {"a": 0.5, "b": 0.5, "c": 0}}
    rows, labels = model.sample(8, shares=shares, where={0: 0.5}, return_labels=True, random_state=0)
    assert sorted(labels) == ["a"] * 4 + ["b"] * 4 and (rows[:, 0] == 0.5).all()
    with pytest.raises(ValueError, match="give every label a share"):
        model.sample(8, shares={"label": {"c": 0.5}}, where={0: 0.5})
    with pytest.raises(ValueError, match="column 0 holds continuous numbers"):
        model.sample(8, shares={0: {1.0: 0.5}})
