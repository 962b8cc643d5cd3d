"""Observed values, missing cells and conditional distributions of numbers, against a normal distribution."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from pointillist import Diffusion, DiffusionClassifier, between, missing, one_of
from pointillist.columns.scaling import TableScaling
from pointillist.models.codec import Codec
from pointillist.models.conditioning import observed_column
from pointillist.tables.frames import aligned
from pointillist.tables.layout import Layout

MEAN = np.array([0.0, 1.0, 2.0])
COVARIANCE = np.array([[1.0, 0.8, 0.2], [0.8, 2.0, 0.5], [0.2, 0.5, 1.0]])
ROWS = np.random.default_rng(0).multivariate_normal(MEAN, COVARIANCE, size=2000)
FRAME = pd.DataFrame(ROWS, columns=list("abc"))
INCOMPLETE = FRAME[:40].mask(np.random.default_rng(1).random((40, 3)) < 0.3).set_axis(range(100, 140))


def distribution(index, **given):
    """Returns the distribution of a column given others."""
    others = ["abc".index(name) for name in given]
    slope = np.linalg.solve(COVARIANCE[np.ix_(others, others)], COVARIANCE[others, index])
    mean = MEAN[index] + slope @ (np.array([*given.values()]) - MEAN[others])
    return norm(mean, (COVARIANCE[index, index] - slope @ COVARIANCE[others, index]) ** 0.5)


@pytest.fixture(scope="module")
def model():
    recipe = {"width": 32, "depth": 1, "epochs": 60, "batch_size": 100, "learning_rate": 5e-3, "p_given": 0.7}
    return Diffusion(process="gaussian", random_state=0, **recipe).fit(FRAME)


@pytest.mark.parametrize("value", [-0.5, 2.5])
def test_rows_given_a_value_have_the_conditional_mean_and_variance(model, value):
    rows = model.sample(2000, where={"b": value}, random_state=0)
    assert (rows["b"] == value).all()
    for index, name in ((0, "a"), (2, "c")):
        expected = distribution(index, b=value)
        # Allows for standard errors of draws and for a small network trained on 2,000 rows.
        assert rows[name].mean() == pytest.approx(expected.mean(), abs=4 * expected.std() / 2000**0.5 + 0.08)
        assert rows[name].std() == pytest.approx(expected.std(), abs=4 * expected.std() / 4000**0.5 + 0.08)


@pytest.mark.slow
def test_values_go_with_ranges_and_may_differ_by_row(model):
    values = [-0.5, 2.5] * 10
    rows = model.sample(where={"b": values, "a": between(0, None)}, random_state=0)
    assert rows["b"].tolist() == values and (rows["a"] >= 0).all()
    rows = model.sample(1000, where={"b": 2.5, "a": between(1, None)}, random_state=0)
    expected = distribution(0, b=2.5).expect(lb=1, conditional=True)
    assert (rows["b"] == 2.5).all() and rows["a"].mean() == pytest.approx(expected, abs=0.12)


def test_the_distribution_of_a_column_agrees_with_the_normal_distribution(model):
    view, row = model.conditional("a"), pd.DataFrame({"b": [2.0], "c": [1.5]})
    expected = distribution(0, b=2.0, c=1.5)
    assert view.predict(row)[0] == pytest.approx(expected.mean(), abs=0.12)
    np.testing.assert_allclose(view.quantiles(row, [0.1, 0.5, 0.9])[0], expected.ppf([0.1, 0.5, 0.9]), atol=0.15)


@pytest.mark.slow
def test_draws_and_the_density_of_a_column_agree_with_the_normal_distribution(model):
    view, row = model.conditional("a"), pd.DataFrame({"b": [2.0], "c": [1.5]})
    expected = distribution(0, b=2.0, c=1.5)
    drawn = view.sample(row, 1500, random_state=0)
    assert drawn.shape == (1, 1500) and drawn.mean() == pytest.approx(view.predict(row)[0], abs=0.08)
    grid = np.linspace(-4, 6, 200)
    density = np.exp(view.log_prob(pd.DataFrame({"a": grid, "b": 2.0, "c": 1.5})))
    assert density.sum() * (grid[1] - grid[0]) == pytest.approx(1, abs=0.02)
    assert np.abs(density - expected.pdf(grid)).max() < 0.08


@pytest.mark.slow
def test_distributions_of_incomplete_rows_and_of_several_columns(model):
    incomplete = pd.DataFrame({"b": [2.0, np.nan], "c": [np.nan, np.nan]})
    levels = np.array([0.02, 0.25, 0.75, 0.98])
    one, two = model.conditional("a").quantiles(incomplete, levels)
    # The mean over 32 draws of the missing cells has an error of up to 4 * 0.57 / √32.
    np.testing.assert_allclose(one, distribution(0, b=2.0).ppf(levels), atol=0.4)
    np.testing.assert_allclose(two[1:3], norm(MEAN[0], 1.0).ppf(levels[1:3]), atol=0.4)
    view = model.conditional(["c", "a"])
    together = view.sample(pd.DataFrame({"b": [2.0]}), 300, random_state=0)
    assert together["a"].shape == (1, 300) and list(together) == ["c", "a"]
    rows = pd.DataFrame({"a": [0.3], "b": [2.0], "c": [1.5]})
    chained = distribution(0, b=2.0).logpdf(0.3) + distribution(2, a=0.3, b=2.0).logpdf(1.5)
    assert view.log_prob(rows)[0] == pytest.approx(chained, abs=0.25)


def test_only_missing_cells_are_filled(model):
    one, two = model.impute(INCOMPLETE[["c", "a", "b"]], n_draws=2, random_state=0)
    assert list(one) == list("cab") and (one.index == INCOMPLETE.index).all() and not one.isna().any().any()
    is_kept = INCOMPLETE.notna()
    assert (one[list(INCOMPLETE)].where(is_kept) == INCOMPLETE)[is_kept].stack().all() and not one.equals(two)
    only = pd.DataFrame({"a": np.nan, "b": 2.5, "c": FRAME["c"][:400]})
    filled = model.impute(only, random_state=0)["a"] - [distribution(0, b=2.5, c=c).mean() for c in only["c"]]
    assert filled.mean() == pytest.approx(0, abs=0.15)


def test_missing_cells_are_filled_with_medians(model):
    only = pd.DataFrame({"a": np.nan, "b": [2.5, np.nan] * 100, "c": FRAME["c"][:200]})
    filled = model.impute(only, statistic="median")
    expected = [distribution(0, c=c) if np.isnan(b) else distribution(0, b=b, c=c) for _, b, c in only.to_numpy()]
    # A median of 25 draws has a standard error of 1.25 σ / √25, and the model an error of some hundredths.
    off = (filled["a"] - [each.median() for each in expected]).to_numpy()
    assert abs(off.mean()) < 0.1 and off.std() < 1.25 * np.sqrt(np.mean([each.var() for each in expected]) / 25) + 0.08
    assert model.impute(only[7:9], statistic="median", random_state=5).equals(filled[7:9])
    assert (filled["c"] == only["c"]).all() and not len(model.impute(only[:0], statistic="median"))


def test_a_file_gives_the_same_rows(model, tmp_path):
    model.save(tmp_path / "m")
    again = Diffusion.load(tmp_path / "m")
    assert again.impute(INCOMPLETE, random_state=0).equals(model.impute(INCOMPLETE, random_state=0))
    rows = [each.sample(20, where={"b": 2.0}, random_state=1) for each in (model, again)]
    assert rows[0].equals(rows[1])
    longer = model.sample(600, where={"b": 2.0}, random_state=1)
    assert longer[:20].equals(rows[0])


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "value"), [("int64", 30.5), ("uint8", 300), ("bool", 5), ("int8", -129)])
def test_numbers_that_a_column_cannot_hold_are_refused(kind, value):
    rows, layout = np.array([[0.0, 1], [1, 2], [1, 3]]), Layout("array", (kind, "float64"))
    codec = Codec.from_scaling(layout, TableScaling.fit(rows, "standard", layout.is_whole))
    with pytest.raises(ValueError, match=f"column 0 of X holds double, and it held {kind} in fit"):
        aligned(np.array([[value, np.nan], [1, 2]]), layout)
    with pytest.raises(ValueError, match="column 0 holds"):
        observed_column(codec, 0, value, None)
    assert aligned(np.array([[np.nan, 0.5]]), layout).cells[1].values[0] == 0.5
    with pytest.raises(ValueError, match="has no missing cells in the model"):
        observed_column(codec, 1, [0.5, pd.NA], None)


def test_columns_of_an_array_are_named_by_position():
    model = Diffusion(process="gaussian", width=8, depth=1, epochs=1, random_state=0).fit(ROWS[:200])
    assert (model.sample(5, where={1: 2.0}, random_state=0)[:, 1] == 2.0).all()
    holes = np.where(np.arange(3) == 0, np.nan, ROWS[:4])
    filled = model.impute(holes, random_state=0)
    assert np.array_equal(filled[:, 1:], ROWS[:4, 1:]) and not np.isnan(filled).any()
    assert model.conditional(0).predict(ROWS[:4, 1:]).shape == (4,)
    alone = Diffusion(process="gaussian", width=8, depth=1, epochs=1, random_state=0).fit(ROWS[:200, :1])
    with pytest.raises(ValueError, match="columns to condition on, but only one column varies"):
        alone.impute(holes[:, :1])


@pytest.mark.parametrize("options", [{"p_given": 0}, pytest.param({"network": "mlp"}, marks=pytest.mark.slow)])
def test_a_model_without_p_given_refuses_conditions_in_one_line(options):
    model = Diffusion(process="gaussian", width=8, depth=1, epochs=1, random_state=0, **options).fit(FRAME[:200])
    asks = (
        lambda: model.sample(3, where={"a": 1.0}),
        lambda: model.impute(INCOMPLETE),
        lambda: model.conditional("a"),
    )
    for ask in asks:
        with pytest.raises(ValueError, match="p_given above 0") as raised:
            ask()
        assert "\n" not in str(raised.value)


def test_arguments_of_conditional_that_are_refused(model):
    for target, message in (("w", "there is no column 'w'"), (["a", "b", "c"], "all are targets"), ([], "one column")):
        with pytest.raises(ValueError, match=message):
            model.conditional(target)
    with pytest.raises(ValueError, match="is continuous and has no classes"):
        model.conditional("a").predict_proba(FRAME[:2])
    with pytest.raises(ValueError, match="is missing in row 1"):
        model.conditional("a").log_prob(FRAME[:3].assign(a=[1.0, np.nan, 2.0]))


@pytest.mark.slow
def test_rows_are_conditioned_on_labels_too():
    labels = np.repeat([0, 1], 1000)
    rows = pd.DataFrame({"a": 3.0 * labels + ROWS[:, 0], "b": ROWS[:, 2]})
    recipe = {"width": 24, "depth": 1, "epochs": 40, "batch_size": 100, "learning_rate": 5e-3, "p_given": 0.7}
    labelled_model = Diffusion(process="gaussian", random_state=0, **recipe).fit(rows, labels)
    asked = pd.DataFrame({"b": [2.0] * 2})
    both = labelled_model.conditional("a", labels=[0, 1])
    # a given b is N(0.2 (b - 2), 0.96), and 3 more in class 1.
    np.testing.assert_allclose(both.predict(asked), [0.0, 3.0], atol=0.25)
    one = labelled_model.conditional("a", labels=1)
    np.testing.assert_allclose(one.predict(asked), both.predict(asked)[1], atol=1e-4)
    incomplete = rows.assign(a=np.nan)[700:1300]
    filled = labelled_model.impute(incomplete, labels=labels[700:1300], random_state=0)["a"]
    np.testing.assert_allclose(filled.groupby(labels[700:1300]).mean(), [0.0, 3.0], atol=0.25)
    for call, message in (
        (lambda: labelled_model.impute(incomplete, labels=[0]), "1 labels but X has 600 rows"),
        (lambda: labelled_model.impute(incomplete, labels=2), "unknown label 2"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.fixture(scope="module")
def labelled_model():
    """Returns a model of two normal classes; the first has a quarter of the rows and a mean of 0."""
    rng = np.random.default_rng(0)
    y = np.array(["no", "yes", "yes", "yes"])[np.arange(1600) % 4]
    rows = rng.normal(size=(1600, 2)) @ np.linalg.cholesky(COVARIANCE[:2, :2]).T + 2.0 * (y == "yes")[:, None]
    recipe = {"width": 32, "depth": 1, "epochs": 60, "batch_size": 100, "learning_rate": 5e-3, "p_given": 0.5}
    return Diffusion(process="gaussian", random_state=0, **recipe).fit(pd.DataFrame(rows, columns=["a", "b"]), y)


def test_labels_are_predicted_as_the_classifier_does_and_by_bayes_rule(labelled_model):
    view, rows = (
        labelled_model.conditional("label"),
        pd.DataFrame({"a": [0.0, 1.0, 2.0, 9.0], "b": [0.0, 1.5, 2.0, 9.0]}),
    )
    assert view.classes_.tolist() == ["no", "yes"]
    p = view.predict_proba(rows)
    np.testing.assert_allclose(p, DiffusionClassifier(labelled_model).predict_proba(rows), rtol=1e-5)
    # One observed number, the other missing: the marginal of a is N(0, 1) or N(2, 1).
    incomplete = rows.assign(b=np.nan)[:3]
    # 0.1 here and below allows for errors of small networks trained on a few thousand rows.
    p_yes = (
        0.75 * norm.pdf(incomplete["a"], 2) / (0.75 * norm.pdf(incomplete["a"], 2) + 0.25 * norm.pdf(incomplete["a"]))
    )
    np.testing.assert_allclose(view.predict_proba(incomplete)[:, 1], p_yes, atol=0.1)
    assert view.predict(rows).tolist() == np.where(p[:, 1] > p[:, 0], "yes", "no").tolist()
    drawn = view.sample(rows, 2000, random_state=0)
    np.testing.assert_allclose((drawn == "yes").mean(axis=1), p[:, 1], atol=4 * 0.5 / 2000**0.5)
    labelled = rows.assign(label=["no", "yes", "yes", "no"])
    expected = np.log(p[np.arange(4), [0, 1, 1, 0]])
    np.testing.assert_allclose(view.log_prob(labelled), expected, atol=1e-4)
    pd.testing.assert_frame_equal(
        labelled_model.sample(5, where={"label": "no"}, random_state=0),
        labelled_model.sample(5, labels="no", random_state=0),
    )
    for call, message in (
        (lambda: view.quantiles(rows, [0.5]), "holds categories, which have no quantiles"),
        (lambda: view.log_prob(rows), "X has no column 'label'"),
        (lambda: view.log_prob(labelled.assign(label=None)), "target 'label' is missing in row 0"),
        (lambda: labelled_model.conditional(["label", "a"]), "cannot be predicted together"),
        (lambda: labelled_model.conditional("label", labels="no"), "is also in labels"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_labels_come_in_any_container(labelled_model):
    incomplete = pd.DataFrame({"a": [0.5, np.nan, 1.0], "b": [np.nan, 0.2, 1.0]})
    known = labelled_model.impute(incomplete, labels=["no", "yes", "no"], random_state=0)
    for kind in ("category", "string", object):
        found = labelled_model.impute(incomplete, labels=pd.Series(["no", "yes", "no"], dtype=kind), random_state=0)
        pd.testing.assert_frame_equal(found, known)
    some = labelled_model.impute(incomplete, labels=["no", "yes", None], random_state=0)
    pd.testing.assert_frame_equal(
        labelled_model.impute(incomplete, labels=pd.Series(["no", "yes", None], dtype="string"), random_state=0), some
    )
    view = labelled_model.conditional("label")
    odd = incomplete[2:].assign(label="no", note=[{}])
    assert np.isfinite(view.log_prob(odd)).all()
    assert labelled_model.conditional(np.array(["a"])).targets == ("a",)


def test_labels_drawn_given_rows_are_independent_of_the_labels_of_the_rows(labelled_model):
    rows, labels = labelled_model.sample(2000, return_labels=True, random_state=0)
    p = labelled_model.conditional("label").predict_proba(rows)
    drawn = labelled_model.conditional("label").sample(rows, random_state=0)[:, 0]
    # Expected for independent labels with these probabilities.
    expected, error = (p**2).sum(axis=1).mean(), 0.5 / 2000**0.5
    assert abs((drawn == labels).mean() - expected) < 4 * error


def test_labels_that_are_refused(labelled_model):
    for asked, message in (
        ({"where": {"label": None}}, "column 'label' holds labels and cannot be missing"),
        ({"where": {"label": missing}}, "column 'label' holds labels and cannot be missing"),
        ({"where": {"label": between("no", "yes")}}, "give one label, or one per row"),
        ({"labels": np.ma.array(["no", "yes"], mask=[1, 0])}, "labels has masked values"),
        ({"prior": np.ma.array(np.zeros((2, 2)), mask=[[1, 0], [0, 0]])}, "prior has masked values"),
    ):
        with pytest.raises(ValueError, match=message):
            labelled_model.sample(2, **asked)
    assert len(labelled_model.sample(2, where={"label": one_of("no")})) == 2


def test_columns_may_be_named_like_fields_of_a_request():
    frame = pd.DataFrame(ROWS[:300], columns=["prior", "labels", "n_samples"])
    recipe = {"width": 16, "depth": 1, "epochs": 1, "p_given": 0.5}
    for process in ("gaussian", "masked"):
        model = Diffusion(process=process, random_state=0, **recipe).fit(frame)
        for name in frame.columns:
            one = model.sample(4, where={name: 0.5}, random_state=0)
            each = model.sample(where={name: [0.5, 0.25, 0.125]}, random_state=0)
            assert len(one) == 4 and (one[name] == 0.5).all() and each[name].tolist() == [0.5, 0.25, 0.125]


def test_integers_have_probabilities():
    rng = np.random.default_rng(0)
    x = rng.normal(size=3000)
    k = np.clip(np.round(1 + x + rng.normal(size=3000)), -1, 3).astype(int)
    recipe = {"width": 32, "depth": 1, "epochs": 60, "batch_size": 100, "learning_rate": 5e-3, "p_given": 0.5}
    model = Diffusion(process="gaussian", random_state=0, **recipe).fit(pd.DataFrame({"x": x, "k": k}))
    view, rows = model.conditional("k"), pd.DataFrame({"x": [-1.0, 0.0, 1.5]})
    p = view.predict_proba(rows)
    assert view.classes_.tolist() == [-1, 0, 1, 2, 3] and np.allclose(p.sum(axis=1), 1)
    edges = np.array([-np.inf, -0.5, 0.5, 1.5, 2.5, np.inf])
    np.testing.assert_allclose(p, np.diff(norm.cdf(edges, 1 + rows[["x"]].to_numpy(), 1), axis=1), atol=0.1)
    drawn = view.sample(rows, 2000, random_state=0)
    fractions = np.stack([(drawn == value).mean(axis=1) for value in view.classes_], axis=1)
    np.testing.assert_allclose(p, fractions, atol=4 * 0.5 / 2000**0.5 + 0.01)
    with pytest.raises(ValueError, match="column 'x' is continuous and has no classes"):
        model.conditional("x").predict_proba(rows)


@pytest.fixture(scope="module")
def posterior():
    """A model of parameters given the data of a linear simulator, and its table."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(4000, 2))
    data = theta @ [[1.0, 0.5], [0.0, 1.0]] + 0.3 * rng.normal(size=(4000, 2))
    table = pd.DataFrame({"theta": theta[:, 0], "other": theta[:, 1], "x": data[:, 0], "y": data[:, 1]})
    recipe = {"width": 32, "depth": 1, "epochs": 40, "batch_size": 100, "learning_rate": 5e-3}
    return Diffusion(process="gaussian", random_state=0, **recipe).fit(table, given=["x", "y"])


