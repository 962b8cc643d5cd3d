"""`DiffusionClassifier`: a scikit-learn classifier made of a conditional diffusion model."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError

from pointillist.arguments import RandomState, check_integer, seed_of
from pointillist.diffusion.classification import N_TIMES, ClassElbos, ClassLogDensities, posterior
from pointillist.diffusion.tokens.mixed_likelihood import TokenProbabilities
from pointillist.engine.mapping import map_rows
from pointillist.estimators.estimator import Diffusion
from pointillist.estimators.inputs import AsEstimator, check_columns, checked_rows, mixed_table, take_over
from pointillist.models.gaussian import gaussian_of
from pointillist.models.planning import DEFAULT_STEPS, MOST_EPOCHS
from pointillist.tables.frames import aligned


class DiffusionClassifier(AsEstimator, ClassifierMixin, BaseEstimator):
    """A classifier made of a conditional diffusion model. No classifier is trained.

    For X of numbers without missing cells, p(y | x) ∝ p(y) p(x | y), with p(x | y) by Gaussian diffusion. For X with
    columns of other kinds, or missing cells, labels are one more column of masked diffusion, whose network gives
    p(y | x). A missing cell is a value of its column if training rows lacked some. A missing cell of another column, or
    a category that no training row had, counts as unknown: p(y | x) is then given the other cells of the row.

    Args:
        model: A `Diffusion`. If it was fitted with labels, the classifier uses it as it is; `fit` fits a copy. None
            means `Diffusion()` for masked diffusion, and else `Diffusion(p_uncond=0.05)` with three times its default
            number of steps.
        method: For Gaussian diffusion. "elbo" estimates p(x | y) from the denoising error given each class, with the
            same noise levels and the same noise for all classes, and with continuous-time weights (Li et al. 2023,
            arXiv 2303.16203; Kingma et al. 2021, arXiv 2107.00630). "exact" computes it by the probability-flow ODE,
            which suits few columns.
        n_times: Number of noise levels for "elbo".
        random_state: Seed of `fit` if `model` is None, and of the noise for "elbo" (None means 0 there, so that
            predictions repeat).

    Attributes:
        classes_: The labels, sorted.
        model_: The fitted model; set by `fit`.
        n_features_in_: Number of columns; set by `fit`.
        feature_names_in_: Names of the columns, if all of them are text; set by `fit`.

    Example:
        >>> from pointillist import load_pointset
        >>> X, y = load_pointset("moons", n_rows=500)
        >>> model = Diffusion(epochs=20, random_state=0).fit(X, y)
        >>> DiffusionClassifier(model).predict_proba(X[:3]).shape
        (3, 2)
    """

    def __init__(
        self,
        model: Diffusion | None = None,
        *,
        method: str = "elbo",
        n_times: int = N_TIMES,
        random_state: RandomState = None,
    ) -> None:
        self.model = model
        self.method = method
        self.n_times = n_times
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike) -> "DiffusionClassifier":
        """Fits a copy of the model to a table, shape (n, d), and labels, shape (n,); see `Diffusion.fit`."""
        if y is None:
            raise ValueError("DiffusionClassifier requires y to be passed, but the target y is None")
        fitted, is_mixed = clone(self), mixed_table(X) is not None
        model = Diffusion(random_state=self.random_state) if self.model is None else clone(self.model)
        if is_mixed:
            check_columns(fitted, X, reset=True)
        else:
            _, rows = checked_rows(fitted, X, reset=True)
            if self.model is None:
                steps = max(len(rows) // 64, 1)
                epochs = min(-(-3 * DEFAULT_STEPS // steps), 3 * MOST_EPOCHS)
                # Only the distributions given a class are used: few rows train that of all classes together.
                model.set_params(p_uncond=0.05, epochs=epochs)
            if model.process == "auto":
                # Tokens would give the probabilities of classes with less accuracy than densities do.
                model.set_params(process="gaussian")
        fitted.model_ = model.fit(X, y)
        take_over(self, fitted)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classes_")

    def _fitted(self) -> Diffusion:
        model: Any = getattr(self, "model_", self.model)
        if not hasattr(model, "classes_"):
            fault = "was fitted without labels: fit it with y, or" if hasattr(model, "model_") else "is not fitted:"
            raise NotFittedError(f"the model {fault} call fit first")
        return model

    @property
    def classes_(self) -> np.ndarray:
        """The labels, sorted."""
        return self._fitted().classes_

    def predict_log_likelihood(self, X: Any) -> Float[np.ndarray, "n classes"]:
        """Computes log p(x | y) in nats ("exact"), or lower bounds up to a constant ("elbo"), shape (n, n_classes).

        Raises:
            ValueError: In one line, if the model is not Gaussian, or X or a parameter cannot be used.
        """
        model = self._fitted()
        codec, process = model.model_.codec, gaussian_of(model.model_, "predict_log_likelihood is")
        process.check_noise_levels("a classifier by denoising")
        if self.method not in ("elbo", "exact"):
            raise ValueError(f"method must be 'elbo' or 'exact', not {self.method!r}")
        check_integer("n_times", self.n_times)
        denoiser: Any = process.denoiser(model.model_.network)
        n_classes = len(model.classes_)
        is_exact = self.method == "exact"
        function = ClassLogDensities(denoiser, n_classes) if is_exact else ClassElbos(denoiser, n_classes, self.n_times)
        scaled = codec.encode(checked_rows(model, X)[1])
        seed = 0 if self.random_state is None else seed_of(self.random_state)
        return map_rows(function, scaled, seed=seed).astype(np.float64)

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n classes"]:
        """Computes p(y | x) of rows, shape (n, d), as shape (n, n_classes), with columns in the order of `classes_`.

        The prior p(y) of a Gaussian model is each class's fraction of the training rows.
        """
        model: Any = self._fitted().model_
        if not model.process.has_label_token:
            return posterior(self.predict_log_likelihood(X), self._fitted().class_counts_)
        codec, label = model.codec, model.classes.column[0]
        unread = [label] if label in codec.layout.column_names else []
        # Unlike in `Conditional`, missing cells are values, and unknown categories count as unobserved.
        rows = codec.encode_table(
            aligned(X, codec.layout, absent=unread, unread=unread), unread, are_missing_observed=True
        )
        denoiser = model.process.token_denoiser(model, codec.is_missing_value)
        is_target = np.zeros(len(codec.encoding.with_number), bool)
        function = TokenProbabilities(denoiser, is_target, codec.encoding.token_index(label))
        return np.exp(map_rows(function, rows.astype(np.float32)).astype(np.float64))

    def predict(self, X: Any) -> np.ndarray:
        """Predicts the most probable label of each row, shape (n,)."""
        most_probable = self.predict_proba(X).argmax(axis=1)
        return self.classes_[most_probable]
