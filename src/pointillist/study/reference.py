"""Numbers reported elsewhere, which tables print beside the measured ones."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from pointillist.atomic_files import check_regular, naming
from pointillist.study.settings import TEXT

METRIC_NAMES = {"EMD": "emd", "NLL": "report_nll"}
"""Reports' names of metrics; the names used here are understood too."""

SETTING_NAMES = {"guidance": "guidance_scale"}
"""Reports' names of the settings that vary."""

VALUE_NAMES = {"knn_100_of_20000_samples": "knn_100"}
"""Reports' names of values of settings."""

MAX_FILE = 2**20
"""Most bytes of a spec, and of a file of reported numbers."""

_LARGEST = 1e100
_MOST_DECIMALS = 30


@dataclass(frozen=True)
class ReferenceValue:
    """One reported number.

    Attributes:
        dataset: Name of the data set.
        metric: Name of the metric.
        column: Label of the table's column.
        value: The number.
        decimals: Number of decimal places that it was printed with.

    Raises:
        ValueError: If one of them has the wrong type or is too large.
    """

    dataset: str
    metric: str
    column: str
    value: float
    decimals: int

    def __post_init__(self) -> None:
        for name in (self.dataset, self.metric, self.column):
            TEXT(name)
        if type(self.value) not in (int, float) or not abs(self.value) <= _LARGEST:
            raise ValueError(f"a reported number must be one of at most {_LARGEST:g}")
        if type(self.decimals) is not int or not 0 <= self.decimals <= _MOST_DECIMALS:
            raise ValueError(f"a reported number has at most {_MOST_DECIMALS} decimal places")

    @property
    def rounding_error(self) -> float:
        """Standard deviation of the rounding error, which is uniform over one unit of the last place."""
        return float(10.0**-self.decimals / 12**0.5)


def read_text(path: Path) -> str:
    """Reads the text of a small file.

    Raises:
        ValueError: If it is larger than `MAX_FILE` or not UTF-8; the message is one line.
        OSError: If it cannot be read, or is not a regular file; the message is one line.
    """
    check_regular(path)
    with naming(path), path.open("rb") as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise ValueError(f"{path}: is larger than {MAX_FILE >> 20} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not a UTF-8 text file") from error


def read_reference(
    path: Path, varied: Sequence[str], columns: Mapping[str, Mapping[str, str]]
) -> tuple[ReferenceValue, ...]:
    """Reads a CSV file with the columns dataset, metric and value, and one column for each varied setting.

    Args:
        path: The file.
        varied: Names of the settings that differ between a table's columns.
        columns: Settings of each of the table's columns that have an effect, by its label: their texts by name. Lines
            of the file with other settings, varied or not, are left out.

    Raises:
        ValueError: If something in the file cannot be used, or none of it; the message is one line, with the line's
            number in the file.
        OSError: If it cannot be read.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    found: dict[tuple[str, str, str], ReferenceValue] = {}
    try:
        known = dict.fromkeys(key for own in columns.values() for key in own)
        head = reader.fieldnames or ()
        names = {key: key if key in head else SETTING_NAMES.get(key, key) for key in known}
        missing = {"dataset", "metric", "value", *(names[key] for key in varied)} - {*head}
        if missing:
            raise ValueError(f"{path}: has no column {', '.join(sorted(missing))}")
        given = {key: name for key, name in names.items() if name in head}
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if any(row[name] is None for name in ("dataset", "metric", "value", *given.values())):
                raise ValueError(f"{where}: has too few values")
            # A cell that is empty, or of a setting without effect, says nothing.
            named = {key: name for key, name in given.items() if key in varied or row[name].strip()}
            asked = {key: _normal(VALUE_NAMES.get(row[name], row[name])) for key, name in named.items()}
            own = [
                label
                for label, texts in columns.items()
                if all(_normal(texts[key]) == wanted for key, wanted in asked.items() if key in texts)
            ]
            value = _reported(row, own[0] if own else "", where)
            if len(own) > 1:
                raise ValueError(f"{where}: is of several settings ({', '.join(own)}): give what they differ in")
            if own and found.setdefault((value.dataset, value.metric, own[0]), value) is not value:
                raise ValueError(f"{where}: is a second number of {value.dataset}, {row['metric']}, {own[0]}")
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from error
    if not found:
        raise ValueError(f"{path}: no line is of one of the section's settings: {', '.join(columns)}")
    return tuple(found.values())


def _reported(row: dict[str, str], column: str, where: str) -> ReferenceValue:
    number = row["value"]
    try:
        value, exponent = float(number), Decimal(number).as_tuple().exponent
    except (ValueError, ArithmeticError):
        raise ValueError(f"{where}: {number[:50]!r} is not a number") from None
    decimals = max(0, -exponent) if isinstance(exponent, int) else 0
    metric = METRIC_NAMES.get(row["metric"], row["metric"])
    try:
        return ReferenceValue(row["dataset"], metric, column, value, decimals)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _normal(text: str) -> tuple[tuple[float | str, ...], ...]:
    """Normalizes a setting, so that 1e-4..0.02 and 0.0001..2e-2 are the same."""

    def number(part: str) -> float | str:
        try:
            return float(part)
        except ValueError:
            return part.strip().casefold()

    return tuple(tuple(number(part) for part in value.split("..")) for value in text.split(", "))
