"""Contract of every process: it draws rows for a request by the seed alone, or refuses it in one line."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import jax
import numpy as np
import pyarrow as pa
import pytest

from contracts import concrete
from made_models import untrained
from pointillist.diffusion.samplers import Sampler
from pointillist.diffusion.schedules import Schedule
from pointillist.models.configuration import PARAMETERS
from pointillist.models.process import Process, SamplingPlan
from pointillist.models.request import Request, check_drawn
from pointillist.models.row_model import RowModel
from pointillist.models.saving import load_model, save_model
from pointillist.queries.sampling import SamplingRun
from pointillist.tables.conditions import between, one_of
from pointillist.tables.table import Table

N = 300
RNG = np.random.default_rng(0)
NUMBERS = np.stack([RNG.normal(10, 3, N), RNG.integers(0, 50, N)], axis=1)
LABELS = RNG.choice(["a", "b", "c"], N, p=[0.5, 0.3, 0.2])
TABLE = pa.table({"size": NUMBERS[:, 0], "city": RNG.choice(["x", "y"], N), "kind": LABELS})
PAIRED = pa.table({"size": NUMBERS[:, 0] + 0.1 * NUMBERS[:, 1], "weight": NUMBERS[:, 0] ** 2, "city": TABLE["city"]})


OF_NUMBERS = {"prior", "deterministic", "reward", "population", "sampler", "steps"}
"""Requests that only Gaussian diffusion answers."""

WHERE = {"where", "cell per row", "set", "range"}
"""Requests for columns that only the mixed table has."""


@dataclass(frozen=True)
class Case:
    """A model, whether it has classes, and the keys of `REQUESTS` that it refuses."""

    make: Callable
    refused: frozenset | set
    has_classes: bool = True


PROCESSES = {
    "gaussian": Case(
        lambda: untrained(NUMBERS, process="gaussian"),
        {"label", "labels", "return_labels", "guidance", *WHERE},
        has_classes=False,
    ),
    "gaussian, of classes": Case(lambda: untrained(NUMBERS, LABELS, process="gaussian"), WHERE),
    "gaussian, by ranges": Case(
        lambda: untrained(NUMBERS, LABELS == "a", process="gaussian", scaling="minmax", p_uncond=0.0),
        {*WHERE, "guidance"},
    ),
    "masked": Case(
        lambda: untrained(TABLE, process="masked"),
        {"label", "labels", "return_labels", "guidance", *OF_NUMBERS},
        has_classes=False,
    ),
    "masked, of a label column": Case(lambda: untrained(Table(TABLE, "kind")), OF_NUMBERS),
    "masked, with numbers": Case(
        lambda: untrained(PAIRED),
        {"label", "labels", "return_labels", "guidance", *OF_NUMBERS} - {"sampler", "steps"},
        has_classes=False,
    ),
    "masked, of labels apart": Case(lambda: untrained(TABLE.drop("kind"), LABELS), OF_NUMBERS),
}
"""A model of every process."""

ROWS = 7


def reward(rows):
    return rows[:, 0]


def labels(model, n=ROWS):
    """Returns labels of a model, one per row."""
    return np.resize(["a", "b"] if model.classes is None else model.classes.labels, n)


REQUESTS: dict[str, Callable[[RowModel], dict[str, Any]]] = {
    "rows": lambda model: {},
    "label": lambda model: {"labels": labels(model)[1]},
    "labels": lambda model: {"labels": labels(model).tolist()},
    "return_labels": lambda model: {"return_labels": True},
    "guidance": lambda model: {"labels": labels(model), "guidance": 1.5},
    "reward": lambda model: {"reward": reward, "reward_temperature": 0.5, "candidates": 4},
    "population": lambda model: {"reward": reward, "steering": "feynman_kac"},
    "sampler": lambda model: {"sampler": "heun"},
    "steps": lambda model: {"steps": 5},
    "prior": lambda model: {"prior": np.zeros((ROWS, model.codec.n_columns))},
    "deterministic": lambda model: {"deterministic": True},
    "where": lambda model: {"where": {"city": "y"}},
    "cell per row": lambda model: {"where": {"city": list("xyxyxyx")}},
    "set": lambda model: {"where": {"city": one_of("x", "y"), "size": between(5, None)}},
    "range": lambda model: {"where": {"city": list("xyxyxyx"), "size": between(9, 11)}},
    "variance": lambda model: {"variance": "beta"},
    "seed": lambda model: {"random_state": np.random.RandomState(3)},
}
"""Every part of a request."""

WRONG: dict[str, dict[str, Any]] = {
    "a text as seed": {"random_state": "one"},
    "a seed below 0": {"random_state": -1},
    "an unknown label": {"labels": "none of them"},
    "too many labels": {"labels": ["a"] * (ROWS + 1)},
    "labels of two types": {"labels": ["a", 1] + ["a"] * (ROWS - 2)},
    "unknown column": {"where": {"unknown column": 1}},
    "unknown category": {"where": {"city": "nowhere"}},
    "a range of categories": {"where": {"city": between("x", "y")}},
    "an empty range": {"where": {"size": between(1e6, None)}},
    "a label column with a value": {"labels": "a", "where": {"kind": one_of("a", "b")}},
    "too few cells": {"where": {"city": ["x", "y"]}},
    "unknown sampler": {"sampler": "none of them"},
    "too many steps": {"sampler": "ancestral", "steps": 10**6},
    "not a function": {"reward": 3},
    "a prior with an extra column": {"prior": np.zeros((ROWS, 4))},
    "guidance without a label": {"guidance": 1.0},
}
"""Requests that every process refuses."""


@pytest.fixture(scope="module")
def models():
    return {name: case.make() for name, case in PROCESSES.items()}


@pytest.fixture(params=PROCESSES)
def name(request):
    return request.param


@pytest.fixture
def case(name):
    return PROCESSES[name]


@pytest.fixture
def model(name, models):
    return models[name]


def plan_sampling(model, n_samples=ROWS, **parts):
    return model.process.plan_sampling(model, Request(n_samples, **{"random_state": 0, **parts}))


def drawn(model, n_samples=ROWS, **parts):
    """Returns rows by column, and their labels."""
    rows, found = SamplingRun(model, Request(n_samples, **{"random_state": 0, **parts})).rows()
    return [np.asarray(column) for column in model.codec.layout.columns(rows)], found


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_process_and_every_field_of_a_request_is_tested(models):
    assert {type(model.process) for model in models.values()} == concrete(Process)
    assert {name.partition(",")[0] for name in PROCESSES} == {*PARAMETERS["process"].choices} - {"auto"}
    asked = {part for make in REQUESTS.values() for part in make(models["gaussian"])}
    # Shares become values of `where` before a process sees the request, and keys are added to the drawn rows.
    assert asked == {field.name for field in fields(Request)} - {"n_samples", "shares", "start", "exclude"}


def test_a_process_describes_its_noise(model):
    schedule, sigma_data = model.process.noise
    if schedule is None:
        assert sigma_data is None
        return
    assert isinstance(schedule, Schedule)
    if model.codec.encoding.n_tokens:
        covariance, basis = sigma_data
        n = len(model.codec.encoding.with_number)
        assert covariance.shape == basis.shape == (n, n) and (np.linalg.eigvalsh(covariance) > 0).all()
        return
    assert sigma_data.shape == (model.codec.width,) and sigma_data.dtype == np.float32 and (sigma_data > 0).all()


def test_a_finished_network_is_kept(model):
    process, network = model.process.finished(model.network)
    assert type(process) is type(model.process) and process.architecture == model.process.architecture
    assert_same(jax.tree.leaves(network), jax.tree.leaves(model.network))
    fresh = jax.eval_shape(lambda: process.architecture.build(jax.random.key(0), model.codec.width))
    assert [leaf.shape for leaf in jax.tree.leaves(fresh)] == [leaf.shape for leaf in jax.tree.leaves(network)]


@pytest.mark.parametrize("n_samples", [0, 1, ROWS, 10**6, None])
def test_a_plan_has_the_requested_number_of_rows(model, n_samples):
    found = plan_sampling(model, n_samples)
    assert isinstance(found, SamplingPlan) and isinstance(found.sampler, Sampler)
    assert found.n_rows == (1 if n_samples is None else n_samples) and found.seed == 0
    assert found.labels is None or found.labels.shape == (found.n_rows,)


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_is_answered_or_refused_in_one_line(case, model, request_):
    parts = REQUESTS[request_](model)
    if request_ in case.refused:
        with pytest.raises(ValueError, match=r"\w+ \w+") as error:
            plan_sampling(model, **parts)
        assert "\n" not in str(error.value)
    else:
        found = plan_sampling(model, **parts)
        assert found.n_rows == ROWS and isinstance(found.sampler, Sampler)
        # One prior for all rows, or one for each.
        assert found.prior is None or len(found.prior) in (1, ROWS)
        assert found.labels is None or found.labels.shape == (ROWS,)
        assert 0 <= found.seed < 2**32


@pytest.mark.parametrize("wrong", WRONG)
def test_an_invalid_request_is_refused_in_one_line(model, wrong):
    with pytest.raises(ValueError, match=r"\w+ \w+") as error:
        plan_sampling(model, **WRONG[wrong])
    assert "\n" not in str(error.value)


def test_the_same_seed_draws_the_same_rows(model):
    one, other = drawn(model), drawn(model, random_state=1)
    assert [len(column) for column in one[0]] == [ROWS] * model.codec.n_columns
    assert_same(drawn(model)[0], one[0])
    assert any((a != b).any() for a, b in zip(one[0], other[0], strict=True))
    assert_same(drawn(model, random_state=np.int64(1))[0], other[0])
    # A generator goes on.
    state = np.random.RandomState(5)
    once, again = plan_sampling(model, random_state=state).seed, plan_sampling(model, random_state=state).seed
    assert once != again and once == plan_sampling(model, random_state=np.random.RandomState(5)).seed


def test_a_longer_draw_begins_with_the_rows_of_a_shorter_one(case, model):
    long, short, none = (drawn(model, n, return_labels=case.has_classes) for n in (620, 550, 0))
    assert_same([column[:550] for column in long[0]], short[0])
    assert [len(column) for column in none[0]] == [0] * model.codec.n_columns
    if case.has_classes:
        assert_same([long[1][:550], none[1]], [short[1], model.classes.labels[:0]])


def test_labels_match_the_rows(case, model):
    if not case.has_classes:
        return
    known = model.classes.labels
    rows, found = drawn(model, 620, return_labels=True)
    assert found.shape == (620,) and found.dtype == known.dtype and set(found.tolist()) == set(known.tolist())
    asked = labels(model, 620)
    rows, found = drawn(model, 620, labels=asked, return_labels=True)
    assert found.tolist() == asked.tolist()
    column = model.classes.column
    if column is not None and column[1] < model.codec.n_columns:
        assert rows[column[1]].tolist() == asked.tolist()
    rows, found = drawn(model, labels=known[-1], return_labels=True)
    assert found.tolist() == [known[-1].item()] * ROWS


def test_label_indices_belong_to_the_requested_rows(case, model):
    if not case.has_classes:
        return
    asked = labels(model, 9)
    request = plan_sampling(model, 9, labels=asked)
    # Before decoding: the values of a row of tokens determine its class.
    values = np.zeros((9, model.codec.width), np.float32)
    if request.prior is not None:
        values[:] = np.maximum(request.prior, 0)
    for part in (slice(0, 9), slice(3, 5)):
        found = model.process.label_indices(model, request, values[part], part)
        assert found.shape == (len(values[part]),) and found.dtype.kind in "iu"
        assert model.classes.labels[found].tolist() == asked[part].tolist()


def test_nonfinite_values_are_refused():
    values = np.zeros((4, 3), np.float32)
    check_drawn(values)
    for bad in (np.nan, np.inf):
        values[2, -1] = bad
        with pytest.raises(ValueError, match="1 of 4 rows are not finite") as error:
            check_drawn(values)
        assert "\n" not in str(error.value)


def test_a_loaded_model_draws_the_same_rows_bit_for_bit(case, model, tmp_path):
    path = tmp_path / "model"
    save_model(model, path)
    again = load_model(path)
    assert type(again.process) is type(model.process) and type(again.codec) is type(model.codec)
    assert again.process.architecture == model.process.architecture
    assert (again.parameters, again.trained_with) == (model.parameters, model.trained_with)
    rows, found = drawn(model, 550, return_labels=case.has_classes)
    same, same_found = drawn(again, 550, return_labels=case.has_classes)
    assert_same(same, rows)
    if case.has_classes:
        assert same_found.tolist() == found.tolist()
        assert again.classes.column == model.classes.column
        assert_same([again.classes.labels, again.classes.counts], [model.classes.labels, model.classes.counts])
    for one, other in zip(again.process.noise, model.process.noise, strict=True):
        assert_same(jax.tree.leaves(one), jax.tree.leaves(other))
    # Saving it again gives the same file.
    save_model(again, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
