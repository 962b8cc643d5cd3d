"""Compares masked diffusion with a distribution whose conditionals are all known."""

from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pointillist.diffusion.losses import CleanRows
from pointillist.diffusion.tokens.masking import WIDE, Tokens
from pointillist.diffusion.tokens.token_losses import FRACTION_IN_COLUMN_ORDER, TokenObjective, mask_tokens, token_loss
from pointillist.diffusion.tokens.token_networks import FactoredNetwork, TokenNetwork
from pointillist.diffusion.tokens.token_sampling import (
    HIDDEN,
    TokenDenoiser,
    TokenSampler,
    max_tokens_per_step,
    step_ends,
)
from pointillist.engine.sampling import sample_rows

TOKENS = Tokens((2, 3, 2))
ROWS = np.array(list(product(range(2), range(3), range(2))))
DISTRIBUTION = np.random.default_rng(0).dirichlet(np.full(len(ROWS), 0.7))


ONE_HOT = np.concatenate([np.eye(size, dtype=np.float32)[ROWS[:, i]] for i, size in enumerate(TOKENS.sizes)], axis=1)


class ExactNetwork(eqx.Module):
    """Network with the logits log p(token | visible tokens) of a distribution over rows."""

    distribution: np.ndarray

    def __call__(self, seen):
        one_hot = jnp.asarray(ONE_HOT)
        # A row is possible if it agrees with all visible tokens.
        possible = (one_hot @ seen >= jnp.sum(seen) - 0.5).astype(jnp.float32) * jnp.asarray(
            self.distribution, jnp.float32
        )
        return jnp.log(possible @ one_hot + 1e-30) - jnp.log(jnp.sum(possible))


def frequencies(rows):
    rows = np.floor(rows).astype(int)
    return np.array([(rows == row).all(axis=1).mean() for row in ROWS])


def drawn(denoiser, n=20_000, prior=None, seed=0):
    return sample_rows(denoiser, TokenSampler(), columns=3, n_rows=n, seed=seed, prior=prior)


def test_rows_follow_the_distribution_of_the_conditionals():
    found = frequencies(drawn(TokenDenoiser(ExactNetwork(DISTRIBUTION), TOKENS)))
    assert np.abs((found - DISTRIBUTION) / np.sqrt(DISTRIBUTION * (1 - DISTRIBUTION) / 20_000)).max() < 4


def test_observed_tokens_are_kept_and_the_others_follow_their_conditional_distribution():
    rows = drawn(TokenDenoiser(ExactNetwork(DISTRIBUTION), TOKENS), prior=np.array([[HIDDEN, 2, HIDDEN]]))
    assert (rows[:, 1] == 2).all()
    expected = np.where(ROWS[:, 1] == 2, DISTRIBUTION, 0)
    expected /= expected.sum()
    error = np.sqrt(expected * (1 - expected) / 20_000)
    assert (np.abs(frequencies(rows) - expected) <= 4 * error).all()


def test_guidance_raises_the_ratio_of_the_conditional_to_the_unconditional_to_a_power():
    w = 1.5
    denoiser = TokenDenoiser(ExactNetwork(DISTRIBUTION), TOKENS, guided=0, guidance=w)
    found = drawn(denoiser, prior=np.array([[1, HIDDEN, 0]]))
    given = [DISTRIBUTION[(ROWS[:, 0] == 1) & (ROWS[:, 2] == 0) & (ROWS[:, 1] == k)].sum() for k in range(3)]
    without = [DISTRIBUTION[(ROWS[:, 2] == 0) & (ROWS[:, 1] == k)].sum() for k in range(3)]
    given, without = (np.array(p) / np.sum(p) for p in (given, without))
    expected = given ** (1 + w) / without**w
    expected /= expected.sum()
    counts = np.bincount(np.floor(found[:, 1]).astype(int), minlength=3) / len(found)
    assert (np.abs(counts - expected) < 4 * np.sqrt(expected * (1 - expected) / len(found)) + 1e-9).all()


def test_forbidden_values_are_never_drawn():
    forbidden = (TOKENS.token_of_slot == 1) & (TOKENS.value == 2)
    rows = drawn(TokenDenoiser(ExactNetwork(DISTRIBUTION), TOKENS, forbidden=forbidden), n=2000)
    assert np.floor(rows[:, 1]).max() == 1


