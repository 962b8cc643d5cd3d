"""`DiffusionRegressor`: distributions of a number given others, against known ones, and scikit-learn's checks."""

import warnings
from dataclasses import replace
from itertools import pairwise

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.base import clone
from sklearn.model_selection import KFold
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from pointillist import DiffusionRegressor
from pointillist.diffusion.target_diffusion import GAIN, VIEWS, TargetDistribution, TargetLogMass, features
from pointillist.engine.mapping import map_rows
from pointillist.estimators.out_of_fold import FEWEST_ROWS, OutOfFold
from pointillist.estimators.regression import Units, _is_kept

QUICK = {"random_state": 0, "width": 16, "depth": 1, "n_networks": 2, "steps": 60}
LEARNING = DiffusionRegressor(
    width=32, depth=1, n_networks=2, steps=600, random_state=0, batch_size=32, learning_rate=5e-3
)
RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (1500, 2))


def spread(x):
    return 0.5 + 0.3 * x[:, 1]


Y = 10 + 3 * np.sin(2 * X[:, 0]) + spread(X) * RNG.normal(size=len(X))


@pytest.fixture(scope="module")
def model():
    # Networks with trees and without.
    return DiffusionRegressor(width=32, depth=1, n_networks=3, steps=1500, random_state=0, learning_rate=3e-3).fit(X, Y)


@pytest.fixture(scope="module")
def quick():
    """Returns a hardly trained model, for properties of every distribution."""
    return DiffusionRegressor(**QUICK).fit(X[:100], Y[:100])


@pytest.mark.slow
def test_the_distribution_is_near_that_of_the_data_and_integrates_to_one(model):
    x = np.random.default_rng(1).uniform(-0.9, 0.9, (200, 2))
    mean, std = 10 + 3 * np.sin(2 * x[:, 0]), spread(x)
    y = mean + std * np.random.default_rng(2).normal(size=200)
    assert np.abs(model.predict(x) - mean).mean() < 0.15
    assert norm(mean, std).logpdf(y).mean() - model.log_prob(x, y).mean() < 0.1
    covered = model.quantiles(x, [0.05, 0.95])
    assert 0.8 < ((covered[:, 0] < y) & (y < covered[:, 1])).mean() < 0.98
    grid = np.linspace(0, 20, 801)
    density = np.exp(model.log_prob(np.tile(x[:1], (801, 1)), grid))
    assert density.sum() * (grid[1] - grid[0]) == pytest.approx(1, abs=0.01)


@pytest.mark.slow
def test_targets_with_long_tails_have_the_density_of_the_lognormal_distribution():
    x = np.random.default_rng(1).normal(size=(1500, 1))
    noise = np.random.default_rng(2).normal(size=1500)
    y = np.exp(1.5 * (0.8 * x[:, 0] + 0.6 * noise))
    model = DiffusionRegressor(width=32, depth=1, n_networks=2, steps=1500, random_state=0).fit(x[:1200], y[:1200])
    expected = norm(1.2 * x[1200:, 0], 0.9).logpdf(np.log(y[1200:])) - np.log(y[1200:])
    assert expected.mean() - model.log_prob(x[1200:], y[1200:]).mean() < 0.15
    covered = model.quantiles(x[1200:], [0.05, 0.95])
    assert 0.85 < ((covered[:, 0] < y[1200:]) & (y[1200:] < covered[:, 1])).mean() < 0.95
    grid = np.exp(np.linspace(-6, 8, 1401))
    density = np.exp(model.log_prob(np.full((1401, 1), 0.5), grid))
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=0.01)


