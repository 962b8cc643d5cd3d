"""Contract of every sampler: it draws from the denoiser's distribution, depends on its key alone, and converges."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contracts import concrete
from pointillist.diffusion.conditioning.observed_sampling import CenteredSampler, ObservedSampler
from pointillist.diffusion.conditioning.restricted_sampling import RestrictedSampler, Restriction
from pointillist.diffusion.conditioning.twisting import RangedSampler, Ranges
from pointillist.diffusion.denoisers import Denoiser
from pointillist.diffusion.oracles import GaussianMixture
from pointillist.diffusion.parameterizations import coefficients
from pointillist.diffusion.registries import SAMPLERS as NAMES
from pointillist.diffusion.registries import sampler_named
from pointillist.diffusion.samplers import DDIM, Ancestral, RowSampler, Sampler
from pointillist.diffusion.schedules import at_lambda, cosine
from pointillist.diffusion.solvers import DPMSolver2M, Heun
from pointillist.diffusion.steering import ChainedSVDD
from pointillist.diffusion.tokens.masking import Tokens
from pointillist.diffusion.tokens.mixed_sampling import MixedDenoiser
from pointillist.diffusion.tokens.token_sampling import TokenDenoiser, TokenSampler
from pointillist.models.gaussian import STEERING

STEPS = 200
SCHEDULE = cosine(STEPS)
MIXTURE = GaussianMixture.of(
    [0.5, 0.3, 0.2],
    [[-0.5, -0.3], [0.5, 0.4], [0.6, -0.6]],
    [np.diag([0.02, 0.05]), [[0.04, 0.02], [0.02, 0.03]], np.diag([0.03, 0.01])],
)

# A weak reward: SVDD is exact to first order in 1 / temperature.
SLOPE, TEMPERATURE = np.array([1.0, 2.0]), 6.0
TILTED = MIXTURE.tilted(SLOPE / TEMPERATURE)

TOKENS = Tokens((2, 3))
TOKEN_ROWS = np.array(list(product(range(2), range(3))))
FRACTIONS = np.array([0.02, 0.08, 0.5, 0.03, 0.12, 0.25])
TOKEN_DISTRIBUTION = GaussianMixture.of(FRACTIONS, TOKEN_ROWS, np.eye(2) * 1e-9)


class TokenOracle(eqx.Module):
    """Network with the logits log p(token | visible tokens) of a distribution."""

    fractions: np.ndarray

    def __call__(self, seen):
        one_hot = TOKENS.one_hot(jnp.asarray(TOKEN_ROWS, jnp.float32))
        possible = jnp.where(one_hot @ seen >= seen.sum() - 0.5, jnp.asarray(self.fractions, jnp.float32), 0.0)
        return jnp.log(possible @ one_hot + 1e-30)


class TokenNetwork(eqx.Module):
    """Logits of a token with three values; its number exists only with the last."""

    def __call__(self, seen):
        return jnp.log(jnp.array([0.3, 0.2, 0.5]))


class NumberOracle(eqx.Module):
    """Exact network of a normal number, preconditioned for a variance of 1."""

    def embed_context(self, one_hot, observed):
        return one_hot

    def __call__(self, inside, is_noised, context, lambda_t, x_t):
        alpha, sigma = at_lambda(lambda_t)
        c_in, skip, out = coefficients("edm", alpha, sigma)
        x_t = inside / c_in
        x0 = NUMBER[0] + alpha * NUMBER[1] / (alpha**2 * NUMBER[1] + sigma**2) * (x_t - alpha * NUMBER[0])
        return (x0 - skip * x_t) / out


NUMBER = 0.4, 0.09
"""Mean and variance of the number."""

MIXED_DISTRIBUTION = GaussianMixture.of(
    [0.3, 0.2, 0.5], [[0, 0], [1, 0], [2, NUMBER[0]]], [np.eye(2) * 1e-9] * 2 + [np.diag([1e-9, NUMBER[1]])]
)
MIXED_ORACLE = MixedDenoiser(TokenDenoiser(TokenNetwork(), Tokens((3,), (), (0,), (2,))), NumberOracle(), np.eye(1))

WHOLE = np.array([[[-np.inf]], [[np.inf]]], np.float32)
RESTRICTION = Restriction((0,), np.array([[0, 2]]), np.zeros((1, 2)), np.zeros((1, 2)), np.ones((1, 2)))
RESTRICTED_DISTRIBUTION = GaussianMixture.of(
    [0.375, 0.625], [[0, 0], [2, NUMBER[0]]], [np.eye(2) * 1e-9, np.diag([1e-9, NUMBER[1]])]
)


class Unconditional(Denoiser):
    """Returns the denoiser of the mixture without observed values."""

    @property
    def schedule(self):
        return SCHEDULE

    def condition_on(self, values):
        return ORACLE

    def __call__(self, x_t, t):
        return ORACLE(x_t, t)


def reward(x):
    return x @ jnp.asarray(SLOPE, jnp.float32)


def steered(method):
    """Returns a sampler with few steps; the larger variance suits few steps."""
    return lambda schedule, n: STEERING[method](Ancestral(schedule, "beta", n // 8), reward, TEMPERATURE, 10)


ORACLE = MIXTURE.denoiser(SCHEDULE)


@dataclass(frozen=True)
class Case:
    """Returns a sampler of a schedule and a number of steps, and the distribution of its rows, or None."""

    make: Callable
    distribution: GaussianMixture | None = MIXTURE
    is_deterministic: bool = False
    denoiser: eqx.Module = ORACLE


SAMPLERS = {
    "ancestral": Case(lambda schedule, n: Ancestral(schedule, "posterior", n)),
    "ancestral, beta": Case(lambda schedule, n: Ancestral(schedule, "beta", n)),
    "ancestral, zero": Case(
        lambda schedule, n: Ancestral(schedule, "zero", n), distribution=None, is_deterministic=True
    ),
    "ddim": Case(lambda schedule, n: DDIM(schedule, steps=n), is_deterministic=True),
    "ddim, with noise": Case(lambda schedule, n: DDIM(schedule, 0.5, n)),
    "dpm": Case(lambda schedule, n: DPMSolver2M(schedule, n), is_deterministic=True),
    "dpm-sde": Case(lambda schedule, n: DPMSolver2M(schedule, n, is_stochastic=True)),
    "heun": Case(lambda schedule, n: Heun(schedule, n), is_deterministic=True),
    "svdd_pm": Case(steered("svdd_pm"), distribution=TILTED),
    "feynman_kac": Case(steered("feynman_kac"), distribution=TILTED),
    # With one candidate a chain is plain sampling; with more it is biased, as its test documents.
    "svdd_pm as published": Case(lambda schedule, n: ChainedSVDD(Ancestral(schedule, "beta", n), reward, 1.0, 1)),
    "tokens": Case(
        lambda *_: TokenSampler(), TOKEN_DISTRIBUTION, denoiser=TokenDenoiser(TokenOracle(FRACTIONS), TOKENS)
    ),
    "mixed": Case(
        lambda schedule, n: TokenSampler(1, DPMSolver2M(schedule, n, is_stochastic=True)),
        MIXED_DISTRIBUTION,
        denoiser=MIXED_ORACLE,
    ),
    "mixed, ancestral": Case(
        lambda schedule, n: TokenSampler(1, Ancestral(schedule, "posterior", n)),
        MIXED_DISTRIBUTION,
        denoiser=MIXED_ORACLE,
    ),
    "centered": Case(lambda schedule, n: CenteredSampler(DPMSolver2M(schedule, n)), is_deterministic=True),
    "given": Case(lambda schedule, n: ObservedSampler(DPMSolver2M(schedule, n)), denoiser=Unconditional()),
    # A range that contains the whole distribution.
    "ranged": Case(lambda schedule, n: RangedSampler(20, 5, Ranges((0,), WHOLE[0], WHOLE[1]), schedule, n // 4)),
    "restricted": Case(
        lambda schedule, n: RestrictedSampler(10, 5, 1, RESTRICTION, schedule, n),
        RESTRICTED_DISTRIBUTION,
        denoiser=MIXED_ORACLE,
    ),
}
"""Every sampler as a function of a schedule and a number of steps; text before a comma may be its name."""


MADE = {name: case.make(SCHEDULE, STEPS) for name, case in SAMPLERS.items()}
DETERMINISTIC = [name for name, case in SAMPLERS.items() if case.is_deterministic]
ROWS = 1000


@jax.jit
def draws(sampler, denoiser, keys, start_keys):
    """Returns draws with several keys, each from the x_T of another key; shape (draws, rows, 2)."""
    columns = 2 + sampler.n_diagnostics

    def draw(key, start_key):
        return sampler.draw(key, denoiser, sampler.start(start_key, columns))[:, :2]

    return jax.vmap(draw)(keys, start_keys)


def keys(name, seed):
    return jax.random.split(jax.random.key(seed), ROWS // MADE[name].rows_per_draw)


@cache
def drawn(name, seed=0):
    """Returns about `ROWS` rows by draw, from the x_T of seed 0."""
    return np.asarray(draws(MADE[name], SAMPLERS[name].denoiser, keys(name, seed), keys(name, 0)))


def test_every_sampler_is_tested():
    assert {type(sampler) for sampler in MADE.values()} == concrete(Sampler)
    assert {*NAMES, *STEERING} <= {name.partition(",")[0] for name in SAMPLERS}
    assert {sampler.variance for sampler in MADE.values() if isinstance(sampler, Ancestral)} >= {"posterior", "beta"}


@pytest.mark.parametrize("name", NAMES)
def test_names_build_the_right_samplers(name):
    one, other = sampler_named(name, SCHEDULE, STEPS), MADE[name]
    assert eqx.tree_equal(one, other)


VARIANTS = "ancestral, beta", "ancestral, zero", "ddim, with noise"
"""Samplers that are similar to another one and take as long to compile."""
WITH_CANDIDATES = "ranged", "restricted"
"""Samplers whose draws take long."""


def all_samplers(*slow):
    """Returns all samplers; slow ones are marked slow."""
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in slow)) for name in SAMPLERS]


SOME, ONCE_MORE = all_samplers(*VARIANTS), all_samplers(*VARIANTS, *WITH_CANDIDATES)


@pytest.mark.parametrize("name", SOME)
def test_a_draw_has_the_requested_number_of_rows(name):
    sampler, rows = MADE[name], drawn(name)
    assert rows.shape == (ROWS // sampler.rows_per_draw, sampler.rows_per_draw, 2) and rows.dtype == np.float32
    start = jax.eval_shape(lambda key: sampler.start(key, 2 + sampler.n_diagnostics), jax.random.key(0))
    assert start.shape in ((2,), (sampler.width, 2)) and start.dtype == jnp.float32
    if isinstance(sampler, RowSampler):
        assert start.shape == (2,) and sampler.width == sampler.rows_per_draw == 1


@pytest.mark.parametrize("name", SOME)
def test_rows_have_the_distributions_mean_and_covariance(name):
    distribution, rows = SAMPLERS[name].distribution, drawn(name).astype(np.float64)
    assert np.isfinite(rows).all()
    if distribution is None:
        return
    mean = distribution.weights @ distribution.means
    covariance = np.einsum(
        "k,kij->ij",
        distribution.weights,
        distribution.covariances + distribution.means[:, :, None] * distribution.means[:, None],
    )
    covariance -= np.outer(mean, mean)
    offset = rows - mean
    found = np.stack([*np.moveaxis(offset, -1, 0), *(offset[..., i] * offset[..., j] for i, j in UPPER)], axis=-1)
    # Draws are independent, rows within a draw are not.
    by_draw = found.mean(axis=1)
    expected = [0, 0, *(covariance[i, j] for i, j in UPPER)]
    assert (np.abs(by_draw.mean(axis=0) - expected) < 4 * by_draw.std(axis=0) / np.sqrt(len(by_draw))).all()


UPPER = ((0, 0), (0, 1), (1, 1))


@pytest.mark.parametrize("name", ONCE_MORE)
def test_a_draw_depends_only_on_its_key(name):
    half = ROWS // MADE[name].rows_per_draw // 2
    mixed = jnp.concatenate([keys(name, 0)[:half], keys(name, 1)[half:]])
    found, rows = draws(MADE[name], SAMPLERS[name].denoiser, mixed, mixed), drawn(name)
    np.testing.assert_array_equal(found[:half], rows[:half])
    assert draws_differ(found[half:], rows[half:], name)


DISCRETE = "tokens", "mixed", "restricted"


def draws_differ(some, others, name):
    """Returns whether draws differ; discrete distributions may have equal rows by chance."""
    return (np.abs(some - others).max(axis=(1, 2)) > 0).mean() > (0.5 if name.partition(",")[0] in DISCRETE else 0.95)


@pytest.mark.parametrize("name", ONCE_MORE)
def test_rows_of_deterministic_samplers_depend_only_on_x_T(name):
    rows, others = drawn(name), drawn(name, seed=1)
    if SAMPLERS[name].is_deterministic:
        np.testing.assert_array_equal(rows, others)
    else:
        assert draws_differ(rows, others, name)
    says = getattr(MADE[name], "is_stochastic", None)
    assert says in (None, not SAMPLERS[name].is_deterministic)


FINEST = 2048
FINE = cosine(FINEST)


SLOW = "ancestral, zero", "heun"
"""Programs of many steps; two others are shorter."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in DETERMINISTIC]
)
def test_samplers_converge_at_their_claimed_order(name):
    """Doubling the steps divides the error against all steps of the schedule by 2 to the order."""
    some, oracle = jax.random.split(jax.random.key(3), 100), MIXTURE.denoiser(FINE)
    few, more, finest = (np.asarray(draws(SAMPLERS[name].make(FINE, n), oracle, some, some)) for n in (32, 128, FINEST))
    ratio = np.abs(few - finest).mean() / np.abs(more - finest).mean()
    assert np.log(ratio) / np.log(4) == pytest.approx(getattr(MADE[name], "sampler", MADE[name]).order, abs=0.3)
