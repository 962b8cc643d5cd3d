"""A study's spec: sections of settings, and what is checked of them.

A spec that a store kept is not trusted: it goes through the same checks as a file's (`spec_files`).
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from pointillist.files.formats import READABLE
from pointillist.models.parameters import shown
from pointillist.study.reference import ReferenceValue
from pointillist.study.settings import CHECKS, SEEDS, TEXT, Settings

MAX_SETTINGS = 10_000
"""Most settings of a study, over all sections."""

MAX_CELLS = 200_000
"""Most cells of a study, over all sections: data sets times settings times seeds."""

MAX_SETS = 1_000
"""Most data sets of a study, counted in each section: figures have panels for each."""

MAX_NAME = 200
"""Most bytes that a section and a data set may add to the name of a figure's file, which has at most 255."""


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
            its data sets, or of its files, would have the same name.
    """

    name: str
    title: str
    seeds: int
    sections: tuple[Section, ...]

    def __post_init__(self) -> None:
        cells = self.seeds * sum(len(section.datasets) * len(section.columns) for section in self.sections)
        if cells > MAX_CELLS:
            raise SpecError(f"{self.name}: sets x settings x seeds make {cells:,} cells, more than {MAX_CELLS:,}")
        for what, field, most in (("settings", "columns", MAX_SETTINGS), ("data sets", "datasets", MAX_SETS)):
            n = sum(len(getattr(section, field)) for section in self.sections)
            if n > most:
                raise SpecError(f"{self.name}: its sections have {n:,} {what}, more than {most:,}")
        _check_set_names(self)
        _check_file_names(self)

    def only(self, names: Iterable[str]) -> "Spec":
        """The study with the named sections alone."""
        known = [section.name for section in self.sections]
        for name in names:
            if name not in known:
                raise SpecError(f"{self.name}: there is no section {name!r}; its sections are {', '.join(known)}")
        return replace(self, sections=tuple(s for s in self.sections if s.name in set(names)))

    def with_epochs(self, epochs: int) -> "Spec":
        """The study with another number of epochs everywhere.

        Raises:
            SpecError: If columns differ in their epochs.
        """
        epochs = _checked("--epochs", epochs, CHECKS["epochs"])

        def changed(section: Section) -> Section:
            columns = tuple(replace(c, settings=replace(c.settings, epochs=epochs)) for c in section.columns)
            if "epochs" in section.varied or len({c.settings for c in columns}) < len(columns):
                raise SpecError(f"{self.name}: --epochs = {epochs}: epochs is what section {section.name} varies")
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
        _checked("section", name, section_name),
        _checked("title", title, TEXT),
        tuple(_checked("datasets", each, dataset_name) for each in _items("datasets", datasets)),
        tuple(_checked("varied", key, _setting) for key in _items("varied", varied, least=0)),
        tuple(map(_column_from, _items("columns", columns))),
        tuple(ReferenceValue(*_values_of(ReferenceValue, each)) for each in _items("reference", reference, least=0)),
        _checked("note", note, TEXT),
    )
    check_names(section.name, section.datasets)
    check_kinds([column.settings for column in section.columns])
    return section


def _column_from(content: Any) -> Column:
    head, values = _values_of(Column, content)
    _values_of(Settings, values)
    given = {key: value for key, value in values.items() if value not in _FORGOTTEN or _is_valid(key, value)}
    settings = Settings(**{key: _checked(key, value, CHECKS[key]) for key, value in given.items()})
    # What the settings forget is empty, and nothing else is.
    for key, value in asdict(settings).items():
        if value != (tuple(values[key]) if isinstance(values[key], list) else values[key]):
            raise SpecError(f"{key} = {shown(values[key])}: does not go with the other settings")
    return Column(_checked("column", head, column_label), settings)


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


def section_name(value: Any) -> str:
    """Checks a section's name, which names files."""
    if not isinstance(value, str) or not re.fullmatch(r"[\w-]{1,100}", value):
        raise ValueError("at most 100 letters, digits, - and _, because it names files")
    return value


def column_label(value: Any) -> str:
    """Checks a column's heading: brackets and dollars have a meaning on terminals and in figures."""
    if not TEXT(value).isprintable() or not re.fullmatch(r"[^|\[\]$]+", value):
        raise ValueError("a text without | [ ] $ and line breaks, because it heads a column")
    return value


def dataset_name(value: Any) -> str:
    """Checks a data set: a point set, or a file by its absolute path."""
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


def check_names(section: str, datasets: Sequence[str]) -> None:
    """Checks that figures of a section's data sets can have files of their own."""
    names = [short_name(name) for name in datasets]
    _check_distinct("data sets", names)
    longest = max(names, key=len)
    if len(f"{section}{longest}".encode()) > MAX_NAME:
        raise ValueError(f"the section's name and that of {shown(longest)} are too long to name a file together")


def _check_set_names(spec: Spec) -> None:
    """Checks that the page, which has the sets of all sections, can tell them apart by their short names."""
    first: dict[str, str] = {}
    for name in dict.fromkeys(each for section in spec.sections for each in section.datasets):
        other = first.setdefault(_folded(short_name(name)), name)
        if other != name:
            one, two = shown(other), shown(name)
            raise SpecError(f"{spec.name}: the data sets {one} and {two} have the same name: rename one")


def _folded(name: str) -> str:
    """A name as file systems see it that ignore case, and how an accent is written."""
    return unicodedata.normalize("NFC", name).casefold()


def _check_file_names(spec: Spec) -> None:
    names: list[tuple[str, ...]] = [(section.name,) for section in spec.sections]
    names += [(section.name, short_name(each)) for section in spec.sections for each in section.datasets]
    first: dict[tuple[int, str], tuple[str, ...]] = {}
    for parts in names:
        name = _folded("_".join(parts))
        other = first.setdefault((len(parts), name), parts)
        if other is not parts:
            one, two = (", ".join(map(shown, each)) for each in (other, parts))
            raise SpecError(f"{spec.name}: files of {one} and of {two} would have the same name: rename one")


def _check_distinct(what: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise ValueError(f"two of the {what} have the same name: rename one")


def check_kinds(settings: Iterable[Settings]) -> None:
    """Checks that a section's settings are of one kind."""
    if len({each.kind for each in settings}) > 1:
        raise ValueError("plain rows, rows of classes and classifiers need sections of their own")


def _checked(name: str, value: Any, check: Callable[[Any], Any]) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise SpecError(f"{name} = {shown(value)}: must be {error}") from error
