"""Parses the options `--where`, `--shares` and `--reward`."""

import re
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from traceback import extract_tb
from typing import Any

from pointillist.cli.table_options import columns_by_text
from pointillist.foreign_text import listed, shown
from pointillist.lazy import pa
from pointillist.models.row_model import RowModel
from pointillist.tables.conditions import between, missing, one_of, present
from pointillist.tables.table import kind_of, moment_of

FORMS = "COLUMN=VALUE, COLUMN=LOW..HIGH, COLUMN=A|B|C, COLUMN=? (missing) or COLUMN=!? (present)"
"""The forms of `--where`."""

Parse = Callable[[str], Any]


def where_of(model: RowModel, texts: Sequence[str]) -> dict[Any, Any] | None:
    """Parses options of the `FORMS` into values or conditions by column, or raises a ValueError in one line."""
    where: dict[Any, Any] = {}
    names = columns_by_text(model)
    for text in texts:
        column = _column_before(text, "=", names)
        is_pair, value = text[len(column) :][:1], text[len(column) + 1 :]
        if not is_pair or not value:
            raise ValueError(f"--where takes {FORMS}, not {shown(text)}")
        name = names.get(column, column)
        if name in where:
            raise ValueError(f"--where gives column {shown(column)} twice: leave one of them out")
        known, has_order, parse = _parser(model, name, column)
        try:
            where[name] = _condition(value, known, has_order, parse)
        except ValueError as error:
            raise ValueError(f"--where {shown(text)}: {error}") from error
    return where or None


def shares_of(model: RowModel, texts: Sequence[str]) -> dict[Any, dict[Any, float]] | None:
    """Parses options `COLUMN:VALUE=SHARE` into the share of each value, by column, or raises a ValueError."""
    shares: dict[Any, dict[Any, float]] = {}
    names = columns_by_text(model)
    for text in texts:
        column = _column_before(text, ":", names)
        value, is_pair, share = text[len(column) + 1 :].rpartition("=")
        try:
            fraction = float(share)
        except ValueError:
            is_pair = ""
        if not is_pair or not value or text[len(column) :][:1] != ":":
            raise ValueError(f"--shares takes COLUMN:VALUE=SHARE, with a share from 0 to 1, not {shown(text)}")
        name = names.get(column, column)
        known, _, parse = _parser(model, name, column)
        try:
            parsed = None if value == "?" and not any(_is_same(each, value) for each in known) else parse(value)
        except ValueError as error:
            raise ValueError(f"--shares {shown(text)}: {error}") from error
        if parsed in shares.setdefault(name, {}):
            raise ValueError(f"--shares gives {shown(column)} = {shown(value)} twice: leave one of them out")
        shares[name][parsed] = fraction
    return shares or None


def _column_before(text: str, mark: str, names: Mapping[str, Any]) -> str:
    """Return the longest name of a column that the mark follows, since names may contain the mark."""
    named = (name for name in names if text.startswith(f"{name}{mark}"))
    return max(named, key=len, default=text.partition(mark)[0])


def _parser(model: RowModel, name: Any, column: str) -> tuple[list[Any], bool, Parse]:
    """Return a column's categories, if it has some, whether its values have an order, and a parser of its values."""
    codec, classes = model.codec, model.classes
    if classes is not None and not model.process.has_label_token and name == classes.label_name(codec.names or ()):
        labels = classes.labels.tolist()
        return labels, False, partial(category_of, known=labels)
    kind, order = codec.layout.type_of(name), codec.layout.order_of(name)
    if codec.encoding.encoder(name).categories is not None or kind is None:
        known = list(order or codec.labels(name).tolist())
        return known, order is not None, partial(category_of, known=known)

    def parse(text: str) -> Any:
        try:
            return _value(text.strip(), kind)
        except (ValueError, OverflowError, LookupError, pa.ArrowException) as error:
            raise ValueError(f"column {shown(column)} holds {kind}, not {shown(text)}") from error

    return [], True, parse


def _condition(text: str, known: list[Any], has_order: bool, parse: Parse) -> Any:
    if any(_is_same(each, text) for each in known):
        return parse(text)
    if text in ("?", "!?"):
        return missing if text == "?" else present
    if has_order and ".." in text:
        low, _, high = text.partition("..")
        return between(parse(low) if low.strip() else None, parse(high) if high.strip() else None)
    if "|" in text:
        return one_of(*(None if part == "?" else parse(part) for part in text.split("|")))
    return parse(text)


def _is_same(category: Any, text: str) -> bool:
    forms = [str(category), *([f"{category:.16g}"] if isinstance(category, float) else [])]
    return text.strip().lower() in [form.strip().lower() for form in forms]


def category_of(text: str, known: list[Any]) -> Any:
    """Returns the category that a text names; the text itself if the category is unknown or ambiguous."""
    exact = [each for each in known if str(each) == text]
    similar = [each for each in known if _is_same(each, text)]
    return exact[0] if exact else similar[0] if len(similar) == 1 else text


def _value(text: str, kind: "pa.DataType") -> Any:
    """Parse a boolean, number, date, time or duration; times without an offset are in the column's time zone."""
    if kind_of(kind) == "boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind_of(kind) != "date":
        return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)
    return moment_of(text, kind)


def reward_of(text: str) -> Callable[[Any], Any]:
    """Runs a Python file, and returns one of its functions, given as FILE.py:NAME.

    The file can import modules from its folder. Raises a ValueError if there is no such file or function, or if the
    file cannot be run.
    """
    file, _, name = text.rpartition(":")
    if not file or not name.isidentifier():
        raise ValueError(f"--reward takes FILE.py:NAME, not {shown(text)}")
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"{file}: no such file: --reward takes FILE.py:NAME")
    sys.path.insert(0, str(path.resolve().parent))
    try:
        # Not imported: Ray would then pass its name to tasks, which cannot import it, and not the function.
        found = runpy.run_path(file)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{file}: cannot be run: {_line_of(error)}") from error
    function = found.get(name)
    if not callable(function):
        functions = [key for key, value in found.items() if callable(value) and not key.startswith("_")]
        raise ValueError(f"{file}: has no function {shown(name)}; it has {listed(functions) or 'none'}")
    return function


@contextmanager
def explained(text: str | None) -> Iterator[None]:
    """Turns errors of the function of `reward_of` into a ValueError of one line that names it."""
    file = (text or "").rpartition(":")[0]
    try:
        yield
    except Exception as error:
        if not any(frame.filename == file for frame in extract_tb(error.__traceback__)):
            raise
        raise ValueError(f"the reward {text} failed: {_line_of(error)} (--debug shows where)") from error


def _line_of(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
