"""`DiffusionRegressor` and `DiffusionClassifier` on tables with categories, dates and missing cells."""

from itertools import product

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy.stats import norm
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from pointillist import Diffusion, DiffusionClassifier, DiffusionRegressor
from pointillist.estimators.features import MOST_CATEGORIES, FeatureEncoder
from pointillist.estimators.inputs import mixed_table

QUICK = DiffusionRegressor(width=32, depth=1, n_networks=2, steps=600, learning_rate=5e-3, random_state=0)
MEANS, NOISE, GONE = {"a": 0.0, "b": 4.0, "c": -3.0, "d": 1.0}, 0.5, 2.0
PRIOR, SHARES, LACKING = (
    {"no": 0.4, "yes": 0.6},
    {"no": (0.5, 0.4, 0.1), "yes": (0.2, 0.2, 0.6)},
    {"no": 0.1, "yes": 0.5},
)


def numbered(n, seed):
    """Returns a table, y, and the mean of y: that of the category, and more where a cell is missing."""
    rng = np.random.default_rng(seed)
    kind = rng.choice([*MEANS], n)
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 300, n), "D")
    x = np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n))
    frame = pd.DataFrame({"kind": kind, "x": x, "day": day, "flag": rng.random(n) < 0.5})
    mean = np.array([MEANS[each] for each in kind]) + GONE * np.isnan(x) + frame["flag"].to_numpy()
    return frame, mean + NOISE * rng.normal(size=n), mean


