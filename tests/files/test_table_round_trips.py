"""Tables of every type that pandas, Polars and Arrow have: through the codec and back, or refused in one line."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from pointillist.cli.table_options import print_types, read_for
from pointillist.columns.table_encoder import TableEncoder
from pointillist.files.reading import read_table
from pointillist.files.texts import typed
from pointillist.files.writing import TableWriter
from pointillist.models.choosing import masked_table
from pointillist.models.codec import Codec
from pointillist.models.row_model import RowModel
from pointillist.tables.frames import aligned
from pointillist.tables.layout import Layout
from pointillist.tables.table import Column, Table, cells_in, cells_of, kind_of, to_arrow

DAY = date(2024, 1, 1)
WHOLE = {f"{sign}int{bits}": (0 if sign else -100, 100) for sign in ("", "u") for bits in (8, 16, 32, 64)}


def whole(low, high):
    return st.integers(low, high) | st.sampled_from([low, high])


def number(bits):
    return st.floats(-1e4, 1e4, width=bits)


TEXTS = st.sampled_from(["a", "Köln", 'b "c", d', "", " x ", "NA", "\n"])
DECIMALS = st.integers(-9999, 9999).map(lambda i: Decimal(i).scaleb(-2))
DATES = st.integers(0, 20_000).map(lambda i: DAY - timedelta(days=i))
FAR_DAYS = st.integers(-900_000, 5_000_000)
TIMES = st.integers(-(10**15), 10**15)
MOMENTS = TIMES.map(lambda i: datetime(2024, 1, 1) + timedelta(microseconds=i))
DURATIONS = TIMES.map(lambda i: timedelta(microseconds=i))
CLOCKS = st.integers(0, 86_399_999_999).map(lambda i: (datetime(2024, 1, 1) + timedelta(microseconds=i)).time())

ARROW = {
    **{name: (whole(*ends), getattr(pa, name)()) for name, ends in WHOLE.items()},
    "float16": (number(16), pa.float16()),
    "float32": (number(32), pa.float32()),
    "float64": (number(64), pa.float64()),
    "bool": (st.booleans(), pa.bool_()),
    "decimal128": (DECIMALS, pa.decimal128(9, 2)),
    "decimal256": (DECIMALS, pa.decimal256(40, 3)),
    "string": (TEXTS, pa.string()),
    "large_string": (TEXTS, pa.large_string()),
    "string_view": (TEXTS, pa.string_view()),
    "date32": (FAR_DAYS, pa.date32()),
    "date64": (DATES, pa.date64()),
    **{f"timestamp {unit}": (TIMES, pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")},
    "timestamp with a time zone": (MOMENTS, pa.timestamp("us", "Europe/Berlin")),
    "time32": (CLOCKS.map(lambda t: t.replace(microsecond=0)), pa.time32("s")),
    "time64": (CLOCKS, pa.time64("us")),
    **{f"duration {unit}": (TIMES, pa.duration(unit)) for unit in ("s", "ms", "us", "ns")},
    **{
        f"dictionary of {kind}": (values, pa.dictionary(pa.int8(), kind))
        for kind, values in ((pa.string(), TEXTS), (pa.int64(), whole(-5, 5)), (pa.float64(), number(64)))
    },
}
PANDAS = {
    **{name: whole(*ends) for name, ends in WHOLE.items()},
    **{name.replace("i", "I").replace("uI", "UI"): whole(*ends) for name, ends in WHOLE.items()},
    "float32": number(32),
    "float64": number(64),
    "Float32": number(32),
    "Float64": number(64),
    "bool": st.booleans(),
    "boolean": st.booleans(),
    "object": TEXTS | st.just(None),
    "str": TEXTS,
    "string": TEXTS,
    "category": TEXTS,
    "datetime64[ns]": MOMENTS,
    "datetime64[s]": MOMENTS.map(lambda t: t.replace(microsecond=0)),
    "datetime64[us, Asia/Tokyo]": MOMENTS,
    "timedelta64[us]": DURATIONS,
    **{str(pandas.ArrowDtype(kind)): values for values, kind in (ARROW["string"], ARROW["int16"], ARROW["float32"])},
    "of decimals": DECIMALS,
    "of categories of floats": number(64),
    "of categories of integers": whole(-5, 5),
    "of arrow's decimals": DECIMALS,
    "of arrow's dictionary": TEXTS,
    "of arrow's dates": DATES,
    "objects, dates": DATES,
    "objects, times": CLOCKS,
    "objects, integers": whole(-5, 5),
}
PANDAS_TYPES = {
    "of decimals": "object",
    "of categories of floats": "category",
    "of categories of integers": "category",
    "of arrow's decimals": pandas.ArrowDtype(pa.decimal128(9, 2)),
    "of arrow's dictionary": pandas.ArrowDtype(pa.dictionary(pa.int32(), pa.string())),
    "of arrow's dates": pandas.ArrowDtype(pa.date32()),
    **dict.fromkeys(("objects, dates", "objects, times", "objects, integers"), "object"),
}
PLAIN = ("int", "uint", "bool", "float16")
"""Types of pandas and NumPy without missing cells."""

POLARS = {
    **{name.replace("i", "I").replace("uI", "UI"): whole(*ends) for name, ends in WHOLE.items()},
    "Float32": number(32),
    "Float64": number(64),
    "Boolean": st.booleans(),
    "String": TEXTS,
    "Categorical": TEXTS,
    "Enum": st.sampled_from(["S", "M", "L"]),
    "Date": DATES,
    "Datetime": MOMENTS,
    "Datetime of a zone": MOMENTS.map(lambda t: t.replace(tzinfo=UTC)),
    "Time": CLOCKS,
    "Duration": DURATIONS,
    "Decimal": DECIMALS,
}
POLARS_TYPES = {
    "Enum": polars.Enum(["S", "M", "L", "XL"]),
    "Datetime of a zone": polars.Datetime("us", "UTC"),
    "Decimal": polars.Decimal(9, 2),
}


def make_arrow(name, cells):
    kind = ARROW[name][1]
    if pa.types.is_dictionary(kind):
        return pa.array(cells, kind.value_type).dictionary_encode().cast(kind)
    if kind == pa.date32() or (pa.types.is_timestamp(kind) and kind.tz is None) or pa.types.is_duration(kind):
        return pa.array(cells, pa.int32() if kind == pa.date32() else pa.int64()).cast(kind)
    return pa.array(cells, kind)


def make_pandas(name, cells):
    kind = PANDAS_TYPES.get(name, name)
    return pandas.Series(cells, dtype="object" if kind == "category" else kind).astype(kind)


def make_polars(name, cells):
    return polars.Series(cells, dtype=POLARS_TYPES.get(name) or getattr(polars, name), strict=False)


@st.composite
def tables(draw):
    """Draws a table of one of the three libraries."""
    library, n = draw(st.sampled_from(["arrow", "pandas", "polars"])), draw(st.integers(2, 40))
    kinds = {"arrow": ARROW, "pandas": PANDAS, "polars": POLARS}[library]
    names = draw(st.lists(st.sampled_from(list(kinds)), min_size=1, max_size=4, unique=True))
    columns = {}
    for name in names:
        values = kinds[name][0] if library == "arrow" else kinds[name]
        cells = draw(st.lists(values, min_size=n, max_size=n))
        has_missing = draw(st.booleans()) and not (library == "pandas" and name.startswith(PLAIN))
        cells = [None if has_missing and i and draw(st.booleans()) else cell for i, cell in enumerate(cells)]
        assume(cells[0] is not None)
        columns[name] = {"arrow": make_arrow, "pandas": make_pandas, "polars": make_polars}[library](name, cells)
    make = {"arrow": pa.table, "pandas": pandas.DataFrame, "polars": polars.DataFrame}[library]
    return make(columns)


def codec_of(X):
    table, kind, headings = masked_table("masked", X)
    return Codec(Layout.of(table, kind, headings), TableEncoder.fit(table)), table


def types_of(X):
    return X.dtypes.tolist() if isinstance(X, pandas.DataFrame) else X.schema


def missing_in(X):
    return [cells.is_missing.tolist() for cells in masked_table("masked", X)[0].cells]


def through(codec, table):
    """Returns the table after encoding and decoding."""
    n = len(table)
    return codec.layout.restore(codec.decode(codec.encode(codec.encoding.encode(table.cells)), {}, slice(0, n)))


@settings(max_examples=150)
@given(X=tables())
def test_every_type_comes_back(X):
    try:
        codec, table = codec_of(X)
    except ValueError as error:
        assert str(error).startswith("every column is constant")
        return
    back = through(codec, table)
    assert type(back) is type(X) and types_of(back) == types_of(X) and missing_in(back) == missing_in(X)
    for one, again in zip(table.cells, masked_table("masked", back)[0].cells, strict=True):
        observed = one.values[~one.is_missing]
        new = again.values[~again.is_missing]
        if one.categories is not None:
            texts = [[each.categories[int(i)] for i in v] for each, v in ((one, observed), (again, new))]
            assert texts[0] == texts[1]
        else:
            # Rounding to the digits of the column may slightly exceed the range.
            slack = 1e-6 * max(1.0, np.abs(observed).max())
            assert new.min() >= observed.min() - slack and new.max() <= observed.max() + slack
    again = Codec.from_facts(json.loads(json.dumps(codec.facts())), codec.tensors())
    assert types_of(through(again, table)) == types_of(X)
    filled = codec.layout.restore(codec.filled(table, codec.encoding.decode(codec.encoding.encode(table.cells))))
    assert types_of(filled) == types_of(X)


def check_written(path, codec, rows):
    """Asserts that a file holds rows, as a model reads it."""
    model = SimpleNamespace(codec=codec, label_index=None, classes=None)
    model.file_columns = partial(RowModel.file_columns, model)
    for one, other in zip(aligned(read_for(model, path), codec.layout).cells, rows.cells, strict=True):
        # In CSV, a cell with only white space is missing.
        blank = [i for i, text in enumerate(other.categories or ()) if path.suffix == ".csv" and text == "\n"]
        is_missing = other.is_missing | (np.isin(other.values, blank) if blank else False)
        np.testing.assert_array_equal(one.is_missing, is_missing)
        expected, written = (cells.values[~is_missing] for cells in (one, other))
        if one.categories is not None:
            assert [one.categories[int(i)] for i in expected] == [other.categories[int(i)] for i in written]
        else:
            # Half precision has three digits, and fewer of the smallest numbers.
            off = {"rtol": 1e-3, "atol": 1e-7} if "halffloat" in str(rows.arrow.schema) else {"rtol": 0}
            np.testing.assert_allclose(expected, written, **off)


@settings(max_examples=60)
@given(X=tables(), ending=st.sampled_from(["csv", "parquet"]))
def test_every_type_is_written_and_shown(tmp_path_factory, X, ending):
    from rich.console import Console

    try:
        codec, table = codec_of(X)
    except ValueError:
        return
    n = len(table)
    rows = codec.decode(codec.encode(codec.encoding.encode(table.cells)), {}, slice(0, n))
    path = tmp_path_factory.mktemp("tables") / f"rows.{ending}"
    with TableWriter(path, [str(name) for name in codec.names], codec.layout.column_types, n) as writer:
        writer.write(codec.layout.columns(rows))
    # CSV has no years with five digits, which may occur here.
    is_far = any(str(field.type) in ("timestamp[s]", "timestamp[ms]", "date32[day]") for field in codec.layout.schema)
    if ending == "parquet" or not is_far:
        check_written(path, codec, aligned(rows, codec.layout))
    with (path.parent / "shown").open("w") as file:
        print_types(table, codec, (), Console(file=file))


REFUSED = {
    "intervals": (lambda: pandas.cut(pandas.Series(np.arange(60.0)), 3), "intervals: make them text"),
    "plain intervals": (lambda: pandas.IntervalIndex.from_breaks(np.arange(61.0)), "intervals: make them text"),
    "periods": (lambda: pandas.period_range("2020-01", periods=60, freq="M"), "periods: make them text"),
    "date categories": (
        lambda: pandas.Categorical(pandas.to_datetime(["2024-01-01", "2024-02-02"] * 30)),
        "categories of timestamp",
    ),
    "sparse": (lambda: pandas.arrays.SparseArray(np.arange(60) % 3), r"Sparse\[int64, 0\]: make it dense"),
    "half a character": (lambda: pandas.Series(["a\ud800", "b"] * 30, dtype=object), "half a character"),
    "half a character in a category": (
        lambda: pandas.Categorical(pandas.Series(["a\ud800", "b"] * 30, dtype=object)),
        "half a character",
    ),
    "bytes": (lambda: [b"a", b"b"] * 30, "binary, which is not a number"),
    "complex": (lambda: np.arange(60) * 1j, "complex128: give real and imaginary parts"),
    "very long integers": (lambda: pandas.Series([10**30, 1] * 30, dtype=object), "integers beyond 64 bits: drop"),
    "infinite categories": (lambda: pandas.Categorical([1.0, np.inf] * 30), "an infinite value"),
}


@pytest.mark.parametrize("make,message", REFUSED.values(), ids=REFUSED)
def test_other_types_are_refused_by_name(make, message):
    frame = pandas.DataFrame({"n": np.arange(60.0), "other": make()})
    with pytest.raises(ValueError, match=rf"^column 'other' holds .*{message}") as refusal:
        codec_of(frame)
    assert "\n" not in str(refusal.value) and not isinstance(refusal.value, UnicodeError)


def test_half_characters_in_arrays_and_names():
    with pytest.raises(ValueError, match="column 1 holds text with half a character"):
        codec_of(np.array([[1.5, "a\ud800"], [2.5, "b"]], object))
    frame = pandas.DataFrame(np.eye(3), columns=pandas.Index(["x\ud800", "y", "z"], dtype=object))
    with pytest.raises(ValueError, match=r"a column is named 'x\\ud800', which no file can hold"):
        codec_of(frame)


def test_equal_or_missing_categories_are_merged():
    kinds = {
        "texts": pa.DictionaryArray.from_arrays([0, 1, 2, 3] * 5, ["a", "b", "a", None]),
        "zeros": pa.DictionaryArray.from_arrays([0, 1, 2, 3] * 5, [0.0, 1.5, -0.0, np.nan]),
    }
    table = pa.table(kinds)
    codec, mixed = codec_of(table)
    assert [cells.categories for cells in mixed.cells] == [("a", "b"), (0.0, 1.5)]
    back = through(codec, mixed)
    assert back.schema == table.schema and [column.null_count for column in back.columns] == [5, 5]


def test_decimals_of_a_file_keep_their_type(tmp_path):
    decimals = pa.array([Decimal(f"{i}.25") for i in range(60)])
    parquet.write_table(pa.table({"x": np.arange(60.0), "m": decimals}), tmp_path / "a.parquet")
    found = read_table(tmp_path / "a.parquet")
    assert isinstance(found, Table) and found.arrow.column("m").type == decimals.type
    codec, table = codec_of(found)
    assert through(codec, table).column("m").type == decimals.type


def test_an_array_of_another_width_is_refused():
    codec, _ = codec_of(np.array([["a", 1.5], ["b", 2.0]] * 5, object))
    wide = np.array([["a", 1.5, 3.0]], object)
    with pytest.raises(ValueError, match="X has 3 columns, and the model has 2: give all columns of fit"):
        aligned(wide, codec.layout)
    assert len(aligned(wide[:, :1], codec.layout, absent=[1])) == 1
    named, _ = codec_of(pandas.DataFrame({"a": ["x", "y"] * 5, "b": np.arange(10) / 3}))
    assert aligned(np.array([[0.5]]), named.layout, absent=["a"]).cells[1].values.tolist() == [0.5]
    by_number, _ = codec_of(pandas.DataFrame({2: ["x", "y"] * 5, 0: np.arange(10) / 3}))
    assert aligned(np.array([["x", 0.5]], object), by_number.layout).cells[1].values.tolist() == [0.5]


def test_decimals_of_an_array_keep_their_type():
    rows = np.array([[1.5, Decimal("1.5")], [2.5, Decimal("2.5")], [3.5, Decimal("4.5")]] * 5, object)
    codec, table = codec_of(rows)
    assert {type(cell) for cell in through(codec, table)[:, 1]} == {Decimal}
    assert masked_table("auto", rows) is not None


@pytest.mark.parametrize("kind", ["float32", "decimal"])
def test_digits_of_single_precision_and_decimals_are_detected(kind):
    hundredths = np.arange(-5000, 5000)
    decimals = pa.array([Decimal(i).scaleb(-2) for i in hundredths.tolist()])
    column = decimals if kind == "decimal" else pa.array((hundredths / 100).astype(np.float32))
    table = Table(pa.table({"x": column, "y": hundredths % 7}))
    assert np.array_equal(table.cells[0].values, hundredths / 100)
    assert TableEncoder.fit(table).columns[0].grid.decimals == 2


NEW_YORK = pa.timestamp("us", "America/New_York")


@pytest.mark.parametrize(
    ("value", "kind", "same"),
    [
        (DAY, pa.timestamp("us"), datetime(2024, 1, 1)),
        (np.datetime64(DAY, "ns"), pa.timestamp("us"), datetime(2024, 1, 1)),
        (np.datetime64(DAY), pa.date32(), DAY),
        (np.timedelta64(3, "m"), pa.duration("ms"), timedelta(minutes=3)),
        (datetime(2024, 1, 1, 10), NEW_YORK, datetime(2024, 1, 1, 15, tzinfo=UTC)),
        (DAY, NEW_YORK, datetime(2024, 1, 1, 5, tzinfo=UTC)),
        (datetime(2024, 1, 1), pa.date32(), DAY),
        (3, pa.decimal128(4, 2), Decimal(3)),
        (0.1, pa.decimal128(4, 2), Decimal("0.1")),
        (np.float32(0.1), pa.float32(), 0.1),
    ],
    ids=repr,
)
def test_python_values_are_read_with_the_type_of_their_column(value, kind, same):
    one, other = (cells_of("x", [each], kind) for each in (value, same))
    assert one.values.tolist() == other.values.tolist() and not one.is_missing.any()
    assert to_arrow([one], pa.schema([("x", kind)]))["x"].to_pylist() == pa.array([same], kind).to_pylist()


def test_decimals_keep_the_digits_and_range_of_their_column():
    values = np.array([0.1, 12345.67, -5e-7, 123456789.1])
    for kind in (pa.decimal128(38, 18), pa.decimal128(38, 9), pa.decimal128(12, 2)):
        found = to_arrow([Column(values, np.zeros(4, bool))], pa.schema([("x", kind)]))["x"].to_pylist()
        assert found == [round(Decimal(str(value)), kind.scale) for value in values]
    beyond = to_arrow([Column(np.array([1200.0, -1e9]), np.zeros(2, bool))], pa.schema([("x", pa.decimal128(5, 2))]))
    assert beyond["x"].to_pylist() == [Decimal("999.99"), Decimal("-999.99")]
    with pytest.raises(ValueError, match="at most 15 digits"):
        cells_of("x", [Decimal("1234567890123.45678")], pa.decimal128(38, 18))


def test_an_integer_just_beyond_float64_is_refused():
    with pytest.raises(ValueError, match="beyond 2"):
        cells_in("x", pa.chunked_array([[1, 2**53 + 1]]))


def test_a_categorical_cell_can_be_required_to_be_missing():
    frame = pandas.DataFrame({"size": pandas.Categorical(["s", None, "m", "s"] * 5), "x": np.arange(20.0)})
    codec, _ = codec_of(frame)
    cells = cells_of("size", [None], codec.layout.type_of("size"))
    given = {"size": cells}
    rows = codec.decode(np.zeros((3, codec.width), np.float32), given, slice(0, 3), {})
    assert rows["size"].null_count == 3


def test_values_that_a_decimal_column_cannot_hold_are_refused():
    for value in (1.555, Decimal("1.555"), 1000, True, np.inf):
        with pytest.raises(ValueError, match="column 'x' holds decimal128"):
            cells_of("x", [value], pa.decimal128(4, 2))
    assert cells_of("x", [np.nan], pa.decimal128(4, 2)).is_missing.all()


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (datetime(2024, 1, 1, 13), pa.date32()),
        (datetime(2024, 1, 1, 13), pa.date64()),
        (datetime(2024, 1, 1, 1, 2, 3, 5000), pa.timestamp("s")),
        (datetime(2024, 1, 1, 1, 2, 3, 5), pa.timestamp("ms", "Asia/Tokyo")),
        (datetime(2024, 1, 1, 1, 2, 3, 5000).time(), pa.time32("s")),
        (timedelta(milliseconds=5), pa.duration("s")),
    ],
    ids=repr,
)
def test_times_are_not_truncated(value, kind):
    with pytest.raises(ValueError, match=f"column 'x' holds {re.escape(str(kind))}, not "):
        cells_of("x", [value], kind)


@pytest.mark.parametrize(
    ("fitted", "given", "held"),
    [
        (pa.timestamp("us", "Europe/Berlin"), [datetime(2024, 7, 1, 12)], datetime(2024, 7, 1, 12)),
        (pa.timestamp("us", "Europe/Berlin"), [DAY], datetime(2024, 1, 1)),
        (pa.timestamp("us"), [datetime(2024, 7, 1, 10, tzinfo=UTC)], datetime(2024, 7, 1, 10)),
        (pa.timestamp("ms"), [DAY], datetime(2024, 1, 1)),
        (pa.date32(), [datetime(2024, 1, 1)], datetime(2024, 1, 1)),
        (pa.date32(), [datetime(2024, 1, 1, 5)], None),
        (pa.timestamp("s"), [2024], None),
        (pa.duration("s"), [2024.0], None),
        (pa.bool_(), [1.0], True),
        (pa.bool_(), [0.7], None),
        (pa.bool_(), [5], None),
        (pa.decimal128(4, 2), [0.5], 0.5),
        (pa.decimal128(4, 2), [0.35], Decimal("0.35")),
        (pa.decimal128(4, 2), [1234], Decimal(1234)),
        (pa.decimal128(4, 2), [Decimal("123456.7")], Decimal("123456.7")),
        (pa.decimal128(4, 2), [1.239], None),
        (pa.int64(), [3.5], None),
    ],
    ids=repr,
)
def test_cells_of_another_type_are_converted_exactly_or_refused(fitted, given, held):
    known = {"date": [datetime(2024, 1, 1), datetime(2024, 5, 1)], "boolean": [True, False]}.get(
        kind_of(fitted), [1, 2]
    )
    known = [timedelta(1), timedelta(2)] if pa.types.is_duration(fitted) else known
    known = [Decimal(1), Decimal(2)] if pa.types.is_decimal(fitted) else known
    codec, _ = codec_of(pa.table({"g": pa.array(known * 10).cast(fitted), "y": np.arange(20) / 3}))
    frame = pa.table({"g": given, "y": [0.0]})
    if held is None:
        with pytest.raises(ValueError, match=r"column 'g' of X holds .*, and it held"):
            aligned(frame, codec.layout)
        return
    cells = aligned(frame, codec.layout).cells[0]
    if isinstance(held, Decimal):
        assert cells.values.tolist() == [float(held)]
        return
    expected = cells_of("g", [held.date() if fitted == pa.date32() else held], fitted)
    assert cells.values.tolist() == expected.values.tolist() and not cells.is_missing.any()


def test_long_decimals_and_hexadecimal_digits_are_not_numbers():
    long = pa.table({"x": pa.array([Decimal(1234567890123456789), Decimal(1)], pa.decimal128(38, 0))})
    with pytest.raises(ValueError, match=r"column 'x' holds integers beyond 2\*\*53"):
        _ = Table(long).cells
    assert typed("x", pa.chunked_array([["10", "0x1F"]])).to_pylist() == ["10", "0x1F"]


@pytest.mark.parametrize(
    ("values", "cells", "tokens"),
    [
        ([3, 1, 2], [1, 3, 2], [1, 0, 2]),
        ([3, 1, 2], [1.0, np.nan, 3.0], [1, np.nan, 0]),
        ([3, 1, 2], ["2", None, "1"], [2, np.nan, 1]),
        ([3, 1, 2], pandas.Categorical([2, 3]), [2, 0]),
        ([0.5, 2.0, 1.0], [1.0, np.nan, 0.5], [2, np.nan, 0]),
        ([0.5, 2.0, 1.0], [2, 1, 1], [1, 2, 2]),
        ([True, False], [False, True], [1, 0]),
        (["b", "a"], ["a", None, "b"], [1, np.nan, 0]),
        (["b", "a"], pandas.Categorical([None, None]), [np.nan, np.nan]),
        ([2, 1], pandas.Categorical([None, None]), [np.nan, np.nan]),
    ],
    ids=repr,
)
def test_categories_of_any_values_are_read_from_columns_that_are_plain_or_absent(values, cells, tokens):
    kinds = pandas.Categorical(values * 10, values, ordered=True)
    frame = pandas.DataFrame({"g": kinds, "y": np.arange(10 * len(values)) / 3})
    codec, _ = codec_of(frame)
    read = aligned(pandas.DataFrame({"g": cells, "y": 0.0}), codec.layout).cells[0]
    assert np.array_equal(codec.encoding.encoder("g").encode(read)[0], tokens, equal_nan=True)
    absent = aligned(pandas.DataFrame({"y": [1.0, 2.0]}), codec.layout, absent=["g"])
    assert codec.encode_table(absent)[:, 0].tolist() == [-1, -1]


def test_labels_of_a_table_of_numbers_keep_their_type():
    numbers = pa.array([0.5, 1.5])
    whole = Table(pa.table({"x": numbers, "k": pa.array([1234567, 1234568])}), label="k")
    assert whole.is_plain and whole.numbers.label.values.dtype == np.int64
    dated = Table(pa.table({"x": numbers, "k": pa.array([DAY, DAY])}), label="k")
    assert not dated.is_plain
    with pytest.raises(ValueError, match="labels must be numbers, booleans or text, and column 'k' holds dates"):
        _ = dated.numbers


def test_dates_that_float64_cannot_hold_are_called_dates():
    far = pa.chunked_array([pa.array([DAY, date(9999, 12, 31)]).cast(pa.timestamp("us"))])
    with pytest.raises(ValueError, match=r"'d' holds timestamp.us. too far from 0 .* convert it to seconds or days"):
        cells_in("d", far)
    assert not cells_in("d", far.cast(pa.timestamp("s"))).is_missing.any()


def test_masked_arrays_keep_their_unmasked_cells():
    objects = np.ma.array([["a", 1], ["b", 2]], dtype=object, mask=[[True, False], [False, False]])
    text, number = masked_table("masked", objects, ())[0].cells
    assert text.categories == ("b",) and text.is_missing.tolist() == [True, False] and number.values.tolist() == [1, 2]
    large = np.ma.array([[2**60 + 1], [2]], mask=[[False], [True]])
    with pytest.raises(ValueError, match="integers beyond"):
        _ = masked_table("masked", large, ())[0].cells


def test_half_precision_has_the_digits_of_its_decimal_text():
    (cells,) = Table(pa.table({"x": np.array([0.1, 2.7, 3.3], np.float16)})).cells
    assert cells.values.tolist() == [0.1, 2.7, 3.3]


def test_texts_that_read_infinity_are_text(tmp_path):
    (tmp_path / "t.csv").write_text("brand,price\nInfinity,3\nNokia,4\n")
    brand, _ = read_table(tmp_path / "t.csv").cells
    assert brand.categories == ("Infinity", "Nokia")
