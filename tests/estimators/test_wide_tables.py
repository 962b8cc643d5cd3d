"""Models of mixed tables with more columns than their tokens can be looked at one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from pointillist import Diffusion
from pointillist.diffusion.token_losses import token_loss
from pointillist.diffusion.token_networks import TokenNetwork
from pointillist.diffusion.token_sampling import TokenDenoiser, TokenSampler
from pointillist.diffusion.tokens import WIDE, Tokens
from pointillist.engine.recipes import TokenArchitecture

N, COLUMNS = 64, WIDE + 22


def frame():
    rng = np.random.default_rng(0)
    columns = {}
    for j in range(0, COLUMNS, 2):
        columns[f"x{j}"] = np.where(rng.random(N) < 0.1, np.nan, rng.standard_normal(N))
        columns[f"k{j}"] = rng.choice(["a", "b", "c"], N)
    return pd.DataFrame(columns)


@pytest.fixture(scope="module")
def model():
    return Diffusion(width=32, depth=1, epochs=2, random_state=0).fit(frame())


def test_a_wide_table_is_fitted_and_drawn_and_given_cells_stay(model):
    data = frame()
    rows = model.sample(20, where={"k0": "b"}, random_state=1)
    assert list(rows.columns) == list(data.columns) and set(rows["k0"]) == {"b"}
    assert set(np.unique(rows[[f"k{j}" for j in range(0, COLUMNS, 2)]])) == {"a", "b", "c"}
    for name in ("x0", "x20"):
        assert rows[name].min() >= data[name].min() and rows[name].max() <= data[name].max()
    pd.testing.assert_frame_equal(rows, model.sample(40, where={"k0": "b"}, random_state=1)[:20])


def test_holes_of_a_wide_table_are_filled(model):
    data = frame()
    filled = model.impute(data, random_state=0)
    assert not filled.isna().any().any()
    is_given = data.notna()
    assert filled.where(is_given).equals(data.where(is_given))


def test_a_wide_model_survives_its_file(model, tmp_path):
    assert isinstance(model.model_.network, TokenNetwork)
    model.save(tmp_path / "wide.model")
    again = Diffusion.load(tmp_path / "wide.model")
    pd.testing.assert_frame_equal(model.sample(5, random_state=2), again.sample(5, random_state=2))


def equations(function, *arguments):
    return str(jax.make_jaxpr(function)(*arguments)).count(" = ")


def of_width(n):
    """Tokens of a table of n columns, every third of which has a place beside its interval."""
    sizes, parents, ranks = [], [], []
    for j in range(n):
        size = (64, 5, 20)[j % 3]
        sizes.append(size)
        parents.append(-1)
        ranks += ((np.arange(size) + 0.5) / size).tolist() if j % 3 != 1 else [-1.0] * size
        if j % 3 == 0:
            parents.append(len(sizes) - 1)
            sizes.append(32)
            ranks += ((np.arange(32) + 0.5) / 32).tolist()
    return Tokens(tuple(sizes), tuple(parents), tuple(ranks))


def test_programs_for_more_columns_have_no_more_equations():
    def programs(n):
        tokens = of_width(n)
        n_tokens = len(tokens.sizes)
        network = jax.eval_shape(lambda: TokenArchitecture(tokens, 16, 1).build(jax.random.key(0), n_tokens))
        rows = jax.ShapeDtypeStruct((4, n_tokens), jnp.float32)
        seen = jax.ShapeDtypeStruct(rows.shape, bool)
        trained = equations(jax.grad(lambda w, *batch: token_loss(w, tokens, *batch)), network, rows, seen, rows)
        folded = jax.eval_shape(lambda network: network.folded(), network)
        row, key = jax.ShapeDtypeStruct((n_tokens,), jnp.float32), jax.eval_shape(lambda: jax.random.key(0))
        drawn = equations(lambda k, w, r: TokenSampler().draw(k, TokenDenoiser(w, folded.tokens), r), key, folded, row)
        return trained, drawn

    assert programs(1000) == programs(WIDE)
