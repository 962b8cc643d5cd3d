"""A study's spec: sections of settings, with the checks of their names and values.

A spec that was read from a store is not trusted: it passes the same checks as one from a file (`spec_files`).
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pointillist.files.formats import READABLE
from pointillist.models.parameters import shown
from pointillist.study.settings import CHECKS, SEEDS, Check, Settings, short_text

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
class ReferenceValue:
    """One number reported for a data set, a metric and a column, with as many decimal places as it was printed with."""

    dataset: str
    metric: str
    column: str
    value: float
    decimals: int

    def __post_init__(self) -> None:
        for name in (self.dataset, self.metric, self.column):
            short_text(name)
        if type(self.value) not in (int, float) or not abs(self.value) <= 1e100:
            raise ValueError("a reported number must be one of at most 1e+100")
        if type(self.decimals) is not int or not 0 <= self.decimals <= 30:
            raise ValueError("a reported number has at most 30 decimal places")

    @property
    def rounding_error(self) -> float:
        """Standard deviation of the rounding error, which is uniform over one unit of the last place."""
        return float(10.0**-self.decimals / 12**0.5)


@dataclass(frozen=True)
class Column:
    """One setting of a section: a column of its tables."""

    label: str
    settings: Settings


@dataclass(frozen=True)
class Section:
    """A part of a study: the same settings for each data set, which is a point set or the absolute path of a file.

    The columns are the cross product of the section's lists, in which the settings `varied` differ, or named variants.
    Reported numbers are printed beside the measured ones, and the note below the section's table.
    """

    name: str
    title: str
    datasets: tuple[str, ...]
    varied: tuple[str, ...]
    columns: tuple[Column, ...]
    reference: tuple[ReferenceValue, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if len({column.settings.kind for column in self.columns}) > 1:
            raise ValueError("a section holds plain rows, rows of classes or classifiers: give each a section")

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
        # The page shows the sets of all sections under their short names.
        names = {name: short_name(name) for section in self.sections for name in section.datasets}
        sets = [(shown(name), short) for name, short in names.items()]
        sections = [(shown(section.name), section.name) for section in self.sections]
        files = [
            (f"{shown(section.name)}, {shown(names[name])}", f"{section.name}_{names[name]}")
            for section in self.sections
            for name in section.datasets
        ]
        self._check_distinct("the data sets {} and {} have", sets)
        for named in (sections, files):
            self._check_distinct("files of {} and of {} would have", named)
        for text, file in files:
            if len(file.encode()) > MAX_NAME + 1:
                raise SpecError(f"{self.name}: {text}: these names are too long to name a file together")

    def _check_distinct(self, message: str, named: Sequence[tuple[str, str]]) -> None:
        """Checks that names differ; they are pairs of a text for the error and the name."""
        first: dict[str, str] = {}
        for text, name in named:
            # Some file systems ignore case, and how an accent is written.
            folded = unicodedata.normalize("NFC", name).casefold()
            if folded in first:
                raise SpecError(f"{self.name}: {message.format(first[folded], text)} the same name: rename one")
            first[folded] = text

    def only(self, names: Iterable[str]) -> "Spec":
        """The study with the named sections alone."""
        known = [section.name for section in self.sections]
        for name in names:
            if name not in known:
                raise SpecError(f"{self.name}: there is no section {name!r}; its sections are {', '.join(known)}")
        return replace(self, sections=tuple(s for s in self.sections if s.name in set(names)))

    def with_epochs(self, epochs: int) -> "Spec":
        """The study with another number of epochs everywhere; raises a SpecError if columns differ in theirs."""
        epochs = _checked("--epochs", epochs, CHECKS["epochs"])
        sections = []
        for section in self.sections:
            columns = tuple(replace(c, settings=replace(c.settings, epochs=epochs)) for c in section.columns)
            if "epochs" in section.varied or len({c.settings for c in columns}) < len(columns):
                raise SpecError(f"{self.name}: --epochs = {epochs}: epochs is what section {section.name} varies")
            sections.append(replace(section, columns=columns))
        return replace(self, sections=tuple(sections))

    def with_seeds(self, seeds: int) -> "Spec":
        """The study with another number of seeds."""
        return replace(self, seeds=_checked("--seeds", seeds, SEEDS))


def to_json(spec: Spec) -> dict[str, Any]:
    """The spec as JSON values; `from_json` is its inverse."""
    return asdict(spec)


def from_json(content: Any) -> Spec:
    """Rebuilds a spec from what `to_json` returned, checking it like any other input.

    Raises:
        ValueError: If no spec file could have given it; a TypeError or a LookupError if it is of other parts.
    """
    checked = {
        "name": _checked("name", content["name"], short_text),
        "title": _checked("title", content["title"], short_text),
        "seeds": _checked("seeds", content["seeds"], SEEDS),
        "sections": tuple(map(_section_from, content["sections"])),
    }
    spec = Spec(**(content | checked))
    # What was stored has all parts of a spec, of the same types, and no values that settings without effect drop.
    if not spec.sections or json.loads(json.dumps(asdict(spec))) != json.loads(json.dumps(content)):
        raise SpecError("its parts do not go together")
    return spec


def _section_from(content: Any) -> Section:
    labels = [_checked("column", each["label"], column_label) for each in content["columns"]]
    settings = [_settings_from(each["settings"]) for each in content["columns"]]
    checked = {
        "name": _checked("section", content["name"], section_name),
        "title": _checked("title", content["title"], short_text),
        "datasets": tuple(_checked("datasets", each, dataset_name) for each in content["datasets"]),
        "varied": tuple(content["varied"]),
        "columns": tuple(map(Column, labels, settings)),
        "reference": tuple(ReferenceValue(**each) for each in content["reference"]),
        "note": _checked("note", content["note"], short_text),
    }
    section = Section(**(content | checked))
    if not section.datasets or not section.columns or not {*section.varied} <= {*CHECKS}:
        raise SpecError(f"section {section.name} lacks data sets or settings, or varies something else")
    return section


def _settings_from(content: Any) -> Settings:
    # Settings without effect are emptied, so they need no check; neither does the classifier that is not there.
    settings = Settings(**content)
    unused = {*settings.without_effect, *(() if settings.classifier else ("classifier",))}
    effective = [key for key in CHECKS if key not in unused]
    return replace(settings, **{key: _checked(key, getattr(settings, key), CHECKS[key]) for key in effective})


def section_name(value: Any) -> str:
    """Checks a section's name, which names files."""
    if not isinstance(value, str) or not re.fullmatch(r"[\w-]{1,100}", value):
        raise ValueError("at most 100 letters, digits, - and _, because it names files")
    return value


def column_label(value: Any) -> str:
    """Checks a column's heading: brackets and dollars have a meaning on terminals and in figures."""
    if not short_text(value).isprintable() or not re.fullmatch(r"[^|\[\]$]+", value):
        raise ValueError("a text without | [ ] $ and line breaks, because it heads a column")
    return value


def dataset_name(value: Any) -> str:
    """Checks a data set: a point set, or a file by its absolute path."""
    name = short_text(value)
    is_file = Path(name).is_absolute() and name.endswith(READABLE) and "\0" not in name
    if not is_file and not re.fullmatch(r"[\w-]+", name):
        raise ValueError(f"the name of a set, or the path of a {' or '.join(READABLE)} file")
    return name


def short_name(name: str) -> str:
    """A point set's name, or a file's name without its folder and ending."""
    return Path(name).stem


def _checked(name: str, value: Any, check: Check) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise SpecError(f"{name} = {shown(value)}: must be {error}") from error
