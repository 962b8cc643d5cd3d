"""Contract of every codec: rows are encoded, decoded and returned in their original container."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from pointillist.columns.scaling import SCALINGS, TableScaling
from pointillist.columns.table_encoder import TableEncoder
from pointillist.files.writing import TableWriter
from pointillist.models.codec import Codec
from pointillist.tables.frames import read_numbers, table_of
from pointillist.tables.layout import KINDS, Layout
from pointillist.tables.table import Column, Table

N = 1500
RNG = np.random.default_rng(0)

NUMBERS = {
    "age": RNG.integers(18, 90, N),
    "height": RNG.normal(170, 9, N),
    "income": RNG.lognormal(10, 1, N),
    "is_member": RNG.random(N) < 0.3,
    "constant": np.full(N, 7),
}
FIRST = date(1990, 1, 1)
MIXED = {
    **NUMBERS,
    "city": RNG.choice(["Köln", "Bern", "", 'a "b", c'], N),
    "size": RNG.choice(["S", "M", "L"], N),
    "when": [FIRST + timedelta(days=int(day)) for day in RNG.integers(0, 40, N)],
    "born": [FIRST + timedelta(days=int(day)) for day in RNG.integers(0, 9000, N)],
    "price": np.round(RNG.lognormal(2, 1, N), 2),
    "visits": [None if day == 4 else int(day) for day in RNG.integers(0, 5, N)],
    "weight": np.where(RNG.random(N) < 0.2, np.nan, np.where(RNG.random(N) < 0.3, 0.0, RNG.normal(70, 10, N))),
}
ARRAY = np.stack([NUMBERS[name] for name in ("age", "height", "constant")], axis=1).astype(np.float64)


@dataclass(frozen=True)
class Case:
    """A codec, and what it was made for.

    Attributes:
        codec: The codec.
        given: The rows, in their container.
        read: Reads rows as the numbers that `Codec.encode` takes.
        rebuild: Makes the codec from its facts and tensors.
        around: The least and the greatest number that stand for the same row as an encoded one, column by column.
        slack: Additional error of a number, as a fraction of its column's range.
    """

    codec: Codec
    given: Any
    read: Callable
    rebuild: Callable
    around: Callable
    slack: float = 1e-12

    def drawn(self, end=None):
        """Returns the encoded rows, or one end of the values that decode to them."""
        encoded = self.codec.encode(self.read(self.given))
        return encoded if end is None else self.around(encoded)[end]

    def decoded(self, end=None):
        return self.codec.decode(self.drawn(end), {}, slice(0, self.n))

    @property
    def n(self):
        return len(self.given)


def numbers(X, scaling="standard"):
    def read(X):
        return np.asarray(read_numbers(X)[1], np.float64)

    def rebuild(facts, tensors):
        return Codec.from_facts(facts, tensors)

    def around(encoded):
        return [np.nextafter(encoded, np.float32(end)) for end in (-np.inf, np.inf)]

    layout, rows = read_numbers(X)[0], read(X)
    codec = Codec.from_scaling(layout, TableScaling.fit(rows, scaling, layout.is_whole))
    return Case(codec, X, read, rebuild, around, 1e-12)


def tokens(X):
    def read(X):
        return encoding.encode(mixed(X).cells)

    def rebuild(facts, tensors):
        return Codec.from_facts(facts, tensors)

    def around(encoded):
        return [encoded, encoded]

    table, kind, headings = table_of(X)
    encoding = TableEncoder.fit(table)
    # Rounding of single precision.
    return Case(Codec(Layout.of(table, kind, headings), encoding), X, read, rebuild, around, 1e-5)


def mixed(X):
    return Table(X) if isinstance(X, pa.Table) else table_of(X)[0]


def pandas_of(columns, **types):
    return pandas.DataFrame(columns).astype(types)


SIZES = pandas.CategoricalDtype(["S", "M", "L", "XL"], ordered=True)

FRAME_OF_CATEGORIES = pandas_of(MIXED, city="category", visits="Int32", size=SIZES)

GROWING = np.arange(9000.0)

CODECS = {
    "numbers, standard": lambda: numbers(ARRAY),
    "numbers, minmax": lambda: numbers(ARRAY, "minmax"),
    "numbers, as they are": lambda: numbers(ARRAY, None),
    "numbers, float32": lambda: numbers(ARRAY.astype(np.float32)),
    "numbers, whole": lambda: numbers(np.stack([NUMBERS["age"], NUMBERS["constant"]], axis=1).astype(np.int16)),
    "numbers, truths": lambda: numbers(NUMBERS["is_member"][:, None]),
    "numbers, pandas": lambda: numbers(pandas_of(NUMBERS, height="float32", age="int16")),
    "numbers, pandas types": lambda: numbers(pandas_of(NUMBERS, age="Int16", height="Float32", is_member="boolean")),
    "numbers, polars": lambda: numbers(polars.DataFrame(NUMBERS, schema_overrides={"age": polars.Int8})),
    "numbers, pyarrow": lambda: numbers(pa.table({**NUMBERS, "age": pa.array(NUMBERS["age"], pa.uint16())}), "minmax"),
    "tokens, pandas": lambda: tokens(FRAME_OF_CATEGORIES),
    "tokens, names that are numbers": lambda: tokens(pandas.DataFrame({1: MIXED["visits"], 2: MIXED["weight"]})),
    "tokens, polars": lambda: tokens(polars.DataFrame(MIXED, schema_overrides={"size": polars.Enum(["S", "M", "L"])})),
    "tokens, pyarrow": lambda: tokens(pa.table(MIXED)),
    "tokens, two of a number": lambda: tokens(pa.table({"a": GROWING + RNG.normal(size=9000), "b": GROWING})),
    "tokens, of intervals": lambda: tokens(pa.table({"a": RNG.uniform(size=9000), "b": RNG.permutation(GROWING)})),
    "tokens, a file": lambda: tokens(Table(pa.table(MIXED))),
    "tokens, array": lambda: tokens(np.stack([MIXED["weight"], ARRAY[:, 1]], axis=1).astype(np.float32)),
    "tokens, array of numbers and text": lambda: tokens(np.array([MIXED["city"], MIXED["visits"]], object).T),
}
"""Every codec, of rows in every container."""


@pytest.fixture(scope="module", params=CODECS)
def case(request):
    return CODECS[request.param]()


def container(X):
    """Returns all properties of a container except its cells."""
    if isinstance(X, pandas.DataFrame):
        return type(X), X.dtypes.tolist(), X.columns.tolist()
    if isinstance(X, Table):
        return container(X.arrow)
    return (type(X), X.dtype, X.shape[1:]) if isinstance(X, np.ndarray) else (type(X), X.schema)


def test_every_codec_scaling_and_container_is_tested():
    cases = [make() for make in CODECS.values()]
    scaled = [case.codec for case in cases if case.codec.encoding.scaling is not None]
    others = [case.codec for case in cases if case.codec.encoding.scaling is None]
    assert {codec.layout.kind for codec in others} == {*KINDS}
    assert {codec.layout.kind for codec in scaled} == {*KINDS} - {"file"}
    scalings = {type(TableScaling.fit(ARRAY, name, np.zeros(3, bool)).varying) for name in SCALINGS}
    assert {type(codec.scaling.varying) for codec in scaled} == scalings
    assert {len(codec.encoding.with_number) for codec in others} >= {0, 2}


def columns_of(X):
    """Returns the values of each column (numbers or categories), NaN or None if missing."""
    columns = []
    for cells in mixed(X).cells:
        values = cells.values.astype(np.float64)
        if cells.categories is not None:
            values = np.array([None, *cells.categories], object)[values.astype(int) + 1]
        columns.append(np.where(cells.is_missing, np.nan if cells.categories is None else None, values))
    return columns


def plain(column):
    """Converts a column to Python values, with None for NaN, which does not equal itself."""
    values = column.to_pylist() if isinstance(column, pa.Array | pa.ChunkedArray) else column.tolist()
    return [None if cell != cell else cell for cell in values]


def test_names_types_and_width_agree(case):
    codec, columns = case.codec, case.codec.layout.columns(case.decoded())
    types = codec.layout.column_types
    assert [str(getattr(column, "type", None) or column.dtype) for column in columns] == [str(t) for t in types]
    assert codec.n_columns == len(types) and {len(column) for column in columns} == {case.n}
    assert codec.names is None or len(codec.names) == len(set(codec.names)) == codec.n_columns
    encoded = case.drawn()
    assert encoded.dtype == np.float32 and encoded.shape == (case.n, codec.width) and np.isfinite(encoded).all()


def test_rows_are_restored(case):
    """Checks that rows lie between the decoded least and greatest encodings (equal except for floats)."""
    restored = [case.codec.layout.restore(case.decoded(end)) for end in (None, 0, 1)]
    given, found, low, high = map(columns_of, (case.given, *restored))
    for original, back, least, most in zip(given, found, low, high, strict=True):
        if original.dtype == object:
            assert original.tolist() == back.tolist() == least.tolist() == most.tolist()
            continue
        is_missing = np.isnan(original)
        for each in (back, least, most):
            np.testing.assert_array_equal(np.isnan(each), is_missing)
        original, back, least, most = (each[~is_missing] for each in (original, back, least, most))
        # A column of float32 is rounded once more.
        is_single = (original.astype(np.float32) == original).all()
        slack = case.slack * np.ptp(original) + is_single * np.spacing(np.abs(original).max(), dtype=np.float32)
        assert ((least - slack <= original) & (original <= most + slack)).all()
        assert ((least - slack <= back) & (back <= most + slack)).all()
        # The two are close: few values of the column lie between them.
        first, last = np.searchsorted(np.sort(original), [least + slack, most - slack])
        assert (last - first).max() <= 0.05 * case.n


def test_the_container_is_the_one_given(case):
    restored = case.codec.layout.restore(case.decoded())
    assert container(restored) == container(case.given)
    assert len(restored) == case.n


def test_rows_for_pandas_have_the_requested_index(case):
    if case.codec.layout.kind != "pandas":
        return
    index = pandas.Index(np.arange(case.n) * 2, name="index")
    assert case.codec.layout.restore(case.decoded(), index).index.equals(index)


def test_parts_are_joined_in_order(case):
    codec, encoded = case.codec, case.drawn()
    parts = [codec.decode(encoded[part], {}, part) for part in (slice(0, 400), slice(400, 401), slice(401, case.n))]
    joined, whole = codec.joined(parts), case.decoded()
    for one, other in zip(codec.layout.columns(joined), codec.layout.columns(whole), strict=True):
        assert plain(one) == plain(other)
    assert container(codec.layout.restore(joined)) == container(case.given)


def test_joining_no_parts_gives_no_rows(case):
    codec = case.codec
    none = codec.joined([])
    assert len(none) == 0 and [len(column) for column in codec.layout.columns(none)] == [0] * codec.n_columns
    assert container(codec.layout.restore(none)) == container(case.given)
    assert len(codec.layout.restore(none)) == 0


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_are_written_as_their_types(case, ending, tmp_path):
    codec, path = case.codec, tmp_path / f"rows.{ending}"
    columns = codec.layout.columns(case.decoded())
    names = [str(i) if codec.names is None else str(codec.names[i]) for i in range(codec.n_columns)]
    with TableWriter(path, names, codec.layout.column_types, case.n) as writer:
        writer.write(columns)
    if ending == "parquet":
        table = parquet.read_table(path)
        for kind, field in zip(codec.layout.column_types, table.schema, strict=True):
            wanted = pa.from_numpy_dtype(np.dtype(kind)) if isinstance(kind, str) else kind
            # Parquet files do not store which Arrow text type categories have.
            assert str(field.type).replace("large_", "") == str(wanted).replace("large_", "")
    else:
        empty = csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False)
        table = csv.read_csv(path, convert_options=empty)
    assert table.num_rows == case.n and table.column_names == names
    for written, column in zip(table.columns, columns, strict=True):
        original, found = plain(column), plain(written)
        if any(isinstance(cell, float) for cell in original):
            original, found = (
                np.array([np.nan if cell is None else cell for cell in each], float) for each in (original, found)
            )
            np.testing.assert_allclose(found, original, rtol=1e-6)
        else:
            assert found == original


def test_a_codec_is_rebuilt_from_facts_and_tensors(case):
    codec = case.codec
    facts, tensors = json.loads(json.dumps(codec.facts())), codec.tensors()
    assert {tensor.dtype.str for tensor in tensors.values()} <= {"<f4", "<f8", "<i4", "<i8"}
    again = case.rebuild(facts, {name: tensor.copy() for name, tensor in tensors.items()})
    assert type(again) is type(codec)
    assert again.layout.column_types == codec.layout.column_types
    assert (again.names, again.width) == (codec.names, codec.width)
    assert json.loads(json.dumps(again.facts())) == facts
    assert again.tensors().keys() == tensors.keys()
    for name, tensor in again.tensors().items():
        np.testing.assert_array_equal(tensor, tensors[name])
    np.testing.assert_array_equal(again.encode(case.read(case.given)), codec.encode(case.read(case.given)))
    decoded = again.decode(case.drawn(), {}, slice(0, case.n))
    for one, other in zip(again.layout.columns(decoded), codec.layout.columns(case.decoded()), strict=True):
        assert plain(one) == plain(other)
    assert container(again.layout.restore(decoded)) == container(case.given)


def test_observed_cells_are_returned_unchanged(case):
    """Checks observed cells, one for all rows or one per row, when some rows are decoded."""
    codec, part, table = case.codec, slice(300, 500), mixed(case.given)
    drawn = case.drawn()[part]
    for index, (name, cells) in enumerate(zip(codec.layout.column_names, table.cells, strict=True)):
        backwards = Column(cells.values[::-1], cells.is_missing[::-1], cells.categories)
        wanted = plain(table.arrow.column(index))[::-1]
        for given, expected in ((backwards, wanted[part]), (backwards.part(slice(0, 1), 1), [wanted[0]] * 200)):
            assert plain(codec.layout.columns(codec.decode(drawn, {name: given}, part))[index]) == expected
