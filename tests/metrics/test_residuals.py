"""`residual_spreads` detects noise that is too small or too large, and nothing else."""

import math

import numpy as np
import pytest
from scipy.stats import binom, kstest

from pointillist.metrics import residual_spreads


def made(seed, n, noise=0.496):
    """Returns related columns: c, x, y = 2x + noise, counts, many zeros, a boolean, and incomplete m = x + noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    kind = np.clip(np.round(x + rng.normal(size=n) + 1), 0, 2).astype(int)
    m = np.where(rng.random(n) < 0.1, np.nan, x + rng.normal(size=n))
    return {
        "c": np.array(["a", "b", "c"], object)[kind],
        "x": x,
        "y": 2 * x + noise * rng.normal(size=n),
        "k": rng.poisson(3, n).astype(float),
        "z": np.where(rng.random(n) < 0.4, 0, rng.exponential(size=n)),
        "b": np.where(rng.random(n) < 0.3, "yes", "no").astype(object),
        "d": 86.4e9 * np.round(19_000 + 300 * rng.random(n)),
        "m": m,
    }


def few_columns(table):
    return {name: table[name] for name in "cxym"}


def test_fresh_rows_pass_at_the_nominal_level():
    p_values, errors = [], []
    for seed in range(40):
        data, rows = (few_columns(made([side, seed], 300)) for side in (0, 1))
        found = residual_spreads(data, rows, random_state=seed)
        p_values.append([spread.p_value for spread in found])
        errors += [(spread.ratio - 1) / spread.ratio.null_standard_error for spread in found]
    smallest = 3 * np.min(p_values, axis=1)
    assert np.count_nonzero(smallest <= 0.05) <= binom.ppf(0.99, 40, 0.05)
    assert kstest(np.array(p_values)[:, 1], "uniform").pvalue > 0.01
    assert 0.85 < np.std(errors) < 1.15


@pytest.mark.parametrize("noise", [0.425, 0.575])
def test_noise_that_is_too_small_or_too_large_is_detected(noise):
    found = {spread.name: spread for spread in residual_spreads(made(0, 5000), made(1, 5000, noise))}
    assert [*found] == ["x", "y", "k", "z", "d", "m"]
    y = found["y"]
    assert y.p_value < 1e-6 and abs(y.ratio - noise / 0.496) < 0.05
    assert abs(y.baseline - 1) < 3 * y.baseline.standard_error
    assert min(found[name].p_value for name in "kzdm") > 0.01


def test_steep_relations_and_curved_ones_are_learned():
    def table(seed, noise):
        rng = np.random.default_rng(seed)
        x, g = rng.normal(size=2000), rng.integers(0, 2, 2000)
        y, z = (noise * rng.normal(size=2000) for _ in range(2))
        return {"x": x, "g": np.array(["p", "q"], object)[g], "y": 40 * x + y, "z": x**2 * (1 + g) + z}

    found = {spread.name: spread for spread in residual_spreads(table(0, 0.5), table(1, 0.4))}
    assert found["y"].p_value < 1e-6 and abs(found["y"].ratio - 0.8) < 0.1
    assert found["z"].p_value < 1e-3


def test_exact_relations_constants_and_empty_columns():
    def table(seed, error=0.0):
        rng = np.random.default_rng(seed)
        a, b = rng.integers(0, 100, (2, 400)).astype(float)
        total = 0.1 * a + 0.2 * b + error * rng.normal(size=400)
        return {"a": a, "b": b, "total": total, "one": np.ones(400), "none": np.full(400, np.nan)}

    exact = residual_spreads(table(0), table(1))
    assert [spread.name for spread in exact] == ["a", "b", "total"]
    assert all(spread.ratio == 1 and spread.p_value == 1 for spread in exact)
    broken = {spread.name: spread for spread in residual_spreads(table(0), table(1, 0.1))}
    assert broken["total"].ratio == math.inf and broken["total"].p_value < 1e-6


def test_copies_of_fitted_rows_are_left_out():
    data = made(2, 400)
    assert all(spread.ratio == pytest.approx(1) for spread in residual_spreads(data, data))


def test_few_rows_and_one_column():
    few = made(0, 99)
    assert residual_spreads(few, few) == ()
    assert residual_spreads({"x": np.arange(200.0)}, {"x": np.arange(200.0)}) == ()
    one, two = (residual_spreads(made(0, 300), made(1, 300), random_state=3) for _ in "12")
    assert one == two
