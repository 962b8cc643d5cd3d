"""Files of mixed models whose schema and codes disagree are refused when they are read, in one line."""

import base64

import numpy as np
import pandas
import pyarrow as pa
import pytest

from pointillist import Diffusion
from pointillist.models.container import ModelFileError, read_model, write_model
from pointillist.tables.table import Column, to_arrow

N = 300
FRAME = pandas.DataFrame(
    {
        "kind": pandas.Categorical([f"k{i % 100}" for i in range(N)]),
        "text": ["a", "b", None] * 100,
        "n": np.arange(N) % 7 + 200,
        "when": pandas.date_range("2024-01-01", periods=N, tz="Asia/Tokyo").astype("datetime64[s, Asia/Tokyo]"),
    }
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "m"
    Diffusion(width=8, depth=1, epochs=1, random_state=0).fit(FRAME).save(path)
    return path


def schema_of(facts):
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(facts["layout"]["schema_bytes"])))


def with_type(name, kind):
    def change(facts):
        schema = schema_of(facts)
        schema = schema.set(schema.get_field_index(name), pa.field(name, kind))
        facts["layout"]["schema_bytes"] = base64.b64encode(schema.serialize()).decode()

    return change


def with_categories(index, categories):
    def change(facts):
        facts["layout"]["categories"][index] = categories

    return change


def with_metadata(old, new):
    def change(facts):
        schema = schema_of(facts)
        text = schema.metadata[b"pandas"]
        assert old in text
        schema = schema.with_metadata({b"pandas": text.replace(old, new)})
        facts["layout"]["schema_bytes"] = base64.b64encode(schema.serialize()).decode()

    return change


def with_coded(facts):
    facts["encoding"][1]["categories"] = [1, 2]


KINDS = [f"k{i}" for i in range(100)]
FALSE = {
    "categories of another type": with_type("kind", pa.dictionary(pa.int8(), pa.int64())),
    "truths of text": with_type("text", pa.bool_()),
    "text of numbers": with_coded,
    "a dictionary without categories": with_categories(0, None),
    "categories of no dictionary": with_categories(1, ["a", "b"]),
    "categories that the type lacks": with_categories(0, KINDS[:-1]),
    "categories twice": with_categories(0, [*KINDS, "k0"]),
    "more categories than indices": with_categories(0, [*KINDS, *(f"x{i}" for i in range(100))]),
    "categories of two types": with_categories(0, [*KINDS, 1]),
    "a zone that is none": with_type("when", pa.timestamp("s", "Mars/Olympus")),
    "numbers of text": with_type("n", pa.string()),
    "a type of lists": with_type("n", pa.list_(pa.int64())),
    "a type that pandas has not": with_metadata(b'"numpy_type": "int64"', b'"numpy_type": "nonsense"'),
}


@pytest.mark.parametrize("change", FALSE.values(), ids=FALSE)
def test_false_layouts_are_refused(saved, change):
    facts, tensors = read_model(saved)
    change(facts)
    path = saved.with_name("false")
    write_model(path, facts, tensors)
    with pytest.raises(ModelFileError, match=r"false: ") as refusal:
        Diffusion.load(path)
    assert "\n" not in str(refusal.value)


def test_the_correct_layout_is_read(saved):
    facts, tensors = read_model(saved)
    path = saved.with_name("true")
    write_model(path, facts, tensors)
    assert Diffusion.load(path).sample(5, random_state=0).dtypes.tolist() == FRAME.dtypes.tolist()


def huge(spread):
    spread[0, 0] = 1e6


def with_no_axis(spread):
    spread[:, 1] = 0


@pytest.mark.parametrize(
    "name,change,message",
    [
        ("covariance", huge, "the covariance of its numbers is too large"),
        ("basis", huge, "the covariance of its numbers is too large"),
        ("basis", with_no_axis, "an axis of its numbers has no length"),
    ],
)
def test_false_scales_of_numbers_are_refused(saved, name, change, message):
    numbers = np.random.default_rng(0).normal(size=(N, 1)) + 0.1 * np.random.default_rng(1).normal(size=(N, 2))
    path = saved.with_name("spread")
    table = pandas.DataFrame(numbers, columns=["a", "b"]).assign(kind=FRAME["text"])
    Diffusion(width=8, depth=1, epochs=1, random_state=0).fit(table).save(path)
    facts, tensors = read_model(path)
    change(tensors[name])
    write_model(path, facts, tensors)
    with pytest.raises(ModelFileError, match=f"spread: .*{message}"):
        Diffusion.load(path)


@pytest.mark.parametrize("kind,least,most", [(pa.uint8(), 0, 255), (pa.int8(), -128, 127), (pa.time32("s"), 0, 86_399)])
def test_numbers_beyond_a_type_are_clipped_to_it(kind, least, most):
    cells = Column(np.array([-1e6, 1e6]), np.zeros(2, bool))
    found = to_arrow([cells], pa.schema([("n", kind)])).column(0)
    whole = found.cast(pa.int32()) if pa.types.is_time(kind) else found
    assert whole.to_pylist() == [least, most]
