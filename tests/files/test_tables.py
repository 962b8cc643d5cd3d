import gzip
import io
import os
import struct
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from pointillist.files.csv_files import _BLOCK
from pointillist.files.reading import read_numbers, read_table
from pointillist.tables import numbers


def write(path, content):
    content = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


def write_parquet(path, **columns):
    parquet.write_table(pa.table(columns), path)
    return path


def complaint(path, label=None, error=ValueError):
    """Returns the error message without the path at its start."""
    with pytest.raises(error) as caught:
        read_numbers(path, label)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and message.splitlines() == [message]
    return message.removeprefix(f"{path}: ")


def test_npy_of_two_and_three_dimensions(tmp_path):
    array = np.arange(24.0).reshape(4, 3, 2)
    np.save(tmp_path / "three.npy", array)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(array))
    np.save(tmp_path / "ints.npy", array.reshape(4, 6).astype(">i4"))
    np.save(tmp_path / "halves.npy", array.astype(np.float16))
    for name, type_ in (("three", "float64"), ("fortran", "float64"), ("ints", "int32"), ("halves", "float16")):
        table = read_numbers(tmp_path / f"{name}.npy")
        assert table.rows.dtype == np.float64 and not table.rows.flags.writeable
        np.testing.assert_array_equal(table.rows, array.reshape(4, 6))
        assert table.names is None and table.label is None and table.types == (type_,) * 6


def test_float64_npy_is_memory_mapped(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(24.0).reshape(4, 3, 2))
    rows = read_numbers(tmp_path / "a.npy").rows
    assert isinstance(rows, np.memmap) and rows.filename == tmp_path / "a.npy"


@pytest.mark.parametrize("label,position", [("1", 1), ("-1", 2), ("-3", 0)])
@pytest.mark.parametrize("dtype,kept", [("f4", "f8"), ("u1", "i8"), ("?", "?"), ("f8", "f8")])
def test_label_column_of_npy(tmp_path, label, position, dtype, kept):
    array = np.array([[1, 0, 1], [0, 1, 1], [0, 0, 1], [1, 1, 0]], dtype)
    np.save(tmp_path / "a.npy", array)
    table = read_numbers(tmp_path / "a.npy", label)
    assert (table.label.name, table.label.position) == (str(position), position)
    assert table.label.values.dtype == np.dtype(kept)
    np.testing.assert_array_equal(table.label.values, array[:, position])
    np.testing.assert_array_equal(table.rows, np.delete(array, position, axis=1))
    assert table.types == (array.dtype.name,) * 2


CSV = {
    "plain": "x,y\n1,2.5\n3,-4\n",
    "no last line end": "x,y\n1,2.5\n3,-4",
    "byte-order mark": "\ufeffx,y\n1,2.5\n3,-4\n",
    "CRLF": "x,y\r\n1,2.5\r\n3,-4\r\n",
    "mixed line ends": "x,y\r\n1,2.5\n3,-4\r\n",
    "old Mac": "x,y\r1,2.5\r3,-4\r",
    "white space": " x ,y\n 1,\t2.5 \n3 ,  -4\n",
    "quotes": '"x","y"\n"1","2.5"\n3,-4\n',
    "plus and exponents": "x,y\n+1,+25e-1\n3,-.4E+1\n",
    "blank lines": "x,y\n\n1,2.5\n\n3,-4\n\n",
}
SINGLE = {
    "empty lines at the end": "x\n1\n2\n\n\n",
    "an empty line between others": "x\n1\n\n2\n",
    "empty lines above": "\n\nx\n1\n2\n",
    "CRLF": "\ufeff\r\n\r\nx\r\n1\r\n2\r\n\r\n",
    "many empty lines at the end": "x\n1\n2" + "\n" * (3 * _BLOCK),
}


@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
@pytest.mark.parametrize("content", CSV.values(), ids=CSV)
def test_ways_to_write_csv(tmp_path, content, ending):
    table = read_numbers(write(tmp_path / f"a{ending}", content))
    np.testing.assert_array_equal(table.rows, [[1, 2.5], [3, -4]])
    assert table.names == ("x", "y") and table.types[1] == "float64"
    assert table.types[0] == "int64"


