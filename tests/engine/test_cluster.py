"""Rows drawn by a real Ray cluster on this machine."""

import textwrap

import numpy as np
import pytest

from pointillist.diffusion.oracles import GaussianMixture
from pointillist.diffusion.samplers import Ancestral
from pointillist.diffusion.schedules import cosine
from pointillist.engine import sampling
from pointillist.engine.cluster import check_engine, cluster, results
from pointillist.engine.sampling import stream_rows, stream_rows_on_ray

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in.*_at_fork")

MIXTURE = GaussianMixture.of([0.5, 0.5], [[-0.5, 0.0], [0.5, 0.2]], 0.02 * np.eye(2)[None].repeat(2, 0), labels=[0, 1])


@pytest.fixture(scope="module", autouse=True)
def machine():
    with cluster(None):
        yield


@pytest.mark.slow
def test_remote_rows_equal_local_ones(monkeypatch):
    monkeypatch.setattr(sampling, "CHUNKS_PER_TASK", 1)
    schedule = cosine(20)
    sampler, n_rows = Ancestral(schedule, "posterior"), 1700
    labels = (np.arange(n_rows) % 2).astype(np.int32)
    prior = np.random.default_rng(0).normal(size=(n_rows, 2)).astype(np.float32)
    for extra in ({}, {"labels": labels}, {"labels": labels, "prior": prior}):
        parts = MIXTURE.denoiser(schedule), sampler
        here = list(stream_rows(*parts, columns=2, n_rows=n_rows, seed=3, **extra))
        there = list(stream_rows_on_ray(*parts, columns=2, n_rows=n_rows, seed=3, **extra))
        assert [len(part) for part in there] == [500, 500, 500, 200]
        np.testing.assert_array_equal(np.concatenate(there), np.concatenate(here))


def test_later_rows_get_their_labels(monkeypatch):
    monkeypatch.setattr(sampling, "CHUNKS_PER_TASK", 1)
    schedule = cosine(2)
    parts = MIXTURE.denoiser(schedule), Ancestral(schedule, "posterior")
    labels = np.ones(600, np.int32)
    options = {"columns": 2, "n_rows": 1600, "first_row": 1000, "seed": 3, "labels": labels}
    there = np.concatenate(list(stream_rows_on_ray(*parts, **options)))
    np.testing.assert_array_equal(there, np.concatenate(list(stream_rows(*parts, **options))))


TEXT = "a task is any function that the workers can import"


def test_each_result_is_returned_once_in_order_or_as_completed():
    widths = range(9, 21)
    expected = [textwrap.fill(TEXT, width) for width in widths]
    assert list(results(textwrap.fill, TEXT, [(width,) for width in widths], in_order=True)) == expected
    assert sorted(results(textwrap.fill, TEXT, [(width,) for width in widths])) == sorted(expected)


def test_an_error_in_a_task_is_raised_locally():
    with pytest.raises(ValueError, match=r"^invalid width 0"):
        list(results(textwrap.fill, TEXT, [(width,) for width in (5, 0, 7)]))


def test_an_interruption_ends_the_wait_but_not_the_cluster():
    def check():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(results(textwrap.fill, TEXT, [(20,)] * 12, check=check))
    assert list(results(textwrap.fill, TEXT, [(80,)])) == [TEXT]


def test_an_address_needs_ray():
    with pytest.raises(ValueError, match="give --engine ray with it"):
        check_engine("local", "10.0.0.1:6379")


def test_an_unreachable_address_is_reported_at_once():
    with pytest.raises(ValueError, match=r"^no Ray cluster at 127\.0\.0\.1:1: .*refused"):
        check_engine("ray", "127.0.0.1:1")
    with pytest.raises(ValueError, match="no Ray cluster at here:there"):
        check_engine("ray", "here:there")
