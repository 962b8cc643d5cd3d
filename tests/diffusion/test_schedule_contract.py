"""Contract of every noise schedule."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pointillist.diffusion import schedules
from pointillist.diffusion.registries import SCHEDULES
from pointillist.diffusion.schedules import (
    MAX_BETA,
    alpha_sigma,
    cosine,
    lambda_range,
    linear,
    padded,
    prior_kl,
    sigmoid,
    stack,
    time_at,
)

MADE = {
    "linear": linear,
    "linear, steep": lambda timesteps: linear(timesteps, 1e-3, 0.1),
    "linear, constant": lambda timesteps: linear(timesteps, 0.01, 0.01),
    "cosine": cosine,
    "sigmoid": sigmoid,
}
"""Every schedule as a function of its number of steps; text before a comma is its registered name."""

T, LENGTH = 30, 50
TIMES = np.concatenate([np.arange(1.0, T + 1), np.arange(1.0, T) + 0.3, np.arange(1.0, T) + 0.5]).astype(np.float32)
"""Times at integers and between them."""

ULP = float(np.finfo(np.float32).eps)


@pytest.fixture(params=MADE)
def made(request):
    return MADE[request.param]


@pytest.fixture
def schedule(made):
    return made(T)


def in_float64(schedule):
    return np.asarray(schedule.alpha, np.float64), np.asarray(schedule.sigma, np.float64)


def log_snr(schedule):
    """Returns the table of λ from t = 1 in float64."""
    alpha, sigma = (table[1 : int(schedule.timesteps) + 1] for table in in_float64(schedule))
    return np.log(alpha / sigma)


lookup = jax.jit(lambda schedule, t: jax.vmap(lambda one: alpha_sigma(schedule, one))(t))
find = jax.jit(time_at)


def test_every_schedule_is_tested():
    public = {name: item for name, item in vars(schedules).items() if inspect.isfunction(item) and name[0] != "_"}
    makers = {name for name, item in public.items() if next(iter(inspect.signature(item).parameters)) == "timesteps"}
    assert {name.partition(",")[0] for name in MADE} == SCHEDULES.keys() >= makers


@pytest.mark.parametrize("timesteps", [1, 2, 7, 200, 1000])
def test_schedules_go_from_data_to_noise(made, timesteps):
    schedule = made(timesteps)
    assert schedule.alpha.shape == schedule.sigma.shape == (timesteps + 1,)
    assert schedule.alpha.dtype == schedule.sigma.dtype == np.float32
    assert schedule.timesteps.shape == () and int(schedule.timesteps) == timesteps
    alpha, sigma = in_float64(schedule)
    assert alpha[0] == 1 and sigma[0] == 0
    assert (np.diff(alpha) < 0).all() and alpha[-1] > 0
    # Near 1, two steps may round to the same float32.
    assert sigma[1] > 0 and (np.diff(sigma) >= 0).all()
    # Each of the two squares is at most 1, with an error of at most an ulp.
    np.testing.assert_allclose(alpha**2 + sigma**2, 1, rtol=0, atol=2 * ULP)
    beta = 1 - (alpha[1:] / alpha[:-1]) ** 2
    assert (beta > 0).all() and (beta <= MAX_BETA + 4 * ULP).all()


def test_schedules_are_computed_in_numpy_and_reproducible(made):
    one, other = made(T), made(T)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert isinstance(a, np.ndarray)
        np.testing.assert_array_equal(a, b)


def test_integer_times_give_the_entries_of_the_tables(schedule):
    alpha, sigma = lookup(schedule, jnp.arange(T + 1))
    np.testing.assert_array_equal(alpha, schedule.alpha)
    np.testing.assert_array_equal(sigma, schedule.sigma)
    np.testing.assert_array_equal(schedule.alpha_bar, schedule.alpha**2)


def test_times_between_integers_are_linear_in_log_snr(schedule):
    alpha, sigma = (np.asarray(each, np.float64) for each in lookup(schedule, jnp.asarray(TIMES)))
    np.testing.assert_allclose(alpha**2 + sigma**2, 1, rtol=0, atol=4 * ULP)
    expected = np.interp(TIMES, np.arange(1, T + 1), log_snr(schedule))
    np.testing.assert_allclose(np.log(alpha / sigma), expected, rtol=0, atol=40 * ULP)
    # Noise also increases between integers.
    assert (np.diff(alpha[np.argsort(TIMES)]) < 0).all()


def test_the_time_of_a_noise_level_inverts_the_schedule(schedule):
    alpha, sigma = lookup(schedule, jnp.asarray(TIMES))
    # Rounding of λ by some ulps, over the smallest step of λ.
    rounding = 40 * ULP / -np.diff(log_snr(schedule)).max() + 4 * ULP * T
    np.testing.assert_allclose(find(schedule, jnp.log(alpha / sigma)), TIMES, rtol=0, atol=rounding)


def test_times_beyond_the_ends_are_clipped(schedule):
    lowest, highest = (float(end) for end in lambda_range(schedule, -np.inf))
    np.testing.assert_allclose([lowest, highest], log_snr(schedule)[[-1, 0]], rtol=0, atol=40 * ULP)
    ends = find(schedule, jnp.array([lowest - 1, lowest, highest, highest + 1], jnp.float32))
    np.testing.assert_array_equal(ends, [T, T, 1, 1])


def test_padding_and_stacking_keep_all_values(schedule):
    other = linear(LENGTH - 1)
    both = stack([other, schedule])
    assert both.alpha.shape == (2, LENGTH) and both.timesteps.tolist() == [LENGTH - 1, T]
    long = padded(schedule, LENGTH)
    for name in ("alpha", "sigma"):
        short, longer = getattr(schedule, name), getattr(long, name)
        np.testing.assert_array_equal(longer, [*short, *[short[-1]] * (LENGTH - T - 1)])
        np.testing.assert_array_equal(getattr(both, name), [getattr(other, name), longer])
    whole, between = jnp.arange(T + 1), jnp.asarray(TIMES)
    lambdas = jnp.linspace(*lambda_range(schedule, -np.inf), 20)
    in_stack = jax.tree.map(lambda leaf: leaf[1], both)
    for same in (long, in_stack):
        assert int(same.timesteps) == T and lambda_range(same) == lambda_range(schedule)
        for times in (whole, between):
            np.testing.assert_array_equal(lookup(same, times), lookup(schedule, times))
        np.testing.assert_array_equal(find(same, lambdas), find(schedule, lambdas))
    # Mapped over the stack, as for models that are trained together.
    mapped = jax.vmap(lambda one: alpha_sigma(one, between[-1]))(both)
    expected = [alpha_sigma(one, between[-1]) for one in (other, schedule)]
    np.testing.assert_allclose(np.transpose(mapped), expected, rtol=8 * ULP)


def test_prior_kl_is_the_divergence_of_two_normal_distributions(made):
    rows = np.array([[0.5, -1.0, 2.0], [0.2, 0.9, -0.1]])
    for timesteps in (2, T):
        schedule = made(timesteps)
        alpha = in_float64(schedule)[0][-1]
        # KL(N(m, s) ‖ N(0, 1)) = (m² + s - 1 - ln s) / 2, column by column.
        mean, variance = alpha * rows, 1 - alpha**2
        expected = ((mean**2 + variance - 1 - np.log(variance)) / 2).sum(axis=1).mean()
        assert prior_kl(schedule, rows) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("timesteps", [0, -3])
def test_too_few_steps_are_refused_in_one_line(made, timesteps):
    with pytest.raises(ValueError, match=f"^timesteps must be at least 1, not {timesteps}$"):
        made(timesteps)
