"""Separates the columns that no model learns from a table: keys, personal columns, names and free text."""

import re
import unicodedata
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pointillist.columns.generated import GeneratedColumn, GeneratedColumns
from pointillist.columns.keys import MOST_DIGITS, Codes, Numbering, Uuids
from pointillist.columns.patterns import found_pattern
from pointillist.columns.personal import CONTENTS, INSTALL, Personal, has_faker
from pointillist.lazy import pa, pc
from pointillist.tables.frames import table_of, with_columns
from pointillist.tables.layout import Layout
from pointillist.tables.names import is_frame
from pointillist.tables.table import Table, kind_of, plain_column
from pointillist.tables.unlearnable import UNNAMED, is_numbering, learnable_columns, reason_not_to_learn

if TYPE_CHECKING:
    from pointillist.rules.generated import DeclaredColumn

_UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"

_SAMPLE, _MOST = 1_000, 0.9
"""Number of values that show what a personal column holds, and the fraction of them that must look like it."""

_NAMES = {
    "first_name": ("firstname", "givenname", "forename", "vorname", "prenom"),
    "last_name": ("lastname", "surname", "familyname", "nachname", "familienname"),
    "name": ("fullname", "customername", "clientname", "patientname", "personname", "employeename", "contactname"),
    "phone": ("phone", "phonenumber", "telephone", "telefon", "tel", "mobile", "mobilenumber", "fax"),
    "street": ("street", "streetaddress", "streetname", "strasse", "rue"),
    "address": ("address", "adresse", "fulladdress", "homeaddress", "postaladdress", "mailingaddress"),
    "company": ("company", "companyname", "employer", "firma", "unternehmen"),
}
"""Names of personal columns, or the ends of these names, as letters alone."""

_VALUES = {
    "email": r"^[^@\s]+@[^@\s]+\.\pL{2,}$",
    "iban": r"^[A-Z]{2}[0-9]{2}[A-Z0-9 ]{11,40}$",
    "first_name": r"^\pL[\pL'’.-]*( \pL[\pL'’.-]*){0,2}$",
    "last_name": r"^\pL[\pL'’.-]*( \pL[\pL'’.-]*){0,3}$",
    "name": r"^\pL[^0-9@]*[ ,][^0-9@]+$",
    "phone": r"^[+(]{0,2}[0-9][0-9 ()./x+-]{5,24}$",
    "street": r"\pL{2}",
    "address": r"(?s)\pL{2}.*[0-9 ,]",
    "company": r"\pL{2}",
}
"""Patterns of the values of personal columns."""

_ALWAYS = ("email", "iban", "first_name", "last_name", "phone")
"""Contents that are personal even if their values repeat; names, streets and companies may then be categories."""


@dataclass(frozen=True)
class Separated:
    """A table without the columns that no model learns.

    Attributes:
        X: The other columns, in the container of the table.
        columns: Columns that are generated in new rows.
        reasons: Why columns that were not declared are left out, by their names.
    """

    X: Any
    columns: tuple[GeneratedColumn, ...] = ()
    reasons: dict[Any, str] = field(default_factory=dict)
    _source: tuple[Table, tuple[Any, ...] | None] | None = None

    @property
    def names(self) -> tuple[Any, ...]:
        """Names of the generated columns."""
        return tuple(each.name for each in self.columns)

    def placed(self, learned: Layout) -> GeneratedColumns | None:
        """Returns the generated columns at their positions among the learned ones; None if there are none."""
        if self._source is None or not self.columns:
            return None
        return GeneratedColumns.of(*self._source, self.columns, learned)

    def warn(self) -> None:
        """Warns of columns that were not declared and are not learned."""
        texts = {each.name: each.text for each in self.columns}
        for name, reason in self.reasons.items():
            what = "so it is dropped: use --keep to insist"
            if name in texts:
                what = f"so new rows get {texts[name]}: use --keep to learn it"
            warnings.warn(
                f"{reason}, {what} (in Python, categorical=, or floats for integers)", UserWarning, stacklevel=4
            )


