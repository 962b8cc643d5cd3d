"""Draws from a model of a mixed table: new rows, rows with some cells given, and missing cells."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float

from pointillist.diffusion.token_sampling import HIDDEN, TokenDenoiser, TokenSampler
from pointillist.engine.remote import stream_rows_on_ray
from pointillist.engine.sampling import stream_rows
from pointillist.estimators.inputs import check_drawn, check_fitted, check_guidance, is_whole, seed_of
from pointillist.estimators.mixed.frames import table_of
from pointillist.estimators.mixed.planning import tokens_of
from pointillist.points.encoding import ColumnCode
from pointillist.points.mixed import Cells, MixedTable, cells_of

if TYPE_CHECKING:
    from pointillist.estimators.drawing import Options
    from pointillist.estimators.model import DiffusionModel


class MixedDraw:
    """A request for rows from a model of a mixed table.

    Attributes:
        n_rows: Number of rows.
    """

    def __init__(self, model: "DiffusionModel", n_samples: int | None, options: "Options") -> None:
        check_fitted(model)
        if n_samples is not None and not is_whole(n_samples, 0):
            raise ValueError(f"n_samples must be an integer of at least 0, not {n_samples!r}")
        _check_for_tables(options)
        self._model, self._encoding = model, model.encoding_
        where = dict(options.where or {})
        if options.labels is not None:
            if not model._n_classes:
                raise ValueError(
                    "labels are given, but this model was fitted without: fit it with y, or leave them out"
                )
            assert model.label_column_ is not None
            where[model.label_column_[0]] = options.labels
        given = {name: _values(name, value) for name, value in where.items()}
        lengths = {name: len(values) for name, values in given.items() if values is not None and len(values) != 1}
        wanted = {"n_samples": n_samples, **lengths}
        sizes = {name: n for name, n in wanted.items() if n is not None}
        if len(set(sizes.values())) > 1:
            one, *_, other = sizes
            raise ValueError(f"{other} is for {sizes[other]} rows but {one} for {sizes[one]}: leave one of them out")
        self.n_rows = next(iter(sizes.values()), 1)
        if options.return_labels and not model._n_classes:
            raise ValueError("return_labels needs a model with classes, and this one was fitted without: fit it with y")
        self._return_labels = options.return_labels
        self._seed = seed_of(options.random_state)
        self._cells = {name: self._cells_of(name, values) for name, values in given.items()}
        self._denoiser = _denoiser(model, options)

    def _cells_of(self, name: Any, values: Sequence[Any]) -> Cells:
        code, kind = self._encoding.code(name), self._model.layout_.type_of(name)
        cells = _of_labels(values) if kind is None else cells_of(name, values, kind)
        if np.isnan(code.encode(cells)).any():
            raise ValueError(f"column {name!r} has no missing cell in the training rows: give a value")
        return cells

    def parts(
        self, engine: str = "local", address: str | None = None
    ) -> Iterator[tuple["pa.Table", np.ndarray | None]]:
        """Yields rows as Arrow tables, in order, as they are computed, with their labels if requested."""
        prior = None
        if self._cells:
            one = np.full((1, len(self._encoding.sizes)), HIDDEN)
            is_one = all(len(cells.values) == 1 for cells in self._cells.values())
            prior = one if is_one else np.repeat(one, self.n_rows, axis=0)
            for name, given in self._cells.items():
                own, start = self._encoding.code(name).encode(given), self._encoding.start(name)
                prior[:, start : start + own.shape[1]] = own
        first = 0
        for tokens in _streamed(self._denoiser, self.n_rows, self._seed, prior, engine, address):
            cells = list(self._encoding.decode(tokens.astype(np.float64)))
            rows = slice(first, first + len(tokens))
            first += len(tokens)
            for name, given in self._cells.items():
                place = self._encoding.columns.index(self._encoding.code(name))
                cells[place] = _part(given, rows, len(tokens))
            yield self._model.layout_.table(tuple(cells[: self._model.n_features_in_])), self._labels(cells)

    def _labels(self, cells: list[Cells]) -> np.ndarray | None:
        if not self._return_labels:
            return None
        assert self._model.label_column_ is not None
        code = self._encoding.code(self._model.label_column_[0])
        own = cells[self._encoding.columns.index(code)]
        return own.values if own.categories is None else np.array(own.categories)[own.values.astype(np.int64)]

    def rows(self, progress: Callable[[int], None]) -> tuple["pa.Table", np.ndarray | None]:
        """Returns all of `parts` at once; calls `progress` with the number of new rows."""
        empty = self._model.layout_.schema.empty_table()
        tables, labels = [empty], [self._model.classes_[:0]] if self._return_labels else []
        for table, own in self.parts():
            tables.append(table)
            progress(len(table))
            labels += [] if own is None else [own]
        return pa.concat_tables(tables).unify_dictionaries(), np.concatenate(labels) if labels else None


def imputed(model: "DiffusionModel", X: Any, n_draws: int, random_state: Any) -> list["pa.Table"]:
    """Returns one table per draw, each like X with its missing cells filled."""
    check_fitted(model)
    if not is_whole(n_draws, 1):
        raise ValueError(f"n_draws must be an integer of at least 1, not {n_draws!r}")
    table = _aligned(model, X)
    encoding, n = model.encoding_, len(table)
    tokens = np.full((n, len(encoding.sizes)), HIDDEN)
    for code, cells in zip(encoding.columns, table.cells, strict=False):
        own, start = code.encode(cells), encoding.start(code.name)
        tokens[:, start : start + own.shape[1]] = np.where(cells.is_missing[:, None], HIDDEN, own)
    denoiser = TokenDenoiser(model.network_, tokens_of(encoding), forbidden=_missing_slots(encoding.columns))
    prior = np.tile(tokens, (n_draws, 1))
    drawn = [np.empty((0, len(encoding.sizes))), *_streamed(denoiser, n * n_draws, seed_of(random_state), prior)]
    filled = encoding.decode(np.concatenate(drawn).astype(np.float64))
    tables = []
    for i in range(n_draws):
        rows = slice(i * n, (i + 1) * n)
        merged = [_merged(given, _part(new, rows, n)) for given, new in zip(table.cells, filled, strict=False)]
        whole = model.layout_.table(tuple(merged))
        columns = [_kept(*column) for column in zip(table.arrow.columns, whole.columns, table.cells, strict=True)]
        tables.append(pa.Table.from_arrays(columns, schema=whole.schema))
    return tables


def _merged(given: Cells, new: Cells) -> Cells:
    """New cells where the given ones are missing."""
    if new.categories is None:
        return Cells(np.where(given.is_missing, new.values, given.values), new.is_missing & given.is_missing)
    assert given.categories is not None
    places = {category: i for i, category in enumerate(new.categories)}
    own = np.array([places.get(category, 0) for category in given.categories] or [0])
    values = np.where(given.is_missing, new.values, own[np.where(given.is_missing, 0, given.values).astype(np.int64)])
    return Cells(values, new.is_missing & given.is_missing, new.categories)


def _kept(given: "pa.ChunkedArray", filled: "pa.ChunkedArray", cells: Cells) -> "pa.ChunkedArray":
    """Filled cells, and the given ones as they came: a number may not hold every digit of a date."""
    if cells.categories is not None or given.type != filled.type:
        return filled
    return pc.if_else(pa.array(cells.is_missing), filled, given)


def _aligned(model: "DiffusionModel", X: Any) -> MixedTable:
    """X with the model's columns, in their order."""
    found = table_of(X)
    if found is None:
        raise ValueError("impute cannot read X: give an array or a data frame with the columns of fit")
    layout, names = model.layout_, found[0].names
    columns = []
    for name, field in zip(layout.names, layout.schema, strict=True):
        if name not in names:
            raise ValueError(f"X has no column {name!r}: give all columns of fit, with missing cells where unknown")
        columns.append(_as_in_fit(name, found[0].arrow.column(names.index(name)), field.type))
    return MixedTable(pa.table(columns, names=layout.schema.names), own_names=layout.names)


