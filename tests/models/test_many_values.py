"""Checks networks with factored layers in training against networks with the product of the factors."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pointillist import Diffusion
from pointillist.columns.table_encoder import TableEncoder
from pointillist.diffusion.losses import CleanRows
from pointillist.diffusion.tokens.masking import MAX_UNFACTORED, NARROW_RANK, Tokens
from pointillist.diffusion.tokens.mixed_losses import MixedObjective
from pointillist.diffusion.tokens.mixed_networks import MixedNetwork
from pointillist.diffusion.tokens.mixed_sampling import SCHEDULE
from pointillist.diffusion.tokens.token_networks import FactoredNetwork, TokenNetwork
from pointillist.diffusion.tokens.token_sampling import HIDDEN
from pointillist.engine.recipes import TokenArchitecture
from pointillist.models.masked import MaskedProcess
from pointillist.tables.table import Table

TOKENS = Tokens((90, 2, 1, 3, 40), (-1.0,) * 136, (1, 4), (1, 0))


@pytest.mark.parametrize("has_joint_network", [False, True])
def test_a_factored_network_has_the_loss_of_its_product(has_joint_network):
    architecture = TokenArchitecture(TOKENS, 16, 1, 2, has_joint_network, is_factored=True)
    network = jax.jit(lambda key: architecture.build(key, 7))(jax.random.key(0))
    rng = np.random.default_rng(0)
    network = jax.tree.map(lambda leaf: leaf + 0.1 * rng.normal(size=leaf.shape).astype(np.float32), network)
    assert isinstance(network, MixedNetwork) and isinstance(network.token_network, FactoredNetwork)
    numbers = rng.normal(size=(64, 2)).astype(np.float32)
    rows = np.hstack([rng.integers(0, TOKENS.sizes, (64, 5)), numbers]).astype(np.float32)
    # A hidden class has no value.
    objective = MixedObjective(TOKENS, guided=3, p_uncond=0.5, has_joint_network=has_joint_network)
    basis = (jnp.eye(2),) if has_joint_network else ()
    spread = jnp.stack([jnp.eye(2), *basis]) if has_joint_network else jnp.eye(2)
    clean = CleanRows(jnp.asarray(rows), None, SCHEDULE, spread)
    examples = jax.jit(lambda *keys: objective.examples(keys, clean, 64))(jax.random.key(1), jax.random.key(2))
    assert 0.2 < (np.asarray(examples[5])[:, 3] == HIDDEN).mean() < 0.8

    loss = jax.jit(lambda network: objective.loss(network, examples, "float32"))
    folded = network.folded()
    assert isinstance(folded.token_network, TokenNetwork) and folded.number_network.context.weight.shape[0] == 136 + 12
    assert float(loss(network)) == pytest.approx(float(loss(folded)), rel=1e-5)


def names(n):
    """A table with two rows per name for many names, a nickname for a third of them, and a number."""
    name = [f"n{i // 2}" for i in range(2 * n)]
    rng = np.random.default_rng(0)
    nickname = np.where(np.arange(2 * n) % 6 < 2, "Bo", None)
    return pd.DataFrame({"name": name, "nickname": nickname, "size": rng.normal(size=2 * n).round(3)})


def test_a_table_with_many_names_has_factored_layers_only_in_training():
    frame = names(MAX_UNFACTORED)
    encoding = TableEncoder.fit(Table(pa.Table.from_pandas(frame)))
    parameters = {"network": "residual", "width": 16, "depth": 1, "frequencies": 2, "p_uncond": 0.0}
    for options, is_factored in (
        ({"has_ranks": True}, True),
        ({}, False),
        ({"has_ranks": True, "is_private": True}, False),
    ):
        architecture = MaskedProcess.of(parameters, encoding, **options).architecture
        assert architecture.is_factored == is_factored and architecture.tokens.rank == NARROW_RANK
    model = Diffusion(width=16, depth=1, epochs=1, random_state=0).fit(frame)
    token_network = getattr(model.model_.network, "token_network", model.model_.network)
    assert isinstance(token_network, TokenNetwork) and token_network.input.weight.shape[0] >= MAX_UNFACTORED
    rows = model.sample(50, random_state=1)
    assert rows["name"].isin(frame["name"]).all() and set(rows["nickname"].dropna()) <= {"Bo"}


def test_a_table_with_fewer_names_has_full_layers():
    encoding = TableEncoder.fit(Table(pa.Table.from_pandas(names(200))))
    parameters = {"network": "residual", "width": 16, "depth": 1, "frequencies": 2, "p_uncond": 0.0}
    assert not MaskedProcess.of(parameters, encoding, has_ranks=True).architecture.is_factored
