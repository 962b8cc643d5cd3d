"""`Conditional`: the distribution of some columns of a table given the others."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.arguments import RandomState
from pointillist.diffusion.mixed_likelihood import NumberQuantiles, TokenProbabilities
from pointillist.diffusion.mixed_sampling import LARGEST_SCORE, SCHEDULE, MixedDenoiser
from pointillist.engine.mapping import map_rows
from pointillist.models import predictive
from pointillist.models.drawing import completed
from pointillist.models.given import Given, conditional_parts, given_cells
from pointillist.models.mixed_density import log_probability
from pointillist.models.number_conditional import NumberConditional
from pointillist.models.predictive import COMPLETIONS, DRAWS, LEVELS, Predictive, summarized
from pointillist.models.process import Learned
from pointillist.points.column_code import ColumnCode
from pointillist.points.mixed import Cells, MixedTable, kind_of, to_arrow
from pointillist.points.number_codec import NumberCodec

PLACES = 4
"""Number of places in an interval of numbers that stand for it."""


class Conditional:
    """The distribution of one column, or of several, given the others.

    Missing cells of the others are unknown: the distribution is then a mean over `COMPLETIONS` draws of them, except
    for the probabilities of single values, which the network gives as they are. The cells that are asked for are not
    missing: where training rows lacked them, the distribution is that of the others. It leaves relations between
    columns out.

    Args:
        model: The model.
        target: Name of a column, or a list of names; of an array, the columns' positions.
        labels: Labels that are given and have no column in the tables, one for all rows or one per row.

    Raises:
        ValueError: In one line, if there is no such column, or no cells can be given to the model.
    """

    def __init__(self, model: Learned, target: Any, labels: Any = None) -> None:
        codec, _ = conditional_parts(model)
        self._model, self._codec = model, codec
        self._is_one = not isinstance(target, list)
        self.targets = predictive.checked_targets(target)
        self._codes = [codec.encoding.code(name) for name in self.targets]
        self._labels = labels
        column = None if labels is None or model.classes is None else model.classes.column
        if column is not None and column[0] in self.targets:
            raise ValueError(f"target {column[0]!r} is given by labels too: leave labels out")
        if len(self._codes) == len(codec.encoding.columns):
            raise ValueError("conditional needs a column that is given, and all are targets: leave one of them out")

    @cached_property
    def classes_(self) -> np.ndarray:
        """The values of a target of categories or few numbers, in the order of `predict_proba`."""
        (code,) = self._one_of("classes_ are")
        if code.scores is not None:
            raise ValueError(f"column {code.name!r} holds numbers of any size: ask for quantiles")
        return self._typed(code, np.arange(code.n_values) if code.categories is not None else code.atoms)

    def predict(self, X: Any, statistic: str | None = None) -> Any:
        """Predicts the target of each row.

        The distribution of one target is given by the probabilities of its single values, and by `LEVELS` quantiles of
        its numbers, which the probability-flow ODE takes there from those of N(0, 1). That of several is given by
        `DRAWS` draws of each row, and summarized column by column.

        Args:
            X: A table with the columns of `fit`, in any container; targets may be left out, and are not looked at.
            statistic: "mean", "median" or "mode"; by default the mean of numbers and the mode of categories.

        Returns:
            Shape (n,); for several targets, a dictionary of such arrays by column.
        """
        predictive.checked_statistic(statistic)
        for code in self._codes:
            if code.categories is not None and statistic in ("mean", "median"):
                raise ValueError(f"column {code.name!r} holds categories, which have no {statistic}: take 'mode'")

        def summary(code: ColumnCode, distribution: Predictive) -> np.ndarray:
            own = statistic or ("mean" if code.categories is None else "mode")
            found = distribution.quantiles(np.array([0.5]))[:, 0] if own == "median" else getattr(distribution, own)()
            return self._typed(code, found if own == "mean" else self._rounded(code, found))

        return self._of_each(X, summary)

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n classes"]:
        """Computes the probability of each of `classes_`, by one evaluation of the network; shape (n, classes)."""
        n_classes = len(self.classes_)
        given = given_cells(self._model, X, self.targets, self._labels)
        return self._token_probabilities(given.known)[:, :n_classes]

    def quantiles(self, X: Any, levels: Sequence[float]) -> Any:
        """Computes quantiles of a target of numbers.

        Args:
            X: A table; see `predict`.
            levels: The quantiles' levels, in (0, 1).

        Returns:
            Shape (n, levels); for several targets, a dictionary of such arrays by column.
        """
        asked = predictive.checked_levels(levels)
        for code in self._codes:
            if code.categories is not None:
                raise ValueError(f"column {code.name!r} holds categories, which have no quantiles: take predict_proba")

        def summary(code: ColumnCode, distribution: Predictive) -> np.ndarray:
            return self._typed(code, self._rounded(code, distribution.quantiles(asked)))

        return self._of_each(X, summary)

    def sample(self, X: Any, n_draws: int = 1, *, random_state: RandomState = None) -> Any:
        """Draws the target of each row; missing cells of the other columns are drawn too.

        Args:
            X: A table; see `predict`.
            n_draws: Number of draws of each row.
            random_state: Seed.

        Returns:
            Shape (n, n_draws); for several targets, a dictionary of such arrays by column, drawn together.
        """
        given = given_cells(self._model, X, self.targets, self._labels)
        values = self._drawn(given, predictive.checked_draws(n_draws), random_state)
        return self._collected([self._typed(code, own) for code, own in zip(self._codes, values, strict=True)])

    def log_prob(self, X: Any) -> Float[np.ndarray, " n"]:
        """Computes the log of mass times density of the targets of each row given its other cells, in nats.

        It is in the units of the table, and -inf for values without mass; see `Diffusion.score_samples`, of which it is
        the part of the targets: tokens given the other cells, and numbers by the probability-flow ODE given all.

        Args:
            X: A table with all columns of `fit`.

        Raises:
            ValueError: If X lacks a target, or one of its cells.
        """
        given = given_cells(self._model, X, self.targets, self._labels)
        cells = self._target_cells(given.table)
        found = np.empty(len(given.known))
        numbers = any(self._is_number(code) for code in self._codes)
        direct = np.flatnonzero(given.is_whole) if numbers else np.arange(len(found))
        found[direct] = self._log_probability(given.known[direct], cells, direct)
        rest = np.setdiff1d(np.arange(len(found)), direct)
        if len(rest):
            draws = self._completions(given.known[rest])
            of_draws = self._log_probability(draws.reshape(-1, draws.shape[2]), cells, np.tile(rest, len(draws)))
            of_draws = of_draws.reshape(len(draws), len(rest))
            found[rest] = np.logaddexp.reduce(of_draws, axis=0) - np.log(len(draws))
        return found

    def _of_each(self, X: Any, summary: Callable[[ColumnCode, Predictive], np.ndarray]) -> Any:
        """What a function makes of the distribution of each target."""
        given = given_cells(self._model, X, self.targets, self._labels)
        if self._is_one:
            of_one = partial(summary, self._codes[0])
            return summarized(given.known, given.is_whole, self._of_complete, self._of_incomplete, of_one)
        equal = np.full((len(given.known), DRAWS), 1 / DRAWS)
        values = self._drawn(given, DRAWS, 0)
        distributions = [
            Predictive(own, equal, np.full(DRAWS, code.scores is None))
            for code, own in zip(self._codes, values, strict=True)
        ]
        return self._collected(
            [summary(code, distribution) for code, distribution in zip(self._codes, distributions, strict=True)]
        )

    def _of_complete(self, known: Float[np.ndarray, "n width"], levels: int = LEVELS) -> Predictive:
        """The distribution of the single target of rows whose other cells are all given."""
        from scipy.special import ndtri

        code, n = self._codes[0], len(known)
        p = self._token_probabilities(known)
        if code.categories is not None or code.scores is None:
            values = np.arange(code.n_values) if code.categories is not None else code.atoms
            return Predictive(np.tile(values.astype(float), (n, 1)), p[:, : code.n_values], np.ones(len(values), bool))
        atoms = np.tile(code.atoms, (n, 1))
        if code.has_intervals:
            inside = np.tile((np.arange(PLACES) + 0.5) / PLACES, code.n_intervals)
            tokens = np.repeat(np.arange(code.n_intervals), PLACES) + len(code.atoms)
            points = np.tile(code.decode(tokens + inside, np.zeros(len(tokens)))[0], (n, 1))
            weights = np.repeat(p[:, len(code.atoms) : code.n_values], PLACES, axis=1) / PLACES
        else:
            starts = ndtri((np.arange(levels) + 0.5) / levels).astype(np.float32)
            z = map_rows(NumberQuantiles(self._mixed, SCHEDULE, self._is_asked, starts), self._with_number(known))
            z = np.clip(z.astype(np.float64), -LARGEST_SCORE, LARGEST_SCORE)
            points = code.decode(np.full(z.size, float(len(code.atoms))), z.ravel())[0].reshape(z.shape)
            weights = np.repeat(p[:, len(code.atoms) : code.n_values], levels, axis=1) / levels
        assert code.scores is not None
        is_atom = np.repeat([True, code.scores.is_discrete], [len(code.atoms), points.shape[1]])
        return Predictive(np.hstack([atoms, points]), np.hstack([p[:, : len(code.atoms)], weights]), is_atom)

    def _of_incomplete(self, known: Float[np.ndarray, "n width"]) -> Predictive:
        """The distribution of the single target of rows of which other cells are missing too."""
        code = self._codes[0]
        if not self._is_number(code):
            return self._of_complete(known)
        draws = self._completions(known)
        own = self._of_complete(draws.reshape(-1, draws.shape[2]), levels=max(2, 4 * LEVELS // len(draws)))
        return own.pooled(len(draws))

    def _completions(self, known: Float[np.ndarray, "n width"]) -> Float[np.ndarray, "draws n width"]:
        """Draws of the missing cells of rows, with the targets hidden again."""
        draws = completed(self._model, known, COMPLETIONS, 0).astype(np.float64)
        # In an interval of numbers, without the place.
        n_tokens = len(self._codec.encoding.columns)
        draws[:, :, :n_tokens] = np.floor(draws[:, :, :n_tokens])
        for code in self._codes:
            place, score = self._codec.encoding.place(code.name), self._codec.encoding.score_place(code.name)
            draws[:, :, place] = known[:, place]
            if score is not None:
                draws[:, :, score] = np.nan
        return draws

    def _drawn(self, given: Given, n_draws: int, random_state: RandomState) -> list[np.ndarray]:
        """Values of each target, shape (n, n_draws), as `ColumnCode.decode` returns them."""
        rows = completed(self._model, given.known, n_draws, random_state).astype(np.float64)
        encoding, found = self._codec.encoding, []
        for code in self._codes:
            score = encoding.score_place(code.name)
            tokens = rows[:, :, encoding.place(code.name)]
            scores = np.zeros(tokens.shape) if score is None else rows[:, :, score]
            found.append(code.decode(tokens.ravel(), scores.ravel())[0].astype(float).reshape(tokens.shape).T)
        return found

    def _token_probabilities(self, known: Float[np.ndarray, "n width"]) -> Float[np.ndarray, "n values"]:
        denoiser = self._denoiser
        of_tokens = denoiser.of_tokens if isinstance(denoiser, MixedDenoiser) else denoiser
        place = self._codec.encoding.place(self.targets[0])
        function = TokenProbabilities(of_tokens, self._is_asked, (place,))
        return np.exp(map_rows(function, known.astype(np.float32)).astype(np.float64))

    def _log_probability(self, known: np.ndarray, cells: dict[int, Cells], rows: np.ndarray) -> np.ndarray:
        if not len(rows):
            return np.empty(0)
        own = {place: Cells(each.values[rows], each.is_missing[rows], each.categories) for place, each in cells.items()}
        return log_probability(self._model, known, own, is_present=True)

    def _target_cells(self, table: MixedTable) -> dict[int, Cells]:
        """The cells of the targets, none of them missing."""
        found = {}
        for code in self._codes:
            place = self._codec.encoding.place(code.name)
            if place >= len(table.cells):
                raise ValueError(f"column {code.name!r} is apart from the table: take predict_proba")
            missing = np.flatnonzero(table.cells[place].is_missing)
            if len(missing):
                raise ValueError(f"the target {code.name!r} is missing in row {missing[0]}: log_prob needs its values")
            found[place] = table.cells[place]
        return found

    def _one_of(self, what: str) -> tuple[ColumnCode]:
        if not self._is_one:
            raise ValueError(f"{what} for one target, and these are {len(self.targets)}: ask for one")
        return (self._codes[0],)

    @staticmethod
    def _is_number(code: ColumnCode) -> bool:
        """Whether numbers stand beside a column's token."""
        return code.scores is not None and not code.has_intervals

    @property
    def _is_asked(self) -> np.ndarray:
        """Which of the numbers beside tokens are targets'."""
        encoding = self._codec.encoding
        return np.array([encoding.columns[place].name in self.targets for place in encoding.with_number], bool)

    @cached_property
    def _denoiser(self) -> Any:
        codec, process = conditional_parts(self._model)
        return process.plain(self._model, codec.stands_for_missing)

    @property
    def _mixed(self) -> MixedDenoiser:
        assert isinstance(self._denoiser, MixedDenoiser)
        return self._denoiser

    def _with_number(self, known: np.ndarray) -> Float[np.ndarray, "n width"]:
        """Rows in which the target's token says that there is a number."""
        rows = known.astype(np.float32)
        code = self._codes[0]
        rows[:, self._codec.encoding.place(code.name)] = len(code.atoms)
        return rows

    def _collected(self, found: list[np.ndarray]) -> Any:
        return found[0] if self._is_one else dict(zip(self.targets, found, strict=True))

    @staticmethod
    def _rounded(code: ColumnCode, values: np.ndarray) -> np.ndarray:
        """Values to the column's digits, as all of its values are."""
        return values if code.categories is not None else code.rounded(values)

    def _typed(self, code: ColumnCode, values: np.ndarray) -> np.ndarray:
        """Values as the column holds them: categories, dates, or numbers as float64."""
        import pyarrow as pa

        if code.categories is not None:
            kinds = {type(category) for category in code.categories}
            known = np.array(code.categories, object if kinds == {str} else None)
            return known[values.astype(np.int64)]
        kind = self._codec.layout.type_of(code.name)
        if kind is None or kind_of(kind) != "date":
            return np.asarray(values, float)
        cells = Cells(code.rounded(values.ravel()), np.zeros(values.size, bool))
        column = to_arrow([cells], pa.schema([("x", kind)]))[0]
        return column.to_numpy().reshape(values.shape)


def conditional_of(model: Learned, target: Any, labels: Any = None) -> Conditional | NumberConditional:
    """Returns the distribution of one column, or of several, given the others; see `Conditional`.

    Args:
        model: The model, of mixed columns or of numbers.
        target: Name of a column, or a list of names; of an array, the columns' positions.
        labels: Labels that are given and have no column in the tables, one for all rows or one per row.

    Raises:
        ValueError: In one line, if there is no such column, or no cells can be given to the model.
    """
    kind = NumberConditional if isinstance(model.codec, NumberCodec) else Conditional
    return kind(model, target, labels)
