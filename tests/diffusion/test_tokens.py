"""Masked diffusion of tokens, against a law whose every conditional is known."""

from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pointillist.diffusion.tokens import (
    HIDDEN,
    TokenDenoiser,
    TokenNetwork,
    TokenObjective,
    Tokens,
    TokenSampler,
    hiding,
    token_loss,
)
from pointillist.engine.sampling import sample_rows

TOKENS = Tokens((2, 3, 2), (-1, -1, -1))
ROWS = np.array(list(product(range(2), range(3), range(2))))
LAW = np.random.default_rng(0).dirichlet(np.full(len(ROWS), 0.7))


ONE_HOT = np.concatenate([np.eye(size, dtype=np.float32)[ROWS[:, i]] for i, size in enumerate(TOKENS.sizes)], axis=1)


class Exact(eqx.Module):
    """The logits of a law over all rows: log p(token | what is seen)."""

    law: np.ndarray

    def __call__(self, seen):
        one_hot = jnp.asarray(ONE_HOT)
        # A row is possible if it agrees with all that is seen.
        possible = (one_hot @ seen >= jnp.sum(seen) - 0.5).astype(jnp.float32) * jnp.asarray(self.law, jnp.float32)
        return jnp.log(possible @ one_hot + 1e-30) - jnp.log(jnp.sum(possible))


def frequencies(rows):
    rows = np.floor(rows).astype(int)
    return np.array([(rows == row).all(axis=1).mean() for row in ROWS])


def drawn(denoiser, n=20_000, prior=None, seed=0):
    return sample_rows(denoiser, TokenSampler(), columns=3, n_rows=n, seed=seed, prior=prior)


def test_rows_follow_the_law_whose_conditionals_are_asked_for():
    found = frequencies(drawn(TokenDenoiser(Exact(LAW), TOKENS)))
    assert np.abs((found - LAW) / np.sqrt(LAW * (1 - LAW) / 20_000)).max() < 4


def test_given_tokens_stay_and_the_others_follow_their_conditional_law():
    rows = drawn(TokenDenoiser(Exact(LAW), TOKENS), prior=np.array([[HIDDEN, 2, HIDDEN]]))
    assert (rows[:, 1] == 2).all()
    expected = np.where(ROWS[:, 1] == 2, LAW, 0)
    expected /= expected.sum()
    error = np.sqrt(expected * (1 - expected) / 20_000)
    assert (np.abs(frequencies(rows) - expected) <= 4 * error).all()


def test_guidance_raises_the_ratio_of_the_conditional_to_the_unconditional_to_a_power():
    w = 1.5
    denoiser = TokenDenoiser(Exact(LAW), TOKENS, guided=0, guidance=w)
    found = drawn(denoiser, prior=np.array([[1, HIDDEN, 0]]))
    given = [LAW[(ROWS[:, 0] == 1) & (ROWS[:, 2] == 0) & (ROWS[:, 1] == k)].sum() for k in range(3)]
    without = [LAW[(ROWS[:, 2] == 0) & (ROWS[:, 1] == k)].sum() for k in range(3)]
    given, without = (np.array(p) / np.sum(p) for p in (given, without))
    expected = given ** (1 + w) / without**w
    expected /= expected.sum()
    counts = np.bincount(np.floor(found[:, 1]).astype(int), minlength=3) / len(found)
    assert (np.abs(counts - expected) < 4 * np.sqrt(expected * (1 - expected) / len(found)) + 1e-9).all()


def test_forbidden_values_are_never_drawn():
    forbidden = (TOKENS.owner == 1) & (TOKENS.value == 2)
    rows = drawn(TokenDenoiser(Exact(LAW), TOKENS, forbidden=forbidden), n=2000)
    assert np.floor(rows[:, 1]).max() == 1


def test_the_number_added_to_a_token_is_uniform():
    rows = drawn(TokenDenoiser(Exact(LAW), TOKENS), n=5000)
    rest = rows % 1
    assert rest.min() >= 0 and rest.max() < 1
    np.testing.assert_allclose(rest.mean(axis=0), 0.5, atol=4 * np.sqrt(1 / 12 / 5000))


