"""Names of columns: text, numbers, booleans, dates and None."""

from collections import Counter
from collections.abc import Mapping, Sequence
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
    if isinstance(name, datetime | date):
        return ["datetime" if isinstance(name, datetime) else "date", name.isoformat()]
    if type(name) not in _PLAIN.values() or name != name:
        raise ValueError(f"column names must be text, numbers or dates, not {name!r}: rename the columns")
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
    if kind in ("date", "datetime"):
        return {"date": date, "datetime": datetime}[kind].fromisoformat(content)
    if type(content) is not _PLAIN.get(kind):
        raise ValueError(f"{content!r:.40} is not the name of a column")
    return content


def pandas_names(X: Any) -> tuple[Any, tuple[Any, ...] | None]:
    """Returns a pandas frame with text as names, and its names; other X unchanged, and None."""
    if not nw.dependencies.is_pandas_dataframe(X):
        return X, None
    names = tuple(X.columns.tolist())
    check_names(names)
    return X if are_text(names) else X.set_axis([*map(str, range(len(names)))], axis=1), names


def are_text(names: Sequence[Any]) -> bool:
    """Whether all names are text."""
    return all(type(name) is str for name in names)


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
    elif nw.dependencies.is_pandas_series(X):
        way = "make a data frame of it, X.to_frame()"
    elif nw.dependencies.is_polars_lazyframe(X):
        way = "collect it first, X.collect()"
    elif hasattr(X, "sample") and hasattr(X, "fit"):
        way = "draw rows from it, X.sample(n)"
    else:
        return
    raise ValueError(f"{name} is a {type(X).__name__}, not a table: {way}")


def is_frame(X: Any) -> bool:
    """Whether X is a data frame."""
    return bool(nw.dependencies.is_into_dataframe(X))
