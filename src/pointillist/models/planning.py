"""Converts a configuration and a table to a training plan and the classes of the rows."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pointillist.arguments import seed_of
from pointillist.columns.covariance import estimate_covariance, principal_axes, regressed
from pointillist.columns.encoder import ColumnEncoder
from pointillist.columns.kinds import fit_encoder
from pointillist.columns.rare_categories import RareCategoriesEncoder
from pointillist.columns.scaling import TableScaling
from pointillist.columns.table_encoder import SMALL, TableEncoder
from pointillist.diffusion.conditional_normal import MAX_NUMBERS
from pointillist.diffusion.losses import Objective
from pointillist.diffusion.schedules import LOWEST_LAMBDA, Schedule, prior_kl
from pointillist.diffusion.tokens.mixed_losses import HIDDEN_CONTEXT, MixedObjective
from pointillist.diffusion.tokens.token_losses import TokenObjective
from pointillist.diffusion.tokens.token_sampling import HIDDEN
from pointillist.models.classes import Classes, checked_labels
from pointillist.models.codec import Codec
from pointillist.models.configuration import Configuration, network_parameters
from pointillist.models.container import description_of
from pointillist.models.gaussian import GaussianProcess
from pointillist.models.masked import MaskedProcess
from pointillist.models.plan import Plan, Trial, parts_of, rows_to_hold_out, training_method, training_sigma_data
from pointillist.rules.declarations import bind, ignored_in, increments_in
from pointillist.rules.declared import NamedColumns
from pointillist.rules.table_rules import find_rules
from pointillist.tables.layout import Layout
from pointillist.tables.names import free_name
from pointillist.tables.numbers import rows_at, spread_indices
from pointillist.tables.table import Column, Table
from pointillist.tables.unlearnable import MAX_CATEGORIES

WIDTH, WIDTH_GIVEN, TOKEN_WIDTH, TOKEN_WIDTH_OF_SMALL_TABLES = 96, 192, 192, 256
BATCH_SIZE, LARGEST_TOKEN_BATCH, LARGEST_MIXED_BATCH = 64, 256, 512
"""Defaults of `width` and `batch_size`. `WIDTH_GIVEN` is for `fit(given=…)`. With tokens, the batch size is a sixteenth
of the rows, up to the largest, and in small tables an eighth of the rows, rounded down to a power of two.

