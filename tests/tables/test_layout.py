import numpy as np
import pandas
import polars
import pyarrow
import pytest

from pointillist import Diffusion
from pointillist.tables.frames import check_room
from pointillist.tables.frames import read_numbers as read
from pointillist.tables.layout import Layout

RNG = np.random.default_rng(0)
N = 60
COLUMNS = {
    "age": RNG.integers(18, 90, N),
    "height": RNG.normal(170, 9, N),
    "is_member": RNG.random(N) < 0.3,
    "constant": np.full(N, 7),
}
QUICK = {"timesteps": 5, "width": 8, "depth": 1, "epochs": 2, "random_state": 0}

FRAMES = {
    "pandas": pandas.DataFrame(COLUMNS),
    "pandas with nullable types": pandas.DataFrame(COLUMNS).astype(
        {"age": "Int16", "height": "Float32", "is_member": "boolean", "constant": "uint8"}
    ),
    "pandas with Arrow's types": pandas.DataFrame(COLUMNS).astype(
        {"age": "int32[pyarrow]", "height": "double[pyarrow]", "is_member": "bool[pyarrow]"}
    ),
    "polars": polars.DataFrame(COLUMNS, schema_overrides={"age": polars.Int8, "height": polars.Float32}),
    "pyarrow": pyarrow.table({**COLUMNS, "age": pyarrow.array(COLUMNS["age"], pyarrow.uint16())}),
}


def schema(frame):
    if isinstance(frame, pandas.DataFrame):
        return dict(frame.dtypes)
    return frame.schema


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_frame_gives_the_same_kind_frame_model(frame, tmp_path):
    model = Diffusion(**QUICK).fit(frame)
    model.save(tmp_path / "m")
    for each in (model, Diffusion.load(tmp_path / "m")):
        rows = each.sample(50, random_state=0)
        assert type(rows) is type(frame) and schema(rows) == schema(frame) and len(rows) == 50
        assert each.feature_names_in_.tolist() == list(COLUMNS)
    plain = pandas.DataFrame({name: np.asarray(rows[name]) for name in COLUMNS}).astype(float)
    assert (plain["constant"] == 7).all() and plain["age"].between(18, 89).all()
    assert (plain["age"] == plain["age"].round()).all() and set(plain["is_member"]) <= {0.0, 1.0}


def test_a_frame_gives_the_same_rows_as_its_array():
    frame, array = FRAMES["pandas"], FRAMES["pandas"].to_numpy(float)
    frame_model, array_model = (Diffusion(**QUICK).fit(X) for X in (frame, array))
    height = frame_model.sample(20, random_state=0)["height"]
    np.testing.assert_array_equal(height, array_model.sample(20, random_state=0)[:, 1])
    with pytest.raises(ValueError, match="feature names"):
        frame_model.score_samples(frame.rename(columns={"age": "years"}))


@pytest.mark.slow
def test_a_frame_has_the_same_densities_as_its_array():
    frame, array = FRAMES["pandas"], FRAMES["pandas"].to_numpy(float)
    frame_model, array_model = (Diffusion(**QUICK).fit(X) for X in (frame, array))
    np.testing.assert_array_equal(frame_model.score_samples(frame), array_model.score_samples(array))


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint16", "bool", "float32", "float64", "float16"])
def test_an_array_gives_an_array_of_its_type(dtype):
    rows = np.stack([COLUMNS["age"] > 40, COLUMNS["is_member"]], axis=1).astype(dtype)
    found = Diffusion(**QUICK).fit(rows).sample(30, random_state=0)
    assert found.dtype == dtype and found.shape == (30, 2)


def test_names_that_are_numbers():
    frame = pandas.DataFrame(RNG.normal(size=(N, 2)))
    assert Diffusion(**QUICK).fit(frame).sample(3).columns.tolist() == [0, 1]


def test_integers_beyond_2_to_24_are_exact():
    rows = np.array([[2**24 + 1, 2**52], [2**24 + 3, 2**52 + 1], [2**24 + 9, 2**52 + 2]] * 20)
    found = Diffusion(**QUICK).fit(rows).sample(40, random_state=0)
    assert found.dtype == np.int64
    assert (found >= rows.min(0)).all() and (found <= rows.max(0)).all()


BAD = {
    "the same name twice": (pandas.DataFrame(np.zeros((2, 2)), columns=["a", "a"]), "two columns have the same name"),
    "too large": (pandas.DataFrame({"id": [0, 2**53 + 2]}), r"column 'id' holds integers beyond 2\*\*53"),
    "too low": (np.array([[-(2**63)], [0]]), r"X holds integers beyond 2\*\*53"),
    "unusable names": (pandas.DataFrame([[1.0], [2.0]], columns=[1j]), "column names must be text, numbers"),
    "too wide integers": (
        polars.DataFrame({"a": [1, 2]}).cast(polars.Int128),
        "a type that Arrow lacks, such as Int128",
    ),
    "no columns": (pandas.DataFrame(index=[0, 1]), "0 feature"),
}


@pytest.mark.parametrize("frame,message", BAD.values(), ids=BAD)
def test_unusable_frames_are_refused(frame, message):
    with pytest.raises(ValueError, match=message) as error:
        Diffusion(**QUICK).fit(frame)
    assert "\n" not in str(error.value)


def test_an_array_is_read_without_a_copy():
    rows = RNG.normal(size=(10, 2))
    layout, found = read(rows)
    assert found is rows and layout.types == ("float64", "float64") and layout.names is None


def test_only_a_frame_can_receive_more_columns():
    others = FRAMES["pandas"][["age", "height"]]
    check_room(others, read(others[["age"]])[0])
    layout = Layout("array", ("float64",), ("age",))
    for X in others, polars.from_pandas(others):
        with pytest.raises(ValueError, match="given an array, in which there is no room for column 'height'"):
            check_room(X, layout)
    check_room(others[["age"]], layout)
    check_room(others[["height"]], layout)  # reading it reports that "age" is missing
