"""What trees predict of a number: further inputs of the networks that predict its distribution."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.estimators.regression import Units

FEWEST_ROWS = 1000
"""Fewest rows for which trees are grown; of fewer, networks learn as much."""

N_KINDS, N_BOOSTED, N_EXTRA = 2, 300, 100
"""Number of kinds of trees, and most trees of each."""

N_FOLDS, N_FOLDS_OF_MANY, MANY = 5, 3, 10_000
"""Number of parts of the rows, each guessed by trees that grew on the others; that of more than so many rows."""


@dataclass(frozen=True)
class OutOfFold:
    """Boosted and extremely randomized trees, some of each for every part of the rows, on which they did not grow.

    They see and guess numbers in standard units, in which long tails of y are short.

    Attributes:
        units: The units.
        models: The fitted models of scikit-learn, of each kind those of all parts; none if no network sees guesses.
    """

    units: Units
    models: tuple[tuple[Any, ...], ...]

    @classmethod
    def fit(
        cls, x: Float[np.ndarray, "n k"], y: Float[np.ndarray, " n"], seed: int
    ) -> tuple["OutOfFold", Float[np.ndarray, "n kinds"]]:
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
        units = Units.of(x, y, is_discrete=False)
        x, y = units.standard(x), units.of_y(y)
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
        """The predictions as 0 for every row, for networks that do not see them."""
        return replace(self, models=())

    def of(self, x: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n kinds"]:
        """Predicts the number by the mean of each kind of model. All but one of them know a given training row."""
        if not self.models:
            return np.zeros((len(x), N_KINDS))
        x = self.units.standard(x)
        return np.stack([np.mean([model.predict(x) for model in kind], axis=0) for kind in self.models], axis=1)
