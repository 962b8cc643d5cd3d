import gzip
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pyarrow import parquet

from pointillist.atomic_files import write_whole
from pointillist.files.formats import READABLE, format_of
from pointillist.files.reading import read_numbers
from pointillist.files.writing import TableWriter

NUMBERS = ("int64", "uint8", "float32", "float64", "bool")


def save(path, names, types, columns, step=None):
    n = len(columns[0])
    with TableWriter(path, names, types, n) as writer:
        for first in range(0, n, step or max(1, n)):
            writer.write([column[first : first + (step or n)] for column in columns])
    assert os.listdir(path.parent) == [path.name]


def values_of(type_):
    dtype = np.dtype(type_)
    if dtype.kind == "f":
        return npst.from_dtype(dtype, allow_nan=False, allow_infinity=False)
    return st.integers(-(2**53), 2**53) if type_ == "int64" else npst.from_dtype(dtype)


@st.composite
def tables(draw):
    types = draw(st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=4))
    n = draw(st.integers(2, 12))
    columns = [draw(npst.arrays(type_, n, elements=values_of(type_))) for type_ in types]
    return types, columns, draw(st.integers(1, n))


@pytest.mark.parametrize("ending", READABLE)
@settings(max_examples=20)
@given(table=tables())
def test_what_is_written_is_read(tmp_path_factory, ending, table):
    types, columns, step = table
    path = tmp_path_factory.mktemp("written") / f"a{ending}"
    names = [f"c{i}, of {type_}" for i, type_ in enumerate(types)]
    common = np.result_type(*types).name
    save(path, names, types, columns, step)
    back = read_numbers(path)
    assert back.rows.shape == (len(columns[0]), len(types))
    for column, type_, found, found_type in zip(columns, types, back.rows.T, back.types, strict=True):
        np.testing.assert_array_equal(found.astype(type_), column)
        if ending == ".npy":
            assert found_type == common
        elif format_of(path).has_types:
            assert found_type == type_
        elif column.dtype.kind in "iu":
            assert found_type == "int64"
        elif type_ == "bool":
            assert found_type == "bool"
        elif not np.array_equal(column, np.trunc(column)):
            assert found_type == "float64"
    assert back.names == (None if ending == ".npy" else tuple(names))


MISSING = ["NA", "nan", "NULL", "n/a", "#N/A N/A"]
"""Texts that mean a missing value if they are not quoted."""
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
@settings(max_examples=20)
@given(labels=st.lists(words.map(lambda text: f"<{text}>") | st.sampled_from(MISSING), min_size=2, max_size=9))
def test_text_labels_come_back(tmp_path_factory, ending, labels):
    path = tmp_path_factory.mktemp("written") / f"a{ending}"
    labels = np.array(labels)
    save(path, ["x", "kind"], ["int64", "str"], [np.arange(len(labels)), labels], step=3)
    back = read_numbers(path, "kind")
    np.testing.assert_array_equal(back.label.values, labels)
    np.testing.assert_array_equal(back.rows[:, 0], np.arange(len(labels)))


COLUMNS = [np.array([1, -2]), np.array([0.5, 0.1], np.float32), np.array([True, False]), np.array(["a", 'b"c'], object)]
TYPES = ["int64", "float32", "bool", "str"]


def test_bytes_of_csv(tmp_path):
    expected = 'x,"y, z",flag,kind\n1,0.5,true,"a"\n-2,0.1,false,"b""c"\n'
    names = ["x", "y, z", "flag", "kind"]
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    save(tmp_path / "one" / "a.csv", names, TYPES, COLUMNS)
    save(tmp_path / "two" / "a.csv.gz", names, TYPES, COLUMNS)
    assert (tmp_path / "one" / "a.csv").read_text() == expected
    assert gzip.decompress((tmp_path / "two" / "a.csv.gz").read_bytes()).decode() == expected
    # The header has no name or time: the same rows give the same bytes.
    assert (tmp_path / "two" / "a.csv.gz").read_bytes()[3:8] == bytes(5)


def test_no_rows_and_no_names(tmp_path):
    for ending in READABLE:
        with TableWriter(tmp_path / f"a{ending}", None, ["int64", "float32"], 0):
            pass
    assert (tmp_path / "a.csv").read_bytes() == b"0,1\n"
    assert parquet.read_table(tmp_path / "a.parquet").to_pydict() == {"0": [], "1": []}
    array = np.load(tmp_path / "a.npy")
    assert array.shape == (0, 2) and array.dtype == np.float64


def test_npy_has_one_type(tmp_path):
    save(tmp_path / "a.npy", ["x", "y"], ["uint8", "bool"], [np.array([1, 255], np.uint8), np.array([True, False])])
    array = np.load(tmp_path / "a.npy")
    assert array.dtype == np.uint8 and array.flags.c_contiguous
    np.testing.assert_array_equal(array, [[1, 1], [255, 0]])


