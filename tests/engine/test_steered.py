import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from pointillist.diffusion.oracles import GaussianMixture
from pointillist.diffusion.samplers import Ancestral
from pointillist.diffusion.schedules import cosine
from pointillist.diffusion.steering import SVDD, FeynmanKac
from pointillist.engine.sampling import Division, rows_per_chunk, sample_rows, stream_rows

MIXTURE = GaussianMixture.of([0.5, 0.3, 0.2], [[-1.0, 0.0], [1.0, 1.0], [1.0, -1.0]], 0.05 * np.eye(2), [0, 1, 1])
SCHEDULE = cosine(20)
SAMPLER = Ancestral(SCHEDULE, "beta")
METHODS = {
    "svdd": lambda reward: SVDD(SAMPLER, reward, 0.5, 10),
    "feynman-kac": lambda reward: FeynmanKac(SAMPLER, reward, 0.5, 10, 200),
}


def traceable(x):
    return x @ jnp.array([1.0, 2.0])


def on_host(x):
    assert type(x) is np.ndarray
    return np.asarray(x @ np.array([1.0, 2.0], np.float32))


def drawn(sampler, n_rows=130, **options):
    return sample_rows(MIXTURE.denoiser(SCHEDULE), sampler, columns=2, n_rows=n_rows, seed=0, **options)


SLOW_SECOND = [METHODS["svdd"], pytest.param(METHODS["feynman-kac"], marks=pytest.mark.slow)]


@pytest.mark.parametrize("method", SLOW_SECOND, ids=METHODS)
def test_a_reward_on_the_host_gives_the_same_rows(method):
    compiled, host = drawn(method(traceable)), drawn(method(on_host))
    np.testing.assert_allclose(host, compiled, atol=1e-5)
    np.testing.assert_array_equal(drawn(method(on_host), division=Division(devices=jax.devices()[:1])), host)


@pytest.mark.parametrize("method", SLOW_SECOND, ids=METHODS)
@pytest.mark.parametrize("reward", [traceable, on_host], ids=["compiled", "host"])
def test_steered_rows_depend_only_on_seed_and_index(method, reward):
    many = drawn(method(reward))
    assert many.shape == (130, 2)
    np.testing.assert_array_equal(drawn(method(reward), 7), many[:7])
    start = rows_per_chunk(method(reward))
    rest = stream_rows(MIXTURE.denoiser(SCHEDULE), method(reward), columns=2, n_rows=130, seed=0, first_row=start)
    np.testing.assert_array_equal(np.concatenate(list(rest)), many[start:])


@pytest.mark.slow
def test_a_reward_of_many_columns_on_the_host():
    wide = GaussianMixture.of([1.0], np.zeros((1, 300)), np.eye(300))
    rows = sample_rows(
        wide.denoiser(SCHEDULE), SVDD(SAMPLER, lambda x: np.asarray(x).sum(1), 1.0, 4), columns=300, n_rows=4, seed=0
    )
    assert rows.shape == (4, 300) and np.isfinite(rows).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_nan_reward_on_the_host(value):
    def reward(x):
        return np.where(np.asarray(x)[:, 0] > -9, value, 0.0)

    with pytest.raises(ValueError, match=rf"the reward gave {value} for the row \[.*\]; it must give a finite number"):
        drawn(SVDD(SAMPLER, reward))


@pytest.mark.parametrize(
    "reward",
    [lambda x: x, lambda x: x[:, :1], lambda x: x.sum(), lambda x: np.asarray(x)[:3, 0], lambda x: [1.0, 2.0]],
)
def test_a_reward_of_a_wrong_shape(reward):
    with pytest.raises(ValueError, match=r"the reward gave shape .* it must give one number per row, shape \(\d+,\)"):
        drawn(SVDD(SAMPLER, reward))


def test_an_error_in_a_reward_is_raised_unchanged():
    def reward(x):
        raise KeyError("unknown column")

    with pytest.raises(KeyError, match="unknown column"):
        drawn(SVDD(SAMPLER, reward))


class Nearness(eqx.Module):
    """A reward that depends on the class."""

    centres: Array
    label: Array | None = None

    def given(self, label):
        return Nearness(self.centres, label)

    def __call__(self, x0):
        return -((x0 - self.centres[self.label][None]) ** 2).sum(-1)


def test_labels_can_reach_the_reward_of_a_model_without_classes():
    labels = np.arange(60) % 3
    reward = Nearness(jnp.asarray(MIXTURE.means, jnp.float32))
    rows = drawn(SVDD(SAMPLER, reward, 0.01, 30), 60, labels=labels)
    found = ((rows[:, None] - MIXTURE.means) ** 2).sum(-1).argmin(1)
    assert (found == labels).mean() > 0.9


class OnHost(Nearness):
    def given(self, label):
        return OnHost(self.centres, label)

    def __call__(self, x0):
        return np.asarray(x0)[:, 0]


def test_a_reward_of_classes_must_be_traceable():
    with pytest.raises(ValueError, match="a reward that depends on the class must be one that JAX can trace"):
        drawn(SVDD(SAMPLER, OnHost(jnp.zeros((3, 2)))), 6, labels=np.arange(6) % 3)


def test_rows_of_one_draw_share_a_label():
    sampler = FeynmanKac(SAMPLER, traceable, 0.5, 10, 200)
    rows = drawn(sampler, 40, labels=np.repeat([0, 1], 20))
    assert (rows[:20, 0] < 0).all() and (rows[20:, 0] > 0).all()
