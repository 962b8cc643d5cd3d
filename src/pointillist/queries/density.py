"""Log-densities of rows: of all cells, or of some cells given others."""

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
"""Number of fixed token orders over which probabilities are averaged, in models that draw tokens in any order."""

LATTICE_POINTS = 4
"""Number of points in a wide grid cell over which the density is averaged."""


def log_density(model: Learned, columns: Sequence[Column]) -> Float[np.ndarray, " n"]:
    """Computes the log of mass times density of rows, in nats; see `Diffusion.score_samples`.

    If labels are not in the table, the density is marginal over classes; a ValueError says if the model has none.
    """
    model.process.check_density(model)
    codec, n = model.codec, len(columns[0].values)
    observed = codec.unobserved_rows(n)
    cells = dict(enumerate(columns))
    if len(codec.encoding.columns) == len(cells):
        return log_probability(model, observed, cells)
    label = codec.encoding.columns[-1]
    labels = (label.value_cells().take(np.full(n, index)) for index in range(label.n_values))
    class_densities = [log_probability(model, observed, {**cells, len(cells): each}) for each in labels]
    return np.logaddexp.reduce(class_densities, axis=0)


def log_probability(
    model: Learned,
    observed: Float[np.ndarray, "n width_and_label"],
    cells: Mapping[int, Column],
    *,
    is_present: bool = False,
    has_label: bool = False,
) -> Float[np.ndarray, " n"]:
    """Computes the log of mass times density of some cells given others, in nats, in the units of the table.

    Tokens have their probability of being drawn in the order of the columns, or the mean over `ORDERS` fixed orders if
    the model draws them in any order. Numbers have their density under the probability-flow ODE given all tokens and
    observed numbers, or the mean over `LATTICE_POINTS` points within wide grid cells.

    `observed` are encoded rows; if a target is a number, all other cells must be observed. `cells` are the target cells
    by the index of their column, and `is_present` says whether all cells are known to be present. With `has_label`,
    rows end with the index of their class. Cells of mass 0 have -inf.
    """
    codec, process = model.codec, model.process
    encoding, n = codec.encoding, len(observed)
    if n == 0:
        return np.zeros(0)
    numbers = tuple(i for i, index in enumerate(encoding.with_number) if index in cells)
    wide = [index for index in cells if encoding.columns[index].has_wide_cells]
    densities = []
    for lattice in _lattice(len(wide)):
        rows, factors = observed.copy(), np.zeros(n)
        for index, column in cells.items():
            inside = lattice[wide.index(index)] if index in wide else 0.5
            found = encoding.columns[index].volume(column, np.full(n, inside))
            is_unknown = column.is_missing & (codec.missing == "unknown")
            factors += np.where(is_unknown, 0.0, found.log_factors)
            token, numbers_slice = encoding.row_indices[index]
            rows[:, numbers_slice] = np.where(is_unknown[:, None], np.nan, found.numbers)
            if token is not None:
                rows[:, token] = np.where(is_unknown, HIDDEN, found.tokens)
        density = np.zeros(n)
        if numbers:
            density = map_rows(process.number_density(model, numbers, has_label=has_label), rows.astype(np.float32))
        # Rows with cells of mass 0 are evaluated too, and discarded here.
        densities.append(np.where(factors > -np.inf, density.astype(np.float64) + factors, -np.inf))
    mean_density = np.logaddexp.reduce(densities, axis=0) - np.log(len(densities))
    if not encoding.n_tokens:
        return mean_density
    is_target = np.isin(np.arange(len(encoding.with_number)), numbers)
    denoiser = process.token_denoiser(model, codec.is_missing_value if is_present else None)
    steps = orders(denoiser.tokens, list(cells))
    function = TokenLogProbability(denoiser, steps, is_target, int(steps.max()))
    mass = map_rows(function, rows.astype(np.float32)).astype(np.float64)
    return np.logaddexp.reduce(mass, axis=1) - np.log(len(steps)) + mean_density


def orders(tokens: Tokens, columns: list[int]) -> Int[np.ndarray, "orders T"]:
    """Returns the step at which each token is drawn, for the single order of the model or at most `ORDERS` of many.

    Tokens with one value, and tokens outside `columns`, have the step `OBSERVED`.
    """
    drawn_columns = [column for column in sorted(columns) if tokens.sizes[column] > 1]
    n = len(drawn_columns)
    rng = np.random.default_rng(0)
    drawn = [np.arange(n)] if tokens.in_column_order else [rng.permutation(n) for _ in range(ORDERS)]
    distinct = [*dict.fromkeys(tuple(turns.tolist()) for turns in drawn)]
    steps = np.full((len(distinct), len(tokens.sizes)), OBSERVED, np.int32)
    for order_steps, order in zip(steps, distinct, strict=True):
        turns = np.array(order, int)
        if tokens.is_wide and n:
            turns = np.searchsorted(np.asarray(step_ends(jnp.asarray(n))), turns, side="right")
        order_steps[drawn_columns] = turns + 1
    return steps


def _lattice(columns: int) -> Float[np.ndarray, "points columns"]:
    """Points of a low-discrepancy sequence in the unit cube; one point without columns.

    The sequence is the Kronecker sequence of powers of the generalized golden ratio, the root of x^(d + 1) = x + 1 for
    d columns (Roberts 2018, "The unreasonable effectiveness of quasirandom sequences").
    """
    if not columns:
        return np.full((1, 0), 0.5)
    ratio = 2.0
    for _ in range(50):
        ratio = (1 + ratio) ** (1 / (columns + 1))
    powers = ratio ** -np.arange(1.0, columns + 1)
    return (0.5 + np.arange(LATTICE_POINTS)[:, None] * powers) % 1.0
