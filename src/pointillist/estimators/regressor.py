"""`DiffusionRegressor`: p(y | x) of a number, as a scikit-learn regressor."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from rich.console import Console
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils import check_X_y
from sklearn.utils.validation import check_is_fitted, validate_data

from pointillist.arguments import RandomState, check_integer, check_unmasked, seed_of
from pointillist.engine.devices import configure
from pointillist.estimators.features import FeatureEncoder
from pointillist.estimators.inputs import AsEstimator, check_columns, mixed_table, take_over
from pointillist.estimators.out_of_fold import FEWEST_ROWS, OutOfFold
from pointillist.estimators.regression import RegressionConfig, fit_regression
from pointillist.models.parameters import documented
from pointillist.progress import shows_progress, waiting
from pointillist.queries.predictive import checked_levels
from pointillist.tables.names import is_frame

FEWEST_CALIBRATED = 20
"""Fewest rows from which intervals are calibrated."""

MARGIN = 0.25
"""Distance from the training range at which predictions become extrapolations, as a fraction of that range."""


@documented(RegressionConfig)
class DiffusionRegressor(AsEstimator, RegressionConfig, RegressorMixin, BaseEstimator):
    """A regressor that predicts a distribution: diffusion of one number y, given x (Han et al. 2022, arXiv 2206.07275).

    Networks learn to denoise y given x, with EDM's preconditioning and noise levels (Karras et al. 2022, arXiv
    2206.00364). The predicted distribution is the mixture of their distributions, as in deep ensembles
    (Lakshminarayanan et al. 2017, arXiv 1612.01474). In one dimension the probability-flow ODE is a monotone map from
    N(0, 1) to the distribution of each network, so quantiles, draws and densities need no sampling from a chain. x and
    y are standardized.

    Networks see different features of x, in turn (two by two, if there are trees): Fourier features of low frequencies
    and of higher ones; low ones alone; low ones and piecewise linear functions between quantiles (Gorishniy et
    al. 2022, arXiv 2203.05556).

    With 1,000 rows or more, every second network also sees predictions of y by scikit-learn's boosted and extremely
    randomized trees (for a training row, by trees fitted to other rows), as in stacked regressions (Breiman 1996,
    Machine Learning 24, 49-64). If networks of one kind have a lower loss on held-out rows, the others are left out.

    With fewer than 1,000 rows, the distributions are widened until they fit held-out rows.

    A target that takes at most 256 values, with four training rows per value on average, is discrete: predictions are
    these values, and probabilities are masses.

    X may have columns of any kind, as for `Diffusion`. Dates are numbers. A missing number is replaced by the mean of
    its column, and an indicator says so if training rows lacked some. Each category gets an indicator, and so do
    missing cells among categories. Categories of a single training row share one, which also stands for categories that
    no training row had; beyond 64 categories, so do the rarest. If there is none, all indicators of the column are 0.

    Args:
        PARAMETERS

    Attributes:
        model_: The fitted model, a `pointillist.estimators.regression.Regression`.
        guesses_: The trees, a `pointillist.estimators.out_of_fold.OutOfFold`; None without trees.
        encoder_: The encoder of the columns, a `pointillist.estimators.features.FeatureEncoder`; None if X held only
            numbers, without missing cells.
        n_features_in_: Number of columns of X.
        feature_names_in_: Names of the columns; only if all of them are text.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 200)[:, None]
        >>> y = x[:, 0] + np.random.default_rng(0).normal(0, 0.1, 200)
        >>> model = DiffusionRegressor(width=16, depth=1, n_networks=2, steps=100).fit(x, y)
        >>> model.quantiles(x[:3], [0.05, 0.95]).shape
        (3, 2)
    """

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Fits the networks to the rows of a table X, shape (n, d), and finite numbers y, shape (n,).

        X is an array or a data frame of pandas, Polars or PyArrow, with columns of numbers, booleans, text, categories
        or dates, and perhaps missing cells.

        Warns:
            UserWarning: If there are fewer than 20 rows, too few to calibrate the width of the distributions.

        Raises:
            ValueError: In one line, if they or a parameter cannot be used.
        """
        configure()
        check_unmasked(y=y)
        _check_no_dates("y", y)
        fitted, encoder = clone(self), None
        options: dict[str, Any] = {"dtype": np.float64, "y_numeric": True, "ensure_min_samples": 2}
        found = mixed_table(X)
        if found is None:
            _check_no_dates("X", X)
            rows, target = validate_data(fitted, X, y, **options)
        else:
            check_columns(fitted, X, reset=True)
            encoder, rows = FeatureEncoder.fit(*found)
            _, target = check_X_y(rows, y, estimator=self, **options)
        config, y = RegressionConfig(**self.get_params()), np.asarray(target, np.float64)
        seed = seed_of(config.random_state)
        guesses, guessed = None, np.empty((len(rows), 0))
        if len(rows) >= FEWEST_ROWS and config.n_networks != 1:
            with waiting(Console(stderr=True), "fitting trees", is_shown=shows_progress(config.verbose)):
                guesses, guessed = OutOfFold.fit(rows, y, seed)
        fitted.model_ = fit_regression(np.column_stack([rows, guessed]), y, config, seed, guessed.shape[1])
        if guesses is not None and not fitted.model_.target.sees_guesses.any():
            guesses = replace(guesses, models=())
        fitted.guesses_, fitted.encoder_ = guesses, encoder
        take_over(self, fitted)
        if len(rows) < FEWEST_CALIBRATED:
            text = f"intervals from {len(rows)} rows may hold fewer values than they claim: fit to {FEWEST_CALIBRATED}"
            warnings.warn(f"{text} rows or more", UserWarning, stacklevel=2)
        return self

    def predict(self, X: Any) -> Float[np.ndarray, " n"]:
        """Computes the mean of y for each row, shape (n,), from 32 points of each network."""
        return self.model_.points(self._features(X)).mean()

    def quantiles(self, X: Any, levels: Sequence[float]) -> Float[np.ndarray, "n levels"]:
        """Computes quantiles of y for each row, shape (n, levels), for levels in (0, 1)."""
        checked = checked_levels(levels)
        return self.model_.points(self._features(X)).quantiles(checked)

    def sample(self, X: Any, n_draws: int = 1, *, random_state: RandomState = None) -> Float[np.ndarray, "n draws"]:
        """Draws y for each row, shape (n, n_draws)."""
        check_integer("n_draws", n_draws)
        return self.model_.sample(self._features(X), n_draws, np.random.default_rng(seed_of(random_state)))

    def log_prob(self, X: Any, y: ArrayLike) -> Float[np.ndarray, " n"]:
        """Computes log p(y | x) of each row in nats, shape (n,): a log-density in the units of y, or a log-mass.

        The density is computed by the probability-flow ODE, in 24 steps of a third-order method, with the noise of
        σ = 0.002 of the standardized y. The mass of a value of a discrete target is the probability between the
        midpoints to its neighbors.
        """
        check_unmasked(y=y)
        features = self._features(X)
        _, target = check_X_y(features, y, dtype=np.float64, y_numeric=True, estimator=self)
        return self.model_.log_prob(features, np.asarray(target, np.float64))

    def _rows(self, X: Any) -> Float[np.ndarray, "n k"]:
        check_is_fitted(self)
        if self.encoder_ is not None or is_frame(X):
            check_columns(self, X)
        if self.encoder_ is not None:
            return self.encoder_.encode(X)
        if np.ma.is_masked(X):
            X = np.ma.filled(X.astype(np.float64), np.nan)
        rows = np.asarray(validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan"))
        return np.where(np.isnan(rows), self.model_.units.x_mean[: rows.shape[1]], rows)

    def _features(self, X: Any) -> Float[np.ndarray, "n k"]:
        """Return the rows as numbers and, if there are trees, their predictions; warn of extrapolations."""
        rows, encoder = self._rows(X), self.encoder_
        names = [f"column {i}" for i in range(rows.shape[1])] if encoder is None else encoder.number_names
        if encoder is None:
            names = [*getattr(self, "feature_names_in_", names)]
        if names:
            self._warn_beyond(rows[:, : len(names)], names)
        return rows if self.guesses_ is None else np.column_stack([rows, self.guesses_.of(rows)])

    def _warn_beyond(self, numbers: Float[np.ndarray, "n k"], names: list[Any]) -> None:
        low, high = np.array([values[[0, -1]] for values in self.model_.units.quantiles[: len(names)]]).T
        margin = MARGIN * high - MARGIN * low
        with np.errstate(over="ignore"):
            is_beyond = (numbers < low - margin) | (numbers > high + margin)
        if not is_beyond.any():
            return
        n_beyond, worst = is_beyond.any(axis=1).sum(), int(is_beyond.sum(axis=0).argmax())
        name, ends = names[worst], (low[worst], high[worst])
        texts = [f"{end:g}" if self.encoder_ is None else self.encoder_.format_value(name, end) for end in ends]
        text = f"{n_beyond} of {len(numbers)} rows lie far beyond the training rows, most often in {name}"
        training = f"which goes from {texts[0]} to {texts[1]} there"
        warnings.warn(f"{text}, {training}: do not rely on their predictions", UserWarning, stacklevel=4)


def _check_no_dates(name: str, container: Any) -> None:
    types = np.ravel(np.array(getattr(container, "dtypes", getattr(container, "dtype", None)), object))
    if any(getattr(each, "kind", None) in ("m", "M") for each in types):
        raise ValueError(f"{name} holds dates or durations: give numbers, such as days since the first")
