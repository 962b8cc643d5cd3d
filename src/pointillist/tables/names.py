"""Names of columns, also as JSON: text, numbers, booleans, dates, None, and tuples of these."""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import chain, count
from typing import Any

_PLAIN = {"str": str, "int": int, "float": float, "bool": bool}


def check_names(names: Sequence[Any]) -> None:
    """Raises a ValueError if two names are the same, or one has a type that names cannot have."""
    for name in names:
        name_to_json(name)
    seen = set()
    for name in names:
        if name in seen:
            raise ValueError(f"two columns have the same name: rename one of {name!r}")
        seen.add(name)


def free_name(wanted: Sequence[str], taken: Sequence[Any]) -> str:
    """Returns the first of some names for a column that no other column has, or the last with a number."""
    return next(name for name in chain(wanted, (f"{wanted[-1]}_{i}" for i in count(1))) if name not in taken)


def name_to_json(name: Any) -> list[Any]:
    """Converts a name to JSON values, with its type; raises a ValueError if names cannot have its type."""
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
    """Restores a name from what `name_to_json` returned; raises a ValueError if there is no such name."""
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


def pandas_columns(names: Sequence[Any], levels: Sequence[Any]) -> Any:
    """The index of a pandas frame's columns, with the names of its levels, None for a level without a name."""
    import pandas

    if len(levels) > 1:
        return pandas.MultiIndex.from_tuples(names, names=levels)
    index = pandas.Index(list(names), name=levels[0], tupleize_cols=False)
    # pandas makes one kind of several where it can: NaN of None.
    return index if index.tolist() == list(names) else pandas.Index(list(names), object, name=levels[0])
