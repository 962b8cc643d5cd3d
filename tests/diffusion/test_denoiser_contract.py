"""Contract of every denoiser: E[x_0 | x_t] for one row at any time, for any known class."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contracts import concrete
from pointillist.diffusion.denoisers import Denoiser, NetworkDenoiser, UnobservedColumns
from pointillist.diffusion.guidance import ClassifierFree
from pointillist.diffusion.networks import MLP, ResidualMLP
from pointillist.diffusion.oracles import GaussianMixture
from pointillist.diffusion.schedules import alpha_sigma, cosine, linear
from pointillist.diffusion.tokens.masking import Tokens
from pointillist.diffusion.tokens.mixed_networks import NumberNetwork
from pointillist.diffusion.tokens.mixed_sampling import NumberDenoiser

SCHEDULE = cosine(40)
CLASSES = 2
MIXTURE = GaussianMixture.of(
    [0.5, 0.3, 0.2],
    [[-0.5, -0.3], [0.5, 0.4], [0.6, -0.6]],
    [np.diag([0.02, 0.05]), [[0.04, 0.02], [0.02, 0.03]], np.diag([0.5, 0.3])],
    labels=[0, 1, 1],
)
BOUNDS = np.array([[-0.4, -0.5], [0.3, 0.4]], np.float32)
SIGMA_DATA = np.array([0.6, 1.4], np.float32)


GUIDANCE = np.asarray(1.5, np.float32)


def random(build, seed=0, **shape):
    """Returns a network with random weights in every layer; the output of a new network may be 0."""
    network = eqx.filter_eval_shape(build, jax.random.key(0), width=6, depth=1, **shape)
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.normal(0, 0.4, leaf.shape).astype(np.float32), network)


def random_columns_network(kind, features, seed=0):
    return random(kind, seed, columns=2, features=features)


def plain_network(schedule):
    return NetworkDenoiser(random_columns_network(ResidualMLP, 8), schedule, SIGMA_DATA, "edm")


def class_network(schedule, kind=ResidualMLP, prediction="edm", seed=0):
    return NetworkDenoiser(
        network=random_columns_network(kind, 16, seed),
        schedule=schedule,
        n_classes=np.asarray(CLASSES, np.int32),
        class_embedding=8,
        sigma_data=SIGMA_DATA,
        prediction=prediction,
    )


def condition_on(schedule, *values):
    """Returns the denoiser of rows with some observed values."""
    n = len(values)
    network = random(ResidualMLP, columns=n, features=8, has_observed=True)
    return NetworkDenoiser(network, schedule, np.resize(SIGMA_DATA, n), "edm").condition_on(
        jnp.array(values, jnp.float32)
    )


def numbers(schedule):
    """The denoiser of two numbers given a token."""
    tokens = Tokens((3, 1), (), (0, 1), (2, 0))
    network = random(NumberNetwork.build, tokens=tokens, frequencies=3)
    return NumberDenoiser(network, schedule, jnp.ones(2, bool), jnp.linspace(-1.0, 1.0, 6))


@dataclass(frozen=True)
class Case:
    """Returns a denoiser of a schedule and, if it is exact, its distribution."""

    make: Callable
    distribution: GaussianMixture | None = None


DENOISERS = {
    "network": Case(plain_network),
    "network, bounded": Case(
        lambda s: NetworkDenoiser(random_columns_network(ResidualMLP, 8), s, SIGMA_DATA, "v", BOUNDS)
    ),
    "network of classes": Case(class_network),
    "network of classes, MLP": Case(lambda s: class_network(s, MLP, "eps")),
    "network of a given column": Case(lambda s: condition_on(s, np.nan, 0.3)),
    "open columns": Case(lambda s: UnobservedColumns.of(condition_on(s, np.nan, 0.3, np.nan), (0, 2), 3)),
    "mixture": Case(MIXTURE.denoiser, MIXTURE),
    "classifier-free": Case(lambda s: ClassifierFree(class_network(s), GUIDANCE)),
    "classifier-free, of a mixture": Case(lambda s: ClassifierFree(MIXTURE.denoiser(s), GUIDANCE)),
    "numbers": Case(numbers),
}
"""Every denoiser, as a function of its schedule."""


MADE = {name: case.make(SCHEDULE) for name, case in DENOISERS.items()}
N_CLASSES = {name: each.n_classes for name, each in MADE.items() if hasattr(each, "n_classes")}
CONDITIONAL = [name for name, n in N_CLASSES.items() if n is not None]
GUIDED = [name for name, each in MADE.items() if isinstance(each, ClassifierFree)]
VARIANTS = "network, bounded", "network of classes, MLP", "classifier-free, of a mixture"


def quick(names):
    """Returns the names; all but the first of each class are marked slow."""
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in VARIANTS)) for name in names]


ORACLES = [name for name, case in DENOISERS.items() if case.distribution is not None]

N = 12
X_T = np.random.default_rng(1).normal(0, 0.7, (N, 2)).astype(np.float32)
WHOLE = np.array([1, 2, 5, 9, 14, 20, 25, 30, 35, 38, 39, 40], np.int32)
BETWEEN = np.minimum(WHOLE + 0.37, 40).astype(np.float32)


@jax.jit
def unbound(denoiser, x_t, t):
    return jax.vmap(lambda x, t: denoiser(x, t))(x_t, t)


@jax.jit
def bound(denoiser, label, x_t, t):
    return jax.vmap(lambda x, t: denoiser.given(label)(x, t))(x_t, t)


def values(denoiser, t=WHOLE, label=None, x_t=X_T):
    """Returns E[x_0 | x_t] of rows at their times, by one compiled program."""
    if label is None:
        return np.asarray(unbound(denoiser, x_t, t))
    return np.asarray(bound(denoiser, np.asarray(label, np.int32), x_t, t))


def tweedie(distribution, label, x_t, alpha, sigma):
    """E[x_0 | x_t] = (x_t + sigma_t² ∇ log p(x_t)) / alpha_t (Efron 2011), the gradient by finite differences."""
    distribution = distribution if label is None or label == CLASSES else distribution.given(label)

    def log_density(x):
        return distribution.noised(alpha, sigma).log_density(x)

    step = 1e-5 * sigma
    score = [(log_density(x_t + step * e) - log_density(x_t - step * e)) / (2 * step) for e in np.eye(2)]
    return (x_t + sigma**2 * np.stack(score, axis=1)) / alpha


def test_every_denoiser_is_tested():
    assert {type(each) for each in MADE.values()} == concrete(Denoiser)


@pytest.mark.parametrize("name", quick(DENOISERS))
def test_a_row_gives_a_finite_row(name):
    denoiser = MADE[name]
    assert denoiser.schedule is SCHEDULE
    labels = [None, 0, CLASSES] if name in CONDITIONAL else [None]
    for label in labels:
        for t in (WHOLE, BETWEEN):
            found = values(denoiser, t, label)
            assert found.shape == (N, 2) and found.dtype == np.float32 and np.isfinite(found).all()


@pytest.mark.parametrize("name", quick(DENOISERS))
def test_a_batch_gives_the_same_as_single_rows(name):
    """Includes compiled against uncompiled calls."""
    denoiser = MADE[name]
    for t in (WHOLE, BETWEEN):
        found = values(denoiser, t)
        for i in (0, 5, N - 1):
            alone = denoiser(jnp.asarray(X_T[i]), jnp.asarray(t[i]))
            assert alone.shape == (2,) and alone.dtype == jnp.float32
            np.testing.assert_allclose(found[i], alone, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("name", quick(DENOISERS))
def test_a_time_between_integers_lies_between_them(name):
    denoiser = MADE[name]
    x_t = np.repeat(X_T[3:4], N, axis=0)

    def at(t):
        return values(denoiser, np.resize(np.asarray(t, np.float32), N), x_t=x_t)

    # A float time without fraction equals the integer time.
    np.testing.assert_allclose(values(denoiser, WHOLE.astype(np.float32)), values(denoiser), rtol=1e-3, atol=1e-4)
    # No single step makes most of the change between two integers, as it would if times were rounded.
    path = at(np.linspace(20, 21, N))
    assert 0 < np.abs(np.diff(path, axis=0)).max() < np.ptp(path, axis=0).max() / 2


@pytest.mark.parametrize("name", ORACLES)
def test_exact_denoisers_follow_tweedies_formula(name):
    distribution, denoiser = DENOISERS[name].distribution, MADE[name]
    labels = [None, 0, 1, CLASSES] if name in CONDITIONAL else [None]
    for label in labels:
        for t in (WHOLE, BETWEEN):
            found = values(denoiser, t, label)
            for x_t, one, row in zip(X_T.astype(np.float64), t, found, strict=True):
                alpha, sigma = (float(each) for each in alpha_sigma(SCHEDULE, jnp.asarray(one)))
                expected = tweedie(distribution, label, x_t[None], alpha, sigma)[0]
                np.testing.assert_allclose(row, expected, rtol=3e-3, atol=1e-3)


@pytest.mark.parametrize("name", ORACLES)
def test_with_little_noise_the_prediction_is_the_input(name):
    """E[x_0 | x_t] → x_t / alpha_t, with an error of at most the order of the noise."""
    distribution = DENOISERS[name].distribution
    x_0, eps = distribution.sample(N, 0)[0], np.random.default_rng(2).normal(size=(N, 2))
    errors = []
    for beta in (1e-4, 1e-6, 1e-8):
        schedule = linear(40, beta, beta)
        sigma = float(schedule.sigma[1])
        x_t = (float(schedule.alpha[1]) * x_0 + sigma * eps).astype(np.float32)
        found = values(DENOISERS[name].make(schedule), np.ones(N, np.int32), x_t=x_t)
        errors.append(np.abs(found - x_t / float(schedule.alpha[1])).max() / sigma)
    # The last bit of x_t is 6e-8 of its size.
    assert np.max(errors) < np.abs(eps).max() + 0.01


@pytest.mark.parametrize("name", quick(CONDITIONAL))
def test_no_class_gives_the_denoiser_of_all_classes(name):
    denoiser = MADE[name]
    assert int(denoiser.n_classes) == CLASSES
    np.testing.assert_allclose(values(denoiser, label=CLASSES), values(denoiser), rtol=2e-5, atol=1e-5)
    each = [values(denoiser, label=label) for label in range(CLASSES + 1)]
    assert all(np.abs(one - other).max() > 1e-3 for one, other in pairwise(each))


@pytest.mark.parametrize("name", [name for name, n in N_CLASSES.items() if n is None])
def test_a_model_without_classes_refuses_a_class_in_one_line(name):
    with pytest.raises(ValueError, match="a label needs") as error:
        MADE[name].given(jnp.asarray(0))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", quick(CONDITIONAL))
def test_a_class_can_be_bound_again(name):
    denoiser, label = MADE[name], jnp.asarray(1)
    for same in (denoiser.given(jnp.asarray(0)).given(label), denoiser.under(denoiser.condition(label))):
        assert type(same) is type(denoiser)
        alone = same(jnp.asarray(X_T[4]), jnp.asarray(WHOLE[4]))
        np.testing.assert_allclose(values(denoiser, label=1)[4], alone, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("label", range(CLASSES))
@pytest.mark.parametrize("name", [name for name in CONDITIONAL if name in ORACLES])
def test_an_exact_denoiser_given_a_class_is_that_of_the_component(name, label):
    alone = DENOISERS[name].distribution.given(label).denoiser(SCHEDULE)
    for t in (WHOLE, BETWEEN):
        np.testing.assert_allclose(values(MADE[name], t, label), values(alone, t), rtol=1e-4, atol=1e-5)


def guided_by(denoiser, w):
    return replace(denoiser, guidance=np.asarray(w, np.float32))


@pytest.mark.parametrize("name", GUIDED)
def test_a_scale_without_guidance_gives_the_first_denoiser(name):
    """Checks bit for bit, except for networks on doubled batches, whose matrix products have another shape."""
    off, plain = guided_by(MADE[name], 0.0), MADE[name].denoiser
    for label in (None, 0):
        for t in (WHOLE, BETWEEN):
            error = 2e-6 if label is not None and isinstance(plain, NetworkDenoiser) else 0.0
            np.testing.assert_allclose(values(off, t, label), values(plain, t, label), rtol=error, atol=error)


@pytest.mark.parametrize("name", GUIDED)
def test_guidance_extrapolates_from_the_second_denoiser_through_the_first(name):
    guided = MADE[name]
    second = values(guided.denoiser)
    start, one, three = (values(guided_by(guided, w), label=0) for w in (0.0, 1.0, 3.0))
    assert np.abs(start - second).max() > 1e-2
    np.testing.assert_allclose(one, 2 * start - second, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(three, 4 * start - 3 * second, rtol=1e-3, atol=1e-4)
