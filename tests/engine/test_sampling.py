import jax
import numpy as np
import pytest
from scipy import stats

from pointillist.diffusion.denoisers import Denoiser, NetworkDenoiser
from pointillist.diffusion.networks import MLP
from pointillist.diffusion.samplers import Ancestral
from pointillist.diffusion.schedules import Schedule, linear, padded
from pointillist.engine import sampling
from pointillist.engine.sampling import CHUNKS_PER_CALL, ROWS_PER_CHUNK, Division, sample_rows, stream_rows

SCHEDULE = linear(4)
NETWORK = MLP(jax.random.key(0), columns=2, features=16, width=128, depth=5)


def drawn(n_rows, seed=0, schedule=SCHEDULE, **options):
    denoiser = NetworkDenoiser(network=NETWORK, schedule=schedule)
    return sample_rows(denoiser, Ancestral(schedule, "beta"), columns=2, n_rows=n_rows, seed=seed, **options)


def test_a_row_depends_only_on_seed_and_index():
    many = drawn(1234)
    assert many.shape == (1234, 2) and many.dtype == np.float32
    np.testing.assert_array_equal(drawn(7), many[:7])
    np.testing.assert_array_equal(drawn(ROWS_PER_CHUNK), many[:ROWS_PER_CHUNK])
    np.testing.assert_array_equal(drawn(1234, division=Division(devices=jax.devices()[:1])), many)
    assert not np.array_equal(drawn(7, seed=1), many[:7])
    assert len(np.unique(many, axis=0)) == 1234


def test_rows_beyond_one_call_continue_the_sequence():
    n_rows = 2 * CHUNKS_PER_CALL * ROWS_PER_CHUNK + 700
    rows = drawn(n_rows)
    assert len(np.unique(rows, axis=0)) == n_rows
    np.testing.assert_array_equal(drawn(n_rows, division=Division(devices=jax.devices()[:1])), rows)


@pytest.mark.parametrize("n_rows", [100, 800])
def test_other_chunk_sizes_give_the_same_rows_to_rounding(monkeypatch, n_rows):
    expected = drawn(1234)
    jax.clear_caches()
    monkeypatch.setattr(sampling, "ROWS_PER_CHUNK", n_rows)
    np.testing.assert_allclose(drawn(1234), expected, rtol=1e-4, atol=1e-5)
    jax.clear_caches()


def test_a_longer_table_gives_the_same_rows():
    np.testing.assert_array_equal(drawn(20), drawn(20, schedule=padded(SCHEDULE, 50)))


def test_streamed_parts_equal_the_rows():
    denoiser = NetworkDenoiser(network=NETWORK, schedule=SCHEDULE)
    parts = list(stream_rows(denoiser, Ancestral(SCHEDULE, "beta"), columns=2, n_rows=1234, seed=0))
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate(parts), drawn(1234))


def test_no_rows():
    assert drawn(0).shape == (0, 2)


def test_all_lengths_share_one_program():
    jax.clear_caches()
    for n_rows in (1, 500, 1700):
        drawn(n_rows)
    assert sampling._chunks._cache_size() == 1


class Identity(Denoiser):
    schedule: Schedule

    def __call__(self, x_t, t):
        return x_t


def test_x_T_is_standard_normal():
    # One step to t = 0 returns the predicted x_0, which is here x_T itself.
    rows = sample_rows(Identity(linear(1)), Ancestral(linear(1), "beta"), columns=2, n_rows=20_000, seed=0)
    for column in rows.T:
        assert stats.kstest(column, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(rows.T)[0, 1]) < 4 / np.sqrt(20_000)
