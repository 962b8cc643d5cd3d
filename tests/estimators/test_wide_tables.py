"""Models of mixed tables with more columns than tokens that are drawn one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from pointillist import Diffusion
from pointillist.diffusion.losses import CleanRows
from pointillist.diffusion.solvers import DPMSolver2M
from pointillist.diffusion.tokens.masking import WIDE, Tokens
from pointillist.diffusion.tokens.mixed_losses import MixedObjective
from pointillist.diffusion.tokens.mixed_sampling import POINTS, SCHEDULE, MixedDenoiser
from pointillist.diffusion.tokens.token_networks import TokenNetwork
from pointillist.diffusion.tokens.token_sampling import TokenDenoiser, TokenSampler
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


@pytest.mark.slow
def test_a_wide_table_is_fitted_and_drawn_with_observed_cells(model):
    data = frame()
    rows = model.sample(20, where={"k0": "b"}, random_state=1)
    assert list(rows.columns) == list(data.columns) and set(rows["k0"]) == {"b"}
    assert set(np.unique(rows[[f"k{j}" for j in range(0, COLUMNS, 2)]])) == {"a", "b", "c"}
    for name in ("x0", "x20"):
        assert rows[name].min() >= data[name].min() and rows[name].max() <= data[name].max()
    pd.testing.assert_frame_equal(rows, model.sample(40, where={"k0": "b"}, random_state=1)[:20])


@pytest.mark.slow
def test_missing_cells_of_a_wide_table_are_filled(model):
    data = frame()
    filled = model.impute(data, random_state=0)
    assert not filled.isna().any().any()
    is_observed = data.notna()
    assert filled.where(is_observed).equals(data.where(is_observed))


@pytest.mark.slow
def test_a_wide_model_survives_its_file(model, tmp_path):
    assert isinstance(model.model_.network, TokenNetwork)
    model.save(tmp_path / "wide.model")
    again = Diffusion.load(tmp_path / "wide.model")
    pd.testing.assert_frame_equal(model.sample(5, random_state=2), again.sample(5, random_state=2))


def equations(function, *arguments):
    return str(jax.make_jaxpr(function)(*arguments)).count(" = ")


def tokens_of_width(n):
    """Tokens of a table of n columns; every third column may have a number."""
    sizes, ranks = [], []
    for j in range(n):
        size = (64, 5, 20)[j % 3]
        sizes.append(size)
        ranks += ((np.arange(size) + 0.5) / size).tolist() if j % 3 != 1 else [-1.0] * size
    with_number = tuple(range(0, n, 3))
    return Tokens(tuple(sizes), tuple(ranks), with_number, (0,) * len(with_number))


def test_programs_for_more_columns_have_no_more_equations():
    def programs(n):
        tokens = tokens_of_width(n)
        n_numbers = len(tokens.with_number)
        width = n + n_numbers
        architecture, objective = TokenArchitecture(tokens, 16, 1, is_factored=True), MixedObjective(tokens)
        network = jax.eval_shape(lambda: architecture.build(jax.random.key(0), width))
        keys = jax.eval_shape(lambda: tuple(jax.random.split(jax.random.key(0))))
        rows = jax.ShapeDtypeStruct((4, width), jnp.float32)
        examples = jax.eval_shape(
            lambda k, x: objective.examples(k, CleanRows(x, None, SCHEDULE, jnp.eye(n_numbers)), 4), keys, rows
        )
        trained = equations(jax.grad(lambda w, *batch: objective.loss(w, batch, "float32")), network, *examples)
        folded = jax.eval_shape(lambda network: network.folded(), network)
        row, key = jax.ShapeDtypeStruct((width,), jnp.float32), jax.eval_shape(lambda: jax.random.key(0))

        def draw(k, w, r):
            denoiser = MixedDenoiser(
                TokenDenoiser(w.token_network, folded.tokens), w.number_network, jnp.eye(n_numbers)
            )
            return TokenSampler(n, DPMSolver2M(SCHEDULE, POINTS, is_stochastic=True)).draw(k, denoiser, r)

        return trained, equations(draw, key, folded, row)

    assert all(more <= fewer for more, fewer in zip(programs(1000), programs(COLUMNS), strict=True))
