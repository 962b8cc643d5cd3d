"""Conclusions of a section's tests, in sentences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pointillist.study.agreement import LIMIT, Comparison, agreements, comparisons
from pointillist.study.page.words import count, listing, on_sets, settings
from pointillist.study.quantities import QUANTITIES
from pointillist.study.result_tables import UNRANKED, value_text
from pointillist.study.results import KL_LIMIT, Results, Row
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

    Args:
        results: The study.
        section: One of its sections.

    Returns:
        Statements, the main one first.
    """
    rows = [row for row in results.rows(section) if present(row)]
    missing = list(_missing(results, section))
    if not rows:
        return [_nothing(results, section), *missing]
    primary, *others = (q.name for q in QUANTITIES[section.kind].values())
    main = [row for row in rows if row.metric == primary]
    by_metric = {metric: [row for row in rows if row.metric == metric] for metric in others}
    metrics = tuple(_of_metric(section, of) for of in by_metric.values() if of)
    # Densities may be finite where rows are not.
    of_main = (
        [
            _lead(section, main),
            Statement(f"{main[0].title} by set", "", tuple(_of_set(section, row) for row in main if row.is_ranked)),
            *_floor(section, main),
        ]
        if main
        else [_nothing(results, section, primary)]
    )
    statements = [
        *of_main,
        Statement("Other metrics", "", metrics),
        *_start(results, section),
        *_reported(results, section),
        *missing,
    ]
    return [statement for statement in statements if statement.text or statement.items]


def leader(row: Row) -> int:
    """The column with the best number, which a test need not distinguish from others."""

    def badness(i: int) -> float:
        summary, floor = row.summaries[i], row.floors[i]
        assert summary is not None
        if row.better == "floor" and floor is not None:
            return abs(summary.value - floor.value)
        return -summary.value if row.better == "higher" else summary.value

    return min(present(row), key=badness)


def present(row: Row) -> list[int]:
    """The columns that have a number."""
    return [i for i, s in enumerate(row.summaries) if s is not None and np.isfinite(s.value)]


def _marked(flags: Sequence[bool]) -> list[int]:
    return [i for i, flag in enumerate(flags) if flag]


def _nothing(results: Results, section: Section, metric: str = "") -> Statement:
    rows = [row for row in results.rows(section) if metric in ("", row.metric)]
    if any(summary is not None for row in rows for summary in row.summaries):
        what = "there is nothing to compare" if not metric else f"there is no {rows[0].title}"
        return Statement("", f"Every finished run diverged, so {what}.")
    return Statement("", "No run of this section is finished yet.")


def _lead(section: Section, rows: list[Row]) -> Statement:
    metric, finished = rows[0].title, "" if _is_finished(rows) else "finished "
    if len(section.columns) == 1:
        return Statement("", f"One setting{_alone(_with_floor(rows))}.")
    if not any(row.is_ranked for row in rows):
        return Statement("", f"By {metric}, the settings are {_unranked(rows[0])}.")
    rows = _with_choice(rows)
    if not rows:
        return Statement("", "No set has two settings with a number, so there is nothing to compare.")
    sets = [row.dataset for row in rows]
    if all(_marked(row.is_best) == present(row) for row in rows):
        return Statement(
            "", f"By {metric}, no test distinguishes between the {finished}settings {on_sets(sets, sets)}."
        )
    times = np.sum([row.is_best for row in rows], axis=0)
    top, never = _marked(times == times.max()), _marked(times == 0)
    where = on_sets([row.dataset for row in rows if row.is_best[top[0]]], sets) if len(top) == 1 else None
    verb = "is" if len(top) == 1 else "are"
    if times.max() == len(rows):
        is_alone = len(top) == 1 and all(sum(row.is_best) == 1 for row in rows)
        what = f"better than every other {finished}setting" if is_alone else "among the best"
        tail = "" if is_alone or not never else f"; {settings(section, never)} on none"
        return Statement("", f"By {metric}, {settings(section, top)} {verb} {what} {on_sets(sets, sets)}{tail}.")
    where = where or f"on {times.max()} of {len(rows)} sets each"
    return Statement(
        "",
        f"Which setting is best differs between sets. By {metric}, {settings(section, top)} {verb} among the best "
        f"most often, {where}.",
    )


def _is_finished(rows: list[Row]) -> bool:
    """Whether all that is asked for has been measured."""
    return not any(s is None and asked for row in rows for s, asked in zip(row.summaries, row.is_asked, strict=True))