def test_features_of_each_view_against_their_formulas():
    x = np.array([[-8.0, 0.0], [-1.0, 0.0], [0.5, 1.0], [2.0, 1.0]])
    units = Units.fit(x, np.arange(4.0), is_discrete=False)
    z, at = np.clip((x - x.mean(axis=0)) / x.std(axis=0), -10, 10), units.quantiles[0]
    assert at[[0, -1]].tolist() == [-8, 2] and len(at) == 13 and len(units.quantiles[1]) < 13
    plain = [z, *(2**0.5 * wave(w * z) for w in (1, 2) for wave in (np.sin, np.cos))]
    further = [2**0.5 * wave(np.pi * w * z) for w in (0.5, 1, 2) for wave in (np.sin, np.cos)]
    first_pieces = [np.clip((x[:, 0] - low) / (high - low), 0, 1) for low, high in pairwise(at)]
    for view in VIEWS:
        found = np.stack([features(row, jnp.array(view)) for row in jnp.array(units.encode_x(x), jnp.float32)])
        parts = found.reshape(4, -1, 2) / GAIN
        np.testing.assert_allclose(parts[:, :5], np.stack(plain, axis=1), atol=1e-5)
        np.testing.assert_allclose(parts[:, 5:11], view[0] * np.stack(further, axis=1), atol=1e-5)
        np.testing.assert_allclose(
            parts[:, 11:, 0], view[1] * 2**0.5 * (2 * np.stack(first_pieces, axis=1) - 1), atol=1e-5
        )


def test_trees_predict_a_training_row_out_of_fold():
    x, y = X[:300], Y[:300]
    trees, guessed = OutOfFold.fit(x, y, 0)
    assert guessed.shape == trees.of(x).shape == (300, 2)
    assert np.array_equal(guessed, OutOfFold.fit(x, y, 0)[1])
    # Two targets are swapped, which does not change the units.
    left = next(left for _, left in KFold(5, shuffle=True, random_state=0).split(x) if 7 in left)
    order, other = np.arange(300), left[np.abs(y[left] - y[7]).argmax()]
    order[[7, other]] = other, 7
    again = OutOfFold.fit(x, y[order], 0)[1]
    np.testing.assert_allclose(again[left], guessed[left], atol=1e-6)
    assert np.abs(again - guessed).max() > 0.1
    held = np.random.default_rng(3).uniform(-1, 1, (500, 2))
    for rows, found in ((held, trees.of(held)), (x, guessed)):
        error = np.abs(trees.units.decode_y(found) - (10 + 3 * np.sin(2 * rows[:, :1])))
        assert (error.mean(axis=0) < 0.4).all()
    assert not replace(trees, models=()).of(held).any()


def test_networks_that_do_not_see_trees_ignore_their_predictions():
    networks = DiffusionRegressor(**QUICK).fit(X[:100], Y[:100]).model_.target.networks
    views, sees = np.zeros((2, 2), np.float32), np.array([False, True])
    target = TargetDistribution(networks, views, sees, 2, 1)
    rows = np.array([[0.3, 0.2, 4.0, 5.0], [0.3, -0.9, 4.0, 11.0]], np.float32)
    found = [np.asarray(target.denoisers(jnp.asarray(row)).context) for row in rows]
    assert np.array_equal(found[0][0], found[1][0]) and not np.allclose(found[0][1], found[1][1])


@pytest.mark.parametrize(
    ("losses", "kept"),
    [
        ([0.5, 0.4, 0.6, 0.5], [0, 1, 0, 1]),
        ([0.4, 0.5, 0.5, 0.6], [1, 0, 1, 0]),
        ([0.5, 0.49, 0.5, 0.49], [1, 1, 1, 1]),
    ],
)
def test_networks_with_a_clearly_higher_loss_are_left_out(losses, kept):
    history = np.stack([np.full(4, 9.0), losses], axis=1)
    sees = np.array([False, True, False, True])
    assert _is_kept(history, sees, 200).tolist() == kept
    assert _is_kept(np.vstack([history, history[:1] / 9]), np.append(sees, False), 200).tolist()[:4] == kept
    assert _is_kept(history, sees, 1).all() and _is_kept(history[:, :0], sees, 0).all()


@pytest.mark.slow
def test_networks_that_see_trees_are_kept_if_trees_learn_more():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (1300, 1))
    y = rng.normal(size=40)[(40 * x[:, 0]).astype(int)] + 0.05 * rng.normal(size=1300)
    model = DiffusionRegressor(width=16, depth=1, n_networks=2, steps=400, random_state=0).fit(x[:1100], y[:1100])
    assert model.model_.target.sees_guesses.tolist() == [True]
    assert np.abs(model.predict(x[1100:]) - y[1100:]).mean() < 0.2
    few = DiffusionRegressor(**QUICK).fit(x[: FEWEST_ROWS - 1], y[: FEWEST_ROWS - 1])
    assert few.guesses_ is None and few.model_.target.sees_guesses.tolist() == [False, False]


