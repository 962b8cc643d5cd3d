"""Masked diffusion of rows of tokens: the layout of a row, and its one-hot encoding.

A token is an integer from 0 to the size of its column - 1. Noise masks tokens (Austin et al. 2021, arXiv 2107.03006,
section 3.1, "absorbing"); a network predicts the distribution of every masked token given the visible ones. Drawing one
token at a time samples the reverse process without discretization error, in any order (Hoogeboom et al. 2021, arXiv
2110.02037, section 3), so any tokens can be observed. A token may carry a number, which is noised rather than masked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from pointillist.diffusion.networks import waves

WIDE = 128
"""Rows with more tokens are wide, and are drawn in this many evaluations of the network. Narrow rows are drawn by
a method whose cost is quadratic in the number of tokens."""

N_WAVES = 8
"""Number of cosines of the rank of an ordered value with which a network is initialized, and which number networks see.

With 3 cosines of intervals, numbers are less precise; with free weights, number networks memorize the rows of tables of
5,000 and 20,000 rows."""

MAX_UNFACTORED = 2048
"""Largest total number of values of a narrow row whose layers are not factored."""

RANK, NARROW_RANK = 8, 32
"""Maximum number of features per value in the factored network of wide and of narrow rows."""

PADDING = 0.25
"""Largest fraction of padding among the values that are computed in parallel."""

OBSERVED_FREQUENCIES = (1.0, 2.0)
"""Frequencies of the Fourier features of observed numbers. Higher ones would let the network memorize rows."""


def number_features(
    numbers: Float[Array, "*rows k"],
    is_shown: Bool[Array, "*rows k"],
    frequencies: Sequence[float] = OBSERVED_FREQUENCIES,
) -> Float[Array, "*rows f"]:
    """Compute indicators of the shown numbers and their Fourier features; features of other numbers are 0."""
    shown = is_shown.astype(numbers.dtype)
    parts = numbers, *waves(numbers, frequencies)
    # Unobserved numbers are NaN, and a product of NaN and 0 would be NaN.
    return jnp.concatenate([shown, *(jnp.where(is_shown, part, 0.0) for part in parts)], axis=-1)


@dataclass(frozen=True)
class Tokens:
    """Layout of the tokens of a row. A slot is one value of one token; slots are numbered consecutively.

    Attributes:
        ranks: Rank in (0, 1) of the value of each slot; -1 for unordered values. Empty if all values are unordered.
        with_number: Indices of the tokens that may carry a number.
        number_values: For each of these tokens, the value with which its number exists.
        with_intervals: Indices of the tokens whose values are intervals; such a token has a position in its interval.
        has_column_order: Whether narrow rows are drawn in column order, to which half of the training rows are then
            devoted; otherwise in random order, like wide rows.
    """

    sizes: tuple[int, ...]
    ranks: tuple[float, ...] = ()
    with_number: tuple[int, ...] = ()
    number_values: tuple[int, ...] = ()
    with_intervals: tuple[int, ...] = ()
    has_column_order: bool = True

    @property
    def n_slots(self) -> int:
        """Total number of values of all tokens."""
        return sum(self.sizes)

    @property
    def is_wide(self) -> bool:
        """Whether a row has more than `WIDE` tokens."""
        return len(self.sizes) > WIDE

    @property
    def in_column_order(self) -> bool:
        """Whether tokens are drawn in column order."""
        return self.has_column_order and not self.is_wide

    @property
    def is_single(self) -> Bool[np.ndarray, " tokens"]:
        """Whether each token has a single value."""
        return np.asarray(self.sizes) == 1

    @property
    def n_number_features(self) -> int:
        """Number of features of observed numbers."""
        return (2 + 2 * len(OBSERVED_FREQUENCIES)) * len(self.with_number)

    def has_number(self, tokens: Float[Array, "*rows T"]) -> Bool[Array, "*rows k"]:
        """Return which numbers of the rows exist."""
        values = jnp.asarray(self.number_values, tokens.dtype).reshape((1,) * (tokens.ndim - 1) + (-1,))
        return tokens[..., np.asarray(self.with_number, int)] == values

    @cached_property
    def starts(self) -> Int[np.ndarray, " tokens"]:
        """First slot of each token."""
        return np.cumsum(self.sizes) - np.asarray(self.sizes)

    @cached_property
    def token_of_slot(self) -> Int[np.ndarray, " slots"]:
        """Index of the token of each slot."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @cached_property
    def value(self) -> Int[np.ndarray, " slots"]:
        """Value of each slot."""
        return np.arange(self.n_slots) - self.starts[self.token_of_slot]

    @property
    def rank(self) -> int:
        """Maximum number of features per value in a factored network."""
        return RANK if self.is_wide else NARROW_RANK

    @cached_property
    def blocks(self) -> tuple[tuple[Int[np.ndarray, " some"], int], ...]:
        """Indices of all tokens, grouped by similar size, each group with its number of features per value.

        The number of groups is logarithmic in the largest size. The number of features is `rank`, or the largest size
        if smaller.
        """
        left = np.argsort(self.sizes, kind="stable")
        blocks = []
        while len(left):
            sizes = np.asarray(self.sizes)[left]
            first = int(np.searchsorted(sizes, (1 - PADDING) * sizes[-1]))
            blocks.append((left[first:], min(self.rank, int(sizes[-1]))))
            left = left[:first]
        return tuple(blocks)

    @property
    def n_features(self) -> int:
        """Total number of features of all tokens."""
        return sum(len(block) * rank for block, rank in self.blocks)

    @cached_property
    def _rank_of_slot(self) -> Float[np.ndarray, " slots"]:
        return np.asarray(self.ranks or (-1.0,) * self.n_slots)

    @cached_property
    def ordered_tokens(self) -> Int[np.ndarray, " some"]:
        """Indices of the tokens with ordered values."""
        return np.unique(self.token_of_slot[self._rank_of_slot >= 0])

    @cached_property
    def waves(self) -> Float[np.ndarray, "slots waves"]:
        """Smooth functions of ordered values: cos(π k rank), k = 1 … `N_WAVES`; 0 for unordered values."""
        ranks = self._rank_of_slot[:, None]
        return (np.cos(np.pi * ranks * np.arange(1, N_WAVES + 1)) * (ranks >= 0)).astype(np.float32)

    @cached_property
    def wave_matrix(self) -> Float[np.ndarray, "slots all_waves"]:
        """The `waves` of each ordered token in separate columns; the size is quadratic in the number of tokens."""
        by_token = (self.token_of_slot[:, None] == self.ordered_tokens)[:, :, None] * self.waves[:, None]
        return by_token.reshape(self.n_slots, -1)

    @cached_property
    def smooth_functions(self) -> Float[np.ndarray, "slots functions"]:
        """Orthonormal basis of smooth functions of the values of each ordered token; 0 for unordered values.

        The functions of a token span the constant and cos(π k rank), with k up to `N_WAVES`. For a token with fewer
        values they span all functions.
        """
        blocks, ranks = [np.zeros((self.n_slots, 0), np.float32)], self._rank_of_slot
        for token in self.ordered_tokens:
            slots = np.flatnonzero((self.token_of_slot == token) & (ranks >= 0))
            waves = np.cos(np.pi * ranks[slots, None] * np.arange(min(N_WAVES + 1, len(slots))))
            block = np.zeros((self.n_slots, waves.shape[1]), np.float32)
            block[slots] = np.linalg.qr(waves)[0].round(6)
            blocks.append(block)
        return np.concatenate(blocks, axis=1)

    def smoothed(self, weight: Float[Array, "inputs width"]) -> Float[Array, "inputs width"]:
        """Project the weights of one-hot tokens, a layer's first inputs, onto smooth functions of ordered values."""
        functions = jnp.asarray(self.smooth_functions, weight.dtype)
        if not functions.shape[1]:
            return weight
        slot_weight = jnp.asarray(weight)[: self.n_slots]
        has_order = jnp.asarray(self.ranks, weight.dtype)[:, None] >= 0
        smooth = jnp.where(has_order, functions @ (functions.T @ slot_weight), slot_weight)
        return jnp.concatenate([smooth, weight[self.n_slots :]])

    def one_hot(self, tokens: Float[Array, "*rows T"]) -> Float[Array, "*rows slots"]:
        """Encode tokens as 1 in the slot of the value and 0 elsewhere; masked tokens are all 0.

        A token with a single value is encoded even if masked. Positions in intervals, which are fractions in [0, 1)
        added to the value, are ignored.
        """
        shape = (1,) * (tokens.ndim - 1) + (-1,)
        is_value = jnp.floor(tokens)[..., self.token_of_slot] == jnp.asarray(self.value, tokens.dtype).reshape(shape)
        return (is_value | self.is_single[self.token_of_slot].reshape(shape)).astype(jnp.float32)