def _with_choice(rows: list[Row]) -> list[Row]:
    """The rows in which several columns have a number."""
    return [row for row in rows if len(present(row)) > 1]


def _alone(rows: list[Row]) -> str:
    """Says what can be said if there is nothing to compare with but the floor."""
    if not rows:
        return ", and no floor to compare it with"
    metric, sets = rows[0].title, [row.dataset for row in rows]
    reaching = [row.dataset for row in rows if row.reaches_floor[0]]
    if not reaching:
        return f": its {metric} is worse than the floor {on_sets(sets, sets)}"
    return f": no test finds its {metric} worse than the floor {on_sets(reaching, sets)}"


def _of_set(section: Section, row: Row) -> tuple[str, str]:
    first = leader(row)
    text = f"{settings(section, [first])} has {value_text(row, first)}"
    ties = [i for i in _marked(row.is_best) if i != first]
    worse = [i for i in present(row) if not row.is_best[i]]
    if ties:
        which = settings(section, ties, brief=True) if worse or len(ties) == 1 else "the others"
        text += f"; no test distinguishes {which} from it"
    if worse:
        worst = max(worse, key=lambda i: _distance(row, first, i))
        text += f"; {settings(section, [worst])} is furthest off with {value_text(row, worst)}"
    return row.dataset, text


def _distance(row: Row, i: int, j: int) -> float:
    a, b = row.summaries[i], row.summaries[j]
    assert a is not None and b is not None
    return abs(a.value - b.value)


def _floor(section: Section, rows: list[Row]) -> Iterator[Statement]:
    known = _with_floor(rows)
    if not known:
        return
    sets = [row.dataset for row in known]
    floor = f"the {known[0].title} of {_FLOORS[section.kind]}"
    reached = {row.dataset: _marked(row.reaches_floor) for row in known if any(row.reaches_floor)}
    unknown = "" if len(known) == len(rows) else " where it is known"
    if reached:
        where = f"{on_sets([*reached], sets)}{unknown}"
        who = _places(section, reached, brief=True)
        text = f"No test finds some setting worse than {floor} {where}: {who}."
    else:
        text = f"No setting reaches {floor} on any set{unknown}."
    yield Statement("Floor", text + _short_of(section, known))


def _with_floor(rows: list[Row]) -> list[Row]:
    """The rows in which some cell can be compared with its floor."""
    return [row for row in rows if any(row.excess(i) is not None for i in present(row))]


def _short_of(section: Section, rows: list[Row]) -> str:
    """Says which column comes nearest where none reaches the floor."""
    parts = []
    for row in rows:
        apart = {i: e for i in present(row) if (e := row.excess(i)) is not None}
        if not any(row.reaches_floor):
            i = min(apart, key=apart.__getitem__)
            parts.append(f"{settings(section, [i])} on {row.dataset} ({apart[i]:.1f})")
    return f" Nearest, in standard errors: {listing(parts)}." if parts else ""


def _of_metric(section: Section, rows: list[Row]) -> tuple[str, str]:
    known = _with_floor(rows)
    reached = [row.dataset for row in known if any(row.reaches_floor)]
    unknown = "" if len(known) == len(rows) else " where it is known"
    floor = f"; floor reached {on_sets(reached, [row.dataset for row in known])}{unknown}" if known else ""
    return rows[0].title, f"{_ranking(section, rows)}{floor}{_sides(section, rows)}"


def _ranking(section: Section, rows: list[Row]) -> str:
    if not any(row.is_ranked for row in rows):
        return _unranked(rows[0])
    every = rows
    rows = _with_choice(rows)
    if len(section.columns) == 1 or not rows:
        return listing([f"{value_text(row, i)} on {row.dataset}" for row in every for i in present(row)])
    sets = [row.dataset for row in rows]
    if all(_marked(row.is_best) == present(row) for row in rows):
        return f"no test distinguishes between the settings {on_sets(sets, sets)}"
    times = np.sum([row.is_best for row in rows], axis=0)
    top = _marked(times == times.max())
    if times.max() == len(rows):
        return f"{settings(section, top, brief=True)} among the best {on_sets(sets, sets)}"
    return f"{settings(section, top, brief=True)} among the best on {times.max()} of {len(rows)} sets"


def _unranked(row: Row) -> str:
    reasons = {"nll": "the settings' densities have different noise", **UNRANKED}
    return f"not ranked, because {reasons.get(row.metric, 'the floor of some is not known')}"


