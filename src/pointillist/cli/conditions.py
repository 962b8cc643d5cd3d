"""What `--where` says of columns."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pointillist.cli.table_options import file_names
from pointillist.foreign_text import listed, shown
from pointillist.models.number_codec import NumberCodec
from pointillist.models.token_codec import TokenCodec
from pointillist.tables.conditions import between, missing, one_of, present
from pointillist.tables.table import kind_of

if TYPE_CHECKING:
    from pointillist.models.row_model import RowModel

FORMS = "COLUMN=VALUE, COLUMN=LOW..HIGH, COLUMN=A|B|C, COLUMN=? (missing) or COLUMN=!? (present)"
"""The forms of `--where`."""

UNITS: dict[str, Any] = {"d": "D", "h": "h", "min": "m", "s": "s", "ms": "ms", "us": "us", "ns": "ns"}
"""NumPy's name of each unit of a duration."""


def where_of(model: "RowModel", given: Sequence[str]) -> dict[Any, Any] | None:
    """Parses options of the `FORMS`; returns what columns of the model hold.

    Raises:
        ValueError: If an option is not of such a form, the model has no such column, or a column is given twice.
    """
    where: dict[Any, Any] = {}
    codec = model.codec
    columns = codec.encoding.columns if isinstance(codec, TokenCodec) else ()
    names = [str(code.name) for code in columns] or model.file_columns()[0] or file_names(model)
    for text in given:
        # Names may have an equals sign too.
        column = max((name for name in names if text.startswith(f"{name}=")), key=len, default=text.partition("=")[0])
        is_pair, value = text[len(column) :][:1], text[len(column) + 1 :]
        if not is_pair or not value:
            raise ValueError(f"--where takes {FORMS}, not {shown(text)}")
        name, known, has_order, parse = _reading(model, column)
        if name in where:
            raise ValueError(f"--where gives column {shown(column)} twice: leave one of them out")
        try:
            where[name] = _asked(value, known, has_order, parse)
        except ValueError as error:
            raise ValueError(f"--where {shown(text)}: {error}") from error
    return where or None


def _reading(model: "RowModel", column: str) -> tuple[Any, list[Any] | None, bool, Callable[[str], Any]]:
    """A column's name, its values if it has no others, whether values have an order, and what reads a value."""
    codec = model.codec
    if isinstance(codec, NumberCodec):
        names, classes = file_names(model), model.classes
        label = None if classes is None else classes.name_beside(codec.names or ())
        if classes is not None and column == str(label):
            labels = classes.labels.tolist()
            return label, labels, False, lambda text: category_of(text, labels)
        if column not in names:
            raise ValueError(f"--where: there is no column {shown(column)}; the columns are {listed(names)}")
        place = names.index(column)
        name = place if codec.names is None else codec.names[place]
        return name, None, True, lambda text: _number(column, codec.types[place], text)
    assert isinstance(codec, TokenCodec)
    # The names of a data frame need not be text.
    name = next((code.name for code in codec.encoding.columns if str(code.name) == column), column)
    code, kind = codec.encoding.code(name), codec.layout.type_of(name)
    if code.categories is not None or kind is None:
        order = codec.layout.order_of(name)
        known = list(order or code.values.tolist())
        return name, known, order is not None, lambda text: category_of(text, known)
    if kind_of(kind) in ("whole", "number"):
        return name, None, True, lambda text: _number(column, kind, text)

    def date(text: str) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        zone, value = getattr(kind, "tz", None), pa.scalar(text)
        try:
            if pa.types.is_duration(kind):
                return _duration(text, kind.unit)
            if zone is None or re.search(r"(Z|[+-]\d\d(:?\d\d)?)$", text[10:]):
                return value.cast(kind).as_py()
            # Without an offset, it is a time in the column's time zone.
            local = value.cast(pa.timestamp(kind.unit))
            return pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="latest").as_py()
        except (ValueError, OverflowError, pa.ArrowException) as error:
            raise ValueError(f"column {shown(str(name))} holds {kind}, and {shown(text)} is not that") from error

    return name, None, True, date


def _asked(text: str, known: list[Any] | None, has_order: bool, parse: Callable[[str], Any]) -> Any:
    if known is not None and any(_is_same(each, text) for each in known):
        return parse(text)
    if text in ("?", "!?"):
        return missing if text == "?" else present
    if has_order and ".." in text:
        low, _, high = text.partition("..")
        return between(parse(low) if low.strip() else None, parse(high) if high.strip() else None)
    if "|" in text:
        return one_of(*(None if part == "?" else parse(part) for part in text.split("|")))
    return parse(text)


def _duration(text: str, unit: str) -> np.timedelta64:
    """A whole number of the unit that follows it, or of the column's."""
    parts = re.fullmatch(rf"([+-]?\d+) *({'|'.join(UNITS)})?", text.strip())
    if parts is None:
        raise ValueError
    return np.timedelta64(int(parts[1]), UNITS[parts[2] or unit])


def _is_same(category: Any, text: str) -> bool:
    forms = str(category), f"{category:.16g}" if isinstance(category, float) else str(category)
    return text.strip().lower() in [form.strip().lower() for form in forms]


def category_of(text: str, known: list[Any]) -> Any:
    """Returns the category that a text stands for; of an unknown one, or one that may be two, the text."""
    exact = [each for each in known if str(each) == text]
    similar = [each for each in known if _is_same(each, text)]
    return exact[0] if exact else similar[0] if len(similar) == 1 else text


def _number(column: str, kind: Any, text: str) -> int | float:
    if kind == "bool" and text.strip().lower() in ("true", "false"):
        return int(text.strip().lower() == "true")
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"column {shown(column)} holds {kind}, and {shown(text)} is not that") from error
