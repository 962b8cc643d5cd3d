"""Compares models of tables with unknown cells with the distribution of complete rows."""

import numpy as np
import pandas as pd
import pytest

from pointillist import Diffusion, missing

N = 2000
RNG = np.random.default_rng(0)
P_KIND = np.array([0.6, 0.4])
P_FLAG = np.array([0.9, 0.2])
KIND = RNG.choice(2, N, p=P_KIND)
X = KIND * 2.0 + RNG.normal(size=N)
FULL = pd.DataFrame(
    {
        "kind": np.array(["a", "b"])[KIND],
        "flag": np.where(RNG.random(N) < P_FLAG[KIND], "yes", "no"),
        "x": X,
        "y": 0.8 * X + 0.6 * RNG.normal(size=N),
    }
)
INCOMPLETE = FULL.mask(RNG.random(FULL.shape) < 0.25)
INCOMPLETE = INCOMPLETE[INCOMPLETE.notna().any(axis=1)]
RECIPE = {"width": 32, "depth": 1, "epochs": 100, "batch_size": 50, "learning_rate": 4e-3, "random_state": 0}


@pytest.fixture(scope="module")
def model():
    return Diffusion(missing="unknown", **RECIPE).fit(INCOMPLETE)


def test_rows_have_no_missing_cells_and_the_distribution_of_complete_rows(model):
    rows = model.sample(4 * N, random_state=0)
    assert not rows.isna().any().any()
    # Allows for standard errors of draws and training rows, and for short training of a small network.
    error = 4 * (0.25 / (4 * N) + 0.25 / (0.75 * N)) ** 0.5
    kind_fraction = rows["kind"] == "b"
    assert kind_fraction.mean() == pytest.approx(P_KIND[1], abs=error)
    for mask, p in zip((~kind_fraction, kind_fraction), P_FLAG, strict=True):
        assert (rows["flag"][mask] == "yes").mean() == pytest.approx(p, abs=error + 0.04)
    for mask, mean in zip((~kind_fraction, kind_fraction), (0.0, 2.0), strict=True):
        assert rows["x"][mask].mean() == pytest.approx(mean, abs=0.25)
    assert rows[["x", "y"]].corr().iloc[0, 1] == pytest.approx(FULL[["x", "y"]].corr().iloc[0, 1], abs=0.05)
    np.testing.assert_allclose(rows[["x", "y"]].std(), FULL[["x", "y"]].std(), rtol=0.12)


@pytest.mark.slow
def test_the_density_is_that_of_the_observed_cells(model):
    # The density is evaluated midway between quantiles, because it steps at the quantiles.
    ends = model.model_.codec.encoding.encoder("x").scores.points
    x, steps = (ends[1:] + ends[:-1]) / 2, np.diff(ends)
    given = {"kind": ["b"] * len(x), "flag": pd.array([None] * len(x), "str"), "x": x, "y": np.nan}
    density = np.exp(model.score_samples(pd.DataFrame(given)))
    kind_fraction = np.exp(model.score_samples(pd.DataFrame(given).assign(x=np.nan))[0])
    assert kind_fraction == pytest.approx(P_KIND[1], abs=0.06)
    # Missing cells are summed over, so integrating over x gives the probability of the kind.
    assert density @ steps == pytest.approx(kind_fraction, rel=0.02)
    assert (x * density) @ steps / (density @ steps) == pytest.approx(2.0, abs=0.2)


def test_a_saved_model_keeps_the_meaning_of_missing_cells(model, tmp_path):
    model.save(tmp_path / "m")
    again = Diffusion.load(tmp_path / "m")
    assert again.missing == "unknown" and again.model_.codec.missing == "unknown"
    np.testing.assert_array_equal(again.score_samples(INCOMPLETE[:20]), model.score_samples(INCOMPLETE[:20]))
    with pytest.raises(ValueError, match="column 'x' has no missing cells in the model"):
        again.sample(2, where={"x": missing})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "row 3 has only missing cells"),
        ({"missing": "absent"}, "missing must be one of 'value', 'unknown', not 'absent'"),
        ({"process": "gaussian"}, "missing='unknown' needs masked diffusion: leave process='gaussian' out"),
        ({"epsilon": 1.0, "domain": {}}, "the domain says where cells may be missing"),
    ],
)
def test_invalid_uses_of_unknown_cells_are_refused(options, message):
    rows = INCOMPLETE.reset_index(drop=True)
    rows.loc[3] = None
    with pytest.raises(ValueError, match=message) as raised:
        Diffusion(**{"missing": "unknown", **RECIPE, **options}).fit(rows)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_correlated_numbers_are_filled_as_by_regression_even_without_training():
    rng = np.random.default_rng(1)
    hidden, noise = rng.normal(size=(600, 1)), 0.05 * rng.normal(size=(600, 4))
    full = pd.DataFrame(hidden + noise, columns=list("abcd")).assign(kind=np.where(rng.random(600) < 0.5, "u", "v"))
    is_gap = rng.random((600, 4)) < 0.2
    incomplete = full.copy()
    incomplete[list("abcd")] = full[list("abcd")].mask(is_gap)
    model = Diffusion(missing="unknown", **RECIPE | {"epochs": 2}).fit(incomplete)
    filled = np.mean(
        [each[list("abcd")].to_numpy() for each in model.impute(incomplete, n_draws=8, random_state=0)], axis=0
    )
    # A number given three others has a standard deviation of 0.05 (1 + 1/3)^½.
    error = (filled - full[list("abcd")].to_numpy())[is_gap & ~is_gap.all(axis=1, keepdims=True)]
    assert np.median(np.abs(error)) < 2 * 0.6745 * 0.05 * (4 / 3) ** 0.5