def _sides(section: Section, rows: list[Row]) -> str:
    """Says where a quantity whose best value is the data's own lies above or below it."""
    if rows[0].better != "floor":
        return ""
    text = ""
    for side, sign in (("above", 1), ("below", -1)):
        off = [
            (sign * (summary.value - floor.value), i, row)
            for row in rows
            for i, (summary, floor) in enumerate(zip(row.summaries, row.floors, strict=True))
            if summary is not None and floor is not None and not row.reaches_floor[i]
            if sign * (summary.value - floor.value) > 0
        ]
        if off:
            _, i, row = max(off, key=lambda entry: entry[0])
            floor = row.floors[i]
            assert floor is not None
            text += (
                f"; {side} the floor {_where(section, [j for _, j, _ in off], len(rows))}, most so "
                f"{settings(section, [i])} on {row.dataset} ({value_text(row, i)} against {floor.value:.3g})"
            )
    return text


def _where(section: Section, cells: list[int], n_sets: int) -> str:
    """Lists cells by their columns: "with w = 2 on 1 and w = 4 on 5 of 5 sets"."""
    columns = sorted(set(cells))
    if len(columns) > 4:
        return f"in {count(len(cells), 'cell')}"
    if n_sets == 1:
        return f"with {settings(section, columns)}"
    return f"with {listing([f'{settings(section, [i])} on {cells.count(i)}' for i in columns])} of {n_sets} sets"


def _start(results: Results, section: Section) -> Iterator[Statement]:
    if section.kind == "classifier":
        return
    worst = (0.0, 0, "")
    off: dict[tuple[str, ...], list[int]] = {}
    for i, column in enumerate(section.columns):
        names = [name for name in section.datasets if results.prior_is_off(name, column.settings)]
        if names:
            off.setdefault(tuple(map(short_name, names)), []).append(i)
            worst = max(worst, *((results.prior_kl(name, column.settings), i, name) for name in names))
    if not off:
        yield Statement(
            "Start", f"With every setting, the sampler's start N(0, I) is off by at most {KL_LIMIT:g} nats per column."
        )
        return
    sets = [short_name(name) for name in section.datasets]
    where = listing([f"{settings(section, columns)} {on_sets(names, sets)}" for names, columns in off.items()])
    kl, i, name = worst
    is_alike = len({results.prior_kl(name, column.settings) for column in section.columns}) == 1
    place = short_name(name) if is_alike else f"{settings(section, [i])}, {short_name(name)}"
    yield Statement(
        "Start",
        f"The sampler starts where some of the data is left in x_T with {where}: N(0, I) is off by up to {kl:.3g} nats "
        f"({place}), by a bound. Such numbers show how much is left too.",
    )


def _reported(results: Results, section: Section) -> Iterator[Statement]:
    compared = comparisons(results, section)
    if not compared:
        return
    parts = [f"{each.agreeing} of {count(each.compared, 'cell')} by {each.metric}" for each in agreements(compared)]
    apart = tuple(
        (f"{each.reported.dataset}, {each.reported.column}", f"{each.metric}: {_apart(each)}")
        for each in compared
        if not each.agrees
    )
    if results.covers_training:
        errors = "an error that includes training and the drawing of rows"
    else:
        errors = "an error of the drawing of rows alone, as so few seeds do not show that of training"
    yield Statement(
        "Reported",
        f"Within {LIMIT:g} standard errors of a number reported elsewhere: {listing(parts)}. The reported number "
        f"counts as one more run, with {errors}.{' The others, with their z-scores:' if apart else ''}",
        apart,
    )


def _apart(each: Comparison) -> str:
    reported = each.reported
    if not np.isfinite(each.z):
        return f"diverged, reported {reported.value:.{reported.decimals}f}"
    return f"{each.measured.value:.3g} against {reported.value:.{reported.decimals}f} (z = {each.z:+.1f})"


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
        yield Statement("Diverged", f"Without numbers, because a model diverged: {_places(section, diverged)}.")
    if lacking:
        yield Statement(
            "Not finished",
            f"{count(n_missing, 'run')} of this section: {_places(section, lacking)}. They are not included here.",
        )


def _places(section: Section, places: dict[str, list[int]], *, brief: bool = False) -> str:
    """Lists cells by set, as settings that sets share."""
    by_settings: dict[str, list[str]] = {}
    for name, chosen in places.items():
        by_settings.setdefault(settings(section, sorted(chosen), brief=brief), []).append(name)
    return "; ".join(f"{text} on {listing(names)}" for text, names in by_settings.items())