def test_the_loss_of_the_exact_distribution_is_its_entropy():
    """The mean of weighted losses over orders and numbers of visible tokens is the negative log-likelihood of a row."""
    rng = np.random.default_rng(1)
    rows = jnp.asarray(ROWS[rng.choice(len(ROWS), 40_000, p=DISTRIBUTION)], jnp.float32)
    keys = jax.random.split(jax.random.key(0))
    rows, is_seen, weight = TokenObjective(TOKENS).examples((keys[0], keys[1]), CleanRows(rows), 100)
    network = ExactNetwork(DISTRIBUTION)
    wanted = TOKENS.one_hot(rows)
    logits = jax.vmap(network)(wanted * is_seen[:, TOKENS.token_of_slot].astype(jnp.float32))
    losses = -np.sum(np.asarray(logits) * np.asarray(wanted) * np.asarray(weight)[:, TOKENS.token_of_slot], axis=1)
    entropy = -np.sum(DISTRIBUTION * np.log(DISTRIBUTION))
    assert abs(float(losses.mean()) - entropy) < 4 * float(losses.std()) / 200


def test_the_loss_of_incomplete_rows_is_the_entropy_of_their_observed_tokens():
    """Missing tokens are summed over: the exact loss is the mean negative log-probability of the observed ones."""
    rng = np.random.default_rng(1)
    drawn = ROWS[rng.choice(len(ROWS), 40_000, p=DISTRIBUTION)].astype(np.float32)
    is_missing = rng.random(drawn.shape) < [0.2, 0.5, 0.3]
    drawn[is_missing] = HIDDEN
    possible = ((drawn[:, None] == ROWS[None]) | is_missing[:, None]).all(axis=2)
    expected = -np.log(possible @ DISTRIBUTION)
    keys = jax.random.split(jax.random.key(0))
    objective = TokenObjective(TOKENS)
    rows, is_seen, weight = objective.examples((keys[0], keys[1]), CleanRows(jnp.asarray(drawn)), 100)
    assert not np.asarray(is_seen)[is_missing].any() and not np.asarray(weight)[is_missing].any()
    wanted = TOKENS.one_hot(rows)
    logits = jax.vmap(ExactNetwork(DISTRIBUTION))(wanted * is_seen[:, TOKENS.token_of_slot].astype(jnp.float32))
    losses = -np.sum(np.asarray(logits) * np.asarray(wanted) * np.asarray(weight)[:, TOKENS.token_of_slot], axis=1)
    assert abs(float(losses.mean() - expected.mean())) < 4 * float((losses - expected).std()) / 200


def test_weights_of_hidden_tokens_sum_to_the_number_of_tokens():
    order = jax.random.uniform(jax.random.key(0), (1000, 5))
    fraction = jnp.arange(1000, dtype=jnp.float32) / 1000
    is_seen, weight = mask_tokens(order, fraction, order >= 0)
    np.testing.assert_array_equal(np.asarray(is_seen).sum(axis=1), np.floor(np.asarray(fraction) * 5))
    np.testing.assert_allclose(weight.sum(axis=1), 5, rtol=1e-6)
    assert not (np.asarray(weight) * np.asarray(is_seen)).any()


def test_in_sampling_order_only_the_next_token_has_a_weight():
    order = jnp.asarray([[0.2, 0.4, 0.6, 0.8], [0.2, 0.4, 0.0, 0.8]])
    for n_seen, following in enumerate(([0, 2], [1, 0], [2, 1], [3, 3])):
        fraction = jnp.full(2, n_seen / 4 + 0.1)
        is_seen, weight = mask_tokens(order, fraction, order >= 0, jnp.ones((2, 1), bool))
        assert (np.asarray(is_seen).sum(axis=1) == n_seen).all()
        assert np.array_equal(np.asarray(weight), 4 * np.eye(4)[following])


@pytest.mark.parametrize("guided", [None, 2])
def test_half_of_the_rows_are_in_sampling_order_and_half_of_these_begin_with_the_class(guided):
    objective = TokenObjective(Tokens((2,) * 4), guided=guided)
    rows = jnp.zeros((20_000, 4))
    _, is_seen, weight = objective.examples(tuple(jax.random.split(jax.random.key(0))), CleanRows(rows), 100)
    is_seen, has_weight = np.asarray(is_seen), np.asarray(weight) > 0
    two = has_weight[(is_seen.sum(axis=1) == 2) & (has_weight.sum(axis=1) == 1)]
    # In sampling order the third of four has a weight, or the second if the class is first; a random order has two.
    fraction = len(two) / (is_seen.sum(axis=1) == 2).sum()
    by_index = two.mean(axis=0)
    expected = [0, 0, 1, 0] if guided is None else [0, 0.5, 0.5, 0]
    assert abs(fraction - FRACTION_IN_COLUMN_ORDER) < 4 * np.sqrt(0.25 / 5000)
    assert np.abs(by_index - expected).max() < 4 * np.sqrt(0.25 / len(two))


