"""Checks that the content of an array, not its container, decides how it is modeled."""

import warnings

import numpy as np
import pandas
import pytest
from pyarrow import csv

from pointillist import Diffusion, between, one_of
from pointillist.cli import main
from pointillist.metrics import boosted_two_sample
from pointillist.models.fitting import prepare

QUICK = {"width": 16, "depth": 1, "epochs": 2, "random_state": 0}
RNG = np.random.default_rng(0)


def skewed(n):
    """Returns correlated counts, a spike at zero, ratings and a long tail."""
    z = RNG.multivariate_normal(np.zeros(4), 0.5 + 0.5 * np.eye(4), n)
    return np.column_stack(
        [
            np.floor(3 * np.exp(z[:, 0])),
            np.where(z[:, 1] < 0, 0, z[:, 1] ** 2),
            np.clip(np.round(1.5 * z[:, 2]), -2, 2),
            np.exp(z[:, 3]),
        ]
    )


def is_of_numbers(rows, **chosen):
    """Returns how a fit would model the rows."""
    return prepare(Diffusion(**QUICK, **chosen), rows).plan.process.kind == "gaussian"


def as_table(rows):
    return {str(i): np.ascontiguousarray(column) for i, column in enumerate(rows.T)}


@pytest.mark.slow
def test_columns_that_repeat_are_hard_to_distinguish():
    data, fresh = skewed(2000), skewed(2000)
    rows = Diffusion(random_state=0).fit(data).sample(2000, random_state=0)
    assert rows.dtype == np.float64 and rows.shape == (2000, 4)
    assert {*np.unique(rows[:, 2])} <= {-2, -1, 0, 1, 2} and np.array_equal(rows[:, 0], np.round(rows[:, 0]))
    assert abs((rows[:, 1] == 0).mean() - 0.5) < 0.06
    # For numbers with a density, the area under the curve is 1.
    assert boosted_two_sample(as_table(fresh), as_table(rows)).auc < 0.58


def test_the_container_does_not_matter():
    data = skewed(300)
    frame = pandas.DataFrame(data, columns=list("abcd"))
    array_plan, frame_plan = (prepare(Diffusion(**QUICK), X).plan for X in (data, frame))
    np.testing.assert_array_equal(array_plan.rows, frame_plan.rows)
    assert array_plan.process.architecture == frame_plan.process.architecture
    for smooth in (RNG.normal(size=(300, 2)), skewed(100)):
        assert is_of_numbers(smooth) == is_of_numbers(pandas.DataFrame(smooth))
    assert is_of_numbers(RNG.normal(size=(300, 2))) and is_of_numbers(skewed(100)) and not is_of_numbers(data)


@pytest.mark.parametrize("chosen", [{"timesteps": 150}, {"schedule": "sigmoid"}, {"scaling": None}, {"p_given": 0.0}])
def test_parameters_of_gaussian_diffusion_select_it_or_cause_a_warning(chosen):
    data = skewed(300)
    with warnings.catch_warnings(action="error"):
        # Without a scaling, these columns are wide.
        warnings.filterwarnings("ignore", "few-step samplers start")
        for rows in (data, pandas.DataFrame(data)):
            assert is_of_numbers(rows, **chosen) and not is_of_numbers(rows)
    mixed = pandas.DataFrame(data).assign(kind=list("xyz") * 100)
    with pytest.warns(UserWarning, match=f"masked diffusion, which does not use {next(iter(chosen))}$"):
        assert not is_of_numbers(mixed, **chosen)


def test_tables_too_large_for_memory_are_not_encoded_as_tokens(monkeypatch):
    data = skewed(300)
    monkeypatch.setattr("pointillist.models.choosing.SPOOL_ABOVE", data.nbytes - 1)
    assert is_of_numbers(data)


