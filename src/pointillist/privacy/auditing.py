"""`audit`: attacks a fitted model to measure what it reveals about single training rows, or subjects."""

import time
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import norm

from pointillist.arguments import is_integer
from pointillist.engine.devices import configure
from pointillist.evaluation.report import Reported, json_value, p_text, percent, rounded, text_table
from pointillist.foreign_text import terminal_text
from pointillist.metrics import Copies, copies
from pointillist.metrics.checks import Table as Columns
from pointillist.metrics.estimate import LEVEL, holm
from pointillist.models.row_model import RowModel
from pointillist.models.saving import is_relational, load_model
from pointillist.privacy.attacks import ATTACKS, WITHOUT_MODEL, Attack, Knowledge, attacked
from pointillist.privacy.inputs import Side, count_strangers, drawn_columns, side_of
from pointillist.privacy.subjects import drawn_subjects, source_of, subjects_of
from pointillist.relational.model import RelationalModel, load_relational

if TYPE_CHECKING:
    from rich.console import Console

MIN_ROWS = 30
"""Fewest members, and fewest non-members."""

MOST_ROWS, MOST_REFERENCE = 10_000, 5000
"""Most members, and most non-members, to distinguish by default; and most non-members set aside as reference."""

LEAST_DRAWN, MOST_DRAWN, DRAWN_PER_MEMBER = 2000, 20_000, 4

LEVEL_OF_BOUNDS = 0.05
"""Probability that any of the lower bounds of ε exceeds ε."""

N_EXPOSED = 10

POWER = 0.9
"""Probability of detecting an area of `detectable_auc`."""

FEW_STRANGERS = 0.01
"""Largest fraction of members that may differ from all training rows, as files may round cells differently."""


@dataclass(frozen=True)
class Exposed:
    """A member with one of the highest scores of the strongest attack.

    Attributes:
        row: Its index among the members, from 0; subjects of one table are in the order of their first rows.
        false_positives: Fraction of the non-members with at least its score.
    """

    row: int
    false_positives: float


