"""Names of columns (text, numbers, booleans, dates, None, and tuples of these), and their form in JSON."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from itertools import chain, count
from typing import Any

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
