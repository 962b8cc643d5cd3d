"""Checks of what users pass to estimators: rows, labels, guidance and seeds."""

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pointillist.estimators.layout import Headings, Layout, is_frame, read
from pointillist.points import Table, blocks

if TYPE_CHECKING:
    from pointillist.estimators.model import DiffusionModel

RandomState = int | np.random.RandomState | None


def check_fitted(model: "DiffusionModel") -> None:
    """Raises an error if a model has not been fitted."""
    if not hasattr(model, "network_"):
        from sklearn.exceptions import NotFittedError

        raise NotFittedError("This Diffusion instance is not fitted yet. Call 'fit' with appropriate arguments first.")


def checked_rows(estimator: Any, X: Any, *, reset: bool = False) -> tuple[Layout, Float[np.ndarray, "n d"]]:
    """Returns the layout of X, and X as finite float64 rows, shape (n, d).

    X must have the columns of `fit`, unless `reset`.
    """
    if reset and isinstance(X, Table) and len(X.rows) > 1 and X.rows.shape[1]:
        # From a file, and whole: scikit-learn, which takes long to import, would have no more to say of it.
        return _table_rows(estimator, X)
    from sklearn.utils import check_array
    from sklearn.utils.validation import validate_data

    if not reset and is_frame(X) and _has_text_names(X):
        # Before the values: a frame of other columns is best known by their names.
        validate_data(estimator, Headings.of(X)[0], skip_check_array=True, reset=False)
    layout, given = read(X)
    known = None if reset else getattr(getattr(estimator, "layout_", None), "names", None)
    if layout.names is not None and known is not None and {*layout.names} == {*known} and layout.names != known:
        raise ValueError("X has the columns of fit in another order: give them in the order of fit")
    # scikit-learn knows no other names than text.
    is_named = layout.names is not None and all(type(name) is str for name in layout.names)
    if is_named:
        validate_data(estimator, _named(X, layout), skip_check_array=True, reset=reset)
    options: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": False}
    if reset:
        options["ensure_min_samples"] = 2
    if is_named:
        rows = check_array(given, estimator=estimator, **options)
    else:
        try:
            rows = validate_data(estimator, given, reset=reset, **options)
        except ValueError as error:
            if "could not convert" not in str(error):
                raise
            raise ValueError(f"X is not all numbers ({error}): drop or encode such columns first") from error
    finite(rows, "X", layout.names)
    return layout, np.asarray(rows)


def _table_rows(estimator: Any, X: Table) -> tuple[Layout, Float[np.ndarray, "n d"]]:
    layout, rows = read(X)
    finite(rows, "X", layout.names)
    estimator.n_features_in_ = rows.shape[1]
    if layout.names is not None:
        estimator.feature_names_in_ = np.array(layout.names, dtype=object)
    return layout, np.asarray(rows, np.float64)


def _has_text_names(X: Any) -> bool:
    headings = Headings.of(X)[1]
    return headings is None or headings.are_text


def _named(X: Any, layout: Layout) -> Any:
    """What scikit-learn reads the columns' names from."""
    if not isinstance(X, Table):
        return Headings.of(X)[0]
    import pyarrow

    assert layout.names is not None
    return pyarrow.table({name: np.empty(0) for name in layout.names})


def finite(rows: np.ndarray, what: str, names: tuple[Any, ...] | None, dtype: type[np.floating] = np.float64) -> None:
    """Raises an error that names the first NaN, or the first value that is infinite in a type."""
    first = 0
    for block in blocks(rows):
        with np.errstate(over="ignore"):
            is_finite = np.isfinite(block.astype(dtype, copy=False))
        if not is_finite.all():
            row, column = np.argwhere(~is_finite)[0]
            value = "NaN" if np.isnan(block[row, column]) else "inf"
            where = f"column {column if names is None else repr(names[column])}"
            raise ValueError(f"{what} has {value} in row {first + row}, {where}: drop or fill such rows first")
        first += len(block)


