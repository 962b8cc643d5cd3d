"""`NumberConditional`: the distribution of some columns of a table of numbers given the others."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtri

from pointillist.arguments import RandomState
from pointillist.diffusion.given_sampling import ColumnDensity, ColumnQuantiles
from pointillist.engine.mapping import map_rows
from pointillist.models import predictive
from pointillist.models.drawing import completed
from pointillist.models.gaussian import GaussianProcess
from pointillist.models.given import with_labels
from pointillist.models.given_numbers import known_numbers, rows_with_gaps
from pointillist.models.predictive import COMPLETIONS, DRAWS, LEVELS, Predictive, summarized
from pointillist.models.process import Learned
from pointillist.points.number_codec import NumberCodec


class NumberConditional:
    """The distribution of one column of numbers, or of several, given the others; see `Conditional`.

    Missing cells of the others are unknown: the distribution is then a mean over `COMPLETIONS` draws of them.

    Args:
        model: A model of numbers, fitted with `p_given` above 0.
        target: Name of a column, or a list of names; where columns have no names, their positions.
        labels: Labels of the rows, one for all or one per row, for a model with classes.

    Raises:
        ValueError: In one line, if there is no such column, it does not vary, or no columns can be given to the model.
    """

    def __init__(self, model: Learned, target: Any, labels: Any = None) -> None:
        codec, process = model.codec, model.process
        assert isinstance(codec, NumberCodec) and isinstance(process, GaussianProcess)
        self._model, self._codec, self._process = model, codec, process
        self._is_one = not isinstance(target, list)
        self.targets = predictive.checked_targets(target)
        self._places = [codec.place(name) for name in self.targets]
        self._labels = labels
        process.check_asked(model, "conditional", has_label=labels is not None)
        varies = codec.scaling.varies
        for name, place in zip(self.targets, self._places, strict=True):
            if not varies[place]:
                raise ValueError(f"column {name!r} is constant in the training rows: there is nothing to predict")
        if len(self._places) == codec.n_columns:
            raise ValueError("conditional needs a column that is given, and all are targets: leave one of them out")
        self._own = [int(place) for place in (np.cumsum(varies) - 1)[self._places]]

    @property
    def classes_(self) -> np.ndarray:
        """Refused: numbers of a model of numbers are no classes."""
        raise ValueError(f"column {self.targets[0]!r} holds numbers of any size: ask for quantiles")

    def predict(self, X: Any, statistic: str | None = None) -> Any:
        """Predicts the target of each row.

        The distribution of one target is given by `LEVELS` quantiles, which the probability-flow ODE takes there from
        those of N(0, 1). That of several is given by `DRAWS` draws of each row, and summarized column by column.

        Args:
            X: A table with the columns of `fit`, in any container; targets may be left out, and are not looked at.
            statistic: "mean", the default, "median" or "mode".

        Returns:
            Shape (n,); for several targets, a dictionary of such arrays by column.
        """
        predictive.checked_statistic(statistic)
        if statistic == "median":
            return self._of_each(X, lambda distribution: distribution.quantiles(np.array([0.5]))[:, 0])
        return self._of_each(X, lambda distribution: getattr(distribution, statistic or "mean")())

    def predict_proba(self, X: Any) -> np.ndarray:
        """Refused: numbers of a model of numbers have densities, not probabilities."""
        return self.classes_

    def quantiles(self, X: Any, levels: Sequence[float]) -> Any:
        """Computes quantiles of the target.

        Args:
            X: A table; see `predict`.
            levels: The quantiles' levels, in (0, 1).

        Returns:
            Shape (n, levels); for several targets, a dictionary of such arrays by column.
        """
        asked = predictive.checked_levels(levels)
        return self._of_each(X, lambda distribution: distribution.quantiles(asked))

    def sample(self, X: Any, n_draws: int = 1, *, random_state: RandomState = None) -> Any:
        """Draws the target of each row; missing cells of the other columns are drawn too.

        Args:
            X: A table; see `predict`.
            n_draws: Number of draws of each row.
            random_state: Seed.

        Returns:
            Shape (n, n_draws); for several targets, a dictionary of such arrays by column, drawn together.
        """
        return self._collected(self._drawn(self._known(X), predictive.checked_draws(n_draws), random_state))

    def log_prob(self, X: Any) -> Float[np.ndarray, " n"]:
        """Computes the log-density of the targets of each row given its other cells, in nats and in their units.

        It is by the probability-flow ODE of the targets alone; see `Diffusion.score_samples`.

        Args:
            X: A table with all columns of `fit`.

        Raises:
            ValueError: If X lacks a target, or one of its cells, or if a target has no density.
        """
        codec = self._codec
        repeating = [name for name, place in zip(self.targets, self._places, strict=True) if place in self._repeating]
        if repeating:
            raise ValueError(
                f"column {repeating[0]!r} holds a value so often that it has no density there under "
                "scaling='quantile': fit with scaling='minmax'"
            )
        rows = rows_with_gaps(codec, X)
        missing = np.argwhere(np.isnan(rows[:, self._places]))
        if len(missing):
            row, target = missing[0]
            raise ValueError(f"the target {self.targets[target]!r} is missing in row {row}: log_prob needs its values")
        is_open = np.isin(np.arange(codec.width), self._own)
        of_targets = rows[:, codec.scaling.varies][:, is_open]
        scaling = codec.scaling.varying.of(is_open)
        slope, known = scaling.log_slope(of_targets), known_numbers(codec, rows)
        # Not moved into the range of the training rows, as given values are.
        known[:, is_open] = scaling.transform(of_targets)
        known = with_labels(self._model, known, self._labels)
        is_whole_row = ~np.isnan(known).any(axis=1)
        found = np.empty(len(rows))
        found[is_whole_row] = self._log_density(known[is_whole_row])
        if not is_whole_row.all():
            rest = known[~is_whole_row]
            draws = self._completions(rest)
            draws[:, :, self._own] = rest[None][:, :, self._own]
            of_draws = self._log_density(draws.reshape(-1, draws.shape[2])).reshape(len(draws), len(rest))
            found[~is_whole_row] = np.logaddexp.reduce(of_draws, axis=0) - np.log(len(draws))
        return found + slope

    @property
    def _repeating(self) -> np.ndarray:
        return self._codec.scaling.repeating

    def _log_density(self, known: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
        if not len(known):
            return np.empty(0)
        columns, denoiser = tuple(sorted(self._own)), self._process.denoiser(self._model.network)
        return map_rows(ColumnDensity(denoiser, columns, self._labels is not None), known).astype(np.float64)

    def _known(self, X: Any) -> Float[np.ndarray, "n k"]:
        """A table as the network sees it, with NaN where cells are asked for, or missing."""
        rows = rows_with_gaps(self._codec, X, self.targets)
        rows[:, self._places] = np.nan
        return with_labels(self._model, known_numbers(self._codec, rows), self._labels)

    def _of_each(self, X: Any, summary: Callable[[Predictive], np.ndarray]) -> Any:
        """What a function makes of the distribution of each target."""
        known = self._known(X)
        if self._is_one:
            is_whole = ~np.isnan(np.delete(known, self._own, axis=1)).any(axis=1)
            return summarized(known, is_whole, self._of_complete, self._of_incomplete, summary)
        equal = np.full((len(known), DRAWS), 1 / DRAWS)
        drawn = self._drawn(known, DRAWS, 0)
        distributions = [
            Predictive(own, equal, self._is_atom(place, DRAWS)) for place, own in zip(self._places, drawn, strict=True)
        ]
        return self._collected([summary(distribution) for distribution in distributions])

    def _is_atom(self, place: int, n: int) -> Bool[np.ndarray, " n"]:
        return np.full(n, bool(self._codec.scaling.is_whole[place]))

    def _of_complete(self, known: Float[np.ndarray, "n k"], levels: int = LEVELS) -> Predictive:
        """The distribution of the single target of rows whose other cells are all given."""
        starts = ndtri((np.arange(levels) + 0.5) / levels).astype(np.float32)
        denoiser = self._process.denoiser(self._model.network, self._codec.scaling.bounds)
        function = ColumnQuantiles(denoiser, self._process.solver, self._own[0], starts, self._labels is not None)
        values = self._in_units(map_rows(function, np.where(np.isnan(known), 0, known)), 0)
        return Predictive(values, np.full(values.shape, 1 / levels), self._is_atom(self._places[0], levels))

    def _of_incomplete(self, known: Float[np.ndarray, "n k"]) -> Predictive:
        """The distribution of the single target of rows of which other cells are missing too."""
        draws = self._completions(known)
        own = self._of_complete(draws.reshape(-1, draws.shape[2]), levels=max(2, 4 * LEVELS // len(draws)))
        return own.pooled(len(draws))

    def _completions(self, known: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "draws n k"]:
        """Draws of the missing cells of rows, given those of the other columns alone."""
        known = known.copy()
        known[:, self._own] = np.nan
        draws = completed(self._model, known, COMPLETIONS, 0)
        labels = np.broadcast_to(known[:, self._codec.width :], (*draws.shape[:2], known.shape[1] - draws.shape[2]))
        return np.concatenate([draws, labels], axis=2)

    def _drawn(
        self, known: Float[np.ndarray, "n k"], n_draws: int, random_state: RandomState
    ) -> list[Float[np.ndarray, "n draws"]]:
        rows = completed(self._model, known, n_draws, random_state)
        return [self._in_units(rows[:, :, own].T, target) for target, own in enumerate(self._own)]

    def _in_units(self, scaled: Float[np.ndarray, "n values"], target: int) -> Float[np.ndarray, "n values"]:
        """Numbers of a target in the units of the table."""
        rows = np.zeros((scaled.size, self._codec.width), np.float32)
        rows[:, self._own[target]] = scaled.ravel()
        return self._codec.scaling.inverse(rows)[:, self._places[target]].reshape(scaled.shape)

    def _collected(self, found: list[np.ndarray]) -> Any:
        return found[0] if self._is_one else dict(zip(self.targets, found, strict=True))
