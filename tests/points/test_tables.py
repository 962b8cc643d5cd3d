import numpy as np
import pytest

from pointillist.points import read_rows


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_npy_of_two_and_three_dimensions(tmp_path):
    array = np.arange(24.0).reshape(4, 3, 2)
    np.save(tmp_path / "three.npy", array)
    np.save(tmp_path / "two.npy", array.reshape(4, 6).astype(np.int32))
    for name in ("three.npy", "two.npy"):
        rows = read_rows(tmp_path / name)
        assert rows.dtype == np.float64
        np.testing.assert_array_equal(rows, array.reshape(4, 6))


def test_csv_with_header(tmp_path):
    rows = read_rows(write(tmp_path / "a.csv", "x,y\n1,2.5\n3,-4\n"))
    np.testing.assert_array_equal(rows, [[1, 2.5], [3, -4]])


BAD_TEXT = {
    "empty": ("", "the file is empty"),
    "header only": ("x,y\n", "has 0 rows"),
    "one row": ("x,y\n1,2\n", "has 1 rows; at least 2"),
    "a word": ("x,y\n1,2\n3,four\n", "column 'y' holds string"),
    "missing": ("x,y\n1,2\n3,\n", "column 'y' has 1 missing values"),
    "ragged": ("x,y\n1,2\n3\n", "cannot be read as CSV"),
    "nan": ("x,y\n1,2\n3,nan\n", "column 'y' has 1 missing values"),
    "inf": ("x,y\n1,2\n3,inf\n", "an infinite value in row 1, column 'y'"),
}


@pytest.mark.parametrize("content,message", BAD_TEXT.values(), ids=BAD_TEXT)
def test_bad_csv_is_one_clear_line(tmp_path, content, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_rows(write(tmp_path / "a.csv", content))
    assert "\n" not in str(caught.value) and str(tmp_path / "a.csv") in str(caught.value)


BAD_ARRAYS = {
    "objects": (np.array([[{}, 1], [2, 3]], dtype=object), "holds Python objects"),
    "one dimension": (np.zeros(4), "has 1 dimensions"),
    "strings": (np.array([["a", "b"], ["c", "d"]]), "not real numbers"),
    "complex": (np.zeros((3, 2), complex), "not real numbers"),
    "nan": (np.array([[0.0, 1], [np.nan, 2]]), "NaN in row 1, column '0'"),
    "no columns": (np.zeros((4, 0)), "has no columns"),
    "one row": (np.zeros((1, 4)), "has 1 rows"),
}


@pytest.mark.parametrize("array,message", BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_bad_npy_is_one_clear_line(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=message) as caught:
        read_rows(tmp_path / "a.npy")
    assert "\n" not in str(caught.value)


def test_truncated_foreign_missing_and_directory(tmp_path):
    np.save(tmp_path / "whole.npy", np.zeros((100, 3)))
    cut = write(tmp_path / "cut.npy", (tmp_path / "whole.npy").read_bytes()[:500])
    with pytest.raises(ValueError, match="not a whole"):
        read_rows(cut)
    with pytest.raises(ValueError, match="not a whole"):
        read_rows(write(tmp_path / "text.npy", "hello"))
    with pytest.raises(ValueError, match=r"must end in one of \.npy, \.csv"):
        read_rows(tmp_path / "rows.xlsx")
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_rows(tmp_path / "none.npy")
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(IsADirectoryError, match="is a directory"):
        read_rows(tmp_path / "folder.npy")