def _as_in_fit(name: Any, column: "pa.ChunkedArray", wanted: "pa.DataType") -> "pa.ChunkedArray":
    """A column in the type that it had in fit, or in one that holds its cells.

    Raises:
        ValueError: If it holds something else.
    """
    if (pa.types.is_dictionary(wanted) or column.type == wanted) and not pa.types.is_null(column.type):
        return column
    try:
        # A column that is empty, or of integers with missing cells, comes as another type.
        held = column.cast(_plain(wanted))
        if pa.types.is_integer(wanted):
            pc.if_else(pc.is_nan(held), None, held).cast(wanted)
        return held
    except pa.ArrowException as error:
        raise ValueError(f"column {name!r} of X holds {column.type}, and it held {wanted} in fit") from error


def _plain(kind: "pa.DataType") -> "pa.DataType":
    """The type in which cells may be read: integers too may have stood beside missing cells as NaN."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return pa.float64() if pa.types.is_integer(kind) or pa.types.is_floating(kind) else kind


def _missing_slots(codes: tuple[ColumnCode, ...]) -> np.ndarray:
    """Which slots stand for a missing cell."""
    slots = []
    for code in codes:
        own = np.zeros(sum(code.sizes), bool)
        own[code.n_values : code.n_values + code.has_missing] = True
        slots.append(own)
    return np.concatenate(slots)


def _denoiser(model: "DiffusionModel", options: "Options") -> TokenDenoiser:
    tokens, guidance = tokens_of(model.encoding_), options.guidance
    check_guidance(guidance)
    if guidance == 0:
        return TokenDenoiser(model.network_, tokens)
    if options.labels is None:
        raise ValueError("guidance needs a class to guide to: give labels")
    assert model.label_column_ is not None
    place = model.encoding_.start(model.label_column_[0])
    return TokenDenoiser(model.network_, tokens, guided=place, guidance=np.asarray(guidance, np.float32))


def _streamed(
    denoiser: TokenDenoiser,
    n_rows: int,
    seed: int,
    prior: Float[np.ndarray, "n T"] | None,
    engine: str = "local",
    address: str | None = None,
) -> Iterator[np.ndarray]:
    parts: dict[str, Any] = {"columns": len(denoiser.tokens.sizes), "n_rows": n_rows, "seed": seed, "prior": prior}
    stream = stream_rows
    if engine == "ray":
        stream = partial(stream_rows_on_ray, address=address, labels=None)
    for tokens in stream(denoiser, TokenSampler(), **parts):
        check_drawn(tokens)
        yield tokens


def _of_labels(values: Sequence[Any]) -> Cells:
    """Cells of labels that have no column in the table."""
    known = tuple(dict.fromkeys(value for value in values if value is not None))
    places = np.array([0 if value is None else known.index(value) for value in values])
    return Cells(places, np.array([value is None for value in values]), known)


def _part(cells: Cells, rows: slice, n: int) -> Cells:
    """Cells of some rows; a single cell is repeated for all of them."""
    if len(cells.values) == 1:
        return Cells(np.repeat(cells.values, n), np.repeat(cells.is_missing, n), cells.categories)
    return Cells(cells.values[rows], cells.is_missing[rows], cells.categories)


def _values(name: Any, value: Any) -> Sequence[Any]:
    """Values given for a column: one for all rows, or one per row."""
    if isinstance(value, str) or np.ndim(value) == 0:
        return [value.item() if isinstance(value, np.generic) else value]
    if np.ndim(value) > 1:
        raise ValueError(f"column {name!r} takes one value, or one value per row, not shape {np.shape(value)}")
    return list(value)


def _check_for_tables(options: "Options") -> None:
    """Raises an error for options that only models of numbers have."""
    if options.where is not None and not isinstance(options.where, Mapping):
        raise ValueError(f"where must map columns to values, as {{'column': value}}, not {options.where!r}")
    defaults = type(options)()
    for name in ("guidance_interval", "worse", "reward", "sampler", "steps", "prior", "deterministic"):
        if getattr(options, name) != getattr(defaults, name):
            raise ValueError(f"{name} is only for models of numbers, and this one is of mixed columns: leave it out")