def test_draws_quantiles_and_means_are_of_one_distribution(quick):
    draws = quick.sample(X[:2], 2000, random_state=0)
    assert np.array_equal(draws, quick.sample(X[:2], 2000, random_state=0))
    assert np.array_equal(draws[:1], quick.sample(X[:1], 2000, random_state=0))
    error = draws.std(axis=1) / 2000**0.5
    assert (np.abs(draws.mean(axis=1) - quick.predict(X[:2])) < 4 * error + 0.01).all()
    levels = [0.1, 0.5, 0.9]
    for quantiles, drawn in zip(quick.quantiles(X[:2], levels), draws, strict=True):
        fractions = np.array([(drawn <= value).mean() for value in quantiles])
        assert (np.abs(fractions - levels) < 0.04).all()


@pytest.mark.slow
def test_a_discrete_target_has_masses():
    y = np.round(Y[:100])
    model = DiffusionRegressor(**QUICK).fit(X[:100], y)
    known = np.unique(y)
    asked = np.append(known, [0.5, 100.0])
    log_mass = model.log_prob(np.repeat(X[:5], len(asked), axis=0), np.tile(asked, 5)).reshape(5, -1)
    assert np.allclose(np.exp(log_mass).sum(axis=1), 1, atol=1e-4)
    assert (log_mass[:, -2:] == -np.inf).all()
    assert set(model.quantiles(X[:5], [0.2, 0.8]).ravel()) <= set(known)
    assert set(model.sample(X[:5], 3, random_state=0).ravel()) <= set(known)


def test_masses_far_from_the_prediction_agree_with_the_tails():
    target = DiffusionRegressor(**QUICK).fit(X[:100], Y[:100]).model_.target
    ends = np.array([-np.inf, -12.0, -8.0, -4.0, 0.0, 4.0, 8.0, 12.0, np.inf], np.float32)
    rows = np.column_stack([np.zeros((8, 4), np.float32), ends[:-1], ends[1:]])
    found = map_rows(TargetLogMass(target), rows)
    assert np.logaddexp.reduce(found) == pytest.approx(0, abs=1e-5)
    assert np.isfinite(found).all() and (np.diff(found[4:]) < 0).all() and (np.diff(found[:4]) > 0).all()


def scaled(model, scale):
    return replace(model, target=replace(model.target, scale=np.asarray(scale, np.float32)))


def test_a_scale_stretches_quantiles_draws_and_densities_about_one_point(quick):
    plain, wide, levels = scaled(quick.model_, 1), scaled(quick.model_, 3), np.array([0.1, 0.5, 0.9])
    near, far = (model.points(X[:4]).quantiles(levels) for model in (plain, wide))
    middle = (3 * near - far) / 2
    np.testing.assert_allclose(middle, np.repeat(middle[:, :1], 3, axis=1), atol=1e-3)
    drawn = [model.sample(X[:4], 50, np.random.default_rng(0)) - middle[:, :1] for model in (plain, wide)]
    np.testing.assert_allclose(drawn[1], 3 * drawn[0], atol=1e-3)
    rows = np.repeat(X[:4], 3, axis=0)
    log_densities = [model.log_prob(rows, y.ravel()) for model, y in ((plain, near), (wide, far))]
    np.testing.assert_allclose(log_densities[1], log_densities[0] - np.log(3), atol=1e-3)
    inside = quick.model_.units.encode_x(X[:4])
    ends = [np.column_stack([inside, quick.model_.units.encode_y(y[:, [0, 2]])]) for y in (near, far)]
    masses = [map_rows(TargetLogMass(model.target), rows) for model, rows in zip((plain, wide), ends, strict=True)]
    np.testing.assert_allclose(masses[1], masses[0], atol=1e-3)
    np.testing.assert_allclose(np.exp(masses[0]), 0.8, atol=0.01)


