"""Log-probabilities of rows of tokens and numbers, all of their cells or some given others."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from pointillist.diffusion.tokens.masking import Tokens
from pointillist.diffusion.tokens.mixed_likelihood import GIVEN, NumberLogDensity, TokenLogProbability
from pointillist.diffusion.tokens.mixed_sampling import SCHEDULE, MixedDenoiser
from pointillist.diffusion.tokens.token_sampling import HIDDEN, steps_of
from pointillist.engine.mapping import map_rows
from pointillist.models.masked import MaskedProcess
from pointillist.models.process import Learned
from pointillist.models.token_codec import TokenCodec
from pointillist.tables.table import Column, Table

ORDERS = 4
"""Number of fixed orders of tokens that are drawn in any, over whose probabilities that of a row is the mean."""

PLACES = 4
"""Number of points in a wide grid cell over which its density is averaged."""


def _of_tokens(model: Learned) -> tuple[TokenCodec, MaskedProcess]:
    """Returns codec and process of a model of tokens.

    Raises:
        ValueError: If the model is of numbers.
    """
    if not isinstance(model.codec, TokenCodec) or not isinstance(model.process, MaskedProcess):
        raise ValueError("this needs models of tokens, and this one is of numbers: fit the table with process='masked'")
    return model.codec, model.process


def joint_log_density(model: Learned, table: Table) -> Float[np.ndarray, " n"]:
    """Log of probability mass of discrete cells times density of numbers, in nats, in the units of the table.

    Args:
        model: A model of tokens. If it has labels apart from the table, the distribution is that of all classes
            together.
        table: A table with the model's columns.
    """
    codec, _ = _of_tokens(model)
    encoding, n = codec.encoding, len(table)
    known = codec.unknown_rows(n, HIDDEN)
    cells = dict(enumerate(table.cells))
    if len(encoding.columns) == len(cells):
        return log_probability(model, known, cells)
    label = encoding.columns[-1]
    of_class = []
    for place in range(label.n_values):
        own = label.value_cells().take(np.full(n, place))
        of_class.append(log_probability(model, known, {**cells, len(cells): own}))
    return np.logaddexp.reduce(of_class, axis=0)


def log_probability(
    model: Learned, known: Float[np.ndarray, "n width"], cells: Mapping[int, Column], *, is_present: bool = False
) -> Float[np.ndarray, " n"]:
    """Log of mass times density of some cells given others, in nats, in the units of the table; -inf where it is 0.

    The tokens' probability is that of drawing them in the order of the columns; where they are drawn in any order, it
    is the mean over `ORDERS` fixed ones, each of which is a distribution of its own. Numbers have the density
    of the probability-flow ODE given all tokens and the known numbers, or its mean over `PLACES` points of a lattice
    within wide cells of a column's grid.

    Args:
        model: A model of tokens.
        known: Tokens and scores of the cells that are given; hidden and NaN for the others. If a number is asked for,
            all cells must be given that are not asked for.
        cells: The cells that are asked for, by the position of their column.
        is_present: Whether it is known that no cell is missing.
    """
    codec, process = _of_tokens(model)
    encoding, n = codec.encoding, len(known)
    if n == 0:
        return np.zeros(0)
    is_asked = np.array([place in cells for place in encoding.with_number], bool)
    forbidden = codec.stands_for_missing if is_present else None
    denoiser = process.plain(model, forbidden, has_given=not is_asked.all())
    of_mixed = denoiser if isinstance(denoiser, MixedDenoiser) else None
    codes = {place: encoding.columns[place] for place in cells}
    wide = [place for place, code in codes.items() if code.has_wide_cells]
    of_numbers = []
    for lattice in _lattice(len(wide)):
        rows, factors = known.copy(), np.zeros(n)
        for place, own in cells.items():
            inside = lattice[wide.index(place)] if place in wide else 0.5
            found = codes[place].volume(own, np.full(n, inside))
            is_unknown = own.is_missing & (codec.missing == "unknown")
            rows[:, place] = np.where(is_unknown, HIDDEN, found.tokens)
            factors += np.where(is_unknown, 0.0, found.log_factors)
            score = encoding.score_place(codes[place].name)
            if score is not None:
                rows[:, score] = np.where(is_unknown, np.nan, found.scores)
        density = np.zeros(n)
        if of_mixed is not None and is_asked.any():
            asked = tuple(np.flatnonzero(is_asked).tolist())
            density = map_rows(NumberLogDensity(of_mixed, SCHEDULE, asked), rows.astype(np.float32))
        # Cells without mass stand in the rows as any others.
        of_numbers.append(np.where(factors > -np.inf, density.astype(np.float64) + factors, -np.inf))
    steps = orders(process.architecture.tokens, list(cells))
    of_tokens_alone = denoiser.of_tokens if isinstance(denoiser, MixedDenoiser) else denoiser
    function = TokenLogProbability(of_tokens_alone, steps, is_asked, int(steps.max()))
    mass = map_rows(function, rows.astype(np.float32)).astype(np.float64)
    mean_density = np.logaddexp.reduce(of_numbers, axis=0) - np.log(len(of_numbers))
    return np.logaddexp.reduce(mass, axis=1) - np.log(len(steps)) + mean_density


def orders(tokens: Tokens, asked: list[int]) -> Int[np.ndarray, "orders T"]:
    """The step in which each token comes, as a sampler draws them: in the one order, or in at most `ORDERS` of many.

    Tokens without a choice, and those that are not asked for, are in step `GIVEN`.
    """
    with_choice = [place for place in sorted(asked) if tokens.sizes[place] > 1]
    n = len(with_choice)
    rng = np.random.default_rng(0)
    drawn = [np.arange(n)] if tokens.are_in_turn else [rng.permutation(n) for _ in range(ORDERS)]
    steps = np.full((0, len(tokens.sizes)), GIVEN)
    for order in dict.fromkeys(tuple(own.tolist()) for own in drawn):
        own = np.full(len(tokens.sizes), GIVEN)
        turn = np.asarray(order, int)
        if tokens.is_wide and n:
            turn = np.searchsorted(np.asarray(steps_of(jnp.asarray(n))), turn, side="right")
        own[with_choice] = turn + 1
        steps = np.vstack([steps, own])
    return steps.astype(np.int32)


def _lattice(columns: int) -> Float[np.ndarray, "points columns"]:
    """Points in the unit cube: a Kronecker sequence by the powers of the generalized golden ratio; one without columns.

    The ratio is the root of x^(d + 1) = x + 1 in d columns (Roberts 2018, "The unreasonable effectiveness of
    quasirandom sequences").
    """
    if not columns:
        return np.full((1, 0), 0.5)
    ratio = 2.0
    for _ in range(50):
        ratio = (1 + ratio) ** (1 / (columns + 1))
    powers = ratio ** -np.arange(1.0, columns + 1)
    return (0.5 + np.arange(PLACES)[:, None] * powers) % 1.0
