"""`Conditional`: the distribution of some columns of a table, or of its labels, given the other columns."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.arguments import RandomState, check_integer, seed_of
from pointillist.columns.encoder import ColumnEncoder
from pointillist.diffusion.classification import ClassElbos, posterior
from pointillist.diffusion.tokens.mixed_likelihood import TokenProbabilities
from pointillist.diffusion.tokens.mixed_sampling import LARGEST_SCORE
from pointillist.diffusion.tokens.token_sampling import HIDDEN
from pointillist.engine.mapping import map_rows
from pointillist.engine.random_streams import HostStream, generator_of
from pointillist.lazy import special
from pointillist.models.gaussian import gaussian_of
from pointillist.models.process import Learned
from pointillist.queries.consistency import given_rules
from pointillist.queries.density import log_probability
from pointillist.queries.imputation import blocks, completed, completed_cells, completions, with_labels
from pointillist.queries.predictive import (
    COMPLETIONS,
    DRAWS,
    POINTS,
    NormalPoints,
    Predictive,
    checked_levels,
    normal_points,
    pooled,
)
from pointillist.tables.frames import aligned, table_of, with_columns
from pointillist.tables.row_sampling import answered_in_parts
from pointillist.tables.table import Table

POINTS_PER_INTERVAL, SUBPOINTS = 8, 4
"""Number of points that represent an interval of numbers, and number of positions averaged for each point."""

ObservedRows = tuple[Float[np.ndarray, "n width"], Bool[np.ndarray, " n"]]
"""Encoded rows without targets, and which of them need no draws of missing cells."""

LogProbability = Callable[[Float[np.ndarray, "m width"], Int[np.ndarray, " m"]], Float[np.ndarray, " m"]]
"""Log-probability of the targets of encoded rows without missing cells, given the rows and their indices in X."""


class Conditional:
    """The distribution of one or several columns given the others; `Diffusion.conditional` makes it.

    If other cells are missing, the distribution is the mean over `COMPLETIONS` draws of them. Probabilities of token
    values need no draws, because a token network accepts missing cells. Targets are assumed to be present, even if some
    training rows lack them. Declared rules hold in predictions of a single target, and in draws; rules that `fit` found
    are not applied. Times with a time zone are in UTC, because NumPy has no time zones.

    Args:
        model: The model; a Gaussian one must be fitted with `p_given` above 0.
        target: Name of a column, or a list of names; indices if columns have no names.
        labels: Observed labels that have no column in the tables, one for all rows or one per row.

    Raises:
        ValueError: In one line, if a column does not exist or is constant, or the model cannot condition on cells.
    """

    def __init__(self, model: Learned, target: Any, labels: Any = None) -> None:
        self._is_one = not isinstance(target, list)
        self.targets = (target,) if self._is_one else tuple(target)
        if not self.targets or len(set(self.targets)) < len(self.targets):
            raise ValueError(f"conditional takes one column or several different ones, not {target!r}")
        self._model, self._labels = model, labels
        self._prepare()

    def _prepare(self) -> None:
        model, encoding = self._model, self._model.codec.encoding
        self._encoders: dict[Any, ColumnEncoder] = {name: encoding.encoder(name) for name in self.targets}
        column = None if self._labels is None or model.classes is None else model.classes.column
        if column is not None and column[0] in self.targets:
            raise ValueError(f"target {column[0]!r} is also in labels: leave labels out")
        model.process.check_conditional(model, has_label=self._labels is not None)
        for name, encoder in self._encoders.items():
            if encoder.n_numbers > 1:
                raise ValueError(
                    f"column {name!r} has several numbers per cell and cannot be predicted: choose another column"
                )
            if not encoder.has_token and not encoder.has_number:
                raise ValueError(f"column {name!r} is constant in the training rows: there is nothing to predict")
        if len(self.targets) == len(encoding.columns):
            raise ValueError("conditional needs a column to condition on, but all are targets: leave one of them out")
        self._categorical = [name for name, encoder in self._encoders.items() if encoder.has_categories]
        self._discrete = [name for name, encoder in self._encoders.items() if encoder.is_discrete]
        self._has_label = self._labels is not None and not model.process.has_label_token
        # The probabilities of a token do not depend on draws of missing cells.
        self._has_token_probabilities = self._encoders[self.targets[0]].has_token

    @cached_property
    def classes_(self) -> np.ndarray:
        """Class values in the order of `predict_proba`, for a single categorical or discrete target."""
        if not self._is_one:
            raise ValueError(f"classes_ needs a single target, not {len(self.targets)}: give one")
        found = self._classes()
        if found is None:
            raise ValueError(f"column {self.targets[0]!r} is continuous and has no classes: use quantiles")
        return found

    @answered_in_parts
    def predict(self, X: Any) -> Any:
        """Predicts the target of each row: the mean of a number, and the most probable category.

        The distribution of a single target is represented by the probabilities of its token values, and by `POINTS`
        quantiles of its numbers, which the probability-flow ODE computes from quantiles of N(0, 1). Several targets are
        represented by `DRAWS` draws per row, and summarized column by column.

        Args:
            X: A table with the columns of `fit`, in any container; targets may be left out, and are ignored.

        Returns:
            Shape (n,); for several targets, a dictionary of arrays by column.
        """

        def summary(name: Any, distribution: Predictive) -> np.ndarray:
            values = distribution.mode() if name in self._categorical else distribution.mean()
            return self._typed(name, values, is_rounded=False)

        return self._summarize(X, summary)

    @answered_in_parts
    def predict_proba(self, X: Any) -> Float[np.ndarray, "n classes"]:
        """Computes the probability of each of `classes_`, shape (n, classes).

        Tokens need one evaluation of the network. Integers without a token need `POINTS` quantiles of the number before
        rounding.
        """
        classes = self.classes_
        observed, is_complete = self._encode_nonempty(X)
        if self._has_token_probabilities:
            parts = (self._distribution(observed[rows], normal_points(POINTS)) for rows in blocks(observed, DRAWS))
            return np.concatenate([part.weights[:, : len(classes)] for part in parts])
        found = np.empty((len(observed), len(classes)))
        edges = (classes[:-1] + classes[1:]) / 2
        for rows, draws in self._draws(observed, is_complete, POINTS):
            found[rows] = np.mean([self._masses(draw, edges) for draw in draws], axis=0)
        return found

    @answered_in_parts
    def quantiles(self, X: Any, levels: Sequence[float]) -> Any:
        """Computes quantiles of a numeric target.

        Args:
            X: A table; see `predict`.
            levels: Levels of the quantiles, in (0, 1).

        Returns:
            Shape (n, levels); for several targets, a dictionary of arrays by column.
        """
        checked = checked_levels(levels)
        if self._categorical:
            raise ValueError(
                f"column {self._categorical[0]!r} holds categories, which have no quantiles: use predict_proba "
                "(--probabilities)"
            )
        return self._summarize(X, lambda name, each: self._typed(name, each.quantiles(checked), is_rounded=True))

    def sample(self, X: Any, n_draws: int = 1, *, random_state: RandomState = None) -> Any:
        """Draws the target of each row, together with the missing cells of the other columns.

        Args:
            X: A table; see `predict`.
            n_draws: Number of draws per row.
            random_state: Seed.

        Returns:
            Shape (n, n_draws); for several targets, a dictionary of arrays by column, drawn jointly.
        """
        check_integer("n_draws", n_draws)
        codec = self._model.codec
        if codec.has_declared_rules:
            table, (rows, _) = self._read(X)
            draws = completed_cells(self._model, table.cells, rows, n_draws, random_state)
            index = {name: codec.encoding.index(name) for name in self.targets}
            drawn = {name: np.stack([cells[i].values.astype(float) for cells in draws], 1) for name, i in index.items()}
        else:
            drawn = self._decode_targets(completed(self._model, self._encode(X)[0], n_draws, random_state))
        found = {name: self._typed(name, values, is_rounded=False) for name, values in drawn.items()}
        return found[self.targets[0]] if self._is_one else found

    @answered_in_parts
    def log_prob(self, X: Any) -> Float[np.ndarray, " n"]:
        """Computes the log of mass times density of the targets of each row given its other cells, in nats.

        The density is in the units of the table, and finite for numbers that no training row has. This is the targets'
        term of `Diffusion.score_samples`: tokens given the other cells, times numbers given all other cells by the
        probability-flow ODE.

        Args:
            X: A table with all columns of `fit`.

        Raises:
            ValueError: If X lacks a target or one of its cells, or if a target has no density.
        """
        (observed, is_complete), log_mass = self._encode_with_targets(X)
        found = np.empty(len(observed))
        for rows, draws in self._draws(observed, is_complete, 1):
            log_masses = log_mass(draws.reshape(-1, draws.shape[2]), np.tile(rows, len(draws)))
            by_draw = log_masses.reshape(len(draws), len(rows))
            found[rows] = np.logaddexp.reduce(by_draw, axis=0) - np.log(len(draws))
        return found

    def _draws(
        self, observed: Float[np.ndarray, "n width"], is_complete: Bool[np.ndarray, " n"], n_values: int
    ) -> Iterator[tuple[Int[np.ndarray, " m"], Float[np.ndarray, "draws m width"]]]:
        """Yields indices of complete rows with these rows, and of other rows with draws of their missing cells.

        There are `n_values` numbers to hold in memory for each value of a row.
        """
        for group, n_draws in ((np.flatnonzero(is_complete), 1), (np.flatnonzero(~is_complete), COMPLETIONS)):
            for indices in blocks(observed[group], max(n_values, n_draws)):
                rows = group[indices]
                yield rows, observed[rows][None] if n_draws == 1 else self._completions(observed[rows])

    def _summarize(self, X: Any, summary: Callable[[Any, Predictive], np.ndarray]) -> Any:
        """Applies a function to the name and distribution of each target."""
        observed, is_complete = self._encode_nonempty(X)
        if self._is_one:
            found, indices = [], []
            for rows, draws in self._draws(observed, is_complete, DRAWS):
                n, points = len(draws), [normal_points(POINTS)]
                if n > 1:
                    points = [normal_points(max(2, 4 * POINTS // n), i, n, 1) for i in range(n)]
                distributions = [self._distribution(*pair) for pair in zip(draws, points, strict=True)]
                found.append(summary(self.targets[0], pooled(distributions)))
                indices.append(rows)
            return np.concatenate(found)[np.argsort(np.concatenate(indices), kind="stable")]
        parts: dict[Any, list[np.ndarray]] = {name: [] for name in self.targets}
        for rows in blocks(observed, DRAWS):
            equal = np.full((len(rows), DRAWS), 1 / DRAWS)
            for name, values in self._decode_targets(completions(self._model, observed[rows], DRAWS)).items():
                distribution = Predictive(values, equal, np.full(DRAWS, name in self._discrete))
                parts[name].append(summary(name, distribution))
        return {name: np.concatenate(each) for name, each in parts.items()}

    def _encode_nonempty(self, X: Any) -> ObservedRows:
        observed, is_complete = self._encode(X)
        if len(observed) == 0:
            raise ValueError("X has no rows: give one")
        return observed, is_complete

    def _classes(self) -> np.ndarray | None:
        """The values of the single target; None if it is continuous."""
        (name,) = self.targets
        classes = self._encoders[name].classes()
        return None if classes is None else self._typed(name, classes, is_rounded=False)

    def _read(self, X: Any, *, are_read: bool = False) -> tuple[Table, ObservedRows]:
        """The table with the model's columns, perhaps with the targets, and its encoded rows without them."""
        codec, encoding = self._model.codec, self._model.codec.encoding
        table = aligned(X, codec.layout, absent=self.targets, unread=() if are_read else self.targets)
        rows = with_labels(self._model, codec.encode_table(table, self.targets), self._labels)
        is_complete = np.ones(len(rows), bool)
        for encoder, (token, numbers) in zip(encoding.columns, encoding.row_indices, strict=True):
            if encoder.name not in self.targets:
                is_complete &= ~np.isnan(rows[:, numbers]).any(axis=1) if token is None else rows[:, token] != HIDDEN
        # Tokens need no draws: the network gives their probabilities whatever else is hidden.
        has_numbers = any(encoder.has_number for encoder in self._encoders.values())
        return table, (rows, is_complete | (not has_numbers))

    def _encode(self, X: Any) -> ObservedRows:
        """The encoded rows of a table, which may lack targets."""
        return self._read(X)[1]

    def _encode_with_targets(self, X: Any) -> tuple[ObservedRows, LogProbability]:
        """The encoded rows of a table, and a function for the log-probability of their targets."""
        table, observed_rows = self._read(X, are_read=True)
        cells = {}
        for name in self.targets:
            index = self._model.codec.encoding.index(name)
            if index >= len(table.cells):
                raise ValueError(f"column {name!r} is not in the table: use predict_proba")
            cells[index] = table.cells[index]
            check_present(name, cells[index].is_missing)

        def log_mass(observed: np.ndarray, indices: np.ndarray) -> np.ndarray:
            target_cells = {index: column.take(indices) for index, column in cells.items()}
            return log_probability(self._model, observed, target_cells, is_present=True, has_label=self._has_label)

        return observed_rows, log_mass

    def _distribution(self, observed: Float[np.ndarray, "n width"], points: NormalPoints) -> Predictive:
        """The distribution of the single target given the other cells of each row, and the declared rules."""
        return given_rules(self._model.codec, self.targets[0], observed, self._learned_distribution(observed, points))

    def _learned_distribution(self, observed: Float[np.ndarray, "n width"], points: NormalPoints) -> Predictive:
        """The distribution of the single target of rows whose other cells are all observed.

        The probability-flow ODE maps `points` of N(0, 1) to numbers.
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
            # In long tails, the midpoint of a wide interval is far from its mean; discrete values are exact.
            finer = 1 if encoder.scores.is_discrete else SUBPOINTS
            per_interval = POINTS_PER_INTERVAL * finer
            inside = np.tile((np.arange(per_interval) + 0.5) / per_interval, encoder.n_intervals)
            tokens = np.repeat(np.arange(encoder.n_intervals), per_interval) + n_atoms
            means = encoder.decode(tokens + inside, np.empty((len(tokens), 0))).numbers.reshape(-1, finer).mean(axis=1)
            numbers = np.tile(means, (n, 1))
        else:
            rows = observed.copy()
            # The token value that means "a number".
            rows[:, self._model.codec.encoding.token_index(name)] = n_atoms
            z = self._quantiles(rows, points.values)
            numbers = encoder.predicted(np.clip(z, -LARGEST_SCORE, LARGEST_SCORE))
        weights = (p[:, n_atoms : encoder.n_values, None] * weights_per_value).reshape(n, -1)
        is_atom = np.repeat([True, encoder.scores.is_discrete], [n_atoms, numbers.shape[1]])
        atoms = np.tile(encoder.atoms, (n, 1))
        return Predictive(np.hstack([atoms, numbers]), np.hstack([p[:, :n_atoms], weights]), is_atom)

    def _token_probabilities(self, observed: Float[np.ndarray, "n width"]) -> Float[np.ndarray, "n values"]:
        model, encoding = self._model, self._model.codec.encoding
        token, column = encoding.token_index(self.targets[0]), encoding.index(self.targets[0])
        assert token is not None
        denoiser = model.process.token_denoiser(model, model.codec.is_missing_value)
        is_target = np.asarray(encoding.with_number, int) == column
        log_p = map_rows(TokenProbabilities(denoiser, is_target, token), observed.astype(np.float32))
        return np.exp(log_p.astype(np.float64))

    def _quantiles(
        self, observed: Float[np.ndarray, "n width"], points: Float[np.ndarray, " m"]
    ) -> Float[np.ndarray, "n m"]:
        """Quantiles of the single target's encoded number, to which the ODE maps quantiles of N(0, 1)."""
        model, encoding = self._model, self._model.codec.encoding
        number = encoding.with_number.index(encoding.index(self.targets[0]))
        function = model.process.number_quantiles(model, number, points.astype(np.float32), has_label=self._has_label)
        return map_rows(function, observed.astype(np.float32)).astype(np.float64)

    def _masses(
        self, observed: Float[np.ndarray, "n width"], edges: Float[np.ndarray, " e"]
    ) -> Float[np.ndarray, "n m"]:
        """Probability of an integer target between edges, for rows whose other cells are all observed."""
        points = normal_points(POINTS).values
        values = self._encoders[self.targets[0]].unrounded(self._quantiles(observed, points))
        below = np.stack([special.ndtr(np.interp(edges, np.sort(row), points, -np.inf, np.inf)) for row in values])
        return np.diff(below, axis=1, prepend=0, append=1)

    def _completions(
        self, observed: Float[np.ndarray, "n width_and_label"]
    ) -> Float[np.ndarray, "draws n width_and_label"]:
        """Draws of the missing cells of rows, given the observed cells except the targets."""
        encoding = self._model.codec.encoding
        # Labels, which may follow the cells, are observed.
        draws = np.tile(observed, (COMPLETIONS, 1, 1))
        draws[:, :, : encoding.width] = completions(self._model, observed, COMPLETIONS)
        # Drop the position in an interval.
        draws[:, :, : encoding.n_tokens] = np.floor(draws[:, :, : encoding.n_tokens])
        # Hide the targets again.
        for name in self._encoders:
            token, numbers = encoding.row_indices[encoding.index(name)]
            draws[:, :, numbers] = observed[:, numbers]
            if token is not None:
                draws[:, :, token] = observed[:, token]
        return draws

    def _decode_targets(self, drawn: Float[np.ndarray, "draws n width"]) -> dict[Any, Float[np.ndarray, "n draws"]]:
        encoding, found = self._model.codec.encoding, {}
        shape, rows = drawn.shape[:2], drawn.reshape(-1, drawn.shape[2]).astype(np.float64)
        for name, encoder in self._encoders.items():
            token, numbers = encoding.row_indices[encoding.index(name)]
            tokens = np.zeros(len(rows)) if token is None else rows[:, token]
            found[name] = encoder.decode(tokens, rows[:, numbers]).values.astype(float).reshape(shape).T
        return found

    def _typed(self, name: Any, values: np.ndarray, *, is_rounded: bool) -> np.ndarray:
        """Values of a target in the type of its column, perhaps rounded to its decimals."""
        return self._encoders[name].typed(values, self._model.codec.layout.type_of(name), is_rounded=is_rounded)