def labelled(n, seed):
    """Returns a table and labels, which determine the chances of a category and of a missing number."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([*PRIOR], n, p=[*PRIOR.values()])
    kind = np.array([rng.choice(["a", "b", "c"], p=SHARES[label]) for label in labels])
    is_missing = rng.random(n) < np.vectorize(LACKING.get)(labels)
    return pd.DataFrame({"kind": kind, "x": np.where(is_missing, np.nan, rng.normal(size=n))}), labels


FRAME, Y, _ = numbered(900, 0)
LABELLED, LABELS = labelled(6000, 0)


@pytest.fixture(scope="module")
def regressor():
    return clone(QUICK).fit(FRAME, Y)


@pytest.fixture(scope="module")
def classifier():
    model = Diffusion(width=64, depth=1, epochs=20, learning_rate=3e-3, random_state=0)
    return DiffusionClassifier(model).fit(LABELLED, LABELS)


def test_the_crps_is_near_that_of_the_law_of_categories_and_missing_cells(regressor):
    frame, y, mean = numbered(300, 1)
    levels = (np.arange(50) + 0.5) / 50
    found, true = (
        (np.abs(points - y[:, None]).mean(axis=1) - np.abs(points[:, :, None] - points[:, None]).mean(axis=(1, 2)) / 2)
        for points in (regressor.quantiles(frame, levels), mean[:, None] + NOISE * norm.ppf(levels))
    )
    error = (found - true).std() / len(y) ** 0.5
    assert 0.2 < true.mean() < 0.35 and found.mean() - true.mean() < 3 * error + 0.02
    assert np.abs(regressor.predict(frame) - mean).mean() < 0.2


def test_features_against_their_definition():
    table = pd.DataFrame(
        {
            "kind": ["a", "a", "b", "b", None, None, "once", "single"],
            "x": [1.0, 3.0, np.nan, 2.0, 2.0, 2.0, 2.0, 2.0],
            "day": pd.to_datetime(["1970-01-01"] * 7 + ["1970-01-09"]).date,
            "none": [None] * 8,
        }
    )
    encoder, rows = FeatureEncoder.fit(*mixed_table(table))
    assert rows[:, :3].T.tolist() == [[1, 3, 2, 2, 2, 2, 2, 2], [0] * 7 + [8], [0] * 8]
    indicators = rows[:, 3:]
    assert indicators[:, :2].T.tolist() == [[0, 0, 1, 0, 0, 0, 0, 0], [1] * 8]
    kinds = indicators[:, 2:]
    assert kinds.shape[1] == 4 and (kinds.sum(axis=1) == 1).all() and np.array_equal(kinds[6], kinds[7])
    assert np.array_equal(encoder.encode(table), rows)
    new = encoder.encode(table.assign(kind="new", x=np.nan))
    assert np.array_equal(new[:, 5:], np.tile(kinds[6], (8, 1))) and (new[:, 0] == 2).all() and new[:, 3].all()
    many = pd.DataFrame({"kind": [f"{i}" for i in range(200) for _ in range(2)]})
    assert FeatureEncoder.fit(*mixed_table(many))[1].shape[1] == MOST_CATEGORIES


@pytest.mark.parametrize("make", [pl.from_pandas, pa.Table.from_pandas])
def test_every_container_gives_the_same_predictions(regressor, classifier, make):
    fitted = [FeatureEncoder.fit(*mixed_table(table))[1] for table in (make(FRAME), FRAME)]
    assert np.array_equal(*fitted)
    some, labelled = FRAME[:50], LABELLED[:50]
    assert np.array_equal(regressor.predict(make(some)), regressor.predict(some))
    assert np.array_equal(classifier.predict_proba(make(labelled)), classifier.predict_proba(labelled))


def test_an_array_of_objects_in_a_pipeline_is_a_table_of_columns(regressor):
    pipeline = make_pipeline(FunctionTransformer(pd.DataFrame.to_numpy), clone(regressor)).fit(FRAME, Y)
    assert np.array_equal(pipeline.predict(FRAME[:50]), regressor.predict(FRAME[:50]))
    assert pipeline[-1].n_features_in_ == 4 and not hasattr(pipeline[-1], "feature_names_in_")
    with pytest.raises(ValueError, match="X has 2 features, but DiffusionRegressor is expecting 4"):
        pipeline.predict(FRAME[["kind", "x"]])


def test_categories_that_no_training_row_had_are_predicted_alike(regressor):
    new, other = (regressor.predict(FRAME[:20].assign(kind=kind)) for kind in ("new", "other"))
    assert np.array_equal(new, other) and np.isfinite(new).all()


def test_class_probabilities_obey_bayes_rule(classifier):
    assert classifier.classes_.tolist() == ["no", "yes"] and classifier.feature_names_in_.tolist() == ["kind", "x"]
    x = np.random.default_rng(1).normal(size=50)
    # No training row had the category z: probabilities are given the number alone.
    for kind, is_missing in product("abcz", (False, True)):
        p = classifier.predict_proba(pd.DataFrame({"kind": [kind] * 50, "x": np.where(is_missing, np.nan, x)}))
        masses = [
            PRIOR[label] * dict(zip("abcz", (*SHARES[label], 1.0), strict=True))[kind]
            * (LACKING[label] if is_missing else 1 - LACKING[label])
            for label in PRIOR
        ]  # fmt: skip
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
        assert p[:, 1].mean() == pytest.approx(masses[1] / sum(masses), abs=0.06)
    with pytest.raises(ValueError, match="predict_log_likelihood is for Gaussian models, but this one has tokens"):
        classifier.predict_log_likelihood(LABELLED)


def test_columns_that_differ_from_those_of_fit_are_named_in_one_line(regressor, classifier):
    for call, message in [
        (lambda: regressor.predict(FRAME.drop(columns="kind")), "yet now missing: - kind$"),
        (lambda: regressor.predict(FRAME.assign(size=1)), "unseen at fit time: - size$"),
        (lambda: regressor.predict(FRAME.assign(x="tall")), "column 'x' of X holds .*string, and it held double"),
        (lambda: regressor.log_prob(FRAME, Y[:3]), "inconsistent numbers of samples"),
        (lambda: clone(QUICK).fit(FRAME.assign(x=np.inf), Y), "column 'x' holds an infinite value"),
        (lambda: clone(QUICK).fit(FRAME.assign(x=[[1]] * len(Y)), Y), "column 'x' holds list.* drop it"),
        (lambda: classifier.predict(LABELLED.drop(columns="kind")), "X has no column 'kind': give all columns"),
    ]:
        with pytest.raises(ValueError, match=message) as error:
            call()
        assert "\n" not in str(error.value)


def test_a_date_beyond_those_of_training_causes_a_warning(regressor):
    text = "20 of 20 rows .* in day, which goes from 2020-01-01 00:00:00 to 2020-10-2. 00:00:00 there"
    with pytest.warns(UserWarning, match=text):
        regressor.predict(FRAME[:20].assign(day=pd.Timestamp("2030-01-01")))


@pytest.mark.slow
def test_in_a_cross_validation(regressor, classifier):
    assert cross_val_score(make_pipeline(FunctionTransformer(), regressor), FRAME, Y, cv=2).min() > 0.8
    assert cross_val_score(make_pipeline(FunctionTransformer(), classifier), LABELLED, LABELS, cv=2).min() > 0.75
