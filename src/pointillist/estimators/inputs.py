"""What estimators take from their users: rows, seeds, rewards in the users' units; and the bar they watch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

RandomState = int | np.random.RandomState | None


def checked_rows(estimator: BaseEstimator, X: ArrayLike, *, reset: bool = False) -> Float[np.ndarray, "n d"]:
    """X as finite float64 rows, shape (n, d); with the columns of `fit` unless `reset`, which learns them."""
    at_least = {"ensure_min_samples": 2} if reset else {}
    return np.asarray(validate_data(estimator, X, dtype=np.float64, reset=reset, **at_least))


def checked_labels(y: ArrayLike | None, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The classes, each row's index among them, and their sizes; all empty without labels."""
    if y is None:
        return np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64)
    given = np.asarray(column_or_1d(y))
    check_classification_targets(given)
    if len(given) != n:
        raise ValueError(f"X has {n} rows but y has {len(given)} labels")
    classes, labels, counts = np.unique(given, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"y has a single class, {classes[0].item()!r}: leave y out, or give rows of another class")
    if counts.min() < 2:
        rare = classes[counts.argmin()].item()
        raise ValueError(f"class {rare!r} has one row and a model of it needs at least 2: drop it or merge it")
    return classes, labels, counts


def is_whole(value: Any, low: int) -> bool:
    """Whether a value is a whole number from `low` on."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= low


class InUnits(eqx.Module):
    """A reward of rows in the units of the data, as one of scaled rows."""

    function: Callable[[Any], Any] = eqx.field(static=True)
    centre: Float[np.ndarray | Array, " d"]
    half_width: Float[np.ndarray | Array, " d"]

    def __call__(self, x0: Any) -> Any:
        """(m, d) → (m,); of NumPy rows as of JAX ones."""
        if isinstance(x0, np.ndarray):
            return self.function(x0.astype(np.float64) * self.half_width + self.centre)
        half_width, centre = (jnp.asarray(a, jnp.float32) for a in (self.half_width, self.centre))
        return self.function(x0 * half_width[None] + centre[None])


def seed_of(random_state: RandomState) -> int:
    """A seed of 32 bits; an integer is its own."""
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**32, dtype=np.uint32))
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, bool) or not isinstance(random_state, int | np.integer):
        raise ValueError(f"random_state must be a whole number, a RandomState or None, not {random_state!r}")
    if not 0 <= random_state < 2**32:
        raise ValueError(f"random_state must lie between 0 and 2**32 - 1, not {random_state}")
    return int(random_state)


@contextmanager
def bar(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error; gives what moves it by a number of rows."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("sampling", total=total)
        yield lambda n: progress.advance(task, n)
