"""Numbers reported elsewhere, to print beside the measured ones."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

METRIC_NAMES = {"EMD": "emd", "NLL": "report_nll"}
"""What reports call our metrics; our own names are understood too."""

SETTING_NAMES = {"guidance": "guidance_scale"}
"""What reports call the settings that vary."""

VALUE_NAMES = {"knn_100_of_20000_samples": "knn_100"}
"""What reports call values of settings."""


@dataclass(frozen=True)
class ReferenceValue:
    """One reported number.

    Attributes:
        dataset: The data set's name.
        metric: Our name of the metric.
        column: Label of the table's column.
        value: The number.
        decimals: Decimal places it was printed with.
    """

    dataset: str
    metric: str
    column: str
    value: float
    decimals: int

    @property
    def rounding_error(self) -> float:
        """Standard deviation of the error that rounding made: uniform over one unit of the last place."""
        return float(10.0**-self.decimals / 12**0.5)


def read_reference(path: Path, varied: Sequence[str], columns: Sequence[str]) -> tuple[ReferenceValue, ...]:
    """Reads a CSV file with the columns dataset, metric, value and one for each varied setting.

    Args:
        path: The file.
        varied: Names of the settings that differ between a table's columns.
        columns: Labels of the table's columns. Rows of the file for settings that are not among them are left out.

    Raises:
        ValueError: In one line, with the line of the file, if something in it cannot be used.
        OSError: If it cannot be read.
    """
    by_value = {_normal(column): column for column in columns}
    values = []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        names = [key if key in (reader.fieldnames or ()) else SETTING_NAMES.get(key, key) for key in varied]
        missing = {"dataset", "metric", "value", *names} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{path}: has no column {', '.join(sorted(missing))}")
        for row in reader:
            metric = METRIC_NAMES.get(row["metric"], row["metric"])
            try:
                value = float(row["value"])
            except (TypeError, ValueError):
                raise ValueError(f"{path}, line {reader.line_num}: {row['value']!r} is not a number") from None
            column = by_value.get(_normal(", ".join(VALUE_NAMES.get(row[key], row[key]) for key in names)))
            if column is not None:
                decimals = len(row["value"].partition(".")[2])
                values.append(ReferenceValue(row["dataset"], metric, column, value, decimals))
    return tuple(values)


def _normal(text: str) -> tuple[tuple[float | str, ...], ...]:
    """So that 1e-4..0.02 and 0.0001..2e-2 are the same setting."""

    def number(part: str) -> float | str:
        try:
            return float(part)
        except ValueError:
            return part.strip()

    return tuple(tuple(number(part) for part in value.split("..")) for value in text.split(", "))
