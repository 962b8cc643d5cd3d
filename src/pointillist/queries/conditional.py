"""`Conditional`: the distribution of some columns of a table given the others."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.arguments import RandomState
from pointillist.columns.encoder import ColumnEncoder
from pointillist.diffusion.tokens.mixed_likelihood import TokenProbabilities
from pointillist.diffusion.tokens.mixed_sampling import LARGEST_SCORE
from pointillist.engine.mapping import map_rows
from pointillist.models.process import Learned
from pointillist.queries.density import log_probability
from pointillist.queries.imputation import blocks, completed, completions
from pointillist.queries.observed import Observed, observed_cells
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

POINTS_PER_INTERVAL, SUBPOINTS = 8, 4
"""Number of points that represent an interval of numbers, and of the positions whose mean each of them is."""

ObservedRows = tuple[Float[np.ndarray, "n width"], Bool[np.ndarray, " n"]]
"""Encoded rows with unknown targets; and which of them need no draws of their missing cells."""

LogProbability = Callable[[Float[np.ndarray, "m width"], Int[np.ndarray, " m"]], Float[np.ndarray, " m"]]
"""Log-probability of the targets of some encoded rows without missing cells, given the indices of the rows."""


class Conditional:
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

    def __init__(self, model: Learned, target: Any, labels: Any = None) -> None:
        self._is_one = not isinstance(target, list)
        self.targets = (target,) if self._is_one else tuple(target)
        if not self.targets or len(set(self.targets)) < len(self.targets):
            raise ValueError(f"conditional takes one column or several different ones, not {target!r}")
        self._model, self._labels = model, labels
        self._prepare()

    def _prepare(self) -> None:
        """Checks the targets, and finds their encoders."""
        model, encoding = self._model, self._model.codec.encoding
        self._encoders: dict[Any, ColumnEncoder] = {name: encoding.encoder(name) for name in self.targets}
        column = None if self._labels is None or model.classes is None else model.classes.column
        if column is not None and column[0] in self.targets:
            raise ValueError(f"target {column[0]!r} is given by labels too: leave labels out")
        model.process.check_conditional(model, has_label=self._labels is not None)
        for name, encoder in self._encoders.items():
            if encoder.n_numbers > 1:
                raise ValueError(f"column {name!r} holds cells of several numbers, and is not predicted: take another")
            if not encoder.has_token and not encoder.has_number:
                raise ValueError(f"column {name!r} is constant in the training rows: there is nothing to predict")
        if len(self.targets) == len(encoding.columns):
            raise ValueError("conditional needs a column that is given, and all are targets: leave one of them out")
        self._categorical = [name for name, encoder in self._encoders.items() if encoder.has_categories]
        self._discrete = [name for name, encoder in self._encoders.items() if encoder.is_discrete]
        self._has_label = self._labels is not None and not model.process.has_label_token

    @cached_property
    def classes_(self) -> np.ndarray:
        """The values of one target of categories or few numbers, in the order of `predict_proba`; others have none."""
        if not self._is_one:
            raise ValueError(f"classes_ are for one target, and these are {len(self.targets)}: ask for one")
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
            chosen = statistic or ("mode" if name in self._categorical else "mean")
            values = (
                distribution.quantiles(np.array([0.5]))[:, 0] if chosen == "median" else getattr(distribution, chosen)()
            )
            return self._typed(name, values, is_rounded=chosen != "mean")

        return self._summarize(X, summary)

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n classes"]:
        """Computes the probability of each of `classes_`; shape (n, classes).

        Tokens take one evaluation of the network; integers without a token, `POINTS` quantiles of the number before it
        is rounded.
        """
        classes = self.classes_
        observed, is_complete = self._encode_nonempty(X)
        if self._has_token_probabilities:
            parts = (
                self._complete_distribution(observed[rows], normal_points(POINTS)) for rows in blocks(observed, DRAWS)
            )
            return np.concatenate([part.weights[:, : len(classes)] for part in parts])
        found = np.empty((len(observed), len(classes)))
        edges = (classes[:-1] + classes[1:]) / 2
        for group, is_drawn in ((np.flatnonzero(is_complete), False), (np.flatnonzero(~is_complete), True)):
            for indices in blocks(observed[group], max(POINTS, COMPLETIONS)):
                rows = group[indices]
                draws = self._completions(observed[rows]) if is_drawn else observed[rows][None]
                found[rows] = np.mean([self._masses(draw, edges) for draw in draws], axis=0)
        return found

    def quantiles(self, X: Any, levels: Sequence[float]) -> Any:
        """Computes quantiles of a target of numbers.

        Args:
            X: A table; see `predict`.
            levels: The quantiles' levels, in (0, 1).

        Returns:
            Shape (n, levels); for several targets, a dictionary of such arrays by column.
        """
        checked = checked_levels(levels)
        self._check_numbers("quantiles: take predict_proba (--probabilities)")
        return self._summarize(X, lambda name, each: self._typed(name, each.quantiles(checked), is_rounded=True))

    def sample(self, X: Any, n_draws: int = 1, *, random_state: RandomState = None) -> Any:
        """Draws the target of each row; missing cells of the other columns are drawn too.

        Args:
            X: A table; see `predict`.
            n_draws: Number of draws of each row.
            random_state: Seed.

        Returns:
            Shape (n, n_draws); for several targets, a dictionary of such arrays by column, drawn together.
        """
        drawn = self._decode_targets(completed(self._model, self._encode(X)[0], checked_draws(n_draws), random_state))
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
        (observed, is_complete), log_mass = self._encode_with_targets(X)
        found = np.empty(len(observed))
        for group, n_draws in ((np.flatnonzero(is_complete), 1), (np.flatnonzero(~is_complete), COMPLETIONS)):
            for indices in blocks(observed[group], n_draws):
                rows = group[indices]
                draws = observed[rows][None] if n_draws == 1 else self._completions(observed[rows])
                draw_log_masses = log_mass(draws.reshape(-1, draws.shape[2]), np.tile(rows, len(draws)))
                by_draw = draw_log_masses.reshape(len(draws), len(rows))
                found[rows] = np.logaddexp.reduce(by_draw, axis=0) - np.log(len(draws))
        return found

    def _summarize(self, X: Any, summary: Callable[[Any, Predictive], np.ndarray]) -> Any:
        """What a function makes of the name and the distribution of each target."""
        observed, is_complete = self._encode_nonempty(X)
        indices = blocks(observed, DRAWS)
        if self._is_one:
            return np.concatenate([self._summarize_one(observed[rows], is_complete[rows], summary) for rows in indices])
        parts = [self._summarize_jointly(observed[rows], summary) for rows in indices]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.targets}

    def _summarize_jointly(
        self, observed: np.ndarray, summary: Callable[[Any, Predictive], np.ndarray]
    ) -> dict[Any, np.ndarray]:
        """What a function makes of several targets of some rows."""
        equal = np.full((len(observed), DRAWS), 1 / DRAWS)
        return {
            name: summary(name, Predictive(values, equal, np.full(DRAWS, name in self._discrete)))
            for name, values in self._decode_targets(completions(self._model, observed, DRAWS)).items()
        }

    def _summarize_one(
        self, observed: np.ndarray, is_complete: np.ndarray, summary: Callable[[Any, Predictive], np.ndarray]
    ) -> np.ndarray:
        """What a function makes of the single target of some rows."""
        complete, incomplete = np.flatnonzero(is_complete), np.flatnonzero(~is_complete)
        parts = [self._complete_distribution(observed[complete], normal_points(POINTS))] if len(complete) else []
        if len(incomplete):
            draws = self._completions(observed[incomplete])
            n = max(2, 4 * POINTS // len(draws))
            distributions = (
                self._complete_distribution(draw, normal_points(n, i, len(draws), 1)) for i, draw in enumerate(draws)
            )
            parts.append(pooled(list(distributions)))
        found = np.concatenate([summary(self.targets[0], part) for part in parts])
        return found[np.argsort(np.concatenate([complete, incomplete]), kind="stable")]

    def _encode_nonempty(self, X: Any) -> ObservedRows:
        observed, is_complete = self._encode(X)
        if len(observed) == 0:
            raise ValueError("X has no rows: give one")
        return observed, is_complete

    def _check_numbers(self, what: str) -> None:
        for name in self.targets:
            if name in self._categorical:
                raise ValueError(f"column {name!r} holds categories, which have no {what}")

    @property
    def _has_token_probabilities(self) -> bool:
        """Whether the single target has a token, whose probabilities are known whatever else is missing."""
        return self._encoders[self.targets[0]].has_token

    def _classes(self) -> np.ndarray | None:
        """The values of the single target; None if it holds numbers of any size."""
        (name,) = self.targets
        classes = self._encoders[name].classes()
        return None if classes is None else self._typed(name, classes, is_rounded=False)

    def _encode(self, X: Any) -> ObservedRows:
        """The encoded rows of a table, which may lack targets."""
        return self._with_completeness(observed_cells(self._model, X, self.targets, self._labels))

    def _with_completeness(self, read: Observed) -> ObservedRows:
        # Tokens need no draws: the network knows their probabilities whatever else is hidden.
        has_numbers = any(encoder.has_number for encoder in self._encoders.values())
        return read.rows, read.is_complete | (not has_numbers)

    def _encode_with_targets(self, X: Any) -> tuple[ObservedRows, LogProbability]:
        """Encoded rows, and the log-probability of their targets."""
        read = observed_cells(self._model, X, self.targets, self._labels, are_read=True)
        cells = {}
        for name in self.targets:
            index = self._model.codec.encoding.index(name)
            if index >= len(read.table.cells):
                raise ValueError(f"column {name!r} is apart from the table: take predict_proba")
            target = cells[index] = read.table.cells[index]
            if target.is_missing.any():
                row = target.is_missing.argmax()
                raise ValueError(f"the target {name!r} is missing in row {row}: log_prob needs its values")

        def log_mass(observed: np.ndarray, indices: np.ndarray) -> np.ndarray:
            target_cells = {index: column.take(indices) for index, column in cells.items()}
            return log_probability(self._model, observed, target_cells, is_present=True, has_label=self._has_label)

        return self._with_completeness(read), log_mass

    def _complete_distribution(self, observed: Float[np.ndarray, "n width"], points: NormalPoints) -> Predictive:
        """The distribution of the single target of rows whose other cells are all given.

        Args:
            observed: The rows.
            points: Points of N(0, 1), which become those of numbers.
        """
        name, n = self.targets[0], len(observed)
        encoder = self._encoders[name]
        if not encoder.has_token:
            numbers = encoder.predicted(self._quantiles(observed, points.values))
            weights = np.tile(points.weights, (n, 1))
            return Predictive(numbers, weights, np.full(len(points.values), encoder.is_discrete))
        p = self._token_probabilities(observed)
        if encoder.scores is None:
            values = np.tile(encoder.value_cells().values.astype(float), (n, 1))
            return Predictive(values, p[:, : encoder.n_values], np.ones(encoder.n_values, bool))
        n_atoms, weights_per_value = len(encoder.atoms), points.weights
        if encoder.has_intervals:
            weights_per_value = np.full(POINTS_PER_INTERVAL, 1 / POINTS_PER_INTERVAL)
            # Means over longer intervals of long tails would be low; single values have none.
            finer = 1 if encoder.scores.is_discrete else SUBPOINTS
            inside = np.tile(
                (np.arange(POINTS_PER_INTERVAL * finer) + 0.5) / (POINTS_PER_INTERVAL * finer), encoder.n_intervals
            )
            tokens = np.repeat(np.arange(encoder.n_intervals), POINTS_PER_INTERVAL * finer) + n_atoms
            means = encoder.decode(tokens + inside, np.empty((len(tokens), 0))).numbers.reshape(-1, finer).mean(axis=1)
            numbers = np.tile(means, (n, 1))
        else:
            rows = observed.copy()
            rows[:, self._model.codec.encoding.token_index(name)] = (
                n_atoms  # The token that says that there is a number.
            )
            z = np.clip(self._quantiles(rows, points.values), -LARGEST_SCORE, LARGEST_SCORE)
            numbers = encoder.predicted(z)
        weights = (p[:, n_atoms : encoder.n_values, None] * weights_per_value).reshape(n, -1)
        is_atom = np.repeat([True, encoder.scores.is_discrete], [n_atoms, numbers.shape[1]])
        atoms = np.tile(encoder.atoms, (n, 1))
        return Predictive(np.hstack([atoms, numbers]), np.hstack([p[:, :n_atoms], weights]), is_atom)

    def _token_probabilities(self, observed: Float[np.ndarray, "n width"]) -> Float[np.ndarray, "n values"]:
        """The probability of each value of the single target's token."""
        model, encoding = self._model, self._model.codec.encoding
        token, column = encoding.token_index(self.targets[0]), encoding.index(self.targets[0])
        assert token is not None
        denoiser = model.process.token_denoiser(model, model.codec.is_missing_value)
        is_target = np.asarray(encoding.with_number, int) == column
        log_p = map_rows(TokenProbabilities(denoiser, is_target, (token,)), observed.astype(np.float32))
        return np.exp(log_p.astype(np.float64))

    def _quantiles(
        self, observed: Float[np.ndarray, "n width"], points: Float[np.ndarray, " m"]
    ) -> Float[np.ndarray, "n m"]:
        """Quantiles of the single target's encoded number, to which those of N(0, 1) go."""
        model, encoding = self._model, self._model.codec.encoding
        number = encoding.with_number.index(encoding.index(self.targets[0]))
        starts = points.astype(np.float32)
        function = model.process.number_quantiles(model, number, starts, has_label=self._has_label)
        return map_rows(function, observed.astype(np.float32)).astype(np.float64)

    def _masses(
        self, observed: Float[np.ndarray, "n width"], edges: Float[np.ndarray, " e"]
    ) -> Float[np.ndarray, "n m"]:
        """The mass between edges of the single target, an integer, of rows whose other cells are all given."""
        from scipy.special import ndtr

        points = normal_points(POINTS).values
        values = self._encoders[self.targets[0]].unrounded(self._quantiles(observed, points))
        below = np.stack([ndtr(np.interp(edges, np.sort(row), points, -np.inf, np.inf)) for row in values])
        return np.diff(below, axis=1, prepend=0, append=1)

    def _completions(
        self, observed: Float[np.ndarray, "n width_and_label"]
    ) -> Float[np.ndarray, "draws n width_and_label"]:
        """Draws of the missing cells of rows, given those of the other columns alone."""
        draws = completions(self._model, observed, COMPLETIONS).astype(np.float64)
        encoding, width = self._model.codec.encoding, draws.shape[2]
        # In an interval of numbers, without the position.
        draws[:, :, : encoding.n_tokens] = np.floor(draws[:, :, : encoding.n_tokens])
        # The targets are unknown again.
        for name in self.targets:
            token, numbers = encoding.row_indices[encoding.index(name)]
            draws[:, :, numbers] = observed[:, numbers]
            if token is not None:
                draws[:, :, token] = observed[:, token]
        labels = np.broadcast_to(observed[:, width:], (*draws.shape[:2], observed.shape[1] - width))
        return np.concatenate([draws, labels], axis=2)

    def _decode_targets(self, drawn: Float[np.ndarray, "draws n width"]) -> dict[Any, Float[np.ndarray, "n draws"]]:
        """The values of each target in drawn rows."""
        encoding, found = self._model.codec.encoding, {}
        shape, rows = drawn.shape[:2], drawn.reshape(-1, drawn.shape[2]).astype(np.float64)
        for name, encoder in self._encoders.items():
            token, numbers = encoding.row_indices[encoding.index(name)]
            tokens = np.zeros(len(rows)) if token is None else rows[:, token]
            found[name] = encoder.decode(tokens, rows[:, numbers]).values.astype(float).reshape(shape).T
        return found

    def _typed(self, name: Any, values: np.ndarray, *, is_rounded: bool) -> np.ndarray:
        """Values of a target as the column holds them, perhaps rounded to its digits."""
        return self._encoders[name].typed(values, self._model.codec.layout.type_of(name), is_rounded=is_rounded)