@dataclass(frozen=True, eq=False, repr=False)
class Audit(Reported):
    """The result of attacks on a model; of related tables, all numbers of rows are numbers of subjects.

    Attributes:
        n_reference: Number of further non-members, with which attacks compare rows.
        n_drawn: Number of generated rows that attacks see.
        given: Numbers of members and of non-members in the two tables.
        n_strangers: Least number of members that are not training rows, by the counts in the model; 0 for subjects.
        overlap: Rows of the smaller table that equal a row of the larger one.
        exposed: The members with the highest scores of the strongest attack, the highest first.
        delta: δ of the bounds of ε.
        stated: The guarantee (ε, δ) of the model; None if its fit was not differentially private.
        source: Table or column that has the subjects, for the title; None for rows.
    """

    n_members: int
    n_non_members: int
    n_reference: int
    n_drawn: int
    given: tuple[int, int]
    n_strangers: int
    overlap: Copies
    attacks: tuple[Attack, ...]
    exposed: tuple[Exposed, ...]
    delta: float
    stated: tuple[float, float] | None
    seconds: float
    source: str | None = None

    @property
    def _unit(self) -> str:
        return "rows" if self.source is None else "subjects"

    @cached_property
    def strongest(self) -> Attack:
        """The attack with the largest area under its ROC curve."""
        return max(self.attacks, key=lambda attack: attack.auc)

    @cached_property
    def adjusted_p_values(self) -> dict[str, float]:
        """p-value of each attack, with Holm's correction for their number."""
        return holm({attack.name: attack.p_value for attack in self.attacks})

    @property
    def is_exposed(self) -> bool:
        """Whether any attack distinguishes members from non-members, at the level 0.01 over all attacks together."""
        return min(self.adjusted_p_values.values()) <= LEVEL

    @property
    def epsilon(self) -> float:
        """The largest of the attacks' lower bounds of ε, which holds at the level 95 %."""
        return max(attack.epsilon for attack in self.attacks)

    @cached_property
    def doubts(self) -> tuple[str, ...]:
        """Signs that members are not training rows, or that non-members are, in words."""
        found = []
        if self.n_strangers > FEW_STRANGERS * self.given[0]:
            found.append(
                f"at least {self.n_strangers:,} of the {self.given[0]:,} members are not training rows, by the counts "
                "in the model"
            )
        if self.overlap.p_value <= LEVEL:
            some, others = ("non-members", "members") if self.given[1] <= self.given[0] else ("members", "non-members")
            found.append(
                f"{self.overlap.count:,} of the {min(self.given):,} {some} are among the {others} "
                f"({percent(self.overlap.duplicates, 1)} of the {others} equal another)"
            )
        below = holm({attack.name: attack.p_value_below for attack in self.attacks})
        attack = min(self.attacks, key=lambda attack: below[attack.name])
        if below[attack.name] <= LEVEL:
            found.append(
                f"the model knows non-members better than members (by {attack.name}, AUC {attack.auc:.2f}), so the two "
                "may be exchanged"
            )
        return tuple(found)

    @property
    def detectable_auc(self) -> float:
        """Area under the ROC curve that the audit would have detected nine times in ten."""
        deviations = norm.isf(LEVEL / len(self.attacks)) + norm.ppf(POWER)
        return min(1.0, float(0.5 + deviations * self.strongest.auc.null_standard_error))

    @cached_property
    def verdict(self) -> str:
        """One line: whether members were distinguished from non-members, and how well or with which power."""
        known = "" if self.stated is None else f" The fit states ε = {self.stated[0]:g}."
        sizes = f"{self.n_members:,} members, {self.n_non_members:,} non-members"
        doubts = "; ".join(self.doubts)
        if not self.is_exposed and doubts:
            return f"The audit shows nothing, because its tables are not what you called them: {doubts}."
        if not self.is_exposed:
            found = f"No attack distinguishes members from non-members at the 1 % level ({sizes})"
            power = f"with this many {self._unit}, an AUC of {self.detectable_auc:.2f} is detected nine times in ten"
            return f"{found}; {power}, and a smaller one may go unnoticed.{known}"
        attack = self.strongest
        rate = attack.rates[-1].value
        found = "" if np.isnan(rate) else f" and finds {percent(rate)} of the members at 10 % false positives"
        bound = f"; ε is at least {self.epsilon:.2f}" if self.epsilon > 0 else ""
        how = f"by {attack.name}, AUC {attack.auc:.2f}{found}{bound}"
        but = f" But {doubts}." if doubts else ""
        return f"Members are distinguishable from non-members ({sizes}): {how}.{known}{but}"

    def print_on(self, console: "Console") -> None:
        """Print a table of the attacks, the most exposed rows, and the verdict."""
        rows = [
            (
                "the model's own loss" if attack.name == "loss" else attack.name,
                rounded(attack.auc),
                p_text(attack.p_value),
                *(
                    f"too few {self._unit}"
                    if np.isnan(rate.value)
                    else "{:.1f} % ({:.1f}–{:.1f})".format(*(100 * each for each in (rate.value, *rate.interval)))
                    for rate in attack.rates
                ),
                f"{attack.epsilon:.2f}",
            )
            for attack in self.attacks
        ]
        source = "" if self.source is None else f" of {self.source}"
        title = f"Members against non-members: {self.n_members:,} and {self.n_non_members:,} {self._unit}{source}"
        heads = ("attack", "AUC", "p", "found at 1 % FP", "at 10 % FP", "ε at least")
        sees = f"The first two attacks see {self.n_drawn:,} generated rows, the third sees the model; all"
        if self.source is not None:
            sees = f"The attacks see {self.n_drawn:,} generated subjects, and"
        caption = (
            f"{sees} may compare {self._unit} with {self.n_reference:,} further non-members. AUC 0.5: members and "
            "non-members look alike. Found: fraction of the members found, with its 95 % interval, when 1 or 10 % of "
            "the non-members are taken for members (FP: false positives). ε at least: lower bound of the ε of any "
            "guarantee for this fit; all bounds hold together at the 95 % level."
        )
        console.print(text_table(title, heads, rows, caption))
        if self.is_exposed:
            shown = ", ".join(f"{row.row + 1:,}" for row in self.exposed)
            console.print(terminal_text(f"Most exposed, as {self._unit} of the members counted from 1: {shown}."))
        console.print(terminal_text(self.verdict, "bold"))

    def to_json(self) -> dict[str, Any]:
        """Convert everything but the scores of single rows to JSON values, the verdict first."""
        conclusions = ("verdict", "is_exposed", "doubts", "detectable_auc", "epsilon", "adjusted_p_values")
        content = {name: getattr(self, name) for name in conclusions} | {"strongest": self.strongest.name}
        found = json_value(self)
        for attack in found["attacks"]:
            del attack["member_scores"], attack["other_scores"]
        return {**json_value(content), **found}


