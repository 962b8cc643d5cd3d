"""Plans and runs a differentially private fit, which learns nothing of a table without noise.

A part of the budget counts the rows, which sets the sampling rate, and the cells of each column, from which training
begins; the rest is spent on training (`engine.private_training`).
"""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Key
from numpy.typing import ArrayLike
from rich.console import Console

from pointillist.arguments import seed_of
from pointillist.columns.domain import ColumnDomain, moved_cells_message, read_domains
from pointillist.columns.scaling import AffineScaling, TableScaling
from pointillist.columns.table_encoder import TableEncoder
from pointillist.columns.unlearned import separated
from pointillist.diffusion.losses import Objective
from pointillist.diffusion.tokens.token_losses import TokenObjective
from pointillist.diffusion.tokens.token_sampling import TokenSampler
from pointillist.engine.devices import configure, make_room
from pointillist.engine.epochs import TrainingState, first_network
from pointillist.engine.private_training import ROWS_AT_ONCE, PrivateMethod, PrivateRecipe, run, with_bias
from pointillist.engine.random_streams import HostStream, Stream, generator_of, key_of
from pointillist.engine.recipes import AnyObjective, Method, Weights
from pointillist.engine.sampling import sample_rows
from pointillist.lazy import pa, stats
from pointillist.models import fitting
from pointillist.models.classes import Classes
from pointillist.models.codec import Codec
from pointillist.models.configuration import Configuration, changed_gaussian_only, network_parameters, values_of
from pointillist.models.fitting import Task, warn_of_unused
from pointillist.models.gaussian import GaussianProcess
from pointillist.models.masked import MaskedProcess, masked_of
from pointillist.models.plan import Plan
from pointillist.models.planning import check_label_encoder
from pointillist.models.row_model import Guarantee, Record, RowModel
from pointillist.privacy.accountant import MARGIN, RELATION, check_accountant, gaussian_noise, noise_for
from pointillist.privacy.noisy_counts import column_of, counts_of
from pointillist.progress import Bar, shows_progress
from pointillist.rules.declarations import generated_in
from pointillist.tables.frames import read_numbers, table_of
from pointillist.tables.layout import Layout
from pointillist.tables.row_sampling import RowLimit, in_memory
from pointillist.tables.table import Table, kind_of

FRACTION_OF_COUNT, FRACTION_OF_COLUMNS = 0.05, 0.1
"""Fraction of ε for the count of the rows, and fraction of the budget, in units of 1 / noise², for histograms."""

WIDTH, STEPS, STEPS_PER_CALL = 128, 600, 50
LEAST_BATCH, LARGEST_BATCH, BATCHES = 32, 1024, 8
LEARNING_RATE, CLIP, AVERAGING = 3e-3, 1.0, 0.995
"""Defaults of a private fit; a batch has an eighth of the rows, from the least to the largest."""

ROUNDS, DRAWN = 4, 8192
"""How often rows are drawn to compare them with the counts, and how many."""

_SEED = 3_141_592_653
"""First seed of these rows. They agree with the counts better than other rows, so nobody should draw with it."""

NUMBERS_SCALE = 0.5
"""Assumed root mean square of numbers scaled to [-1, 1]; the true one would reveal something of the rows."""

ROUGH_DELTA = 1e-5
"""δ for the noise of the counts, if δ follows from the number of rows."""

NOT_LEARNED = "private"
"""The record's entry for the hash of the training rows."""


def prepare(
    asked: Configuration,
    X: Any,
    y: ArrayLike | None = None,
    *,
    categorical: Sequence[str | int] = (),
    checkpoint: Path | None = None,
    **others: Any,
) -> Task:
    """Check a fit, and plan the training; with an `epsilon`, the fit is differentially private.

    The arguments are those of `models.fitting.prepare`. A ValueError in one line says if an argument would reveal
    something of single rows, or cannot be used.
    """
    X = in_memory(X, limit=RowLimit(is_uniform=asked.epsilon is not None))
    if asked.epsilon is None:
        return fitting.prepare(asked, X, y, categorical=categorical, checkpoint=checkpoint, **others)
    configure()
    if checkpoint is not None:
        raise ValueError("a private fit cannot be continued, as its state reveals single rows: leave checkpoint out")
    if asked.max_minutes is not None:
        raise ValueError("max_minutes is not for private fits, whose number of steps is public: leave it out")
    if len(others.get("given", ())):
        raise ValueError("given is not for private fits: leave it out")
    separate = separated(X, declared=generated_in(asked.rules), is_private=True)
    task = plan_privately(asked, separate.X, y, categorical)
    task = replace(task, generated=separate.placed(task.plan.codec.layout))
    is_gaussian = task.trained_with["process"] == "gaussian"
    # The domain scales numbers, and the network is trained without observed columns.
    unused = [name for name in changed_gaussian_only(asked) if not is_gaussian or name in ("scaling", "p_given")]
    warn_of_unused(unused, f"private model of this table is one of {'numbers' if is_gaussian else 'tokens'}")
    return task


