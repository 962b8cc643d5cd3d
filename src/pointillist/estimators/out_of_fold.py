"""Predictions of a number by trees, which are inputs of the networks that predict its distribution."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.base import clone

from pointillist.estimators.regression import Units
from pointillist.lazy import ensemble, model_selection
from pointillist.metrics.classifiers import on_one_thread

FEWEST_ROWS = 1000
"""Fewest rows for which trees are fitted: with fewer rows, networks learn as much without them."""

N_KINDS, N_BOOSTED, N_EXTRA = 2, 300, 100
"""Number of kinds of trees, and most trees of each."""

N_FOLDS, N_FOLDS_OF_MANY, MANY = 5, 3, 10_000
"""Number of folds, for at most 10,000 rows and for more."""


@dataclass(frozen=True)
class OutOfFold:
    """Boosted and extremely randomized trees, fitted to the rows outside each fold, in standard units.

    In these `units`, y has short tails. `models` has scikit-learn's fitted models, one per fold for each kind; it is
    empty if no network sees their predictions.
    """

    units: Units
    models: tuple[tuple[Any, ...], ...]

    @classmethod
    def fit(
        cls, x: Float[np.ndarray, "n k"], y: Float[np.ndarray, " n"], seed: int
    ) -> tuple["OutOfFold", Float[np.ndarray, "n kinds"]]:
        """Fit the trees; also predict each row by trees that were not fitted to it."""
        kinds = (
            ensemble.HistGradientBoostingRegressor(max_iter=N_BOOSTED, random_state=seed),
            ensemble.ExtraTreesRegressor(N_EXTRA, min_samples_leaf=2, n_jobs=-1, random_state=seed),
        )
        units = Units.fit(x, y, is_discrete=False)
        x, y = units.standard(x), units.encode_y(y)
        guessed = np.empty((len(y), len(kinds)))
        models: list[list[Any]] = [[] for _ in kinds]
        n_folds = N_FOLDS if len(x) <= MANY else N_FOLDS_OF_MANY
        with on_one_thread():
            for grown, left in model_selection.KFold(n_folds, shuffle=True, random_state=seed).split(x):
                for i, kind in enumerate(kinds):
                    model = clone(kind).fit(x[grown], y[grown])
                    if hasattr(model, "n_jobs"):
                        # Threads would sum the trees' predictions in a random order.
                        model.n_jobs = 1
                    guessed[left, i] = model.predict(x[left])
                    models[i].append(model)
        return cls(units, tuple(map(tuple, models))), guessed

    def of(self, x: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n kinds"]:
        """Predict y by the mean over folds of each kind of model, or by 0 without models."""
        if not self.models:
            return np.zeros((len(x), N_KINDS))
        x = self.units.standard(x)
        with on_one_thread():
            return np.stack([np.mean([model.predict(x) for model in kind], axis=0) for kind in self.models], axis=1)
