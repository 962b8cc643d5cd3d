"""Reads a study's spec from a TOML file; every mistake gives one line that names its place."""

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

from pointillist.atomic_files import check_regular
from pointillist.datasets.pointsets import POINTSETS
from pointillist.files.formats import READABLE
from pointillist.foreign_text import printable
from pointillist.models.parameters import shown
from pointillist.study.quantities import QUANTITIES
from pointillist.study.reference import ReferenceValue, read_reference, read_text
from pointillist.study.settings import CHECKS, SEEDS, TEXT, Settings, is_list_of_values, label
from pointillist.study.spec import (
    MAX_NAME,
    MAX_SETTINGS,
    Column,
    Section,
    Spec,
    SpecError,
    check_kinds,
    check_names,
    column_label,
    dataset_name,
    section_name,
    short_name,
)

BUILT_IN = ("report", "recipes")
"""Names of the built-in specs."""

MAX_DOTS = 100
"""Most dots in a line: the time and memory of reading a dotted key grow with the square of their number."""

_TOP_KEYS = ("title", "seeds", "datasets", "sections", *CHECKS)
_SECTION_KEYS = ("title", "note", "datasets", "reference", "variants", *CHECKS)


def load_spec(name_or_path: str) -> Spec:
    """Reads a built-in spec by name, or a TOML file.

    Raises:
        SpecError: If something in the file is wrong.
        OSError: If it cannot be read.
    """
    if name_or_path in BUILT_IN:
        path = Path(str(files("pointillist.study").joinpath("specs", f"{name_or_path}.toml")))
    else:
        path = Path(name_or_path)
        if not path.exists():
            raise SpecError(f"{path}: there is no such file, and the built-in specs are {', '.join(BUILT_IN)}")
    try:
        text = read_text(path)
    except ValueError as error:
        raise SpecError(str(error)) from error
    return parse_spec(text.replace("\r\n", "\n"), path)


