"""What estimators share: their parameters, their fitted model, and rows of numbers with scikit-learn's checks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from pointillist.models.request import Request
from pointillist.models.row_model import RowModel
from pointillist.queries.sampling import SamplingRun
from pointillist.tables.arrays import check_finite, read_numbers
from pointillist.tables.frames import with_columns
from pointillist.tables.headings import Headings, is_frame
from pointillist.tables.layout import Layout
from pointillist.tables.table import Table


class AsEstimator:
    """Make an estimator of a configuration: scikit-learn sets parameters as they are, and `fit` checks them."""

    __setattr__ = object.__setattr__

    def __post_init__(self) -> None:
        pass


def fitted_model(estimator: Any) -> RowModel:
    """Return the model of a fitted `Diffusion`, or raise a NotFittedError."""
    check_is_fitted(estimator, "model_")
    return estimator.model_


def draw_of(estimator: Any, n_samples: int | None, *, worse: Any = None, **options: Any) -> SamplingRun:
    """Check a request for rows; see `Diffusion.sample` for the options and the ValueError."""
    model = fitted_model(estimator)
    if worse is not None:
        worse = getattr(worse, "model_", worse)
        if not isinstance(worse, RowModel):
            raise ValueError(f"worse must be a fitted Diffusion, not {worse!r}")
    return SamplingRun(model, Request(n_samples, worse=worse, variance=estimator.variance, **options))


def take_over(estimator: Any, fresh: Any) -> None:
    """Copy what a clone has learned of the columns of X, after a fit: one that fails changes nothing."""
    if hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_
    for name in [name for name in vars(fresh) if name.endswith("_in_")]:
        setattr(estimator, name, getattr(fresh, name))


def checked_rows(estimator: Any, X: Any, *, reset: bool = False) -> tuple[Layout, Float[np.ndarray, "n d"]]:
    """Return the layout of X, and X as finite float64 rows, shape (n, d).

    X must have the columns of `fit`, unless `reset`; a frame may have more, such as columns that `fit` left out.
    """
    known = None if reset else estimator.model_.codec.names
    if not reset and is_frame(X):
        X = X if known is None else with_columns(X, known)
        headings = Headings.of(X)[1]
        if headings is None or headings.are_text:
            # Before the values: a frame with other columns is refused by their names.
            validate_data(estimator, Headings.of(X)[0], skip_check_array=True, reset=False)
    layout, given = read_numbers(X)
    if layout.names is not None and known is not None and {*layout.names} == {*known} and layout.names != known:
        raise ValueError("X has the columns of fit in another order: give them in the order of fit")
    options: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": False, "ensure_min_samples": 2 if reset else 1}
    # scikit-learn takes no names other than text.
    if layout.names is not None and all(type(name) is str for name in layout.names):
        validate_data(estimator, _named(X, layout.names), skip_check_array=True, reset=reset)
        rows = check_array(given, estimator=estimator, **options)
    else:
        try:
            rows = validate_data(estimator, given, reset=reset, **options)
        except ValueError as error:
            if "could not convert" not in str(error):
                raise
            raise ValueError(f"X is not all numbers ({error}): drop or encode such columns first") from error
    check_finite(rows, "X", layout.names)
    return layout, np.asarray(rows)


def _named(X: Any, names: Sequence[str]) -> Any:
    """Return a frame with the column names of X, for scikit-learn."""
    if not isinstance(X, Table):
        return Headings.of(X)[0]
    import pyarrow

    return pyarrow.table({name: np.empty(0) for name in names})
