"""Numbers reported elsewhere, which tables print beside the measured ones."""

import csv
import io
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from pointillist.atomic_files import check_regular, naming
from pointillist.models.parameters import shown
from pointillist.study.quantities import QUANTITIES
from pointillist.study.settings import CHECKS, label
from pointillist.study.spec import ReferenceValue, Section, short_name

METRIC_NAMES = {"EMD": "emd", "NLL": "report_nll"}
"""Reports' names of metrics; the names used here are understood too."""

SETTING_NAMES = {"guidance": "guidance_scale"}
"""Reports' names of the settings that vary."""

VALUE_NAMES = {"knn_100_of_20000_samples": "knn_100"}
"""Reports' names of values of settings."""

MAX_FILE = 2**20
"""Most bytes of a spec, and of a file of reported numbers."""


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


def with_reference(section: Section, path: Path) -> Section:
    """Adds the numbers of a CSV file with the columns dataset, metric and value, and one for each varied setting.

    Lines with settings, varied or not, that no column of the section has are left out.

    Raises:
        ValueError: If something in the file cannot be used, or none of it; the message is one line, with the line's
            number in the file.
        OSError: If it cannot be read.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    found: dict[tuple[str, str, str], ReferenceValue] = {}
    try:
        names = _columns_of_settings(section, list(reader.fieldnames or ()), path)
        for line in reader:
            where = f"{path}, line {reader.line_num}"
            if any(line[name] is None for name in ("dataset", "metric", "value", *names.values())):
                raise ValueError(f"{where}: has too few values")
            labels = _labels(section, {key: line[name] for key, name in names.items()})
            value = _reported(line, labels[0] if labels else "", where)
            if len(labels) > 1:
                raise ValueError(f"{where}: is of several settings ({', '.join(labels)}): give what they differ in")
            if labels and found.setdefault((value.dataset, value.metric, value.column), value) is not value:
                raise ValueError(f"{where}: is a second number of {value.dataset}, {line['metric']}, {value.column}")
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from error
    _check(section, path, found)
    return replace(section, reference=tuple(found.values()))


def _columns_of_settings(section: Section, head: list[str], path: Path) -> dict[str, str]:
    """Names of the file's columns of settings, by setting."""
    names = {key: key if key in head else SETTING_NAMES.get(key, key) for key in CHECKS}
    missing = {"dataset", "metric", "value", *(names[key] for key in section.varied)} - {*head}
    if missing:
        raise ValueError(f"{path}: has no column {', '.join(sorted(missing))}")
    return {key: name for key, name in names.items() if name in head}


def _labels(section: Section, texts: dict[str, str]) -> list[str]:
    """Labels of the section's columns that have the settings of a line."""
    # An empty cell says nothing, except of a varied setting; neither does a setting without effect.
    asked = {key: text for key, text in texts.items() if key in section.varied or text.strip()}
    asked = {key: VALUE_NAMES.get(text, text) for key, text in asked.items()}
    labels = []
    for column in section.columns:
        unused = {*column.settings.without_effect} - {*section.varied}
        known = {key: label(key, getattr(column.settings, key)) for key in asked if key not in unused}
        if all(_normal(text) == _normal(asked[key]) for key, text in known.items()):
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


def _check(section: Section, path: Path, found: dict[tuple[str, str, str], ReferenceValue]) -> None:
    """Raises an error if the file has no number for the section, or a number of an unknown metric."""
    if not found:
        labels = ", ".join(column.label for column in section.columns)
        raise ValueError(f"{path}: no line is of one of the section's settings: {labels}")
    metrics, sets = QUANTITIES[section.kind], [*map(short_name, section.datasets)]
    for _, metric, _ in found:
        if metric.partition(",")[0] not in metrics:
            raise ValueError(f"{path}: has no metric {shown(metric)}: metrics are {', '.join(metrics)}")
    if not any(dataset in sets for dataset, _, _ in found):
        raise ValueError(f"{path}: has no data set of the section: these are {', '.join(sets)}")


def _normal(text: str) -> tuple[tuple[float | str, ...], ...]:
    """Normalizes a setting, so that 1e-4..0.02 and 0.0001..2e-2 are the same."""

    def number(part: str) -> float | str:
        try:
            return float(part)
        except ValueError:
            return part.strip().casefold()

    return tuple(tuple(number(part) for part in value.split("..")) for value in text.split(", "))
