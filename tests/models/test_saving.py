import hashlib
import json
import os
import struct
import subprocess
import sys

import numpy as np
import pandas
import pyarrow as pa
import pytest
from safetensors.numpy import load, save

from pointillist import Diffusion, DiffusionClassifier, load_pointset
from pointillist.models import container
from pointillist.models.configuration import NETWORK_PARAMETERS
from pointillist.models.container import FORMAT, ModelFileError
from pointillist.tables.layout import Layout

X, Y = load_pointset("blobs", 300)
QUICK = {"timesteps": 20, "width": 16, "depth": 2, "epochs": 5}


@pytest.fixture(scope="module")
def model():
    return Diffusion(**QUICK, random_state=0).fit(X * [10.0, 0.1], np.array(["left", "right"])[Y])


@pytest.fixture
def path(model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_a_loaded_model_equals_the_saved_one(model, path):
    again = Diffusion.load(path)
    assert again.get_params() == model.get_params() and again.classes_.tolist() == ["left", "right"]
    assert (again.model_.record.seed, again.n_features_in_) == (0, 2)
    assert again.model_.record.fingerprint == model.model_.record.fingerprint
    np.testing.assert_array_equal(again.history_, model.history_)
    options = {"labels": "right", "guidance": 1.0, "random_state": 3}
    np.testing.assert_array_equal(again.sample(20, **options), model.sample(20, **options))


@pytest.mark.slow
def test_a_classifier_of_a_loaded_model_equals_that_of_the_saved_one(model, path):
    again = Diffusion.load(path)
    np.testing.assert_array_equal(
        DiffusionClassifier(again).predict_proba(X), DiffusionClassifier(model).predict_proba(X)
    )


@pytest.mark.slow
def test_the_same_rows_in_another_process_on_one_device(model, path, tmp_path):
    script = (
        "import sys, numpy as np; from pointillist import Diffusion; "
        "np.save(sys.argv[2], Diffusion.load(sys.argv[1]).sample(1200, random_state=5))"
    )
    out = tmp_path / "rows.npy"
    environment = {**os.environ, "POINTILLIST_DEVICES": "1"}
    subprocess.run([sys.executable, "-c", script, path, out], check=True, env=environment)
    np.testing.assert_array_equal(np.load(out), model.sample(1200, random_state=5))


def test_counts_of_training_rows_are_kept(tmp_path):
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {"x": rng.normal(size=60), "kind": rng.choice(["a", "b"], 60), "few": rng.integers(0, 3, 60)}
    )
    settings = {"epochs": 1, "width": 8, "depth": 1, "random_state": 0}
    for number, columns in enumerate((["x", "kind", "few"], ["x", "few"])):
        before = Diffusion(**settings, process=["auto", "gaussian"][number]).fit(frame[columns], frame["kind"])
        before.save(tmp_path / "model")
        before_summary, found = (model.model_.summary for model in (before, Diffusion.load(tmp_path / "model")))
        np.testing.assert_array_equal(found.pairs.counts, before_summary.pairs.counts)
        np.testing.assert_array_equal(found.pairs.ends, before_summary.pairs.ends)
        if number == 0:
            np.testing.assert_array_equal(found.values, before_summary.values)
            assert (frame["kind"] == "b").sum() in before_summary.values
        else:
            assert found.values is None and before_summary.pairs.counts.sum() == 3 * len(frame)


def test_labels_and_columns_of_other_kinds(tmp_path):
    frame = pandas.DataFrame(X, columns=["a", "b"])
    for labels in (Y * 3 - 1, Y > 0, Y + 0.0):
        model = Diffusion(**QUICK, random_state=0).fit(frame, labels)
        model.save(tmp_path / "m")
        again = Diffusion.load(tmp_path / "m")
        assert again.feature_names_in_.tolist() == ["a", "b"]
        assert again.classes_.dtype == model.classes_.dtype and (again.classes_ == model.classes_).all()