@pytest.mark.parametrize("tokens", [Tokens((2,) * 4, has_column_order=False), Tokens((2,) * (WIDE + 1))])
def test_all_orders_are_random_without_turns_or_with_many_tokens(tokens):
    objective = TokenObjective(tokens)
    rows = jnp.zeros((500, len(tokens.sizes)))
    _, is_seen, weight = objective.examples(tuple(jax.random.split(jax.random.key(0))), CleanRows(rows), 100)
    assert np.array_equal(np.asarray(weight) > 0, ~np.asarray(is_seen))


def test_rows_are_drawn_in_the_order_of_their_columns():
    asked = []

    class Watched(ExactNetwork):
        def __call__(self, seen):
            jax.debug.callback(lambda seen: asked.append(np.asarray(seen)), seen)
            return super().__call__(seen)

    key = jax.random.key(0)
    TokenSampler().draw(key, TokenDenoiser(Watched(DISTRIBUTION), TOKENS), jnp.full(3, HIDDEN))
    jax.effects_barrier()
    n_seen = np.add.reduceat(np.array(asked), TOKENS.starts, axis=1)
    assert np.array_equal(n_seen, np.tri(3, k=-1))


def test_rows_without_turns_follow_the_distribution_too():
    tokens = Tokens(TOKENS.sizes, has_column_order=False)
    found = frequencies(drawn(TokenDenoiser(ExactNetwork(DISTRIBUTION), tokens)))
    assert np.abs((found - DISTRIBUTION) / np.sqrt(DISTRIBUTION * (1 - DISTRIBUTION) / 20_000)).max() < 4


