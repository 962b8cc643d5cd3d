"""Saves fitted models as model files, and loads them."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from pointillist.arguments import seed_of
from pointillist.atomic_files import checking
from pointillist.columns.domain import domain_from_json, domain_to_json
from pointillist.columns.generating import generated_from_json
from pointillist.engine import weights
from pointillist.engine.devices import configure
from pointillist.models.classes import Classes
from pointillist.models.codec import Codec
from pointillist.models.configuration import NETWORK_PARAMETERS, PARAMETERS, Configuration, values_of
from pointillist.models.container import ModelFileError, read_model, write_model
from pointillist.models.gaussian import GaussianProcess
from pointillist.models.masked import MaskedProcess
from pointillist.models.process import Process
from pointillist.models.row_model import Guarantee, Record, RowModel
from pointillist.models.summary import Summary
from pointillist.rules.declarations import declared_from_json
from pointillist.tables.names import name_from_json, name_to_json
from pointillist.tables.numbers import LONGEST_LABEL

_NETWORK = "network."
_SINGLE = np.dtype("f4")

_LARGEST_SIGMA, _LARGEST_COVARIANCE, _SMALLEST_AXIS = 1e18, 100.0, 1e-4
"""Largest sigma_data, whose square fits into float32; largest covariance of normal scores; smallest σ_d of an axis."""

Tensors = dict[str, np.ndarray]


def save_model(model: RowModel, path: Path) -> None:
    """Writes a fitted model to a file."""
    write_model(path, *content_of(model))


def content_of(model: RowModel) -> tuple[dict[str, Any], Tensors]:
    """Returns the JSON values and the tensors that describe a fitted model."""
    parameters = dict(model.parameters)
    seed = parameters["random_state"]
    # A generator's state has changed since; it is not saved.
    parameters["random_state"] = int(seed) if isinstance(seed, int | np.integer) else None
    classes, record, column = model.classes, model.record, None
    if classes is not None and classes.column is not None:
        column = name_to_json(classes.column[0]), classes.column[1]
    if record.guarantee is not None:
        # With the seed, the noise could be removed.
        parameters["random_state"] = None
    if parameters["domain"] is not None:
        parameters["domain"] = domain_to_json(parameters["domain"])
    if parameters["rules"] is not None:
        parameters["rules"] = [each.to_json() for each in parameters["rules"]]
    facts = {
        "parameters": parameters,
        "trained_with": model.trained_with,
        "label_column": column,
        "seed": record.seed,
        "fingerprint": record.fingerprint,
        "privacy": None if record.guarantee is None else asdict(record.guarantee),
        "classes": None if classes is None or model.process.has_label_token else classes.labels.tolist(),
        "generated": None if model.generated is None else model.generated.to_json(),
        **model.codec.facts(),
    }
    tensors = {f"{_NETWORK}{name}": tensor for name, tensor in weights.named(model.network).items()}
    tensors |= {"history": record.history, "validation_history": record.validation_history}
    tensors |= model.codec.tensors() | model.process.tensors()
    if classes is not None:
        tensors["class_counts"] = classes.counts.astype(np.int64)
    if model.summary is not None:
        tensors |= model.summary.tensors()
    return facts, tensors


def is_relational(path: Path) -> bool:
    """Whether a model file holds the models of related tables."""
    return "schema" in read_model(path)[0]


def load_model(path: Path) -> RowModel:
    """Reads a model file.

    Raises:
        ModelFileError: A ValueError, in one line, if the file is damaged, malicious or of another version.
        OSError: If it cannot be read.
    """
    configure()
    facts, tensors = read_model(path)
    if "checkpoint" in facts:
        raise ModelFileError(f"{path}: is a checkpoint of an unfinished fit, not a model: finish the fit")
    if "schema" in facts:
        raise ModelFileError(
            f"{path}: is a model of related tables, for RelationalDiffusion.load and the commands sample, evaluate, "
            "audit and info: for predictions, join the tables and fit the result"
        )
    with checking(path, ModelFileError):
        return model_from(facts, tensors)


def model_from(facts: dict[str, Any], tensors: Tensors) -> RowModel:
    """Makes a model from the result of `content_of`; raises a ValueError if it describes none."""
    parameters, trained_with = _parameters(facts["parameters"]), facts["trained_with"]
    _check_names(trained_with, NETWORK_PARAMETERS)
    Configuration(**trained_with)
    seed, fingerprint, column = facts["seed"], facts["fingerprint"], _column(facts)
    if type(seed) is not int or not isinstance(fingerprint, str):
        raise ValueError("seed or fingerprint has the wrong type")
    codec = Codec.from_facts(facts, tensors)
    read = _masked if facts["scaling"] == "tokens" else _gaussian
    process, labels = read(codec, facts, tensors, trained_with, column)
    template = jax.eval_shape(lambda: process.architecture.build(jax.random.key(0), codec.width))
    encoders, found = codec.encoding.columns, weights.shapes(tensors)
    expected = {f"{_NETWORK}{name}": shape for name, shape in weights.shapes(template).items()}
    expected |= weights.shapes(codec.tensors() | process.tensors())
    for name, least in (("history", 1), ("validation_history", 0)):
        expected[name] = (max(least, tensors[name].size),), _SINGLE
    if len(labels):
        expected["class_counts"] = (len(labels),), np.dtype("i8")
    n_apart = int(len(labels) > 0 and not process.has_label_token)
    n_token_values = sum(encoder.size for encoder in encoders) if process.has_label_token else 0
    expected |= Summary.shapes(found, len(encoders) + n_apart, n_token_values)
    weights.check_shapes(found, expected)
    network = weights.from_named(
        template, {name.removeprefix(_NETWORK): t for name, t in tensors.items() if name.startswith(_NETWORK)}
    )
    guarantee = None if facts["privacy"] is None else Guarantee.from_json(facts["privacy"])
    record = Record(tensors["history"], tensors["validation_history"], seed, fingerprint, guarantee)
    classes = Classes(labels, tensors["class_counts"], column) if len(labels) else None
    if classes is not None and (classes.counts < 1).any():
        raise ValueError("a class has no rows")
    generated = None if facts["generated"] is None else generated_from_json(facts["generated"])
    if generated is not None and [*map(str, generated.learned_names)] != [*map(str, codec.names or ())]:
        raise ValueError("its learned and generated columns do not match its layout")
    summary = Summary.from_tensors(tensors)
    return RowModel(codec, process, network, classes, record, parameters, trained_with, summary, generated=generated)


def _gaussian(
    codec: Codec, facts: dict[str, Any], tensors: Tensors, trained_with: dict[str, Any], column: tuple[Any, int] | None
) -> tuple[Process, np.ndarray]:
    """Process and labels of a model of numbers."""
    labels = _labels(facts["classes"], tensors)
    if column is not None and column[1] > codec.n_columns:
        raise ValueError("label_column is outside the columns")
    sigma_data = tensors["spread"]
    weights.check_shapes(weights.shapes({"spread": sigma_data}), {"spread": ((codec.width,), _SINGLE)})
    if not ((sigma_data > 0) & (sigma_data < _LARGEST_SIGMA)).all():
        raise ValueError("the root mean square of a column is not positive, or too large")
    given = np.flatnonzero(tensors.get("given", ())).tolist()
    return GaussianProcess.of(trained_with, len(labels), sigma_data, given), labels


def _masked(
    codec: Codec, facts: dict[str, Any], tensors: Tensors, trained_with: dict[str, Any], column: tuple[Any, int] | None
) -> tuple[Process, np.ndarray]:
    """Process and labels of a model of tokens."""
    n = len(codec.encoding.columns)
    if n - len(codec.names) not in (0, int(column is not None)):
        raise ValueError("it has more columns than its layout")
    given = tuple(range(max(0, n - len(tensors.get("given", ()))), n))
    has_unknown, is_private = codec.missing == "unknown", facts["privacy"] is not None
    process = MaskedProcess.of(
        trained_with, codec.encoding, has_unknown=has_unknown, is_private=is_private, given=given
    )
    found = {name: tensors[name] for name in process.tensors()}
    weights.check_shapes(weights.shapes(found), weights.shapes(process.tensors()))
    if not all((np.abs(array) <= _LARGEST_COVARIANCE).all() for array in found.values()):
        raise ValueError("the covariance of its numbers is too large")
    if "basis" in found and not (np.linalg.norm(found["basis"], axis=0) >= _SMALLEST_AXIS).all():
        raise ValueError("an axis of its numbers has no length")
    labels = np.empty(0) if column is None else codec.labels(column[0])
    return replace(process, covariance=found["covariance"], basis=found.get("basis")), labels


def _column(facts: dict[str, Any]) -> tuple[Any, int] | None:
    if facts["label_column"] is None:
        return None
    name, index = facts["label_column"]
    if type(index) is not int or index < 0:
        raise ValueError("label_column is not a name and an index")
    return name_from_json(name), index


def _parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    _check_names(parameters, PARAMETERS)
    if parameters["domain"] is not None:
        parameters["domain"] = domain_from_json(parameters["domain"])
    if parameters["rules"] is not None:
        parameters["rules"] = [declared_from_json(each) for each in parameters["rules"]]
    seed_of(parameters["random_state"])
    return values_of(Configuration(**parameters))


def _check_names(parameters: dict[str, Any], expected: Iterable[str]) -> None:
    if differing := parameters.keys() ^ {*expected}:
        raise ValueError(f"parameters differ: {', '.join(sorted(differing))}")


def _labels(values: list[Any] | None, tensors: Tensors) -> np.ndarray:
    if values is None:
        return np.empty(0)
    # In an array of text, every label takes as much memory as the longest.
    if any(isinstance(value, str) and len(value) > LONGEST_LABEL for value in values):
        raise ValueError(f"classes have more than {LONGEST_LABEL} characters")
    if "class_counts" not in tensors or tensors["class_counts"].shape != (len(values),):
        raise ValueError("class_counts do not fit its classes")
    kinds = {type(value) for value in values}
    if len(kinds) != 1 or not kinds <= {int, float, str, bool} or len(values) < 2 or sorted(set(values)) != values:
        raise ValueError("classes are not at least two sorted labels of one kind")
    labels = np.array(values)
    if len(np.unique(labels)) < len(values):
        raise ValueError("classes are not distinct")
    return labels