def test_parquet_row_groups_are_not_tiny(tmp_path):
    n = 150_000
    save(tmp_path / "a.parquet", ["x"], ["int64"], [np.arange(n)], step=1000)
    file = parquet.ParquetFile(tmp_path / "a.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [66_000, 66_000, 18_000]
    np.testing.assert_array_equal(file.read()["x"], np.arange(n))


def test_values_are_cast_if_the_cast_is_exact(tmp_path):
    save(tmp_path / "a.parquet", ["x", "y"], ["uint8", "bool"], [np.array([1.0, 255.0]), np.array([0, 1])])
    assert parquet.read_table(tmp_path / "a.parquet").to_pydict() == {"x": [1, 255], "y": [False, True]}


LOSSES = {
    "fraction": ("uint8", [1.0, 1.5], "column 'x' is of uint8, which cannot hold 1.5"),
    "too large": ("uint8", [1, 256], "column 'x' is of uint8, which cannot hold 256"),
    "too large for every type": ("int64", [0.0, 1e300], "column 'x' is of int64, which cannot hold 1e+300"),
    "NaN": ("int64", [0.0, np.nan], "column 'x' is of int64, which cannot hold nan"),
    "neither true nor false": ("bool", [0, 2], "column 'x' is of bool, which cannot hold 2"),
}


@pytest.mark.parametrize("type_,values,message", LOSSES.values(), ids=LOSSES)
def test_values_that_do_not_fit_are_refused(tmp_path, type_, values, message):
    path = tmp_path / "a.csv"
    with pytest.raises(ValueError) as caught, TableWriter(path, ["x"], [type_], 2) as writer:
        writer.write([np.array(values)])
    assert str(caught.value) == f"{path}: {message}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", READABLE)