@dataclass(frozen=True, eq=False)
class PrivateTask(Task):
    """A differentially private fit that is ready to begin; `key` is the key of all random numbers of the training.

    `logits` are the logarithms of the counted fractions of the values of each token; None for models of numbers.
    """

    recipe: PrivateRecipe = field(kw_only=True)
    method: PrivateMethod = field(kw_only=True)
    key: Key[Any, ""] = field(kw_only=True)
    logits: Float[np.ndarray, " slots"] | None = field(kw_only=True)

    def fit(self, checkpoint: Path | None = None) -> RowModel:
        """Train a model privately; its record reveals nothing of the rows. Raise a ValueError if training diverges."""
        process, network = self.plan.process.finished(self._trained())
        record = Record(np.zeros(1, np.float32), np.empty(0, np.float32), 0, NOT_LEARNED, self.guarantee)
        asked = values_of(self.configuration) | {"random_state": None}
        model = RowModel(
            self.plan.codec, process, network, self.classes, record, asked, self.trained_with, generated=self.generated
        )
        return model if self.logits is None else _with_counted_columns(model, self.logits)

    def _trained(self) -> Weights:
        """Return the trained network, the average of the weights over the steps."""
        make_room()
        plan, recipe = self.plan, self.recipe
        first_key, steps_key = jax.random.split(self.key)
        network = first_network(first_key, plan.process.architecture, plan.codec.width)
        state = TrainingState.initial(network, is_averaged=True)
        if self.logits is not None:
            # Before the first step, columns have the counted distributions, and are independent.
            state = state.starting_from(with_bias(state.network, jnp.asarray(self.logits)))
        rows = plan.codec.encode(plan.rows)
        with Bar(Console(stderr=True), recipe.steps, is_shown=shows_progress(self.configuration.verbose)) as bar:
            for first in range(0, recipe.steps, STEPS_PER_CALL):
                todo = min(STEPS_PER_CALL, recipe.steps - first)
                state = run(state, steps_key, rows, plan.process.noise, first, todo, recipe, self.method)
                jax.block_until_ready(state)
                bar.advance(todo)
        network = jax.tree.map(np.asarray, jax.device_get(state.trained))
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(network)):
            raise ValueError(f"training diverged with learning_rate={recipe.learning_rate:g}: lower it")
        return network


class _Budget:
    """The privacy budget ε, δ of a fit, whose first expense is the count of the rows.

    `spent` has the noise multipliers of the histograms, and `mechanisms` descriptions of all mechanisms.
    """

    def __init__(self, asked: Configuration, n_rows: int, rng: np.random.Generator) -> None:
        assert asked.epsilon is not None
        self.epsilon = asked.epsilon
        self._of_count = FRACTION_OF_COUNT * self.epsilon
        # The difference has a discrete Laplace distribution: a probability in proportion to exp(-ε |k|).
        one, other = rng.geometric(1 - np.exp(-self._of_count), 2)
        self.n_rows = max(10, n_rows + int(one - other))
        self.delta = asked.delta or 1 / (10 * self.n_rows)
        self.spent: list[float] = []
        self.mechanisms = [f"a count of the rows with discrete Laplace noise, ε = {self._of_count:g}"]

    def noise_of_steps(self, sampling: float, steps: int) -> float:
        """Spend the rest of the budget on training, and return the noise multiplier of each step."""
        # The count decides how the steps are taken: it is composed by adding ε, which holds whatever it decides.
        noise = noise_for(self.spent, sampling, steps, self.epsilon - self._of_count, self.delta * (1 - MARGIN))
        self.mechanisms.append(f"{steps:,} steps of DP-SGD, sampling rate {sampling:.4g}, noise multiplier {noise:.4g}")
        return noise


