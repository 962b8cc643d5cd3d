import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from pointillist import Diffusion, DiffusionClassifier, load_pointset, metrics

X, Y = load_pointset("blobs", 600)
NAMES = np.array(["left", "right"])[Y]
UNITS = X * [10.0, 0.1] + [100.0, -5.0]
QUICK = {"timesteps": 40, "width": 32, "depth": 1, "epochs": 100, "batch_size": 32, "learning_rate": 5e-3}


@pytest.fixture(scope="module")
def plain():
    return Diffusion(**QUICK, random_state=0).fit(UNITS)


@pytest.fixture(scope="module")
def conditional():
    return Diffusion(**QUICK, random_state=0).fit(UNITS, NAMES)


def test_rows_come_in_the_units_of_the_data(plain):
    rows = plain.sample(500, random_state=1)
    assert rows.shape == (500, 2) and rows.dtype == np.float64
    scaled = (rows - [100.0, -5.0]) / [10.0, 0.1]
    near = metrics.energy_distance(X, scaled)
    assert float(near) < 0.05 < float(metrics.energy_distance(X, scaled + 0.5))


def test_same_seed_same_rows(plain):
    many = plain.sample(700, random_state=1)
    np.testing.assert_array_equal(plain.sample(9, random_state=1), many[:9])
    assert not np.array_equal(plain.sample(9, random_state=2), many[:9])
    again = clone(plain).fit(UNITS)
    np.testing.assert_array_equal(again.sample(9, random_state=1), many[:9])
    assert plain.sample(0).shape == (0, 2)


def test_history_and_fitted_attributes(plain, conditional):
    assert plain.history_.shape == (100,) and plain.history_[-5:].mean() < plain.history_[0]
    assert plain.n_features_in_ == 2 and not hasattr(plain, "classes_")
    assert conditional.classes_.tolist() == ["left", "right"]
    assert conditional.class_counts_.tolist() == np.bincount(Y).tolist()


def nearest_class(rows):
    scaled = (rows - [100.0, -5.0]) / [10.0, 0.1]
    return NAMES[((scaled[:, None] - X[None]) ** 2).sum(-1).argmin(1)]


def test_labels_of_any_kind(conditional):
    assert (nearest_class(conditional.sample(200, labels="right", random_state=0)) == "right").mean() > 0.6
    asked = np.array(["left", "right"] * 50)
    rows = conditional.sample(labels=asked, random_state=0)
    assert len(rows) == 100 and (nearest_class(rows) == asked).mean() > 0.7
    numbered = Diffusion(**QUICK | {"epochs": 2}).fit(UNITS, Y * 7 - 3)
    assert numbered.classes_.tolist() == [-3, 4] and numbered.sample(2, labels=4).shape == (2, 2)


def test_guidance_moves_rows_into_their_class(conditional):
    fractions = [
        (nearest_class(conditional.sample(300, labels="right", guidance=w, random_state=0)) == "right").mean()
        for w in (0, 4)
    ]
    assert fractions[1] > fractions[0]


@pytest.mark.parametrize("steering", ["svdd_pm", pytest.param("feynman_kac", marks=pytest.mark.slow)])
def test_a_reward_is_of_rows_in_the_units_of_the_data(plain, steering):
    def high(x):
        assert x.shape[1] == 2
        return x[:, 0]

    base = plain.sample(300, random_state=0)[:, 0]
    options = {"reward_temperature": 2.0, "random_state": 0, "steering": steering}
    compiled = plain.sample(300, reward=high, **options)
    assert compiled[:, 0].mean() > base.mean() + 1


@pytest.mark.slow
@pytest.mark.parametrize("steering", ["svdd_pm", "feynman_kac"])
def test_a_reward_on_the_host_gives_the_rows_of_a_compiled_one(plain, steering):
    options = {"reward_temperature": 2.0, "random_state": 0, "steering": steering}
    compiled = plain.sample(300, reward=lambda x: x[:, 0], **options)
    host = plain.sample(300, reward=lambda x: np.asarray(x)[:, 0], **options)
    # If rewards nearly tie, their last bits decide which row of a population is copied.
    wanted = 1.0 if steering == "svdd_pm" else 0.8
    assert np.isclose(host, compiled, rtol=1e-3).all(axis=1).mean() >= wanted


@pytest.mark.slow
def test_populations_of_several_labels(conditional):
    asked = np.array(["right", "left", "right"] * 40)
    rows = conditional.sample(labels=asked, reward=lambda x: 0 * x[:, 0], steering="feynman_kac", random_state=0)
    assert len(rows) == 120 and (nearest_class(rows) == asked).mean() > 0.7


