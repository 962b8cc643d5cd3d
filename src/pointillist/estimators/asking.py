"""What estimators and pictures ask of a fitted model: the model itself, and rows of it."""

from typing import Any, Protocol

import numpy as np
from sklearn.exceptions import NotFittedError

from pointillist.models.request import Request
from pointillist.models.row_model import RowModel
from pointillist.queries.sampling import SamplingRun


class Fitted(Protocol):
    """A fitted `Diffusion`, as pictures see it."""

    model_: RowModel
    n_features_in_: int
    classes_: np.ndarray

    def score_samples(self, X: Any) -> np.ndarray:
        """Computes log-densities."""
        ...


def fitted_model(estimator: Any) -> RowModel:
    """Returns the model of a fitted `Diffusion`.

    Raises:
        NotFittedError: If it is not fitted.
    """
    if not hasattr(estimator, "model_"):
        raise NotFittedError(
            f"This {type(estimator).__name__} instance is not fitted yet. Call 'fit' with appropriate arguments first."
        )
    return estimator.model_


def draw_of(estimator: Any, n_samples: int | None, *, worse: Any = None, **options: Any) -> SamplingRun:
    """Returns a checked request for rows; see `Diffusion.sample` for the options.

    Raises:
        ValueError: In one line, if an option cannot be used by this model.
    """
    model = fitted_model(estimator)
    if worse is not None:
        worse = getattr(worse, "model_", worse)
        if not isinstance(worse, RowModel):
            raise ValueError(f"worse must be a fitted Diffusion, not {worse!r}")
    return SamplingRun(model, Request(n_samples, worse=worse, variance=estimator.variance, **options))
