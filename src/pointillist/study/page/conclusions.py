"""Conclusions of a section's tests, in sentences."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pointillist.study.page.words import count, listing, on_sets, settings
from pointillist.study.quantities import QUANTITIES, SIZES
from pointillist.study.results import Results, Row
from pointillist.study.spec import Section, short_name


class Statement(NamedTuple):
    """A statement about a section.

    Attributes:
        topic: Heading of one or two words; empty for the first statement.
        text: Whole sentences; empty if the items say it all.
        items: Names of single sets or metrics, and what is said about each.
    """

    topic: str
    text: str
    items: tuple[tuple[str, str], ...] = ()


_FLOORS = {"rows": "data against data", "classes": "data against data", "classifier": "the true class probabilities"}


def conclude(results: Results, section: Section) -> list[Statement]:
    """States what differs, what no test distinguishes from the best or from the floor, and what is missing.

    Every statement about single cells comes from the tests behind the table: Welch's t-test at level 0.05 over a
    row, by Holm's correction.
    """
    rows = results.rows(section)
    main, *others = ([row for row in rows if row.metric == metric] for metric in QUANTITIES[section.kind])
    finished = [row for row in main if row.present]
    statements = [Statement("", _lead(section, main))]
    if finished:
        by_set = tuple((row.dataset, _of_set(section, row)) for row in finished if row.is_ranked)
        statements += [Statement(f"{main[0].title} by set", "", by_set), Statement("Floor", _floor(section, finished))]
    metrics = ([row for row in rows if row.present] for rows in others)
    items = tuple((of[0].title, f"{_ranking(section, of)}{_reached(of)}") for of in metrics if of)
    statements += [Statement("Other metrics", "", items), *_missing(results, section)]
    return [statement for statement in statements if statement.text or statement.items]


def _lead(section: Section, rows: list[Row]) -> str:
    finished = [row for row in rows if row.present]
    if not finished:
        if any(cell.is_diverged for row in rows for cell in row.cells):
            return f"Every finished run diverged, so there is no {rows[0].title}."
        return "No run of this section is finished yet."
    one = len(section.columns) == 1
    head = f"One setting, whose {rows[0].title} is" if one else f"By {rows[0].title},"
    return f"{head} {_ranking(section, finished)}."


def _ranking(section: Section, rows: list[Row]) -> str:
    """Says which settings no test distinguishes from the best, over all sets."""
    if len(section.columns) == 1:
        return listing([f"{row.entries[0].measured} on {row.dataset}" for row in rows])
    if not any(row.is_ranked for row in rows):
        _, reason = SIZES.get(rows[0].metric, (None, "the floor of some is not known"))
        return f"the settings are not ranked, because {reason}"
    rows = [row for row in rows if len(row.present) > 1]
    if not rows:
        return "no set has two settings with a number"
    sets = [row.dataset for row in rows]
    is_best = np.array([[cell.is_best for cell in row.cells] for row in rows])
    if all(np.flatnonzero(best).tolist() == row.present for best, row in zip(is_best, rows, strict=True)):
        return f"no test distinguishes between the settings {on_sets(sets, sets)}"
    times = is_best.sum(axis=0)
    top, never = np.flatnonzero(times == times.max()).tolist(), np.flatnonzero(times == 0).tolist()
    who, verb = settings(section, top, brief=True), "is" if len(top) == 1 else "are"
    if times.max() < len(rows):
        where = f"on {times.max()} of {len(rows)} sets{' each' if len(top) > 1 else ''}"
        return f"which setting is best differs between sets: {who} {verb} among the best most often, {where}"
    if len(top) == 1 and (is_best.sum(axis=1) == 1).all():
        return f"{who} is better than every other setting {on_sets(sets, sets)}"
    on_none = f"; {settings(section, never, brief=True)} on none" if never else ""
    return f"{who} {verb} among the best {on_sets(sets, sets)}{on_none}"


def _of_set(section: Section, row: Row) -> str:
    first = row.leader
    text = f"{settings(section, [first])} has {row.entries[first].measured}"
    ties = [i for i in row.present if row.cells[i].is_best and i != first]
    worse = [i for i in row.present if not row.cells[i].is_best]
    if ties:
        which = settings(section, ties, brief=True) if worse or len(ties) == 1 else "the others"
        text += f"; no test distinguishes {which} from it"
    if worse:
        worst = max(worse, key=lambda i: abs(row.cells[i].value - row.cells[first].value))
        text += f"; {settings(section, [worst])} is furthest off with {row.entries[worst].measured}"
    return text


def _with_floor(rows: list[Row]) -> tuple[list[Row], dict[str, list[int]], str]:
    """The rows with a floor to compare with, the columns that reach it by set, and a remark if other rows lack one."""
    known = [row for row in rows if any(cell.excess is not None for cell in row.cells)]
    reached = {row.dataset: [i for i, cell in enumerate(row.cells) if cell.reaches_floor] for row in known}
    unknown = "" if len(known) == len(rows) else " where it is known"
    return known, {name: columns for name, columns in reached.items() if columns}, unknown


def _floor(section: Section, rows: list[Row]) -> str:
    known, reached, unknown = _with_floor(rows)
    if not known:
        return ""
    floor = f"the {known[0].title} of {_FLOORS[section.kind]}"
    if not reached:
        return f"No setting reaches {floor} on any set{unknown}."
    where = on_sets([*reached], [row.dataset for row in known])
    return f"No test finds some setting worse than {floor} {where}{unknown}: {_by_set(section, reached)}."


def _reached(rows: list[Row]) -> str:
    known, reached, unknown = _with_floor(rows)
    return f"; floor reached {on_sets([*reached], [row.dataset for row in known])}{unknown}" if known else ""


def _missing(results: Results, section: Section) -> Iterator[Statement]:
    finished = results.store.finished()
    diverged: dict[str, list[int]] = {}
    missing: dict[str, list[int]] = {}
    n_missing = 0
    for name in section.datasets:
        rows = [row for row in results.rows(section) if row.dataset == short_name(name)]
        for i, column in enumerate(section.columns):
            if any(row.cells[i].is_diverged for row in rows):
                diverged.setdefault(short_name(name), []).append(i)
            n = sum(cell.key not in finished for cell in results.cells(name, column.settings))
            if n:
                missing.setdefault(short_name(name), []).append(i)
                n_missing += n
    if diverged:
        yield Statement("Diverged", f"Without numbers, because a model diverged: {_by_set(section, diverged)}.")
    if missing:
        runs = f"{count(n_missing, 'run')} of this section: {_by_set(section, missing)}"
        yield Statement("Not finished", f"{runs}. They are not included here.")


def _by_set(section: Section, columns: dict[str, list[int]]) -> str:
    """Lists columns by set, as settings that sets share."""
    by_settings: dict[str, list[str]] = {}
    for name, chosen in columns.items():
        by_settings.setdefault(settings(section, chosen, brief=True), []).append(name)
    return "; ".join(f"{text} on {listing(names)}" for text, names in by_settings.items())
