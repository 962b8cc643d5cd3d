"""Saves a fitted `Diffusion` as the description and the tensors of a model file, and loads it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import numpy as np

from pointillist.engine import weights
from pointillist.estimators.inputs import seed_of
from pointillist.estimators.layout import Layout
from pointillist.estimators.model_file import ModelFileError, Shape, read_description, read_tensors, write_model
from pointillist.estimators.parameters import DECIDING, architecture, check_parameters, noise_schedule
from pointillist.estimators.plan import scaling_tensors
from pointillist.files import checking
from pointillist.points import LONGEST_LABEL, AffineScaling, QuantileScaling, Scaling, TableScaling
from pointillist.points.names import name_from_json, name_to_json

if TYPE_CHECKING:
    from pointillist.estimators.model import DiffusionModel

Model = TypeVar("Model", bound="DiffusionModel")

_NETWORK = "network."
_VALUES = np.dtype("f8")

_LARGEST_SPREAD = 1e18
"""Largest spread, whose square float32 still holds."""


def save_model(model: "DiffusionModel", path: Path) -> None:
    """Writes a fitted model."""
    parameters = {k: v.item() if isinstance(v, np.generic) else v for k, v in model._asked().items()}
    if not isinstance(parameters["random_state"], int | None):
        parameters["random_state"] = None  # the state of a generator that has gone on
    classes, label = getattr(model, "classes_", None), model.label_column_
    facts = {
        "parameters": parameters,
        "trained_with": model.trained_with_,
        "label_column": None if label is None else (name_to_json(label[0]), label[1]),
        "seed": model.seed_,
        "fingerprint": model.fingerprint_,
    }
    if hasattr(model, "encoding_"):
        from pointillist.estimators.mixed.saving import save_mixed

        save_mixed(model, path, facts)
        return
    facts |= {
        "layout": model.layout_.to_json(),
        "classes": None if classes is None else classes.tolist(),
        "scaling": "quantile" if isinstance(model.scaling_.varying, QuantileScaling) else "affine",
    }
    tensors = {f"{_NETWORK}{name}": tensor for name, tensor in weights.named(model.network_).items()}
    tensors |= scaling_tensors(model.scaling_)
    tensors |= {"history": model.history_, "validation_history": model.validation_history_, "spread": model.spread_}
    if classes is not None:
        tensors["class_counts"] = model.class_counts_.astype(np.int64)
    write_model(path, facts, tensors)


def load_model(cls: type[Model], path: Path) -> Model:
    """Reads what `save_model` wrote."""
    facts, declared = read_description(path)
    if "checkpoint" in facts:
        raise ModelFileError(f"{path}: is a checkpoint of a fit that has not ended, not a model: let the fit end")
    with checking(path, ModelFileError):
        model = _configured(cls, facts["parameters"])
        model.trained_with_, model.label_column_ = _trained_with(cls, facts["trained_with"]), _label(facts)
        model.seed_, model.fingerprint_ = facts["seed"], facts["fingerprint"]
        if type(model.seed_) is not int or not isinstance(model.fingerprint_, str):
            raise ValueError("seed or fingerprint has the wrong type")
        if facts["scaling"] == "tokens":
            from pointillist.estimators.mixed.saving import load_mixed

            load_mixed(model, path, facts, declared)
        else:
            _load_numbers(model, path, facts, declared)
        return model


def _label(facts: dict[str, Any]) -> tuple[Any, int] | None:
    if facts["label_column"] is None:
        return None
    name, place = facts["label_column"]
    if type(place) is not int or place < 0:
        raise ValueError("label_column is not a name and a place")
    return name_from_json(name), place


def _load_numbers(model: "DiffusionModel", path: Path, facts: dict[str, Any], declared: dict[str, Shape]) -> None:
    classes, layout = _classes(facts["classes"], declared), Layout.from_json(facts["layout"])
    is_by_quantiles = {"quantile": True, "affine": False}[facts["scaling"]]
    d = len(layout.types)
    if model.label_column_ is not None and model.label_column_[1] > d:
        raise ValueError("label_column has no place among the columns")
    # Of a missing or empty tensor, of no columns or of too many, `read_tensors` says what is wrong.
    k = min(max((1, *declared.get("network.output.bias", ((1,), _VALUES))[0])), d)
    parts = architecture(model.trained_with_, len(classes))
    template = jax.eval_shape(lambda: parts.build(jax.random.key(0), k))
    expected: dict[str, Shape] = {f"{_NETWORK}{name}": shape for name, shape in weights.shapes(template).items()}
    expected |= {name: ((d,), _VALUES) for name in ("minimum", "maximum")}
    expected["spread"] = ((k,), np.dtype("f4"))
    if is_by_quantiles:
        points = max((2, *declared.get("quantiles", ((2,), _VALUES))[0][:1]))
        expected["quantiles"] = ((points, k), _VALUES)
    else:
        expected |= {name: ((k,), _VALUES) for name in ("centre", "unit")}
    for name, least in (("history", 1), ("validation_history", 0)):
        length = max(least, *declared.get(name, ((0,), _VALUES))[0][:1], 0)
        expected[name] = ((length,), np.dtype("f4"))
    if len(classes):
        expected["class_counts"] = ((len(classes),), np.dtype("i8"))
    tensors = read_tensors(path, expected)
    varying: Scaling
    if is_by_quantiles:
        varying = QuantileScaling(tensors["quantiles"])
        is_possible = (np.diff(tensors["quantiles"], axis=0) >= 0).all()
    else:
        varying = AffineScaling(tensors["centre"], tensors["unit"])
        is_possible = (tensors["unit"] >= 0).all()
    if len(classes) and (tensors["class_counts"] < 1).any():
        raise ValueError("a class has no rows")
    model.scaling_ = TableScaling(tensors["minimum"], tensors["maximum"], layout.is_whole, varying)
    if not is_possible or model.scaling_.varies.sum() != k:
        raise ValueError("its scaling does not fit its columns")
    if not ((tensors["spread"] > 0) & (tensors["spread"] < _LARGEST_SPREAD)).all():
        raise ValueError("a column's spread is 0, negative or beyond use")
    network = {name.removeprefix(_NETWORK): t for name, t in tensors.items() if name.startswith(_NETWORK)}
    model.network_ = weights.from_named(template, network)
    model.schedule_, model.layout_, model.spread_ = noise_schedule(model.trained_with_), layout, tensors["spread"]
    model.history_, model.validation_history_ = tensors["history"], tensors["validation_history"]
    model.n_features_in_ = d
    if layout.names is not None and all(type(name) is str for name in layout.names):
        model.feature_names_in_ = np.array(layout.names, dtype=object)
    if len(classes):
        model.classes_, model.class_counts_ = classes, tensors["class_counts"]


def _configured(cls: type[Model], parameters: dict[str, Any]) -> Model:
    known = cls._defaults()
    if parameters.keys() != known.keys():
        raise ValueError(f"parameters differ: {', '.join(sorted(parameters.keys() ^ known.keys()))}")
    model = cls(**parameters)
    check_parameters(model)
    seed_of(model.random_state)
    return model


def _trained_with(cls: type["DiffusionModel"], parameters: dict[str, Any]) -> dict[str, Any]:
    if sorted(parameters) != sorted(DECIDING):
        raise ValueError(f"parameters differ: {', '.join(sorted(parameters.keys() ^ set(DECIDING)))}")
    check_parameters(cls(**parameters))
    noise_schedule(parameters)
    return parameters


def _classes(values: list[Any] | None, declared: dict[str, Shape]) -> np.ndarray:
    if values is None:
        return np.empty(0)
    # An array of text gives every label the space of the longest.
    if any(isinstance(value, str) and len(value) > LONGEST_LABEL for value in values):
        raise ValueError(f"classes have more than {LONGEST_LABEL} characters")
    if "class_counts" not in declared or declared["class_counts"][0] != (len(values),):
        raise ValueError("class_counts do not fit its classes")
    kinds = {type(value) for value in values}
    if len(kinds) != 1 or not kinds <= {int, float, str, bool} or len(values) < 2 or sorted(set(values)) != values:
        raise ValueError("classes are not at least two sorted labels of one kind")
    classes = np.array(values)
    if len(np.unique(classes)) < len(values):
        raise ValueError("classes are not distinct")
    return classes
