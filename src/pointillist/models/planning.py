"""Turns a configuration and a table into what training needs: a plan, and the classes of the rows."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pointillist.arguments import seed_of
from pointillist.columns.covariance import covariance_of, principal_axes
from pointillist.columns.encoder import ColumnEncoder
from pointillist.columns.kinds import fit_encoder
from pointillist.columns.table_encoder import SMALL, TableEncoder
from pointillist.columns.table_scaling import TableScaling
from pointillist.diffusion.conditional_normal import MAX_NUMBERS
from pointillist.diffusion.losses import Objective
from pointillist.diffusion.schedules import LOWEST_LAMBDA, Schedule, prior_kl
from pointillist.diffusion.tokens.mixed_losses import MixedObjective
from pointillist.diffusion.tokens.token_losses import TokenObjective
from pointillist.diffusion.tokens.token_sampling import HIDDEN
from pointillist.models.classes import Classes, checked_labels
from pointillist.models.codec import Codec
from pointillist.models.configuration import Configuration, network_parameters
from pointillist.models.container import description_of
from pointillist.models.gaussian import GaussianProcess
from pointillist.models.masked import MaskedProcess
from pointillist.models.plan import Plan, parts_of, rows_to_hold_out, sigma_data_to_learn, training_method
from pointillist.models.row_model import RowModel
from pointillist.rules.table_rules import find_rules
from pointillist.tables.headings import Headings
from pointillist.tables.layout import Layout
from pointillist.tables.names import free_name
from pointillist.tables.row_blocks import column_range, rows_at
from pointillist.tables.table import Column, Table

WIDTH, WIDTH_OF_TOKENS, WIDTH_WITH_GAPS = 96, 256, 192
BATCH_SIZE, LARGEST_TOKEN_BATCH, LARGEST_MIXED_BATCH = 64, 256, 512
"""Values that None stands for; with tokens, the batch size is a sixteenth of the rows, up to the largest.

