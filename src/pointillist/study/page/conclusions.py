"""Conclusions of a section's tests, in sentences."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from pointillist.diffusion.registries import SAMPLERS
from pointillist.study.grid import Cell
from pointillist.study.quantities import QUANTITIES, SIZES
from pointillist.study.results import Results, Row
from pointillist.study.settings import Settings
from pointillist.study.spec import Column, Section, short_name

_MOST_NAMED = 4


def listing(texts: Sequence[str]) -> str:
    """Joins words to a list: "a, b and c"."""
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def count(n: int, noun: str) -> str:
    """Phrases a number of things: "1 cell", "2,000 cells"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def settings(section: Section, chosen: Sequence[int], *, brief: bool = False) -> str:
    """Lists some of a section's columns: "T = 100, 200 and 500", or "all settings but T = 10" if much shorter."""
    others = [i for i in range(len(section.columns)) if i not in chosen]
    if len(chosen) > _MOST_NAMED:
        if not others:
            return f"all {len(chosen)} settings"
        if brief:
            return f"{len(chosen)} of {len(section.columns)} settings"
        if len(others) <= _MOST_NAMED:
            return f"all settings but {settings(section, others)}"
    labels = [section.columns[i].label for i in chosen]
    if not section.varied:
        return listing([f"“{label}”" for label in labels])
    titles = [section.title_of(section.columns[i]) for i in chosen]
    if len(section.varied) > 1:
        return listing([f"({title})" for title in titles])
    heads = {title.removesuffix(label) for title, label in zip(titles, labels, strict=True)}
    return heads.pop() + listing(labels) if len(heads) == 1 else listing(titles)


def on_sets(names: Sequence[str], among: Sequence[str]) -> str:
    """Lists some of the sets: "on both sets", "on moons and helix", "on 3 of 5 sets"."""
    if len(names) == len(among) > 1:
        return "on both sets" if len(among) == 2 else f"on all {len(among)} sets"
    if len(names) <= 2:
        return f"on {listing(names)}" if names else "on no set"
    return f"on {len(names)} of {len(among)} sets"


def view_name(section: Section) -> str:
    """Returns the section's name in the URL's fragment and as an element's id; "live" is another part of the page."""
    return f"section-{section.name}" if section.name.startswith(("live", "section-")) else section.name


def column_head(section: Section, column: Column) -> str:
    """Returns a column's heading, which names the setting that varies if it fits on a line."""
    return section.title_of(column) if len(section.varied) == 1 else column.label


def n_steps(settings: Settings) -> int:
    """Returns the number of a sampler's steps or points; 0 in a spec means its usual one."""
    return settings.steps or SAMPLERS[settings.sampler].points or settings.timesteps


def live_name(cell: Cell) -> str:
    """Returns the name of a cell's model in the page."""
    return cell.model_key[:12]


def caution(results: Results) -> str:
    """Says that differences may be luck; empty if each setting was trained often enough to know."""
    times = {1: "once", 2: "twice"}.get(results.fewest_seeds)
    return f"Each setting was trained {times}, so small differences may be luck." if times else ""


def results_line(results: Results) -> str:
    """Says how much of a study is finished."""
    finished, missing = results.finished_and_missing()
    runs = f"all {count(finished, 'run')}" if not missing else f"{finished:,} of {finished + missing:,} runs"
    return f"{count(len(results.fingerprints), 'data set')}, {runs} finished."


def sum_up(results: Results, section: Section) -> str:
    """Sum a section up in a sentence; empty if it has no ranked number.

    With few trainings of each setting, it compares them with the baseline alone.
    """
    metric, (title, _) = next(iter(QUANTITIES[section.kind].items()))
    rows = [row for row in results.rows(section) if row.metric == metric and row.present and row.is_ranked]
    if not rows:
        return ""
    if results.covers_training:
        return f"{section.title}: by {title}, {_ranking(section, rows)}."
    known, reached, unknown = _with_baseline(rows)
    where = on_sets([*reached], known) + unknown
    return f"{section.title}: the best {title} reaches that of {_BASELINES[section.kind]} {where}." if known else ""


_BASELINES = {"rows": "data against data", "classes": "data against data", "classifier": "the true class probabilities"}


def conclude(results: Results, section: Section) -> list[str]:
    """States which settings are the best, which ones reach the baseline, and what is missing, in sentences.

    Every statement about single cells comes from the tests behind the table: Welch's t-test at level 0.05 over a
    row, by Holm's correction.
    """
    metric, (title, _) = next(iter(QUANTITIES[section.kind].items()))
    rows = [row for row in results.rows(section) if row.metric == metric]
    finished = [row for row in rows if row.present]
    if finished:
        head = f"One setting, whose {title} is" if len(section.columns) == 1 else f"By {title},"
        sentences = [f"{head} {_ranking(section, finished)}.", _baseline(section, finished)]
    elif any(cell.is_diverged for row in rows for cell in row.cells):
        sentences = [f"Every finished run diverged, so there is no {title}."]
    else:
        sentences = ["No run of this section is finished yet."]
    return [*filter(None, sentences), *_missing(results, section)]


def _ranking(section: Section, rows: list[Row]) -> str:
    """Says which settings no test distinguishes from the best, over all sets."""
    if len(section.columns) == 1:
        return listing([f"{row.entries[0].measured} on {row.dataset}" for row in rows])
    if not any(row.is_ranked for row in rows):
        _, reason = SIZES.get(rows[0].metric, (None, "some baselines are not known"))
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


def _with_baseline(rows: list[Row]) -> tuple[list[str], dict[str, list[int]], str]:
    """Lists the sets whose baseline is known, the columns that reach it by set, and a remark if other sets lack one."""
    known = [row for row in rows if any(cell.excess is not None for cell in row.cells)]
    reached = {row.dataset: [i for i, cell in enumerate(row.cells) if cell.reaches_baseline] for row in known}
    unknown = "" if len(known) == len(rows) else " where it is known"
    return [*reached], {name: columns for name, columns in reached.items() if columns}, unknown


def _baseline(section: Section, rows: list[Row]) -> str:
    known, reached, unknown = _with_baseline(rows)
    baseline = f"the {rows[0].title} of {_BASELINES[section.kind]}"
    if not known:
        return ""
    if not reached:
        return f"No setting reaches {baseline} on any set{unknown}."
    where = on_sets([*reached], known)
    return f"No test finds these settings worse than {baseline} {where}{unknown}: {_by_set(section, reached)}."


def _missing(results: Results, section: Section) -> Iterator[str]:
    finished = results.store.finished()
    diverged, missing, n_missing = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list), 0
    for name in section.datasets:
        rows = [row for row in results.rows(section) if row.name == name]
        for i, column in enumerate(section.columns):
            if any(row.cells[i].is_diverged for row in rows):
                diverged[short_name(name)].append(i)
            if n := sum(cell.key not in finished for cell in results.cells(name, column.settings)):
                missing[short_name(name)].append(i)
                n_missing += n
    if diverged:
        yield f"Without numbers, because a model diverged: {_by_set(section, diverged)}."
    if missing:
        yield f"Not finished and not included here: {count(n_missing, 'run')}, {_by_set(section, missing)}."


def _by_set(section: Section, columns: Mapping[str, list[int]]) -> str:
    """Lists columns by set, as settings that sets share."""
    by_settings: dict[str, list[str]] = {}
    for name, chosen in columns.items():
        by_settings.setdefault(settings(section, chosen, brief=True), []).append(name)
    return "; ".join(f"{text} on {listing(names)}" for text, names in by_settings.items())
