"""The page's names of sections and their columns."""

from pointillist.diffusion.solvers import SAMPLERS
from pointillist.study.figures.panels import column_title
from pointillist.study.grid import Cell
from pointillist.study.settings import Settings
from pointillist.study.spec import Column, Section


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