def test_rows_given_the_columns_of_fit_follow_the_posterior(posterior, recwarn):
    rows = posterior.sample(4000, where={"x": 1.0, "y": 0.2}, random_state=0)
    slopes = np.array([[1.0, 0.5], [0.0, 1.0]]).T
    covariance = np.linalg.inv(np.eye(2) + slopes.T @ slopes / 0.3**2)
    mean = covariance @ slopes.T @ [1.0, 0.2] / 0.3**2
    drawn = rows[["theta", "other"]].to_numpy()
    deviation = np.diag(covariance) ** 0.5
    # The network's error is below a tenth of the posterior's standard deviation; draws add a fortieth.
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.1 * deviation.max())
    np.testing.assert_allclose(drawn.std(axis=0) / deviation, 1, atol=0.1)
    expected = covariance[0, 1] / deviation.prod()
    assert np.corrcoef(drawn.T)[0, 1] == pytest.approx(expected, abs=0.06)
    assert not [warning for warning in recwarn if "given" in str(warning.message)]


@pytest.mark.parametrize("where", [None, {"x": 1.0}, {"x": 1.0, "y": 0.2, "other": 0.0}])
def test_other_conditions_than_those_of_fit_are_less_precise_and_say_so(posterior, where, tmp_path):
    posterior.save(tmp_path / "m.model")
    for model in (posterior, Diffusion.load(tmp_path / "m.model")):
        with pytest.warns(UserWarning, match=r"fitted with given=\['x', 'y'\]"):
            model.sample(3, where=where, random_state=0)


@pytest.mark.parametrize(
    ("given", "parameters", "message"),
    [
        (["a", "b", "c"], {}, "given has 3 of the 3 columns that vary: give some but not all"),
        ("a", {}, r"given takes a list of columns, not 'a': give \['a'\]"),
        (["z"], {}, "there is no column 'z': the model's columns are a, b, c"),
        (["a"], {"network": "mlp"}, "given needs network='residual' and p_given above 0"),
        (["a"], {"p_given": 0}, "given needs network='residual' and p_given above 0"),
        (["a"], {"process": "masked"}, "given is for Gaussian diffusion"),
        (["a"], {"epsilon": 1.0, "domain": dict.fromkeys("abc", (-9.0, 9.0))}, "given is not for private fits"),
    ],
)
def test_given_columns_that_cannot_be_used_are_refused_in_one_line(given, parameters, message):
    with pytest.raises(ValueError, match=message) as raised:
        Diffusion(epochs=1, **parameters).fit(FRAME, given=given)
    assert "\n" not in str(raised.value)
