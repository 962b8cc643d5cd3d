"""Layout of a user's table of numbers, in which new rows are returned: array or data frame, names and types."""

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
from jaxtyping import Bool, Float

from pointillist.arguments import LARGEST_INTEGER
from pointillist.tables.headings import Headings
from pointillist.tables.names import check_names, name_from_json, name_to_json
from pointillist.tables.number_table import Table
from pointillist.tables.row_blocks import blocks

_FRAMES = ("pandas", "polars", "pyarrow")
_TYPES = ("bool", *(f"{sign}int{8 * n}" for sign in ("", "u") for n in (1, 2, 4, 8)), "float16", "float32", "float64")


@dataclass(frozen=True)
class Layout:
    """Container, column names and column types of rows.

    Attributes:
        kind: "array", or the library of a data frame: "pandas", "polars" or "pyarrow".
        types: NumPy's name of each column's type, such as "int64", "float32", "bool".
        names: The columns' names; None where they have none.
        natives: The data frame library's own names of the types; None for arrays.
        headings: Headings of a pandas frame; None for other kinds.
    """

    kind: str
    types: tuple[str, ...]
    names: tuple[Any, ...] | None = None
    natives: tuple[str, ...] | None = None
    headings: Headings | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("array", *_FRAMES) or (self.kind in _FRAMES and None in (self.names, self.natives)):
            raise ValueError(f"rows of kind {self.kind!r} are not known, or have no names")
        for columns in (self.names, self.natives):
            if columns is not None and len(columns) != len(self.types):
                raise ValueError(f"{len(columns)} names stand for {len(self.types)} columns")
        if self.names is not None:
            check_names(self.names)
        if (self.kind == "pandas") != (self.headings is not None):
            raise ValueError(f"rows of kind {self.kind!r} have the wrong headings")
        if self.headings is not None and self.headings.names != self.names:
            raise ValueError("the headings are not those of the columns")
        if any(name not in _TYPES for name in self.types):
            raise ValueError(f"columns hold types that are not numbers: {', '.join(self.types)}")
        if self.natives is not None and not self._natives_fit():
            raise ValueError(f"types {', '.join(self.natives)} are not {', '.join(self.types)}")

    def _natives_fit(self) -> bool:
        assert self.natives is not None
        # Narwhals' own types are called up by their names.
        are_known = self.kind == "pandas" or all(isinstance(getattr(nw, n, None), type) for n in self.natives)
        return are_known and [_numpy_name(native) for native in self.natives] == list(self.types)

    @property
    def is_whole(self) -> Bool[np.ndarray, " d"]:
        """Whether each column holds integers or booleans."""
        return np.array([np.dtype(name).kind in "biu" for name in self.types])

    def columns(self, rows: Float[np.ndarray, "n d"]) -> list[np.ndarray]:
        """Splits rows, shape (n, d), into columns, each of its own type."""
        return [column.astype(name) for column, name in zip(rows.T, self.types, strict=True)]

    def restore(self, rows: Float[np.ndarray, "n d"], index: Any = None) -> Any:
        """Converts rows, shape (n, d), to the container that the layout was taken from, for pandas with an index."""
        if self.kind == "array":
            return np.ascontiguousarray(rows.astype(np.result_type(*self.types)))
        assert self.names is not None and self.natives is not None
        if self.headings is not None:
            import pandas

            frame = pandas.DataFrame(dict(enumerate(self.columns(rows)))).astype(dict(enumerate(self.natives)))
            return self.headings.put_on(frame, index)
        columns: dict[Any, Any] = dict(zip(self.names, self.columns(rows), strict=True))
        natives: dict[Any, Any] = dict(zip(self.names, self.natives, strict=True))
        backend: Any = self.kind
        schema = {name: getattr(nw, native)() for name, native in natives.items()}
        return nw.from_dict(columns, schema, backend=backend).to_native()

    def to_json(self) -> dict[str, Any]:
        """Converts to JSON values, which `from_json` reads."""
        names = None if self.names is None else [name_to_json(name) for name in self.names]
        headings = None if self.headings is None else self.headings.to_json()
        return {"kind": self.kind, "types": self.types, "names": names, "natives": self.natives, "headings": headings}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Layout":
        """Reads what `to_json` wrote.

        Raises:
            ValueError: If the values describe no valid layout.
        """
        names, natives, types = content["names"], content["natives"], tuple(content["types"])
        if not types:
            raise ValueError("rows have no columns")
        return cls(
            content["kind"],
            types,
            None if names is None else tuple(name_from_json(name) for name in names),
            None if natives is None else tuple(map(str, natives)),
            Headings.from_json(content["headings"]),
        )


def read_numbers(X: Any) -> tuple[Layout, Any]:
    """Returns the layout of a user's rows, and the rows: an array of shape (n, d), or what NumPy converts to one.

    Args:
        X: A `Table`, a data frame of pandas, Polars or PyArrow, or anything that NumPy reads.

    Raises:
        ValueError: If a data frame has a column that does not hold numbers, a missing value, or two equal names.
    """
    if isinstance(X, Table):
        return Layout("array", X.types, X.names), X.rows
    given, headings = Headings.of(X)
    try:
        frame = nw.from_native(given, eager_only=True, pass_through=True)
    except nw.exceptions.DuplicateError as error:
        raise ValueError(f"two columns have the same name: rename one ({' '.join(str(error).split())})") from error
    if not isinstance(frame, nw.DataFrame):
        return _layout_of_array(X), X
    return _read_frame(frame, given, headings)


