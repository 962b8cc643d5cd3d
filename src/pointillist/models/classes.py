"""The classes of a table's rows: checked labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy.typing import ArrayLike

from pointillist.arguments import check_unmasked, is_missing
from pointillist.tables.names import free_name
from pointillist.tables.numbers import LONGEST_LABEL
from pointillist.tables.table import Column


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes that a model knows.

    Attributes:
        counts: Number of training rows of each class.
        column: Name and index of the label column; None if the labels were passed separately.
    """

    labels: np.ndarray
    counts: Int[np.ndarray, " classes"]
    column: tuple[Any, int] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def label_name(self, names: Sequence[Any]) -> Any:
        """Name of the label column; "label" or a similar unused name if the labels were passed separately."""
        return free_name(["label"], names) if self.column is None else self.column[0]

    def labels_in(self, cells: Column) -> list[Any]:
        """Returns the labels in a column, with None for missing ones; unknown labels are kept."""
        values = cells.values.tolist()
        if cells.categories is not None:
            categories = cells.categories
            return [None if gone else categories[int(v)] for v, gone in zip(values, cells.is_missing, strict=True)]
        if self.labels.dtype.kind == "U":
            values = [f"{value:.16g}" for value in values]
        return [None if gone else value for value, gone in zip(values, cells.is_missing, strict=True)]

    def indices(self, labels: Any) -> Int[np.ndarray, " n"]:
        """Returns the class indices of one or several labels; raises a ValueError if one is unknown."""
        check_unmasked(labels=labels)
        array = np.asarray(labels)
        if array.dtype == object:
            array = labels_from_objects(array, "labels")
        if array.ndim > 1:
            raise ValueError(f"labels must be one label, or one label per row, not of shape {array.shape}")
        index_of = {label: i for i, label in enumerate(self.labels.tolist())}
        values, inverse = np.unique(array.ravel(), return_inverse=True)
        unknown = [label for label in values.tolist() if label not in index_of]
        if unknown:
            raise ValueError(f"unknown label {unknown[0]!r}: the model knows {', '.join(map(repr, index_of))}")
        return np.array([index_of[label] for label in values.tolist()], np.int32)[inverse]


def checked_labels(y: ArrayLike | None, n: int, name: str = "y") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the classes, the class index of each row, and the class sizes; all empty without labels.

    Raises a ValueError in one line, with the name of the labels, if they are not at least two classes of at least two
    rows.
    """
    if y is None:
        return np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64)
    if np.ma.is_masked(y):
        raise ValueError(f"{name} has masked labels: drop these rows, or give them a separate label")
    array = np.asarray(y)
    if array.dtype.kind in "cMmSV":
        raise ValueError(f"{name} holds {array.dtype}, but labels must be numbers, booleans or text: convert it")
    if array.ndim != 1:
        raise ValueError(f"{name} must hold one label per row, not be of shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("y has NaN or infinite labels: drop these rows, or give them a separate label")
    if array.dtype == object:
        array = labels_from_objects(array, name)
    if array.dtype.kind == "f" and (array != np.floor(array)).any():
        # scikit-learn's checks expect the words in brackets.
        raise ValueError(f"{name} holds no classes (Unknown label type: continuous): leave it out, or round or bin it")
    if len(array) != n:
        raise ValueError(f"X has {n} rows but y has {len(array)} labels")
    classes, labels, counts = np.unique(array, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise ValueError(
            f"{name} has a single class, {classes[0].item()!r}: leave {name} out, or give rows of another class"
        )
    if counts.min() < 2:
        rare = classes[counts.argmin()].item()
        raise ValueError(f"{name}: class {rare!r} has one row and needs at least 2: drop it or merge it")
    longest = max((len(label) for label in classes if isinstance(label, str)), default=0)
    if longest > LONGEST_LABEL:
        raise ValueError(f"{name} has a label of {longest} characters; labels have at most {LONGEST_LABEL}: shorten it")
    return classes, labels, counts


def labels_from_objects(labels: np.ndarray, name: str) -> np.ndarray:
    """Converts Python objects to an array of text or numbers."""
    if any(is_missing(label) for label in labels.ravel()):
        raise ValueError(f"{name} has missing labels: drop these rows, or give them a separate label")
    kinds = {"text" if isinstance(label, str) else type(label).__name__ for label in labels.ravel()}
    if len(kinds) > 1:
        raise ValueError(f"{name} mixes labels of kinds {', '.join(sorted(kinds))}: give labels of one kind")
    array = np.array(labels.tolist())
    if array.shape != labels.shape or array.dtype.kind not in "biufU":
        raise ValueError(f"{name} holds {kinds.pop()}, but labels must be numbers, booleans or text: convert it")
    return array