class LabelConditional(Conditional):
    """The distribution of the labels of a Gaussian model; see `Conditional`.

    p(y | x) ∝ p(y) p(x | y), with lower bounds of log p(x | y) up to a constant, like the default of
    `DiffusionClassifier`.
    """

    def _prepare(self) -> None:
        classes, process = self._model.classes, gaussian_of(self._model, "labels are")
        assert classes is not None
        if len(self.targets) > 1:
            raise ValueError(
                "labels of a Gaussian model cannot be predicted together with columns: give one or the other"
            )
        if self._labels is not None:
            raise ValueError(f"target {self.targets[0]!r} is also in labels: leave labels out")
        process.check_noise_levels("conditional")
        self._label_classes = classes
        denoiser: Any = process.denoiser(self._model.network)
        self._bounds = ClassElbos(denoiser, len(classes))
        self._categorical = self._discrete = list(self.targets)
        # Labels are no values of encoded rows.
        self._encoders = {}
        self._has_token_probabilities = True

    def sample(self, X: Any, n_draws: int = 1, *, random_state: RandomState = None) -> np.ndarray:
        check_integer("n_draws", n_draws)
        p = self.predict_proba(X)
        rng = generator_of(seed_of(random_state), HostStream.PREDICTED_LABELS)
        uniform = rng.random((len(p), n_draws))
        indices = (uniform[:, :, None] > np.cumsum(p, axis=1)[:, None, :-1]).sum(axis=2)
        return self._typed(self.targets[0], indices, is_rounded=False)

    def _classes(self) -> np.ndarray:
        return self._label_classes.labels

    def _encode(self, X: Any) -> ObservedRows:
        codec = self._model.codec
        table = aligned(X, codec.layout)
        observed = codec.encode_table(table)
        is_complete = ~np.any([cells.is_missing for cells in table.cells], axis=0)
        # Do not clip to the range of the training rows, as observed values are.
        observed[is_complete] = codec.encode(np.stack([cells.numbers for cells in table.cells], axis=1)[is_complete])
        return observed, np.ones(len(observed), bool)

    def _encode_with_targets(self, X: Any) -> tuple[ObservedRows, LogProbability]:
        (name,) = self.targets
        observed, found = self._encode(X), table_of(with_columns(X, [name]))
        if found is None or found[1] == "array" or name not in found[0].names:
            raise ValueError(f"X has no column {name!r}: log_prob needs its values")
        # A column without any value has the type null, whose cells cannot be read.
        check_present(name, found[0].arrow.column(found[0].names.index(name)).is_null(nan_is_null=True).to_numpy())
        indices = self._label_classes.indices(self._label_classes.labels_in(found[0].column(name)))

        def log_mass(observed: np.ndarray, rows: np.ndarray) -> np.ndarray:
            with np.errstate(divide="ignore"):
                return np.log(self._probabilities(observed)[np.arange(len(observed)), indices[rows]])

        return observed, log_mass

    def _distribution(self, observed: Float[np.ndarray, "n k"], points: NormalPoints) -> Predictive:
        n_classes = len(self._label_classes)
        values = np.tile(np.arange(n_classes, dtype=float), (len(observed), 1))
        return Predictive(values, self._probabilities(observed), np.ones(n_classes, bool))

    def _probabilities(self, observed: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n classes"]:
        """p(y | x) of rows; the mean over draws of missing cells where there are some."""
        found = np.empty((len(observed), len(self._label_classes)))
        for rows, draws in self._draws(observed, ~np.isnan(observed).any(axis=1), 1):
            bounds = map_rows(self._bounds, draws.reshape(-1, draws.shape[2]).astype(np.float32))
            probabilities = posterior(bounds, self._label_classes.counts)
            found[rows] = probabilities.reshape(*draws.shape[:2], -1).mean(axis=0)
        return found

    def _typed(self, name: Any, values: np.ndarray, *, is_rounded: bool) -> np.ndarray:
        labels = self._label_classes.labels
        return labels.astype(object if labels.dtype.kind == "U" else labels.dtype)[values.astype(np.int64)]


def conditional_of(model: Learned, target: Any, labels: Any = None) -> Conditional:
    """Returns the distribution of one or several columns given the others; see `Conditional` for the arguments.

    A ValueError in one line says if a column does not exist, or the model cannot condition on cells.
    """
    if hasattr(target, "tolist"):
        target = target.tolist()
    label_name = None if model.classes is None else model.classes.label_name(model.codec.names or ())
    is_label = label_name is not None and label_name in (target if isinstance(target, list) else [target])
    kind = LabelConditional if is_label and not model.process.has_label_token else Conditional
    return kind(model, target, labels)


def check_present(name: Any, is_missing: Bool[np.ndarray, " n"]) -> None:
    """Raises a ValueError if a cell of a target is missing."""
    if is_missing.any():
        raise ValueError(f"target {name!r} is missing in row {is_missing.argmax()}: log_prob needs its values")
