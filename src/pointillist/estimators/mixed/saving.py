"""A fitted model of a mixed table as header and tensors of a model file, and back."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from pointillist.engine import weights
from pointillist.estimators.mixed.frames import FrameLayout
from pointillist.estimators.mixed.planning import architecture_of, classes_of, tokens_of
from pointillist.estimators.model_file import ModelFileError, Shape, read_tensors, write_model
from pointillist.points.encoding import MAX_CATEGORIES, PLACES, ColumnCode, TableEncoding

if TYPE_CHECKING:
    from pointillist.estimators.model import DiffusionModel

NETWORK = "network."
_VALUES = np.dtype("f8")


def save_mixed(model: "DiffusionModel", path: Path, header: dict[str, Any]) -> None:
    """Writes a fitted model; `header` has what all models have in common."""
    codes = model.encoding_.columns
    header |= {"layout": asdict(model.layout_), "encoding": [_facts(code) for code in codes], "scaling": "tokens"}
    tensors = {f"{NETWORK}{name}": tensor for name, tensor in weights.named(model.network_).items()}
    tensors |= {
        "atoms": np.concatenate([code.atoms for code in codes]),
        "knots": np.concatenate([code.knots for code in codes]),
        "history": model.history_,
        "validation_history": model.validation_history_,
    }
    if model._n_classes:
        tensors["class_counts"] = model.class_counts_.astype(np.int64)
    write_model(path, header, tensors)


def _facts(code: ColumnCode) -> dict[str, Any]:
    return {
        "name": code.name,
        "categories": code.categories,
        "atoms": len(code.atoms),
        "intervals": len(code.knots),
        "has_missing": code.has_missing,
        "has_places": code.has_places,
        "decimals": code.decimals,
    }


def load_mixed(model: "DiffusionModel", path: Path, header: dict[str, Any], declared: dict[str, Shape]) -> None:
    """Reads what `save_mixed` wrote into a model whose parameters are set.

    Raises:
        ModelFileError: If it cannot be such a model.
    """
    try:
        layout = _layout(header["layout"])
        facts = header["encoding"]
        counts = [(_count(fact["atoms"]), _count(fact["intervals"])) for fact in facts]
        label = header["label_column"]
        if label is not None:
            label = str(label[0]), _count(label[1])
        n_atoms, n_intervals = (sum(column) for column in zip(*counts, strict=True))
        encoding = _encoding(facts, counts, np.zeros(n_atoms), np.zeros((n_intervals, PLACES + 1)))
        n_classes = 0 if label is None else encoding.code(label[0]).n_values
        template = jax.eval_shape(
            lambda: architecture_of(model.trained_with_, tokens_of(encoding)).build(
                jax.random.key(0), len(encoding.sizes)
            )
        )
        if [code.name for code in encoding.columns[: len(layout.names)]] != list(layout.names):
            raise ValueError("its columns are not those of its layout")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelFileError(f"{path}: holds a model that cannot be: {error}") from error
    expected: dict[str, Shape] = {f"{NETWORK}{name}": shape for name, shape in weights.shapes(template).items()}
    expected |= {"atoms": ((n_atoms,), _VALUES), "knots": ((n_intervals, PLACES + 1), _VALUES)}
    for name, least in (("history", 1), ("validation_history", 0)):
        length = max(least, *declared.get(name, ((0,), _VALUES))[0][:1], 0)
        expected[name] = ((length,), np.dtype("f4"))
    if n_classes:
        expected["class_counts"] = ((n_classes,), np.dtype("i8"))
    tensors = read_tensors(path, expected)
    model.encoding_ = _encoding(facts, counts, tensors["atoms"], tensors["knots"])
    for code in model.encoding_.columns:
        if (np.diff(code.atoms) <= 0).any() or (np.diff(code.knots, axis=1) < 0).any():
            raise ModelFileError(f"{path}: holds a model that cannot be: values of {code.name!r} do not increase")
    network = {name.removeprefix(NETWORK): t for name, t in tensors.items() if name.startswith(NETWORK)}
    model.network_, model.layout_ = weights.from_named(template, network), layout
    model.history_, model.validation_history_ = tensors["history"], tensors["validation_history"]
    model.n_features_in_ = len(layout.names)
    model.feature_names_in_ = np.array(layout.names, dtype=object)
    model.label_column_ = label
    if label is not None:
        model.classes_, model.class_counts_ = classes_of(model.encoding_.code(label[0])), tensors["class_counts"]


def _layout(content: dict[str, Any]) -> FrameLayout:
    categories = tuple(None if each is None else tuple(each) for each in content["categories"])
    is_nan = tuple(bool(each) for each in content["is_nan"])
    return FrameLayout(str(content["kind"]), str(content["schema_bytes"]), categories, is_nan)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_CATEGORIES:
        raise ValueError(f"{value!r} is not a number of values")
    return value


def _encoding(
    facts: list[dict[str, Any]], counts: list[tuple[int, int]], atoms: np.ndarray, knots: np.ndarray
) -> TableEncoding:
    codes = []
    for fact, (n_atoms, n_intervals) in zip(facts, counts, strict=True):
        categories = fact["categories"]
        if categories is not None:
            kinds = {type(category) for category in categories}
            if len(kinds) > 1 or not kinds <= {str, int, bool, float} or len(categories) > MAX_CATEGORIES:
                raise ValueError(f"categories of {fact['name']!r} are not of one kind, or too many")
        if fact["decimals"] is not None:
            _count(fact["decimals"])
        codes.append(
            ColumnCode(
                fact["name"],
                None if categories is None else tuple(categories),
                atoms[:n_atoms],
                knots[:n_intervals],
                bool(fact["has_missing"]),
                bool(fact["has_places"]),
                fact["decimals"],
            )
        )
        atoms, knots = atoms[n_atoms:], knots[n_intervals:]
    if len({code.name for code in codes}) < len(codes) or not all(isinstance(code.name, str) for code in codes):
        raise ValueError("two columns have the same name, or one has none")
    return TableEncoding(tuple(codes))
