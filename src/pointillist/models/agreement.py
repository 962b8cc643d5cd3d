"""Checks whether conditions and observed cells agree with the rules of a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from pointillist.columns.encoder import Allowed
from pointillist.models.token_codec import TokenCodec
from pointillist.rules.rule import Conditions
from pointillist.tables.table import Column


def agreeing(codec: TokenCodec, observed: Mapping[Any, Column], cells: Sequence[Allowed]) -> tuple[Allowed, ...]:
    """Returns conditions without the values that rules exclude, such as cities outside an observed country.

    Args:
        codec: The codec, with its rules.
        observed: Observed cells, one for all rows or one per row.
        cells: What conditions allow.

    Raises:
        ValueError: In one line, if no row can meet the conditions and obey a rule.
    """
    conditions = Conditions(
        codec.encoding.columns,
        {codec.encoding.place(name): own for name, own in observed.items()},
        {codec.encoding.place(each.name): each for each in cells},
    )
    for rule in codec.rules:
        if not {*conditions.observed, *conditions.allowed}.isdisjoint(rule.columns):
            is_contradicted = rule.contradicted(conditions)
            if is_contradicted.any():
                row = int(is_contradicted.argmax())
                of_row = f" in row {row}" if len(is_contradicted) > 1 else ""
                cells_text = ", ".join(_text(codec, conditions, column, row) for column in rule.columns)
                raise ValueError(f"where contradicts the rule {rule.text(codec.column_names)}{of_row}: {cells_text}")
    return tuple(conditions.allowed.values())


def _text(codec: TokenCodec, conditions: Conditions, column: int, row: int) -> str:
    """Returns the condition on a column in a row as text or, without one, the range of the column."""
    encoder = conditions.encoders[column]
    name, kind = encoder.name, codec.layout.type_of(encoder.name)
    if column in conditions.observed:
        cells = conditions.observed[column]
        value = cells.values[min(row, len(cells.values) - 1)]
        known = encoder.text_of(float(value), kind) if cells.categories is None else cells.categories[int(value)]
        return f"{name} is {known}"
    if column in conditions.allowed:
        return f"{name} is {conditions.allowed[column].text}"
    if encoder.categories is not None:
        return f"{name} is free"
    low, high = (encoder.text_of(end, kind) for end in encoder.ends)
    return f"{name} goes from {low} to {high}"
