"""`NumberConditional`: the distribution of some columns of a table of numbers given the others."""

from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.diffusion.conditioning.observed_sampling import ColumnDensity, ColumnQuantiles
from pointillist.engine.mapping import map_rows
from pointillist.models.gaussian import GaussianProcess
from pointillist.models.number_codec import NumberCodec
from pointillist.models.observed_numbers import known_numbers, rows_with_gaps
from pointillist.models.process import Learned
from pointillist.queries.conditional import Conditional, Known, LogProbability
from pointillist.queries.imputation import blocks, completions
from pointillist.queries.observed import with_labels
from pointillist.queries.predictive import COMPLETIONS, POINTS, NormalPoints, Predictive, normal_points

MOST_CLASSES = 100
"""Most steps between the lowest and highest integer of a column for which `predict_proba` lists its values."""


class NumberConditional(Conditional):
    """The distribution of some columns by a model of numbers; see `Conditional`."""

    def __init__(self, model: Learned, target: Any, labels: Any = None) -> None:
        super().__init__(model, target, labels)
        codec, process = model.codec, model.process
        assert isinstance(codec, NumberCodec) and isinstance(process, GaussianProcess)
        self._codec, self._process = codec, process
        self._places = [codec.place(name) for name in self.targets]
        process.check_asked(model, "conditional", has_label=labels is not None)
        process.check_noise_levels("conditional")
        varies = codec.scaling.varies
        for name, index in zip(self.targets, self._places, strict=True):
            if not varies[index]:
                raise ValueError(f"column {name!r} is constant in the training rows: there is nothing to predict")
        self._check_others(codec.n_columns)
        self._own = [int(index) for index in (np.cumsum(varies) - 1)[self._places]]
        is_whole = codec.scaling.is_whole
        self._discrete = [name for name, index in zip(self.targets, self._places, strict=True) if is_whole[index]]

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n classes"]:
        """Computes the probability of each of `classes_`, by `POINTS` quantiles of the number before it is rounded."""
        classes = self.classes_
        known, is_whole = self._of_rows(X)
        found = np.empty((len(known), len(classes)))
        edges = (classes[:-1] + classes[1:]) / 2
        for of, is_drawn in ((np.flatnonzero(is_whole), False), (np.flatnonzero(~is_whole), True)):
            for indices in blocks(known[of], max(POINTS, COMPLETIONS)):
                rows = of[indices]
                draws = self._completions(known[rows]) if is_drawn else known[rows][None]
                found[rows] = np.mean([self._masses(own, edges) for own in draws], axis=0)
        return found

    def _masses(self, known: Float[np.ndarray, "n k"], edges: Float[np.ndarray, " e"]) -> Float[np.ndarray, "n m"]:
        """The mass between edges of the target of rows whose other cells are all given."""
        from scipy.special import ndtr

        points = normal_points(POINTS).values
        values = self._unrounded(self._quantiles(known, points), 0)
        below = np.stack([ndtr(np.interp(edges, np.sort(own), points, -np.inf, np.inf)) for own in values])
        return np.diff(below, axis=1, prepend=0, append=1)

    def _classes(self) -> np.ndarray | None:
        (index,) = self._places if self._is_one else (None,)
        if index is None:
            raise ValueError(f"classes_ are for one target, and these are {len(self.targets)}: ask for one")
        scaling = self._codec.scaling
        low, high = scaling.minimum[index], scaling.maximum[index]
        if not scaling.is_whole[index] or high - low >= MOST_CLASSES * scaling.steps[index]:
            return None
        return np.arange(int(low), int(high) + 1, int(scaling.steps[index]))

    def _known(self, X: Any) -> Known:
        return self._without_targets(rows_with_gaps(self._codec, X, self.targets, self.targets))

    def _without_targets(self, rows: Float[np.ndarray, "n d"]) -> Known:
        hidden = rows.copy()
        hidden[:, self._places] = np.nan
        known = with_labels(self._model, known_numbers(self._codec, hidden), self._labels)
        return known, ~np.isnan(np.delete(known, self._own, axis=1)).any(axis=1)

    def _measured(self, X: Any) -> tuple[Known, LogProbability, Float[np.ndarray, " n"]]:
        codec = self._codec
        for name, index in zip(self.targets, self._places, strict=True):
            if index in codec.scaling.repeating:
                raise ValueError(
                    f"column {name!r} holds a value so often that it has no density there under "
                    "scaling='quantile': fit with scaling='minmax'"
                )
        rows = rows_with_gaps(codec, X)
        missing = np.argwhere(np.isnan(rows[:, self._places]))
        if len(missing):
            row, target = missing[0]
            raise ValueError(f"the target {self.targets[target]!r} is missing in row {row}: log_prob needs its values")
        columns = sorted(self._own)
        of_targets = rows[:, codec.scaling.varies][:, columns]
        scaling = codec.scaling.varying.of(np.isin(np.arange(codec.width), columns))
        slope, scaled = scaling.log_slope(of_targets), scaling.transform(of_targets)
        denoiser = self._process.denoiser(self._model.network)
        function = ColumnDensity(denoiser, tuple(columns), self._labels is not None)

        def log_density(known: np.ndarray, indices: np.ndarray) -> np.ndarray:
            whole = known.copy()
            # Not moved into the range of the training rows, as given values are.
            whole[:, columns] = scaled[indices]
            return map_rows(function, whole).astype(np.float64)

        return self._without_targets(rows), log_density, slope

    def _of_complete(self, known: Float[np.ndarray, "n k"], points: NormalPoints) -> Predictive:
        values = self._within(self._quantiles(known, points.values), 0)
        is_atom = np.full(len(points.values), self.targets[0] in self._discrete)
        if is_atom.all():
            values = self._codec.scaling.rounded(values, self._places[0])
        return Predictive(values, np.tile(points.weights, (len(values), 1)), is_atom)

    def _quantiles(self, known: Float[np.ndarray, "n k"], points: Float[np.ndarray, " m"]) -> Float[np.ndarray, "n m"]:
        """Quantiles of the single target, scaled, to which those of N(0, 1) go."""
        denoiser = self._process.denoiser(self._model.network, self._codec.scaling.bounds)
        starts = points.astype(np.float32)
        function = ColumnQuantiles(denoiser, self._process.solver, self._own[0], starts, self._labels is not None)
        return map_rows(function, np.where(np.isnan(known), 0, known))

    def _completions(self, known: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "draws n k"]:
        draws = completions(self._model, known, COMPLETIONS)
        labels = np.broadcast_to(known[:, self._codec.width :], (*draws.shape[:2], known.shape[1] - draws.shape[2]))
        return np.concatenate([draws, labels], axis=2)

    def _targets_of(self, drawn: Float[np.ndarray, "draws n k"]) -> dict[Any, Float[np.ndarray, "n draws"]]:
        values = [self._within(drawn[:, :, own].T, target) for target, own in enumerate(self._own)]
        rounded = map(self._codec.scaling.rounded, values, self._places)
        return dict(zip(self.targets, rounded, strict=True))

    def _within(self, scaled: Float[np.ndarray, "n values"], target: int) -> Float[np.ndarray, "n values"]:
        """Returns the numbers of a target in the units of the table, clipped to the ends of its column."""
        return self._codec.scaling.within(self._unrounded(scaled, target), self._places[target])

    def _unrounded(self, scaled: Float[np.ndarray, "n values"], target: int) -> Float[np.ndarray, "n values"]:
        own = self._codec.scaling.varying.of(np.arange(self._codec.width) == self._own[target])
        return own.inverse(scaled.reshape(-1, 1))[:, 0].reshape(scaled.shape)

    def _typed(self, name: Any, values: np.ndarray, *, is_rounded: bool) -> np.ndarray:
        return self._codec.scaling.rounded(values, self._codec.place(name)) if is_rounded else values