def test_the_loss_is_the_cross_entropy_of_each_token():
    network = TokenNetwork.build(jax.random.key(0), tokens=TOKENS, width=8, depth=1)
    network = eqx.tree_at(lambda n: n.output.weight, network, jax.random.normal(jax.random.key(1), (8, 7)))
    rows = jnp.array([[1.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
    is_seen = jnp.array([[True, False, False], [False, False, False]])
    weight = jnp.array([[0.0, 1.5, 1.5], [1.0, 1.0, 1.0]])
    expected = 0.0
    apply = eqx.filter_jit(network)
    for row, seen, weights in zip(np.asarray(rows, int), np.asarray(is_seen), np.asarray(weight), strict=True):
        shown = np.concatenate([np.eye(size)[v] * s for size, v, s in zip(TOKENS.sizes, row, seen, strict=True)])
        parts = np.split(np.asarray(apply(jnp.asarray(shown, jnp.float32))), TOKENS.starts[1:])
        for part, v, w in zip(parts, row, weights, strict=True):
            expected -= w * (part[v] - np.log(np.exp(part).sum()))
    loss = jax.jit(lambda *batch: token_loss(network, TOKENS, *batch))
    assert float(loss(rows, is_seen, weight)) == pytest.approx(expected / 2, rel=1e-5)


def test_rows_depend_on_the_seed_and_not_on_their_number():
    denoiser = TokenDenoiser(ExactNetwork(DISTRIBUTION), TOKENS)
    np.testing.assert_array_equal(drawn(denoiser, 700), drawn(denoiser, 1600)[:700])
    assert not np.array_equal(drawn(denoiser, 700), drawn(denoiser, 700, seed=1))


def test_folding_the_waves_of_ordered_tokens_keeps_the_output():
    tokens = Tokens((20, 3), (*((np.arange(20) + 0.5) / 20).tolist(), -1.0, -1.0, -1.0))
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


def test_smoothed_weights_are_the_nearest_smooth_functions_of_the_rank():
    ranks = (np.arange(20) + 0.5) / 20
    ordered = ranks.tolist()
    # Tokens: intervals with a value for missing cells, categories, ordered values, and three values.
    tokens = Tokens((21, 3, 20, 3), (*ordered, *4 * [-1.0], *ordered, 0.2, 0.5, 0.8), with_intervals=(0,))
    rng = np.random.default_rng(0)
    weight = np.asarray(rng.normal(size=(tokens.n_slots + 4, 5)), np.float32)
    smooth = np.array(tokens.smoothed(jnp.asarray(weight)))
    np.testing.assert_allclose(tokens.smoothed(jnp.asarray(smooth)), smooth, atol=1e-5)
    for first in (0, 24):
        waves = np.cos(np.pi * ranks[:, None] * np.arange(9))
        part = weight[first : first + 20]
        fitted = waves @ np.linalg.lstsq(waves, part, rcond=None)[0]
        np.testing.assert_allclose(smooth[first : first + 20], fitted, atol=1e-5)
        smooth[first : first + 20] = part
    np.testing.assert_allclose(smooth, weight, atol=1e-5)


MIXED = Tokens(
    (60, 3, 48, 1, 9, 80),
    (
        *((np.arange(60) + 0.5) / 60).tolist(),
        *[-1.0] * 3,
        *((np.arange(47) + 0.5) / 47).tolist(),
        *[-1.0] * 11,
        *((np.arange(80) + 0.5) / 80).tolist(),
    ),
)


def factored():
    """Returns a network with a nonzero output."""
    network = FactoredNetwork.build(jax.random.key(0), tokens=MIXED, width=16, depth=1)
    keys = iter(jax.random.split(jax.random.key(1)))
    for where in (lambda n: n.output, lambda n: n.bias):
        network = eqx.tree_at(where, network, jax.random.normal(next(keys), where(network).shape))
    return network


def some_rows(n=50):
    rng = np.random.default_rng(0)
    rows = jnp.asarray(rng.integers(0, MIXED.sizes, (n, 6)), jnp.float32)
    order = jax.random.uniform(jax.random.key(3), rows.shape)
    return rows, *mask_tokens(order, jnp.arange(n, dtype=jnp.float32) / n, order >= 0)


@pytest.mark.slow
def test_a_factored_network_has_the_loss_and_the_gradient_of_the_folded_one():
    def dense(network, *batch):
        return token_loss(network.folded(), MIXED, *batch)

    def compact(network, *batch):
        return token_loss(network, MIXED, *batch)

    network, batch = factored(), some_rows()
    found = [jax.jit(jax.value_and_grad(f))(network, *batch) for f in (compact, dense)]
    (one, other), (first, same) = zip(*found, strict=True)
    assert float(one) == pytest.approx(float(other), rel=1e-6)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(same), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_discrete_tokens_start_with_one_feature_per_value():
    features = factored().input_features
    np.testing.assert_array_equal(features[60:63], np.eye(3, 32))
    np.testing.assert_allclose(np.square(features).sum(axis=1)[:60].mean(), 1, atol=0.1)
    blocks, n_features = zip(*MIXED.blocks, strict=True)
    assert sorted(np.concatenate(blocks)) == list(range(6)) and n_features[-2:] == (3, 1)


def chain(n):
    """Exact network of pairs of tokens with two and three values."""
    return Tokens((2, 3) * n)


def test_visible_tokens_of_wide_rows_come_first_in_their_order():
    n = 2 * WIDE
    order = jax.random.uniform(jax.random.key(0), (300, n))
    fraction = jnp.arange(300, dtype=jnp.float32) / 300
    is_seen = np.asarray(mask_tokens(order, fraction, order >= 0)[0])
    n_seen = np.floor(np.asarray(fraction) * n)
    np.testing.assert_array_equal(is_seen, np.argsort(np.argsort(order, axis=1), axis=1) < n_seen[:, None])


@pytest.mark.parametrize("n_hidden", [0, 1, 60, WIDE, 300, 2 * WIDE + 100])
def test_steps_draw_every_hidden_token(n_hidden):
    ends = np.asarray(step_ends(jnp.asarray(n_hidden)))
    assert len(ends) == WIDE and ends[-1] == n_hidden
    in_step = np.diff(ends, prepend=0)
    assert in_step.min() >= 0 and in_step.max() <= (1 if n_hidden <= WIDE else max_tokens_per_step(chain(WIDE + 50)))


class IndependentTokens(eqx.Module):
    """Exact network of independent binary tokens with different probabilities."""

    fractions: np.ndarray

    def __call__(self, seen):
        return jnp.stack([jnp.log(1 - self.fractions), jnp.log(self.fractions)], axis=1).ravel()


def test_wide_rows_follow_the_distribution_and_keep_observed_tokens():
    n, n_rows = 2 * WIDE, 1000
    fractions = np.random.default_rng(0).uniform(0.2, 0.8, n).astype(np.float32)
    prior = np.full((1, n), HIDDEN)
    prior[0, [4, 7]] = 1, 0
    denoiser = TokenDenoiser(IndependentTokens(fractions), Tokens((2,) * n))
    rows = sample_rows(denoiser, TokenSampler(), columns=n, n_rows=n_rows, seed=0, prior=prior)
    assert (rows[:, 4] == 1).all() and (rows[:, 7] == 0).all() and set(np.unique(rows)) == {0, 1}
    free = ~np.isin(np.arange(n), [4, 7])
    error = np.sqrt(fractions * (1 - fractions) / n_rows)
    assert (np.abs(rows.mean(axis=0) - fractions) / error)[free].max() < 4


class NonfiniteLogits(eqx.Module):
    """Network whose logits are not finite if a token is visible."""

    value: float

    def __call__(self, seen):
        return jnp.where((seen[0] > 0) & (jnp.arange(len(seen)) == 3), self.value, 0.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("tokens", [Tokens((2, 3)), pytest.param(Tokens((2, *[3] * WIDE)), marks=pytest.mark.slow)])
def test_rows_with_nan_logits_are_invalid(value, tokens):
    n = len(tokens.sizes)
    prior = np.full((2, n), HIDDEN)
    prior[:, 0] = 0, 1
    denoiser = TokenDenoiser(NonfiniteLogits(value), tokens)
    rows = sample_rows(denoiser, TokenSampler(), columns=n, n_rows=2, seed=0, prior=prior)
    assert np.isnan(rows[0]).all() and np.isfinite(rows[1]).all()


@pytest.mark.parametrize("number", [1e20, 3e38])
def test_overflowing_weights_give_no_row(number):
    network = TokenNetwork.build(jax.random.key(0), tokens=TOKENS, width=8, depth=1)
    network = eqx.tree_at(lambda n: n.input.weight, network, jnp.full((7, 8), number))
    assert np.isnan(drawn(TokenDenoiser(network, TOKENS), n=2)).all()


def test_too_much_guidance_gives_no_row():
    denoiser = TokenDenoiser(ExactNetwork(DISTRIBUTION), TOKENS, guided=0, guidance=float("inf"))
    assert np.isnan(drawn(denoiser, n=2, prior=np.array([[1, HIDDEN, HIDDEN]]))).all()


@pytest.mark.parametrize("has_missing", [False, True])
def test_a_token_with_a_single_value_is_visible_in_training_as_in_sampling(has_missing):
    tokens = Tokens((2, 1, 3))
    rows = jnp.asarray([[1.0, HIDDEN if has_missing else 0.0, 2.0]] * 50)
    keys = jax.random.split(jax.random.key(0))
    examples = jax.jit(lambda *keys: TokenObjective(tokens).examples(keys, CleanRows(rows), 10))
    shown, is_seen, weight = examples(keys[0], keys[1])
    assert is_seen[:, 1].all() and (shown[:, 1] == 0).all()
    assert not is_seen[:, 0].all() and not is_seen[:, 2].all() and not (has_missing and weight[:, 1].any())
    np.testing.assert_array_equal(tokens.one_hot(jnp.full(3, float(HIDDEN))), [0, 0, 1, 0, 0, 0])


@pytest.mark.parametrize("guidance", [None, 1.5])
@pytest.mark.parametrize("is_forbidden", [False, True])
def test_sampling_token_by_token_equals_sampling_from_all_logits(guidance, is_forbidden):
    """Sampling with one token's logits at a time equals sampling with the network as a plain function."""
    tokens = Tokens((3, 40, 1, 7, 90), with_intervals=(4,))
    network = TokenNetwork.build(jax.random.key(0), tokens=tokens, width=16, depth=1)
    network = eqx.tree_at(lambda n: n.output.weight, network, jax.random.normal(jax.random.key(1), (16, 141)))
    forbidden = np.isin(np.arange(141), (0, 5, 50, 140)) if is_forbidden else None
    x_T = np.full((300, 5), HIDDEN, np.float32)
    x_T[::3, 1], x_T[::2, 3] = 7, 4
    options = {} if guidance is None else {"guided": 3, "guidance": guidance}
    denoisers = [TokenDenoiser(each, tokens, forbidden=forbidden, **options) for each in (network, Function(network))]
    found = [sample_rows(each, TokenSampler(), columns=5, n_rows=300, seed=0, prior=x_T) for each in denoisers]
    np.testing.assert_array_equal(*found)
    assert len(np.unique(found[0][:, 4])) > 200


class Function(eqx.Module):
    """Network as a plain function."""

    network: TokenNetwork

    def __call__(self, seen):
        return self.network(seen)
