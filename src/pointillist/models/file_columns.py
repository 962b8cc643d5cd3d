"""Names and types of the columns that a model's rows have in a file."""

from typing import Any

from pointillist.models.row_model import RowModel
from pointillist.models.token_codec import TokenCodec


def forms(model: RowModel) -> dict[str, str]:
    """Returns the formats of dates and times that differ from the usual one, by column, for `TableWriter`."""
    return model.codec.layout.forms if isinstance(model.codec, TokenCodec) else {}


def headings(model: RowModel) -> tuple[list[str] | None, list[Any]]:
    """Returns names and types as `TableWriter` takes them, with those of labels in their place; None without names."""
    names = None if model.codec.names is None else [str(name) for name in model.codec.names]
    types: list[Any] = list(model.codec.types)
    index = model.label_place
    if index is not None:
        assert model.classes is not None
        kind = model.classes.labels.dtype
        types.insert(index, "str" if kind.kind == "U" else kind.name)
        if names is not None:
            names.insert(index, str(model.classes.name_beside(names)))
    return names, types
