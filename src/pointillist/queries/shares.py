"""Shares of values in the rows to draw: joint counts that have them and are closest to the model's distribution."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pointillist.arguments import is_missing, is_number, seed_of
from pointillist.columns.encoder import Observed
from pointillist.diffusion.tokens.mixed_likelihood import TokenProbabilities
from pointillist.engine.mapping import map_rows
from pointillist.engine.random_streams import HostStream, generator_of
from pointillist.models.conditioning import allowed_cells, observed_column, split
from pointillist.models.process import Learned
from pointillist.models.request import Request
from pointillist.rules.rule import Conditions

MOST_COMBINATIONS = 10_000
"""Largest number of combinations of values whose probabilities are computed."""

PILOT_ROWS = 4096
"""Number of rows that estimate the joint distribution under ranges, sets and `present`."""

PILOT_PRIOR = 1.0
"""Number of rows that the distribution without these conditions counts as, so that rare combinations stay possible."""

NEGLIGIBLE = 1e-6
"""Largest difference from 1 of a sum of shares that counts as rounding."""

TOLERANCE, MOST_ROUNDS = 1e-9, 10_000
"""Largest error of a fitted share, and most rounds of iterative proportional fitting."""

SPLIT_ROUNDS = 100
"""Number of rounds of iterative proportional fitting of whole counts; rounding corrects the remaining errors."""


Drawn = Callable[[Request], Float[np.ndarray, "n width"]]
"""Draws the encoded rows of a request."""


@dataclass(frozen=True)
class SharedColumn:
    """A column with shares, and the values that it takes in the rows to draw.

    Attributes:
        values: The values, in the types of the table; None for a missing cell.
        tokens: Their tokens, or class indices.
        group: Index in `shares` of each value; values without a share form the last group.
        shares: Fraction of the rows in each group, which sum to 1.
    """

    name: Any
    values: np.ndarray
    tokens: Int[np.ndarray, " v"]
    group: Int[np.ndarray, " v"]
    shares: Float[np.ndarray, " g"]


def with_shares(model: Learned, request: Request, drawn: Drawn) -> Request:
    """Replaces the shares of a request by one value per row.

    The joint distribution of the columns is the one closest to the model's, in relative entropy, that has the shares
    (iterative proportional fitting: Deming & Stephan 1940, "On a least squares adjustment of a sampled frequency
    table"). It is rounded to whole rows at random, and every share is exact up to rounding. A ValueError in one line
    says if the model cannot draw rows with these shares.
    """
    if not request.shares:
        return request
    if request.n_samples is None:
        raise ValueError("shares need a number of rows: give n_samples")
    label = None if model.classes is None else model.classes.label_name(model.codec.names or ())
    where, n = dict(request.where or {}), request.n_samples
    for name in request.shares:
        if name in where or (name == label and request.labels is not None):
            raise ValueError(f"{'where' if name in where else 'labels'} and shares both set column {name!r}: give one")
    several = [name for name, value in where.items() if not isinstance(value, str) and np.ndim(value) > 0]
    if several or np.ndim(request.labels) > 0:
        what = f"where gives column {several[0]!r}" if several else "labels gives"
        raise ValueError(f"{what} one value per row, which shares would set in any order: give a single value")
    columns = [_shared_column(model, name, shares, label) for name, shares in request.shares.items()]
    n_combinations = int(np.prod([len(column.tokens) for column in columns]))
    if n_combinations > MOST_COMBINATIONS:
        raise ValueError(
            f"shares combine {n_combinations:,} values, more than {MOST_COMBINATIONS:,}: give shares of fewer columns"
        )
    seed = seed_of(request.random_state)
    request = replace(request, shares=None, random_state=seed)
    rng = generator_of(seed, HostStream.SHARES)
    counts = whole_counts(proportional_fit(_joint(model, request, columns, drawn), columns), columns, n, rng)
    combinations = rng.permutation(np.repeat(np.arange(counts.size), counts.ravel()))
    for column, index in zip(columns, np.unravel_index(combinations, counts.shape), strict=True):
        values = column.values[index]
        if column.name == label:
            request = replace(request, labels=np.array(values.tolist()))
        else:
            where[column.name] = values
    return replace(request, where=where or None)


def _shared_column(model: Learned, name: Any, shares: Any, label: Any) -> SharedColumn:
    if not isinstance(shares, Mapping) or not shares:
        raise ValueError(f"shares of column {name!r} must map values to fractions, as {{'a': 0.5}}, not {shares!r:.60}")
    for share in shares.values():
        if not (is_number(share) and 0 <= share <= 1):
            raise ValueError(f"a share of column {name!r} is {share!r}: give a fraction from 0 to 1")
    values, listed = _values_and_tokens(model, name, list(shares), label)
    if len(np.unique(listed)) < len(listed):
        raise ValueError(f"shares of column {name!r} list a value twice")
    fractions = np.array(list(shares.values()), float)
    total, are_all = fractions.sum(), len(listed) == len(values)
    if total > 1 + NEGLIGIBLE or (are_all and total < 1 - NEGLIGIBLE):
        raise ValueError(
            f"shares of column {name!r} add up to {total:.6g}: make the sum {'' if are_all else 'at most '}1"
        )
    group = np.full(len(values), len(listed))
    group[listed] = np.arange(len(listed))
    found = np.append(fractions, 1 - total if total < 1 - NEGLIGIBLE else 0.0)
    found /= found.sum()
    tokens = np.flatnonzero(found[group] > 0)
    return SharedColumn(name, values[tokens], tokens, group[tokens], found)


def _values_and_tokens(
    model: Learned, name: Any, wanted: Sequence[Any], label: Any
) -> tuple[np.ndarray, Int[np.ndarray, " w"]]:
    """Returns all values of a column in token order, and the tokens of the values that have shares."""
    codec, classes = model.codec, model.classes
    if name == label and classes is not None and not model.process.has_label_token:
        return classes.labels.astype(object), np.array([int(classes.indices([value])[0]) for value in wanted])
    encoder, kind = codec.encoding.encoder(name), codec.layout.type_of(name)
    if not encoder.has_token or not encoder.is_discrete:
        raise ValueError(
            f"column {name!r} holds continuous numbers, which have no shares: draw each range with where and between"
        )
    values = np.full(encoder.size, None, object)
    values[: encoder.n_values] = list(encoder.typed(encoder.value_cells().values, kind, is_rounded=False))
    cells = observed_column(codec, name, [None if is_missing(value) else value for value in wanted], classes)
    tokens = encoder.encode(cells)[0].astype(int)
    decoded = encoder.decode(tokens.astype(float), np.empty((len(tokens), 0)))
    is_other = ~cells.is_missing & (cells.categories is None) & (decoded.values != cells.values)
    if is_other.any():
        raise ValueError(f"column {name!r}: no training row is {wanted[int(is_other.argmax())]!r}: leave it out")
    return values, tokens


def _joint(
    model: Learned, request: Request, columns: Sequence[SharedColumn], drawn: Drawn
) -> Float[np.ndarray, "*values"]:
    """Probability of each combination of values under the model, given the labels and `where` of the request."""
    shape = [len(column.tokens) for column in columns]
    if len(columns) == 1 and np.bincount(columns[0].group).max() == 1:
        # A single column with a share for each value needs no probabilities.
        return np.ones(shape)
    if not model.process.has_label_token:
        if request.where:
            raise ValueError(f"shares of column {columns[0].name!r} together with where: give every label a share")
        assert model.classes is not None
        return model.classes.counts[columns[0].tokens].astype(float)
    codec, encoding = model.codec, model.codec.encoding
    observed, conditions = split(model.process.resolve_labels(model, request)[1])
    cells = {name: observed_column(codec, name, value, model.classes) for name, value in observed.items()}
    rows, joint = codec.observed_rows(cells, 1), np.ones(1)
    indices = [encoding.with_token.index(encoding.index(column.name)) for column in columns]
    denoiser = model.process.token_denoiser(model)
    for index, column in zip(indices, columns, strict=True):
        function = TokenProbabilities(denoiser, np.zeros(len(encoding.with_number), bool), index)
        log_p = map_rows(function, rows.astype(np.float32))[:, column.tokens].astype(np.float64)
        joint = (joint[:, None] * np.exp(log_p)).ravel()
        rows = np.repeat(rows, len(column.tokens), axis=0)
        rows[:, index] = np.tile(column.tokens, len(rows) // len(column.tokens))
    allowed = {encoding.index(each.name): each for each in allowed_cells(codec, conditions)}
    if allowed:
        pilot = drawn(replace(request, n_samples=PILOT_ROWS))
        matches = [pilot[:, [i]] == column.tokens for i, column in zip(indices, columns, strict=True)]
        is_used = np.all([match.any(axis=1) for match in matches], axis=0)
        combinations = np.ravel_multi_index([match[is_used].argmax(axis=1) for match in matches], shape)
        joint = np.bincount(combinations, minlength=joint.size) + PILOT_PRIOR * joint / joint.sum()
    shared = {
        encoding.index(column.name): observed_column(codec, column.name, column.values[index], model.classes)
        for column, index in zip(columns, np.unravel_index(np.arange(joint.size), shape), strict=True)
    }
    all_observed: Observed = shared | {encoding.index(name): column for name, column in cells.items()}
    for rule in codec.rules:
        if not set(shared).isdisjoint(rule.columns):
            joint = np.where(rule.contradicted(Conditions(encoding.columns, all_observed, dict(allowed))), 0.0, joint)
    return joint.reshape(shape)


def proportional_fit(
    joint: Float[np.ndarray, "*values"], columns: Sequence[SharedColumn]
) -> Float[np.ndarray, "*values"]:
    """Scales a joint distribution along one column after another until it has all shares.

    Raises:
        ValueError: If no distribution has the shares and the zeros of the joint distribution.
    """
    names = " and ".join(repr(column.name) for column in columns)
    impossible = ValueError(f"no rows have these shares of {names}, because some values of these columns never meet")
    table = joint
    for _ in range(MOST_ROUNDS):
        errors = []
        for axis, column in enumerate(columns):
            found = np.bincount(column.group, _margin(table, axis), len(column.shares))
            if (found[column.shares > 0] == 0).any():
                raise impossible
            errors.append(np.abs(found - column.shares).max())
            factors = _ratios(column.shares, found)[column.group]
            table = table * np.expand_dims(factors, [other for other in range(table.ndim) if other != axis])
        if max(errors) < TOLERANCE:
            return table
    raise impossible


def _margin(table: Float[np.ndarray, "*values"], axis: int) -> Float[np.ndarray, " v"]:
    return table.sum(axis=tuple(other for other in range(table.ndim) if other != axis))


def whole_counts(
    fitted: Float[np.ndarray, "*values"], columns: Sequence[SharedColumn], n: int, rng: np.random.Generator
) -> Int[np.ndarray, "*values"]:
    """Rounds n times a joint distribution to integers at random; each value's count is rounded up or down.

    Columns are added one by one: each time, the counts so far are split among the values of the next column. Where
    zeros of the distribution leave no other way, the counts of values differ from the rounded ones.
    """
    counts = np.array([n])
    for axis in range(fitted.ndim):
        together = fitted.sum(axis=tuple(range(axis + 1, fitted.ndim))).reshape(len(counts), -1)
        wanted = _rounded(n * _margin(fitted, axis), n, rng)
        for _ in range(SPLIT_ROUNDS):
            together = together * _ratios(wanted, together.sum(axis=0))
            together = together * _ratios(counts, together.sum(axis=1))[:, None]
        counts = _transported(together, counts, wanted, rng).ravel()
    return counts.reshape(fitted.shape)


def _ratios(wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    return np.divide(wanted, found, out=np.zeros(len(found)), where=found > 0)


def _rounded(numbers: Float[np.ndarray, " v"], total: int, rng: np.random.Generator) -> Int[np.ndarray, " v"]:
    """Rounds numbers up or down at random, to integers with a given sum."""
    # A number that is whole up to errors of arithmetic stays as it is.
    numbers = numbers.round(6)
    rounded = np.floor(numbers).astype(int)
    up = np.argsort(-_noisy(numbers - rounded, rng), kind="stable")[: total - rounded.sum()]
    rounded[up] += 1
    return rounded


def _noisy(fractions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scores above 0 with the probabilities given by the fractions: their logits plus logistic noise."""
    with np.errstate(divide="ignore"):
        return np.log(fractions) - np.log1p(-fractions) + rng.logistic(size=fractions.shape)


def _transported(
    table: Float[np.ndarray, "r c"],
    rows: Int[np.ndarray, " r"],
    wanted: Int[np.ndarray, " c"],
    rng: np.random.Generator,
) -> Int[np.ndarray, "r c"]:
    """Rounds a table to integers that have the sums of its rows and, where its zeros allow it, of its columns."""
    from scipy.optimize import linprog
    from scipy.sparse import coo_array, eye_array, hstack, vstack

    whole = np.floor(table.round(6)).astype(int)
    row, column = np.nonzero(table)
    n_rows, n_columns, n_cells = *table.shape, len(row)
    missing_rows, missing_columns = rows - whole.sum(axis=1), wanted - whole.sum(axis=0)
    score = _noisy(np.clip(table[row, column] - whole[row, column], 1e-6, 1 - 1e-6), rng)
    one, cell = np.ones(n_cells), np.arange(n_cells)
    by_row = coo_array((one, (row, cell)), shape=(n_rows, n_cells + 2 * n_columns))
    slack = eye_array(n_columns)
    by_column = hstack([coo_array((one, (column, cell)), shape=(n_columns, n_cells)), slack, -slack])
    # A count that differs from the wanted one costs more than all scores together.
    price = np.full(2 * n_columns, 1 + np.abs(score).sum())
    solved = linprog(
        np.concatenate([-score, price]),
        A_eq=vstack([by_row, by_column]).tocsr(),
        b_eq=np.concatenate([missing_rows, missing_columns]),
        method="highs-ds",
    )
    np.add.at(whole, (row, column), solved.x[:n_cells].round().astype(int))
    return whole