@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
@pytest.mark.parametrize("content", SINGLE.values(), ids=SINGLE)
def test_ways_to_write_one_column(tmp_path, content, ending):
    table = read_numbers(write(tmp_path / f"a{ending}", content))
    assert table.names == ("x",) and table.types == ("int64",)
    np.testing.assert_array_equal(table.rows, [[1], [2]])


@pytest.mark.parametrize(
    "content", ["0,1\n2,3\n4,5\n", "0\n1\n2\n", "0,1,kind\n2,3,4\n5,6,7\n", ",0,1\n0,2,3\n1,4,5\n"]
)
def test_names_that_are_numbers(tmp_path, content):
    table = read_numbers(write(tmp_path / "a.csv", content))
    assert ",".join(table.names) == content.split("\n")[0] and len(table.rows) == 2


def test_a_file_name_that_is_only_an_ending(tmp_path):
    assert read_numbers(write(tmp_path / ".csv", CSV["plain"])).names == ("x", "y")
    assert read_numbers(write(tmp_path / ".csv.gz", CSV["plain"])).names == ("x", "y")
    np.save(tmp_path / "a.npy", np.eye(2))
    assert len(read_numbers((tmp_path / "a.npy").rename(tmp_path / ".npy")).rows) == 2


def test_the_fewest_rows(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((1, 2)))
    write(tmp_path / "a.csv", "x,y\n1,1\n")
    write_parquet(tmp_path / "a.parquet", x=[1], y=[1])
    write(tmp_path / "none.csv", "x,y\n")
    for name in ("a.npy", "a.csv", "a.parquet"):
        np.testing.assert_array_equal(read_numbers(tmp_path / name, min_rows=1).rows, [[1, 1]])
        with pytest.raises(ValueError, match=r"has 1 row; at least 3 are needed$"):
            read_numbers(tmp_path / name, min_rows=3)
    with pytest.raises(ValueError, match=r"has 0 rows; at least 1 is needed$"):
        read_numbers(tmp_path / "none.csv", min_rows=1)


def test_types_of_csv_columns(tmp_path):
    content = "i,f,b,mixed,exponent,point\n1,0.5,true,1,1e2,1.0\n-2,1,FALSE,2.5,2,2.0\n+3,2,True,3,3,3.0\n"
    table = read_numbers(write(tmp_path / "a.csv", content))
    assert table.types == ("int64", "float64", "bool", "float64", "float64", "float64")
    expected = [[1, 0.5, 1, 1, 100, 1], [-2, 1, 0, 2.5, 2, 2], [3, 2, 1, 3, 3, 3]]
    np.testing.assert_array_equal(table.rows, expected)


def test_a_type_that_changes_after_many_blocks(tmp_path):
    n = 4 * _BLOCK // 10
    path = write(tmp_path / "a.csv", "x,y\n" + "".join(f"{i % 1000:04},{10**5 + i}\n" for i in range(n)) + "3.5,7\n")
    assert path.stat().st_size > 3 * _BLOCK
    table = read_numbers(path)
    assert table.types == ("float64", "int64")
    np.testing.assert_array_equal(table.rows[:-1, 0], np.arange(n) % 1000)
    np.testing.assert_array_equal(table.rows[:-1, 1], 10**5 + np.arange(n))
    np.testing.assert_array_equal(table.rows[-1], [3.5, 7])
    with path.open("a") as file:
        file.write("3,four\n")
    assert complaint(path) == f"'four' in row {n + 2}, column 'y', is not a number; drop or encode the column first"


def test_a_ragged_row_after_many_blocks(tmp_path):
    n = 2 * _BLOCK // 4
    path = write(tmp_path / "a.csv", "x,y\n" + "1,2\n" * n + "3\n")
    assert complaint(path) == f"row {n + 1} has 1 values, but the header names 2 columns"


