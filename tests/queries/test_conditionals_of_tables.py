"""Conditional distributions, compared with their draws and with the joint distribution."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from test_density import KIND, RNG, SIZE, TABLE, N, density, smooth

from made_models import untrained
from pointillist.queries import imputation
from pointillist.queries.conditional import conditional_of
from pointillist.queries.predictive import Predictive, normal_points

EXTRA = TABLE.assign(
    spiky=np.where(RNG.random(N) < 0.4, 0.0, SIZE * 2 + RNG.normal(size=N)),
    born=pd.to_datetime("2020-01-01") + pd.to_timedelta(RNG.integers(0, 900, N), "D"),
    alone=RNG.normal(size=N),
)


@pytest.fixture(scope="module")
def model():
    return smooth(untrained(EXTRA, process="masked"))


def test_probabilities_sum_to_one_and_agree_with_log_prob(model):
    view = conditional_of(model, "kind")
    rows = EXTRA[:20]
    p = view.predict_proba(rows.drop(columns="kind"))
    assert view.classes_.tolist() == ["a", "b"] and np.allclose(p.sum(axis=1), 1, atol=1e-5)
    kind_p = p[np.arange(20), (rows["kind"] == "b").astype(int)]
    # The rarer category shares its probability with unseen categories.
    counts = EXTRA["kind"].value_counts()
    given_away = np.where(rows["kind"] == counts.idxmin(), np.log1p(1 / counts.min()), 0)
    assert np.allclose(np.log(kind_p) - given_away, view.log_prob(rows), atol=1e-4)
    assert (view.predict(rows) == np.where(p[:, 1] > p[:, 0], "b", "a")).all()


@pytest.mark.parametrize("target", ["size", "spiky", "alone", "legs"])
def test_quantiles_and_means_agree_with_draws(model, target):
    view, rows = conditional_of(model, target), EXTRA[:2]
    draws = view.sample(rows, 1500, random_state=0)
    assert draws.shape == (2, 1500)
    error = draws.std(axis=1) / 1500**0.5
    assert (np.abs(view.predict(rows) - draws.mean(axis=1)) < 4 * error + 0.03).all()
    levels = [0.1, 0.5, 0.9]
    found = view.quantiles(rows, levels)
    assert (np.diff(found, axis=1) >= 0).all()
    for quantiles, drawn in zip(found, draws, strict=True):
        for level, value in zip(levels, quantiles, strict=True):
            # A value with a mass covers the levels from those below it up to its cumulative probability.
            low, high = (drawn < value - 0.15).mean(), (drawn <= value + 0.15).mean()
            assert low - 0.06 <= level <= high + 0.06


@pytest.mark.slow
def test_the_conditional_density_integrates_to_one(model):
    view = conditional_of(model, "size")
    grid = np.linspace(-12, 14, 1200)
    rows = pd.concat([EXTRA[:1]] * len(grid), ignore_index=True).assign(size=grid)
    assert np.exp(view.log_prob(rows)).sum() * (grid[1] - grid[0]) == pytest.approx(1, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("n", [300, 4000])
@pytest.mark.parametrize("target", ["count", "day", "linked day", "one decimal", "two decimals", "other"])
def test_the_cells_of_a_rounded_column_sum_to_one_whether_its_values_repeat_or_not(n, target):
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    days = {"day": rng.gamma(3, 60, n), "linked day": 200 + 50 * x + 20 * rng.normal(size=n)}
    frame = pd.DataFrame(
        {
            "kind": rng.choice(["a", "b"], n),
            "count": rng.negative_binomial(2, 0.05, n),
            "one decimal": np.round(2 * x + rng.normal(size=n), 1),
            "two decimals": np.round(x + 0.5 * rng.normal(size=n), 2),
            "other": np.round(np.exp(rng.normal(size=n)), 2),
            **{name: pd.Timestamp("2020-01-01") + pd.to_timedelta(np.round(day), "D") for name, day in days.items()},
        }
    )
    view = conditional_of(smooth(untrained(frame, process="masked")), target)
    column = frame[target]
    beyond, unit = (column.max() - column.min()) / 2, 1.0
    if target in days:
        grid = pd.date_range(column.min() - beyond.ceil("D"), column.max() + beyond.ceil("D"), freq="D")
    else:
        unit = {"count": 1.0, "one decimal": 0.1}.get(target, 0.01)
        steps = np.arange(round((column.min() - beyond) / unit), round((column.max() + beyond) / unit) + 1)
        grid = np.round(steps * unit, 2).astype(column.dtype)
    rows = pd.concat([frame[:1]] * len(grid), ignore_index=True).assign(**{target: grid})
    found = view.log_prob(rows)
    assert np.isfinite(found).all()
    # Some mass lies outside the range of the training rows.
    assert unit * np.exp(found).sum() == pytest.approx(1, abs=0.01)


@pytest.mark.slow
def test_the_mass_of_several_columns_agrees_with_the_joint_distribution():
    frame = TABLE[["kind", "legs"]]
    joint = untrained(frame.assign(other=KIND), process="masked")
    rows = pd.DataFrame([(k, n) for k in "ab" for n in (2, 4, 6)], columns=["kind", "legs"]).assign(other="a")
    values = [(kind, n) for kind in ("a", "b", "new") for n in range(-300, 300)]
    possible = pd.DataFrame(values, columns=["kind", "legs"]).assign(other="a")
    found = conditional_of(joint, ["kind", "legs"]).log_prob(possible)
    assert np.exp(found).sum() == pytest.approx(1, abs=1e-4)
    both = conditional_of(joint, ["kind", "legs"]).sample(rows, 3, random_state=0)
    assert both["kind"].shape == both["legs"].shape == (6, 3)
    assert set(conditional_of(joint, ["kind", "legs"]).predict(rows[:2])) == {"kind", "legs"}
    assert np.isfinite(density(joint, rows)).all()


@pytest.mark.slow
def test_missing_cells_are_unknown(model):
    rows = EXTRA[:4].copy()
    rows.loc[1, "kind"], rows.loc[2, "other"] = None, np.nan
    view = conditional_of(model, "size")
    assert np.isfinite(view.predict(rows)).all() and np.isfinite(view.log_prob(rows)).all()
    whole = view.predict(EXTRA[:4])
    assert np.array_equal(view.predict(rows)[[0, 3]], whole[[0, 3]])
    turned = pd.concat([rows[::-1], rows[1:3]], ignore_index=True)
    assert np.array_equal(view.predict(turned), view.predict(rows)[[3, 2, 1, 0, 1, 2]])


@pytest.mark.slow
def test_predictions_of_several_columns_depend_only_on_the_row(model):
    view = conditional_of(model, ["size", "kind"])
    found, turned = view.predict(EXTRA[:4]), view.predict(EXTRA[:4][::-1])
    assert all(np.array_equal(turned[name], found[name][::-1]) for name in ("size", "kind"))


def test_dates_are_predicted_as_dates(model):
    found = conditional_of(model, "born").quantiles(EXTRA[:3], [0.5])
    assert found.dtype.kind == "M" and found.shape == (3, 1)


@pytest.mark.slow
def test_arrays_have_columns_by_position():
    array = np.column_stack([TABLE["legs"], (TABLE["kind"] == "a"), TABLE["size"]]).astype(float)
    view = conditional_of(untrained(array, process="masked"), 1)
    assert np.array_equal(view.predict_proba(array[:5]), view.predict_proba(array[:5, [0, 2]]))


@pytest.mark.slow
def test_labels_apart_from_the_table_are_a_column():
    model = untrained(TABLE, RNG.choice(["x", "y"], N), process="masked")
    assert conditional_of(model, "label").predict_proba(TABLE[:3]).shape == (3, 2)
    p_x, p_y, p_each, p_none = (
        conditional_of(model, "kind", labels).predict_proba(TABLE[:3]) for labels in ("x", "y", ["x", "y", None], None)
    )
    np.testing.assert_allclose(p_each, [p_x[0], p_y[1], p_none[2]], rtol=1e-5)
    assert np.abs(p_x - p_y).max() > 1e-4
    with pytest.raises(ValueError, match="target 'label' is also in labels"):
        conditional_of(model, "label", "x")


def test_the_density_of_several_columns_does_not_depend_on_their_order(model):
    one, other = (conditional_of(model, names).log_prob(EXTRA[:9]) for names in (["kind", "legs"], ["legs", "kind"]))
    np.testing.assert_allclose(other, one, rtol=1e-6)


def test_the_target_in_a_row_is_ignored(model):
    view, rows = conditional_of(model, "size"), EXTRA[:5]
    found = view.predict(rows)
    for X in (
        rows.assign(size=["?", 1, None, "TBD", 2.5]),
        rows.assign(size="?", note=[1, "a", [2], None, {}]),
        rows.drop(columns="size"),
        rows.assign(size=np.inf),
        rows.to_numpy(),
    ):
        assert np.array_equal(view.predict(X), found)
    with pytest.raises(ValueError, match=r"column .size. of X holds (large_)?string, and it held"):
        view.log_prob(rows.assign(size="?"))


def test_blocks_of_rows_change_nothing(model, monkeypatch):
    rows = EXTRA[:9].assign(legs=[None, None, 2, 2, 4, 4, None, 2, 4])
    views = [conditional_of(model, name) for name in ("size", "kind", ["size", "legs"])]

    def answers():
        size_view, kind_view, joint_view = views
        known = rows.assign(legs=EXTRA["legs"][:9])
        parts = (
            size_view.predict(rows),
            size_view.log_prob(rows),
            kind_view.predict_proba(rows),
            joint_view.log_prob(known),
        )
        return [*parts, *joint_view.predict(rows).values()]

    whole = answers()
    monkeypatch.setattr(imputation, "MOST_VALUES", 1)
    monkeypatch.setattr(imputation, "ROWS_PER_CHUNK", 4)
    for one, other in zip(whole, answers(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5)


def test_predicted_values_have_the_digits_of_the_column_but_means_do_not():
    table = TABLE.assign(size=TABLE["size"].round(1))
    view = conditional_of(untrained(table, process="masked"), "size")
    found = view.quantiles(table[:9], [0.1, 0.5])
    np.testing.assert_array_equal(found, np.round(found, 1))
    assert (view.predict(table[:9]) != np.round(view.predict(table[:9]), 1)).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: conditional_of(m, "colour"), "there is no column 'colour'"),
        (lambda m: conditional_of(m, ["kind", "kind"]), "one column or several different ones"),
        (lambda m: conditional_of(m, list(EXTRA)), "all are targets"),
        (lambda m: conditional_of(m, "kind").predict(EXTRA.drop(columns="size")), "X has no column 'size'"),
        (lambda m: conditional_of(m, "kind").quantiles(EXTRA[:2], [0.5]), "have no quantiles: use predict_proba"),
        (lambda m: conditional_of(m, "size").predict_proba(EXTRA[:2]), "use quantiles"),
        (lambda m: conditional_of(m, "size").quantiles(EXTRA[:2], [5]), "between 0 and 1"),
        (lambda m: conditional_of(m, "size").sample(EXTRA[:2], 0), "n_draws must be an integer"),
        (lambda m: conditional_of(m, "size").log_prob(EXTRA[:2].assign(size=np.nan)), "is missing in row 0"),
        (lambda m: conditional_of(m, "size").predict(EXTRA[:0]), "X has no rows: give one"),
        (lambda m: conditional_of(m, "kind").predict_proba(EXTRA[:0]), "X has no rows: give one"),
        (lambda m: conditional_of(m, ["size", "kind"]).classes_, "needs a single target"),
    ],
)
def test_impossible_predictions_are_refused(model, call, message):
    with pytest.raises(ValueError, match=message) as raised:
        call(model)
    assert "\n" not in str(raised.value)


def test_points_have_the_moments_of_the_normal_and_of_a_skewed_distribution():
    for n, parts in ((50, 1), (32, 4)):
        points, weights = np.hstack([normal_points(n, part, parts) for part in range(parts)])
        np.testing.assert_allclose(weights.sum(), parts, rtol=1e-12)
        assert abs(np.average(points, weights=weights)) < 1e-9
        assert abs(np.average(points**2, weights=weights) - 1) < 0.006
        assert abs(np.average(np.exp(points), weights=weights) / np.exp(0.5) - 1) < 0.006
        levels = np.array([0.001, 0.05, 0.5, 0.99])
        one = Predictive(points[None], weights[None] / parts, np.zeros(len(points), bool))
        np.testing.assert_allclose(one.quantiles(levels)[0], norm.ppf(levels), atol=0.001)


def test_quantiles_of_points_are_between_numbers_and_at_values():
    numbers = Predictive(np.array([[0.0, 1.0, 2.0, 3.0]]), np.full((1, 4), 0.25), np.zeros(4, bool))
    assert numbers.quantiles(np.array([0.125, 0.5, 0.625]))[0].tolist() == [0, 1.5, 2]
    values = Predictive(np.array([[3.0, 1.0, 2.0]]), np.array([[0.2, 0.5, 0.3]]), np.ones(3, bool))
    assert values.quantiles(np.array([0.3, 0.5, 0.6, 0.9]))[0].tolist() == [1, 1, 2, 3]
    assert values.mode() == 1 and values.mean() == pytest.approx(1.7)
    again = Predictive(np.array([[2.0, 0.0, 1.0, 0.0], [1.0, 1.0, 3.0, 0.0]]), np.full((2, 4), 0.25), np.ones(4, bool))
    assert again.mode().tolist() == [0, 1]
    spike = Predictive(np.array([[0.0, 1.0, 2.0]]), np.array([[0.6, 0.2, 0.2]]), np.array([True, False, False]))
    assert spike.quantiles(np.array([0.1, 0.59, 0.7]))[0].tolist() == pytest.approx([0, 0, 1])
