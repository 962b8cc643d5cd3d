"""Checks how cells of text files are interpreted, and that tables are unchanged by writing and reading."""

from datetime import date, datetime, time
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointillist.files.reading import read_numbers, read_table
from pointillist.files.writing import TableWriter

read_mixed = partial(read_table, kind="mixed")

HOUR_EAST = pa.timestamp("s", "+01:00")
COLUMNS = {
    "postal codes": (["02139", "10001"], pa.string(), ["02139", "10001"]),
    "zero is not a code": (["0", "10", "-0"], pa.int64(), [0, 10, 0]),
    "decimals below one": (["0.5", "00.5"], pa.float64(), [0.5, 0.5]),
    "integers": (["1", " -2 ", "+3"], pa.int64(), [1, -2, 3]),
    "a missing cell": (["1", "NA", "3"], pa.int64(), [1, None, 3]),
    "missing cells in quotes": (["1", '"NA"', '""'], pa.int64(), [1, None, None]),
    "numbers": (["1", "2.5", "+1e3"], pa.float64(), [1, 2.5, 1000]),
    "words": (["a", "NA", '"NA"', '""', " b "], pa.string(), ["a", None, "NA", "", " b "]),
    "numbers and a word": (["1", "2", "x"], pa.string(), ["1", "2", "x"]),
    "booleans": (["true", "FALSE", ""], pa.bool_(), [True, False, None]),
    "dates": (["2024-02-29", "nan"], pa.date32(), [date(2024, 2, 29), None]),
    "invalid date": (["2024-02-30", "2024-01-01"], pa.string(), ["2024-02-30", "2024-01-01"]),
    "times": (["2024-01-01 10:00", "2024-01-01"], pa.timestamp("s"), [datetime(2024, 1, 1, 10), datetime(2024, 1, 1)]),
    "instants": (["2024-01-01T10:00:00+0100"], HOUR_EAST, None),
    "times of day": (["10:00", "23:59:59"], pa.time32("s"), [time(10), time(23, 59, 59)]),
    "only missing cells": (["", "NA"], pa.string(), [None, None]),
}


def mixed(folder, cells, name="x", **options):
    path = folder / "table.csv"
    path.write_text(f"row,{name}\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells)))
    return read_mixed(path, min_rows=1, **options).arrow[name]


@pytest.mark.parametrize(("cells", "kind", "values"), COLUMNS.values(), ids=COLUMNS)
def test_a_column_has_the_type_that_all_its_cells_have(tmp_path, cells, kind, values):
    column = mixed(tmp_path, cells)
    assert column.type == kind
    if values is not None:
        assert column.to_pylist() == values


@pytest.mark.parametrize(
    ("cells", "label"), [(["02139", "10001"], None), (['"NA"', "x"], None), (["a ", "b"], "x"), (["007", "1"], "x")]
)
def test_numeric_tables_follow_the_same_rules(tmp_path, cells, label):
    values = mixed(tmp_path, cells, label=label).to_pylist()
    if label:
        assert read_numbers(tmp_path / "table.csv", label).label.values.tolist() == values
    else:
        with pytest.raises(ValueError, match=r"is text|not a number|missing value"):
            read_numbers(tmp_path / "table.csv")


def test_requested_types_are_used(tmp_path):
    assert mixed(tmp_path, ["02139", "1"], types={"x": "integer"}).to_pylist() == [2139, 1]
    assert mixed(tmp_path, ["1", "NA"], types={"x": "text"}).to_pylist() == ["1", None]
    assert mixed(tmp_path, ["1", "2"], types={"x": "number"}).type == pa.float64()
    assert mixed(tmp_path, ["2024-01-01", "2024-01-02"], types={"x": "date"}).type == pa.date32()
    for cells, kind, message in (
        (["1", "two"], "integer", "'two' is not"),
        (["1", "two"], "number", "'two' is not"),
        (["1", "2"], "date", "not every cell is a date or time"),
        (["1", "2"], "colour", "types are text, integer, number, date"),
    ):
        with pytest.raises(ValueError, match=message):
            mixed(tmp_path, cells, types={"x": kind})


def test_integers_beyond_64_bits_are_not_rounded(tmp_path):
    cells = ["1", "9223372036854775808"]
    with pytest.raises(ValueError, match="column 'x' holds integers beyond 64 bits, which would be rounded"):
        mixed(tmp_path, cells)
    assert mixed(tmp_path, cells, types={"x": "text"}).to_pylist() == cells
    assert mixed(tmp_path, cells, label="x").to_pylist() == cells


TYPES = {
    "text": (pa.string(), st.text(st.characters(exclude_categories=["Cs"]), max_size=5)),
    "integers": (pa.int64(), st.integers(-(2**53), 2**53)),
    "numbers": (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)),
    "booleans": (pa.bool_(), st.booleans()),
    "dates": (pa.date32(), st.dates(date(1, 1, 1))),
    "seconds": (pa.timestamp("s"), st.datetimes(datetime(1, 1, 1)).map(lambda t: t.replace(microsecond=0))),
    "nanoseconds": (pa.timestamp("ns"), st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))),
    "times of day": (pa.time32("s"), st.times().map(lambda t: t.replace(microsecond=0))),
    "microseconds": (pa.time64("us"), st.times()),
}


