"""Declared keys and personal columns, which are generated in new rows rather than learned."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from pointillist.columns.generated import GeneratedColumn
from pointillist.columns.keys import Codes, Numbering
from pointillist.columns.patterns import Pattern
from pointillist.columns.personal import Personal, check_faker
from pointillist.columns.unlearned import key_of
from pointillist.lazy import pa, pc
from pointillist.rules.declared import Declared, NamedColumns
from pointillist.tables.table import Table, kind_of, plain_column


@dataclass(frozen=True, repr=False)
class DeclaredColumn(Declared, ABC):
    """A declaration of a column that is generated."""

    is_of_rows = False

    @property
    def names(self) -> tuple[Any, ...]:
        """No columns, because the table of the other rules lacks them."""
        return ()

    @abstractmethod
    def generated(self, table: Table, *, is_private: bool) -> GeneratedColumn:
        """Return the column; raise a ValueError in one line if the table cannot have it.

        With `is_private`, only the names and types of the columns are read.
        """


@dataclass(frozen=True, repr=False)
class Unique(DeclaredColumn):
    """A key of one or several columns; the last one is generated."""

    columns: tuple[Any, ...]
    pattern: str | None = None

    kind = "unique"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_names(self.columns)
        if self.on_violation == "drop":
            raise ValueError("rules.unique: on_violation is 'refuse' or 'allow': drop rows with equal keys before fit")
        if self.pattern is not None:
            Pattern(self.pattern)

    def generated(self, table: Table, *, is_private: bool) -> GeneratedColumn:
        for column in self.columns:
            NamedColumns(table, ()).index(column)
        *within, name = self.columns
        if self.pattern is not None:
            key: GeneratedColumn | None = Codes(name=name, pattern=self.pattern, within=tuple(within))
        elif is_private:
            is_integer = kind_of(table.schema.field(table.names.index(name)).type) == "integer"
            key = Numbering(name=name, within=tuple(within)) if is_integer else None
        else:
            key = key_of(name, plain_column(table.select([name]).arrow.column(0)).unique().drop_null(), tuple(within))
        if key is None:
            raise ValueError(f"rules: the type and the values of column {name!r} show no kind of key: give pattern=")
        if self.on_violation == "refuse" and not is_private:
            self._check_rows(table.select(self.columns).arrow)
        return key

    def _check_rows(self, part: "pa.Table") -> None:
        columns = [plain_column(column).combine_chunks() for column in part.columns]
        codes = np.zeros(len(part), np.int64)
        for column in columns:
            values = np.asarray(column.dictionary_encode("encode").indices, np.int64)
            codes = np.unique(codes * (values.max(initial=0) + 1) + values, return_inverse=True)[1]
        is_broken = np.ones(len(part), bool)
        is_broken[np.unique(codes, return_index=True)[1]] = False
        is_broken |= np.any([column.is_null() for column in columns], axis=0)
        if self.pattern is not None:
            matches = pc.match_substring_regex(columns[-1].cast(pa.large_string()), f"^(?:{self.pattern})$")
            is_broken |= ~np.asarray(matches.fill_null(True))
        if is_broken.any():
            first, n = int(is_broken.argmax()), int(is_broken.sum())
            cells = ", ".join(f"{name} {column[first]}" for name, column in zip(self.columns, columns, strict=True))
            raise ValueError(
                f"rules: {n:,} of {len(part):,} training rows repeat, lack or do not match the key, first row {first} "
                f"({cells}): correct the rows or the rule, or give on_violation='allow'"
            )


@dataclass(frozen=True, repr=False)
class PersonalColumn(DeclaredColumn):
    """A column of personal values, which Faker makes up in new rows."""

    column: Any
    content: str
    locale: str = "en_US"
    unique: bool = False
    by: Any = None

    kind = "personal"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_names((self.column, *self._by))
        self._column()

    @property
    def _by(self) -> tuple[Any, ...]:
        return () if self.by is None else (self.by,)

    def _column(self) -> Personal:
        return Personal(
            name=self.column, content=self.content, locale=self.locale, is_unique=self.unique, within=self._by
        )

    def generated(self, table: Table, *, is_private: bool) -> GeneratedColumn:
        for column in (self.column, *self._by):
            NamedColumns(table, ()).index(column)
        check_faker(self.locale)
        return self._column()


def unique(*columns: Any, pattern: str | None = None, on_violation: str = "refuse") -> Unique:
    """Do not learn a key, and generate it in new rows, where all keys differ.

    Args:
        *columns: Name of the column. With several names, their combinations differ, and the last column is generated:
            it numbers the rows in which the others are equal.
        pattern: A pattern of the keys: literals and classes of characters like [A-Z0-9], each perhaps with {n},
            {m,n} or ?. By default, the training rows show whether keys are integers in sequence, UUIDs, or strings of a
            pattern.
        on_violation: "refuse" or "allow" training rows that repeat a key, lack it, or do not match the pattern.
    """
    return Unique(columns, pattern, on_violation=on_violation)


def personal(
    column: Any, content: str, *, locale: str = "en_US", unique: bool = False, by: Any = None
) -> PersonalColumn:
    """Do not learn a column of personal values, and let Faker make up other values in new rows.

    The names and the e-mail addresses of a row belong to one person.

    Args:
        column: Name of the column.
        content: "name", "first_name", "last_name", "email", "phone", "street", "address", "company" or "iban".
        locale: A locale of Faker, like "de_DE".
        unique: Whether e-mail addresses get numbers, so that all of them differ.
        by: Name of a column that identifies persons: rows with equal cells in it get equal values, in other tables too
            if the seed is the same.
    """
    return PersonalColumn(column, content, locale, unique, by)
