"""Checks the interface that scikit-learn expects from an estimator."""

import numpy as np
import pandas
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from pointillist import Diffusion, DiffusionClassifier, DiffusionImputer, DiffusionRegressor, load_pointset

X, Y = load_pointset("blobs", 300)
QUICK = {"timesteps": 5, "width": 8, "depth": 1, "epochs": 2, "random_state": 0}
# Some checks ask for an accuracy.
LEARNING = Diffusion(**QUICK | {"epochs": 60, "width": 16, "batch_size": 16, "learning_rate": 0.01})
HASTY = clone(LEARNING).set_params(epochs=1)


@pytest.mark.slow
@parametrize_with_checks([Diffusion(**QUICK), DiffusionClassifier(LEARNING, n_times=8)])
def test_every_check_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_estimators_dtypes,
        estimator_checks.check_n_features_in_after_fitting,
        estimator_checks.check_dict_unchanged,
        estimator_checks.check_fit_idempotent,
    ],
)
def test_some_checks_of_scikit_learn(check):
    """Returns the checks that a change of input handling is most likely to break."""
    check("Diffusion", Diffusion(**QUICK))


@pytest.mark.slow
def test_in_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), Diffusion(**QUICK)).fit(X, Y)
    found = pipeline.score_samples(X)
    alone = (
        Diffusion(**QUICK).fit(StandardScaler().fit_transform(X), Y).score_samples(StandardScaler().fit_transform(X))
    )
    np.testing.assert_array_equal(found, alone)


@pytest.mark.slow
def test_in_a_grid_search():
    search = GridSearchCV(Diffusion(**QUICK | {"learning_rate": 1e-2}), {"epochs": [1, 150]}, cv=2).fit(X)
    assert search.best_params_ == {"epochs": 150}
    assert search.best_estimator_.sample(4).shape == (4, 2)
    labelled_model = GridSearchCV(DiffusionClassifier(LEARNING, n_times=16), {"model__epochs": [60]}, cv=2).fit(X, Y)
    assert labelled_model.best_score_ > 0.8


@pytest.mark.slow
def test_a_grid_search_by_held_out_integers_dates_and_categories_has_finite_scores():
    rng = np.random.default_rng(0)
    days = pandas.Timestamp("2020-01-01") + pandas.to_timedelta(np.round(rng.gamma(3, 60, 600)), "D")
    kinds = np.where(np.arange(600) == 7, "rare", rng.choice(["a", "b"], 600))
    table = pandas.DataFrame({"count": rng.negative_binomial(2, 0.05, 600), "day": days, "kind": kinds})
    search = GridSearchCV(Diffusion(width=8, depth=1, random_state=0), {"epochs": [1, 40]}, cv=2, refit=False)
    search.fit(table)
    found = search.cv_results_["mean_test_score"]
    assert np.isfinite(found).all() and search.best_params_ == {"epochs": 40}


def test_a_clone_is_not_fitted():
    model = clone(HASTY).fit(X, Y)
    copy = clone(model)
    assert copy.get_params() == model.get_params() and not hasattr(copy, "model_")


def test_what_a_notebook_shows():
    assert "Diffusion(batch_size=16, depth=1, epochs=1" in clone(HASTY).fit(X, Y)._repr_html_()


def test_verbose_shows_a_bar_and_is_silent_by_default(capsys):
    clone(HASTY).fit(X, Y)
    assert capsys.readouterr() == ("", "")
    clone(HASTY).set_params(verbose=True).fit(X, Y)
    shown = capsys.readouterr()
    assert shown.out == ""


def test_predictions_do_not_depend_on_other_rows():
    classifier = DiffusionClassifier(LEARNING, n_times=8).fit(X, Y)
    together = classifier.predict_proba(X)
    assert (together.argmax(axis=1) == Y).mean() > 0.8
    np.testing.assert_allclose(classifier.predict_proba(X[100:103]), together[100:103], rtol=1e-5)
    np.testing.assert_allclose(classifier.predict_proba(X[::-1]), together[::-1], rtol=1e-5)


def test_labels_of_several_types_are_refused():
    with pytest.raises(ValueError, match="y mixes labels of kinds int, text"):
        Diffusion(**QUICK).fit(X, np.array(["a", 1] * 150, dtype=object))
    with pytest.raises(ValueError, match="y has missing labels"):
        Diffusion(**QUICK).fit(X, np.array(["a", None] * 150, dtype=object))
    with pytest.raises(ValueError, match="y has missing labels"):
        Diffusion(**QUICK).fit(X, pandas.array(["a", None] * 150, dtype="string"))
    model = clone(HASTY).fit(X, np.array(["a", "b"] * 150, dtype=object))
    assert model.classes_.tolist() == ["a", "b"]


def test_a_regressor_shows_its_training_if_asked(monkeypatch):
    shown = []
    monkeypatch.setattr(
        "pointillist.progress.Bar._update", lambda bar, **changes: shown.append((bar._is_shown, changes))
    )
    quick = DiffusionRegressor(width=4, depth=1, n_networks=1, steps=40, random_state=0)
    for verbose in (None, True):
        shown.clear()
        clone(quick).set_params(verbose=verbose).fit(X[:, :1], X[:, 1])
        assert {is_shown for is_shown, _ in shown} == {bool(verbose)}
        assert sum(changes.get("advance", 0) for _, changes in shown) == 40


@pytest.mark.parametrize("kind", [Diffusion, DiffusionRegressor])
def test_an_unknown_parameter_is_named_with_a_similar_one(kind):
    with pytest.raises(TypeError, match=f"^{kind.__name__} has no parameter 'widht': did you mean 'width'"):
        kind(widht=3)
    with pytest.raises(TypeError, match=f"^{kind.__name__} has no parameter 'bananas': it has .*random_state"):
        kind(bananas=3)
    assert clone(kind(width=3)).width == 3
    with pytest.raises(TypeError, match=r"^DiffusionRegressor has no parameter 'epoch': it has .*steps"):
        DiffusionRegressor(epoch=3)


@pytest.mark.parametrize("kind", [DiffusionClassifier, DiffusionImputer])
def test_a_parameter_of_the_model_is_shown_where_it_belongs(kind):
    for name in ("epoch", "epochs"):
        with pytest.raises(
            TypeError, match=f"^{kind.__name__} has no parameter '{name}': .* model=Diffusion\\(epochs=…"
        ):
            kind(**{name: 1})
    with pytest.raises(TypeError, match=f"^{kind.__name__} has no parameter 'bananas': it has .*model, .*random_state"):
        kind(bananas=3)
    assert clone(kind(None, random_state=3)).random_state == 3


def test_sampling_names_an_unknown_argument():
    model = clone(HASTY).fit(X, Y)
    with pytest.raises(TypeError, match=r"^Diffusion.sample has no parameter 'label': did you mean 'labels'"):
        model.sample(3, label=0)
    with pytest.raises(TypeError, match=r"^Diffusion.sample has no parameter 'condition': it has .*where"):
        model.sample(3, condition=0)
    with pytest.raises(TypeError, match=r"^Diffusion.sample has no parameter 'label': did you mean 'labels'"):
        model.sample_batches(3, label=0)
