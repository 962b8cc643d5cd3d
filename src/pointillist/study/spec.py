"""A study's spec: sections of settings, with the checks of names and values."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pointillist.models.parameters import shown
from pointillist.study.settings import CHECKS, SEEDS, Check, Settings, label, short_text, symbol

MAX_SETTINGS, MAX_CELLS = 10_000, 200_000
"""Most settings of a study, and most cells (data sets times settings times seeds), over all sections."""

MAX_NAME = 200
"""Most bytes that a section and a data set may add to the name of a figure's file, which has at most 255."""


class SpecError(ValueError):
    """Error about a spec, in one line: the file, the key, and the allowed values."""


@dataclass(frozen=True)
class ReferenceValue:
    """A number reported for a data set, a metric and a column, with the number of decimal places that was printed."""

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
    def text(self) -> str:
        """The number as it was printed."""
        return f"{self.value:.{self.decimals}f}"


@dataclass(frozen=True)
class Column:
    """One setting of a section: a column of its tables."""

    label: str
    settings: Settings


@dataclass(frozen=True)
class Section:
    """A part of a study: the same settings for each data set, which is a point set or the absolute path of a file.

    The columns are the cross product of the section's lists, in which the settings `varied` differ, or named variants.
    Tables show the reported numbers with the measured ones, and the note below.
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

    @property
    def drawn(self) -> tuple[str, ...]:
        """The data sets whose generated rows are shown: none if classifiers are measured."""
        return () if self.kind == "classifier" else self.datasets

    def title_of(self, column: Column) -> str:
        """Returns a column's label with the names of the settings that vary."""
        heads = {"schedule": "", "method": "", "classifier": "", "beta_range": "beta "}
        values = [(key, getattr(column.settings, key)) for key in self.varied]
        titles = [f"{heads.get(key, f'{symbol(key)} = ')}{label(key, it)}" for key, it in values if it is not None]
        return ", ".join(titles) or column.label


@dataclass(frozen=True)
class Spec:
    """A whole study: at most `MAX_CELLS` cells and `MAX_SETTINGS` settings.

    A SpecError says if there are more, or if two of its data sets, or of its files, would have the same name.
    """

    name: str
    title: str
    seeds: int
    sections: tuple[Section, ...]

    def __post_init__(self) -> None:
        n_cells = self.seeds * sum(len(section.datasets) * len(section.columns) for section in self.sections)
        n_settings = sum(len(section.columns) for section in self.sections)
        for n, most, what in ((n_cells, MAX_CELLS, "cells"), (n_settings, MAX_SETTINGS, "settings")):
            if n > most:
                raise SpecError(f"{self.name}: its sections and seeds make {n:,} {what}, more than {most:,}")
        # The page shows the sets of all sections under their short names.
        names = {name: short_name(name) for section in self.sections for name in section.datasets}
        self._check_names("the data sets {} and {} have", [(shown(name), short) for name, short in names.items()])
        files_of = "files of {} and of {} would have"
        self._check_names(files_of, [(shown(section.name), section.name) for section in self.sections])
        pairs = [(section.name, names[name]) for section in self.sections for name in section.datasets]
        self._check_names(files_of, [(", ".join(map(shown, pair)), "_".join(pair)) for pair in pairs])

    def _check_names(self, message: str, named: Sequence[tuple[str, str]]) -> None:
        """Checks that names differ and are short; they are pairs of a text for the error and the name."""
        first: dict[str, str] = {}
        for text, name in named:
            if len(name.encode()) > MAX_NAME + 1:
                raise SpecError(f"{self.name}: {text}: too long to name a file")
            # Some file systems ignore case, and how an accent is written.
            folded = unicodedata.normalize("NFC", name).casefold()
            if folded in first:
                raise SpecError(f"{self.name}: {message.format(first[folded], text)} the same name: rename one")
            first[folded] = text

    def only(self, names: Iterable[str]) -> "Spec":
        """Returns the study with the named sections alone."""
        known = [section.name for section in self.sections]
        for name in names:
            if name not in known:
                raise SpecError(f"{self.name}: there is no section {name!r}; its sections are {', '.join(known)}")
        return replace(self, sections=tuple(s for s in self.sections if s.name in set(names)))

    def with_epochs(self, epochs: int) -> "Spec":
        """Returns the study with another number of epochs; raises a SpecError if columns differ in theirs."""
        epochs = checked("--epochs", epochs, CHECKS["epochs"])
        sections = []
        for section in self.sections:
            columns = tuple(replace(c, settings=replace(c.settings, epochs=epochs)) for c in section.columns)
            if "epochs" in section.varied or len({c.settings for c in columns}) < len(columns):
                raise SpecError(f"{self.name}: --epochs = {epochs}: epochs is what section {section.name} varies")
            sections.append(replace(section, columns=columns))
        return replace(self, sections=tuple(sections))

    def with_seeds(self, seeds: int) -> "Spec":
        """Returns the study with another number of seeds."""
        return replace(self, seeds=checked("--seeds", seeds, SEEDS))


def to_json(spec: Spec) -> dict[str, Any]:
    """Returns the spec as JSON values; `from_json` is its inverse."""
    return asdict(spec)


def from_json(content: dict[str, Any]) -> Spec:
    """Rebuilds a spec from what `to_json` returned; raises a ValueError if a setting or a section's name is invalid.

    A store may be somebody else's: settings decide how much memory is taken, and names which files are written.
    """
    return Spec(**{**content, "sections": tuple(map(_section_from, content["sections"]))})


def _section_from(content: dict[str, Any]) -> Section:
    checked("section", content["name"], section_name)
    lists = {
        "datasets": tuple(content["datasets"]),
        "varied": tuple(content["varied"]),
        "columns": tuple(Column(each["label"], _settings_from(each["settings"])) for each in content["columns"]),
        "reference": tuple(ReferenceValue(**each) for each in content["reference"]),
    }
    return Section(**{**content, **lists})


def _settings_from(content: dict[str, Any]) -> Settings:
    settings = Settings(**content)
    # Settings without effect are empty, and so is the classifier if there is none.
    unused = {*settings.without_effect, *(() if settings.classifier else ("classifier",))}
    values = {key: checked(key, getattr(settings, key), check) for key, check in CHECKS.items() if key not in unused}
    return replace(settings, **values)


def checked(name: str, value: Any, check: Check) -> Any:
    """Returns a checked value; raises a SpecError with its name and the allowed values."""
    try:
        return check(value)
    except ValueError as error:
        raise SpecError(f"{name} = {shown(value)}: must be {error}") from error


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


def short_name(name: str) -> str:
    """Returns a point set's name, or a file's name without its folder and ending."""
    return Path(name).stem
