"""A network of tokens is one entry of the registry: fits, draws and model files use it by its name."""

from dataclasses import replace

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from pointillist.diffusion.registries import TOKEN_NETWORKS
from pointillist.diffusion.tokens.masking import Tokens
from pointillist.models.configuration import Configuration
from pointillist.models.fitting import prepare
from pointillist.models.gaussian import architecture_of
from pointillist.models.masked import MaskedProcess
from pointillist.models.request import Request
from pointillist.page import write_page
from pointillist.queries.sampling import SamplingRun

rng = np.random.default_rng(0)
TABLE = pd.DataFrame({"city": rng.choice(["a", "b"], 400, p=[0.8, 0.2]), "size": rng.normal(size=400)})


class Biases(eqx.Module):
    """Independent tokens: a logit for each value."""

    bias: jnp.ndarray
    tokens: Tokens = eqx.field(static=True)

    @classmethod
    def build(cls, key, *, tokens, width, depth):
        return cls(jnp.zeros(tokens.n_slots), tokens)

    @property
    def token_network(self):
        return self

    def __call__(self, seen):
        return jnp.asarray(self.bias)

    def folded(self):
        return replace(self, tokens=replace(self.tokens, ranks=()))


@pytest.fixture(autouse=True)
def biases(monkeypatch):
    monkeypatch.setitem(TOKEN_NETWORKS, "biases", lambda: Biases)


@pytest.mark.parametrize("columns", [["city"], ["city", "size"]])
def test_a_registered_network_is_fitted_and_drawn_from(columns, tmp_path):
    task = prepare(Configuration(width=8, depth=1, epochs=40, learning_rate=0.05, random_state=0), TABLE[columns])
    encoding, covariance = task.plan.codec.encoding, task.plan.process.covariance
    process = MaskedProcess.of({**task.trained_with, "network": "biases"}, encoding, covariance, has_ranks=True)
    model = replace(task, plan=replace(task.plan, process=process, alternative=None)).fit()
    assert isinstance(model.network.token_network, Biases)
    rows, _ = SamplingRun(model, Request(4000, random_state=0)).rows()
    share = np.mean([city == "a" for city in rows.column("city").to_pylist()])
    assert abs(share - (TABLE["city"] == "a").mean()) < 0.03
    with pytest.raises(ValueError, match="cannot draw rows by network='biases'"):
        write_page(model, tmp_path / "page.html", "page")


def test_a_network_of_tokens_is_not_for_numbers():
    with pytest.raises(ValueError, match="network='biases' is for tokens: choose one of mlp, residual"):
        architecture_of({"network": "biases"}, 0, 2)