def test_progress_is_a_bar_on_standard_error(plain, capsys):
    plain.sample(10, reward=lambda x: jnp.zeros(len(x)), progress=True)
    assert capsys.readouterr().out == ""


def test_a_constant_column_is_restored():
    data = np.column_stack([UNITS, np.full(len(UNITS), 7.5)])
    model = Diffusion(**QUICK | {"epochs": 2}, random_state=0).fit(data)
    rows = model.sample(20, random_state=0, reward=lambda x: np.asarray(x)[:, 2])
    assert (rows[:, 2] == 7.5).all()


def test_log_density_is_in_the_units_of_the_data(plain):
    scaled = Diffusion(**QUICK, random_state=0).fit(X.astype(np.float64))
    found, expected = plain.score_samples(UNITS[:50]), scaled.score_samples(X[:50].astype(np.float64))
    # A density in units 10 and 0.1 times as long; the data's range, and with it the scaled rows, differ by rounding.
    np.testing.assert_allclose(found, expected - np.log(10 * 0.1), atol=0.05)
    assert plain.score(UNITS[:50]) == pytest.approx(found.mean())


@pytest.mark.slow
@pytest.mark.parametrize("scaling", ["minmax", None])
def test_a_reward_under_every_scaling(scaling):
    data = np.column_stack([UNITS, np.full(len(UNITS), 7.5)])
    model = Diffusion(**QUICK, scaling=scaling, random_state=0).fit(data / [10, 0.1, 1] if scaling is None else data)
    options = {"reward_temperature": 0.5, "random_state": 0}
    compiled = model.sample(200, reward=lambda x: x[:, 1] / x[:, 2], **options)
    host = model.sample(200, reward=lambda x: np.asarray(x)[:, 1] / 7.5, **options)
    np.testing.assert_allclose(host, compiled, rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize(
    "sampler", ["ddim", *(pytest.param(each, marks=pytest.mark.slow) for each in ("dpm", "dpm-sde", "heun"))]
)
def test_other_samplers_draw_the_same_distribution(conditional, sampler):
    rows = conditional.sample(600, sampler=sampler, random_state=0)
    asked = conditional.sample(300, labels="right", sampler=sampler, guidance=1.0, random_state=0)
    assert float(metrics.energy_distance(X, (rows - [100.0, -5.0]) / [10.0, 0.1])) < 0.05
    assert (nearest_class(asked) == "right").mean() > 0.7


def test_a_prior_decides_the_rows_without_noise(conditional):
    prior = np.random.default_rng(0).normal(size=(40, 2))
    options = {"prior": prior, "deterministic": True}
    np.testing.assert_array_equal(conditional.sample(**options), conditional.sample(**options, random_state=7))
    (rows, labels), (again, same) = (conditional.sample(**options, return_labels=True) for _ in range(2))
    np.testing.assert_array_equal(rows, again)
    assert labels.tolist() == same.tolist() and len(set(labels)) == 2
    few = conditional.sample(prior=prior[:7], deterministic=True, steps=10, sampler="ddim", labels="left")
    assert few.shape == (7, 2)


@pytest.mark.slow
def test_a_prior_goes_with_a_reward(conditional):
    prior = np.random.default_rng(0).normal(size=(40, 2))
    steered = conditional.sample(prior=prior, reward=lambda x: x[:, 0], random_state=0)
    assert steered[:, 0].mean() > conditional.sample(prior=prior, random_state=0)[:, 0].mean()


@pytest.mark.slow
def test_log_density_is_a_density(plain):
    axis = np.linspace(-1.8, 1.8, 180)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    density = np.exp(plain.score_samples(grid * [10.0, 0.1] + [100.0, -5.0]))
    assert density.sum() * (3.6 / 179) ** 2 == pytest.approx(1.0, abs=0.01)


def test_no_density_of_all_classes_without_p_uncond():
    model = Diffusion(**QUICK | {"epochs": 1}, p_uncond=0.0).fit(UNITS, NAMES)
    with pytest.raises(ValueError, match="was never trained without labels: fit it with p_uncond above 0"):
        model.score_samples(UNITS)


@pytest.mark.slow
def test_default_rows_are_indistinguishable_to_a_forest():
    X, _ = load_pointset("moons")
    fresh, _ = load_pointset("moons", random_state=9)
    rows = Diffusion(random_state=0).fit(X).sample(4000, random_state=0)
    found = metrics.two_sample_test(rows, fresh[:4000], max_rows=4000)
    assert float(found) < 0.5 + 3 * found.null_standard_error


@pytest.mark.slow
@pytest.mark.parametrize("prediction", ["x0", "eps", "v", "edm"])
def test_every_prediction_learns(prediction):
    options = QUICK | {"prediction": prediction, "weighting": "min-snr", "network": "mlp", "noise_levels": "uniform"}
    rows = Diffusion(**options, random_state=0).fit(X).sample(500, random_state=1)
    normal = np.random.default_rng(0).multivariate_normal(X.mean(axis=0), np.cov(X.T), size=500)
    assert float(metrics.energy_distance(X, rows)) < 0.5 * float(metrics.energy_distance(X, normal))


@pytest.mark.slow
def test_the_rows_come_from_the_averaged_weights():
    """An average without memory equals the last weights; any other average does not."""
    options = QUICK | {"epochs": 3, "decay": False}
    models = [Diffusion(**options, averaging=a, random_state=0).fit(X) for a in (0.0, 1e-12, 0.9)]
    first, last, averaged = (model.sample(5, random_state=0) for model in models)
    np.testing.assert_allclose(last, first, rtol=1e-3, atol=1e-4)
    assert np.abs(averaged - first).max() > 1e-2
    np.testing.assert_array_equal(models[0].history_, models[2].history_)


def test_without_p_uncond_classes_are_as_frequent_as_in_the_data():
    model = Diffusion(**QUICK, p_uncond=0.0, random_state=0).fit(UNITS, NAMES)
    fraction = (nearest_class(model.sample(600, random_state=0)) == "right").mean()
    assert abs(fraction - Y.mean()) < 0.1
    with pytest.raises(ValueError, match="guidance needs a model also trained without labels"):
        model.sample(3, labels="left", guidance=1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": "up"}, "unknown label 'up': the model knows 'left', 'right'"),
        ({"labels": ["left", "up"]}, "unknown label 'up'"),
        ({"labels": ["left"] * 3, "n_samples": 2}, "labels has 3 entries but n_samples is 2"),
        ({"labels": [["left"]]}, "labels must be one label, or one label per row"),
        ({"labels": np.array(["left", 1], object)}, "labels mixes labels of kinds int, text"),
        ({"prior": np.full((5, 2), 1e39)}, "prior has inf in row 0, column 0"),
        ({"prior": np.zeros((5, 3))}, "prior must hold one row of 2 numbers for each row to draw"),
        ({"prior": np.zeros((4, 2))}, "prior has 4 entries but n_samples is 5"),
        ({"prior": np.zeros((5, 2)), "reward": len, "steering": "feynman_kac"}, "draws populations of rows"),
        ({"sampler": "euler"}, "sampler must be one of 'ancestral', 'ddim'"),
        ({"sampler": "dpm", "steps": 1}, "steps of dpm must be an integer of at least 2, not 1"),
        ({"sampler": "dpm", "reward": len}, "rewards steer ancestral sampling, not dpm"),
        ({"sampler": "dpm-sde", "deterministic": True}, "dpm-sde adds noise: use sampler='dpm'"),
        ({"steps": 41, "sampler": "ddim"}, "steps of ddim must be an integer from 1 to the model's timesteps, 40"),
        ({"deterministic": True, "reward": len}, "SVDD needs a stochastic sampler"),
        ({"guidance": 1.0}, "guidance needs a class to guide to: give labels"),
        ({"guidance": -1.0, "labels": "left"}, "guidance must be a number from 0 to 3e38, not -1.0"),
        ({"guidance": np.nan, "labels": "left"}, "guidance must be a number from 0 to 3e38"),
        ({"n_samples": -1}, "n_samples must be an integer of at least 0, or None, not -1"),
        ({"n_samples": 2.5}, "n_samples must be an integer of at least 0, or None, not 2.5"),
        ({"reward": 3}, "reward must be a function of rows, not 3"),
        ({"reward": lambda x: x}, "the reward gave shape"),
        ({"reward": lambda x: np.asarray(x)}, "the reward gave shape"),
        ({"reward": lambda x: x[:, 0] * jnp.nan}, "the reward lost 5 of 5 rows: it gave NaN"),
        ({"reward": lambda x: np.asarray(x)[:, 0] * np.nan}, "the reward gave nan for the row"),
        ({"reward": lambda x: x[:, 0], "reward_temperature": -1.0}, "reward_temperature must be a number of at least"),
        (
            {"reward": lambda x: x[:, 0], "reward_temperature": 0, "steering": "feynman_kac"},
            "reward_temperature must be a number above 0",
        ),
        ({"reward": lambda x: x[:, 0], "candidates": 0}, "candidates must be an integer of at least 1, not 0"),
        (
            {"reward": lambda x: x[:, 0], "steering": "luck"},
            "steering must be one of 'svdd_pm', 'feynman_kac'",
        ),
        ({"random_state": -1}, r"random_state must lie between 0 and 2\*\*32 - 1, not -1"),
        ({"random_state": "1"}, "random_state must be an integer"),
    ],
)
def test_arguments_of_sample_that_are_refused(conditional, options, message):
    with pytest.raises(ValueError, match=message) as error:
        conditional.sample(**{"n_samples": None if "labels" in options else 5, **options})
    assert "\n" not in str(error.value)