@pytest.mark.slow
def test_missing_cells_and_text_of_arrays(tmp_path):
    holes = RNG.normal(size=(60, 3))
    holes[::4, 1] = np.nan
    model = Diffusion(**QUICK).fit(holes)
    rows = model.sample(200, where={0: 0.25}, random_state=0)
    assert rows.dtype == np.float64 and np.isnan(rows[:, 1]).any() and not np.isnan(rows[:, 2]).any()
    assert (rows[:, 0] == 0.25).all()
    filled = model.impute(holes, random_state=0)
    assert not np.isnan(filled).any() and np.array_equal(filled[:, [0, 2]], holes[:, [0, 2]])
    with pytest.raises(ValueError, match="given an array, in which there is no room for column 'b' of X: drop it"):
        model.impute(pandas.DataFrame(holes).assign(b=1))
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(
        Diffusion.load(tmp_path / "m").sample(9, random_state=0), model.sample(9, random_state=0)
    )
    masked = Diffusion(**QUICK).fit(np.ma.array(np.nan_to_num(holes), mask=np.isnan(holes)))
    np.testing.assert_array_equal(masked.sample(9, random_state=0), model.sample(9, random_state=0))
    words = np.array([["a", 1, None], ["b", 2, 0.5]] * 30, object)
    drawn = Diffusion(**QUICK).fit(words).sample(40, random_state=0)
    assert drawn.dtype == object and {*drawn[:, 0]} == {"a", "b"} and {*drawn[:, 1]} <= {1, 2} and None in drawn[:, 2]


def test_arrays_that_are_refused():
    for cells, message in [([1.0, np.inf], "inf"), ([1.0, "a"], "column 0 holds values of several kinds")]:
        with pytest.raises(ValueError, match=message):
            Diffusion(**QUICK).fit(np.array([[cell] for cell in cells * 20], object))
    with pytest.raises(ValueError, match="categorical columns are for process='masked'"):
        Diffusion(**QUICK, process="gaussian").fit(RNG.normal(size=(30, 2)), categorical=[0])


