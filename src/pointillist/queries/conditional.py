"""`Conditional`: the distribution of some columns of a table given the others."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.arguments import RandomState
from pointillist.models.process import Learned
from pointillist.queries.imputation import blocks, completed, completions
from pointillist.queries.predictive import (
    COMPLETIONS,
    DRAWS,
    POINTS,
    STATISTICS,
    NormalPoints,
    Predictive,
    checked_draws,
    checked_levels,
    normal_points,
    pooled,
)

Known = tuple[Float[np.ndarray, "n width"], Bool[np.ndarray, " n"]]
"""Rows as the network sees them, targets hidden; and which of them need no draws of their missing cells."""

LogProbability = Callable[[Float[np.ndarray, "m width"], Int[np.ndarray, " m"]], Float[np.ndarray, " m"]]
"""Log-probability of the targets of such rows, without missing cells, and of their positions in the table."""


class Conditional(ABC):
    """The distribution of one column, or of several, given the others; `Diffusion.conditional` makes it.

    Missing cells of the others are unknown: the distribution is then a mean over `COMPLETIONS` draws of them, except
    for the probabilities of single values, which a network of tokens gives as they are. The cells that are asked for
    are not missing: where training rows lacked them, the distribution is that of the others. It leaves rules
    of columns out. Times with a time zone are in UTC, as those of NumPy have none.

    Args:
        model: The model; for columns of models of numbers, one that was fitted with `p_given` above 0.
        target: Name of a column, or a list of names; where columns have no names, their positions.
        labels: Labels that are given and have no column in the tables, one for all rows or one per row.

    Raises:
        ValueError: In one line, if there is no such column, it does not vary, or no cells can be given to the model.
    """

    _categorical: Collection[Any] = ()
    """Targets that hold categories."""

    _discrete: Collection[Any]
    """Targets of which each number is a single value, and does not stand for those about it."""

    def __init__(self, model: Learned, target: Any, labels: Any = None) -> None:
        self._is_one = not isinstance(target, list)
        self.targets = (target,) if self._is_one else tuple(target)
        if not self.targets or len(set(self.targets)) < len(self.targets):
            raise ValueError(f"conditional takes one column or several different ones, not {target!r}")
        self._model, self._labels = model, labels

    @cached_property
    def classes_(self) -> np.ndarray:
        """The values of one target of categories or few numbers, in the order of `predict_proba`; others have none."""
        found = self._classes()
        if found is None:
            raise ValueError(f"column {self.targets[0]!r} holds numbers of any size: ask for quantiles")
        return found

    def predict(self, X: Any, statistic: str | None = None) -> Any:
        """Predicts the target of each row.

        The distribution of one target is given by the probabilities of its single values, and by `POINTS` quantiles of
        its numbers, which the probability-flow ODE takes there from those of N(0, 1). That of several is given by
        `DRAWS` draws of each row, and summarized column by column.

        Args:
            X: A table with the columns of `fit`, in any container; targets may be left out, and are not looked at.
            statistic: "mean", "median" or "mode"; by default the mean of numbers and the mode of categories.

        Returns:
            Shape (n,); for several targets, a dictionary of such arrays by column.
        """
        if statistic is not None and statistic not in STATISTICS:
            raise ValueError(f"statistic must be 'mean', 'median' or 'mode', not {statistic!r}")
        if statistic in ("mean", "median"):
            self._check_numbers(f"{statistic}: take 'mode'")

        def summary(name: Any, distribution: Predictive) -> np.ndarray:
            own = statistic or ("mode" if name in self._categorical else "mean")
            found = distribution.quantiles(np.array([0.5]))[:, 0] if own == "median" else getattr(distribution, own)()
            return self._typed(name, found, is_rounded=own != "mean")

        return self._of_each(X, summary)

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n classes"]:
        """Computes the probability of each of `classes_`, by one evaluation of the network; shape (n, classes)."""
        n_classes, known = len(self.classes_), self._of_rows(X)[0]
        parts = (self._of_complete(known[rows], normal_points(POINTS)) for rows in blocks(known, DRAWS))
        return np.concatenate([part.weights[:, :n_classes] for part in parts])

    def quantiles(self, X: Any, levels: Sequence[float]) -> Any:
        """Computes quantiles of a target of numbers.

        Args:
            X: A table; see `predict`.
            levels: The quantiles' levels, in (0, 1).

        Returns:
            Shape (n, levels); for several targets, a dictionary of such arrays by column.
        """
        asked = checked_levels(levels)
        self._check_numbers("quantiles: take predict_proba (--probabilities)")
        return self._of_each(X, lambda name, each: self._typed(name, each.quantiles(asked), is_rounded=True))

    def sample(self, X: Any, n_draws: int = 1, *, random_state: RandomState = None) -> Any:
        """Draws the target of each row; missing cells of the other columns are drawn too.

        Args:
            X: A table; see `predict`.
            n_draws: Number of draws of each row.
            random_state: Seed.

        Returns:
            Shape (n, n_draws); for several targets, a dictionary of such arrays by column, drawn together.
        """
        drawn = self._targets_of(completed(self._model, self._known(X)[0], checked_draws(n_draws), random_state))
        found = {name: self._typed(name, values, is_rounded=False) for name, values in drawn.items()}
        return found[self.targets[0]] if self._is_one else found

    def log_prob(self, X: Any) -> Float[np.ndarray, " n"]:
        """Computes the log of mass times density of the targets of each row given its other cells, in nats.

        It is in the units of the table, and finite for numbers that no training row had. It is the targets' part of
        `Diffusion.score_samples`: tokens given the other cells, and numbers by the probability-flow ODE given all
        others.

        Args:
            X: A table with all columns of `fit`.

        Raises:
            ValueError: If X lacks a target, or one of its cells, or if a target has no density.
        """
        (known, is_whole), log_probability, log_factors = self._measured(X)
        found = np.empty(len(known))
        for of, n_draws in ((np.flatnonzero(is_whole), 1), (np.flatnonzero(~is_whole), COMPLETIONS)):
            for indices in blocks(known[of], n_draws):
                rows = of[indices]
                draws = known[rows][None] if n_draws == 1 else self._completions(known[rows])
                of_draws = log_probability(draws.reshape(-1, draws.shape[2]), np.tile(rows, len(draws)))
                of_rows = of_draws.reshape(len(draws), len(rows))
                found[rows] = np.logaddexp.reduce(of_rows, axis=0) - np.log(len(draws))
        return found + log_factors

    def _of_each(self, X: Any, summary: Callable[[Any, Predictive], np.ndarray]) -> Any:
        """What a function makes of the name and the distribution of each target."""
        known, is_whole = self._of_rows(X)
        indices = blocks(known, DRAWS)
        if self._is_one:
            return np.concatenate([self._of_target(known[rows], is_whole[rows], summary) for rows in indices])
        parts = [self._of_targets(known[rows], summary) for rows in indices]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.targets}

    def _of_targets(self, known: np.ndarray, summary: Callable[[Any, Predictive], np.ndarray]) -> dict[Any, np.ndarray]:
        """What a function makes of several targets of some rows."""
        equal = np.full((len(known), DRAWS), 1 / DRAWS)
        return {
            name: summary(name, Predictive(own, equal, np.full(DRAWS, name in self._discrete)))
            for name, own in self._targets_of(completions(self._model, known, DRAWS)).items()
        }

    def _of_target(
        self, known: np.ndarray, is_whole: np.ndarray, summary: Callable[[Any, Predictive], np.ndarray]
    ) -> np.ndarray:
        """What a function makes of the single target of some rows."""
        whole, rest = np.flatnonzero(is_whole), np.flatnonzero(~is_whole)
        parts = [self._of_complete(known[whole], normal_points(POINTS))] if len(whole) else []
        if len(rest):
            draws = self._completions(known[rest])
            n = max(2, 4 * POINTS // len(draws))
            own = (self._of_complete(of, normal_points(n, i, len(draws), 1)) for i, of in enumerate(draws))
            parts.append(pooled(list(own)))
        found = np.concatenate([summary(self.targets[0], part) for part in parts])
        return found[np.argsort(np.concatenate([whole, rest]), kind="stable")]

    def _of_rows(self, X: Any) -> Known:
        known, is_whole = self._known(X)
        if len(known) == 0:
            raise ValueError("X has no rows: give one")
        return known, is_whole

    def _check_numbers(self, what: str) -> None:
        for name in self.targets:
            if name in self._categorical:
                raise ValueError(f"column {name!r} holds categories, which have no {what}")

    def _check_others(self, n_columns: int) -> None:
        if len(self.targets) == n_columns:
            raise ValueError("conditional needs a column that is given, and all are targets: leave one of them out")

    @abstractmethod
    def _classes(self) -> np.ndarray | None:
        """The values of the single target; None if it holds numbers of any size."""

    @abstractmethod
    def _known(self, X: Any) -> Known:
        """What is known of the rows of a table, which may lack targets."""

    @abstractmethod
    def _measured(self, X: Any) -> tuple[Known, LogProbability, Float[np.ndarray, " n"]]:
        """What is known of rows, the log-probability of their targets, and the log of a factor of each row."""

    @abstractmethod
    def _of_complete(self, known: Float[np.ndarray, "n width"], points: NormalPoints) -> Predictive:
        """The distribution of the single target of rows whose other cells are all given.

        Args:
            known: The rows.
            points: Points of N(0, 1), which become those of numbers.
        """

    @abstractmethod
    def _completions(self, known: Float[np.ndarray, "n width"]) -> Float[np.ndarray, "draws n width"]:
        """Draws of the missing cells of rows, given those of the other columns alone."""

    @abstractmethod
    def _targets_of(self, drawn: Float[np.ndarray, "draws n width"]) -> dict[Any, Float[np.ndarray, "n draws"]]:
        """The values of each target in drawn rows."""

    @abstractmethod
    def _typed(self, name: Any, values: np.ndarray, *, is_rounded: bool) -> np.ndarray:
        """Values of a target as the column holds them, perhaps rounded to its digits."""