def separated(
    X: Any,
    kept: Collection[Any] = (),
    declared: "Sequence[DeclaredColumn]" = (),
    *,
    is_private: bool = False,
    finds: bool = True,
) -> Separated:
    """Separates declared keys and personal columns from a table, and others that no model learns.

    Args:
        X: The table, in any container. Without declarations, a table whose columns have no names stays as it is.
        kept: Names of columns that stay.
        declared: Declared keys and personal columns.
        is_private: Whether nothing may be learned from the rows.
        finds: Whether to look for columns that are not declared.

    Raises:
        ValueError: In one line, if a declared column cannot be generated, or no other column is left.
    """
    try:
        found = table_of(X) if isinstance(X, Table) or is_frame(X) else None
    except ValueError:
        # Reading all columns raises the error again.
        found = None
    if found is None or not found[0].has_names:
        if declared:
            raise ValueError("rules.unique and rules.personal need columns with names: give a data frame")
        return Separated(X)
    table, _, headings = found
    columns = {each.name: each for each in (rule.generated(table, is_private=is_private) for rule in declared)}
    reasons: dict[Any, str] = {}
    if finds and not is_private:
        # A column may have the name None.
        fixed = {*kept, *columns} | (set() if table.label is None else {table.label})
        groups = {name for each in columns.values() for name in each.within}
        for name, column in learnable_columns(table):
            reason, generated = (None, None) if name in fixed else _unlearned(name, column)
            if generated is not None:
                columns[name] = generated
            if reason is not None and (generated is not None or name not in groups):
                reasons[name] = reason
    rest = [name for name in table.names if name not in columns and name not in reasons]
    is_any_left = not {*rest} <= {table.label}
    if declared and not is_any_left:
        raise ValueError("all columns are keys or personal, and none is left to learn: add one")
    if not is_any_left or len(rest) == len(table.names):
        return Separated(X)
    # Values that depend on other columns come after these.
    ordered = sorted(columns.values(), key=lambda each: len(each.within))
    left = X.select(rest) if isinstance(X, Table) else with_columns(X, rest)
    return Separated(left, tuple(ordered), reasons, (table, headings))


def _unlearned(name: Any, column: "pa.ChunkedArray") -> tuple[str | None, GeneratedColumn | None]:
    """Returns why a column is not learned, and how it is generated; None for either if it is not."""
    reason = reason_not_to_learn(name, column)
    content = _content(name, column, is_learned=reason is None)
    if content is not None:
        if not has_faker():
            return f"column {name!r} holds {CONTENTS[content]}, and Faker is not installed ({INSTALL})", None
        generated = Personal(name=name, content=content, is_unique=content == "email" and all_differ(column))
        return f"column {name!r} holds {CONTENTS[content]}", generated
    is_key = reason is not None and all_differ(column)
    return reason, key_of(name, plain_column(column).unique()) if is_key else None


def all_differ(column: "pa.ChunkedArray") -> bool:
    """Whether a column has no missing cell and no value twice."""
    return column.null_count == 0 and len(plain_column(column).unique()) == len(column)


def key_of(name: Any, values: "pa.Array", within: tuple[Any, ...] = ()) -> GeneratedColumn | None:
    """Returns the kind of key that the values of a column show, each once and none missing; None if they show none.

    `within` are the other columns of a composite key.
    """
    if not len(values) or kind_of(values.type) not in ("integer", "category"):
        return None
    if kind_of(values.type) == "integer":
        low, high = pc.min_max(values).as_py().values()
        is_long = max(-low, high) >= 10**MOST_DIGITS
        is_numbered = within or is_numbering(len(values), low, high) or name in UNNAMED or is_long
        pattern = None if is_numbered else _pattern(values)
        return Numbering(name=name, first=low, within=within) if pattern is None else Codes(name=name, pattern=pattern)
    if pc.all(pc.match_substring_regex(values, _UUID, ignore_case=True)).as_py():
        return Uuids(name=name, within=within, is_upper=bool(re.search("[A-F]", "".join(values[:8].to_pylist()))))
    pattern = _pattern(values)
    return None if pattern is None else Codes(name=name, pattern=pattern, within=within)


def _pattern(values: "pa.Array") -> str | None:
    return found_pattern([str(value) for value in values.to_pylist()])


def _content(name: Any, column: "pa.ChunkedArray", *, is_learned: bool) -> str | None:
    """Returns what a personal column holds, by its name and its values; None if it is not personal.

    `is_learned` says whether a model could learn the column as categories.
    """
    column = plain_column(column)
    if kind_of(column.type) != "category":
        return None
    values = column.unique().drop_null()[:_SAMPLE]
    for content in ("email", "iban", _content_by_name(str(name))):
        if content is None or not len(values) or (is_learned and content not in _ALWAYS):
            continue
        fits = pc.match_substring_regex(values, _VALUES[content]).to_pylist()
        if content == "iban":
            fits = [fit and _is_iban(value) for fit, value in zip(fits, values.to_pylist(), strict=True)]
        if sum(fits) >= _MOST * len(values):
            return content
    return None


def _content_by_name(name: str) -> str | None:
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    words = [word.lower() for word in re.findall("[A-Z]+(?![a-z])|[A-Z]?[a-z]+", plain)]
    if words == ["name"]:
        return "name"
    ends = ["".join(words[-2:]), *words[-1:]]
    return next((content for end in ends for content, names in _NAMES.items() if end in names), None)


def _is_iban(text: str) -> bool:
    """Whether the check digits of an IBAN are right (ISO 7064, MOD 97-10)."""
    code = text.replace(" ", "")
    return int("".join(str(int(letter, 36)) for letter in code[4:] + code[:4])) % 97 == 1
