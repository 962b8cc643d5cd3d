"""Log-densities of mixed tables sum and integrate to 1 in the units of the table."""

from dataclasses import replace
from itertools import product

import jax
import numpy as np
import pandas as pd
import pytest

from made_models import untrained
from pointillist.diffusion.tokens.masking import Tokens
from pointillist.queries.density import log_density, orders
from pointillist.tables.frames import aligned

N = 300
RNG = np.random.default_rng(0)
KIND = RNG.choice(["a", "b"], N)
SIZE = np.where(KIND == "a", 0.0, 2.0) + RNG.normal(size=N)
TABLE = pd.DataFrame({"kind": KIND, "size": SIZE, "legs": RNG.choice([2, 4, 6], N), "other": SIZE + RNG.normal(size=N)})
ROWS = 32


def smooth(model):
    """Returns the model with networks of numbers whose flow is as smooth as after training."""
    network = model.network
    number_network, joint_network = jax.tree.map(
        lambda leaf: 0.03 * leaf, (network.number_network, network.joint_network)
    )
    return replace(model, network=replace(network, number_network=number_network, joint_network=joint_network))


def density(model, frame):
    return log_density(model, aligned(frame, model.codec.layout).cells)


def nodes(model, column, n):
    """Returns numbers of a column with evenly spaced scores, and the length of the interval around each."""
    scores = model.codec.encoding.encoder(column).scores
    z = np.linspace(-5, 5, n)
    segment = np.clip(np.searchsorted(scores.levels, z, side="right") - 1, 0, len(scores.points) - 2)
    slope = (np.diff(scores.points) / np.diff(scores.levels))[segment]
    return scores.points[segment] + (z - scores.levels[segment]) * slope, (z[1] - z[0]) * slope


@pytest.fixture(scope="module")
def model():
    return smooth(untrained(TABLE, process="masked"))


def test_a_distribution_of_tokens_and_intervals_sums_to_one():
    # Unexplained columns are drawn by intervals.
    frame = TABLE[["kind", "legs", "size"]].assign(size=RNG.permutation(SIZE))
    model = untrained(frame, process="masked")
    assert not model.codec.encoding.with_number
    size, length = nodes(model, "size", 1000)
    total = 0.0
    for kind, legs in product(["a", "b", "any other"], range(10)):
        total += np.exp(density(model, pd.DataFrame({"kind": kind, "legs": legs, "size": size}))) @ length
    assert total == pytest.approx(1, abs=0.01)


def test_the_density_follows_the_order_of_the_columns():
    tokens = Tokens((2, 3, 1, 2))
    assert orders(tokens, [0, 1, 2, 3]).tolist() == [[1, 2, 0, 3]]
    assert orders(tokens, [1, 3]).tolist() == [[0, 1, 0, 2]]
    assert len(orders(replace(tokens, has_column_order=False), [0, 1, 3])) > 1


@pytest.mark.slow
def test_the_density_of_two_numbers_and_tokens_integrates_to_one(model):
    assert len(model.codec.encoding.with_number) == 2
    (x, dx), (y, dy) = (nodes(model, column, ROWS) for column in ("size", "other"))
    x, y, length = np.repeat(x, ROWS), np.tile(y, ROWS), np.outer(dx, dy).ravel()
    total = 0.0
    for kind, legs in product(["a", "b"], [2, 4, 6]):
        rows = pd.DataFrame({"kind": kind, "size": x, "legs": legs, "other": y})
        total += np.exp(density(model, rows)) @ length
    assert total == pytest.approx(1, abs=0.01)


@pytest.mark.slow
def test_halving_the_unit_doubles_the_density():
    frame = TABLE.assign(size=2 * TABLE["size"])
    one, two = (density(smooth(untrained(each, process="masked")), each[:20]) for each in (TABLE, frame))
    assert one - two == pytest.approx(np.log(2), abs=1e-3)


def test_new_values_have_a_density_and_missing_cells_have_none(model):
    rows = pd.concat([TABLE[:1]] * 8, ignore_index=True)
    rows.loc[1, "kind"], rows.loc[2:4, "legs"], rows.loc[5:, "size"] = "c", [3, 7, 1000], [1e3, 1e30, np.nan]
    found = density(model, rows)
    assert np.isfinite(found[:7]).all() and found[7] == -np.inf
    assert (np.diff(found[[0, 5, 6]]) < -3).all() and (np.diff(found[[0, 2]]) < -3).all() and found[4] < found[3]


def test_no_rows_have_no_densities(model):
    assert density(model, TABLE[:0]).shape == (0,)


@pytest.mark.slow
def test_labels_apart_from_the_table_are_summed_over():
    labels = RNG.choice(["x", "y"], N)
    with_label = untrained(TABLE, labels, process="masked")
    assert len(with_label.codec.encoding.columns) == TABLE.shape[1] + 1
    frame = TABLE.drop(columns=["size", "other"])
    apart = untrained(frame, labels, process="masked")
    # Unseen values also have mass; for numbers it falls with the squared distance.
    rows = pd.DataFrame(list(product(["a", "b", "new"], range(-500, 501))), columns=["kind", "legs"])
    assert np.exp(density(apart, rows)).sum() == pytest.approx(1, abs=1e-4)
    assert np.isfinite(density(with_label, TABLE[:5])).all()


def test_the_density_of_a_row_does_not_depend_on_other_rows(model):
    some = density(model, TABLE[:30])
    assert np.array_equal(some[10:12], density(model, TABLE[10:12]))