def audit(
    model: Any,
    members: Any,
    non_members: Any,
    *,
    labels: tuple[Any, Any] | None = None,
    n_drawn: int | None = None,
    max_rows: int = MOST_ROWS,
    delta: float | None = None,
    random_state: int = 0,
) -> Audit:
    """Attack a fitted model: can the rows that it was fitted to be distinguished from others?

    Of related tables, each subject is attacked as a whole: a row of the table without a parent that has the most rows
    below it, described by its cells and aggregates of these rows. The models have no loss of a subject to attack.

    Args:
        model: A fitted `Diffusion` or `RelationalDiffusion`, its `model_`, or the path of a model file.
        members: At least 30 rows that the model was fitted to: an array, or a data frame of pandas, Polars or PyArrow.
            Of related tables, a dictionary of these: at least 30 subjects with all their rows.
        non_members: At least 30 rows of the same population that were not used in the fit, such as a random part of the
            table that was held out. Rows from elsewhere or from another time may differ from the members whatever the
            model does, and then the audit means nothing. A third of them is set aside as reference.
        labels: Labels of the members and of the non-members, if these are not columns.
        n_drawn: Number of rows, or subjects, to draw from the model; by default four per member, from 2,000 to 20,000.
        max_rows: Most members, and most non-members, to distinguish; a random subset if there are more.
        delta: δ of the lower bounds of ε. By default δ of the model's guarantee, or 0 if it has none.
        random_state: Seed, 0 … 2³² - 1, of the generated rows, the noise, and the random choices of rows.

    Returns:
        The result of each attack, with `verdict`, `is_exposed`, `doubts` about the tables, and `to_json()`.

    Raises:
        ValueError: In one line, if a table has too few rows or other columns than the model, or a key is not valid.

    Example:
        >>> import numpy as np
        >>> from pointillist import Diffusion
        >>> members, others = np.random.default_rng(0).normal(size=(2, 60, 2))
        >>> model = Diffusion(epochs=2, random_state=0).fit(members)
        >>> audit(model, members, others, n_drawn=500).is_exposed
        False
    """
    start = time.perf_counter()
    fitted = _fitted(model)
    if n_drawn is not None and not is_integer(n_drawn, 2):
        raise ValueError(f"n_drawn must be an integer of at least 2, not {n_drawn!r}")
    if not is_integer(max_rows, MIN_ROWS):
        raise ValueError(f"max_rows must be an integer of at least {MIN_ROWS}, not {max_rows!r}")
    rows = fitted if isinstance(fitted, RowModel) else None
    guarantee = None if rows is None else rows.record.guarantee
    delta = float(delta if delta is not None else 0.0 if guarantee is None else guarantee.delta)
    if not 0 <= delta < 1:
        raise ValueError(f"delta must be at least 0 and below 1, not {delta!r}")
    rng = np.random.default_rng(random_state)
    inside, outside = _sides(fitted, members, non_members, labels)
    order, chosen = rng.permutation(len(outside)), rng.permutation(len(inside))[:max_rows]
    n_reference = min(len(outside) // 3, MOST_REFERENCE)
    reference, others = outside.take(order[:n_reference]), outside.take(order[n_reference:][:max_rows])
    n_drawn = n_drawn or int(np.clip(DRAWN_PER_MEMBER * len(inside), LEAST_DRAWN, MOST_DRAWN))
    known = Knowledge(rows, _drawn(fitted, n_drawn, inside.columns, random_state), reference, random_state)
    names = WITHOUT_MODEL if rows is None else tuple(ATTACKS)
    level = LEVEL_OF_BOUNDS / len(names)
    attacks = tuple(attacked(name, known, inside.take(chosen), others, rng, delta, level) for name in names)
    return Audit(
        n_members=len(chosen),
        n_non_members=len(others),
        n_reference=n_reference,
        n_drawn=n_drawn,
        given=(len(inside), len(outside)),
        n_strangers=0 if rows is None else count_strangers(rows, inside),
        overlap=copies(*(side.columns for side in sorted((inside, outside), key=len, reverse=True))),
        attacks=attacks,
        exposed=_exposed(max(attacks, key=lambda attack: attack.auc), chosen),
        delta=delta,
        stated=None if guarantee is None else (guarantee.epsilon, guarantee.delta),
        seconds=time.perf_counter() - start,
        source=None if isinstance(fitted, RowModel) else source_of(fitted),
    )


def _fitted(model: Any) -> RowModel | RelationalModel:
    """Return the model of rows, or of related tables, that is meant."""
    configure()
    if isinstance(model, str | Path):
        return (load_relational if is_relational(Path(model)) else load_model)(Path(model))
    fitted = getattr(model, "model_", model)
    if not isinstance(fitted, RowModel | RelationalModel):
        kinds = "Diffusion or RelationalDiffusion, or a model file"
        raise ValueError(f"model must be a fitted {kinds}, not {type(model).__name__}")
    return fitted


def _drawn(model: RowModel | RelationalModel, n: int, like: Columns, seed: int) -> Columns:
    draw = partial(drawn_columns, model) if isinstance(model, RowModel) else partial(drawn_subjects, model)
    return draw(n, like, seed)


def _sides(
    model: RowModel | RelationalModel, members: Any, non_members: Any, labels: tuple[Any, Any] | None
) -> tuple[Side, Side]:
    if isinstance(model, RowModel):
        of_members, of_others = labels or (None, None)
        inside = side_of(model, members, of_members, "members")
        outside = side_of(model, non_members, of_others, "non_members")
    elif labels is not None:
        raise ValueError("labels are for a model of one row per subject: leave them out")
    else:
        inside, outside = subjects_of(model, members, "members"), subjects_of(model, non_members, "non_members")
    unit = "rows" if isinstance(model, RowModel) else "subjects"
    if inside.columns.keys() != outside.columns.keys():
        raise ValueError("one of members and non_members has labels, the other has none: give both, or neither")
    for name, side in (("members", inside), ("non_members", outside)):
        if len(side) < MIN_ROWS:
            raise ValueError(f"{name} has {len(side)} {unit}, and an audit needs at least {MIN_ROWS}: give more")
    return inside, outside


def _exposed(attack: Attack, chosen: np.ndarray) -> tuple[Exposed, ...]:
    first = np.argsort(-attack.member_scores, kind="stable")[:N_EXPOSED]
    return tuple(Exposed(int(chosen[i]), float(np.mean(attack.other_scores >= attack.member_scores[i]))) for i in first)
