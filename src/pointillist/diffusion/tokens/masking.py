"""Masked diffusion of rows of tokens: tokens are hidden, and drawn one after another given those that are seen.

A token is an integer from 0 to below its column's size. Noise hides tokens (Austin et al. 2021, arXiv 2107.03006,
section 3.1, "absorbing"); for every hidden token, a network predicts its distribution given all that are seen. Drawing
one token at a time samples the reverse process without a discretisation error, and the network is a model of every
order at once (Hoogeboom et al. 2021, arXiv 2110.02037, section 3). So any tokens can be fixed, and the others drawn
from their conditional distribution. Rows are drawn in the order of the columns, which half of training is about.

Beside a token may stand a number, where the token has the value that says so. Numbers are noised rather than hidden.

Rows of more than `WIDE` tokens have a network whose first and last layers are factored in training, and their tokens
are drawn several at a time, so that the cost of fitting and drawing grows no faster than the number of cells. The
layers of narrow rows of more than `MAX_UNFACTORED` values, such as names, are factored too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

WIDE = 128
"""Most tokens of a row that is not wide. Narrow rows are trained and drawn another way, whose cost is quadratic in
the number of tokens; their weights and rows stay the same to the last bit. A wide row is drawn in as many evaluations
of the network."""

N_WAVES = 8
"""Number of smooth functions of an ordered token's values that a network begins with."""

INTERVAL_WAVES = 3
"""Number of cosines of a token's interval that the networks of numbers see."""

MAX_UNFACTORED = 2048
"""Most values that all tokens of a narrow row may have together for its layers not to be factored."""

RANK, NARROW_RANK = 8, 32
"""Most features of a token's value in the factored network of a wide row, and of a narrow one."""

PADDING = 0.25
"""Largest fraction of the values computed in parallel that may be padding."""


OBSERVED_FREQUENCIES = (1.0, 2.0)
"""Frequencies of given numbers, which have no noise: by high ones the single rows of training would be known."""


def number_features(
    numbers: Float[Array, "*rows k"],
    is_shown: Bool[Array, "*rows k"],
    frequencies: Sequence[float] = OBSERVED_FREQUENCIES,
) -> Float[Array, "*rows f"]:
    """Fourier features of numbers, and which of them are shown; all features of the others are 0."""
    waves = [wave(frequency * numbers) for frequency in frequencies for wave in (jnp.sin, jnp.cos)]
    shown = is_shown.astype(numbers.dtype)
    # NaN, which stands for a number that is not known, would stay NaN in a product with 0.
    return jnp.concatenate([shown, *(jnp.where(is_shown, part, 0.0) for part in (numbers, *waves))], axis=-1)