def check_guidance(guidance: Any) -> None:
    """Raises an error unless the strength of guidance is a number from 0 to the largest float32."""
    if not is_number(guidance) or not 0 <= guidance <= float(np.finfo(np.float32).max):
        raise ValueError(f"guidance must be a number from 0 to 3e38, not {guidance!r}; 0 is plain conditional sampling")


def check_drawn(rows: np.ndarray) -> None:
    """Raises an error if generated rows are not finite."""
    n_lost = int((~np.isfinite(rows)).any(axis=1).sum())
    if n_lost:
        raise ValueError(
            f"{n_lost:,} of {len(rows):,} rows are not numbers: guidance is too strong, or the model's weights are too "
            "large"
        )


def checked_labels(y: ArrayLike | None, n: int, name: str = "y") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the classes, each row's index among them, and their sizes; all empty without labels.

    Args:
        y: Labels; None without labels.
        n: Number of rows.
        name: Name of the labels, for messages.
    """
    if y is None:
        return np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64)
    kind = np.asarray(y).dtype
    if kind.kind in "cMmSV":
        raise ValueError(f"{name} holds {kind}, but labels must be numbers, booleans or text: convert it")
    given = np.asarray(y)
    if given.ndim != 1:
        from sklearn.utils.validation import column_or_1d

        given = np.asarray(column_or_1d(y, warn=True))
    if given.dtype.kind == "f" and not np.isfinite(given).all():
        raise ValueError("y has NaN or infinite labels: drop such rows, or give them a label of their own")
    if given.dtype == object:
        given = of_one_kind(given, name)
    if given.dtype.kind == "f":
        from sklearn.utils.multiclass import check_classification_targets

        try:
            check_classification_targets(given)
        except ValueError as error:
            reason = str(error).split(".")[0]
            raise ValueError(f"{name} holds no classes ({reason}): leave it out, or round or bin it") from error
    if len(given) != n:
        raise ValueError(f"X has {n} rows but y has {len(given)} labels")
    classes, labels, counts = np.unique(given, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise ValueError(
            f"{name} has a single class, {classes[0].item()!r}: leave {name} out, or give rows of another class"
        )
    if counts.min() < 2:
        rare = classes[counts.argmin()].item()
        raise ValueError(f"{name}: class {rare!r} has one row and a model of it needs at least 2: drop it or merge it")
    return classes, labels, counts


def of_one_kind(labels: np.ndarray, name: str) -> np.ndarray:
    """Converts labels that are Python objects to an array of text or numbers."""
    if any(_is_missing(label) for label in labels.ravel()):
        raise ValueError(f"{name} has missing labels: drop such rows, or give them a label of their own")
    kinds = {"text" if isinstance(label, str) else type(label).__name__ for label in labels.ravel()}
    if len(kinds) > 1:
        raise ValueError(f"{name} mixes labels of kinds {', '.join(sorted(kinds))}: give labels of one kind")
    given = np.array(labels.tolist())
    if given.shape != labels.shape or given.dtype.kind not in "biufU":
        raise ValueError(f"{name} holds {kinds.pop()}, but labels must be numbers, booleans or text: convert it")
    return given


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label)
    except TypeError:
        # pandas' NA is neither equal to itself nor not.
        return True


def is_whole(value: Any, low: int) -> bool:
    """Whether a value is an integer of at least `low`."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= low


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, Real) and bool(np.isfinite(float(value)))


def seed_of(random_state: RandomState) -> int:
    """Returns a 32-bit seed; an integer is its own seed."""
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**32, dtype=np.uint32))
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, bool) or not isinstance(random_state, int | np.integer):
        raise ValueError(f"random_state must be an integer, a RandomState or None, not {random_state!r}")
    if not 0 <= random_state < 2**32:
        raise ValueError(f"random_state must lie between 0 and 2**32 - 1, not {random_state}")
    return int(random_state)