def rewrite(path, change=lambda facts: None, tensors=lambda t: t, header=lambda h: None):
    """Changes a model file and updates its checksums."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    metadata = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["pointillist"])
    content = load(data)
    facts = json.loads(content.pop("description").tobytes())
    change(facts)
    content = tensors(content)
    text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    metadata |= {"description": hashlib.sha256(text).hexdigest(), "tensors": container._digest(content)}
    header(metadata)
    path.write_bytes(save({**content, "description": text}, {"pointillist": json.dumps(metadata)}))


def setting(*keys, value):
    def change(header):
        for key in keys[:-1]:
            header = header[key]
        header[keys[-1]] = value

    return change


EMPTY = {name: getattr(Diffusion(**QUICK), name) for name in NETWORK_PARAMETERS} | {
    "schedule": "linear", "beta_start": 0.9, "beta_end": 0.95, "timesteps": 10_000,
}  # fmt: skip
NAMES = [["str", "a"], ["str", "b"]]
OF_NO_TYPE = {"kind": "polars", "plain_types": ["float64"] * 2, "plain_names": NAMES, "schema_bytes": None}
OF_NO_TYPE |= {"categories": [], "is_nan": [], "headings": None}
OF_NO_SCHEMA = OF_NO_TYPE | {"schema_bytes": "show_versions"}
TEXT_LAYOUT = Layout.from_schema("polars", pa.schema({"a": pa.float64(), "b": pa.string()}), None).to_json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            setting("parameters", "width", value=10**9),
            "width must be an integer from 1 to 65,536, or None",
        ),
        (setting("parameters", "depth", value=10**9), "depth must be an integer from 1 to 1,000, not 1000000000"),
        (
            setting("parameters", "timesteps", value=10**12),
            "timesteps must be an integer from 2 to 100,000",
        ),
        (setting("parameters", "width", value="wide"), "width must be an integer"),
        (setting("trained_with", "width", value=17), "tensors are missing, unknown"),
        (
            setting("trained_with", "width", value=10**9),
            "width must be an integer from 1 to 65,536, or None",
        ),
        (
            setting("trained_with", "schedule", value="quadratic"),
            "schedule must be one of 'linear', 'cosine', 'sigmoid'",
        ),
        (setting("trained_with", "more", value=2), "parameters differ: more"),
        (setting("parameters", "learning_rate", value="fast"), "is damaged: "),
        (setting("parameters", "new", value=1), "parameters differ: new"),
        (setting("parameters", value=[1]), "is damaged: "),
        (setting("classes", value=["left"]), "class_counts do not fit its classes"),
        (setting("classes", value=["left", "r" * 10**6]), "classes have more than 200 characters"),
        (setting("classes", value=["left", "left\0"]), "classes are not distinct"),
        (setting("parameters", "random_state", value="x"), "random_state must be an integer"),
        (setting("classes", value=["right", "left"]), "classes are not at least two sorted labels"),
        (setting("classes", value=[1, "left"]), "classes are not at least two sorted labels"),
        (setting("classes", value=None), "tensors are missing, unknown"),
        (setting("layout", "plain_types", value=["float64"] * 10**5), "its scaling does not fit its columns"),
        (setting("layout", "plain_types", value=[]), "rows have no columns"),
        (setting("layout", "plain_types", value=["float64", "O"]), "columns hold types that are not numbers"),
        (setting("layout", "plain_types", value=["float64", "no type"]), "is damaged: "),
        (setting("layout", "plain_names", value=[["str", "a"]]), "there are 1 names for 2 columns"),
        (setting("layout", "plain_names", value=[["str", "a"], ["str", 1]]), "1 is not the name of a column"),
        (setting("layout", "plain_names", value=[["str", "a"], ["tuple", 1]]), "is damaged: "),
        (setting("layout", "plain_names", value=[["str", "a"], ["str", "a"]]), "two columns have the same name"),
        (setting("layout", "plain_types", value=[None, None]), "columns hold types that are not numbers"),
        (setting("layout", "kind", value="pandas"), "rows of kind 'pandas' are not known, or have no types"),
        (setting("trained_with", value=EMPTY), "the noise schedule shrinks the data below what float32"),
        (setting("layout", value=OF_NO_TYPE), "rows of kind 'polars' are not known, or have no types"),
        (setting("layout", value=OF_NO_SCHEMA), "the layout's schema cannot be read"),
        (setting("layout", value=TEXT_LAYOUT), "columns hold types that are not numbers"),
        (setting("scaling", value="other"), "its scaling is unknown"),
        (setting("label_column", value=[["str", "y"], 7]), "label_column is outside the columns"),
        (setting("label_column", value=[["str", "y"], -1]), "label_column is not a name and an index"),
        (setting("seed", value=None), "is damaged: "),
        (lambda header: header.pop("fingerprint"), "is damaged: "),
        (lambda facts: facts.pop("parameters"), "is damaged: "),
    ],
)
def test_invalid_descriptions_are_refused(path, change, message):
    rewrite(path, change)
    with pytest.raises(ModelFileError, match=message) as error:
        Diffusion.load(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (setting("format", value=FORMAT + 1), f"has format {FORMAT + 1}, written by pointillist"),
        (setting("format", value=1), f"this is .*, which reads format {FORMAT}: install the other version"),
        (setting("tensors", value="0"), "the checksum of its tensors does not match"),
        (setting("description", value="0"), "the checksum of its description does not match"),
        (lambda header: header.pop("tensors"), "the checksum of its tensors does not match"),
        (lambda header: header.pop("description"), "is damaged: "),
    ],
)
def test_invalid_headers_are_refused(path, header, message):
    rewrite(path, header=header)
    with pytest.raises(ModelFileError, match=message):
        Diffusion.load(path)


def without_minimum(tensors):
    del tensors["minimum"]
    return tensors


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (lambda t: {**t, "extra": np.zeros(3, np.float32)}, "differ in shape from its description: 'extra'"),
        (without_minimum, "minimum"),
        (
            lambda t: {**t, "network.output.bias": np.zeros(3, np.float32)},
            "tensors are missing, unknown or differ in shape",
        ),
        (lambda t: {**t, "network.output.bias": np.zeros(2)}, "tensors are missing, unknown"),
        (
            lambda t: {**t, "network.output.bias": np.zeros((), np.float32)},
            "tensors are missing, unknown or differ in shape",
        ),
        (
            lambda t: {**t, "spread": np.array([1, 0], np.float32)},
            "the root mean square of a column is not positive, or too large",
        ),
        (
            lambda t: {**t, "spread": np.array([1, 1e30], np.float32)},
            "the root mean square of a column is not positive, or too large",
        ),
        (lambda t: {**t, "network.output.bias": np.full(2, np.nan, np.float32)}, "output.bias holds NaN or infinite"),
        (lambda t: {**t, "maximum": np.array([np.inf, 1.0])}, "maximum holds NaN or infinite"),
        (lambda t: {**t, "maximum": t["minimum"]}, "its scaling does not fit its columns"),
        (lambda t: {**t, "unit": -t["unit"]}, "its scaling does not fit its columns"),
        (lambda t: {**t, "decimals": np.array([0, 9])}, "its grids do not fit its columns"),
        (lambda t: {**t, "steps": np.array([-1, 0])}, "its grids do not fit its columns"),
        (lambda t: {**t, "ends": np.full((2, 2), 2)}, "its grids do not fit its columns"),
        (lambda t: {**t, "history": np.zeros((2, 2), np.float32)}, "history"),
        (lambda t: {**t, "history": np.zeros(0, np.float32)}, "history"),
        (lambda t: {**t, "class_counts": np.array([300, 0])}, "a class has no rows"),
        (lambda t: {**t, "more": np.zeros(2, np.float16)}, "differ in shape from its description: 'more'"),
    ],
)
def test_invalid_tensors_are_refused(path, tensors, message):
    rewrite(path, tensors=tensors)
    with pytest.raises(ModelFileError, match=message):
        Diffusion.load(path)


def header_only(content):
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text


HUGE = {"w": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        b"PK\x03\x04" + bytes(200),
        struct.pack("<Q", 2**60) + b"{}",
        header_only(b"{" * 1000),
        header_only(b"[" * 100_000),
        header_only([1, 2]),
        header_only({}),
        header_only({**HUGE, "__metadata__": {"pointillist": json.dumps({"format": FORMAT, "version": "0"})}}),
        header_only({"w": {"dtype": "F32", "shape": [-1]}}),
        header_only({"__metadata__": {"pointillist": "no json"}}),
    ],
)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as error:
        Diffusion.load(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(path, fraction):
    data = path.read_bytes()
    path.write_bytes(data[: int(fraction * len(data))])
    with pytest.raises(ModelFileError):
        Diffusion.load(path)


def test_every_flipped_bit_is_detected(model, path, tmp_path):
    data = bytearray(path.read_bytes())
    length = struct.unpack("<Q", data[:8])[0]
    rng = np.random.default_rng(0)
    in_header, elsewhere = rng.choice(8 + length, 150, replace=False), rng.choice(len(data), 150, replace=False)
    for offset in [*in_header, *elsewhere]:
        damaged = data.copy()
        damaged[offset] ^= 1 << int(rng.integers(8))
        (tmp_path / "damaged").write_bytes(damaged)
        try:
            again = Diffusion.load(tmp_path / "damaged")
        except ModelFileError as error:
            assert "\n" not in str(error)
        else:
            # The flipped bit is in the version that wrote the file, which has no effect.
            np.testing.assert_array_equal(again.sample(3, random_state=0), model.sample(3, random_state=0))


def test_a_long_shape_is_refused_at_once(tmp_path):
    (tmp_path / "m").write_bytes(header_only({"w": {"dtype": "F32", "shape": [9] * 400_000}}))
    with pytest.raises(ModelFileError, match="is not a model file, or it is incomplete"):
        Diffusion.load(tmp_path / "m")


def test_a_numpy_seed_is_kept(tmp_path):
    Diffusion(**QUICK, random_state=np.int64(3)).fit(X).save(tmp_path / "m")
    assert Diffusion.load(tmp_path / "m").random_state == 3


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        Diffusion.load(tmp_path / "none")
