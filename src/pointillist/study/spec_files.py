"""Reads a study's spec from a TOML file; every mistake gives one line that names the file and the key."""

import csv
import difflib
import io
import math
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

from pointillist.atomic_files import check_regular, naming
from pointillist.datasets.pointsets import POINTSETS
from pointillist.files.formats import READABLE
from pointillist.foreign_text import is_numeral, printable
from pointillist.models.parameters import shown
from pointillist.study.quantities import QUANTITIES
from pointillist.study.settings import CHECKS, SEEDS, Check, Settings, label, short_text
from pointillist.study.spec import (
    MAX_NAME,
    MAX_SETTINGS,
    Column,
    ReferenceValue,
    Section,
    Spec,
    SpecError,
    column_label,
    section_name,
    short_name,
)

Keys = tuple[str, ...]
"""Keys of nested tables, from the outermost one."""

BUILT_IN = ("report", "recipes")

MAX_FILE = 2**20
"""Most bytes of a spec, and of a file of reported numbers."""

METRIC_NAMES = {"EMD": "emd", "NLL": "report_nll"}
"""Reports' names of metrics; the names used here are understood too."""

_TOP_KEYS = ("title", "seeds", "datasets", "sections", *CHECKS)
_SECTION_KEYS = ("title", "note", "datasets", "reference", "variants", *CHECKS)


def load_spec(name_or_path: str) -> Spec:
    """Reads a built-in spec by name, or a TOML file; raises a SpecError or an OSError of one line."""
    if name_or_path in BUILT_IN:
        path = Path(str(files("pointillist.study").joinpath("specs", f"{name_or_path}.toml")))
    else:
        path = Path(name_or_path)
        if not path.exists():
            raise SpecError(f"{path}: there is no such file, and the built-in specs are {', '.join(BUILT_IN)}")
    return parse_spec(_read_text(path).replace("\r\n", "\n"), path)


def parse_spec(text: str, path: Path) -> Spec:
    """Parses a spec's text; `path` names it in errors, and files in it are relative to the path's folder."""
    try:
        content = tomllib.loads(text)
    except (RecursionError, ValueError) as error:
        reason = "its lists or tables are nested too deeply" if isinstance(error, RecursionError) else error
        raise SpecError(f"{path}: {reason}") from error
    return _Reader(path).spec(content)