Of small tables with gaps and numbers, the last width and an eighth of the rows take about 70 % of the time of 256 and a
sixteenth, and fill cells as accurately: tried by hand on nine tables of 103 to 1,030 rows, CRPS was the same on
average, and AvgMAE 3 % lower."""

DEFAULT_STEPS, DEFAULT_MIXED_STEPS = 10_000, 8000
"""Number of training steps if `epochs` is None: the first is that of 80 epochs over 8,000 rows."""

MOST_WEIGHTS_IN_ALL, FEWEST_STEPS = 8_200_000_000, 4000
"""Largest product of the steps of tokens beside numbers and of the network's weights, if `epochs` and `width` are None:
for tables of many values and numbers, steps take longer, and there are fewer. And fewest, if `epochs` allow them."""

MOST_EPOCHS, MOST_EPOCHS_OF_TOKENS, MOST_MIXED_EPOCHS, MOST_EPOCHS_WITH_GAPS = 400, 60, 150, 600
"""Most epochs if `epochs` is None: a small table is memorized long before it has made the default number of steps, and
with more epochs of tokens, held-out rows of tables of 1,000 to 32,000 rows become less likely. Of tokens beside numbers
an epoch has half. With gaps, cells of new rows too are filled more accurately after four times as many."""

LEARNING_RATE, MIXED_LEARNING_RATE = 1e-3, 3e-3
"""Learning rates if `learning_rate` is None: the second for tokens beside numbers in the largest batch. In smaller ones
it is smaller, by the root of the batch size, but not below the first."""

FEWEST_ROWS = 20
"""Fewest rows of a small table whose number of epochs is chosen by held-out rows."""

FREQUENCIES, FREQUENCIES_OF_FEW = 6, 2
"""Frequencies that the network sees of noised numbers if `frequencies` is None: high ones show where numbers determine
each other precisely. By those, the single rows of a small table would be known; on six tables of 103 to 990 rows, the
loss of held-out rows was lower with two, or the same."""

DETERMINED = 0.1
"""Largest variance along the thinnest of the principal axes of normal scores, whose own is about 1, for these to be
tried."""

PRIOR_KL = 0.01
"""Most nats per column of signal left at T that are not worth a warning."""

_ROWS_FOR_PRIOR = 4096


def plan_numbers(
    asked: Configuration,
    layout: Layout,
    rows: np.ndarray,
    y: ArrayLike | None,
    *,
    label: Any = None,
    before: RowModel | None = None,
    seed: int | None = None,
) -> tuple[Plan, Classes | None, dict[str, Any]]:
    """Returns the plan of Gaussian diffusion, the classes, and the parameters that decide the network.

    Args:
        asked: The configuration.
        layout: Layout of the rows.
        rows: Rows, shape (n, d), finite.
        y: Labels, shape (n,); None for those of the label column, if there is one.
        label: The `LabelColumn` of a file.
        before: A fitted model to continue from.
        seed: Seed of a checkpoint; by default, that of `asked`.
    """
    column, name = None, "y"
    if y is None and label is not None:
        y, column, name = label.values, (label.name, label.position), f"column {label.name!r}"
    values, labels, counts = checked_labels(y, len(rows), name)
    classes, n_classes = (Classes(values, counts, column), len(values)) if len(values) else (None, 0)
    shown = labels.astype(np.int32) if n_classes else None
    parameters = network_parameters(asked, WIDTH)
    if before is not None:
        check_continuing(before, layout, rows, values, parameters)
    own = seed_of(asked.random_state)
    if seed is None:
        # Of a further fit, other times and noise than the first time.
        done = [] if before is None else [len(before.record.history)]
        seed = int(np.random.SeedSequence([own, *done]).generate_state(1)[0]) if done else own
    of_rows = seed
    if before is not None:
        # But the rows that the first one held out: it has learned the others.
        of_rows = own if isinstance(asked.random_state, int | np.integer) else before.record.seed
    held_out = rows_to_hold_out(len(rows), shown, n_classes, asked, of_rows)
    if before is None:
        codec = Codec.of_scaling(layout, TableScaling.fit(rows, asked.scaling, layout.is_whole))
        sigma_data = sigma_data_to_learn(rows, codec, held_out)
    else:
        codec, sigma_data = _kept(before, layout, rows)
    process = GaussianProcess.of(parameters, n_classes, sigma_data)
    some = np.linspace(0, len(rows) - 1, min(len(rows), _ROWS_FOR_PRIOR)).astype(np.int64)
    warn_of_prior(process.schedule, codec.encode(rows_at(rows, some)))
    batch_size = asked.batch_size or BATCH_SIZE
    p_given = parameters["p_given"] if process.architecture.has_observed else 0.0
    objective = Objective(asked.prediction, asked.weighting, asked.noise_levels, p_given=p_given)
    plan = Plan(
        rows=rows,
        labels=shown,
        codec=codec,
        process=process,
        method=training_method(asked, objective, batch_size, parts_of(batch_size, parameters["width"])),
        default_steps=DEFAULT_STEPS,
        most_default_epochs=MOST_EPOCHS,
        training=replace(asked, learning_rate=asked.learning_rate or LEARNING_RATE),
        seed=seed,
        n_classes=n_classes,
        held_out=held_out,
        start=None if before is None else before.network,
    )
    return plan, classes, parameters


def plan_tokens(
    asked: Configuration,
    table: Table,
    kind: str,
    headings: Headings | None,
    y: ArrayLike | None,
    *,
    categorical: Sequence[str | int] = (),
    seed: int | None = None,
) -> tuple[Plan, Classes | None, dict[str, Any]]:
    """Returns the plan of masked diffusion, the classes, and the parameters that decide the network.

    Args:
        asked: The configuration.
        table: The table.
        kind: Kind of container that it came in.
        headings: Headings of a pandas frame.
        y: Labels, shape (n,), if they are not a column of the table.
        categorical: Columns whose numbers are categories.
        seed: Seed of a checkpoint; by default, that of `asked`.
    """
    codec, rows, label, has_missing = _encoded(asked, table, kind, headings, y, categorical)
    encoding = codec.encoding
    seed = seed_of(asked.random_state) if seed is None else seed
    held_out = rows_to_hold_out(len(rows), None, 0, asked, seed)
    is_small = len(rows) <= SMALL
    is_brief = is_small and has_missing and len(encoding.with_number) > 0
    width = WIDTH_WITH_GAPS if is_brief else WIDTH_OF_TOKENS
    parameters = network_parameters(asked, width, FREQUENCIES_OF_FEW if is_small else FREQUENCIES)
    covariance, is_unknown = _covariance(rows, encoding), asked.missing == "unknown"
    process = MaskedProcess.of(parameters, encoding, covariance, has_ranks=True, has_missing=is_unknown)
    largest = LARGEST_MIXED_BATCH if encoding.with_number else LARGEST_TOKEN_BATCH
    # A step on a small table sees a sixteenth of it, so that a few epochs make enough steps.
    n_steps = 8 if is_brief else 16
    batch_size = asked.batch_size or int(np.clip(len(rows) // n_steps, 8, largest))
    tokens, guided = process.architecture.tokens, None if label is None else encoding.token_index(label)
    objective: TokenObjective | MixedObjective = TokenObjective(tokens, has_missing, guided)
    rate = LEARNING_RATE
    if encoding.with_number:
        rate = max(rate, MIXED_LEARNING_RATE * (batch_size / LARGEST_MIXED_BATCH) ** 0.5)
        p_uncond = 0.0 if label is None else asked.p_uncond
        has_joint_network = process.architecture.has_joint_network
        objective = MixedObjective(
            tokens, guided, p_uncond, has_missing=has_missing, has_joint_network=has_joint_network
        )
    # Of a wide table, the trial would take minutes.
    has_trial = FEWEST_ROWS <= len(rows) <= SMALL and not process.architecture.tokens.is_wide
    most_epochs = MOST_EPOCHS_OF_TOKENS
    if encoding.with_number:
        most_epochs = MOST_EPOCHS_WITH_GAPS if has_missing else MOST_MIXED_EPOCHS
        # The loss of numbers is lowest long before they are filled best.
        has_trial = has_trial and not has_missing
    plan = Plan(
        rows=rows,
        labels=None,
        codec=codec,
        process=process,
        method=training_method(asked, objective, batch_size),
        default_steps=_default_steps(process, encoding, has_own_width=asked.width is not None),
        most_default_epochs=most_epochs,
        training=replace(asked, learning_rate=asked.learning_rate or rate),
        seed=seed,
        held_out=held_out,
        has_trial=has_trial and asked.epochs is None and not asked.early_stopping,
        alternative=None if asked.early_stopping else _turned(process),
    )
    return plan, _token_classes(codec, rows, label), parameters


def _encoded(
    asked: Configuration,
    table: Table,
    kind: str,
    headings: Headings | None,
    y: ArrayLike | None,
    categorical: Sequence[str | int],
) -> tuple[Codec, Float[np.ndarray, "n width"], Any, bool]:
    """Learns the codec of a table, and encodes its rows.

    Returns:
        The codec, the encoded rows, the name of the label column (None without labels), and whether cells are unknown.
    """
    if len(table) < 2:
        raise ValueError(f"X has {len(table)} row{'' if len(table) == 1 else 's'}: give at least 2")
    layout = Layout.of(table, kind, headings)
    encoding = TableEncoder.fit(table, categorical, missing=asked.missing)
    columns, label = table.cells, table.label
    if y is not None:
        values, indices, _ = checked_labels(y, len(table))
        own = [name] if isinstance(name := getattr(y, "name", None), str) else []
        label = free_name([*own, "label"], table.names)
        cells = Column(indices, np.zeros(len(indices), bool), tuple(values.tolist()))
        # The classes are known, so a new label has no mass.
        code = replace(fit_encoder(label, cells), counts=np.empty(0))
        encoding = TableEncoder((*encoding.columns, code))
        columns = (*columns, cells)
    elif label is not None:
        check_label(encoding.encoder(label))
    found = find_rules(table.cells, encoding.columns, categorical, table.label)
    codec = Codec(layout, encoding, found, asked.missing)
    rows = encoding.encode(columns, is_spread=True, dtype=np.float32)
    has_missing = _without_gaps(rows, table)
    # Before training rather than after it.
    description_of(codec.facts())
    return codec, rows, label, has_missing


def _token_classes(codec: Codec, rows: Float[np.ndarray, "n width"], label: Any) -> Classes | None:
    """The classes of a label column with their numbers of rows; None without labels."""
    if label is None:
        return None
    names, labels = codec.layout.names, codec.labels(label)
    tokens = rows[:, codec.encoding.token_index(label)].astype(np.int64)
    index = names.index(label) if label in names else len(names)
    return Classes(labels, np.bincount(tokens, minlength=len(labels)), (label, index))


def _default_steps(process: MaskedProcess, encoding: TableEncoder, *, has_own_width: bool) -> int:
    """The number of training steps if `epochs` is None."""
    if not encoding.with_number:
        return DEFAULT_STEPS
    if has_own_width:
        return DEFAULT_MIXED_STEPS
    network = jax.eval_shape(lambda key: process.architecture.build(key, encoding.width), jax.random.key(0))
    n_weights = sum(leaf.size for leaf in jax.tree.leaves(network))
    return int(np.clip(MOST_WEIGHTS_IN_ALL // n_weights, FEWEST_STEPS, DEFAULT_MIXED_STEPS))


def _without_gaps(rows: Float[np.ndarray, "n width"], table: Table) -> bool:
    """Puts `HIDDEN` in place of tokens that are unknown, and says whether there are any.

    Raises:
        ValueError: If all cells of a row are unknown.
    """
    is_unknown = np.isnan(rows)
    if not is_unknown.any():
        return False
    empty = np.flatnonzero(is_unknown[:, : len(table.names)].all(axis=1))
    if len(empty):
        raise ValueError(f"row {empty[0]} has only missing cells, of which nothing can be learned: drop such rows")
    rows[is_unknown] = HIDDEN
    return True


def _covariance(rows: Float[np.ndarray, "n width"], encoding: TableEncoder) -> Float[np.ndarray, "k k"] | None:
    """The covariance of the numbers beside tokens; None if there are none, or too many."""
    n, k = len(encoding.sizes), len(encoding.with_number)
    if not 0 < k <= MAX_NUMBERS:
        return None
    is_there = rows[:, encoding.with_number] == encoding.number_values
    return covariance_of(np.where(is_there, rows[:, n:], np.nan))


def _turned(process: MaskedProcess) -> MaskedProcess | None:
    """The process that sees numbers that all rows have along their principal axes; None if that is not to be tried."""
    tokens = process.architecture.tokens
    is_turned = tokens.is_single[np.asarray(tokens.with_number, int)]
    if process.basis is None or not len(process.basis) or is_turned.sum() < 2:
        return None
    basis = principal_axes(process.covariance, is_turned)
    thinnest = np.linalg.norm(basis[:, is_turned], axis=0).min()
    return None if thinnest**2 > DETERMINED else replace(process, basis=basis)


def _kept(before: RowModel, layout: Layout, rows: np.ndarray) -> tuple[Codec, Any]:
    """What a warm start keeps of a model: its scaling, for a range that holds more rows, and σ_d."""
    return Codec.of_scaling(layout, before.codec.scaling.widened(rows, layout.is_whole)), before.process.noise[1]


def check_label(code: ColumnEncoder) -> None:
    """Raises a ValueError if a column cannot be the one of labels."""
    if code.has_missing:
        raise ValueError(f"the label column {code.name!r} has missing values: drop such rows, or give them a label")
    if code.scores is not None:
        raise ValueError(
            f"the label column {code.name!r} holds too many different numbers to be classes: bin it, or "
            "say that they are categories (--categorical)"
        )
    if code.n_values < 2:
        raise ValueError(f"the label column {code.name!r} has a single class: leave --target out")


def warn_of_prior(schedule: Schedule, rows: np.ndarray) -> None:
    """Warns if signal is left at T, or where solvers begin, since samplers start from N(0, I), which has none.

    Args:
        schedule: The noise schedule.
        rows: Some rows of the data, scaled as the model sees them, shape (m, k).
    """
    kl = prior_kl(schedule, rows) / rows.shape[1]
    if kl > PRIOR_KL:
        warnings.warn(
            f"the noise schedule leaves signal in the prior: KL(q(x_T | x_0) ‖ N(0, I)) is {kl:.2g} nats per column, "
            f"above {PRIOR_KL}, and samplers start from N(0, I); take schedule='cosine', more timesteps or a larger "
            "beta_end",
            UserWarning,
            stacklevel=5,
        )
        return
    # Of normal columns, where solvers begin.
    alpha, sigma = 1 / np.sqrt(1 + np.exp([-2 * LOWEST_LAMBDA, 2 * LOWEST_LAMBDA]))
    variance, mean = (alpha * rows.std(axis=0)) ** 2 + sigma**2, alpha * rows.mean(axis=0)
    kl = float((0.5 * (variance - 1 - np.log(variance) + mean**2)).max())
    if kl > PRIOR_KL:
        warnings.warn(
            "samplers of few steps start from N(0, I) at σ = 10, where a column is still recognizable, of "
            f"KL {kl:.2g} nats: take scaling='standard', or sampler='ancestral'",
            UserWarning,
            stacklevel=5,
        )


def check_continuing(
    before: RowModel, layout: Layout, rows: np.ndarray, classes: np.ndarray, asked: dict[str, Any]
) -> None:
    """Raises an error if the weights of a fitted model do not fit new rows or parameters.

    Args:
        before: The fitted model.
        layout: Layout of the new rows.
        rows: The new rows, shape (n, d).
        classes: The classes of the new rows.
        asked: Current values of the parameters that decide the network.

    Raises:
        ValueError: In one line, if the columns, the classes or a parameter differ from those of the fitted model.
    """
    d, codec = rows.shape[1], before.codec
    if codec.encoding.n_tokens:
        raise ValueError("warm_start: the model is of tokens, and X is of numbers: give warm_start=False")
    if codec.n_columns != d:
        raise ValueError(
            f"warm_start: X has {d} columns but the model has {codec.n_columns}: give the same columns, or "
            "warm_start=False"
        )
    known = codec.names
    if known is not None and layout.names is not None and known != layout.names:
        place = next(i for i in range(d) if known[i] != layout.names[i])
        raise ValueError(
            f"warm_start: column {place} is {layout.names[place]!r} but the model has {known[place]!r} there: give the "
            "same columns in the same order, or warm_start=False"
        )
    if not np.array_equal(() if before.classes is None else before.classes.labels, classes):
        raise ValueError("warm_start: y and the model have different classes: give the same ones, or warm_start=False")
    changed = [name for name in asked if asked[name] != before.trained_with[name] and name != "p_uncond"]
    if changed:
        raise ValueError(f"warm_start: {changed[0]} is not what the model was fitted with: set it back")
    low, high = column_range(rows)
    constant = codec.scaling.minimum
    moved = ~codec.scaling.varies & ((low != constant) | (high != constant))
    if moved.any():
        raise ValueError(
            f"warm_start: column {np.flatnonzero(moved)[0]} was constant in the first fit and holds another "
            "value now: give warm_start=False"
        )
