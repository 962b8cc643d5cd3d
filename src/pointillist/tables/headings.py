"""Column names of data frames, which may be of any kind and of several levels."""

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np

from pointillist.tables.names import check_names, name_from_json, name_to_json, pandas_columns


@dataclass(frozen=True)
class Headings:
    """Column names of a pandas frame, or the name of a Series.

    Attributes:
        names: Names of the columns; tuples if there are several levels.
        levels: Names of the levels; None for a level without a name.
        is_series: Whether the frame was a Series.
    """

    names: tuple[Any, ...]
    levels: tuple[Any, ...] = (None,)
    is_series: bool = False

    def __post_init__(self) -> None:
        check_names(self.names)
        if len(self.levels) > 1 and not all(isinstance(n, tuple) and len(n) == len(self.levels) for n in self.names):
            raise ValueError("column names do not fit their levels")

    @classmethod
    def of(cls, X: Any) -> "tuple[Any, Headings | None]":
        """Returns a pandas frame or Series as a frame with text as column names, and its headings; other X as it is."""
        if not (nw.dependencies.is_pandas_dataframe(X) or nw.dependencies.is_pandas_series(X)):
            return X, None
        is_series = X.ndim == 1
        levels = (None,) if is_series else tuple(X.columns.names)
        own = cls((X.name,) if is_series else tuple(X.columns.tolist()), levels, is_series)
        frame = X.to_frame() if is_series else X
        texts = [name if own.are_text else str(i) for i, name in enumerate(own.names)]
        return frame.set_axis(texts, axis=1), own

    @property
    def are_text(self) -> bool:
        """Whether all names are text."""
        return all(type(name) is str for name in self.names)

    def put_on(self, frame: Any, index: Any = None) -> Any:
        """Gives a pandas frame these headings and, if given, an index; returns a Series if it was one."""
        frame.columns = pandas_columns(self.names, self.levels)
        if index is not None:
            frame.index = index
        return frame.iloc[:, 0] if self.is_series else frame

    def to_json(self) -> dict[str, Any]:
        """Converts to JSON values, which `from_json` reads."""
        named = {key: [name_to_json(each) for each in getattr(self, key)] for key in ("names", "levels")}
        return {**named, "is_series": self.is_series}

    @classmethod
    def from_json(cls, content: dict[str, Any] | None) -> "Headings | None":
        """Reads what `to_json` wrote; None gives None."""
        if content is None:
            return None
        names, levels = (tuple(name_from_json(each) for each in content[key]) for key in ("names", "levels"))
        if not levels or (content["is_series"] and len(names) != 1):
            raise ValueError("column names have no level, or a Series has several names")
        return cls(names, levels, bool(content["is_series"]))


def as_array(X: Any) -> np.ndarray:
    """Returns X as an array; lists that hold text become an array of objects, in which numbers stay numbers."""
    array = np.asarray(X)
    return np.array(X, object) if array.dtype.kind == "U" and isinstance(X, list | tuple) else array


def is_frame(X: Any) -> bool:
    """Whether X is a data frame or a pandas Series."""
    return nw.dependencies.is_into_dataframe(X) or nw.dependencies.is_pandas_series(X)
