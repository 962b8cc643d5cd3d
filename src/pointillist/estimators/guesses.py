"""What trees predict of a number: further inputs of the networks that predict its distribution."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

FEWEST_ROWS = 1000
"""Fewest rows for which trees are grown; of fewer, networks learn as much."""

N_FOLDS, N_BOOSTED, N_EXTRA = 5, 300, 100
"""Number of parts of the rows, each guessed by trees that grew on the others; and numbers of trees of each kind."""


@dataclass(frozen=True)
class Guesses:
    """Boosted trees and extremely randomized ones, some of each for every part of the rows that they did not grow on.

    Attributes:
        models: The fitted models of scikit-learn, of each kind those of all parts.
    """

    models: tuple[tuple[Any, ...], ...]

    @classmethod
    def fit(
        cls, x: Float[np.ndarray, "n k"], y: Float[np.ndarray, " n"], seed: int
    ) -> tuple["Guesses", Float[np.ndarray, "n kinds"]]:
        """Grows the trees; also returns the guesses of each row by those that did not grow on it.

        Args:
            x: Rows.
            y: The number of each.
            seed: Seed of the parts and of the trees.
        """
        from sklearn.base import clone
        from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
        from sklearn.model_selection import KFold

        kinds = (
            HistGradientBoostingRegressor(max_iter=N_BOOSTED, random_state=seed),
            ExtraTreesRegressor(N_EXTRA, min_samples_leaf=2, n_jobs=-1, random_state=seed),
        )
        guessed = np.empty((len(y), len(kinds)))
        models: list[list[Any]] = [[] for _ in kinds]
        for grown, left in KFold(N_FOLDS, shuffle=True, random_state=seed).split(x):
            for i, kind in enumerate(kinds):
                model = clone(kind).fit(x[grown], y[grown])
                guessed[left, i] = model.predict(x[left])
                models[i].append(model)
        return cls(tuple(map(tuple, models))), guessed

    def of(self, x: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n kinds"]:
        """Guesses the number of new rows: the mean of all models of a kind."""
        return np.stack([np.mean([model.predict(x) for model in kind], axis=0) for kind in self.models], axis=1)
