"""Names of columns (text, numbers, booleans, dates, None, and tuples of these), and headings of data frames."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain, count
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np

_PLAIN = {"str": str, "int": int, "float": float, "bool": bool}


def check_names(names: Sequence[Any]) -> None:
    """Raises a ValueError if a name has another type, or two names are equal."""
    for name in names:
        name_to_json(name)
    for name, times in Counter(names).items():
        if times > 1:
            raise ValueError(f"two columns have the same name: rename one of {name!r}")


def free_name(wanted: Sequence[str], taken: Sequence[Any]) -> str:
    """Returns the first wanted name that is not taken; if all are, the last one with a number."""
    return next(name for name in chain(wanted, (f"{wanted[-1]}_{i}" for i in count(1))) if name not in taken)


def name_to_json(name: Any) -> list[Any]:
    """Converts a name to JSON values: its type and content. Raises a ValueError if names cannot have its type."""
    name = name.item() if hasattr(name, "item") else name
    if name is None:
        return ["none"]
    if isinstance(name, tuple):
        return ["tuple", [name_to_json(each) for each in name]]
    if isinstance(name, datetime | date):
        return ["datetime" if isinstance(name, datetime) else "date", name.isoformat()]
    if type(name) not in _PLAIN.values() or name != name:
        raise ValueError(
            f"column names must be text, numbers, dates or tuples of these, not {name!r}: rename the columns"
        )
    if type(name) is str:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"a column is named {name!r}, which no file can hold (a lone surrogate): rename it"
            ) from error
    return [type(name).__name__, name]


def name_from_json(value: Any) -> Any:
    """Rebuilds a name from the result of `name_to_json`; raises a ValueError if the value is not valid."""
    kind, *rest = value
    if kind == "none" and not rest:
        return None
    (content,) = rest
    if kind == "tuple":
        return tuple(name_from_json(each) for each in content)
    if kind in ("date", "datetime"):
        return {"date": date, "datetime": datetime}[kind].fromisoformat(content)
    if type(content) is not _PLAIN.get(kind):
        raise ValueError(f"{content!r:.40} is not the name of a column")
    return content


@dataclass(frozen=True)
class Headings:
    """Column names of a pandas frame, or the name of a Series.

    Attributes:
        names: Names of the columns; tuples if there are several levels.
        levels: Names of the levels; None for a level without a name.
        is_series: Whether the container was a Series.
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
        """Returns a pandas frame or Series as a frame with text as names, and its headings; other X unchanged."""
        if not (nw.dependencies.is_pandas_dataframe(X) or nw.dependencies.is_pandas_series(X)):
            return X, None
        is_series = X.ndim == 1
        levels = (None,) if is_series else tuple(X.columns.names)
        headings = cls((X.name,) if is_series else tuple(X.columns.tolist()), levels, is_series)
        frame = X.to_frame() if is_series else X
        texts = [name if headings.are_text else str(i) for i, name in enumerate(headings.names)]
        return frame.set_axis(texts, axis=1), headings

    @property
    def are_text(self) -> bool:
        """Whether all names are text."""
        return all(type(name) is str for name in self.names)

    def put_on(self, frame: Any, index: Any = None) -> Any:
        """Sets these headings, and an index if given, on a pandas frame; returns a Series if the container was one."""
        frame.columns = self._pandas_index()
        if index is not None:
            frame.index = index
        return frame.iloc[:, 0] if self.is_series else frame

    def _pandas_index(self) -> Any:
        import pandas

        if len(self.levels) > 1:
            return pandas.MultiIndex.from_tuples(self.names, names=self.levels)
        index = pandas.Index(list(self.names), name=self.levels[0], tupleize_cols=False)
        # pandas converts names of several types to one type if it can, for example None to NaN.
        is_kept = index.tolist() == list(self.names)
        return index if is_kept else pandas.Index(list(self.names), object, name=self.levels[0])

    def to_json(self) -> dict[str, Any]:
        """Converts to JSON values, which `from_json` reads."""
        named = {key: [name_to_json(each) for each in getattr(self, key)] for key in ("names", "levels")}
        return {**named, "is_series": self.is_series}

    @classmethod
    def from_json(cls, content: dict[str, Any] | None) -> "Headings | None":
        """Rebuilds headings from the result of `to_json`; None without headings."""
        if content is None:
            return None
        names, levels = (tuple(name_from_json(each) for each in content[key]) for key in ("names", "levels"))
        if not levels or (content["is_series"] and len(names) != 1):
            raise ValueError("column names have no level, or a Series has several names")
        return cls(names, levels, bool(content["is_series"]))


def as_array(X: Any) -> np.ndarray:
    """Returns X as an array; lists with text become an array of objects, in which numbers stay numbers."""
    array = np.asarray(X)
    return np.array(X, object) if array.dtype.kind == "U" and isinstance(X, list | tuple) else array


def check_container(X: Any, name: str = "X") -> None:
    """Raises a ValueError, with the way out, if X is no table but something from which one can be made."""
    if isinstance(X, str | Path):
        way = "read the file first, for example with pointillist.files.read_table"
    elif isinstance(X, Mapping) and not hasattr(X, "toarray"):
        way = "make a data frame of it, for example pandas.DataFrame(X)"
    elif nw.dependencies.is_polars_lazyframe(X):
        way = "collect it first, X.collect()"
    elif hasattr(X, "sample") and hasattr(X, "fit"):
        way = "draw rows from it, X.sample(n)"
    else:
        return
    raise ValueError(f"{name} is a {type(X).__name__}, not a table: {way}")


def is_frame(X: Any) -> bool:
    """Whether X is a data frame or a pandas Series."""
    return nw.dependencies.is_into_dataframe(X) or nw.dependencies.is_pandas_series(X)
