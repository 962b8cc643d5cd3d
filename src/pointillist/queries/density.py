"""Log-densities of rows: of all their cells, or of some given others."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from pointillist.diffusion.tokens.masking import Tokens
from pointillist.diffusion.tokens.mixed_likelihood import OBSERVED, TokenLogProbability
from pointillist.diffusion.tokens.token_sampling import HIDDEN, step_ends
from pointillist.engine.mapping import map_rows
from pointillist.models.process import Learned
from pointillist.tables.table import Column

ORDERS = 4
"""Number of fixed orders of tokens that are drawn in any, over whose probabilities that of a row is the mean."""

PLACES = 4
"""Number of points in a wide grid cell over which its density is averaged."""


def log_density(model: Learned, columns: Sequence[Column]) -> Float[np.ndarray, " n"]:
    """Computes the log of mass times density of rows, in nats; see `Diffusion.score_samples`.

    Args:
        model: The model. If it has labels apart from the table, the distribution is that of all classes together.
        columns: The cells of the model's columns.

    Raises:
        ValueError: If the model has no density, or not that of all classes together.
    """
    model.process.check_density(model)
    codec, n = model.codec, len(columns[0].values)
    known = codec.unknown_rows(n)
    cells = dict(enumerate(columns))
    if len(codec.encoding.columns) == len(cells):
        return log_probability(model, known, cells)
    label = codec.encoding.columns[-1]
    of_class = []
    for index in range(label.n_values):
        own = label.value_cells().take(np.full(n, index))
        of_class.append(log_probability(model, known, {**cells, len(cells): own}))
    return np.logaddexp.reduce(of_class, axis=0)


def log_probability(
    model: Learned,
    known: Float[np.ndarray, "n width_and_label"],
    cells: Mapping[int, Column],
    *,
    is_present: bool = False,
    has_label: bool = False,
) -> Float[np.ndarray, " n"]:
    """Computes the log of mass times density of some cells given others, in nats, in the units of the table.

    The tokens' probability is that of drawing them in the order of the columns; where they are drawn in any order, it
    is the mean over `ORDERS` fixed orders. Numbers have the density of the probability-flow ODE given all tokens and
    the known numbers, or its mean over `PLACES` points of a lattice within wide cells of a column's grid.

    Args:
        model: The model.
        known: Encoded rows with the cells that are given. If a number is asked for, all cells must be given that are
            not asked for.
        cells: The cells that are asked for, by the index of their column.
        is_present: Whether it is known that no cell is missing.
        has_label: Whether rows end with the index of their class.

    Returns:
        Shape (n,); -inf where the mass is 0.
    """
    codec, process = model.codec, model.process
    encoding, n = codec.encoding, len(known)
    if n == 0:
        return np.zeros(0)
    numbers = tuple(i for i, index in enumerate(encoding.with_number) if index in cells)
    wide = [index for index in cells if encoding.columns[index].has_wide_cells]
    of_numbers = []
    for lattice in _lattice(len(wide)):
        rows, factors = known.copy(), np.zeros(n)
        for index, own in cells.items():
            inside = lattice[wide.index(index)] if index in wide else 0.5
            found = encoding.columns[index].volume(own, np.full(n, inside))
            is_unknown = own.is_missing & (codec.missing == "unknown")
            factors += np.where(is_unknown, 0.0, found.log_factors)
            token, places = encoding.places[index]
            rows[:, places] = np.where(is_unknown[:, None], np.nan, found.numbers)
            if token is not None:
                rows[:, token] = np.where(is_unknown, HIDDEN, found.tokens)
        density = np.zeros(n)
        if numbers:
            density = map_rows(process.number_density(model, numbers, has_label=has_label), rows.astype(np.float32))
        # Cells without mass are in the rows as any others.
        of_numbers.append(np.where(factors > -np.inf, density.astype(np.float64) + factors, -np.inf))
    mean_density = np.logaddexp.reduce(of_numbers, axis=0) - np.log(len(of_numbers))
    if not encoding.n_tokens:
        return mean_density
    is_asked = np.isin(np.arange(len(encoding.with_number)), numbers)
    forbidden = codec.stands_for_missing if is_present else None
    denoiser = process.token_denoiser(model, forbidden)
    steps = orders(denoiser.tokens, list(cells))
    function = TokenLogProbability(denoiser, steps, is_asked, int(steps.max()))
    mass = map_rows(function, rows.astype(np.float32)).astype(np.float64)
    return np.logaddexp.reduce(mass, axis=1) - np.log(len(steps)) + mean_density


def orders(tokens: Tokens, asked: list[int]) -> Int[np.ndarray, "orders T"]:
    """The step in which each token comes, as a sampler draws them: in the one order, or in at most `ORDERS` of many.

    Tokens without a choice, and those that are not asked for, are in step `OBSERVED`.
    """
    with_choice = [place for place in sorted(asked) if tokens.sizes[place] > 1]
    n = len(with_choice)
    rng = np.random.default_rng(0)
    drawn = [np.arange(n)] if tokens.in_column_order else [rng.permutation(n) for _ in range(ORDERS)]
    steps = np.full((0, len(tokens.sizes)), OBSERVED)
    for order in dict.fromkeys(tuple(own.tolist()) for own in drawn):
        own = np.full(len(tokens.sizes), OBSERVED)
        turn = np.asarray(order, int)
        if tokens.is_wide and n:
            turn = np.searchsorted(np.asarray(step_ends(jnp.asarray(n))), turn, side="right")
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