@pytest.mark.parametrize(("true_scale", "found"), [(2.0, 2.0), (0.5, 1.0)])
def test_held_out_rows_farther_away_than_predicted_widen_the_distribution(quick, true_scale, found):
    y = scaled(quick.model_, true_scale).sample(X[:600], 1, np.random.default_rng(0))[:, 0]
    held = [np.arange(300), np.arange(300, 600)]
    scale = scaled(quick.model_, 1).calibrated(X[:600], y, held).target.scale
    # The mean distance of m normal numbers has a relative standard error of ((π/2 - 1) / m)^1/2.
    assert scale == pytest.approx(found, rel=3 * ((np.pi / 2 - 1) / 600) ** 0.5)


def test_intervals_from_twenty_rows_have_their_nominal_coverage():
    fitted = DiffusionRegressor(width=64, depth=1, n_networks=2, steps=600, random_state=0, learning_rate=5e-3)
    held, before = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(120, 5))
        y = x[:, 0] + rng.normal(size=120)
        model = clone(fitted).set_params(random_state=seed).fit(x[:20], y[:20]).model_
        for fractions, fit in ((held, model), (before, scaled(model, 1))):
            low, high = fit.points(x[20:]).quantiles(np.array([0.05, 0.95])).T
            fractions.append(((low < y[20:]) & (y[20:] < high)).mean())
    error = np.std(held) / len(held) ** 0.5
    assert abs(np.mean(held) - 0.9) < 2 * error < 0.1
    assert np.mean(before) < 0.8


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 60])
@pytest.mark.parametrize("is_curved", [False, True])
@pytest.mark.parametrize("grows", [False, True])
def test_intervals_of_the_default_regressor_have_their_nominal_coverage(n, is_curved, grows):
    held = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(n + 200, 2))
        mean = np.sin(2 * x[:, 0]) + x[:, 1] ** 2 if is_curved else 2 * x[:, 0] - x[:, 1]
        y = mean + (np.exp(x[:, 0] / 2) if grows else 1) / 2 * rng.normal(size=n + 200)
        low, high = DiffusionRegressor(random_state=seed).fit(x[:n], y[:n]).quantiles(x[n:], [0.05, 0.95]).T
        held.append(((low < y[n:]) & (y[n:] < high)).mean())
    # Each fraction is from 200 rows and one fit: fits vary more than rows.
    error = np.std(held) / len(held) ** 0.5
    assert 0.8 - 2 * error < np.mean(held) < 0.97 + 2 * error


def test_fewer_than_twenty_rows_cause_a_warning():
    with pytest.warns(UserWarning, match="intervals from 19 rows may hold fewer values than they claim: fit to 20"):
        DiffusionRegressor(**QUICK).fit(X[:19], Y[:19])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DiffusionRegressor(**QUICK).fit(X[:20], Y[:20])


def test_extrapolation_causes_a_warning(quick):
    low, high = X[:100, 1].min(), X[:100, 1].max()
    ends = np.array([[0, high + 0.24 * (high - low)], [0, low - 0.24 * (high - low)]])
    text = "1 of 3 rows lie far beyond the training rows, most often in column 1, which goes from"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick.predict(ends)
        with pytest.warns(UserWarning, match=text) as caught:
            quick.quantiles(np.vstack([ends, [0, 100]]), [0.5])
    assert len(caught) == 1
    frame = pd.DataFrame(X[:30], columns=["width", "age"])
    named = DiffusionRegressor(**QUICK).fit(frame, Y[:30])
    for call in (named.predict, named.sample, lambda rows: named.log_prob(rows, Y[:30])):
        with pytest.warns(UserWarning, match="30 of 30 rows .* in age"):
            call(frame.assign(age=-9.0))


def test_ensembles_of_other_seeds_have_no_network_in_common():
    asked = {**QUICK, "n_networks": 4, "validation_fraction": 0.0}
    first, second = (DiffusionRegressor(**asked | {"random_state": seed}).fit(X[:100], Y[:100]) for seed in (0, 3))
    ends = [np.asarray(model.model_.target.networks.input.weight) for model in (first, second)]
    assert not np.allclose(ends[0][3], ends[1][0])


