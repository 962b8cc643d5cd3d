"""Out-of-fold predictions of a number by trees: inputs of the networks that predict its distribution."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.estimators.regression import Units

FEWEST_ROWS = 1000
"""Fewest rows for which trees are grown; from fewer, networks learn as much."""

N_KINDS, N_BOOSTED, N_EXTRA = 2, 300, 100
"""Number of kinds of trees, and most trees of each."""

N_FOLDS, N_FOLDS_OF_MANY, MANY = 5, 3, 10_000
"""Number of folds, for at most 10,000 rows and for more."""


@dataclass(frozen=True)
class OutOfFold:
    """Boosted and extremely randomized trees, fitted to the rows outside each fold, in standard units.

    Attributes:
        units: The units, in which long tails of y are short.
        models: The fitted models of scikit-learn: for each kind, one per fold; none if no network sees predictions.
    """

    units: Units
    models: tuple[tuple[Any, ...], ...]

    @classmethod
    def fit(
        cls, x: Float[np.ndarray, "n k"], y: Float[np.ndarray, " n"], seed: int
    ) -> tuple["OutOfFold", Float[np.ndarray, "n kinds"]]:
        """Fit the trees; also return the prediction of each row by trees that were not fitted to it."""
        from sklearn.base import clone
        from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
        from sklearn.model_selection import KFold

        kinds = (
            HistGradientBoostingRegressor(max_iter=N_BOOSTED, random_state=seed),
            ExtraTreesRegressor(N_EXTRA, min_samples_leaf=2, n_jobs=-1, random_state=seed),
        )
        units = Units.fit(x, y, is_discrete=False)
        x, y = units.standard(x), units.encode_y(y)
        guessed = np.empty((len(y), len(kinds)))
        models: list[list[Any]] = [[] for _ in kinds]
        n_folds = N_FOLDS if len(x) <= MANY else N_FOLDS_OF_MANY
        for grown, left in KFold(n_folds, shuffle=True, random_state=seed).split(x):
            for i, kind in enumerate(kinds):
                model = clone(kind).fit(x[grown], y[grown])
                if hasattr(model, "n_jobs"):
                    # Threads would add the trees' predictions up in any order.
                    model.n_jobs = 1
                guessed[left, i] = model.predict(x[left])
                models[i].append(model)
        return cls(units, tuple(map(tuple, models))), guessed

    def without_trees(self) -> "OutOfFold":
        """Predict 0 for every row, for networks that do not see the predictions."""
        return replace(self, models=())

    def of(self, x: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n kinds"]:
        """Predict the number by the mean of each kind of model; all but one of these know a training row."""
        if not self.models:
            return np.zeros((len(x), N_KINDS))
        x = self.units.standard(x)
        return np.stack([np.mean([model.predict(x) for model in kind], axis=0) for kind in self.models], axis=1)
