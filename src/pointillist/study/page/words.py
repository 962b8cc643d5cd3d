"""The page's names of sections, settings and models, and phrases that list them."""

from collections.abc import Sequence

from pointillist.diffusion.solvers import SAMPLERS
from pointillist.study.figures.parts import column_title
from pointillist.study.grid import Cell
from pointillist.study.settings import Settings
from pointillist.study.spec import Column, Section

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
    if len(chosen) > _MOST_NAMED and not others:
        return f"all {len(chosen)} settings"
    if len(chosen) > _MOST_NAMED and brief:
        return f"{len(chosen)} of {len(section.columns)} settings"
    if len(chosen) > _MOST_NAMED and len(others) <= _MOST_NAMED:
        return f"all settings but {settings(section, others)}"
    if not section.varied:
        return listing([f"“{section.columns[i].label}”" for i in chosen])
    titles = [column_title(section, section.columns[i]) for i in chosen]
    if len(section.varied) > 1:
        return listing([f"({title})" for title in titles])
    labels = [section.columns[i].label for i in chosen]
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
    """The section's name in the URL's fragment and as an element's id; "live" is another part of the page."""
    return f"section-{section.name}" if section.name.startswith(("live", "section-")) else section.name


def column_head(section: Section, column: Column) -> str:
    """A column's heading, which names the setting that varies if it fits on a line."""
    return column_title(section, column) if len(section.varied) == 1 else column.label


def n_steps(settings: Settings) -> int:
    """Returns the number of a sampler's steps or points; 0 in a spec stands for its usual one."""
    return settings.steps or SAMPLERS[settings.sampler].points or settings.timesteps


def live_name(cell: Cell) -> str:
    """The name of a cell's model among those that a page holds."""
    return cell.model_key[:12]
