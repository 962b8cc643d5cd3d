"""Models of tables with columns of any kind."""

import jax
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.model_selection import GridSearchCV

from pointillist import Diffusion
from pointillist.engine.training import StackTrainer
from pointillist.models import training
from pointillist.queries import imputation

N = 1200
RNG = np.random.default_rng(0)
FAST = {"width": 64, "depth": 1, "batch_size": 32, "epochs": 40, "learning_rate": 2e-3, "random_state": 0}


def frame(n=N, seed=0):
    """Returns related columns: kind determines size and price; cost is missing for one kind."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["cat", "dog", "newt"], n, p=[0.5, 0.3, 0.2])
    weight = np.select([kind == "cat", kind == "dog"], [4.0, 20.0], 0.1) * rng.lognormal(0, 0.2, n)
    legs = np.where(kind == "newt", 4, rng.choice([3, 4], n, p=[0.1, 0.9]))
    cost = np.where(kind == "newt", np.nan, np.where(rng.random(n) < 0.5, 0.0, rng.gamma(3, 20, n)))
    return pd.DataFrame(
        {
            "kind": kind,
            "weight": weight,
            "legs": legs,
            "cost": cost,
            "tame": kind != "newt",
            "size": pd.Categorical(
                np.where(weight > 10, "big", np.where(weight > 1, "middling", "small")),
                categories=["small", "middling", "big", "huge"],
                ordered=True,
            ),
            "born": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1000, n), "D"),
            "name": pd.array(np.where(rng.random(n) < 0.2, None, "Kim"), dtype="string"),
            "age": pd.array(np.where(rng.random(n) < 0.1, None, rng.integers(0, 15, n)), dtype="Int8"),
        }
    )


@pytest.fixture(scope="module")
def data():
    return frame()


@pytest.fixture(scope="module")
def model(data):
    return Diffusion(**FAST).fit(data)


@pytest.fixture(scope="module")
def rows(model):
    return model.sample(N, random_state=1)


def test_rows_have_the_names_types_and_categories_of_the_table(data, rows):
    assert list(rows.columns) == list(data.columns)
    assert rows.dtypes.astype(str).tolist() == data.dtypes.astype(str).tolist()
    assert rows["size"].cat.categories.tolist() == ["small", "middling", "big", "huge"] and rows["size"].cat.ordered
    assert set(rows["kind"]) <= {"cat", "dog", "newt"} and "huge" not in set(rows["size"])
    assert set(rows["legs"]) <= {3, 4}
    for name in ("weight", "cost", "born", "age"):
        assert rows[name].min() >= data[name].min() and rows[name].max() <= data[name].max()


def test_missing_cells_are_as_frequent_as_in_the_data(data, rows):
    for name in ("cost", "name", "age"):
        fraction = data[name].isna().mean()
        assert abs(rows[name].isna().mean() - fraction) < 4 * np.sqrt(2 * fraction * (1 - fraction) / N)
    # A small network trained for seconds gets one row in fifty wrong.
    assert (rows["cost"].isna() == (rows["kind"] == "newt")).mean() > 0.96
    assert not rows["weight"].isna().any()


def test_columns_depend_on_each_other_as_in_the_data(data, rows):
    assert (rows["tame"] == (rows["kind"] != "newt")).mean() > 0.96
    assert ((rows["size"] == "big") == (rows["weight"] > 10)).mean() > 0.94
    for kind in ("cat", "dog", "newt"):
        drawn, real = rows[rows["kind"] == kind], data[data["kind"] == kind]
        assert abs(len(drawn) - len(real)) < 5 * np.sqrt(2 * len(real))
        assert drawn["weight"].median() == pytest.approx(real["weight"].median(), rel=0.1)
    assert (rows["cost"] == 0).mean() == pytest.approx((data["cost"] == 0).mean(), abs=0.07)


@pytest.mark.parametrize("sampler", ["heun", "ancestral"])
def test_every_sampler_draws_numbers_given_the_same_tokens(data, model, rows, sampler):
    drawn = model.sample(N, sampler=sampler, random_state=1)
    others = [name for name in rows.columns if name not in ("weight", "cost", "size")]
    pd.testing.assert_frame_equal(drawn[others], rows[others])
    assert (drawn["weight"] != rows["weight"]).mean() > 0.9
    assert drawn["weight"].between(data["weight"].min(), data["weight"].max()).all()


def test_the_same_seed_gives_the_same_rows_and_a_file_holds_the_model(model, rows, tmp_path):
    pd.testing.assert_frame_equal(model.sample(300, random_state=1), rows.head(300))
    model.save(tmp_path / "pets.model")
    again = Diffusion.load(tmp_path / "pets.model")
    pd.testing.assert_frame_equal(again.sample(N, random_state=1), rows)
    parts = list(model.sample_batches(N, random_state=1))
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), rows)


def test_observed_cells_are_kept_and_determine_the_others(model, data):
    newts = model.sample(400, where={"kind": "newt"}, random_state=0)
    assert (newts["kind"] == "newt").all()
    assert newts["cost"].isna().mean() > 0.95 and newts["tame"].mean() < 0.05
    heavy = model.sample(3, where={"weight": [25.5, 0.1, 4.25], "age": None}, random_state=0)
    assert heavy["weight"].tolist() == [25.5, 0.1, 4.25] and heavy["age"].isna().all()
    assert heavy["kind"].tolist() == ["dog", "newt", "cat"]
    assert set(model.sample(3, where={"legs": 3.0}, random_state=0)["legs"]) == {3}
    dated = model.sample(2, where={"born": data["born"][0], "tame": True}, random_state=0)
    assert (dated["born"] == data["born"][0]).all()


def test_missing_cells_are_filled_and_the_others_unchanged(model, monkeypatch):
    fresh = frame(300, seed=5)
    holes = fresh.copy()
    holes.loc[:149, "kind"] = None
    holes.loc[150:, "weight"] = np.nan
    filled = model.impute(holes, random_state=0)
    assert not filled.isna().any().any()
    assert (filled["kind"][:150] == fresh["kind"][:150]).mean() > 0.95
    pd.testing.assert_series_equal(filled["weight"][:150], fresh["weight"][:150])
    pd.testing.assert_series_equal(filled["born"], fresh["born"])
    # Newts have no cost in training: with an imputed cost, the row resembles no training row.
    other = (fresh["kind"] != "newt")[150:]
    log = np.log(filled["weight"][150:] / fresh["weight"][150:])[other]
    assert abs(log.mean()) < 4 * log.std() / np.sqrt(len(log))
    draws = model.impute(holes[list(reversed(holes.columns))], n_draws=3, random_state=0)
    assert len(draws) == 3 and list(draws[0].columns) == list(reversed(holes.columns))
    pd.testing.assert_frame_equal(draws[0][list(holes)], filled)
    assert (draws[0]["weight"][150:] != draws[1]["weight"][150:]).mean() > 0.5
    middle = model.impute(holes, statistic="median")
    pd.testing.assert_series_equal(middle["born"], fresh["born"])
    assert middle.dtypes.equals(filled.dtypes) and (middle["kind"][:150] == fresh["kind"][:150]).mean() > 0.95
    off = [(each["weight"][150:] - fresh["weight"][150:]).abs()[other].mean() for each in (middle, filled)]
    assert off[0] < off[1]
    # For any number of rows per block.
    monkeypatch.setattr(imputation, "MOST_VALUES", 1)
    monkeypatch.setattr(imputation, "ROWS_PER_CHUNK", 64)
    pd.testing.assert_frame_equal(model.impute(holes, statistic="median"), middle)


def test_numbers_that_are_categories_have_modes_and_no_median(tmp_path):
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"code": rng.choice([10, 20, 70], 400, p=[0.45, 0.1, 0.45]), "x": rng.normal(size=400)})
    data["code"] = np.where(data["x"] > 0.1, 70, data["code"])
    incomplete = data.assign(code=data["code"].astype("float").mask(np.arange(400) < 40))
    model = Diffusion(**FAST, missing="unknown").fit(incomplete, categorical=["code"])
    # For x in the middle, 10 and 70 are equally probable, and 20 lies between them.
    asked = pd.DataFrame({"code": np.nan, "x": np.full(60, -0.2)})
    filled = model.impute(asked, statistic="median")
    assert set(filled["code"]) <= {10, 70} and (data["code"] == 20).any()
    model.save(tmp_path / "m")
    view = Diffusion.load(tmp_path / "m").conditional("code")
    assert set(view.predict(asked[["x"]])) <= {10, 70}
    with pytest.raises(ValueError, match="column 'code' holds categories, which have no quantiles"):
        view.quantiles(asked[["x"]], [0.5])


@pytest.mark.parametrize(
    "convert", [lambda each: each, pl.from_pandas, pa.Table.from_pandas], ids=["pandas", "polars", "arrow"]
)
def test_filled_tables_have_the_columns_of_the_table_in_its_order(model, convert):
    holes = frame(20, seed=5)
    holes.loc[:9, "kind"] = None
    names = [f"p{i}" for i in range(20)]
    wide = holes.assign(when=pd.Timestamp("2024-01-01", tz="Asia/Tokyo"), few=pd.array([1, None] * 10, "Int8"))
    wide.insert(0, "owner", names)
    wide.index = np.arange(20) // 2
    filled = model.impute(convert(wide), random_state=0)
    assert list(filled) == list(wide) == ["owner", *holes, "when", "few"] and filled["owner"].tolist() == names
    assert not filled[list(holes)].isna().any().any() and filled["few"].isna().tolist() == [False, True] * 10
    if convert(wide) is wide:
        assert (filled.index == wide.index).all()
        pd.testing.assert_frame_equal(filled[["when", "few"]], wide[["when", "few"]])
    turned = wide.rename(columns={"owner": 7}).iloc[:, ::-1]
    assert list(model.impute(turned, n_draws=2)[1]) == list(turned)


def test_every_container_of_a_table_gives_the_same_rows():
    kinds = np.random.default_rng(0).choice(["b", "c", "a"], 100)
    sizes = pd.Categorical(kinds, categories=["c", "b", "a"])
    data = pd.DataFrame({"text": kinds, "kind": pd.Categorical(kinds), "size": sizes, "x": np.arange(100.0)})
    polars = pl.from_pandas(data)
    tables = [data, polars, pa.Table.from_pandas(data, preserve_index=False), polars.to_arrow()]
    models = [Diffusion(epochs=1, width=8, depth=1, random_state=0).fit(table) for table in tables]
    rows = [each.sample(20, random_state=1) for each in models]
    assert rows[0]["size"].cat.categories.tolist() == ["c", "b", "a"]
    found = [(table if isinstance(table, pd.DataFrame) else table.to_pandas()).astype(str) for table in rows]
    for other in found[1:]:
        pd.testing.assert_frame_equal(other, found[0])


@pytest.mark.slow
def test_polars_and_arrow_frames_come_back_as_the_same_kind():
    rng = np.random.default_rng(0)
    kinds = rng.choice(["a", "b"], 200)
    born = pl.Series(rng.integers(0, 100, 200).astype("int32")).cast(pl.Date)
    data = pl.DataFrame(
        {
            "kind": pl.Series(kinds, dtype=pl.Categorical),
            "level": pl.Series(kinds, dtype=pl.Enum(["b", "a", "c"])),
            "x": pl.Series(np.where(rng.random(200) < 0.2, np.nan, rng.normal(size=200)), dtype=pl.Float32),
            "y": pl.Series([None if i % 3 else i for i in range(200)], dtype=pl.Int16),
            "born": born,
        }
    )
    fast = {**FAST, "epochs": 2}
    rows = Diffusion(**fast).fit(data).sample(50, random_state=0)
    assert isinstance(rows, pl.DataFrame) and rows.schema == data.schema
    assert rows["x"].is_nan().any() and not rows["x"].is_null().any() and rows["y"].is_null().any()
    arrow = data.to_arrow()
    rows = Diffusion(**fast).fit(arrow).sample(50, random_state=0)
    assert isinstance(rows, pa.Table) and rows.schema == arrow.schema


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_every_unit(unit):
    born = (pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 1000, 100), "D")).as_unit(unit)
    data = pd.DataFrame({"born": born, "age": (pd.Timestamp("2024-01-01") - born).as_unit(unit)})
    rows = Diffusion(**{**FAST, "epochs": 1}).fit(data).sample(30, random_state=0)
    assert rows.dtypes.tolist() == data.dtypes.tolist()
    for name in data:
        assert data[name].min() <= rows[name].min() and rows[name].max() <= data[name].max()


@pytest.mark.slow
def test_separate_labels_with_guidance(data):
    X, y = data.drop(columns=["kind", "tame", "cost", "size"]), data["kind"].to_numpy()
    model = Diffusion(**FAST).fit(X, y)
    assert model.classes_.tolist() == ["cat", "dog", "newt"]
    assert model.class_counts_.tolist() == [int((y == label).sum()) for label in model.classes_]
    dogs = model.sample(300, labels="dog", random_state=0)
    assert list(dogs.columns) == list(X.columns)
    assert dogs["weight"].median() == pytest.approx(20, rel=0.15)
    rows, labels = model.sample(500, return_labels=True, random_state=0)
    assert len(rows) == len(labels) == 500 and set(labels) == {"cat", "dog", "newt"}
    assert rows["weight"][labels == "newt"].median() == pytest.approx(0.1, rel=0.15)
    guided = model.sample(300, labels="dog", guidance=2.0, random_state=0)
    assert (guided["weight"] > 10).mean() >= (dogs["weight"] > 10).mean()


HARD = {
    "200 booleans": {**{f"c{i}": RNG.random(150) < 0.1 for i in range(200)}, "text": RNG.choice(["x", "y"], 150)},
    "1,000 categories": {"kind": [f"k{i % 1000}" for i in range(3000)], "x": RNG.normal(size=3000)},
    "categories only": {"a": RNG.choice(list("pqr"), 100), "b": RNG.choice(list("st"), 100)},
    "constants": {"a": ["x"] * 50, "b": [1.0] * 50, "c": RNG.choice(["p", None], 50)},
}
SLOW = ("200 booleans", "constants")


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in HARD])
def test_hard_tables_train_without_nan(name):
    table = pd.DataFrame(HARD[name])
    model = Diffusion(**{**FAST, "epochs": 2}).fit(table)
    assert np.isfinite(model.history_).all()
    rows = model.sample(60, random_state=0)
    assert list(rows.columns) == list(table.columns) and rows.dtypes.tolist() == table.dtypes.tolist()


@pytest.mark.slow
def test_a_stopped_fit_resumes_to_the_same_weights(data, tmp_path, monkeypatch):
    small, options = data.head(300), {**FAST, "epochs": 8}
    whole = Diffusion(**options).fit(small)
    monkeypatch.setattr(training, "STEPS_PER_CALL", 8)
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 0.0)
    run, calls = StackTrainer.run, []

    def stopping(self, epochs):
        calls.append(epochs)
        if len(calls) == 3:
            raise ZeroDivisionError
        return run(self, epochs)

    monkeypatch.setattr(StackTrainer, "run", stopping)
    with pytest.raises(ZeroDivisionError):
        Diffusion(**options).fit(small, checkpoint=tmp_path / "c")
    assert (tmp_path / "c").exists()
    again = Diffusion(**options).fit(small, checkpoint=tmp_path / "c")
    # Two of the eight epochs were kept.
    assert len(calls) == 3 + 6
    np.testing.assert_array_equal(again.history_, whole.history_)
    for one, other in zip(*(jax.tree.leaves(each.model_.network) for each in (again, whole)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_a_frame_of_numbers_can_be_masked_and_filled():
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    data = pd.DataFrame({"x": x, "y": x + rng.normal(0, 0.3, 2000)})
    model = Diffusion(**{**FAST, "epochs": 80}, process="masked").fit(data)
    rows = model.sample(2000, random_state=0)
    assert np.corrcoef(rows["x"], rows["y"])[0, 1] == pytest.approx(np.corrcoef(data["x"], data["y"])[0, 1], abs=0.03)
    filled = model.impute(pd.DataFrame({"x": [2.0] * 300, "y": [np.nan] * 300}), random_state=0)
    assert filled["y"].mean() == pytest.approx(2.0, abs=0.25)
    plain = Diffusion(epochs=1, random_state=0).fit(data)
    assert plain.model_.process.kind == "gaussian"


@pytest.mark.slow
def test_numbers_that_are_categories():
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"code": rng.choice([3.5, 7.25, 100.0], 40), "x": rng.normal(size=40)})
    model = Diffusion(**{**FAST, "epochs": 2}).fit(data, categorical=["code"])
    assert set(model.sample(50, random_state=0)["code"]) <= {3.5, 7.25, 100.0}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.sample(2, where={"kind": "cow"}), "column 'kind' has no 'cow' in the training rows"),
        (lambda m: m.sample(2, where={"colour": 1}), "there is no column 'colour': the model's columns are kind"),
        (lambda m: m.sample(2, where={"weight": "heavy"}), "column 'weight' holds double, not .*heavy"),
        (lambda m: m.sample(2, where={"weight": None}), "column 'weight' has no missing cells in the model"),
        (
            lambda m: m.sample(2, where={"legs": [3, 4, 4]}),
            "where gives column 'legs' 3 values, one per row, and n_samples is 2: use one_of",
        ),
        (lambda m: m.sample(2, where=["kind"]), "where must map columns to values"),
        (lambda m: m.sample(2, labels="cat"), "labels need a model with classes, but this one was fitted without"),
        (lambda m: m.sample(2, guidance=1.0), "guidance needs a class to guide to"),
        (lambda m: m.sample(2, deterministic=True), "deterministic needs a Gaussian model"),
        (lambda m: m.sample(2, reward=np.sum), "reward needs a Gaussian model"),
        (lambda m: m.plot(), "are for Gaussian models, but this one has tokens"),
        (lambda m: m.impute(np.zeros((2, 9))), "X has no column 'kind'"),
        (lambda m: m.impute(frame(5).drop(columns="legs")), "X has no column 'legs'"),
        (lambda m: m.impute(frame(5).assign(legs="four")), "column 'legs' of X holds .*string, and it held int64"),
        *(
            (lambda m, name=name, cell=cell: m.sample(3, where={name: cell}), f"column '{name}' holds ")
            for name, cell in (
                ("legs", 3.5),
                ("age", 300),
                ("legs", "three"),
                ("legs", 2**70),
                ("kind", 1),
                ("born", "soon"),
            )
        ),
        (
            lambda m: m.impute(frame(5).assign(legs=[3.5] * 5)),
            "column 'legs' of X holds double, and it held int64 in fit",
        ),
        (lambda m: m.impute(frame(5), n_draws=0), "n_draws must be an integer of at least 1"),
        (lambda m: m.impute(frame(5), statistic="mean"), "statistic must be 'median', or None for draws, not 'mean'"),
        (lambda m: m.impute(frame(5), statistic="median", n_draws=2), "leave out either statistic or the number of"),
    ],
)
def test_arguments_that_are_refused(model, call, message):
    with pytest.raises(ValueError, match=message) as raised:
        call(model)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"a": [1, "x"], "b": [1, 2]}), "column 'a' holds values of several kinds"),
        (pd.DataFrame({"a": ["x"], "b": [1]}), "X has 1 row: give at least 2"),
        (pd.DataFrame({"a": ["x", "y"], "b": [np.inf, 1]}), "column 'b' holds an infinite value"),
        (pd.DataFrame({"a": ["x", "y"], "b": [2**60, 1]}), "column 'b' holds integers beyond 2\\*\\*53"),
        (pd.DataFrame({"a": ["x", "x"]}), "every column is constant"),
    ],
)
def test_tables_that_cannot_be_fitted(table, message):
    with pytest.raises(ValueError, match=message) as raised:
        Diffusion(**FAST).fit(table)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_a_search_compares_mixed_models_by_their_held_out_log_density():
    table = frame(300)[["kind", "weight", "legs"]]
    model = Diffusion(width=16, depth=1, batch_size=32, random_state=0)
    found = GridSearchCV(model, {"epochs": [1, 20]}, cv=2).fit(table)
    assert np.isfinite(found.cv_results_["mean_test_score"]).all() and found.best_params_ == {"epochs": 20}


@pytest.mark.slow
def test_rows_have_the_noise_of_the_data():
    """Columns that identify the training rows but are unrelated to x and y do not narrow y given x."""
    n, rng = 1000, np.random.default_rng(0)
    x = rng.normal(size=n)
    columns = {"x": x, "y": 2 * x + 0.5 * rng.normal(size=n), "a": rng.normal(size=n), "b": rng.normal(size=n)}
    model = Diffusion(width=96, epochs=150, random_state=0).fit(pa.table(columns | {"count": rng.poisson(5, n)}))
    for where in (None, {"x": np.tile(x, 4)}):
        rows = model.sample(4000, where=where, random_state=1)
        deviation = np.std(rows["y"].to_numpy() - 2 * rows["x"].to_numpy())
        # The standard error of a standard deviation, of the training rows and of the new ones.
        assert abs(deviation - 0.5) < 2.5 * 0.5 * (1 / (2 * n) + 1 / 8000) ** 0.5
