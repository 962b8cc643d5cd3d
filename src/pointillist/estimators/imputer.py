"""`DiffusionImputer`: fills missing cells in a scikit-learn pipeline."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from pointillist.arguments import RandomState
from pointillist.estimators.estimator import Diffusion
from pointillist.estimators.inputs import AsEstimator, take_over
from pointillist.queries.imputation import check_statistic
from pointillist.tables.names import is_frame, pandas_names


class DiffusionImputer(AsEstimator, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """A transformer that fills missing cells by their distribution given the other cells of the row.

    It takes arrays of numbers, in which NaN is missing, and data frames with columns of any kind. Keys and personal
    columns stay as they are. Columns in which no training row has a value are refused.

    Args:
        model: A `Diffusion`, which `fit` clones; None means `Diffusion(missing="unknown")`. If training rows have
            missing cells, its process must be "auto" or "masked". For tables that get Gaussian diffusion, its `p_given`
            must be above 0.
        statistic: None to fill cells with draws, "median" with medians and the most probable categories; see
            `Diffusion.impute`.
        random_state: Seed of the draws, and of `fit` if `model` is None.

    Attributes:
        model_: The fitted model.
        n_features_in_: Number of columns.
        feature_names_in_: Names of the columns; only if all of them are text.

    Example:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(100, 2))
        >>> X[:10, 1] = np.nan
        >>> imputer = DiffusionImputer(Diffusion(width=16, depth=1, epochs=2, random_state=0), random_state=0)
        >>> bool(np.isnan(imputer.fit_transform(X)).any())
        False
    """

    def __init__(
        self, model: Diffusion | None = None, *, statistic: str | None = None, random_state: RandomState = None
    ) -> None:
        self.model = model
        self.statistic = statistic
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike | None = None) -> "DiffusionImputer":
        """Fits a model to the rows of a table, shape (n, d), with or without missing cells; y is not used.

        Raises:
            ValueError: If the rows or a parameter of the model cannot be used.
        """
        fitted = clone(self)
        rows = fitted._checked(X, reset=True)
        check_statistic(self.statistic, is_alone=True)
        default = Diffusion(missing="unknown", random_state=self.random_state)
        fitted.model_ = (default if self.model is None else clone(self.model)).fit(rows)
        generated = fitted.model_.model_.generated
        n_passed = 0 if generated is None else len(generated.names)
        if fitted.model_.n_features_in_ + n_passed != fitted.n_features_in_:
            raise ValueError("X has columns that no model can fill (see the warning): drop them")
        take_over(self, fitted)
        return self

    def transform(self, X: Any) -> Any:
        """Fills the missing cells of X, in the container that `fit` was given, in the order of its columns.

        Raises:
            ValueError: If X has other columns, or a category that no training row had.
        """
        check_is_fitted(self)
        rows = self._checked(X, reset=False)
        return self.model_.impute(rows, statistic=self.statistic, random_state=self.random_state)

    def _checked(self, X: Any, *, reset: bool) -> Any:
        """Check X: the column names of a data frame, or an array as scikit-learn does."""
        if is_frame(X):
            validate_data(self, pandas_names(X)[0], skip_check_array=True, reset=reset)
            return X
        # scikit-learn would read the values below the mask.
        X = np.ma.filled(X.astype(np.float64), np.nan) if np.ma.is_masked(X) else X
        options: dict[str, Any] = {"ensure_all_finite": "allow-nan", "ensure_min_samples": 2 if reset else 1}
        return validate_data(self, X, reset=reset, dtype=np.float64, **options)
