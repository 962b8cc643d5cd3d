"""Reads a study's spec from TOML to sections of settings; every mistake gives one line that names its place.

A spec that a store kept is not trusted: it goes through the same checks as a file's.
"""

import difflib
import math
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

from pointillist.files import check_regular
from pointillist.foreign_text import printable
from pointillist.points import POINTSETS, READABLE
from pointillist.study.reference import ReferenceValue, read_reference, read_text
from pointillist.study.settings import CHECKS, SEEDS, TEXT, Settings, is_list_of_values, label

BUILT_IN = ("report", "recipes")
"""Names of the built-in specs."""

MAX_SETTINGS = 10_000
"""Most settings of a study, over all sections."""

MAX_CELLS = 200_000
"""Most cells of a study, over all sections: data sets times settings times seeds."""

MAX_SETS = 1_000
"""Most data sets of a study, counted in each section: figures have panels for each."""

MAX_PARTS = 32
"""Most parts of a dotted key: the time and memory of reading it grow with the square of their number."""

_MAX_NAME = 200
"""Most bytes that a section and a data set may add to the name of a figure's file, which has at most 255."""

_TOP_KEYS = ("title", "seeds", "datasets", "sections", *CHECKS)
_SECTION_KEYS = ("title", "note", "datasets", "reference", "variants", *CHECKS)


class SpecError(ValueError):
    """Error about a spec, in one line: the file, the line if it is known, the key, and the allowed values."""


@dataclass(frozen=True)
class Column:
    """One setting of a section: a column of its tables."""

    label: str
    settings: Settings


@dataclass(frozen=True)
class Section:
    """A part of a study: the same columns of settings for each of its data sets.

    Attributes:
        name: Its key in the spec.
        title: Heading, one line.
        datasets: Names of point sets, or absolute paths of files.
        varied: Names of the settings that differ between columns; empty if the columns are named variants.
        columns: The cross product of the section's lists, or its variants.
        reference: Reported numbers to print beside the measured ones.
        note: A note of its own below the section's table; empty for none.
    """

    name: str
    title: str
    datasets: tuple[str, ...]
    varied: tuple[str, ...]
    columns: tuple[Column, ...]
    reference: tuple[ReferenceValue, ...] = ()
    note: str = ""

    @property
    def kind(self) -> str:
        """Kind of measurement, the same for all its cells."""
        return self.columns[0].settings.kind


@dataclass(frozen=True)
class Spec:
    """A whole study.

    Raises:
        SpecError: If it has more than `MAX_CELLS` cells, `MAX_SETTINGS` settings or `MAX_SETS` data sets, or if two of
            its files would have the same name.
    """

    name: str
    title: str
    seeds: int
    sections: tuple[Section, ...]

    def __post_init__(self) -> None:
        cells = self.seeds * sum(len(section.datasets) * len(section.columns) for section in self.sections)
        if cells > MAX_CELLS:
            raise SpecError(f"{self.name}: sets x settings x seeds make {cells:,} cells, more than {MAX_CELLS:,}")
        settings = sum(len(section.columns) for section in self.sections)
        if settings > MAX_SETTINGS:
            raise SpecError(f"{self.name}: its sections have {settings:,} settings, more than {MAX_SETTINGS:,}")
        sets = sum(len(section.datasets) for section in self.sections)
        if sets > MAX_SETS:
            raise SpecError(f"{self.name}: its sections have {sets:,} data sets, more than {MAX_SETS:,}")
        _check_file_names(self)

    def only(self, names: Iterable[str]) -> "Spec":
        """The study with the named sections alone."""
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


def from_json(content: Any) -> Spec:
    """Rebuilds a spec from what `to_json` returned, checking it like any other input.

    Raises:
        ValueError: If no spec file could have given it.
    """
    name, title, seeds, sections = _values_of(Spec, content)
    spec = Spec(
        _checked("name", name, TEXT),
        _checked("title", title, TEXT),
        _checked("seeds", seeds, SEEDS),
        tuple(map(_section_from, _items("sections", sections))),
    )
    _check_distinct("sections", [section.name for section in spec.sections])
    return spec


