"""A fitted `Diffusion` as header and tensors of a model file, and back."""

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import numpy as np

from pointillist.engine import weights
from pointillist.engine.epochs import TRAINING_VERSION
from pointillist.estimators.fitting import Plan, Unscaled
from pointillist.estimators.inputs import seed_of
from pointillist.estimators.layout import Layout
from pointillist.estimators.model_file import ModelFileError, Shape, read_header, read_tensors, write_model
from pointillist.estimators.parameters import DECIDING, architecture, check_parameters, noise_schedule
from pointillist.points import LONGEST_LABEL, AffineScaling, QuantileScaling, Scaling, TableScaling, blocks

if TYPE_CHECKING:
    from pointillist.estimators.model import DiffusionModel

Model = TypeVar("Model", bound="DiffusionModel")

_NETWORK = "network."
_VALUES = np.dtype("f8")

_LARGEST_SPREAD = 1e18
"""Its square is a float32."""


def fingerprint(rows: np.ndarray) -> str:
    """A hash of the training rows."""
    digest = hashlib.sha256(str(rows.shape).encode())
    for block in blocks(rows):
        digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()[:32]


def plan_key(plan: Plan, rows_fingerprint: str) -> str:
    """A hash of all that decides the weights that a plan ends with."""
    facts = {
        "version": [version("pointillist"), TRAINING_VERSION],
        "rows": rows_fingerprint,
        "labels": None if plan.labels is None else fingerprint(plan.labels[:, None]),
        "schedule": fingerprint(np.asarray(plan.schedule.alpha)[:, None]),
        "scaling": [fingerprint(tensor.reshape(-1, 1)) for tensor in _scaling_tensors(plan.scaling).values()],
        "architecture": asdict(plan.architecture),
        "method": asdict(plan.method),
        "spread": fingerprint(plan.spread[:, None]),
        "stopping": None if plan.stopping is None else asdict(plan.stopping),
        "start": None if plan.start is None else hashlib.sha256(weights.to_bytes(plan.start)).hexdigest(),
        "shards": plan.shards.limit,
    }
    facts |= {
        name: getattr(plan, name)
        for name in (
            *("n_classes", "epochs", "default_steps", "most_default_epochs", "p_uncond", "seed"),
            *("learning_rate", "warmup", "decay", "averaging", "clip"),
        )
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def save_model(model: "DiffusionModel", path: Path) -> None:
    """Writes a fitted model."""
    parameters = {k: v.item() if isinstance(v, np.generic) else v for k, v in model._asked().items()}
    if not isinstance(parameters["random_state"], int | None):
        parameters["random_state"] = None  # the state of a generator that has gone on
    classes = getattr(model, "classes_", None)
    header = {
        "parameters": parameters,
        "trained_with": model.trained_with_,
        "label_column": model.label_column_,
        "seed": model.seed_,
        "fingerprint": model.fingerprint_,
    }
    if hasattr(model, "encoding_"):
        from pointillist.estimators.mixed.saving import save_mixed

        save_mixed(model, path, header)
        return
    header |= {
        "layout": asdict(model.layout_),
        "classes": None if classes is None else classes.tolist(),
        "scaling": "quantile" if isinstance(model.scaling_.varying, QuantileScaling) else "affine",
    }
    tensors = {f"{_NETWORK}{name}": tensor for name, tensor in weights.named(model.network_).items()}
    tensors |= _scaling_tensors(model.scaling_)
    tensors |= {"history": model.history_, "validation_history": model.validation_history_, "spread": model.spread_}
    if classes is not None:
        tensors["class_counts"] = model.class_counts_.astype(np.int64)
    write_model(path, header, tensors)


def _scaling_tensors(scaling: TableScaling | Unscaled) -> dict[str, np.ndarray]:
    if isinstance(scaling, Unscaled):
        return {}
    common = {"minimum": scaling.minimum, "maximum": scaling.maximum}
    if isinstance(scaling.varying, QuantileScaling):
        return {**common, "quantiles": scaling.varying.quantiles}
    assert isinstance(scaling.varying, AffineScaling)
    return {**common, "centre": scaling.varying.centre, "unit": scaling.varying.unit}


def load_model(cls: type[Model], path: Path) -> Model:
    """Reads what `save_model` wrote."""
    header, declared = read_header(path)
    if "checkpoint" in header:
        raise ModelFileError(f"{path}: is a checkpoint of a fit that has not ended, not a model: let the fit end")
    try:
        model = _configured(cls, header["parameters"])
        trained_with = _trained_with(cls, header["trained_with"])
        if header["scaling"] == "tokens":
            _load_mixed(model, path, header, declared, trained_with)
            return model
        classes, layout = _classes(header["classes"], declared), _layout(header["layout"])
        label_column, seed, mark = header["label_column"], header["seed"], header["fingerprint"]
        if type(seed) is not int or not isinstance(mark, str):
            raise ValueError("seed or fingerprint is of another kind")
        if label_column is not None:
            name, place = label_column
            if not isinstance(name, str) or type(place) is not int or not 0 <= place <= len(layout.types):
                raise ValueError("label_column is not a name and a place")
            label_column = name, place
        is_by_quantiles = {"quantile": True, "affine": False}[header["scaling"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(f"{path}: holds a model that cannot be: {error}") from error
    d = len(layout.types)
    # Of a missing or empty tensor, of no columns or of too many, `read_tensors` says what is wrong.
    k = min(max((1, *declared.get("network.output.bias", ((1,), _VALUES))[0])), d)
    parts = architecture(trained_with, len(classes))
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
        raise ModelFileError(f"{path}: holds a model that cannot be: a class has no rows")
    model.scaling_ = TableScaling(tensors["minimum"], tensors["maximum"], layout.is_whole, varying)
    if not is_possible or model.scaling_.varies.sum() != k:
        raise ModelFileError(f"{path}: holds a model that cannot be: its scaling is not of its columns")
    if not ((tensors["spread"] > 0) & (tensors["spread"] < _LARGEST_SPREAD)).all():
        raise ModelFileError(f"{path}: holds a model that cannot be: a column's spread is 0, negative or beyond use")
    network = {name.removeprefix(_NETWORK): t for name, t in tensors.items() if name.startswith(_NETWORK)}
    model.network_ = weights.from_named(template, network)
    model.trained_with_, model.schedule_, model.layout_ = trained_with, noise_schedule(trained_with), layout
    model.spread_ = tensors["spread"]
    model.history_, model.validation_history_ = tensors["history"], tensors["validation_history"]
    model.n_features_in_, model.seed_, model.fingerprint_ = d, seed, mark
    model.label_column_ = label_column
    if layout.names is not None and all(isinstance(name, str) for name in layout.names):
        model.feature_names_in_ = np.array(layout.names, dtype=object)
    if len(classes):
        model.classes_, model.class_counts_ = classes, tensors["class_counts"]
    return model


def _load_mixed(
    model: "DiffusionModel",
    path: Path,
    header: dict[str, Any],
    declared: dict[str, Shape],
    trained_with: dict[str, Any],
) -> None:
    from pointillist.estimators.mixed.saving import load_mixed

    seed, mark = header["seed"], header["fingerprint"]
    if type(seed) is not int or not isinstance(mark, str):
        raise ValueError("seed or fingerprint is of another kind")
    model.trained_with_, model.seed_, model.fingerprint_ = trained_with, seed, mark
    load_mixed(model, path, header, declared)


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


def _layout(content: dict[str, Any]) -> Layout:
    parts: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in content.items()
    }
    layout = Layout(**parts)
    if not layout.types or not all(isinstance(name, str | int) for name in layout.names or ()):
        raise ValueError("layout is not of columns with names")
    return layout


def _classes(values: list[Any] | None, declared: dict[str, Shape]) -> np.ndarray:
    if values is None:
        return np.empty(0)
    # An array of text gives every label the space of the longest.
    if any(isinstance(value, str) and len(value) > LONGEST_LABEL for value in values):
        raise ValueError(f"classes have more than {LONGEST_LABEL} characters")
    if "class_counts" not in declared or declared["class_counts"][0] != (len(values),):
        raise ValueError("class_counts are not of its classes")
    kinds = {type(value) for value in values}
    if len(kinds) != 1 or not kinds <= {int, float, str, bool} or len(values) < 2 or sorted(set(values)) != values:
        raise ValueError("classes are not at least two sorted labels of one kind")
    classes = np.array(values)
    if len(np.unique(classes)) < len(values):
        raise ValueError("classes are not distinct")
    return classes