LABELS = {
    "integers": (["1", "-2", "0"], np.array([1, -2, 0])),
    "leading zeros": (["02139", "2139", "10"], np.array(["02139", "2139", "10"])),
    "zeros and fractions": (["007", "0.5", "-0.5"], np.array(["007", "0.5", "-0.5"])),
    "a plus": (["1", "-2", "+1"], np.array(["1", "-2", "+1"])),
    "negative zero": (["0", "1", "-0"], np.array(["0", "1", "-0"])),
    "NA in quotes": (['"NA"', "a", '"null"'], np.array(["NA", "a", "null"])),
    "empty quotes": (['""', "a", "b"], np.array(["", "a", "b"])),
    "booleans": (["true", "FALSE", "True"], np.array([True, False, True])),
    "numbers": (["1", "2.5", "-1e3"], np.array([1.0, 2.5, -1000.0])),
    "text": (["a", " b c ", "ünï"], np.array(["a", " b c ", "ünï"])),
    "mixed": (["1", "2", "true"], np.array(["1", "2", "true"])),
    "integers past 2**53": (["1", "2", "9007199254740993"], np.array([1, 2, 2**53 + 1])),
    "integers past int64": (["1", "2", "9223372036854775808"], np.array(["1", "2", "9223372036854775808"])),
    "infinity": (["1", "2", "inf"], np.array(["1", "2", "inf"])),
    "hexadecimal": (["1", "2", "0x10"], np.array(["1", "2", "0x10"])),
    "underscore": (["1", "2", "1_0"], np.array(["1", "2", "1_0"])),
    "quotes": (['"a\nb"', '"c,d"', '"e""f"'], np.array(["a\nb", "c,d", 'e"f'])),
}


@pytest.mark.parametrize("written,expected", LABELS.values(), ids=LABELS)
def test_label_column_of_csv(tmp_path, written, expected):
    content = "x,kind,y\n" + "".join(f"{i},{value},{i / 2}\n" for i, value in enumerate(written))
    table = read_numbers(write(tmp_path / "a.csv", content), "kind")
    assert (table.label.name, table.label.position) == ("kind", 1)
    assert table.label.values.dtype.kind == expected.dtype.kind
    np.testing.assert_array_equal(table.label.values, expected)
    np.testing.assert_array_equal(table.rows, [[0, 0], [1, 0.5], [2, 1]])
    assert table.names == ("x", "y") and table.types == ("int64", "float64")


