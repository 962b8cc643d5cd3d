"""Reading a study's spec: TOML in, sections of settings out, every mistake in one line that names its place."""

import difflib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

from pointillist.points import POINTSETS
from pointillist.points.tables import READABLE
from pointillist.study.reference import ReferenceValue, read_reference
from pointillist.study.settings import CHECKS, SEEDS, Settings, is_list_of_values, label

BUILT_IN = ("report", "recipes")
"""Names of the specs that the package brings."""

_TOP_KEYS = ("title", "seeds", "datasets", "sections", *CHECKS)
_SECTION_KEYS = ("title", "datasets", "reference", "variants", *CHECKS)


class SpecError(ValueError):
    """A mistake in a spec, in one line: the file, the line where it can be told, the key, the allowed values."""


@dataclass(frozen=True)
class Column:
    """One setting of a section: a column of its tables."""

    label: str
    settings: Settings


@dataclass(frozen=True)
class Section:
    """A part of a study: the same columns of settings for each of some data sets.

    Attributes:
        name: Its key in the spec.
        title: One line for a heading.
        datasets: Names of point sets, or absolute paths of files.
        varied: The settings that differ between columns; none where the columns are variants with names.
        columns: The cross product of the section's lists, or its variants.
        reference: Numbers to print beside the measured ones.
    """

    name: str
    title: str
    datasets: tuple[str, ...]
    varied: tuple[str, ...]
    columns: tuple[Column, ...]
    reference: tuple[ReferenceValue, ...] = ()

    @property
    def kind(self) -> str:
        """What its cells measure; all alike."""
        return self.columns[0].settings.kind


@dataclass(frozen=True)
class Spec:
    """A whole study."""

    name: str
    title: str
    seeds: int
    sections: tuple[Section, ...]

    def only(self, names: Iterable[str]) -> "Spec":
        """The study of the named sections alone."""
        known = [section.name for section in self.sections]
        for name in names:
            if name not in known:
                raise SpecError(f"{self.name}: there is no section {name!r}; its sections are {', '.join(known)}")
        return replace(self, sections=tuple(s for s in self.sections if s.name in set(names)))

    def with_epochs(self, epochs: int) -> "Spec":
        """The study with another number of epochs everywhere."""
        epochs = _checked("--epochs", epochs, CHECKS["epochs"])

        def changed(section: Section) -> Section:
            columns = tuple(replace(c, settings=replace(c.settings, epochs=epochs)) for c in section.columns)
            return replace(section, columns=columns)

        return replace(self, sections=tuple(map(changed, self.sections)))

    def with_seeds(self, seeds: int) -> "Spec":
        """The study with another number of seeds."""
        return replace(self, seeds=_checked("--seeds", seeds, SEEDS))


def to_json(spec: Spec) -> dict[str, Any]:
    """The spec as JSON values; `from_json` is its inverse."""
    return asdict(spec)


def from_json(content: dict[str, Any]) -> Spec:
    """A spec from what `to_json` gave and JSON kept."""

    def settings(values: dict[str, Any]) -> Settings:
        beta_range = values["beta_range"]
        return Settings(**{**values, "beta_range": None if beta_range is None else tuple(beta_range)})

    def section(values: dict[str, Any]) -> Section:
        return Section(
            values["name"],
            values["title"],
            tuple(values["datasets"]),
            tuple(values["varied"]),
            tuple(Column(c["label"], settings(c["settings"])) for c in values["columns"]),
            tuple(ReferenceValue(**r) for r in values["reference"]),
        )

    return Spec(content["name"], content["title"], content["seeds"], tuple(map(section, content["sections"])))


def load_spec(name_or_path: str) -> Spec:
    """Reads a built-in spec by name, or a TOML file.

    Args:
        name_or_path: One of `BUILT_IN`, or a path.

    Raises:
        SpecError: For whatever is wrong in the file.
        OSError: If it cannot be read.
    """
    if name_or_path in BUILT_IN:
        path = Path(str(files("pointillist.study").joinpath("specs", f"{name_or_path}.toml")))
    else:
        path = Path(name_or_path)
        if not path.exists():
            raise SpecError(f"{path}: there is no such file, and the built-in specs are {', '.join(BUILT_IN)}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: is not a UTF-8 text file") from error
    return parse_spec(text, path)