@pytest.mark.slow
def test_files_of_numbers_that_repeat(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = skewed(300)
    np.save("a.npy", np.column_stack([data, np.arange(300) % 2]))
    np.savetxt("a.csv", data, delimiter=",", header="n,x,stars,y", comments="")

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["pointillist", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, capsys.readouterr()

    fit = "--epochs", 2, "--width", 16, "--depth", 1
    code, shown = run("fit", "a.npy", "--label", 4, "-o", "m", *fit)
    assert code == 0 and "5 different" in shown.err, shown.err
    assert Diffusion.load("m").classes_.tolist() == [0.0, 1.0]
    assert run("sample", "m", "-n", 40, "--label", 1, "--where", "2=-1", "-o", "new.npy")[0] == 0
    new = np.load("new.npy")
    assert new.shape == (40, 5) and (new[:, 4] == 1).all() and (new[:, 2] == -1).all()
    assert run("fit", "a.csv", "-o", "m", *fit)[0] == 0 and run("sample", "m", "-n", 40, "-o", "new.csv")[0] == 0
    assert csv.read_csv("new.csv").column_names == ["n", "x", "stars", "y"]


def test_objects_that_are_numbers_are_read_as_numbers():
    rng = np.random.default_rng(0)
    counts, flags = rng.integers(0, 5, 200), rng.random(200) < 0.3
    frame = pandas.DataFrame({"count": counts, "flag": flags, "x": rng.normal(size=200)})
    object_model = Diffusion(**QUICK).fit(frame.to_numpy())
    drawn = object_model.sample(20, random_state=0)
    assert object_model.model_.process.kind == "masked"
    assert {*drawn[:, 0]} <= {*range(5)} and {*drawn[:, 1]} <= {0, 1}
    whole = Diffusion(**QUICK, process="gaussian").fit(frame[["count", "count"]].astype(object).to_numpy())
    assert whole.sample(3, random_state=0).dtype == np.int64


DECIMAL = {"petal": 0.1, "price": 0.05, "age": 5.0, "noise": 0.0, "single": 0.1}


def decimal_frame(n=150):
    """Returns correlated columns on grids and one of noise; the first two are not negative."""
    z = np.random.default_rng(1).multivariate_normal(np.zeros(5), 0.5 + 0.5 * np.eye(5), n)
    columns = [np.abs(z[:, 0]), np.exp(z[:, 1]), 40 + 15 * z[:, 2], z[:, 3], 3 * z[:, 4]]
    rounded = {
        name: step * np.round(column / step) if step else column
        for (name, step), column in zip(DECIMAL.items(), columns, strict=True)
    }
    frame = pandas.DataFrame(rounded).astype({"age": int})
    return frame.round({"petal": 1, "price": 2, "single": 1}).astype({"single": "float32"})


def check_on_grids(rows):
    for name, step in DECIMAL.items():
        column = rows[name].to_numpy()
        if step:
            # As few digits as the training rows have.
            texts = [str(value) for value in column]
            assert max(len(text.partition(".")[2]) for text in texts) <= len(str(step).partition(".")[2]), name
            np.testing.assert_allclose(column / step, np.round(column / step), atol=1e-4)
    assert (rows[["petal", "price"]].to_numpy() >= 0).all()


def test_new_numbers_have_the_decimals_steps_and_ends_of_the_training_rows(tmp_path):
    frame = decimal_frame()
    model = Diffusion(**QUICK).fit(frame)
    assert model.model_.process.kind == "gaussian"
    incomplete = frame.copy()
    incomplete.loc[::2, ["petal", "single"]] = np.nan
    incomplete.loc[1::2, ["price", "noise"]] = np.nan
    incomplete["age"] = incomplete["age"].astype("Int64")
    incomplete.loc[::5, "age"] = None
    for rows in (model.sample(500, random_state=0), model.impute(incomplete, random_state=0)):
        check_on_grids(rows)
        assert rows.dtypes.tolist() == frame.dtypes.tolist()
    check_on_grids(model.impute(incomplete, statistic="median"))
    view = model.conditional(list(DECIMAL)[:3])
    drawn = {name: values[:, 0] for name, values in view.sample(frame, random_state=0).items()}
    check_on_grids(frame.assign(**drawn))
    quantiles = model.conditional("price").quantiles(frame, [0.01, 0.5])
    assert (quantiles >= 0).all() and np.array_equal(np.round(quantiles, 2), quantiles)
    where = {"price": between(0.98, 1.17), "petal": one_of(0.2, 0.5)}
    some = model.sample(50, where=where, random_state=0)
    assert {*some["price"]} <= {1.0, 1.05, 1.1, 1.15} and {*some["petal"]} <= {0.2, 0.5}
    with pytest.raises(ValueError, match=r"column 'price': no training row is between\(1.01, 1.04\)"):
        model.sample(3, where={"price": between(1.01, 1.04)})


def test_files_have_the_decimals_of_the_training_rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = decimal_frame()
    frame.to_csv("data.csv", index=False)
    Diffusion(**QUICK).fit(frame).save("m")

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["pointillist", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code

    for name in ("new.csv", "new.parquet", "new.npy"):
        run("sample", "m", "-n", 200, "-o", name)
    check_on_grids(pandas.read_csv("new.csv", dtype={"single": "float32"}))
    check_on_grids(pandas.read_parquet("new.parquet"))
    check_on_grids(pandas.DataFrame(np.load("new.npy"), columns=list(DECIMAL)).astype({"single": "float32"}))
    incomplete = frame.astype({"age": "Int64"})
    incomplete.iloc[::2, :3] = None
    incomplete.to_csv("incomplete.csv", index=False)
    run("impute", "m", "incomplete.csv", "-o", "filled.csv")
    check_on_grids(pandas.read_csv("filled.csv", dtype={"single": "float32"}))


def test_numbers_do_not_pile_up_at_the_ends_of_the_range():
    rows = np.random.default_rng(0).normal(size=(150, 2))
    drawn = Diffusion(**QUICK | {"epochs": 60}).fit(rows).sample(5000, random_state=0)
    margin = 0.05 * np.ptp(rows, axis=0)
    is_beyond = (drawn < rows.min(axis=0) - margin) | (drawn > rows.max(axis=0) + margin)
    assert is_beyond.any() and is_beyond.mean() < 0.01
    # In single precision two numbers may be equal by chance, but not three.
    assert max(np.unique(column, return_counts=True)[1].max() for column in drawn.T) < 3