BAD_CSV = {
    "empty": ("", "the file is empty"),
    "blank": ("\n\n", "has 0 rows; at least 2 are needed"),
    "header only": ("x,y\n", "has 0 rows; at least 2 are needed"),
    "header only, no line end": ("x,y", "has 0 rows; at least 2 are needed"),
    "one row": ("x,y\n1,2\n", "has 1 row; at least 2 are needed"),
    "a word": ("x,y\n1,2\n3,four\n", "'four' in row 2, column 'y', is not a number; drop or encode the column first"),
    "text only": ("x,y\na,1\nb,2\n", "'a' in row 1, column 'x', is not a number; drop or encode the column first"),
    "the first of several errors": ("x,y\n1,b\na,2\n", "'b' in row 1, column 'y', is not a number; drop or"),
    "a date": ("x,y\n1,2024-01-01\n2,2024-01-02\n", "'2024-01-01' in row 1, column 'y', is not a number"),
    "hexadecimal": ("x\n1\n0x10\n", "'0x10' in row 2, column 'x', is not a number"),
    "other digits": ("x\n1\n١\n", "'١' in row 2, column 'x', is not a number"),
    "long text": ("x\n1\n" + "ab" * 500 + "\n", "'" + "ab" * 19 + "a…' in row 2, column 'x', is not a number"),
    "line end in a value": ('x\n1\n"a\nb"\n', r"'a\nb' in row 2, column 'x', is not a number"),
    "number after booleans": ("x\ntrue\n0\n", "'0' in row 2, column 'x', is neither true nor false, as the rows above"),
    "boolean after numbers": ("x\n1\ntrue\n", "'true' in row 2, column 'x', is not a number"),
    "empty value": ("x,y\n1,2\n3,\n", "has a missing value in row 2, column 'y'; drop or fill such rows first"),
    "spaces": ("x,y\n1,2\n3,  \n", "has a missing value in row 2, column 'y'; drop or fill such rows first"),
    "NA": ("x,y\n1,2\nNA,3\n", "has a missing value in row 2, column 'x'; drop or fill such rows first"),
    "NA in quotes": ('x,y\n1,2\n"NA",3\n', "has a missing value in row 2, column 'x'; drop or fill such rows first"),
    "NA alone": ("x\n1\n2\nNA\n\n", "has a missing value in row 3, column 'x'; drop or fill such rows first"),
    "empty quotes": ('x\n1\n2\n""\n', "has a missing value in row 3, column 'x'; drop or fill such rows first"),
    "ragged below empty lines": ("\n\nx\n1\n2,3\n", "row 2 has 2 values, but the header names 1 columns"),
    "no header": (
        "1.5,-2\n3,4\n5,6\n",
        "the first line must hold the names of the columns, but it holds numbers: 1.5, -2",
    ),
    "no header, with ones": (
        "1,1\n1,1\n2,1\n",
        "the first line must hold the names of the columns, but it holds numbers: 1, 1",
    ),
    "no header, one column": (
        "\n7\n8\n9\n",
        "the first line must hold the names of the columns, but it holds numbers: 7",
    ),
    "nan": ("x,y\n1,2\n3,nan\n", "has a missing value in row 2, column 'y'; drop or fill such rows first"),
    "null among booleans": ("x\ntrue\nnull\n", "has a missing value in row 2, column 'x'; drop or fill"),
    "inf": ("x,y\n1,2\n3,-inf\n", "an infinite value in row 2, column 'y'; drop or fill such rows first"),
    "inf with a plus": ("x,y\n1,2\n3,+Infinity\n", "an infinite value in row 2, column 'y'"),
    "too large": ("x,y\n1,2\n3,1e400\n", "an infinite value in row 2, column 'y'"),
    "large integers": (
        "x,id\n1,2\n3,9007199254740993\n",
        "column 'id' holds integers beyond 2**53, which a float64 cannot hold: drop the column or divide it",
    ),
    "huge integers": ("x,id\n1,2\n3,-99999999999999999999\n", "column 'id' holds integers beyond 2**53"),
    "short row": ("x,y\n1,2\n3\n", "row 2 has 1 values, but the header names 2 columns"),
    "short row after blank lines": ("x,y\n\n1,2\n\n3\n", "row 2 has 1 values, but the header names 2 columns"),
    "long row": ("x,y\n1,2\n3,4\n5,6,7\n", "row 3 has 3 values, but the header names 2 columns"),
    "same names": ("x,y,x\n1,2,3\n4,5,6\n", "2 columns are named 'x'; names must differ"),
    "no names": (",,\n1,2,3\n4,5,6\n", "3 columns are named ''; names must differ"),
    "Latin-1": ("x,y\n1,2\n3,é\n".encode("latin-1"), "is not UTF-8 text: give its encoding (--encoding cp1252"),
    "Latin-1 header": ("é,y\n1,2\n3,4\n".encode("latin-1"), "is not UTF-8 text: give its encoding (--encoding "),
    "UTF-16 without a mark": (
        "x,y\n1,2\n3,4\n".encode("utf-16-le"),
        "looks like UTF-16 text: give --encoding utf-16-le",
    ),
    "huge row": ("x\n1\n" + "1" * (2 * _BLOCK) + "\n", "has a row of more than 2 MiB, or a quote that is not closed"),
    "open quote": ('x\n1\n"2\n' + "3\n" * _BLOCK, "has a row of more than 2 MiB, or a quote that is not closed"),
}


@pytest.mark.parametrize("content,message", BAD_CSV.values(), ids=BAD_CSV)
def test_bad_csv_is_one_clear_line(tmp_path, content, message):
    assert complaint(write(tmp_path / "a.csv", content)).startswith(message)


def test_integers_that_float64_holds(tmp_path):
    content = "x,y\n9007199254740992,9007199254740993\n-9007199254740992,0.5\n"
    table = read_numbers(write(tmp_path / "a.csv", content))
    assert table.types == ("int64", "float64")
    np.testing.assert_array_equal(table.rows, [[2.0**53, 2.0**53], [-(2.0**53), 0.5]])


def test_an_empty_name_is_a_name(tmp_path):
    table = read_numbers(write(tmp_path / "a.csv", ",y\n1,2\n3,4\n"), "")
    assert table.names == ("y",) and table.label.values.tolist() == [1, 3]


