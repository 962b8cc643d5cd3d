"""Rules that a user declares by the names of columns, and their conversion to rules of a table."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from pointillist.arguments import is_number
from pointillist.columns.encoder import ColumnEncoder
from pointillist.rules.rule import Rule, arguments_of
from pointillist.tables.table import Column, Table

ON_VIOLATION = ("refuse", "drop", "allow")
"""What happens to training rows that break a declared rule: `fit` refuses them all, drops them, or keeps them."""

OF_NAMES = ("column", "columns", "parts", "terms")
"""Attributes of declared rules that hold names of columns."""


@dataclass(frozen=True)
class NamedColumns:
    """The columns of a table by name, with the encoder of each."""

    table: Table
    encoders: Sequence[ColumnEncoder]

    def index(self, name: Any) -> int:
        """Return the index of a column; raise a ValueError if rules cannot use it."""
        if name not in self.table.names:
            raise ValueError(f"rules: there is no column {name!r}; the columns are {self.table.listed()}")
        if name == self.table.label:
            raise ValueError(f"rules: {name!r} is the label column, which no rule changes: leave it out of the rules")
        return self.table.names.index(name)

    def number(self, name: Any) -> int:
        """Return the index of a column of numbers or dates; raise a ValueError for a column of categories."""
        index = self.index(name)
        if self.encoders[index].has_categories:
            raise ValueError(f"rules: column {name!r} holds categories, but the rule is about numbers or dates")
        return index

    def cells(self, name: Any) -> Column:
        """Return the cells of a column."""
        return self.table.cells[self.index(name)]

    def arrow_type(self, name: Any) -> Any:
        """Return the Arrow type of a column."""
        return self.table.arrow.schema.types[self.index(name)]


@dataclass(frozen=True, kw_only=True, repr=False)
class Declared:
    """A declared rule.

    Attributes:
        on_violation: What happens to training rows that break the rule; one of `ON_VIOLATION`.
    """

    on_violation: str = "refuse"

    kind: ClassVar[str]
    """Name of the kind, which is the name of its function in `pointillist.rules`."""

    is_of_rows: ClassVar[bool] = True
    """Whether the rule is about the learned cells of a row, and not about a column that is generated."""

    def __post_init__(self) -> None:
        if self.on_violation not in ON_VIOLATION:
            choices = ", ".join(map(repr, ON_VIOLATION))
            raise ValueError(f"rules.{self.kind}: on_violation must be one of {choices}, not {self.on_violation!r:.60}")

    def __repr__(self) -> str:
        values = {name: getattr(self, name) for name in self._arguments()}
        changed = [f"{name}={value!r}" for name, value in values.items() if value != "refuse"]
        return f"rules.{self.kind}({', '.join(changed)})"

    @property
    def names(self) -> tuple[Any, ...]:
        """Names of the columns that the rule needs."""
        values = [getattr(self, name) for name in OF_NAMES if hasattr(self, name)]
        return tuple(each for value in values for each in (value if isinstance(value, tuple) else (value,)))

    def bind(self, columns: NamedColumns) -> Sequence[Rule]:
        """Return the rules of a table that together say the same; raise a ValueError in one line if they do not fit."""
        return ()

    def to_json(self) -> dict[str, Any]:
        """Return the kind and all attributes as JSON values, which are also the keys of a TOML file."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}
        return {"kind": self.kind, **values}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Rebuild a rule from `to_json` or a table of a TOML file; raise a ValueError if a key or value is wrong."""
        values = arguments_of(content)
        known = cls._arguments()
        unknown = [name for name in values if name not in known]
        if unknown:
            raise ValueError(f"rules.{cls.kind} has no {unknown[0]!r:.60}: it has {', '.join(known)}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"rules.{cls.kind} needs more of {', '.join(known)}") from error

    @classmethod
    def _arguments(cls) -> list[str]:
        return [*(each.name for each in fields(cls)[1:]), "on_violation"]

    def check_names(self, names: Any, fewest: int = 1) -> None:
        """Raise a ValueError if some names are too few, not text or numbers, or not different."""
        are_names = isinstance(names, tuple) and all(isinstance(name, str) or is_number(name) for name in names)
        if not are_names or len(set(names)) < len(names) or len(names) < fewest:
            raise ValueError(
                f"rules.{self.kind} takes the names of {fewest} or more different columns, not {names!r:.60}"
            )


@dataclass(frozen=True, repr=False)
class Ignored(Declared):
    """Columns that no rule found in the training rows may relate to each other; all columns if there are no names."""

    columns: tuple[Any, ...] = ()

    kind = "ignore"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_names(self.columns, 0)
        if len(self.columns) == 1:
            raise ValueError(
                "rules.ignore takes two or more columns that no found rule may relate, or none for all rules"
            )

    @property
    def names(self) -> tuple[Any, ...]:
        """No columns: a table may lack these."""
        return ()


def ignore(*columns: Any) -> Ignored:
    """Keep no rule that `fit` finds among some columns; the model may break it.

    Args:
        *columns: Names of two or more columns that no found rule may relate to each other; without names, `fit` looks
            for no rules at all.
    """
    return Ignored(columns)