def plan_privately(asked: Configuration, X: Any, y: Any, categorical: Any) -> PrivateTask:
    """Plan a private fit; see `prepare` for the arguments and errors."""
    accountant = check_accountant()
    _check(asked, y, categorical)
    found = table_of(X)
    if found is None:
        raise ValueError("X cannot be read: give an array or a data frame")
    table, kind, headings = found
    types = table.arrow.schema.types
    domains = read_domains(asked.domain, table.names, [kind_of(each) == "boolean" for each in types])
    rng, key = _random(asked.random_state)
    budget = _Budget(asked, len(table), rng)
    logits: np.ndarray | None = None
    classes: Classes | None = None
    process: MaskedProcess | GaussianProcess
    objective: AnyObjective
    if _is_of_tokens(asked.process, domains, types):
        noise = gaussian_noise(budget.epsilon, asked.delta or ROUGH_DELTA) / FRACTION_OF_COLUMNS**0.5
        codec, rows, logits, n_histograms = _tokens(table, _layout(table, kind, headings, domains), domains, rng, noise)
        budget.spent.append(noise)
        budget.mechanisms.append(
            f"{n_histograms} Gaussian histograms of single columns, noise multiplier {noise:.3g} in all"
        )
        parameters = network_parameters(asked, WIDTH) | {"process": "masked"}
        process = MaskedProcess.of(parameters, codec.encoding, has_ranks=True, is_private=True)
        objective = TokenObjective(process.architecture.tokens)
        if table.label is not None:
            check_label_encoder(codec.encoding.encoder(table.label))
            labels = codec.labels(table.label)
            # Without the number of rows of each.
            classes = Classes(labels, np.ones(len(labels), np.int64), (table.label, codec.names.index(table.label)))
    else:
        if table.label is not None:
            raise ValueError(f"the label column {table.label!r} has a range of numbers: list its values in the domain")
        codec, rows = _numbers(X, domains)
        parameters = network_parameters(asked, WIDTH) | {"process": "gaussian"}
        process = GaussianProcess.of(parameters, 0, np.full(codec.width, NUMBERS_SCALE, np.float32))
        objective = Objective(asked.prediction, asked.weighting, asked.noise_levels)
    recipe, batch = _recipe(asked, budget)
    steps, method = recipe.steps, Method(objective, min(batch, len(rows)), is_averaged=True)
    public = ("the columns' names, order, types and container", "the given domains", "all hyperparameters")
    is_seeded = asked.random_state is not None
    guarantee = Guarantee(
        budget.epsilon, budget.delta, RELATION, accountant, tuple(budget.mechanisms), public, is_seeded
    )
    return PrivateTask(
        asked,
        Plan(rows, None, codec, process, method, asked, default_steps=steps, most_default_epochs=steps, seed=0),
        classes,
        parameters,
        guarantee=guarantee,
        recipe=recipe,
        method=PrivateMethod(objective, _capacity(recipe, budget, len(rows)), process.architecture.features),
        key=key,
        logits=logits,
    )


def _random(random_state: Any) -> tuple[np.random.Generator, Key[Any, ""]]:
    """Make the random numbers of a private fit, from the system's entropy or from the user's seed."""
    if random_state is not None:
        seed = seed_of(random_state)
        return generator_of(seed, HostStream.PRIVATE), key_of(seed, Stream.PRIVATE)
    rng = np.random.default_rng(int.from_bytes(os.urandom(16), "little"))
    return rng, jax.random.wrap_key_data(jnp.asarray(np.frombuffer(os.urandom(8), np.uint32)))


