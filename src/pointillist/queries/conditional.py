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

PLACES, FINER = 8, 4
"""Number of points that represent an interval of numbers, and of the positions whose mean each of them is."""

Known = tuple[Float[np.ndarray, "n width"], Bool[np.ndarray, " n"]]
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
            own = statistic or ("mode" if name in self._categorical else "mean")
            found = distribution.quantiles(np.array([0.5]))[:, 0] if own == "median" else getattr(distribution, own)()
            return self._typed(name, found, is_rounded=own != "mean")

        return self._of_each(X, summary)

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n classes"]:
        """Computes the probability of each of `classes_`; shape (n, classes).

        Tokens take one evaluation of the network; integers without a token, `POINTS` quantiles of the number before it
        is rounded.
        """
        classes = self.classes_
        known, is_whole = self._of_rows(X)
        if self._has_token_probabilities:
            parts = (self._of_complete(known[rows], normal_points(POINTS)) for rows in blocks(known, DRAWS))
            return np.concatenate([part.weights[:, : len(classes)] for part in parts])
        found = np.empty((len(known), len(classes)))
        edges = (classes[:-1] + classes[1:]) / 2
        for of, is_drawn in ((np.flatnonzero(is_whole), False), (np.flatnonzero(~is_whole), True)):
            for indices in blocks(known[of], max(POINTS, COMPLETIONS)):
                rows = of[indices]
                draws = self._completions(known[rows]) if is_drawn else known[rows][None]
                found[rows] = np.mean([self._masses(own, edges) for own in draws], axis=0)
        return found

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
        (known, is_whole), log_mass = self._measured(X)
        found = np.empty(len(known))
        for of, n_draws in ((np.flatnonzero(is_whole), 1), (np.flatnonzero(~is_whole), COMPLETIONS)):
            for indices in blocks(known[of], n_draws):
                rows = of[indices]
                draws = known[rows][None] if n_draws == 1 else self._completions(known[rows])
                of_draws = log_mass(draws.reshape(-1, draws.shape[2]), np.tile(rows, len(draws)))
                of_rows = of_draws.reshape(len(draws), len(rows))
                found[rows] = np.logaddexp.reduce(of_rows, axis=0) - np.log(len(draws))
        return found

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

    @property
    def _has_token_probabilities(self) -> bool:
        """Whether the single target has a token, whose probabilities are known whatever else is missing."""
        return self._encoders[self.targets[0]].has_token

    def _classes(self) -> np.ndarray | None:
        """The values of the single target; None if it holds numbers of any size."""
        (name,) = self.targets
        classes = self._encoders[name].classes()
        return None if classes is None else self._typed(name, classes, is_rounded=False)

    def _known(self, X: Any) -> Known:
        """The encoded rows of a table, which may lack targets."""
        return self._of_given(observed_cells(self._model, X, self.targets, self._labels))

    def _of_given(self, given: Observed) -> Known:
        # Tokens need no draws: the network knows their probabilities whatever else is hidden.
        has_numbers = any(encoder.has_number for encoder in self._encoders.values())
        return given.known, given.is_whole | (not has_numbers)

    def _measured(self, X: Any) -> tuple[Known, LogProbability]:
        """Encoded rows, and the log-probability of their targets."""
        given = observed_cells(self._model, X, self.targets, self._labels, are_read=True)
        cells = {}
        for name in self.targets:
            index = self._model.codec.encoding.index(name)
            if index >= len(given.table.cells):
                raise ValueError(f"column {name!r} is apart from the table: take predict_proba")
            own = cells[index] = given.table.cells[index]
            if own.is_missing.any():
                row = own.is_missing.argmax()
                raise ValueError(f"the target {name!r} is missing in row {row}: log_prob needs its values")

        def log_mass(known: np.ndarray, indices: np.ndarray) -> np.ndarray:
            own = {index: column.take(indices) for index, column in cells.items()}
            return log_probability(self._model, known, own, is_present=True, has_label=self._has_label)

        return self._of_given(given), log_mass

    def _of_complete(self, known: Float[np.ndarray, "n width"], points: NormalPoints) -> Predictive:
        """The distribution of the single target of rows whose other cells are all given.

        Args:
            known: The rows.
            points: Points of N(0, 1), which become those of numbers.
        """
        name, n = self.targets[0], len(known)
        encoder = self._encoders[name]
        if not encoder.has_token:
            numbers = encoder.predicted(self._quantiles(known, points.values))
            weights = np.tile(points.weights, (n, 1))
            return Predictive(numbers, weights, np.full(len(points.values), encoder.is_discrete))
        p = self._token_probabilities(known)
        if encoder.scores is None:
            values = np.tile(encoder.value_cells().values.astype(float), (n, 1))
            return Predictive(values, p[:, : encoder.n_values], np.ones(encoder.n_values, bool))
        n_atoms, shares = len(encoder.atoms), points.weights
        if encoder.has_intervals:
            shares = np.full(PLACES, 1 / PLACES)
            # Means over longer intervals of long tails would be low; single values have none.
            finer = 1 if encoder.scores.is_discrete else FINER
            inside = np.tile((np.arange(PLACES * finer) + 0.5) / (PLACES * finer), encoder.n_intervals)
            tokens = np.repeat(np.arange(encoder.n_intervals), PLACES * finer) + n_atoms
            means = encoder.decode(tokens + inside, np.empty((len(tokens), 0))).numbers.reshape(-1, finer).mean(axis=1)
            numbers = np.tile(means, (n, 1))
        else:
            rows = known.copy()
            rows[:, self._model.codec.encoding.token_index(name)] = (
                n_atoms  # The token that says that there is a number.
            )
            z = np.clip(self._quantiles(rows, points.values), -LARGEST_SCORE, LARGEST_SCORE)
            numbers = encoder.predicted(z)
        weights = (p[:, n_atoms : encoder.n_values, None] * shares).reshape(n, -1)
        is_atom = np.repeat([True, encoder.scores.is_discrete], [n_atoms, numbers.shape[1]])
        atoms = np.tile(encoder.atoms, (n, 1))
        return Predictive(np.hstack([atoms, numbers]), np.hstack([p[:, :n_atoms], weights]), is_atom)

    def _token_probabilities(self, known: Float[np.ndarray, "n width"]) -> Float[np.ndarray, "n values"]:
        """The probability of each value of the single target's token."""
        model, encoding = self._model, self._model.codec.encoding
        token, column = encoding.token_index(self.targets[0]), encoding.index(self.targets[0])
        assert token is not None
        denoiser = model.process.token_denoiser(model, model.codec.stands_for_missing)
        is_asked = np.asarray(encoding.with_number, int) == column
        log_p = map_rows(TokenProbabilities(denoiser, is_asked, (token,)), known.astype(np.float32))
        return np.exp(log_p.astype(np.float64))

    def _quantiles(
        self, known: Float[np.ndarray, "n width"], points: Float[np.ndarray, " m"]
    ) -> Float[np.ndarray, "n m"]:
        """Quantiles of the single target's encoded number, to which those of N(0, 1) go."""
        model, encoding = self._model, self._model.codec.encoding
        number = encoding.with_number.index(encoding.index(self.targets[0]))
        starts = points.astype(np.float32)
        function = model.process.number_quantiles(model, number, starts, has_label=self._has_label)
        return map_rows(function, known.astype(np.float32)).astype(np.float64)

    def _masses(self, known: Float[np.ndarray, "n width"], edges: Float[np.ndarray, " e"]) -> Float[np.ndarray, "n m"]:
        """The mass between edges of the single target, an integer, of rows whose other cells are all given."""
        from scipy.special import ndtr

        points = normal_points(POINTS).values
        values = self._encoders[self.targets[0]].unrounded(self._quantiles(known, points))
        below = np.stack([ndtr(np.interp(edges, np.sort(own), points, -np.inf, np.inf)) for own in values])
        return np.diff(below, axis=1, prepend=0, append=1)

    def _completions(
        self, known: Float[np.ndarray, "n width_and_label"]
    ) -> Float[np.ndarray, "draws n width_and_label"]:
        """Draws of the missing cells of rows, given those of the other columns alone."""
        draws = completions(self._model, known, COMPLETIONS).astype(np.float64)
        encoding, width = self._model.codec.encoding, draws.shape[2]
        # In an interval of numbers, without the position.
        draws[:, :, : encoding.n_tokens] = np.floor(draws[:, :, : encoding.n_tokens])
        # The targets are unknown again.
        for name in self.targets:
            token, numbers = encoding.places[encoding.index(name)]
            draws[:, :, numbers] = known[:, numbers]
            if token is not None:
                draws[:, :, token] = known[:, token]
        labels = np.broadcast_to(known[:, width:], (*draws.shape[:2], known.shape[1] - width))
        return np.concatenate([draws, labels], axis=2)

    def _targets_of(self, drawn: Float[np.ndarray, "draws n width"]) -> dict[Any, Float[np.ndarray, "n draws"]]:
        """The values of each target in drawn rows."""
        encoding, found = self._model.codec.encoding, {}
        shape, rows = drawn.shape[:2], drawn.reshape(-1, drawn.shape[2]).astype(np.float64)
        for name, encoder in self._encoders.items():
            token, numbers = encoding.places[encoding.index(name)]
            tokens = np.zeros(len(rows)) if token is None else rows[:, token]
            found[name] = encoder.decode(tokens, rows[:, numbers]).values.astype(float).reshape(shape).T
        return found

    def _typed(self, name: Any, values: np.ndarray, *, is_rounded: bool) -> np.ndarray:
        """Values of a target as the column holds them, perhaps rounded to its digits."""
        return self._encoders[name].typed(values, self._model.codec.layout.type_of(name), is_rounded=is_rounded)