BAD_LABELS = {
    "not there": ("x,y\n1,2\n3,4\n", "kind", "there is no column 'kind'; the columns are x, y"),
    "not among many": (
        ",".join(f"c{i}" for i in range(14)) + "\n" + ("0," * 13 + "0\n") * 2,
        "kind",
        "there is no column 'kind'; the columns are c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 4 more",
    ),
    "names on two lines": ('"x\nz",y\n1,2\n3,4\n', "kind", r"there is no column 'kind'; the columns are x\nz, y"),
    "alone": ("kind\n1\n2\n", "kind", "has no column except the label 'kind'"),
    "missing": (
        "x,kind\n1,a\n2,\n",
        "kind",
        "has a missing value in row 2, column 'kind'; drop or fill such rows first",
    ),
    "NA": ("x,kind\n1,NA\n2,a\n", "kind", "has a missing value in row 1, column 'kind'; drop or fill such rows first"),
    "nA between spaces": (
        'x,kind\n1,"NA"\n2, nA \n',
        "kind",
        "has a missing value in row 2, column 'kind'; drop or fill such rows first",
    ),
    "prose": (
        "x,kind\n1,a\n2," + "b" * 201 + "\n",
        "kind",
        "the label column 'kind' holds a text of 201 characters; labels have at most 200",
    ),
}


@pytest.mark.parametrize("content,label,message", BAD_LABELS.values(), ids=BAD_LABELS)
def test_bad_label_column_is_one_clear_line(tmp_path, content, label, message):
    assert complaint(write(tmp_path / "a.csv", content), label) == message