def _is_plain(text):
    """Returns whether a text is read as text: not as a number, date or quoted missing cell."""
    return text.strip(" \t\n\r\v\f") == text and "\0" not in text


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize("alone", [False, True])
@settings(max_examples=25)
@given(data=st.data())
def test_every_type_comes_back(tmp_path_factory, data, ending, alone):
    path = tmp_path_factory.mktemp("round") / f"table{ending}"
    names = [data.draw(st.sampled_from(list(TYPES)))] if alone else list(TYPES)
    n = data.draw(st.integers(2, 6))
    arrays = {}
    for name in names:
        kind, values = TYPES[name]
        cells = data.draw(st.lists(st.none() | values, min_size=n, max_size=n))
        if name == "text":
            cells = ["a word", *(cell if cell is None or _is_plain(cell) else "b" for cell in cells[1:])]
        elif name != "integers" and all(cell is None for cell in cells):
            continue
        arrays[name] = pa.array(cells, kind)
    table = pa.table(arrays)
    if not table.num_columns or (ending != ".parquet" and all(c.null_count == n for c in table.columns)):
        return
    with TableWriter(path, table.column_names, table.schema.types, table.num_rows) as writer:
        writer.write(table.columns)
    again = read_mixed(path).arrow
    assert again.num_rows == n
    for name in table.column_names:
        column = table[name]
        if column.null_count == n and ending != ".parquet":
            continue  # a CSV file does not keep the type of a column without values
        back = again[name]
        if pa.types.is_temporal(column.type) or pa.types.is_floating(column.type):
            back = back.cast(column.type)  # CSV is read in the coarsest unit that fits
        assert back.to_pylist() == column.to_pylist(), name


@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_missing_cells_of_a_single_column_are_rows(tmp_path, ending):
    for column in (pa.array([1.5, None, None]), pa.array(["NA", None, "", None]), pa.array([None, date(2024, 1, 1)])):
        path = tmp_path / f"one{ending}"
        with TableWriter(path, ["x"], [column.type], len(column)) as writer:
            writer.write([column])
        assert read_mixed(path).arrow["x"].to_pylist() == column.to_pylist()


def test_dates_and_wide_integers_of_arrays_are_refused():
    from pointillist import Diffusion

    model = Diffusion(epochs=1, timesteps=5, width=8, depth=1)
    with pytest.raises(ValueError, match="X holds datetime64"):
        model.fit(np.array([["2024-01-01"], ["2024-01-02"]], "datetime64[D]"))
    with pytest.raises(ValueError, match=r"X holds integers beyond 2\*\*53"):
        model.fit(np.array([[2**70, 1], [0, 2]], object))