def _section_from(content: Any) -> Section:
    name, title, datasets, varied, columns, reference, note = _values_of(Section, content)
    section = Section(
        _checked("section", name, _section_name),
        _checked("title", title, TEXT),
        tuple(_checked("datasets", each, _dataset_name) for each in _items("datasets", datasets)),
        tuple(_checked("varied", key, _setting) for key in _items("varied", varied, least=0)),
        tuple(map(_column_from, _items("columns", columns))),
        tuple(ReferenceValue(*_values_of(ReferenceValue, each)) for each in _items("reference", reference, least=0)),
        _checked("note", note, TEXT),
    )
    _check_names(section.name, section.datasets)
    _check_kinds([column.settings for column in section.columns])
    return section


def _column_from(content: Any) -> Column:
    head, values = _values_of(Column, content)
    _values_of(Settings, values)
    given = {key: value for key, value in values.items() if value not in _FORGOTTEN or _is_valid(key, value)}
    settings = Settings(**{key: _checked(key, value, CHECKS[key]) for key, value in given.items()})
    # What the settings forget is empty, and nothing else is.
    for key, value in asdict(settings).items():
        if value != (tuple(values[key]) if isinstance(values[key], list) else values[key]):
            raise SpecError(f"{key} = {_shown(values[key])}: does not go with the other settings")
    return Column(_checked("column", head, _column_label), settings)


_FORGOTTEN = (None, "", 0)


def _is_valid(key: str, value: Any) -> bool:
    try:
        CHECKS[key](value)
    except ValueError:
        return False
    return True


def _values_of(kind: type, content: Any) -> list[Any]:
    """The values of a dataclass's fields, in their order, from a JSON object that has exactly these."""
    names = [field.name for field in fields(kind)]
    if not isinstance(content, dict) or content.keys() != set(names):
        raise SpecError(f"a {kind.__name__.lower()} must have {', '.join(names)} and nothing else")
    return [content[name] for name in names]


def _items(name: str, content: Any, least: int = 1) -> Sequence[Any]:
    if not isinstance(content, list | tuple) or not least <= len(content) <= MAX_CELLS:
        raise SpecError(f"{name}: must be a list of {least} to {MAX_CELLS:,} entries")
    return content


def _section_name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w-]{1,100}", value):
        raise ValueError("at most 100 letters, digits, - and _, because it names files")
    return value


def _column_label(value: Any) -> str:
    """Checks a column's heading: brackets and dollars have a meaning on terminals and in figures."""
    if not TEXT(value).isprintable() or not re.fullmatch(r"[^|\[\]$]+", value):
        raise ValueError("a text without | [ ] $ and line breaks, because it heads a column")
    return value


def _dataset_name(value: Any) -> str:
    name = TEXT(value)
    is_file = Path(name).is_absolute() and name.endswith(READABLE) and "\0" not in name
    if not is_file and not re.fullmatch(r"[\w-]+", name):
        raise ValueError(f"the name of a set, or the path of a {' or '.join(READABLE)} file")
    return name


def _setting(value: Any) -> str:
    if value not in list(CHECKS):
        raise ValueError("the name of a setting")
    return str(value)


def short_name(name: str) -> str:
    """A point set's name, or a file's name without its folder and ending."""
    return Path(name).stem


def _check_names(section: str, datasets: Sequence[str]) -> None:
    names = [short_name(name) for name in datasets]
    _check_distinct("data sets", names)
    longest = max(names, key=len)
    if len(f"{section}{longest}".encode()) > _MAX_NAME:
        raise ValueError(f"the section's name and that of {_shown(longest)} are too long to name a file together")


def _check_file_names(spec: Spec) -> None:
    names: list[tuple[str, ...]] = [(section.name,) for section in spec.sections]
    names += [(section.name, short_name(each)) for section in spec.sections for each in section.datasets]
    first: dict[tuple[int, str], tuple[str, ...]] = {}
    for parts in names:
        # As file systems see it that ignore case, and how an accent is written.
        name = unicodedata.normalize("NFC", "_".join(parts)).casefold()
        other = first.setdefault((len(parts), name), parts)
        if other is not parts:
            one, two = (", ".join(map(_shown, each)) for each in (other, parts))
            raise SpecError(f"{spec.name}: files of {one} and of {two} would have the same name: rename one")


