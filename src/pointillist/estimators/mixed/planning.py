"""Turns a table of mixed columns into a training plan, and the result of training into a fitted model."""

from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from pointillist.diffusion.schedules import linear
from pointillist.diffusion.token_losses import TokenObjective
from pointillist.diffusion.token_networks import FactoredNetwork, TokenNetwork
from pointillist.diffusion.tokens import Tokens
from pointillist.engine.recipes import Method, TokenArchitecture
from pointillist.estimators.checkpoint import Checkpoint, seed_in
from pointillist.estimators.fitting import train
from pointillist.estimators.inputs import checked_labels, seed_of
from pointillist.estimators.layout import Headings
from pointillist.estimators.mixed.frames import FrameLayout
from pointillist.estimators.model_file import description_of
from pointillist.estimators.parameters import BATCH_SIZE_MIXED, deciding, learning
from pointillist.estimators.plan import Plan, Stopping, Unscaled, fingerprint, plan_key
from pointillist.points.encoding import ColumnCode, TableEncoding
from pointillist.points.mixed import Cells, MixedTable, kind_of

if TYPE_CHECKING:
    from pointillist.estimators.model import DiffusionModel

DEFAULT_STEPS = 10_000
"""Number of training steps if `epochs` is None."""

MOST_DEFAULT_EPOCHS = 40
"""Most epochs if `epochs` is None: with more, held-out rows of tables of 1,000 to 32,000 rows become less likely."""


def fitted_mixed(
    model: "DiffusionModel",
    table: MixedTable,
    kind: str,
    headings: Headings | None,
    y: ArrayLike | None,
    checkpoint: str | Path | None,
    categorical: Sequence[str | int] = (),
) -> "DiffusionModel":
    """Returns another model with the same parameters, fitted to a table; see `Diffusion.fit`."""
    if model.warm_start and hasattr(model, "network_"):
        raise ValueError("warm_start is only for tables of numbers: give warm_start=False")
    if len(table) < 2:
        raise ValueError(f"X has {len(table)} row{'' if len(table) == 1 else 's'}: give at least 2")
    fresh = model._unfitted()
    layout = FrameLayout.of(table, kind, headings)
    encoding = TableEncoding.fit(table, categorical)
    rows = encoding.encode(table)
    label = table.label
    if y is not None:
        classes, indices, _ = checked_labels(y, len(table))
        own = [name] if isinstance(name := getattr(y, "name", None), str) else []
        label = next(n for n in chain(own, ["label"], (f"label_{i}" for i in count(1))) if n not in table.names)
        cells = Cells(indices, np.zeros(len(indices), bool), tuple(classes.tolist()))
        code = ColumnCode.fit(label, cells)
        encoding = TableEncoding((*encoding.columns, code))
        rows = np.concatenate([rows, code.encode(cells)], axis=1)
    elif label is not None:
        _check_label(encoding.code(label))
    # Before training rather than after it.
    description_of({"layout": layout.to_json(), "encoding": encoding.to_json()})
    asked = deciding(model, is_mixed=True)
    seed = None if checkpoint is None or model.random_state is not None else seed_in(Path(checkpoint))
    plan = _planned(model, rows, encoding, seed_of(model.random_state) if seed is None else seed, asked)
    mark = fingerprint(rows)
    file = None if checkpoint is None else Checkpoint(Path(checkpoint), plan_key(plan, mark), plan.seed)
    trained = train(plan, checkpoint=file, is_shown=bool(model.verbose))
    assert isinstance(trained.network, TokenNetwork | FactoredNetwork)
    network = jax.tree.map(np.asarray, jax.tree.map(jnp.asarray, trained.network).folded())
    fresh.network_, fresh.encoding_, fresh.layout_ = network, encoding, layout
    fresh.history_, fresh.validation_history_ = trained.history, trained.validation_history
    fresh.trained_with_, fresh.seed_, fresh.fingerprint_ = asked, plan.seed, mark
    fresh.n_features_in_ = len(layout.names)
    if all(type(name) is str for name in layout.names):
        fresh.feature_names_in_ = np.array(layout.names, dtype=object)
    fresh.label_column_ = None
    if label is not None:
        code = encoding.code(label)
        places = rows[:, encoding.start(label)].astype(np.int64)
        fresh.classes_ = classes_of(code, layout)
        fresh.class_counts_ = np.bincount(places, minlength=len(fresh.classes_))
        fresh.label_column_ = label, layout.names.index(label) if label in layout.names else len(layout.names)
    return fresh


def _check_label(code: ColumnCode) -> None:
    if code.has_missing:
        raise ValueError(f"the label column {code.name!r} has missing values: drop such rows, or give them a label")
    if len(code.knots):
        raise ValueError(f"the label column {code.name!r} holds too many different numbers to be classes: bin it")
    if code.n_values < 2:
        raise ValueError(f"the label column {code.name!r} has a single class: leave --target out")


def classes_of(code: ColumnCode, layout: FrameLayout) -> np.ndarray:
    """Returns the classes of a label column, in the order of their tokens and of the column's type."""
    if code.categories is not None:
        return np.array(code.categories)
    kind = layout.type_of(code.name)
    return code.atoms.astype(np.int64) if kind is not None and kind_of(kind) == "whole" else code.atoms


def tokens_of(encoding: TableEncoding) -> Tokens:
    """Returns the tokens of a model of a table."""
    return Tokens(encoding.sizes, encoding.parents)


def architecture_of(parameters: dict[str, Any], tokens: Tokens) -> TokenArchitecture:
    """Returns the architecture of a model of a table."""
    return TokenArchitecture(tokens, parameters["width"], parameters["depth"])


def _planned(
    model: "DiffusionModel", rows: np.ndarray, encoding: TableEncoding, seed: int, asked: dict[str, Any]
) -> Plan:
    stopping = Stopping(model.validation_fraction, model.n_iter_no_change) if model.early_stopping else None
    if stopping is not None and len(rows) < 3:
        raise ValueError(f"early_stopping holds out rows, and X has {len(rows)}: give more, or leave it out")
    # A step on a small table sees a sixteenth of it, so that a few epochs make enough steps.
    batch_size = model.batch_size or int(np.clip(len(rows) // 16, 8, BATCH_SIZE_MIXED))
    tokens = Tokens(encoding.sizes, encoding.parents, encoding.ranks)
    method = Method(
        TokenObjective(tokens),
        batch_size,
        is_averaged=bool(model.averaging > 0),
        is_clipped=model.gradient_clip is not None,
        precision=model.precision,
    )
    return Plan(
        rows=rows,
        labels=None,
        scaling=Unscaled(rows.shape[1]),
        # Tokens are hidden, not covered by noise: the schedule is not used.
        schedule=linear(1),
        architecture=architecture_of(asked, tokens),
        method=method,
        n_classes=0,
        default_steps=DEFAULT_STEPS,
        most_default_epochs=MOST_DEFAULT_EPOCHS,
        **learning(model),
        p_uncond=0.0,
        seed=seed,
        stopping=stopping,
        start_spread=np.ones(rows.shape[1], np.float32),
    )