def parse_spec(text: str, path: Path) -> Spec:
    """Parses a spec's text; `path` names it in errors, and files in it are relative to the path's folder."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.count(".") > MAX_DOTS:
            raise SpecError(f"{path}, line {number}: has more than {MAX_DOTS} dots: break the line")
    try:
        content = tomllib.loads(text)
    except RecursionError as error:
        raise SpecError(f"{path}: its lists or tables are nested too deeply") from error
    except ValueError as error:
        raise SpecError(f"{path}: {error}") from error
    return _Reader(text, path).spec(content)


class _Reader:
    def __init__(self, text: str, path: Path) -> None:
        self._path = path
        self._lines = _lines_of_keys(text)
        self._n_settings = 0

    def spec(self, content: dict[str, Any]) -> Spec:
        self._check_keys(content, _TOP_KEYS, ())
        seeds = self._value("seeds", content.get("seeds", 1), SEEDS, ())
        name = self._path.stem
        tables = content.pop("sections", None)
        if tables is None:
            return Spec(name, self._title(content, (), name), seeds, (self._section(name, {}, content, ()),))
        if not isinstance(tables, dict) or not tables:
            raise self._error("sections", "must be tables such as [sections.timesteps]", ())
        title = self._title(content, (), name)
        sections = tuple(self._section(key, content, table, ("sections", key)) for key, table in tables.items())
        return Spec(name, title, seeds, sections)

    def _section(self, name: str, defaults: dict[str, Any], table: Any, place: tuple[str, ...]) -> Section:
        if not isinstance(table, dict):
            raise self._error(name, "must be a table of settings", ("sections",))
        self._value(name, name, section_name, place[:-1])
        if place:
            self._check_keys(table, _SECTION_KEYS, place)
        merged = {**defaults, **table}
        axes = self._axes(merged, table, place)
        varied = tuple(key for key, values in axes.items() if len(values) > 1)
        columns: dict[Settings, Column] = {}
        if "variants" in table:
            if varied:
                raise self._error(varied[0], "is a list of values, which a section of variants cannot have", place)
            if "reference" in table:
                raise self._error("reference", "is for settings that vary, and a section of variants has none", place)
            columns = self._variants(table["variants"], axes, (*place, "variants"))
        else:
            self._n_settings += math.prod(map(len, axes.values()))
            if self._n_settings > MAX_SETTINGS:
                key = varied[-1] if varied else "sections"
                raise self._error(key, f"the lists make more than {MAX_SETTINGS:,} settings", place if varied else ())
            for combination in product(*axes.values()):
                settings = _settings(dict(zip(axes, combination, strict=True)))
                # Settings that come to the same model (cosine with two beta ranges) are one column.
                head = ", ".join(label(key, getattr(settings, key)) for key in varied) or label(
                    "schedule", settings.schedule
                )
                columns.setdefault(settings, Column(head, settings))
        for key in varied:
            if len({getattr(column.settings, key) for column in columns.values()}) == 1:
                raise self._error(key, "is a list, and decides nothing with the other settings", place)
        what = "variants" if "variants" in table else "classifier" if "classifier" in table else "method"
        with self._telling(what, place):
            check_kinds(column.settings for column in columns.values())
        if "datasets" not in merged:
            raise self._error("datasets", f"is missing: name point sets ({', '.join(POINTSETS)}) or files", place)
        datasets = self._datasets(merged["datasets"], place if "datasets" in table else ())
        with self._telling("datasets", place if "datasets" in table else ()):
            check_names(name, datasets)
        reference: tuple[ReferenceValue, ...] = ()
        if "reference" in table:
            reference = self._reference(table["reference"], varied, tuple(columns.values()), place)
        self._check_reference(reference, next(iter(columns)).kind, datasets, place)
        title, note = self._title(table, place, name), self._value("note", table.get("note", ""), TEXT, place)
        return Section(name, title, datasets, varied, tuple(columns.values()), reference, note)

    def _axes(self, merged: dict[str, Any], table: dict[str, Any], place: tuple[str, ...]) -> dict[str, list[Any]]:
        """Checks the values of every setting in the tables."""
        axes: dict[str, list[Any]] = {}
        for key, check in CHECKS.items():
            if key in merged:
                where = place if key in table else ()
                values = merged[key] if is_list_of_values(key, merged[key]) else [merged[key]]
                if not values:
                    raise self._error(key, "is an empty list; leave the key out or give it a value", where)
                axes[key] = [self._value(key, value, check, where) for value in values]
        return axes

    def _variants(self, tables: Any, axes: dict[str, list[Any]], place: tuple[str, ...]) -> dict[Settings, Column]:
        """Makes one column for each table: the section's settings, overridden by the table's."""
        if not isinstance(tables, dict) or not tables or not all(isinstance(own, dict) for own in tables.values()):
            raise self._error(
                "variants", "must be tables of settings, such as [sections.NAME.variants.plain]", place[:-1]
            )
        columns: dict[Settings, Column] = {}
        for name, own in tables.items():
            where = (*place, name)
            self._check_keys(own, tuple(CHECKS), where)
            values = {key: self._value(key, value, CHECKS[key], where) for key, value in own.items()}
            self._value(name, name, column_label, place)
            settings = _settings({**{key: value for key, (value,) in axes.items()}, **values})
            if settings in columns:
                raise self._error(name, f"has the same settings as {columns[settings].label!r}", place)
            columns[settings] = Column(name, settings)
        return columns

    def _datasets(self, value: Any, place: tuple[str, ...]) -> tuple[str, ...]:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
            raise self._error("datasets", "must be a name or a list of names", place)
        return tuple(dict.fromkeys(self._dataset(name, place) for name in names))

    def _dataset(self, name: str, place: tuple[str, ...]) -> str:
        if name in POINTSETS:
            return name
        if not name.endswith(READABLE):
            raise self._error(
                "datasets",
                f"unknown set {shown(name)}: choose from {', '.join(POINTSETS)}, or a {' or '.join(READABLE)} file",
                place,
            )
        with self._telling("datasets", place):
            path = (self._path.parent / name).resolve()
            if not path.exists():
                raise FileNotFoundError(f"there is no file {path}")
            check_regular(path)
        return self._value("datasets", str(path), dataset_name, place)

    def _reference(
        self, value: Any, varied: tuple[str, ...], columns: tuple[Column, ...], place: tuple[str, ...]
    ) -> tuple[ReferenceValue, ...]:
        name = self._value("reference", value, TEXT, place)
        with self._telling("reference", place):
            texts = {
                each.label: {
                    key: label(key, getattr(each.settings, key))
                    for key in CHECKS
                    if key in varied or key not in each.settings.without_effect
                }
                for each in columns
            }
            return read_reference(self._path.parent / name, varied, texts)

    def _check_reference(
        self, values: tuple[ReferenceValue, ...], kind: str, datasets: tuple[str, ...], place: tuple[str, ...]
    ) -> None:
        """Raises an error if a reported number is of no metric of the section, or all are of other data sets."""
        known, names = QUANTITIES[kind], [*map(short_name, datasets)]
        for value in values:
            if value.metric.partition(",")[0] not in known:
                metrics = ", ".join(known)
                raise self._error("reference", f"has no metric {shown(value.metric)}: metrics are {metrics}", place)
        if values and not any(value.dataset in names for value in values):
            raise self._error("reference", f"has no data set of the section: these are {', '.join(names)}", place)

    def _title(self, table: dict[str, Any], place: tuple[str, ...], name: str) -> str:
        return self._value("title", table.get("title", name), TEXT, place)

    def _value(self, key: str, value: Any, check: Callable[[Any], Any], place: tuple[str, ...]) -> Any:
        try:
            return check(value)
        except ValueError as error:
            raise self._error(key, f"{shown(value)} must be {error}", place) from error

    @contextmanager
    def _telling(self, key: str, place: tuple[str, ...]) -> Iterator[None]:
        """Names the key in the errors of a block."""
        try:
            yield
        except (OSError, ValueError) as error:
            raise self._error(key, str(error), place) from error

    def _check_keys(self, table: dict[str, Any], known: tuple[str, ...], place: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise self._error(key, f"unknown key; {hint}The keys are {', '.join(known)}", place)

    def _error(self, key: str, message: str, place: tuple[str, ...]) -> SpecError:
        line = self._lines.get((*place, key)) or self._lines.get(place)
        at_line = f", line {line}" if line else ""
        name = ".".join((*place, key))
        return SpecError(printable(f"{self._path}{at_line}: {name[:MAX_NAME]}: {message}"))


def _settings(values: dict[str, Any]) -> Settings:
    """Makes settings from the keys in the spec, and what follows from them."""
    if "classifier" in values or "guidance" in values:
        values = {"method": "guidance", **values}
    return Settings(**values)


def _lines_of_keys(text: str) -> dict[tuple[str, ...], int]:
    """Finds the line numbers of tables and of the keys in them, as far as this is possible without a parser."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if head := re.match(r"\s*\[([^\[\]]+)\]\s*(#.*)?$", line):
            table = tuple(part.strip().strip("\"'") for part in head[1].split("."))
            lines.setdefault(table, number)
        elif key := re.match(r"\s*([\w.\"'-]+)\s*=", line):
            parts = (part.strip("\"'") for part in key[1].split("."))
            lines.setdefault((*table, *parts), number)
    return lines