def parse_spec(text: str, path: Path) -> Spec:
    """Parses a spec's text; `path` names it in errors, and files in it are relative to the path's folder."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path}: {error}") from error
    return _Reader(text, path).spec(content)


def _checked(name: str, value: Any, check: Any) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise SpecError(f"{name} = {value!r}: must be {error}") from error


class _Reader:
    def __init__(self, text: str, path: Path) -> None:
        self._path = path
        self._lines = _lines_of_keys(text)

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
        if not re.fullmatch(r"[\w-]+", name):
            raise self._error(name, "a section's name, which names its files, has letters, digits, - and _", place)
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
                raise self._error("reference", "is of settings that vary, and a section of variants has none", place)
            columns = self._variants(table["variants"], axes, (*place, "variants"))
        else:
            for combination in product(*axes.values()):
                settings = _settings(dict(zip(axes, combination, strict=True)))
                # Settings that come to the same model (cosine with two beta ranges) are one column.
                head = ", ".join(label(key, getattr(settings, key)) for key in varied) or label(
                    "schedule", settings.schedule
                )
                columns.setdefault(settings, Column(head, settings))
        if len({column.settings.kind for column in columns.values()}) > 1:
            what = "variants" if "variants" in table else "classifier" if "classifier" in table else "method"
            raise self._error(what, "plain rows, rows of classes and classifiers need sections of their own", place)
        if "datasets" not in merged:
            raise self._error("datasets", f"is missing: name point sets ({', '.join(POINTSETS)}) or files", place)
        datasets = self._datasets(merged["datasets"], place if "datasets" in table else ())
        heads = [column.label for column in columns.values()]
        reference = self._reference(table["reference"], varied, heads, place) if "reference" in table else ()
        return Section(name, self._title(table, place, name), datasets, varied, tuple(columns.values()), reference)

    def _axes(self, merged: dict[str, Any], table: dict[str, Any], place: tuple[str, ...]) -> dict[str, list[Any]]:
        """The checked values of every setting that is given."""
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
        """One column for each table: the section's settings, but for those that the table gives."""
        if not isinstance(tables, dict) or not tables or not all(isinstance(own, dict) for own in tables.values()):
            raise self._error(
                "variants", "must be tables of settings, such as [sections.NAME.variants.plain]", place[:-1]
            )
        columns: dict[Settings, Column] = {}
        for name, own in tables.items():
            where = (*place, name)
            self._check_keys(own, tuple(CHECKS), where)
            values = {key: self._value(key, value, CHECKS[key], where) for key, value in own.items()}
            if not re.fullmatch(r"[^|\[\]$\x00-\x1f\x7f]+", name):
                raise self._error(name, "a variant's name heads a column: leave out | [ ] $ and line breaks", place)
            settings = _settings({**{key: value for key, (value,) in axes.items()}, **values})
            if settings in columns:
                raise self._error(name, f"has the same settings as {columns[settings].label!r}", place)
            columns[settings] = Column(name, settings)
        return columns

    def _datasets(self, value: Any, place: tuple[str, ...]) -> tuple[str, ...]:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
            raise self._error("datasets", "must be a name or a list of names", place)
        known = tuple(dict.fromkeys(self._dataset(name, place) for name in names))
        if len({Path(name).stem for name in known}) < len(known):
            raise self._error("datasets", "two of them have the same name; tables could not tell them apart", place)
        return known

    def _dataset(self, name: str, place: tuple[str, ...]) -> str:
        if name in POINTSETS:
            return name
        if not name.endswith(READABLE):
            raise self._error(
                "datasets",
                f"unknown set {name!r}: choose from {', '.join(POINTSETS)}, or a {' or '.join(READABLE)} file",
                place,
            )
        path = (self._path.parent / name).resolve()
        if not path.exists():
            raise self._error("datasets", f"there is no file {path}", place)
        return str(path)

    def _reference(
        self, value: Any, varied: tuple[str, ...], heads: list[str], place: tuple[str, ...]
    ) -> tuple[ReferenceValue, ...]:
        try:
            return read_reference(self._path.parent / str(value), varied, heads)
        except (OSError, ValueError) as error:
            raise self._error("reference", str(error), place) from error

    def _title(self, table: dict[str, Any], place: tuple[str, ...], name: str) -> str:
        title = table.get("title", name)
        if not isinstance(title, str):
            raise self._error("title", "must be a text", place)
        return title

    def _value(self, key: str, value: Any, check: Any, place: tuple[str, ...]) -> Any:
        try:
            return check(value)
        except ValueError as error:
            raise self._error(key, f"{value!r} must be {error}", place) from error

    def _check_keys(self, table: dict[str, Any], known: tuple[str, ...], place: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise self._error(key, f"unknown key; {hint}The keys are {', '.join(known)}", place)

    def _error(self, key: str, message: str, place: tuple[str, ...]) -> SpecError:
        line = self._lines.get((*place, key)) or self._lines.get(place)
        at_line = f", line {line}" if line else ""
        return SpecError(f"{self._path}{at_line}: {'.'.join((*place, key))}: {message}")


def _settings(values: dict[str, Any]) -> Settings:
    """The settings that are given, and what follows from them."""
    if "classifier" in values or "guidance" in values:
        values = {"method": "guidance", **values}
    return Settings(**values)


def _lines_of_keys(text: str) -> dict[tuple[str, ...], int]:
    """Line numbers of tables and of the keys in them, as far as they can be told without a parser."""
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
