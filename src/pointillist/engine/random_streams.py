"""Random streams of a seed: each use of randomness has a stream, so that no two uses draw the same numbers.

Within a stream, keys are folded with the epoch of a training, the index of a row, or a row's hash.
"""

from enum import IntEnum

import jax
import numpy as np
from jaxtyping import Array, PRNGKeyArray, UInt32


class Stream(IntEnum):
    """Streams of JAX's keys."""

    TRAINING = 0
    SAMPLING = 1
    MAPPING = 2
    HELD_OUT_LOSS = 3
    PRIVATE = 4


class HostStream(IntEnum):
    """Streams of NumPy's generator."""

    LABELS = 0
    HELD_OUT_ROWS = 1
    SHARDS = 2
    PREDICTED_LABELS = 3
    PRIVATE = 4
    SHARES = 5


def key_of(seed: int | UInt32[Array, ""], stream: Stream) -> PRNGKeyArray:
    """Make the key of a stream; the seed is 0 … 2³² - 1."""
    return jax.random.fold_in(jax.random.key(seed), int(stream))


def generator_of(seed: int, stream: HostStream, *numbers: int) -> np.random.Generator:
    """Make the generator of a stream, for the given numbers within it."""
    return np.random.default_rng([seed, int(stream), *numbers])
