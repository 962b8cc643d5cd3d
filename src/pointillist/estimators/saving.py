"""A fitted `Diffusion` as header and tensors of a model file, and back."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from pointillist.engine import weights
from pointillist.estimators.model_file import ModelFileError, Shape, read_header, read_tensors, write_model
from pointillist.points import MinMaxScaling

if TYPE_CHECKING:
    from pointillist.estimators.model import Diffusion

LIMITS = {"timesteps": 100_000, "width": 65_536, "depth": 1_000, "time_embedding": 65_536, "class_embedding": 65_536}
"""Of what a file may ask for: larger models than anyone has."""

_NETWORK = "network."


def fingerprint(rows: np.ndarray) -> str:
    """A hash of the training rows."""
    return hashlib.sha256(str(rows.shape).encode() + np.ascontiguousarray(rows).tobytes()).hexdigest()[:32]


def save_model(model: "Diffusion", path: Path) -> None:
    """Writes a fitted model."""
    parameters = model.get_params()
    if not isinstance(parameters["random_state"], int | None):
        parameters["random_state"] = None  # the state of a generator that has gone on
    classes = getattr(model, "classes_", None)
    header = {
        "parameters": {k: v.item() if isinstance(v, np.generic) else v for k, v in parameters.items()},
        "columns": model.feature_names_in_.tolist() if hasattr(model, "feature_names_in_") else None,
        "classes": None if classes is None else classes.tolist(),
        "n_features": model.n_features_in_,
        "seed": model.seed_,
        "fingerprint": model.fingerprint_,
    }
    tensors = {f"{_NETWORK}{name}": tensor for name, tensor in weights.named(model.network_).items()}
    tensors |= {"minimum": model.scaling_.minimum, "maximum": model.scaling_.maximum, "history": model.history_}
    if classes is not None:
        tensors["class_counts"] = model.class_counts_.astype(np.int64)
    write_model(path, header, tensors)


def load_model(cls: type["Diffusion"], path: Path) -> "Diffusion":
    """Reads what `save_model` wrote."""
    header, declared = read_header(path)
    try:
        model = _configured(cls, header["parameters"])
        classes, d = _classes(header["classes"]), header["n_features"]
        seed, mark, columns = header["seed"], header["fingerprint"], header["columns"]
        if type(d) is not int or d < 1 or type(seed) is not int or not isinstance(mark, str):
            raise ValueError("n_features, seed or fingerprint is of another kind")
        if columns is not None and (len(columns) != d or not all(isinstance(c, str) for c in columns)):
            raise ValueError("columns are not one name for each of n_features")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(f"{path}: holds a model that cannot be: {error}") from error
    architecture = model._architecture(len(classes))
    template = jax.eval_shape(lambda: architecture.build(jax.random.key(0), d))
    expected: dict[str, Shape] = {f"{_NETWORK}{name}": shape for name, shape in weights.shapes(template).items()}
    expected |= {name: ((d,), np.dtype("f8")) for name in ("minimum", "maximum")}
    history = declared.get("history", ((), np.dtype("f4")))[0]
    expected["history"] = (history[:1], np.dtype("f4"))
    if len(classes):
        expected["class_counts"] = ((len(classes),), np.dtype("i8"))
    tensors = read_tensors(path, expected)
    network = {name.removeprefix(_NETWORK): t for name, t in tensors.items() if name.startswith(_NETWORK)}
    model.network_ = weights.from_named(template, network)
    model.scaling_ = MinMaxScaling(tensors["minimum"], tensors["maximum"])
    model.schedule_, model.history_ = model._noise_schedule(), tensors["history"]
    model.n_features_in_, model.seed_, model.fingerprint_ = d, seed, mark
    if columns is not None:
        model.feature_names_in_ = np.array(columns, dtype=object)
    if len(classes):
        model.classes_, model.class_counts_ = classes, tensors["class_counts"]
    return model


def _configured(cls: type["Diffusion"], parameters: dict[str, Any]) -> "Diffusion":
    known = cls().get_params()
    if parameters.keys() != known.keys():
        raise ValueError(f"parameters differ: {', '.join(sorted(parameters.keys() ^ known.keys()))}")
    model = cls(**parameters)
    model._check_parameters()
    for name, limit in LIMITS.items():
        if getattr(model, name) > limit:
            raise ValueError(f"{name} = {getattr(model, name)} is beyond {limit}")
    return model


def _classes(values: list[Any] | None) -> np.ndarray:
    if values is None:
        return np.empty(0)
    kinds = {type(value) for value in values}
    if len(kinds) != 1 or not kinds <= {int, float, str, bool} or len(values) < 2 or sorted(set(values)) != values:
        raise ValueError("classes are not at least two sorted labels of one kind")
    return np.array(values)