@settings(max_examples=50)
@given(st.binary(max_size=200) | st.text("x,y\n\r\"'1.5e-+ \x00é", max_size=60).map(str.encode))
def test_any_bytes_give_a_table_or_one_line(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("junk")
    for name in ("a.csv", "a.npy", "a.parquet"):
        path = write(folder / name, content)
        try:
            table = read_numbers(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ") and len(str(error).splitlines()) == 1
        else:
            assert np.isfinite(table.rows).all() and table.rows.shape[1] == len(table.types)


def test_broken_gzip(tmp_path):
    whole = gzip.compress(b"x,y\n" + b"1,2\n3,4.5\n" * 1000)
    for content in (
        whole[:-4],
        whole[: len(whole) // 2],
        whole[:-8] + b"12345678",
        b"x,y\n1,2\n3,4\n",
        whole + b"junk",
    ):
        (tmp_path / "a.csv.gz").write_bytes(content)
        assert complaint(tmp_path / "a.csv.gz").startswith("is not a whole gzip file (")
    assert complaint(write(tmp_path / "b.csv.gz", "")) == "has 0 rows; at least 2 are needed"


def test_parquet_of_all_types(tmp_path):
    columns = {
        "i": pa.array([1, -2, 3], pa.int64()),
        "u": pa.array([0, 255, 7], pa.uint8()),
        "f": pa.array([0.5, 0.1, -3], pa.float32()),
        "d": pa.array([0.1, 1e300, -3.5]),
        "h": pa.array(np.array([0.5, 1, 2], np.float16)),
        "b": pa.array([True, False, True]),
    }
    table = read_numbers(write_parquet(tmp_path / "a.parquet", **columns))
    assert table.names == tuple(columns)
    assert table.types == ("int64", "uint8", "float32", "float64", "float16", "bool")
    expected = [[1, -2, 3], [0, 255, 7], np.float32([0.5, 0.1, -3]), [0.1, 1e300, -3.5], [0.5, 1, 2], [1, 0, 1]]
    np.testing.assert_array_equal(table.rows.T, expected)


PARQUET_LABELS = {
    "integers": (pa.array([3, 1, 3], pa.uint8()), np.array([3, 1, 3])),
    "booleans": (pa.array([True, False, True]), np.array([True, False, True])),
    "numbers": (pa.array([0.5, 1, 2], pa.float32()), np.array([0.5, 1, 2])),
    "text": (pa.array(["a", " b", "1"]), np.array(["a", " b", "1"])),
    "long text": (pa.array(["a", "b", "a"], pa.large_string()), np.array(["a", "b", "a"])),
    "categories": (pa.array(["a", "b", "a"]).dictionary_encode(), np.array(["a", "b", "a"])),
}


@pytest.mark.parametrize("values,expected", PARQUET_LABELS.values(), ids=PARQUET_LABELS)
def test_label_column_of_parquet(tmp_path, values, expected):
    table = read_numbers(write_parquet(tmp_path / "a.parquet", kind=values, x=[1, 2, 3]), "kind")
    assert (table.label.name, table.label.position, table.names) == ("kind", 0, ("x",))
    assert table.label.values.dtype.kind == expected.dtype.kind
    np.testing.assert_array_equal(table.label.values, expected)
    np.testing.assert_array_equal(table.rows, [[1], [2], [3]])


BAD_PARQUET = {
    "text": ({"x": [1, 2], "y": ["a", "b"]}, "column 'y' holds string, not numbers; drop or encode the column first"),
    "time": ({"x": pa.array([1, 2], pa.timestamp("ms"))}, "column 'x' holds timestamp[ms], not numbers"),
    "lists": ({"x": [[1], [2]]}, "column 'x' holds list<element: int64>, not numbers"),
    "null": ({"x": [1, None]}, "has a missing value in row 2, column 'x'; drop or fill such rows first"),
    "null boolean": ({"x": [True, None]}, "has a missing value in row 2, column 'x'; drop or fill such rows first"),
    "only nulls": ({"x": pa.nulls(2)}, "column 'x' holds null, not numbers"),
    "nan": ({"x": [1, np.nan]}, "has a missing value in row 2, column 'x'; drop or fill such rows first"),
    "inf": ({"x": [1, np.inf]}, "an infinite value in row 2, column 'x'; drop or fill such rows first"),
    "large integers": ({"id": [1, -(2**53) - 1]}, "column 'id' holds integers beyond 2**53, which a float64 cannot"),
    "huge integers": ({"id": pa.array([1, 2**64 - 1], pa.uint64())}, "column 'id' holds integers beyond 2**53"),
    "no columns": ({}, "has no columns"),
    "no rows": ({"x": pa.array([], pa.int64())}, "has 0 rows; at least 2 are needed"),
    "one row": ({"x": [1]}, "has 1 row; at least 2 are needed"),
}


@pytest.mark.parametrize("columns,message", BAD_PARQUET.values(), ids=BAD_PARQUET)
def test_bad_parquet_is_one_clear_line(tmp_path, columns, message):
    assert complaint(write_parquet(tmp_path / "a.parquet", **columns)).startswith(message)


def test_bad_parquet_labels(tmp_path):
    def about(values):
        return complaint(write_parquet(tmp_path / "a.parquet", x=[1, 2], kind=values), "kind")

    missing = "has a missing value in row 2, column 'kind'; drop or fill such rows first"
    assert about(["a", None]) == about([0.5, np.nan]) == about([1, None]) == missing
    assert about([0.5, np.inf]) == "an infinite value in row 2, column 'kind'; drop or fill such rows first"
    assert about(pa.array([1, 2**64 - 1], pa.uint64())).startswith("the label column 'kind' is not int64: ")
    assert about(pa.array([1, 2], pa.timestamp("ms"))).startswith("the label column 'kind' holds timestamp[ms]; labels")


def test_an_unnamed_pandas_index_is_not_a_column(tmp_path):
    import pandas

    frame = pandas.DataFrame({"x": [0.5, 1.5, 2.5], "y": [1.0, 2.0, 4.0]}, index=[7, 3, 5])
    frame.to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").names == ("x", "y")
    assert read_table(tmp_path / "t.parquet", types={"__index_level_0__": "text"}).names[-1] == "__index_level_0__"
    frame.rename_axis("row").to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").names == ("x", "y", "row")


def test_broken_parquet(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", x=np.arange(1000), y=np.arange(1000.0))
    whole = path.read_bytes()
    for content in (whole[:-1], whole[:100], b"PAR1", b"PAR1PAR1", b"x,y\n1,2\n", b"\0" * 500, whole[:20] + bytes(60)):
        assert complaint(write(path, content)).startswith(
            "is not a whole .parquet file (truncated, or of another format)"
        )
    damaged = whole[:4] + b"\xff" * 60 + whole[64:]
    assert complaint(write(path, damaged)).startswith("is not a whole .parquet file")
    parquet.write_table(pa.Table.from_arrays([pa.array([1, 2])] * 2, ["x", "x"]), path)
    assert complaint(path) == "2 columns are named 'x'; names must differ"


BAD_ARRAYS = {
    "objects": (np.array([[{}, 1], [2, 3]], dtype=object), "holds Python objects, not numbers; save a numeric array"),
    "one dimension": (np.zeros(4), "has 1 dimensions; rows need 2, or 3 to be flattened"),
    "zero dimensions": (np.array(4.0), "has 0 dimensions; rows need 2, or 3 to be flattened"),
    "strings": (np.array([["a", "b"], ["c", "d"]]), "holds <U1, not real numbers"),
    "complex": (np.zeros((3, 2), complex), "holds complex128, not real numbers"),
    "times": (np.zeros((3, 2), "m8[s]"), "holds timedelta64[s], not real numbers"),
    "records": (np.zeros((3, 2), [("a", "f8")]), "holds [('a', '<f8')], not real numbers"),
    "nan": (np.array([[0.0, 1], [np.nan, 2]]), "NaN in row 2, column '0'; drop or fill such rows first"),
    "inf": (np.array([[0.0, 1], [3, -np.inf]]), "an infinite value in row 2, column '1'; drop or fill such rows first"),
    "inf in another dtype": (np.array([[[0, 1]], [[np.inf, 2]]], "f4"), "an infinite value in row 2, column '0'"),
    "beyond float64": (np.array([[0, 1], [3, np.longdouble("1e4000")]]), "an infinite value in row 2, column '1'"),
    "large integers": (np.array([[0, 1], [3, 2**53 + 1]]), "column '1' holds integers beyond 2**53"),
    "huge integers": (np.array([[0, 1], [3, 2**64 - 1]], "u8"), "column '1' holds integers beyond 2**53"),
    "no columns": (np.zeros((4, 0)), "has no columns"),
    "empty dimension": (np.zeros((4, 0, 3)), "has no columns"),
    "no rows": (np.zeros((0, 4)), "has 0 rows; at least 2 are needed"),
    "one row": (np.zeros((1, 4)), "has 1 row; at least 2 are needed"),
}


@pytest.mark.parametrize("array,message", BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_bad_npy_is_one_clear_line(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    assert complaint(tmp_path / "a.npy").startswith(message)


def test_bad_npy_labels(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([[0, np.nan], [1, 2]]))
    assert complaint(path, "1") == "NaN in row 1, column '1'; drop or fill such rows first"
    np.save(path, np.array([[0, 1], [1, np.inf]]))
    assert complaint(path, "-1") == "an infinite value in row 2, column '1'; drop or fill such rows first"
    for label in ("2", "-3", "kind", "", "1.0"):
        assert complaint(path, label).startswith("there is no column '") and "columns are 0, 1" in complaint(
            path, label
        )
    np.save(path, np.array([[0, 1], [1, 2**64 - 1]], np.uint64))
    assert complaint(path, "1") == "the label column '1' holds integers beyond int64"
    np.save(path, np.zeros((4, 1)))
    assert complaint(path, "0") == "has no column except the label '0'"


def npy(shape, descr="'<f8'", body=bytes(64)):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + body


FOREIGN = {
    "text": b"hello",
    "pickle": b"\x80\x04]\x94(]\x94(G?\xf0\x00\x00\x00\x00\x00\x00G@\x00\x00\x00\x00\x00\x00\x00ee.",
    "no archive": b"PK\x03\x04junk",
    "magic only": b"\x93NUMPY",
    "unknown version": b"\x93NUMPY\x09\x00",
    "truncated header": npy((4, 2))[:40],
    "truncated rows": npy((4, 2))[:-1],
    "long header": b"\x93NUMPY\x01\x00" + struct.pack("<H", 20000) + b"(" * 20000,
    "deep header": b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000,
    "minus signs": npy("-" * 5000 + "4"),
    "fewer minus signs": npy("-" * 800 + "4"),
    "a type of nothing": npy((4, 2), "()"),
    "more rows than bytes": npy((10**12, 8)),
    "more columns than bytes": npy((2, 10**12)),
    "an overflow": npy((2**62, 4)),
    "an overflow to nothing": npy((2**61, 8)),
    "past all integers": npy((10**30, 2)),
    "negative": npy((-4, 2)),
    "both negative": npy((-4, -2)),
    "a truth": npy((True, 2)),
    "a fraction": npy((1.5, 2)),
}


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_foreign_and_lying_npy(tmp_path, content):
    expected = "is not a whole .npy file (truncated, or of another format)"
    assert complaint(write(tmp_path / "a.npy", content)) == expected


def test_npy_headers_without_data_are_refused(tmp_path):
    """Includes headers that claim rows of size 0."""
    assert complaint(write(tmp_path / "a.npy", npy((0, 10**12)))) == "has 0 rows; at least 2 are needed"
    assert complaint(write(tmp_path / "a.npy", npy((10**12, 0)))) == "has no columns"
    assert complaint(write(tmp_path / "a.npy", npy((10**12, 8), "'|V0'"))) == "holds |V0, not real numbers"
    archive = io.BytesIO()
    np.savez(archive, rows=np.zeros((4, 2)))
    assert complaint(write(tmp_path / "a.npy", archive.getvalue())) == (
        "is an archive of arrays, not a .npy file; save one array"
    )
    with zipfile.ZipFile(tmp_path / "b.npy", "w") as other:
        other.writestr("a.txt", "hello")
    assert complaint(tmp_path / "b.npy").startswith("is an archive of arrays")


@pytest.mark.parametrize("ending", [".npy", ".csv", ".csv.gz", ".parquet"])
def test_files_that_cannot_be_opened(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    assert complaint(path, error=FileNotFoundError) == "no such file or directory"
    path.write_bytes(b"")
    assert complaint(path) == "the file is empty"
    if os.geteuid() != 0:
        path.chmod(0)
        assert complaint(path, error=PermissionError) == "permission denied"
    path.unlink()
    path.mkdir()
    assert complaint(path).startswith("must hold files of one format")


def test_unknown_endings(tmp_path):
    expected = "the file's name must end in one of .npy, .csv, .csv.gz, .tsv, .txt, .parquet"
    for name in ("a.xlsx", "a.gz", "a.npy.gz", "a", "a.csv.zip"):
        assert complaint(tmp_path / name) == expected


@pytest.mark.parametrize("label", [None, "c1"])
def test_many_rows_go_to_a_temporary_file(tmp_path, monkeypatch, label):
    rng = np.random.default_rng(0)
    columns = {"c0": rng.normal(size=500), "c1": rng.integers(0, 9, 500), "c2": rng.normal(size=500)}
    write_parquet(tmp_path / "a.parquet", **columns)
    write(
        tmp_path / "a.csv",
        "c0,c1,c2\n"
        + "".join(
            f"{a!r},{b},{c!r}\n" for a, b, c in zip(*(values.tolist() for values in columns.values()), strict=True)
        ),
    )
    np.save(tmp_path / "a.npy", np.asfortranarray(np.stack(list(columns.values()), axis=1)))
    for module, name, size in (
        ("csv_files", "_BLOCK", 2**9),
        ("npy_files", "_BLOCK_VALUES", 60),
        ("parquet_files", "_BATCH_VALUES", 60),
    ):
        monkeypatch.setattr(f"pointillist.files.{module}.{name}", size)
    for name in ("a.csv", "a.parquet", "a.npy"):
        wanted = label and (label[1:] if name == "a.npy" else label)
        monkeypatch.setattr(numbers, "SPOOL_ABOVE", 2**28)
        small = read_numbers(tmp_path / name, wanted)
        monkeypatch.setattr(numbers, "SPOOL_ABOVE", 1000)
        large = read_numbers(tmp_path / name, wanted)
        assert isinstance(large.rows, np.memmap) and not isinstance(small.rows, np.memmap)
        assert not large.rows.flags.writeable and not small.rows.flags.writeable
        np.testing.assert_array_equal(large.rows, small.rows)
        kept = [values for key, values in columns.items() if key != label]
        np.testing.assert_array_equal(small.rows, np.stack(kept, axis=1))
        assert (large.names, large.types) == (small.names, small.types)
        if label:
            np.testing.assert_array_equal(small.label.values, columns["c1"])
            np.testing.assert_array_equal(large.label.values, columns["c1"])


def test_a_full_disk_for_the_temporary_file_is_reported(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.zeros((500, 2), np.float32))
    monkeypatch.setattr(numbers, "SPOOL_ABOVE", 1000)
    monkeypatch.setattr(numbers, "gettempdir", lambda: "/temporary")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(numbers, "TemporaryFile", full)
    assert complaint(tmp_path / "a.npy", error=OSError) == "/temporary: no space left on device"