def test_what_needs_classes(plain):
    with pytest.raises(ValueError, match="labels need a model with classes, but this one was fitted without"):
        plain.sample(3, labels=1)
    with pytest.raises(ValueError, match="guidance needs a model with classes, but this one was fitted without"):
        plain.sample(3, guidance=1.0)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(600), "y has a single class, 0.0: leave y out"),
        (np.array(["rare"] + ["often"] * 599), "class 'rare' has one row and needs at least 2"),
        (np.linspace(0, 1, 600), "Unknown label type: continuous"),
        (Y[:10], "X has 600 rows but y has 10 labels"),
    ],
)
def test_labels_that_fit_refuses(y, message):
    with pytest.raises(ValueError, match=message):
        Diffusion().fit(UNITS, y)


def test_a_failed_fit_keeps_the_earlier_model(conditional):
    rows = conditional.sample(5, labels="left", random_state=0)
    with pytest.raises(ValueError, match="y has a single class"):
        conditional.fit(UNITS, np.zeros(600))
    np.testing.assert_array_equal(conditional.sample(5, labels="left", random_state=0), rows)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"variance": "none"}, "variance must be one of 'posterior', 'beta', not 'none'"),
        ({"timesteps": 0}, "timesteps must be an integer from 2 to 100,000, not 0"),
        ({"epochs": 1.5}, "epochs must be an integer"),
        ({"class_embedding": 5}, "class_embedding must be an even integer"),
        ({"schedule": "quadratic"}, "schedule must be one of 'linear', 'cosine', 'sigmoid'"),
        ({"network": "transformer"}, "network must be one of 'mlp', 'residual', not 'transformer'"),
        ({"prediction": "score"}, "prediction must be one of 'eps', 'v', 'x0', 'edm'"),
        ({"weighting": "none"}, "weighting must be one of 'uniform', 'min-snr'"),
        ({"noise_levels": "all"}, "noise_levels must be one of 'uniform', 'log-normal'"),
        ({"decay": "no"}, "decay must be true or false, not 'no'"),
        ({"averaging": 1.0}, "averaging must be a number of at least 0 and below 1, not 1.0"),
        ({"warmup": -1}, "warmup must be an integer of at least 0, not -1"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0 and at most 1, or None, not 0"),
        ({"p_uncond": 2}, "p_uncond must be a number from 0 to 1, not 2"),
        ({"schedule": "linear", "beta_start": 0.5, "beta_end": 0.1}, "need 0 < beta_start <= beta_end < 1"),
    ],
)
def test_parameters_that_fit_refuses(parameters, message):
    with pytest.raises(ValueError, match=message):
        Diffusion(**parameters).fit(UNITS)


def test_before_fit():
    with pytest.raises(NotFittedError):
        Diffusion().sample(3)
    with pytest.raises(NotFittedError):
        Diffusion().score_samples(X)


def test_almost_pure_noise_gives_no_density_and_no_classes():
    X = np.random.default_rng(0).normal(size=(100, 2))
    noise = {"timesteps": 2, "schedule": "linear", "beta_start": 0.995, "beta_end": 0.995}
    model = Diffusion(**noise, process="gaussian", epochs=1, width=8, depth=1, random_state=0).fit(X, X[:, 0] > 0)
    for ask in (
        lambda: model.score_samples(X),
        lambda: DiffusionClassifier(model).predict(X),
        lambda: model.conditional("label").predict(X),
        lambda: model.conditional(0).predict(X),
    ):
        with pytest.raises(ValueError, match="needs several noise levels"):
            ask()