In the same time, narrower networks take more steps, and draw rows that are harder to tell from those of a large table.
In small tables without missing cells, wider ones are more accurate; with missing cells, both are alike."""

DEFAULT_STEPS, STEPS_GIVEN, DEFAULT_TOKEN_STEPS, DEFAULT_MIXED_STEPS = 10_000, 16_000, 15_000, 12_000
"""Number of training steps if `epochs` is None: for numbers alone, with `fit(given=…)`, for tokens, and for tokens with
numbers. The first equals 80 epochs over 8,000 rows."""

MOST_WEIGHTS_IN_ALL, FEWEST_STEPS = 8_200_000_000, 6000
"""Largest product of the numbers of steps and of network weights if `epochs` and `width` are None, for tokens with
numbers: large networks take fewer steps, because steps take longer. And the smallest number of steps."""

MOST_TOKEN_EPOCHS_OF_SMALL_TABLES, MOST_MIXED_EPOCHS_OF_SMALL_TABLES = 60, 150
MOST_EPOCHS, MOST_TOKEN_EPOCHS, MOST_MIXED_EPOCHS, MOST_EPOCHS_WITH_MISSING = 400, 80, 225, 600
"""Largest number of epochs if `epochs` is None. Small tables are memorized long before the default number of steps,
and many more epochs of tokens make held-out rows less likely. An epoch of tokens with numbers takes half the steps of
one without. With unknown cells, more epochs impute more accurately where numbers determine each other."""

LEARNING_RATE, MIXED_LEARNING_RATE = 1e-3, 3e-3
"""Learning rates if `learning_rate` is None. The second is for tokens with numbers in the largest batch, if no cell is
unknown; in smaller batches it is scaled by the square root of the batch size, down to the first. With unknown cells,
the first imputes them more accurately."""

FEWEST_ROWS, MOST_ROWS_WITH_MISSING = 20, 10_000
"""Smallest number of rows for which held-out rows choose the number of epochs; and the largest if numbers have unknown
cells. Without them, it is `SMALL`."""

LONGEST = 3
"""Longest trial of the number of epochs, as a multiple of that number without a trial."""

BEYOND_LOWEST = 3
"""Number of epochs with unknown cells, as a multiple of those with the lowest held-out loss. Median errors of imputed
cells fall for longer than the loss: on 1,500 rows of four tables, three times as long was best for the CRPS, or within
2 % of the best."""

FREQUENCIES, FREQUENCIES_OF_SMALL_TABLES = 6, 2
"""Numbers of Fourier frequencies of noised numbers if `frequencies` is None. High frequencies resolve how numbers
determine each other, but identify single rows of a small table: on six tables of 103 to 990 rows, the held-out
loss with two frequencies was lower or equal."""

DETERMINED = 0.1
"""Largest variance along the thinnest principal axis at which principal axes are tried; the normal scores have
variances of about 1."""

PRIOR_KL = 0.01
"""Largest divergence of x_T from the prior, in nats per column, without a warning."""

_ROWS_FOR_PRIOR = 4096


def plan_numbers(
    configuration: Configuration,
    layout: Layout,
    rows: np.ndarray,
    y: ArrayLike | None,
    *,
    label: Any = None,
    given: Sequence[str | int] = (),
    seed: int | None = None,
) -> tuple[Plan, Classes | None, dict[str, Any]]:
    """Returns the plan of Gaussian diffusion, the classes, and the parameters that determine the network.

    `label` is the `LabelColumn` of a file, for y=None. `where` will set the columns `given` in every draw. The seed is
    a checkpoint's, or the configuration's by default.
    """
    column, name = None, "y"
    if y is None and label is not None:
        y, column, name = label.values, (label.name, label.position), f"column {label.name!r}"
    values, labels, counts = checked_labels(y, len(rows), name)
    classes, n_classes = (Classes(values, counts, column), len(values)) if len(values) else (None, 0)
    labels_shown = labels.astype(np.int32) if n_classes else None
    parameters = network_parameters(configuration, WIDTH)
    seed = seed_of(configuration.random_state) if seed is None else seed
    held_out = rows_to_hold_out(len(rows), labels_shown, n_classes, configuration, seed)
    codec = Codec.from_scaling(layout, TableScaling.fit(rows, configuration.scaling, layout.is_whole))
    sigma_data = training_sigma_data(rows, codec, held_out)
    process = GaussianProcess.of(parameters, n_classes, sigma_data, _given_indices(codec, given))
    if process.given and not process.architecture.has_observed:
        raise ValueError("given needs network='residual' and p_given above 0, without epsilon: set them so")
    warn_of_prior(process.schedule, codec.encode(rows_at(rows, spread_indices(len(rows), _ROWS_FOR_PRIOR))))
    batch_size = configuration.batch_size or BATCH_SIZE
    p_given = parameters["p_given"] if process.architecture.has_observed else 0.0
    targets = configuration.prediction, configuration.weighting, configuration.noise_levels
    objective = Objective(*targets, p_given=p_given, given=process.given)
    plan = Plan(
        rows=rows,
        labels=labels_shown,
        codec=codec,
        process=process,
        method=training_method(configuration, objective, batch_size, parts_of(batch_size, parameters["width"])),
        default_steps=STEPS_GIVEN if process.given else DEFAULT_STEPS,
        most_default_epochs=MOST_EPOCHS,
        training=replace(configuration, learning_rate=configuration.learning_rate or LEARNING_RATE),
        seed=seed,
        n_classes=n_classes,
        held_out=held_out,
    )
    return plan, classes, parameters


def _given_indices(codec: Codec, given: Sequence[str | int]) -> tuple[int, ...]:
    """Returns the indices of the given columns among the encoded numbers: some of them, but not all."""
    if isinstance(given, str):
        raise ValueError(f"given takes a list of columns, not {given!r}: give [{given!r}]")
    # The columns of an array are named by integers, in the command line by their text.
    name_of = {str(encoder.name): encoder.name for encoder in codec.encoding.columns}
    found = {codec.encoding.number_index(name_of.get(str(name), name)) for name in given}
    indices = tuple(sorted(index for index in found if index is not None))
    if len(given) and not 0 < len(indices) < codec.width:
        raise ValueError(f"given has {len(indices)} of the {codec.width} columns that vary: give some but not all")
    return indices


def plan_tokens(
    configuration: Configuration,
    table: Table,
    kind: str,
    headings: tuple[Any, ...] | None,
    y: ArrayLike | None,
    *,
    categorical: Sequence[str | int] = (),
    given: Sequence[str] = (),
    seed: int | None = None,
) -> tuple[Plan, Classes | None, dict[str, Any]]:
    """Returns the plan of masked diffusion, the classes, and the parameters that determine the network.

    y has labels, shape (n,), if they are not a column of the table. The last columns are `given` if they are observed
    in every row, in training as in sampling. The seed is a checkpoint's, or the configuration's by default.
    """
    codec, rows, label, has_unknown = _encoded(configuration, table, kind, headings, y, categorical, given)
    encoding = codec.encoding
    seed = seed_of(configuration.random_state) if seed is None else seed
    held_out = rows_to_hold_out(len(rows), None, 0, configuration, seed)
    is_small = len(rows) <= SMALL
    has_numbers = len(encoding.with_number) > 0
    width = TOKEN_WIDTH_OF_SMALL_TABLES if is_small and not (has_unknown and has_numbers) else TOKEN_WIDTH
    parameters = network_parameters(configuration, width, FREQUENCIES_OF_SMALL_TABLES if is_small else FREQUENCIES)
    columns = tuple(encoding.index(name) for name in given)
    covariance, is_unknown = _covariance(rows, encoding, columns), configuration.missing == "unknown"
    process = MaskedProcess.of(parameters, encoding, covariance, has_ranks=True, has_unknown=is_unknown, given=columns)
    largest = LARGEST_MIXED_BATCH if has_numbers else LARGEST_TOKEN_BATCH
    default_size = int(np.clip(len(rows) // 16, 8, largest))
    if is_small:
        # A power of two, so that tables with about as many rows share compiled programs.
        default_size = 1 << max(8, len(rows) // 8).bit_length() - 1
    batch_size = configuration.batch_size or default_size
    tokens, guided = process.architecture.tokens, None if label is None else encoding.token_index(label)
    objective: TokenObjective | MixedObjective = TokenObjective(tokens, guided, columns)
    rate, most_epochs = LEARNING_RATE, MOST_TOKEN_EPOCHS_OF_SMALL_TABLES if is_small else MOST_TOKEN_EPOCHS
    if has_numbers:
        if not has_unknown:
            rate = max(rate, MIXED_LEARNING_RATE * (batch_size / LARGEST_MIXED_BATCH) ** 0.5)
        objective = MixedObjective(
            tokens,
            guided,
            p_uncond=0.0 if label is None else configuration.p_uncond,
            has_missing=has_unknown,
            has_joint_network=process.architecture.has_joint_network,
            hidden_context=HIDDEN_CONTEXT if is_small else 0.0,
            given=columns,
        )
        most_epochs = MOST_MIXED_EPOCHS_OF_SMALL_TABLES if is_small else MOST_MIXED_EPOCHS
        if has_unknown:
            most_epochs = MOST_EPOCHS_WITH_MISSING
    trial, most_rows = Trial(longest=LONGEST * most_epochs, fewest=most_epochs), SMALL
    if has_unknown and has_numbers:
        trial = Trial(most_epochs // BEYOND_LOWEST, MOST_MIXED_EPOCHS_OF_SMALL_TABLES, BEYOND_LOWEST)
        most_rows = MOST_ROWS_WITH_MISSING
    # A trial on a wide table would take minutes.
    has_trial = FEWEST_ROWS <= len(rows) <= most_rows and not tokens.is_wide
    plan = Plan(
        rows=rows,
        labels=None,
        codec=codec,
        process=process,
        method=training_method(configuration, objective, batch_size),
        default_steps=_default_steps(process, encoding, is_width_set=configuration.width is not None),
        most_default_epochs=most_epochs,
        training=replace(configuration, learning_rate=configuration.learning_rate or rate),
        seed=seed,
        held_out=held_out,
        trial=trial if has_trial and configuration.epochs is None and not configuration.early_stopping else None,
        alternative=None if configuration.early_stopping else _with_principal_axes(process),
    )
    return plan, _token_classes(codec, rows, label), parameters


def _encoded(
    configuration: Configuration,
    table: Table,
    kind: str,
    headings: tuple[Any, ...] | None,
    y: ArrayLike | None,
    categorical: Sequence[str | int],
    given: Sequence[str],
) -> tuple[Codec, Float[np.ndarray, "n width"], Any, bool]:
    """Learns the codec of a table, and encodes its rows.

    Also returns the name of the label column (None without labels), and whether cells are unobserved.
    """
    if len(table) < 2:
        raise ValueError(f"X has {len(table)} row{'' if len(table) == 1 else 's'}: give at least 2")
    layout = Layout.of(table, kind, headings)
    declared = configuration.rules or []
    increments = increments_in(declared)
    encoding = TableEncoder.fit(table, categorical, missing=configuration.missing, given=given, increments=increments)
    columns, label = table.cells, table.label
    if y is not None:
        values, indices, _ = checked_labels(y, len(table))
        y_names = [name] if isinstance(name := getattr(y, "name", None), str) else []
        label = free_name([*y_names, "label"], table.names)
        cells = Column(indices, np.zeros(len(indices), bool), tuple(values.tolist()))
        # All classes are known, so unknown labels have no mass.
        encoder = replace(fit_encoder(label, cells), counts=np.empty(0))
        check_label_encoder(encoder)
        encoding = TableEncoder((*encoding.columns, encoder))
        columns = (*columns, cells)
    elif label is not None:
        check_label_encoder(encoding.encoder(label))
    n_drawn = len(table.names) - len(given)
    bound, ignored = bind(declared, NamedColumns(table, encoding.columns)), ignored_in(declared, table.names)
    drawn = table.cells[:n_drawn], encoding.columns[:n_drawn]
    rules = find_rules(*drawn, categorical, table.label, declared=bound, ignored=ignored)
    codec = Codec(layout, encoding, rules, configuration.missing)
    rows = encoding.encode(columns, dequantize=True, dtype=np.float32)
    is_unknown = np.isnan(rows)
    empty = np.flatnonzero(is_unknown[:, : len(table.names)].all(axis=1))
    if len(empty):
        raise ValueError(f"row {empty[0]} has only missing cells, so nothing can be learned from it: drop these rows")
    rows[is_unknown] = HIDDEN
    # Raises an error before training, rather than when the model is saved.
    description_of(codec.facts())
    return codec, rows, label, bool(is_unknown.any())


def _token_classes(codec: Codec, rows: Float[np.ndarray, "n width"], label: Any) -> Classes | None:
    """The classes of a label column with their counts; None without labels."""
    if label is None:
        return None
    names, labels = codec.layout.names, codec.labels(label)
    tokens = rows[:, codec.encoding.token_index(label)].astype(np.int64)
    index = names.index(label) if label in names else len(names)
    return Classes(labels, np.bincount(tokens, minlength=len(labels)), (label, index))


def _default_steps(process: MaskedProcess, encoding: TableEncoder, *, is_width_set: bool) -> int:
    if not encoding.with_number:
        return DEFAULT_TOKEN_STEPS
    if is_width_set:
        return DEFAULT_MIXED_STEPS
    network = jax.eval_shape(lambda key: process.architecture.build(key, encoding.width), jax.random.key(0))
    n_weights = sum(leaf.size for leaf in jax.tree.leaves(network))
    return int(np.clip(MOST_WEIGHTS_IN_ALL // n_weights, FEWEST_STEPS, DEFAULT_MIXED_STEPS))


def _covariance(
    rows: Float[np.ndarray, "n width"], encoding: TableEncoder, given: tuple[int, ...]
) -> Float[np.ndarray, "c k"] | None:
    """Covariance of the numbers, given the numbers of some columns; None if there are none or too many."""
    n, k = len(encoding.sizes), len(encoding.with_number)
    if not 0 < k <= MAX_NUMBERS:
        return None
    is_there = rows[:, encoding.with_number] == encoding.number_values
    covariance = estimate_covariance(np.where(is_there, rows[:, n:], np.nan))
    return regressed(covariance, len({*given} & {*encoding.with_number}))


def _with_principal_axes(process: MaskedProcess) -> MaskedProcess | None:
    """The process with principal axes of the numbers that all rows have; None if these axes need no trial."""
    tokens = process.architecture.tokens
    is_turned = tokens.is_single[np.asarray(tokens.with_number, int)]
    if process.basis is None or not len(process.basis) or is_turned.sum() < 2:
        return None
    basis = principal_axes(process.covariance, is_turned)
    thinnest = np.linalg.norm(basis[:, is_turned], axis=0).min()
    return None if thinnest**2 > DETERMINED else replace(process, basis=basis)


def check_label_encoder(encoder: ColumnEncoder) -> None:
    """Raises a ValueError if a column cannot be the label column."""
    if encoder.has_missing:
        raise ValueError(f"the label column {encoder.name!r} has missing values: drop these rows, or give them a label")
    if encoder.scores is not None:
        raise ValueError(
            f"the label column {encoder.name!r} holds too many different numbers to be classes: bin them, or "
            "declare them categories (--categorical)"
        )
    if isinstance(encoder, RareCategoriesEncoder):
        raise ValueError(
            f"the label column {encoder.name!r} has {len(encoder.categories):,} classes, and a model learns at most "
            f"{MAX_CATEGORIES:,}: merge some, or leave --label out"
        )
    if encoder.n_values < 2:
        raise ValueError(f"the label column {encoder.name!r} has a single class: leave --label out")


def warn_of_prior(schedule: Schedule, rows: np.ndarray) -> None:
    """Warns if signal is left at T, or at the noise at which solvers start: samplers start from N(0, I)."""
    kl = prior_kl(schedule, rows) / rows.shape[1]
    if kl > PRIOR_KL:
        warnings.warn(
            f"the noise schedule leaves signal in the prior: KL(q(x_T | x_0) ‖ N(0, I)) is {kl:.2g} nats per column, "
            f"above {PRIOR_KL}, but samplers start from N(0, I); use schedule='cosine', more timesteps or a larger "
            "beta_end",
            UserWarning,
            stacklevel=5,
        )
        return
    # At the noise level at which solvers start, for normal columns.
    alpha, sigma = 1 / np.sqrt(1 + np.exp([-2 * LOWEST_LAMBDA, 2 * LOWEST_LAMBDA]))
    variance, mean = (alpha * rows.std(axis=0)) ** 2 + sigma**2, alpha * rows.mean(axis=0)
    kl = float((0.5 * (variance - 1 - np.log(variance) + mean**2)).max())
    if kl > PRIOR_KL:
        warnings.warn(
            "few-step samplers start from N(0, I) at σ = 10, where a column still has signal, with a KL divergence of "
            f"{kl:.2g} nats: use scaling='standard', or sampler='ancestral'",
            UserWarning,
            stacklevel=5,
        )