def _layout_of_array(X: Any) -> Layout:
    try:
        array = np.asarray(X) if not hasattr(X, "dtype") or not hasattr(X, "shape") else X
    except ValueError as error:
        raise ValueError("X holds rows of different lengths: give each row the same number of values") from error
    if len(array.shape) < 2:
        # Of the words of scikit-learn, which takes several lines.
        found = f"{len(array.shape)}D" if array.shape else "scalar"
        raise ValueError(
            f"Expected 2D array, got {found} array instead. Reshape your data: X.reshape(-1, 1) is one column, "
            "X.reshape(1, -1) is one row"
        )
    width = array.shape[1] if len(array.shape) == 2 else 0
    kind = getattr(array.dtype, "kind", "O")
    if kind in "Mm":
        raise ValueError(f"X holds {array.dtype}, not numbers: give a data frame, whose columns may be dates")
    if np.ma.is_masked(X):
        row, column = np.argwhere(np.ma.getmaskarray(X))[0]
        raise ValueError(f"X has a masked value in row {row}, column {column}: drop or fill such rows first")
    if kind == "c":
        raise ValueError("Complex data not supported: give X's real and imaginary parts as columns of their own")
    if kind in "iu":
        check_whole(np.asarray(array), None)
    elif kind == "O":
        check_whole(np.array([each for each in np.asarray(array).ravel() if isinstance(each, int)], object), None)
    if kind == "O":
        return Layout("array", tuple(_type_of_objects(column) for column in np.asarray(array).T))
    name = np.dtype(array.dtype).name if kind in "biuf" else "float64"
    return Layout("array", (name,) * width)


def _type_of_objects(cells: np.ndarray) -> str:
    """The type of a column of Python's objects."""
    if len(cells) and all(isinstance(cell, bool | np.bool_) for cell in cells):
        return "bool"
    is_whole = len(cells) and all(isinstance(cell, int | np.integer | np.bool_) for cell in cells)
    return "int64" if is_whole else "float64"


def _read_frame(frame: nw.DataFrame, X: Any, headings: Headings | None) -> tuple[Layout, np.ndarray]:
    kind = frame.implementation.value
    names = tuple(frame.columns) if headings is None else headings.names
    if kind not in _FRAMES:
        raise ValueError(f"data frames of {kind} are not supported: give one of {', '.join(_FRAMES)}, or an array")
    types, columns = [], []
    for name, column in zip(names, frame.iter_columns(), strict=True):
        dtype = column.dtype
        if _numpy_name(str(dtype)) not in _TYPES:
            raise ValueError(f"column {name!r} holds {dtype}, not numbers: drop or encode it first")
        if column.null_count():
            raise ValueError(f"column {name!r} has {column.null_count()} missing values: drop or fill them first")
        values = column.to_numpy()
        types.append(_numpy_name(str(dtype)))
        if dtype.is_integer():
            check_whole(values, str(name))
        columns.append(values.astype(np.float64))
    rows = np.stack(columns, axis=1) if columns else np.empty((len(frame), 0))
    natives = [str(dtype) for dtype in (X.dtypes if kind == "pandas" else frame.schema.values())]
    return Layout(kind, tuple(types), names, tuple(natives), headings), rows


def _numpy_name(native: str) -> str:
    """Returns NumPy's name of a type that a data frame library calls `native`."""
    name = native.removesuffix("[pyarrow]").lower()
    return {"boolean": "bool", "double": "float64", "float": "float32", "halffloat": "float16"}.get(name, name)


def check_whole(values: np.ndarray, name: str | None) -> None:
    """Raises an error if float64 cannot hold all integers of a column, whose name is `name`."""
    # Not the absolute value: that of the lowest integer is itself.
    if values.size and (values.max() > LARGEST_INTEGER or values.min() < -LARGEST_INTEGER):
        where = "X" if name is None else f"column {name!r}"
        raise ValueError(f"{where} holds integers beyond 2**53, which float64 cannot hold: drop or divide them")


def check_finite(
    rows: np.ndarray,
    what: str,
    names: tuple[Any, ...] | None,
    dtype: type[np.floating] = np.float64,
    first: int = 0,
) -> None:
    """Raises an error that names the first NaN, or the first value that is infinite in a type.

    Args:
        rows: The rows, shape (n, d).
        what: What they are called.
        names: Names of the columns.
        dtype: The type.
        first: Number of the first row.
    """
    for block in blocks(rows):
        with np.errstate(over="ignore"):
            is_finite = np.isfinite(block.astype(dtype, copy=False))
        if not is_finite.all():
            row, column = np.argwhere(~is_finite)[0]
            value = "NaN" if np.isnan(block[row, column]) else "inf"
            where = f"column {column if names is None else repr(names[column])}"
            raise ValueError(f"{what} has {value} in row {first + row}, {where}: drop or fill such rows first")
        first += len(block)
