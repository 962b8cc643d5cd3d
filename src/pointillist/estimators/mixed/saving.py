"""Saves a fitted model of a mixed table as the description and the tensors of a model file, and loads it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from pointillist.engine import weights
from pointillist.estimators.mixed.frames import FrameLayout
from pointillist.estimators.mixed.planning import architecture_of, classes_of, tokens_of
from pointillist.estimators.model_file import Shape, read_tensors, write_model
from pointillist.points.encoding import PLACES, TableEncoding

if TYPE_CHECKING:
    from pointillist.estimators.model import DiffusionModel

NETWORK = "network."
_VALUES = np.dtype("f8")


def save_mixed(model: "DiffusionModel", path: Path, facts: dict[str, Any]) -> None:
    """Writes a fitted model; `facts` holds what all models have in common."""
    codes = model.encoding_.columns
    facts |= {"layout": model.layout_.to_json(), "encoding": model.encoding_.to_json(), "scaling": "tokens"}
    tensors = {f"{NETWORK}{name}": tensor for name, tensor in weights.named(model.network_).items()}
    tensors |= {
        "atoms": np.concatenate([code.atoms for code in codes]),
        "knots": np.concatenate([code.knots for code in codes]),
        "history": model.history_,
        "validation_history": model.validation_history_,
    }
    if model._n_classes:
        tensors["class_counts"] = model.class_counts_.astype(np.int64)
    write_model(path, facts, tensors)


def load_mixed(model: "DiffusionModel", path: Path, facts: dict[str, Any], declared: dict[str, Shape]) -> None:
    """Reads what `save_mixed` wrote into a model whose parameters are set.

    Raises:
        ModelFileError: If the file is damaged. Errors of other types, which `checking` converts, say the same.
    """
    layout = FrameLayout.from_json(facts["layout"])
    n_atoms, n_intervals = TableEncoding.lengths_of(facts["encoding"])
    # Of the right lengths, to see what network it asks for before a tensor is read.
    bare = np.arange(float(n_atoms)), np.zeros((n_intervals, PLACES + 1))
    encoding = TableEncoding.from_json(facts["encoding"], *bare)
    label = model.label_column_
    n_classes = 0 if label is None else encoding.code(label[0]).n_values
    if [code.name for code in encoding.columns[: len(layout.names)]] != list(layout.names):
        raise ValueError("its columns are not those of its layout")
    if len(encoding.columns) - len(layout.names) not in (0, int(label is not None)):
        raise ValueError("it has more columns than its layout")
    for code, field in zip(encoding.columns, layout.schema, strict=False):
        layout.check_code(code, field)
    template = jax.eval_shape(
        lambda: architecture_of(model.trained_with_, tokens_of(encoding)).build(jax.random.key(0), len(encoding.sizes))
    )
    expected: dict[str, Shape] = {f"{NETWORK}{name}": shape for name, shape in weights.shapes(template).items()}
    expected |= {"atoms": ((n_atoms,), _VALUES), "knots": ((n_intervals, PLACES + 1), _VALUES)}
    for name, least in (("history", 1), ("validation_history", 0)):
        length = max(least, *declared.get(name, ((0,), _VALUES))[0][:1], 0)
        expected[name] = ((length,), np.dtype("f4"))
    if n_classes:
        expected["class_counts"] = ((n_classes,), np.dtype("i8"))
    tensors = read_tensors(path, expected)
    model.encoding_ = TableEncoding.from_json(facts["encoding"], tensors["atoms"], tensors["knots"])
    network = {name.removeprefix(NETWORK): t for name, t in tensors.items() if name.startswith(NETWORK)}
    model.network_, model.layout_ = weights.from_named(template, network), layout
    model.history_, model.validation_history_ = tensors["history"], tensors["validation_history"]
    model.n_features_in_ = len(layout.names)
    if all(type(name) is str for name in layout.names):
        model.feature_names_in_ = np.array(layout.names, dtype=object)
    if label is not None:
        model.classes_, model.class_counts_ = (
            classes_of(model.encoding_.code(label[0]), layout),
            tensors["class_counts"],
        )