@dataclass(frozen=True)
class Tokens:
    """The tokens of a row.

    Attributes:
        sizes: Number of values of each token.
        ranks: Rank in (0, 1) of each value of each token whose values have an order; -1 for values without one. Empty
            if no token's values have an order.
        with_number: Tokens beside which a number may stand.
        number_values: For each of these, the value that says that there is a number.
        with_intervals: Tokens of columns of intervals, in which a number has a position.
        has_column_order: Whether narrow rows are drawn in column order, to which half of the training rows are then
            devoted; otherwise in random order, like wide rows.
    """

    sizes: tuple[int, ...]
    ranks: tuple[float, ...] = ()
    with_number: tuple[int, ...] = ()
    number_values: tuple[int, ...] = ()
    with_intervals: tuple[int, ...] = ()
    has_column_order: bool = True

    def __post_init__(self) -> None:
        if len(self.ranks) not in (0, sum(self.sizes)):
            raise ValueError("either each value of each token has a rank, or none has one")
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError("a row needs at least one token, and each token a size of at least 1")

    @property
    def n_slots(self) -> int:
        """Total number of values of all tokens."""
        return sum(self.sizes)

    @property
    def n_number_features(self) -> int:
        """Number of features of the numbers that are given."""
        return (2 + 2 * len(OBSERVED_FREQUENCIES)) * len(self.with_number)

    def has_number(self, tokens: Float[Array, "*rows T"]) -> Bool[Array, "*rows k"]:
        """Which of the numbers of some rows there are."""
        values = jnp.asarray(self.number_values, tokens.dtype).reshape((1,) * (tokens.ndim - 1) + (-1,))
        return tokens[..., np.asarray(self.with_number, int)] == values

    @cached_property
    def token_of_slot(self) -> Int[np.ndarray, " slots"]:
        """The token that each slot is a value of."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @property
    def is_single(self) -> Bool[np.ndarray, " tokens"]:
        """Which tokens have a single value."""
        return np.asarray(self.sizes) == 1

    @cached_property
    def value(self) -> Int[np.ndarray, " slots"]:
        """The value that each slot stands for."""
        return np.concatenate([np.arange(size) for size in self.sizes])

    @cached_property
    def starts(self) -> Int[np.ndarray, " tokens"]:
        """The first slot of each token."""
        return np.cumsum(self.sizes) - np.asarray(self.sizes)

    @property
    def is_wide(self) -> bool:
        """Whether a row has more than `WIDE` tokens."""
        return len(self.sizes) > WIDE

    @property
    def in_column_order(self) -> bool:
        """Whether a row's tokens are drawn in their order."""
        return self.has_column_order and not self.is_wide

    @cached_property
    def blocks(self) -> tuple[Int[np.ndarray, " some"], ...]:
        """All tokens, grouped by similar size; the number of groups grows with the logarithm of the largest size."""
        left = np.argsort(self.sizes, kind="stable")
        blocks = []
        while len(left):
            sizes = np.asarray(self.sizes)[left]
            first = int(np.searchsorted(sizes, (1 - PADDING) * sizes[-1]))
            blocks.append(left[first:])
            left = left[:first]
        return tuple(blocks)

    @property
    def rank(self) -> int:
        """Most features of a value in a factored network."""
        return RANK if self.is_wide else NARROW_RANK

    @cached_property
    def features(self) -> tuple[int, ...]:
        """Number of features of a value in each block: `rank`, or the number of values if that is smaller."""
        return tuple(min(self.rank, max(self.sizes[index] for index in block)) for block in self.blocks)

    @property
    def n_features(self) -> int:
        """Number of features of all tokens."""
        return sum(len(block) * rank for block, rank in zip(self.blocks, self.features, strict=True))

    @cached_property
    def splits(self) -> Int[np.ndarray, " tokens_less_one"]:
        """Positions where the slots of one token end and those of the next begin."""
        return np.cumsum(self.sizes)[:-1]

    @cached_property
    def waves(self) -> Float[np.ndarray, "slots waves"]:
        """Smooth functions of values that have an order: cos(π k rank), k = 1 … `N_WAVES`; 0 for other values."""
        ranks = np.asarray(self.ranks or (-1.0,) * self.n_slots)
        waves = np.cos(np.pi * ranks[:, None] * np.arange(1, N_WAVES + 1)) * (ranks >= 0)[:, None]
        return waves.astype(np.float32)

    @cached_property
    def ordered_tokens(self) -> Int[np.ndarray, " some"]:
        """The tokens whose values have an order."""
        return np.unique(self.token_of_slot[np.asarray(self.ranks or (-1.0,) * self.n_slots) >= 0])

    @cached_property
    def wave_matrix(self) -> Float[np.ndarray, "slots all_waves"]:
        """The `waves`, in separate columns for each token that has some; their size is quadratic in the tokens."""
        by_owner = (self.token_of_slot[:, None] == self.ordered_tokens)[:, :, None] * self.waves[:, None]
        return by_owner.reshape(self.n_slots, -1)

    @cached_property
    def smooth_functions(self) -> Float[np.ndarray, "slots functions"]:
        """Orthonormal basis of smooth functions of each ordered token's values; 0 for values without an order.

        The functions of a token span the constant and cos(π k rank), with k up to `INTERVAL_WAVES` for intervals and up
        to `N_WAVES` for other ordered values. A token with fewer values has a basis of all functions.
        """
        blocks, ranks = [], np.asarray(self.ranks or (-1.0,) * self.n_slots)
        for token in self.ordered_tokens:
            slots = np.flatnonzero((self.token_of_slot == token) & (ranks >= 0))
            n_waves = INTERVAL_WAVES if token in self.with_intervals else N_WAVES
            waves = np.cos(np.pi * ranks[slots, None] * np.arange(min(n_waves + 1, len(slots))))
            block = np.zeros((self.n_slots, waves.shape[1]), np.float32)
            block[slots] = np.linalg.qr(waves)[0].round(6)
            blocks.append(block)
        return np.concatenate(blocks, axis=1) if blocks else np.zeros((self.n_slots, 0), np.float32)

    def smoothed(self, weight: Float[Array, "inputs width"]) -> Float[Array, "inputs width"]:
        """Projects a layer's weights onto smooth functions of the rank of each ordered token's values.

        Args:
            weight: Weights of a layer whose first inputs are one-hot tokens; the weights of other inputs do not change.
        """
        functions = jnp.asarray(self.smooth_functions, weight.dtype)
        if not functions.shape[1]:
            return weight
        slot_weight = jnp.asarray(weight)[: self.n_slots]
        has_order = jnp.asarray(self.ranks, weight.dtype)[:, None] >= 0
        smooth = jnp.where(has_order, functions @ (functions.T @ slot_weight), slot_weight)
        return jnp.concatenate([smooth, weight[self.n_slots :]])

    def one_hot(self, tokens: Float[Array, "*rows T"]) -> Float[Array, "*rows slots"]:
        """One-hot encoding: 1 in the slot of each token's value, 0 elsewhere; all 0 for hidden tokens.

        A token of a single value is known though it is hidden. One of an interval may have the position in it added, a
        number in [0, 1).
        """
        shape = (1,) * (tokens.ndim - 1) + (-1,)
        value = jnp.asarray(self.value, tokens.dtype).reshape(shape)
        is_known = (jnp.floor(tokens)[..., self.token_of_slot] == value) | self.is_single[self.token_of_slot].reshape(
            shape
        )
        return is_known.astype(jnp.float32)
