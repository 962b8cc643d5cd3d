"""One finding of a study in plain English, for the top of its page."""

from dataclasses import dataclass

from pointillist.study.page.conclusions import leader, present
from pointillist.study.page.views import view_name
from pointillist.study.page.words import settings
from pointillist.study.quantities import QUANTITIES
from pointillist.study.result_tables import floor_text, value_text
from pointillist.study.results import Results, Row
from pointillist.study.spec import Section


@dataclass(frozen=True)
class Finding:
    """A finding.

    Attributes:
        view: The section that it is of, as the page names it.
        text: Two or three sentences.
    """

    view: str
    text: str


def finding(results: Results) -> Finding | None:
    """Compares the best and the worst setting of one set: the set in which a test distinguishes most from the best.

    It is of the first section of generated rows with two finished settings or more; None without such a section.
    """
    for section in results.spec.sections:
        if section.kind == "classifier" or len(section.columns) < 2:
            continue
        primary = next(iter(QUANTITIES[section.kind]))
        rows = [
            row for row in results.rows(section) if row.metric == primary and row.is_ranked and len(present(row)) > 1
        ]
        if rows:
            # Of several sets the first: they are in the order of the spec.
            row = max(rows, key=lambda row: len(present(row)) - sum(row.is_best))
            return Finding(view_name(section), _text(section, row))
    return None


def _text(section: Section, row: Row) -> str:
    first = leader(row)
    worse = [i for i in present(row) if not row.is_best[i]]
    ties = [i for i in present(row) if row.is_best[i]]
    if not worse:
        head = f"On {row.dataset}, no test distinguishes between the settings: the best has {_distance(row, first)}."
    else:
        worst = max(worse, key=row.value)
        best = f"On {row.dataset}, generated rows come closest to the data with {settings(section, ties, brief=True)}"
        among = ", which no test distinguishes; the best has" if len(ties) > 1 else ":"
        head = (
            f"{best}{among} {_distance(row, first)}. With {settings(section, [worst])} it is {value_text(row, worst)}."
        )
    floor = floor_text(row, first)
    return f"{head} Between two sets of real rows it is {floor}." if floor else head


def _distance(row: Row, i: int) -> str:
    return f"a distance ({row.title}) of {value_text(row, i)}"