def test_an_error_leaves_no_file(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    for error in (RuntimeError, KeyboardInterrupt, OSError):
        with pytest.raises(error, match=r"^mine$"), TableWriter(path, ["x"], ["int64"], 200_000) as writer:
            writer.write([np.arange(150_000)])
            assert not path.exists() and len(list(tmp_path.iterdir())) == 1
            raise error("mine")
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", READABLE)
def test_a_wrong_number_of_rows_is_refused(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    path.write_text("as it was")
    with pytest.raises(ValueError) as caught, TableWriter(path, ["x"], ["int64"], 5) as writer:
        writer.write([np.arange(3)])
    assert str(caught.value) == f"{path}: 3 rows were written of the 5 promised"
    with pytest.raises(ValueError) as caught, TableWriter(path, ["x"], ["int64"], 5) as writer:
        writer.write([np.arange(3)])
        writer.write([np.arange(3)])
    assert str(caught.value) == f"{path}: more rows were written than the 5 promised"
    assert path.read_text() == "as it was" and os.listdir(tmp_path) == [path.name]
    save(path, ["x"], ["int64"], [np.arange(5)])
    np.testing.assert_array_equal(read_numbers(path).rows[:, 0], np.arange(5))


@pytest.mark.parametrize("columns", [[], [np.arange(2)], [np.arange(2), np.arange(3)], [np.arange(2)] * 3])
def test_columns_that_do_not_fit_are_refused(tmp_path, columns):
    with (
        pytest.raises(ValueError, match=r"a\.csv: 2 columns of one length are needed$"),
        TableWriter(tmp_path / "a.csv", ["x", "y"], ["int64"] * 2, 2) as writer,
    ):
        writer.write(columns)


REFUSED = {
    "an unknown ending": ("a.xlsx", ["x"], ["int64"], "the file's name must end in one of .npy, .csv, .csv.gz, .tsv"),
    "no columns": ("a.csv", None, [], "a table needs at least one column"),
    "too few names": ("a.csv", ["x"], ["int64"] * 2, "1 names do not fit 2 columns"),
    "the same names": ("a.csv", ["x", "x"], ["int64"] * 2, "2 columns are named 'x'; names must differ"),
    "an unknown type": ("a.csv", ["x"], ["datetime64"], "column 'x' cannot be of datetime64: types are bool, int8,"),
    "text in npy": (
        "a.npy",
        ["x", "kind"],
        ["int8", "str"],
        "column 'kind' is text, which needs a .csv or .parquet file",
    ),
}


@pytest.mark.parametrize("name,names,types,message", REFUSED.values(), ids=REFUSED)
def test_types_that_cannot_be_written_are_refused_at_once(tmp_path, name, names, types, message):
    path = tmp_path / name
    with pytest.raises(ValueError) as caught:
        TableWriter(path, names, types, 10)
    assert str(caught.value).startswith(f"{path}: {message}") and len(str(caught.value).splitlines()) == 1


def refused(path, error):
    with pytest.raises(error) as caught:
        TableWriter(path, ["x"], ["int64"], 10)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_paths_that_cannot_be_written_are_refused_at_once(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    assert refused(tmp_path / "folder.csv", IsADirectoryError) == f"{tmp_path / 'folder.csv'}: is a directory"
    (tmp_path / "file").write_text("")
    assert refused(tmp_path / "file" / "a.csv", OSError).startswith(f"{tmp_path / 'file' / 'a.csv'}: ")
    long = tmp_path / ("a" * 300 + ".csv")
    assert refused(long, OSError) == f"{long}: file name too long"
    TableWriter(tmp_path / "new" / "folder" / "a.csv", ["x"], ["int64"], 10)
    assert not list((tmp_path / "new" / "folder").iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused_at_once(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    path = tmp_path / "closed" / "a.csv"
    assert refused(path, PermissionError) == f"{path}: permission denied"


def test_a_link_is_kept_and_points_to_the_new_file(tmp_path):
    (tmp_path / "far").mkdir()
    path, target = tmp_path / "a.csv", tmp_path / "far" / "b.txt"
    path.symlink_to(target)
    for _ in range(2):
        with TableWriter(path, ["x"], ["int64"], 1) as writer:
            writer.write([np.arange(1)])
        assert path.is_symlink() and not target.is_symlink() and target.read_text() == "x\n0\n"
    assert os.listdir(tmp_path / "far") == ["b.txt"] and sorted(os.listdir(tmp_path)) == ["a.csv", "far"]


def test_special_files_are_refused_and_kept(tmp_path):
    pipe, link, circle = (tmp_path / name for name in ("pipe.csv", "link.csv", "circle.csv"))
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    circle.symlink_to(circle)
    for path in (pipe, link, circle):
        assert refused(path, OSError) == f"{path}: is not a regular file"
    assert pipe.is_fifo() and circle.is_symlink()


def test_a_file_name_that_is_only_an_ending(tmp_path):
    for ending in READABLE:
        save(tmp_path / ending.strip(".") / ending, ["x"], ["int64"], [np.arange(3)])
        assert len(read_numbers(tmp_path / ending.strip(".") / ending).rows) == 3


def test_writers_of_one_file_use_separate_temporary_files(tmp_path):
    path = tmp_path / "a.csv"
    with TableWriter(path, ["x"], ["int64"], 2) as first:
        first.write([np.arange(1)])
        with TableWriter(path, ["y"], ["int64"], 1) as second:
            second.write([np.arange(1)])
        assert path.read_text() == "y\n0\n"
        first.write([np.arange(1)])
    assert path.read_text() == "x\n0\n0\n" and os.listdir(tmp_path) == ["a.csv"]


def test_a_file_has_the_default_permissions(tmp_path):
    before = os.umask(0o026)
    try:
        save(tmp_path / "a.csv", ["x"], ["int64"], [np.arange(3)])
    finally:
        os.umask(before)
    assert (tmp_path / "a.csv").stat().st_mode & 0o777 == 0o640


def in_a_process(path, code):
    start = """
        import sys, time, resource, signal
        import numpy as np
        from pointillist.files import TableWriter
        # Background jobs of a shell start with Ctrl-C ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        writer = TableWriter(sys.argv[1], None, ["float64"] * 2, 400_000)
        rows = np.random.default_rng(0).normal(size=(2, 200_000))
    """
    code = textwrap.dedent(start) + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("ending", READABLE)
def test_a_full_disk_leaves_no_file(tmp_path, ending):
    code = """
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            with writer:
                writer.write(rows)
                writer.write(rows)
        except OSError as error:
            print(error)
    """
    path = tmp_path / f"a{ending}"
    out, errors = in_a_process(path, code).communicate(timeout=60)
    assert (out, errors) == (f"{path}: file too large\n", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stop,leftovers", [(signal.SIGINT, 0), (signal.SIGKILL, 1)])
def test_a_stopped_writer_leaves_no_file(tmp_path, stop, leftovers):
    code = """
        with writer:
            writer.write(rows)
            print("half", flush=True)
            time.sleep(60)
    """
    process = in_a_process(tmp_path / "a.csv", code)
    assert process.stdout.readline() == "half\n"
    process.send_signal(stop)
    process.communicate(timeout=60)
    assert not (tmp_path / "a.csv").exists()
    # Nothing can clean up after a SIGKILL, but the leftover file is hidden.
    left = os.listdir(tmp_path)
    assert len(left) == leftovers and all(name.startswith(".a.csv.") for name in left)
    write_whole(tmp_path / "b.csv", "x\n")
    assert set(os.listdir(tmp_path)) == {*left, "b.csv"}
    write_whole(tmp_path / "a.csv", "x\n")
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "b.csv"]


def test_the_temporary_file_of_another_process_is_kept(tmp_path):
    code = """
        with writer:
            writer.write(rows)
            print("half", flush=True)
            sys.stdin.readline()
            writer.write(rows)
    """
    process = in_a_process(tmp_path / "a.csv", code)
    assert process.stdout.readline() == "half\n"
    write_whole(tmp_path / "a.csv", "x\n")
    _, errors = process.communicate("\n", timeout=60)
    assert errors == "" and len(read_numbers(tmp_path / "a.csv").rows) == 400_000
