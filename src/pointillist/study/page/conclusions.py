"""Conclusions of a section's tests, in sentences."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pointillist.study.page.words import count, listing, on_sets, settings
from pointillist.study.quantities import QUANTITIES
from pointillist.study.result_tables import UNRANKED, value_text
from pointillist.study.results import Results, Row
from pointillist.study.spec import Section, short_name


@dataclass(frozen=True)
class Statement:
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
    finished = [row for row in main if present(row)]
    statements = [Statement("", _lead(section, main))]
    if finished:
        by_set = tuple(_of_set(section, row) for row in finished if row.is_ranked)
        statements += [Statement(f"{main[0].title} by set", "", by_set), Statement("Floor", _floor(section, finished))]
    metrics = ([row for row in rows if present(row)] for rows in others)
    items = tuple((of[0].title, f"{_ranking(section, of)}{_reached(of)}") for of in metrics if of)
    statements += [Statement("Other metrics", "", items), *_missing(results, section)]
    return [statement for statement in statements if statement.text or statement.items]


def leader(row: Row) -> int:
    """The column with the best number, which a test need not distinguish from others."""
    if row.better == "floor":
        return min(present(row), key=lambda i: abs(row.value(i) - getattr(row.floors[i], "value", 0.0)))
    return (max if row.better == "higher" else min)(present(row), key=row.value)


def present(row: Row) -> list[int]:
    """The columns that have a number."""
    return [i for i, s in enumerate(row.summaries) if s is not None and np.isfinite(s.value)]


def _lead(section: Section, rows: list[Row]) -> str:
    finished = [row for row in rows if present(row)]
    if not finished:
        diverged = any(summary is not None for row in rows for summary in row.summaries)
        nothing = "No run of this section is finished yet."
        return f"Every finished run diverged, so there is no {rows[0].title}." if diverged else nothing
    one = len(section.columns) == 1
    head = f"One setting, whose {rows[0].title} is" if one else f"By {rows[0].title},"
    return f"{head} {_ranking(section, finished)}."


def _ranking(section: Section, rows: list[Row]) -> str:
    """Says which settings no test distinguishes from the best, over all sets."""
    if len(section.columns) == 1:
        return listing([f"{value_text(row, 0)} on {row.dataset}" for row in rows])
    if not any(row.is_ranked for row in rows):
        reasons = {"nll": "the settings' densities have different noise", **UNRANKED}
        reason = reasons.get(rows[0].metric, "the floor of some is not known")
        return f"the settings are not ranked, because {reason}"
    rows = [row for row in rows if len(present(row)) > 1]
    if not rows:
        return "no set has two settings with a number"
    sets = [row.dataset for row in rows]
    if all(_marked(row.is_best) == present(row) for row in rows):
        return f"no test distinguishes between the settings {on_sets(sets, sets)}"
    times = np.sum([row.is_best for row in rows], axis=0)
    top, never = _marked(times == times.max()), _marked(times == 0)
    who, verb = settings(section, top, brief=True), "is" if len(top) == 1 else "are"
    if times.max() < len(rows):
        where = f"on {times.max()} of {len(rows)} sets{' each' if len(top) > 1 else ''}"
        return f"which setting is best differs between sets: {who} {verb} among the best most often, {where}"
    if len(top) == 1 and all(sum(row.is_best) == 1 for row in rows):
        return f"{who} is better than every other setting {on_sets(sets, sets)}"
    on_none = f"; {settings(section, never, brief=True)} on none" if never else ""
    return f"{who} {verb} among the best {on_sets(sets, sets)}{on_none}"


def _marked(flags: np.ndarray | tuple[bool, ...]) -> list[int]:
    return [i for i, flag in enumerate(flags) if flag]


def _of_set(section: Section, row: Row) -> tuple[str, str]:
    first = leader(row)
    text = f"{settings(section, [first])} has {value_text(row, first)}"
    ties = [i for i in _marked(row.is_best) if i != first]
    worse = [i for i in present(row) if not row.is_best[i]]
    if ties:
        which = settings(section, ties, brief=True) if worse or len(ties) == 1 else "the others"
        text += f"; no test distinguishes {which} from it"
    if worse:
        worst = max(worse, key=lambda i: abs(row.value(i) - row.value(first)))
        text += f"; {settings(section, [worst])} is furthest off with {value_text(row, worst)}"
    return row.dataset, text


def _with_floor(rows: list[Row]) -> list[Row]:
    """The rows in which some cell can be compared with its floor."""
    return [row for row in rows if any(row.excess(i) is not None for i in present(row))]


def _floor(section: Section, rows: list[Row]) -> str:
    known = _with_floor(rows)
    if not known:
        return ""
    floor = f"the {known[0].title} of {_FLOORS[section.kind]}"
    reached = {row.dataset: _marked(row.reaches_floor) for row in known if any(row.reaches_floor)}
    unknown = "" if len(known) == len(rows) else " where it is known"
    if not reached:
        return f"No setting reaches {floor} on any set{unknown}."
    where = on_sets([*reached], [row.dataset for row in known])
    return f"No test finds some setting worse than {floor} {where}{unknown}: {_by_set(section, reached)}."


def _reached(rows: list[Row]) -> str:
    known = _with_floor(rows)
    reached = [row.dataset for row in known if any(row.reaches_floor)]
    unknown = "" if len(known) == len(rows) else " where it is known"
    return f"; floor reached {on_sets(reached, [row.dataset for row in known])}{unknown}" if known else ""


def _missing(results: Results, section: Section) -> Iterator[Statement]:
    finished = results.store.finished()
    lacking: dict[str, list[int]] = {}
    diverged: dict[str, list[int]] = {}
    n_missing = 0
    for row in results.rows(section):
        for i, summary in enumerate(row.summaries):
            if summary is not None and not np.isfinite(summary.value) and i not in diverged.get(row.dataset, []):
                diverged.setdefault(row.dataset, []).append(i)
    for name in section.datasets:
        for i, column in enumerate(section.columns):
            n = sum(cell.key not in finished for cell in results.cells(name, column.settings))
            n_missing += n
            if n:
                lacking.setdefault(short_name(name), []).append(i)
    if diverged:
        yield Statement("Diverged", f"Without numbers, because a model diverged: {_by_set(section, diverged)}.")
    if lacking:
        runs = f"{count(n_missing, 'run')} of this section: {_by_set(section, lacking)}"
        yield Statement("Not finished", f"{runs}. They are not included here.")


def _by_set(section: Section, columns: dict[str, list[int]]) -> str:
    """Lists columns by set, as settings that sets share."""
    by_settings: dict[str, list[str]] = {}
    for name, chosen in columns.items():
        by_settings.setdefault(settings(section, sorted(chosen), brief=True), []).append(name)
    return "; ".join(f"{text} on {listing(names)}" for text, names in by_settings.items())