class _Reader:
    """Makes a spec from a file's content; `keys` lead to the table in which a key is, for errors."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._n_settings = 0

    def spec(self, content: dict[str, Any]) -> Spec:
        self._check_keys(content, _TOP_KEYS, ())
        name = self._path.stem
        title = self._value("title", content.get("title", name), short_text, ())
        seeds = self._value("seeds", content.get("seeds", 1), SEEDS, ())
        tables = content.pop("sections", None)
        if tables is None:
            return Spec(name, title, seeds, (self._section(name, {}, content, ()),))
        if not isinstance(tables, dict) or not tables:
            raise self._error("sections", "must be tables such as [sections.timesteps]", ())
        sections = tuple(self._section(key, content, table, ("sections", key)) for key, table in tables.items())
        return Spec(name, title, seeds, sections)

    def _section(self, name: str, defaults: dict[str, Any], table: Any, keys: Keys) -> Section:
        if not isinstance(table, dict):
            raise self._error(name, "must be a table of settings", ("sections",))
        self._value(name, name, section_name, keys[:-1])
        if keys:
            self._check_keys(table, _SECTION_KEYS, keys)
        merged = {**defaults, **table}
        title = self._value("title", table.get("title", name), short_text, keys)
        note = self._value("note", table.get("note", ""), short_text, keys)
        axes = self._axes(merged, table, keys)
        varied = tuple(key for key, values in axes.items() if len(values) > 1)
        if "variants" in table:
            if varied:
                raise self._error(varied[0], "is a list of values, which a section of variants cannot have", keys)
            if "reference" in table:
                raise self._error("reference", "is for settings that vary, and a section of variants has none", keys)
            columns = self._variants(table["variants"], axes, (*keys, "variants"))
        else:
            columns = self._crossed(axes, varied, keys)
        if "datasets" not in merged:
            raise self._error("datasets", f"is missing: name point sets ({', '.join(POINTSETS)}) or files", keys)
        datasets = self._datasets(merged["datasets"], keys if "datasets" in table else ())
        with self._naming(next((key for key in ("variants", "classifier") if key in table), "method"), keys):
            section = Section(name, title, datasets, varied, columns, note=note)
        if "reference" not in table:
            return section
        reference = self._value("reference", table["reference"], short_text, keys)
        with self._naming("reference", keys):
            return with_reference(section, self._path.parent / reference)

    def _axes(self, merged: dict[str, Any], table: dict[str, Any], keys: Keys) -> dict[str, list[Any]]:
        """Checks and lists the values of every setting in the tables."""
        axes: dict[str, list[Any]] = {}
        for key in (key for key in CHECKS if key in merged):
            value, where = merged[key], keys if key in table else ()
            is_pair = key == "beta_range" and isinstance(value, list) and not any(isinstance(v, list) for v in value)
            values = value if isinstance(value, list) and not is_pair else [value]
            if not values:
                raise self._error(key, "is an empty list; leave the key out or give it a value", where)
            axes[key] = [self._value(key, value, CHECKS[key], where) for value in values]
        return axes

    def _crossed(self, axes: dict[str, list[Any]], varied: tuple[str, ...], keys: Keys) -> tuple[Column, ...]:
        """Makes a column for each combination of values; equal settings (cosine with two beta ranges) are one."""
        self._n_settings += math.prod(map(len, axes.values()))
        if self._n_settings > MAX_SETTINGS:
            key = varied[-1] if varied else "sections"
            raise self._error(key, f"the lists make more than {MAX_SETTINGS:,} settings", keys if varied else ())
        columns: dict[Settings, Column] = {}
        for combination in product(*axes.values()):
            settings = _settings(dict(zip(axes, combination, strict=True)))
            head = ", ".join(label(key, getattr(settings, key)) for key in varied) or settings.schedule
            columns.setdefault(settings, Column(head, settings))
        for key in varied:
            if len({getattr(settings, key) for settings in columns}) == 1:
                raise self._error(key, "is a list, but has no effect with the other settings", keys)
        return tuple(columns.values())

    def _variants(self, tables: Any, axes: dict[str, list[Any]], keys: Keys) -> tuple[Column, ...]:
        """Makes a column for each table: the section's settings, overridden by the table's."""
        if not isinstance(tables, dict) or not tables or not all(isinstance(table, dict) for table in tables.values()):
            message = "must be tables of settings, such as [sections.NAME.variants.plain]"
            raise self._error("variants", message, keys[:-1])
        columns: dict[Settings, Column] = {}
        for name, table in tables.items():
            where = (*keys, name)
            self._check_keys(table, tuple(CHECKS), where)
            values = {key: self._value(key, value, CHECKS[key], where) for key, value in table.items()}
            self._value(name, name, column_label, keys)
            settings = _settings({key: value for key, (value,) in axes.items()} | values)
            if settings in columns:
                raise self._error(name, f"has the same settings as {columns[settings].label!r}", keys)
            columns[settings] = Column(name, settings)
        return tuple(columns.values())

    def _datasets(self, value: Any, keys: Keys) -> tuple[str, ...]:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
            raise self._error("datasets", "must be a name or a list of names", keys)
        with self._naming("datasets", keys):
            return tuple(dict.fromkeys(map(self._dataset, names)))

    def _dataset(self, name: str) -> str:
        if name in POINTSETS:
            return name
        if not name.endswith(READABLE):
            known = f"{', '.join(POINTSETS)}, or a {' or '.join(READABLE)} file"
            raise ValueError(f"unknown set {shown(name)}: choose from {known}")
        path = (self._path.parent / name).resolve()
        if not path.exists():
            raise FileNotFoundError(f"there is no file {path}")
        check_regular(path)
        return short_text(str(path))

    def _value(self, key: str, value: Any, check: Check, keys: Keys) -> Any:
        try:
            return check(value)
        except ValueError as error:
            raise self._error(key, f"{shown(value)} must be {error}", keys) from error

    @contextmanager
    def _naming(self, key: str, keys: Keys) -> Iterator[None]:
        """Names the key in the errors of a block."""
        try:
            yield
        except (OSError, ValueError) as error:
            raise self._error(key, str(error), keys) from error

    def _check_keys(self, table: dict[str, Any], known: tuple[str, ...], keys: Keys) -> None:
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise self._error(key, f"unknown key; {hint}The keys are {', '.join(known)}", keys)

    def _error(self, key: str, message: str, keys: Keys) -> SpecError:
        return SpecError(printable(f"{self._path}: {'.'.join((*keys, key))[:MAX_NAME]}: {message}"))


def _settings(values: dict[str, Any]) -> Settings:
    """Makes settings from the keys in the spec, and what follows from them."""
    if "classifier" in values or "guidance" in values:
        values = {"method": "guidance", **values}
    return Settings(**values)


def _read_text(path: Path) -> str:
    check_regular(path)
    with naming(path), path.open("rb") as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise SpecError(f"{path}: is larger than {MAX_FILE >> 20} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: is not a UTF-8 text file") from error


def with_reference(section: Section, path: Path) -> Section:
    """Adds the numbers of a CSV file with the columns dataset, metric and value, and one for each varied setting.

    Lines with settings, varied or not, that no column of the section has are left out. Errors are one line, with the
    line's number in the file.
    """
    reader = csv.DictReader(io.StringIO(_read_text(path), newline=""))
    found: dict[tuple[str, str, str], ReferenceValue] = {}
    try:
        head = reader.fieldnames or ()
        if missing := {"dataset", "metric", "value", *section.varied} - {*head}:
            raise ValueError(f"{path}: has no column {', '.join(sorted(missing))}")
        keys = [key for key in CHECKS if key in head]
        for line in reader:
            where = f"{path}, line {reader.line_num}"
            if any(line[name] is None for name in ("dataset", "metric", "value", *keys)):
                raise ValueError(f"{where}: has too few values")
            # An empty cell says nothing, except of a varied setting.
            labels = _labels(section, {key: line[key] for key in keys if key in section.varied or line[key].strip()})
            value = _reported(line, labels[0] if labels else "", where)
            if len(labels) > 1:
                raise ValueError(
                    f"{where}: is of several settings ({', '.join(labels)}): add a column in which they differ"
                )
            if labels and found.setdefault((value.dataset, value.metric, value.column), value) is not value:
                raise ValueError(f"{where}: is a second number for {value.dataset}, {line['metric']}, {value.column}")
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from error
    if not found:
        labels = [column.label for column in section.columns]
        raise ValueError(f"{path}: no line has one of the section's settings: {', '.join(labels)}")
    metrics, sets = QUANTITIES[section.kind], [*map(short_name, section.datasets)]
    for _, metric, _ in found:
        if metric.partition(",")[0] not in metrics:
            raise ValueError(f"{path}: has no metric {shown(metric)}: metrics are {', '.join(metrics)}")
    if not any(dataset in sets for dataset, _, _ in found):
        raise ValueError(f"{path}: has no data set of the section; its data sets are {', '.join(sets)}")
    return replace(section, reference=tuple(found.values()))


def _labels(section: Section, texts: dict[str, str]) -> list[str]:
    """Lists the labels of the columns that have some settings, or in which these have no effect."""
    labels = []
    for column in section.columns:
        unused = {*column.settings.without_effect} - {*section.varied}
        known = {key: label(key, getattr(column.settings, key)) for key in texts if key not in unused}
        if all(_normal(text) == _normal(texts[key]) for key, text in known.items()):
            labels.append(column.label)
    return labels


def _reported(line: dict[str, str], column: str, where: str) -> ReferenceValue:
    number = line["value"]
    try:
        value, exponent = float(number), Decimal(number).as_tuple().exponent
    except (ValueError, ArithmeticError):
        raise ValueError(f"{where}: {number[:50]!r} is not a number") from None
    decimals = max(0, -exponent) if isinstance(exponent, int) else 0
    metric = METRIC_NAMES.get(line["metric"], line["metric"])
    try:
        return ReferenceValue(line["dataset"], metric, column, value, decimals)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _normal(text: str) -> list[list[float | str]]:
    """Normalizes a setting, so that 1e-4..0.02 and 0.0001..2e-2 are the same."""
    values = [value.split("..") for value in text.split(", ")]
    return [[float(part) if is_numeral(part) else part.strip().casefold() for part in parts] for parts in values]