def test_a_discrete_target_may_have_long_tails():
    y = np.append(RNG.poisson(1.0, 399), 5000.0)
    x = np.zeros((400, 1))
    model = DiffusionRegressor(**QUICK | {"steps": 400}).fit(x, y)
    found = np.exp(model.log_prob(np.zeros((3, 1)), [0.0, 1.0, 2.0]))
    fractions = [(y == value).mean() for value in range(3)]
    np.testing.assert_allclose(found, fractions, atol=0.1)
    spiky = np.where(np.arange(400) < 390, 0.0, np.arange(400.0) ** 2)
    assert model.fit(x, spiky).model_.units.bend > 0


def test_very_large_and_small_numbers_are_learned_from(quick):
    scaled = clone(quick).fit(1e-200 * X[:100], 1e200 * Y[:100])
    np.testing.assert_allclose(1e-200 * scaled.predict(1e-200 * X[:9]), quick.predict(X[:9]), rtol=1e-2)


def test_a_fit_that_fails_changes_nothing(quick):
    model = clone(quick).fit(X[:100], Y[:100])
    before = model.predict(X[:5])
    with pytest.raises(ValueError, match="steps must be"):
        model.set_params(steps=0).fit(np.ones((50, 5)), Y[:50])
    assert model.n_features_in_ == 2 and np.array_equal(model.predict(X[:5]), before)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_model_in_other_units(quick):
    again = clone(quick).fit(X[:100], Y[:100])
    assert np.array_equal(quick.predict(X[:9]), again.predict(X[:9]))
    scaled = clone(quick).fit(X[:100], 1000 * Y[:100])
    assert np.allclose(scaled.predict(X[:9]), 1000 * quick.predict(X[:9]), rtol=1e-2)
    found = scaled.log_prob(X[:9], 1000 * Y[:9])
    np.testing.assert_allclose(found, quick.log_prob(X[:9], Y[:9]) - np.log(1000), atol=0.05)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"width": 0}, "width must be an integer of at least 1"),
        ({"batch_size": 0}, "batch_size must be an integer"),
        ({"learning_rate": -1}, "learning_rate must be a number above 0, not -1"),
        ({"validation_fraction": 1}, "validation_fraction must be a number of at least 0 and below 1, not 1"),
    ],
)
def test_parameters_that_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        DiffusionRegressor(**QUICK | parameters).fit(X, Y)


def test_dates_are_refused():
    days = pd.Series(pd.date_range("2024-01-01", periods=len(Y)))
    for x, y, name in ((X, days, "y"), (X.astype("M8[D]"), Y, "X"), (X, days.to_numpy(), "y")):
        with pytest.raises(ValueError, match=f"{name} holds dates or durations"):
            DiffusionRegressor(**QUICK).fit(x, y)


def test_a_missing_number_where_no_training_row_lacked_one_counts_as_the_mean(quick):
    at_mean = np.column_stack([np.full(9, X[:100, 0].mean()), X[:9, 1]])
    is_first = np.tile([True, False], (9, 1))
    frames = [pd.DataFrame(X[:9]).where(~is_first), pd.DataFrame({0: pd.array([None] * 9, "Int64"), 1: X[:9, 1]})]
    for gone in (np.where(is_first, np.nan, X[:9]), np.ma.array(X[:9], mask=is_first), *frames):
        np.testing.assert_allclose(quick.predict(gone), quick.predict(at_mean), rtol=1e-6)


def test_arguments_that_are_refused(quick):
    for call, message in [
        (lambda: quick.quantiles(X[:2], [1.5]), "between 0 and 1"),
        (lambda: quick.sample(X[:2], 0), "n_draws must be an integer"),
        (lambda: quick.predict(X[:2, :1]), "X has 1 features"),
        (lambda: quick.predict(np.full((2, 2), np.inf)), "X contains infinity"),
        (lambda: quick.log_prob(X[:2], np.ma.array(Y[:2], mask=[0, 1])), "y has masked values"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.slow
@parametrize_with_checks([LEARNING])
def test_every_check_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize(
    "check",
    [estimator_checks.check_n_features_in_after_fitting, estimator_checks.check_fit_idempotent],
)
def test_some_checks_of_scikit_learn(check):
    check("DiffusionRegressor", DiffusionRegressor(**QUICK))
