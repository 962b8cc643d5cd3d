import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from pointillist import Diffusion, DiffusionClassifier, load_pointset
from pointillist.datasets.pointsets import true_class_probabilities

X, Y = load_pointset("manycircles", 1500)
NAMES = np.array(list("abcdefgh"))[Y]
FRESH, FRESH_Y = load_pointset("manycircles", 300, random_state=7)
QUICK = {"timesteps": 50, "width": 64, "depth": 3, "epochs": 120, "learning_rate": 3e-3}


@pytest.fixture(scope="module")
def model():
    return Diffusion(**QUICK, random_state=0).fit(X, NAMES)


@pytest.fixture(scope="module")
def untrained_model():
    """Returns an untrained model, for tests that do not need a good one."""
    return Diffusion(**QUICK | {"epochs": 1}, random_state=0).fit(X, NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["elbo", "exact"])
def test_probabilities_are_near_the_true_ones(model, method):
    classifier = DiffusionClassifier(model, method=method)
    found = classifier.predict_proba(FRESH)
    assert found.shape == (300, 8) and found.dtype == np.float64
    np.testing.assert_allclose(found.sum(axis=1), 1)
    truth = true_class_probabilities("manycircles", FRESH)
    # Total variation distance; a uniform guess has about 0.8.
    assert np.abs(found - truth).sum(axis=1).mean() / 2 < 0.15
    names = np.array(list("abcdefgh"))[FRESH_Y]
    assert classifier.score(FRESH, names) > (truth.argmax(1) == FRESH_Y).mean() - 0.06
    assert set(classifier.predict(FRESH[:9])) <= set("abcdefgh")


@pytest.mark.slow
def test_both_methods_agree(model):
    elbo, exact = (DiffusionClassifier(model, method=m).predict_proba(FRESH) for m in ("elbo", "exact"))
    assert np.abs(elbo - exact).sum(axis=1).mean() / 2 < 0.15


@pytest.mark.slow
def test_a_row_is_classified_by_itself(model):
    classifier = DiffusionClassifier(model, random_state=3)
    many = classifier.predict_proba(FRESH)
    np.testing.assert_array_equal(classifier.predict_proba(FRESH[:7]), many[:7])
    np.testing.assert_array_equal(classifier.predict_proba(FRESH), many)


def test_classes_come_from_the_model(untrained_model):
    classifier = DiffusionClassifier(untrained_model, n_times=8)
    assert classifier.classes_.tolist() == list("abcdefgh")
    assert "classes_" not in vars(classifier)
    found = classifier.predict_proba(FRESH)
    assert found.shape == (300, 8) and found.dtype == np.float64
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (classifier.predict(FRESH) == np.array(list("abcdefgh"))[found.argmax(axis=1)]).all()


def test_fit_fits_a_copy(untrained_model):
    before = untrained_model.model_
    classifier = DiffusionClassifier(Diffusion(**QUICK | {"epochs": 1}, random_state=0)).fit(X, Y)
    assert classifier.classes_.tolist() == list(range(8)) and not hasattr(classifier.model, "model_")
    DiffusionClassifier(untrained_model).fit(X, Y)
    assert untrained_model.model_ is before


@pytest.mark.slow
def test_cross_validation():
    quick = Diffusion(timesteps=20, width=32, depth=2, epochs=30, learning_rate=3e-3, random_state=0)
    scores = cross_val_score(DiffusionClassifier(quick, n_times=32), X[:600], Y[:600] > 3, cv=2)
    assert scores.min() > 0.8


def test_unusable_models_and_arguments_are_refused(untrained_model):
    with pytest.raises(NotFittedError, match="call fit first"):
        DiffusionClassifier().predict(X)
    with pytest.raises(AttributeError, match="the model is not fitted: call fit first"):
        DiffusionClassifier().classes_  # noqa: B018
    plain = Diffusion(**QUICK | {"epochs": 1}).fit(X)
    with pytest.raises(ValueError, match="the model was fitted without labels"):
        DiffusionClassifier(plain).predict(X)
    with pytest.raises(ValueError, match="method must be 'elbo' or 'exact', not 'vote'"):
        DiffusionClassifier(untrained_model, method="vote").predict(X)
    with pytest.raises(ValueError, match="n_times must be an integer of at least 1, not 0"):
        DiffusionClassifier(untrained_model, n_times=0).predict(X)
    with pytest.raises(ValueError, match="y has a single class"):
        DiffusionClassifier().fit(X, np.zeros(len(X)))
    with pytest.raises(ValueError, match="X has 3 features"):
        DiffusionClassifier(untrained_model).predict(np.zeros((2, 3)))
