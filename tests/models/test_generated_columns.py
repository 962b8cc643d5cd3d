"""Models of tables with keys and personal columns: these come back in new rows, and are otherwise passed by."""

import json
import re
import warnings

import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest

from pointillist import Diffusion
from pointillist.cli import main
from pointillist.files.reading import read_table
from pointillist.metrics.inputs import columns_of
from pointillist.models.saving import load_model
from pointillist.privacy.inputs import side_of

N = 200
TINY = {"epochs": 1, "width": 8, "depth": 1, "random_state": 0}


def people(n=N, seed=0):
    rng = np.random.default_rng(seed)
    return pandas.DataFrame(
        {
            "id": np.arange(1, n + 1),
            "kind": rng.choice(["a", "b"], n),
            "code": [f"C{i:04}" for i in rng.permutation(n)],
            "x": rng.normal(size=n).round(1),
            "mail": [f"u{i}@mail.com" for i in range(n)],
            "born": rng.choice(pandas.date_range("2000-01-01", periods=500), n),
        }
    )


def fitted(X, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return Diffusion(**TINY).fit(X, **options)


@pytest.fixture(scope="module")
def model():
    return fitted(people())


def test_keys_and_personal_columns_come_back_in_their_places(model):
    real, rows = people(), model.sample(300, random_state=1)
    assert list(rows) == list(real) and (rows.dtypes == real.dtypes).all()
    assert rows["id"].tolist() == [*range(1, 301)] and rows["code"].is_unique and rows["mail"].is_unique
    assert rows["code"].str.fullmatch("C[0-9]{4,6}").all() and rows["mail"].str.contains("@example.").all()
    assert not {*rows["mail"]} & {*real["mail"]} and model.n_features_in_ == 3
    for text in ("u7@mail.com", "C0123"):
        assert text not in json.dumps(model.model_.generated.to_json())


def test_same_seed_same_keys_whatever_the_parts(model):
    rows = model.sample(3000, random_state=1)
    assert pandas.concat(model.sample_batches(3000, random_state=1), ignore_index=True).equals(rows)
    assert model.sample(10, random_state=1).equals(rows[:10])
    others = model.sample(10, random_state=1, start=3000)
    assert not {*others["code"], *others["mail"], *others["id"]} & {*rows["code"], *rows["mail"], *rows["id"]}
    assert (others[["kind", "x", "born"]] == rows[["kind", "x", "born"]][:10]).all(axis=None)
    new = model.sample(20, random_state=1, exclude=people())
    assert new["id"].tolist() == [*range(201, 221)] and not {*new["code"]} & {*people()["code"]}


def test_saved_models_generate_the_same_columns(model, tmp_path):
    model.save(tmp_path / "m")
    assert Diffusion.load(tmp_path / "m").sample(50, random_state=1).equals(model.sample(50, random_state=1))


def test_unlearned_columns_are_passed_by(model, tmp_path):
    frame = people()
    model.page(tmp_path / "m.html")
    assert '"mail"' not in (tmp_path / "m.html").read_text()
    scores = model.score_samples(frame)
    np.testing.assert_array_equal(scores, model.score_samples(frame[["kind", "x", "born"]]))
    frame.loc[3, "x"] = np.nan
    filled = model.impute(frame, random_state=0)
    assert filled.drop(columns="x").equals(frame.drop(columns="x")) and filled["x"].notna().all()
    assert len(model.conditional("x").predict(frame)) == N
    # An audit sees the learned columns only.
    assert [*side_of(model.model_, frame, None, "members").columns] == ["kind", "x", "born"]
    with pytest.warns(UserWarning, match="data: column 'mail' holds e-mail addresses, and is left out"):
        assert [*columns_of({"data": people(), "rows": model.sample(9)})["rows"]] == ["kind", "x", "born"]


def test_conditions_on_generated_columns_are_refused(model):
    for options in ({"where": {"id": 3}}, {"shares": {"code": {"C0001": 0.5}}}):
        with pytest.raises(ValueError, match="is generated rather than learned: leave it out of the conditions"):
            model.sample(5, **options)
    with pytest.raises(ValueError, match="exclude has no column 'code'"):
        model.sample(5, exclude=people()[["id"]])
    numbers = Diffusion(**TINY).fit(np.random.default_rng(0).normal(size=(50, 2)))
    with pytest.raises(ValueError, match="the model generates no keys: leave start and exclude out"):
        numbers.sample(5, start=3)


CONTAINERS = {
    "pandas with types": lambda X: X.astype({"id": "int32", "code": "string", "mail": "category"}),
    "nullable pandas": lambda X: X.convert_dtypes(),
    "arrow types of pandas": lambda X: X.convert_dtypes(dtype_backend="pyarrow"),
    "polars": polars.from_pandas,
    "arrow": lambda X: pa.Table.from_pandas(X, preserve_index=False),
    "names that are numbers": lambda X: X.set_axis([3, "b", 2.5, "x", None, True], axis=1),
}


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
def test_containers_come_back_with_generated_columns(make, tmp_path):
    X = make(people())
    model = fitted(X)
    rows = model.sample(20, random_state=0)
    assert type(rows) is type(X) and rows.shape == (20, 6)
    if isinstance(X, pandas.DataFrame):
        assert rows.columns.equals(X.columns)
        plain = [i for i, kind in enumerate(X.dtypes) if kind != "category"]
        assert (rows.dtypes.iloc[plain] == X.dtypes.iloc[plain]).all()
    elif isinstance(X, pa.Table):
        assert rows.schema.equals(X.schema)
    else:
        assert rows.schema == X.schema
    model.save(tmp_path / "m")
    again = Diffusion.load(tmp_path / "m").sample(20, random_state=0)
    assert again.equals(rows)


@pytest.mark.parametrize(
    ("columns", "ending"),
    [
        (["id", "x", "kind", "y"], "csv"),
        (["x", "kind", "id", "y"], "parquet"),
        (["id", "x", "y"], "parquet"),
        (["x", "y", "code"], "csv"),
    ],
)
def test_the_command_line_writes_all_columns_in_their_places(columns, ending, tmp_path, capsys, monkeypatch):
    """Covers tables of numbers with labels, which models keep apart from their columns, and mixed tables."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frame = people().assign(x=rng.normal(size=N), y=rng.normal(size=N))[columns]
    frame.to_csv("a.csv", index=False) if ending == "csv" else frame.to_parquet("a.parquet")
    label = ["--label", "kind"] if "kind" in columns else []
    options = ["--epochs", 1, "--width", 8, "--depth", 1, *label]

    def call(*arguments):
        with pytest.raises(SystemExit) as stopped:
            monkeypatch.setattr("sys.argv", ["pointillist", *map(str, arguments)])
            main()
        return stopped.value.code or 0, capsys.readouterr()

    code, shown = call("fit", f"a.{ending}", "-o", "m", *options)
    key = columns[[each in ("id", "code") for each in columns].index(True)]
    assert code == 0 and f"generated: {key}, " in shown.err
    for name in ("one", "two"):
        start = ["--start", 150] if name == "two" else []
        assert call("sample", "m", "-o", f"{name}.{ending}", "-n", 150, *start)[0] == 0
    read = pandas.read_csv if ending == "csv" else pandas.read_parquet
    one, two = read(f"one.{ending}"), read(f"two.{ending}")
    assert (
        list(one) == columns
        and pandas.concat([one, two])[key].is_unique
        and (one.dtypes == read(f"a.{ending}").dtypes).all()
    )
    assert call("sample", "m", "-o", f"three.{ending}", "-n", 50, "--exclude", f"one.{ending}")[0] == 0
    assert not {*read(f"three.{ending}")[key]} & {*one[key]}
    assert re.search(rf"generated +{key}: ", call("info", "m")[1].out)
    assert call("score", "m", f"a.{ending}", "-o", "s.csv")[0] == 0 and len(pandas.read_csv("s.csv")) == N
    assert list(load_model(tmp_path / "m").layout.column_names) == [c for c in columns if c != "kind"]
    assert read_table(tmp_path / f"one.{ending}").names == tuple(columns)