def _recipe(asked: Configuration, budget: _Budget) -> tuple[PrivateRecipe, int]:
    """Return the settings of the training, and the expected number of rows of a step."""
    batch = float(asked.batch_size or np.clip(budget.n_rows // BATCHES, LEAST_BATCH, LARGEST_BATCH))
    # Exact as it is drawn: uniform numbers of single precision are multiples of 2**-23.
    sampling = min(1.0, np.ceil(batch / budget.n_rows * 2**23) / 2**23)
    steps = STEPS if asked.epochs is None else max(1, round(asked.epochs / sampling))
    recipe = PrivateRecipe(
        sampling=sampling,
        clip=asked.gradient_clip or CLIP,
        noise=budget.noise_of_steps(sampling, steps),
        expected=sampling * budget.n_rows,
        steps=steps,
        learning_rate=asked.learning_rate or LEARNING_RATE,
        warmup=min(asked.warmup, steps // 10),
        averaging=min(asked.averaging, AVERAGING),
    )
    return recipe, int(batch)


def _capacity(recipe: PrivateRecipe, budget: _Budget, n_rows: int) -> int:
    # So large that the margin of δ covers a larger batch, in all steps together and in either of two neighbors.
    rare = max(MARGIN * budget.delta / ((1 + np.exp(min(budget.epsilon, 500.0))) * recipe.steps), 1e-300)
    largest = int(stats.binom.isf(rare, n_rows + 1, recipe.sampling)) + 1
    return -(-min(largest, n_rows) // ROWS_AT_ONCE) * ROWS_AT_ONCE


def _check(asked: Configuration, y: Any, categorical: Any) -> None:
    if y is not None:
        raise ValueError("epsilon covers the columns of the table: make y one of them, with a domain, and leave y out")
    if len(categorical):
        raise ValueError("with epsilon, the domain lists the values of categorical columns: leave categorical out")
    if asked.missing != "value":
        raise ValueError("with epsilon, the domain says where cells may be missing: leave missing out")
    if asked.early_stopping:
        raise ValueError("early_stopping looks at rows without noise, which epsilon does not cover: leave it out")


def _is_of_tokens(process: str, domains: list[ColumnDomain], types: list[Any]) -> bool:
    """Return whether a table becomes tokens, by its domains and types alone."""
    are_numbers = all(
        domain.is_range and not domain.has_missing and kind_of(kind) == "number"
        for domain, kind in zip(domains, types, strict=True)
    )
    if process == "gaussian" and not are_numbers:
        raise ValueError(
            "process='gaussian' with epsilon needs columns of floats, each with a domain (low, high): leave process out"
        )
    return process == "masked" or not are_numbers


def _layout(table: Table, kind: str, headings: Any, domains: list[ColumnDomain]) -> Layout:
    fields, categories = [], []
    for field_, domain in zip(table.arrow.schema, domains, strict=True):
        type_, has_categories = field_.type, pa.types.is_dictionary(field_.type)
        if has_categories and len(domain.values) > np.iinfo(type_.index_type.to_pandas_dtype()).max:
            type_ = pa.dictionary(pa.int32(), type_.value_type, type_.ordered)
        fields.append(field_.with_type(type_).remove_metadata())
        categories.append(domain.values if has_categories else None)
    return Layout.from_schema(kind, pa.schema(fields), headings, categories)


def _tokens(
    table: Table, layout: Layout, domains: list[ColumnDomain], rng: np.random.Generator, noise: float
) -> tuple[Codec, Float[np.ndarray, "n width"], Float[np.ndarray, " slots"], int]:
    """Return the codec of a table, its rows, logarithms of the fractions of values, and the number of histograms."""
    types = table.arrow.schema.types
    inside = [domain.cells(column, kind) for domain, column, kind in zip(domains, table.cells, types, strict=True)]
    _warn_of_moved(domains, [n_moved for _, n_moved in inside])
    cells = [column for column, _ in inside]
    counts = [counts_of(*each) for each in zip(domains, cells, types, strict=True)]
    n_histograms = sum(map(len, counts))
    # A row is in at most one bin of each.
    deviation = noise * n_histograms**0.5
    columns = [
        column_of(domain, kind, [each + deviation * rng.normal(size=len(each)) for each in histograms], deviation)
        for domain, kind, histograms in zip(domains, types, counts, strict=True)
    ]
    encoding = TableEncoder(tuple(encoder for encoder, _ in columns))
    # Not dequantized: the encoding of a row must not depend on its index.
    rows = encoding.encode(cells, dtype=np.float32)
    logits = np.log(np.concatenate([fractions for _, fractions in columns])).astype(np.float32)
    return Codec(layout, encoding), rows, logits, n_histograms


def _numbers(X: Any, domains: list[ColumnDomain]) -> tuple[Codec, Float[np.ndarray, "n d"]]:
    layout, found = read_numbers(X)
    rows = np.asarray(found, np.float64)
    if np.isnan(rows).any():
        raise ValueError("X has missing cells, which no domain allows: add None to the domain of their column")
    low, high = np.array([sorted(domain.values) for domain in domains], np.float64).T
    inside = np.clip(rows, low, high)
    _warn_of_moved(domains, (inside != rows).sum(axis=0).tolist())
    scaling = AffineScaling((low + high) / 2, (high - low) / 2)
    # The decimals of the training rows are not public.
    decimals, steps, is_end = np.zeros_like(low, int), layout.is_whole.astype(int), np.ones((2, len(low)), bool)
    return Codec.from_scaling(
        layout, TableScaling(low, high, layout.is_whole, scaling, decimals, steps, is_end)
    ), inside


def _warn_of_moved(domains: list[ColumnDomain], counts: list[int]) -> None:
    text = moved_cells_message(dict(zip([domain.name for domain in domains], counts, strict=True)))
    if text is not None:
        warnings.warn(text, UserWarning, stacklevel=5)


def _with_counted_columns(model: RowModel, logits: Float[np.ndarray, " slots"]) -> RowModel:
    """Correct the biases of a model of tokens until drawn rows have the counted fractions of values, exp(logits)."""
    process = masked_of(model)
    tokens = process.architecture.tokens
    for i in range(ROUNDS):
        denoiser = process.token_denoiser(model)
        drawn = sample_rows(denoiser, TokenSampler(), columns=model.codec.width, n_rows=DRAWN, seed=_SEED + i)
        slots = (np.floor(drawn) + tokens.starts).astype(np.int64)
        fractions = np.bincount(slots.ravel(), minlength=tokens.n_slots) / DRAWN
        # 1 / DRAWN limits the correction of a value that no drawn row has.
        moved = np.log(np.exp(logits) + 1 / DRAWN) - np.log(fractions + 1 / DRAWN)
        bias = (np.asarray(model.network.output.bias) + moved).astype(np.float32)
        model = replace(model, network=with_bias(model.network, bias))
    return model