def _check_distinct(what: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise ValueError(f"two of the {what} have the same name: rename one")


def _check_kinds(settings: Iterable[Settings]) -> None:
    if len({each.kind for each in settings}) > 1:
        raise ValueError("plain rows, rows of classes and classifiers need sections of their own")


def load_spec(name_or_path: str) -> Spec:
    """Reads a built-in spec by name, or a TOML file.

    Args:
        name_or_path: One of `BUILT_IN`, or a path.

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
    _check_keys_are_short(text, path)
    try:
        content = tomllib.loads(text)
    except RecursionError as error:
        raise SpecError(f"{path}: its lists or tables are nested too deeply") from error
    except ValueError as error:
        raise SpecError(f"{path}: {error}") from error
    return _Reader(text, path).spec(content)


_TOKENS = re.compile(
    r"""
    (?P<part>
        \"{3} (?: [^"\\] | \\[\s\S] | "(?!"") )*+ "{0,5}
        | '{3} (?: [^'] | '(?!'') )*+ '{0,5}
        | " (?: [^"\\\n] | \\. )*+ "?
        | ' [^'\n]*+ '?
        | [\w-]++
    )
    | (?P<dot> \. ) | (?P<blank> [\ \t]++ ) | \# [^\n]*+ | [\s\S]
    """,
    re.VERBOSE,
)
"""Pattern for the parts of a dotted key; strings and comments match as a whole, so that dots in them do not count."""


def _check_keys_are_short(text: str, path: Path) -> None:
    dots = 0
    for token in _TOKENS.finditer(text):
        if token.lastgroup is None:
            dots = 0
        dots += token.lastgroup == "dot"
        if dots >= MAX_PARTS:
            line = 1 + text.count("\n", 0, token.start())
            raise SpecError(f"{path}, line {line}: a key has more than {MAX_PARTS} parts")


def _checked(name: str, value: Any, check: Callable[[Any], Any]) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise SpecError(f"{name} = {_shown(value)}: must be {error}") from error


def _shown(value: Any) -> str:
    """Formats a value for an error: Python's text of it, shortened."""
    try:
        text = repr(value)
    except ValueError:  # of an integer with thousands of digits
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= 100 else f"{text[:100]}…"


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
        self._value(name, name, _section_name, place[:-1])
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
        what = "variants" if "variants" in table else "classifier" if "classifier" in table else "method"
        with self._telling(what, place):
            _check_kinds(column.settings for column in columns.values())
        if "datasets" not in merged:
            raise self._error("datasets", f"is missing: name point sets ({', '.join(POINTSETS)}) or files", place)
        datasets = self._datasets(merged["datasets"], place if "datasets" in table else ())
        with self._telling("datasets", place if "datasets" in table else ()):
            _check_names(name, datasets)
        heads = [column.label for column in columns.values()]
        reference = self._reference(table["reference"], varied, heads, place) if "reference" in table else ()
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
            self._value(name, name, _column_label, place)
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
                f"unknown set {_shown(name)}: choose from {', '.join(POINTSETS)}, or a {' or '.join(READABLE)} file",
                place,
            )
        with self._telling("datasets", place):
            path = (self._path.parent / name).resolve()
            if not path.exists():
                raise FileNotFoundError(f"there is no file {path}")
            check_regular(path)
        return self._value("datasets", str(path), _dataset_name, place)

    def _reference(
        self, value: Any, varied: tuple[str, ...], heads: list[str], place: tuple[str, ...]
    ) -> tuple[ReferenceValue, ...]:
        name = self._value("reference", value, TEXT, place)
        with self._telling("reference", place):
            return read_reference(self._path.parent / name, varied, heads)

    def _title(self, table: dict[str, Any], place: tuple[str, ...], name: str) -> str:
        return self._value("title", table.get("title", name), TEXT, place)

    def _value(self, key: str, value: Any, check: Callable[[Any], Any], place: tuple[str, ...]) -> Any:
        try:
            return check(value)
        except ValueError as error:
            raise self._error(key, f"{_shown(value)} must be {error}", place) from error

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
        return SpecError(printable(f"{self._path}{at_line}: {name[:_MAX_NAME]}: {message}"))


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