def test_the_loss_of_the_exact_law_is_its_entropy():
    """The mean over orders and places of weighted losses is the negative log-likelihood of a row."""
    rng = np.random.default_rng(1)
    rows = jnp.asarray(ROWS[rng.choice(len(ROWS), 40_000, p=LAW)], jnp.float32)
    keys = jax.random.split(jax.random.key(0))
    rows, is_seen, weight = TokenObjective(TOKENS).examples((keys[0], keys[1]), rows, None, 100, None, None, None)
    network = Exact(LAW)
    wanted = TOKENS.one_hot(rows)
    logits = jax.vmap(network)(wanted * is_seen[:, TOKENS.owner].astype(jnp.float32))
    losses = -np.sum(np.asarray(logits) * np.asarray(wanted) * np.asarray(weight)[:, TOKENS.owner], axis=1)
    entropy = -np.sum(LAW * np.log(LAW))
    assert abs(float(losses.mean()) - entropy) < 4 * float(losses.std()) / 200


def test_what_is_hidden_is_weighed_to_the_number_of_tokens_and_parents_come_first():
    tokens = Tokens((4, 8, 3, 5, 8), (-1, 0, -1, -1, 3))
    order = tokens.ordered(jax.random.uniform(jax.random.key(0), (1000, 5)))
    assert (order[:, 1] >= order[:, 0]).all() and (order[:, 4] >= order[:, 3]).all()
    share = jnp.arange(1000, dtype=jnp.float32) / 1000
    is_seen, weight = hiding(tokens, order, share)
    np.testing.assert_array_equal(np.asarray(is_seen).sum(axis=1), np.floor(np.asarray(share) * 5))
    np.testing.assert_allclose(weight.sum(axis=1), 5, rtol=1e-6)
    assert not (np.asarray(weight) * np.asarray(is_seen)).any()
    for child, parent in ((1, 0), (4, 3)):
        assert not (np.asarray(is_seen)[:, child] & ~np.asarray(is_seen)[:, parent]).any()
        assert not (np.asarray(weight)[:, child] * ~np.asarray(is_seen)[:, parent]).any()


def test_the_loss_is_the_cross_entropy_of_each_token():
    network = TokenNetwork.build(jax.random.key(0), tokens=TOKENS, width=8, depth=1)
    network = eqx.tree_at(lambda n: n.output.weight, network, jax.random.normal(jax.random.key(1), (8, 7)))
    rows = jnp.array([[1.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
    is_seen = jnp.array([[True, False, False], [False, False, False]])
    weight = jnp.array([[0.0, 1.5, 1.5], [1.0, 1.0, 1.0]])
    expected = 0.0
    for row, seen, own in zip(np.asarray(rows, int), np.asarray(is_seen), np.asarray(weight), strict=True):
        shown = np.concatenate([np.eye(size)[v] * s for size, v, s in zip(TOKENS.sizes, row, seen, strict=True)])
        parts = np.split(np.asarray(network(jnp.asarray(shown, jnp.float32))), TOKENS.splits)
        for part, v, w in zip(parts, row, own, strict=True):
            expected -= w * (part[v] - np.log(np.exp(part).sum()))
    assert float(token_loss(network, TOKENS, rows, is_seen, weight)) == pytest.approx(expected / 2, rel=1e-5)


def test_rows_are_those_of_their_seed_whatever_their_number():
    denoiser = TokenDenoiser(Exact(LAW), TOKENS)
    np.testing.assert_array_equal(drawn(denoiser, 700), drawn(denoiser, 1600)[:700])
    assert not np.array_equal(drawn(denoiser, 700), drawn(denoiser, 700, seed=1))


def test_tokens_that_cannot_be():
    with pytest.raises(ValueError, match="a token's parent stands before it"):
        Tokens((2, 3), (1, -1))
    with pytest.raises(ValueError, match="each a size from 1 on"):
        Tokens((2, 0), (-1, -1))


def test_ordered_values_begin_alike_and_folding_changes_nothing():
    tokens = Tokens((20, 3), (-1, -1), (*((np.arange(20) + 0.5) / 20).tolist(), -1.0, -1.0, -1.0))
    network = TokenNetwork.build(jax.random.key(0), tokens=tokens, width=16, depth=2)
    keys = iter(jax.random.split(jax.random.key(1), 3))
    for where in (lambda n: n.output_waves, lambda n: n.output.weight):
        network = eqx.tree_at(where, network, jax.random.normal(next(keys), where(network).shape))
    seen = tokens.one_hot(jnp.array([[3.0, 1.0], [HIDDEN, 2.0], [HIDDEN, HIDDEN]]))
    folded = network.folded()
    assert folded.input_waves.size == 0 and folded.tokens.ranks == ()
    np.testing.assert_allclose(jax.vmap(folded)(seen), jax.vmap(network)(seen), rtol=1e-5, atol=1e-5)
    assert tokens.waves.shape == (23, 8) and not tokens.waves[20:].any()
    np.testing.assert_allclose(tokens.waves[:20].T @ tokens.waves[:20], 10 * np.eye(8), atol=1e-5)
