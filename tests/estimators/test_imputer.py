"""Checks `DiffusionImputer` with scikit-learn's checks and pipelines."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator

from pointillist import Diffusion, DiffusionImputer

QUICK = {"timesteps": 5, "width": 8, "depth": 1, "epochs": 1, "batch_size": 32, "frequencies": 1, "random_state": 0}
TINY = {"width": 16, "depth": 1, "epochs": 2, "batch_size": 32, "random_state": 0}


def test_masked_cells_are_filled():
    rows = np.random.default_rng(0).normal(size=(60, 2))
    is_missing = np.zeros((60, 2), bool)
    is_missing[:20, 1] = True
    incomplete = np.ma.array(np.where(is_missing, -999.0, rows), mask=is_missing)
    filled = DiffusionImputer(Diffusion(**TINY), random_state=0).fit_transform(incomplete)
    assert filled.min() > -10 and np.array_equal(filled[~is_missing], rows[~is_missing])


@pytest.mark.slow
def test_missing_cells_are_filled_given_the_other_cells():
    rng = np.random.default_rng(0)
    x = rng.normal(size=1500)
    X = np.stack([x, x + rng.normal(0, 0.3, 1500)], axis=1)
    incomplete = X.copy()
    incomplete[rng.random(1500) < 0.3, 1] = np.nan
    model = Diffusion(width=64, depth=1, epochs=60, batch_size=64, random_state=0)
    imputer = DiffusionImputer(model, random_state=1).fit(incomplete)
    filled = imputer.transform(incomplete)
    was_missing = np.isnan(incomplete[:, 1])
    np.testing.assert_allclose(filled[~was_missing], incomplete[~was_missing])
    assert np.corrcoef(filled[was_missing, 1], X[was_missing, 0])[0, 1] > 0.85
    np.testing.assert_array_equal(filled, imputer.transform(incomplete))
    assert imputer.get_feature_names_out().tolist() == ["x0", "x1"]
    medians = imputer.set_params(statistic="median").transform(incomplete)
    off, draws_off = (np.abs(each - X)[was_missing, 1].mean() for each in (medians, filled))
    # For normal distributions, the distance to draws is √2 times that to the median.
    assert off == pytest.approx(draws_off / 2**0.5, rel=0.15)
    with pytest.raises(ValueError, match="statistic must be 'median'"):
        DiffusionImputer(model, statistic="best").fit(incomplete)


def test_frames_and_pipelines():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"kind": rng.choice(["a", "b"], 200), "size": rng.normal(size=200)})
    frame.loc[:20, "kind"], frame.loc[30:50, "size"] = None, np.nan
    filled = DiffusionImputer(Diffusion(**TINY), random_state=0).fit_transform(frame)
    assert list(filled.columns) == ["kind", "size"] and not filled.isna().any().any()
    numbers = rng.normal(size=(200, 2))
    fitted = make_pipeline(DiffusionImputer(Diffusion(**QUICK), random_state=0), LinearRegression()).fit(
        numbers, rng.normal(size=200)
    )
    numbers[:9, 0] = np.nan
    assert fitted.predict(numbers).shape == (200,)
    with pytest.raises(ValueError, match="is expecting 2 features"):
        fitted[0].transform(numbers[:, :1])


@pytest.mark.slow
def test_complete_rows_may_use_gaussian_diffusion():
    rows = np.random.default_rng(0).normal(size=(200, 2))
    imputer = DiffusionImputer(Diffusion(**QUICK), random_state=0).fit(rows)
    assert imputer.model_.model_.process.kind == "gaussian"
    incomplete = rows.copy()
    incomplete[1, 0] = incomplete[3, 1] = np.nan
    filled = imputer.transform(incomplete)
    assert (
        np.array_equal(filled[~np.isnan(incomplete)], incomplete[~np.isnan(incomplete)]) and np.isfinite(filled).all()
    )
    with pytest.raises(ValueError, match="X has NaN in row 1"):
        DiffusionImputer(Diffusion(**QUICK, process="gaussian")).fit(incomplete)


@pytest.mark.slow
def test_scikit_learn_checks():
    check_estimator(DiffusionImputer(Diffusion(**QUICK, missing="unknown")))


@pytest.mark.slow
@pytest.mark.parametrize("check", [estimator_checks.check_transformer_general, estimator_checks.check_dtype_object])
def test_some_checks_of_masked_diffusion(check):
    check("DiffusionImputer", DiffusionImputer(Diffusion(**QUICK, process="masked")))


def test_keys_stay_as_they_are():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": np.arange(60), "x": rng.normal(size=60), "mail": [f"u{i}@x.de" for i in range(60)]})
    incomplete = frame.assign(y=frame.x + 1, x=np.where(np.arange(60) < 5, np.nan, frame.x))
    with pytest.warns(UserWarning, match="column 'mail' holds e-mail addresses"):
        filled = DiffusionImputer(Diffusion(**TINY), random_state=0).fit_transform(incomplete)
    assert [*filled] == [*incomplete] and filled.notna().all(axis=None)
    assert filled[["id", "mail"]].equals(incomplete[["id", "mail"]])
    with pytest.raises(ValueError, match=r"X has columns that no model can fill"), pytest.warns(UserWarning):
        DiffusionImputer(Diffusion(**TINY)).fit(incomplete.assign(note=["a" * (i + 1) for i in range(60)]))
