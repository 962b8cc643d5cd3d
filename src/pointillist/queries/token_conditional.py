"""`TokenConditional`: the distribution of some columns of a table of mixed columns given the others."""

from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.diffusion.tokens.mixed_likelihood import NumberQuantiles, TokenProbabilities
from pointillist.diffusion.tokens.mixed_sampling import LARGEST_SCORE, SCHEDULE, MixedDenoiser
from pointillist.engine.mapping import map_rows
from pointillist.models.masked import MaskedProcess
from pointillist.models.process import Learned
from pointillist.models.token_codec import TokenCodec
from pointillist.queries.conditional import Conditional, Known, LogProbability
from pointillist.queries.imputation import completions
from pointillist.queries.mixed_density import log_probability
from pointillist.queries.observed import Observed, observed_cells
from pointillist.queries.predictive import COMPLETIONS, NormalPoints, Predictive
from pointillist.tables.table import Column

PLACES, FINER = 8, 4
"""Number of points that stand for an interval of numbers, and of the places whose mean each of them is."""


class TokenConditional(Conditional):
    """The distribution of some columns by a model of tokens, and perhaps numbers beside them; see `Conditional`."""

    def __init__(self, model: Learned, target: Any, labels: Any = None) -> None:
        super().__init__(model, target, labels)
        assert isinstance(model.codec, TokenCodec)
        self._codec, encoding = model.codec, model.codec.encoding
        self._codes = {name: encoding.code(name) for name in self.targets}
        column = None if labels is None or model.classes is None else model.classes.column
        if column is not None and column[0] in self.targets:
            raise ValueError(f"target {column[0]!r} is given by labels too: leave labels out")
        self._check_others(len(encoding.columns))
        self._categorical = [name for name, code in self._codes.items() if code.has_categories]
        self._discrete = [name for name, code in self._codes.items() if code.scores is None]
        self._has_numbers = any(code.has_number for code in self._codes.values())

    def _classes(self) -> np.ndarray | None:
        if not self._is_one:
            raise ValueError(f"classes_ are for one target, and these are {len(self.targets)}: ask for one")
        (name,) = self.targets
        code = self._codes[name]
        return None if code.scores is not None else self._typed(name, code.value_cells().values, is_rounded=False)

    def _known(self, X: Any) -> Known:
        return self._of_given(observed_cells(self._model, X, self.targets, self._labels))

    def _of_given(self, given: Observed) -> Known:
        # Tokens need no draws: the network knows their probabilities whatever else is hidden.
        return given.known, given.is_whole | (not self._has_numbers)

    def _measured(self, X: Any) -> tuple[Known, LogProbability, Float[np.ndarray, " n"]]:
        given = observed_cells(self._model, X, self.targets, self._labels, are_read=True)
        cells = {}
        for name in self.targets:
            place = self._codec.encoding.place(name)
            if place >= len(given.table.cells):
                raise ValueError(f"column {name!r} is apart from the table: take predict_proba")
            own = cells[place] = given.table.cells[place]
            if own.is_missing.any():
                row = own.is_missing.argmax()
                raise ValueError(f"the target {name!r} is missing in row {row}: log_prob needs its values")

        def log_mass(known: np.ndarray, places: np.ndarray) -> np.ndarray:
            own = {i: Column(c.values[places], c.is_missing[places], c.categories) for i, c in cells.items()}
            return log_probability(self._model, known, own, is_present=True)

        return self._of_given(given), log_mass, np.zeros(len(given.known))

    def _of_complete(self, known: Float[np.ndarray, "n width"], points: NormalPoints) -> Predictive:
        model, encoding, name, n = self._model, self._codec.encoding, self.targets[0], len(known)
        code, place, rows = self._codes[name], encoding.place(name), known.astype(np.float32)
        assert isinstance(model.process, MaskedProcess)
        denoiser = model.process.plain(model, self._codec.stands_for_missing, has_given=True)
        of_tokens = denoiser.of_tokens if isinstance(denoiser, MixedDenoiser) else denoiser
        is_asked = np.array([encoding.columns[number] is code for number in encoding.with_number], bool)
        p = np.exp(map_rows(TokenProbabilities(of_tokens, is_asked, (place,)), rows).astype(np.float64))
        if code.scores is None:
            values = np.tile(code.value_cells().values.astype(float), (n, 1))
            return Predictive(values, p[:, : code.n_values], np.ones(code.n_values, bool))
        n_atoms, shares = len(code.atoms), points.weights
        if code.has_intervals:
            shares = np.full(PLACES, 1 / PLACES)
            # Means over longer intervals of long tails would be low; single values have none.
            finer = 1 if code.scores.is_discrete else FINER
            inside = np.tile((np.arange(PLACES * finer) + 0.5) / (PLACES * finer), code.n_intervals)
            tokens = np.repeat(np.arange(code.n_intervals), PLACES * finer) + n_atoms
            means = code.decode(tokens + inside, np.zeros(len(tokens)))[0].reshape(-1, finer).mean(axis=1)
            numbers = np.tile(means, (n, 1))
        else:
            assert isinstance(denoiser, MixedDenoiser)
            rows[:, place] = n_atoms  # The token that says that there is a number.
            z = map_rows(NumberQuantiles(denoiser, SCHEDULE, is_asked, points.values.astype(np.float32)), rows)
            z = np.clip(z.astype(np.float64), -LARGEST_SCORE, LARGEST_SCORE)
            numbers = code.decode(np.full(z.size, float(n_atoms)), z.ravel())[0].reshape(z.shape)
        weights = (p[:, n_atoms : code.n_values, None] * shares).reshape(n, -1)
        is_atom = np.repeat([True, code.scores.is_discrete], [n_atoms, numbers.shape[1]])
        atoms = np.tile(code.atoms, (n, 1))
        return Predictive(np.hstack([atoms, numbers]), np.hstack([p[:, :n_atoms], weights]), is_atom)

    def _completions(self, known: Float[np.ndarray, "n width"]) -> Float[np.ndarray, "draws n width"]:
        draws = completions(self._model, known, COMPLETIONS).astype(np.float64)
        encoding = self._codec.encoding
        # In an interval of numbers, without the place.
        n_tokens = len(encoding.columns)
        draws[:, :, :n_tokens] = np.floor(draws[:, :, :n_tokens])
        # The targets are hidden again.
        for name in self.targets:
            place, score = encoding.place(name), encoding.score_place(name)
            draws[:, :, place] = known[:, place]
            if score is not None:
                draws[:, :, score] = np.nan
        return draws

    def _targets_of(self, drawn: Float[np.ndarray, "draws n width"]) -> dict[Any, Float[np.ndarray, "n draws"]]:
        encoding, found = self._codec.encoding, {}
        for name, code in self._codes.items():
            score, tokens = encoding.score_place(name), drawn[:, :, encoding.place(name)].astype(np.float64)
            scores = np.zeros(tokens.shape) if score is None else drawn[:, :, score].astype(np.float64)
            found[name] = code.decode(tokens.ravel(), scores.ravel())[0].astype(float).reshape(tokens.shape).T
        return found

    def _typed(self, name: Any, values: np.ndarray, *, is_rounded: bool) -> np.ndarray:
        return self._codes[name].typed(values, self._codec.layout.type_of(name), is_rounded=is_rounded)
