"""Compares rows in ranges in the page of a numeric model with rows from Python."""

from copy import copy
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from page_steps import downloaded

from browsers import IN_CHROMIUM
from pointillist import Diffusion, between, one_of
from pointillist.page import numbers

SMALL = {"width": 16, "depth": 1, "epochs": 20, "batch_size": 32, "timesteps": 50, "random_state": 0}


@pytest.fixture(scope="module")
def table():
    """Returns a table with correlated numbers, few integers, booleans and a constant."""
    rng = np.random.default_rng(0)
    a = rng.normal(2, 3, size=400)
    b, count = a + rng.normal(size=400), np.clip(np.round(a + rng.normal(size=400)), 0, 6).astype(int)
    columns = {"<b>a": a, "b": b, "same": np.full(400, 7), "count": count, "c": rng.exponential(size=400)}
    return pa.table(columns | {"is_new": a > 2})


@pytest.fixture(scope="module")
def model(table):
    labels = np.where(np.random.default_rng(1).random(400) < 0.4, "high", "low")
    return Diffusion(process="gaussian", **SMALL).fit(table, labels)


IN_RANGES = """async ([asked, where, given]) => {
  const { content, draw } = pointillist;
  const of = (name) => content.columns.find((column) => column.name === name);
  const ranges = Object.entries(where).map(([name, asked]) => of(name).allowed(asked));
  const observed = Object.entries(given).map(([name, value]) => [of(name).slot, value]);
  const { columns, effective } = await draw({ ...asked, given: observed, ranges });
  return [Object.fromEntries(columns.map(({ name, values }) => [name, Array.from(values)])), effective];
}"""


HIGH, LOW = 0, 1


def drawn(page, where, given=None, label=LOW, **asked):
    """Returns the columns of rows of a class that the page draws, by name, and their effective sample size."""
    return page.evaluate(IN_RANGES, [asked | {"label": label}, where, given or {}])


def as_condition(asked):
    return one_of(*asked["values"]) if "values" in asked else between(asked.get("low"), asked.get("high"))


RANGE, SET = {"<b>a": {"low": 4, "high": 5.5}}, {"count": {"values": [0, 3, 4, 6]}}
CASES = [
    (RANGE | SET, {}, LOW, 0.0),
    pytest.param(RANGE, {"b": 3.5}, HIGH, 1.0, marks=pytest.mark.slow),
    pytest.param({"<b>a": {"low": 7.5}}, {}, HIGH, 0.0, marks=pytest.mark.slow),
    pytest.param({"count": {"low": 1.5, "high": 3}, "c": {"high": 0.5}}, {}, LOW, 0.0, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("where", "given", "label", "guidance"), CASES)
def test_rows_in_ranges_equal_those_of_python_for_the_same_seed(
    model, table, page_of, monkeypatch, where, given, label, guidance
):
    """Uses weights that are not rounded, because their last digits may decide which candidates are kept."""
    content = numbers.network_content
    monkeypatch.setattr(numbers, "network_content", lambda *parts, **more: content(*parts[:2], "float32", **more))
    conditions = {name: as_condition(asked) for name, asked in where.items()}
    options = {"labels": ["high", "low"][label], "guidance": guidance}
    expected = model.sample(130, where=conditions | given, random_state=4, **options)
    found, effective = drawn(page_of(model), where, given, label, rows=130, seed=4, guidance=guidance)
    assert effective == pytest.approx(model.effective_sample_size_, rel=1e-2)
    scaling = model.model_.codec.scaling
    rows = [np.stack([np.array(of[name], float) for name in table.column_names], 1) for of in (found, expected)]
    assert (np.abs(np.subtract(*map(scaling.transform, rows))) < 1e-2).all(axis=1).mean() > 0.98
    check_inside(found, where)
    assert all(set(found[name]) == {value} for name, value in given.items())


def check_inside(found, where):
    for name, asked in where.items():
        cells = np.array(found[name])
        assert np.isin(cells, asked["values"]).all() if "values" in asked else True
        assert (cells >= asked.get("low", -np.inf)).all() and (cells <= asked.get("high", np.inf)).all()


def test_rows_in_ranges_follow_the_conditional_distribution(model, page_of):
    """Compares with rejection sampling from rows that the same solver draws without ranges."""
    where = {"<b>a": {"low": 1, "high": 5}, "is_new": {"values": [1]}}
    free = model.sample(6000, labels="low", sampler="dpm-sde", steps=numbers.RANGES["points"], random_state=1)
    is_kept = [1 <= a <= 5 and is_new for a, is_new in zip(*(free[name].to_pylist() for name in where), strict=True)]
    found, effective = drawn(page_of(model), where, rows=500, seed=2)
    check_inside(found, where)
    assert 250 < effective <= 500
    for name in ("<b>a", "b", "count", "c"):
        in_range, other = np.array(found[name]), np.array(free[name])[is_kept]
        error = other.std() * (1 / effective + 1 / len(other)) ** 0.5
        assert abs(in_range.mean() - other.mean()) < 4 * error
        assert abs(np.mean(in_range > np.median(other)) - np.mean(other > np.median(other))) < 2 * error / other.std()


def test_rows_in_a_range_are_on_the_grid_of_the_column(page_of):
    rng = np.random.default_rng(0)
    a = rng.normal(size=400)
    rows = {"a": np.round(0.05 * np.round(20 * a), 2), "b": rng.normal(size=400)}
    model = Diffusion(process="gaussian", **SMALL).fit(pa.table(rows))
    ask = "asked => pointillist.content.columns[0].allowed(asked)"
    page, codec = page_of(model), model.model_.codec
    for asked, ends in (({"low": 0.98, "high": 1.17}, [1.0, 1.15]), ({"values": [0.2]}, [0.2, 0.2])):
        found = page.evaluate(ask, asked)
        wide = np.array(ends) + 0.499 * 0.05 * np.array([-1, 1])
        expected = codec.encode(np.stack([wide, [0, 0]], axis=1))[:, 0]
        assert found["ends"] == ends and found["ranges"] == [pytest.approx(expected.tolist(), abs=1e-5)]
        some = model.sample(40, where={"a": as_condition(asked)}, random_state=0)["a"].to_numpy()
        assert some.min() >= ends[0] and some.max() <= ends[1]
    with pytest.raises(Exception, match="a: no training row lies there"):
        page.evaluate(ask, {"low": 1.01, "high": 1.04})


WRONG = [
    ("90", "", "<b>a: no training row lies there; its values go from -"),
    ("5", "5", "<b>a: no training row lies there; its values go from -"),
    ("5", "4", "<b>a: from 5 to 4 is empty"),
    ("five", "", '<b>a: "five" is not a number'),
]


@IN_CHROMIUM
def test_ranges_can_be_entered_in_the_page(ask, model, page_of):
    page = page_of(model)
    page.click("#given summary")
    assert page.locator("#condition-column option").all_inner_texts() == ["<b>a", "b", "count", "c", "is_new"]
    low, high = ask(page, "<b>a").all()
    assert low.evaluate("field => field === document.activeElement")
    status = page.locator("#status")
    for first, last, wrong in WRONG:
        low.fill(first)
        high.fill(last)
        page.click("#draw")
        assert status.inner_text().startswith(wrong)
    low.fill("4")
    high.fill("")
    cell = page.locator("#given-cells input").first
    cell.fill("4.5")
    page.click("#draw")
    assert status.inner_text() == "<b>a has a value and a condition: leave one of them out"
    cell.fill("")
    page.click("#draw")
    assert status.inner_text() == "classes are not known before the ranges: choose one"
    page.select_option("#class", label="low")
    values = ask(page, "count")
    assert values.count() == 7
    for index in (3, 5):
        values.nth(index).check()
    page.fill("#rows", "70")
    page.click("#draw")
    page.wait_for_function("() => /^70 rows in .*; effective sample size \\d+$/.test(document.all.status.textContent)")
    for cells in page.locator("#first-rows tbody tr").all():
        texts = cells.locator("td").all_inner_texts()
        assert float(texts[0]) >= 4 and texts[3] in ("3", "5") and texts[6] == "low"


@IN_CHROMIUM
def test_the_name_of_a_column_adds_a_condition(model, page_of):
    page = page_of(model)
    page.locator("#first-rows th button", has_text="<b>a").click()
    field = page.locator("#conditions input").first
    assert field.is_visible() and field.evaluate("field => field === document.activeElement")
    # Once.
    page.locator("#first-rows th button", has_text="<b>a").click()
    assert page.locator("#conditions fieldset").count() == 1
    # A column that does not vary has no conditions.
    assert page.locator("#first-rows th button", has_text="same").count() == 0


@IN_CHROMIUM
def test_of_conditions_that_many_rows_meet_plain_rows_are_kept(ask, model, page_of, tmp_path):
    """They need no weighted candidates, which take ten times as long."""
    page = page_of(model)
    page.click("#given summary")
    page.select_option("#class", label="low")
    ask(page, "<b>a").nth(1).fill("2.5")
    page.fill("#rows", "900")
    page.fill("#seed", "3")
    page.click("#draw")
    page.wait_for_function("() => document.all.status.textContent.startsWith('900 rows in')")
    assert "effective" not in page.inner_text("#status")
    _, *cells = downloaded(page, "#csv", tmp_path / "rows.csv")
    plain = page.evaluate(
        """async () => {
             const { chunk } = pointillist.content.model;
             const { columns } = await pointillist.draw({ rows: 2 * chunk, seed: 3, label: 1 });
             return Array.from(columns[0].values);
           }"""
    )
    found, kept = np.array([float(row[0]) for row in cells]), np.array(plain)[np.array(plain) <= 2.5]
    assert len(found) == 900 > len(kept) and found.max() <= 2.5
    np.testing.assert_allclose(found[: len(kept)], kept, rtol=1e-6)
    # Rows of the next seed are others.
    assert not set(found[len(kept) :]) & set(kept)


def test_ranges_without_enough_rows_are_reported_in_one_line(ask, model, page_of, monkeypatch):
    monkeypatch.setitem(numbers.RANGES, "smallest_mass", 0.5)
    monkeypatch.setitem(numbers.RANGES, "most_tries", 3)
    page = page_of(model)
    page.click("#given summary")
    page.select_option("#class", label="low")
    ask(page, "<b>a").first.fill("7.5")
    page.click("#draw")
    page.wait_for_function("() => !document.querySelector('#draw').dataset.busy")
    wrong = "cannot draw rows here: too few rows meet the conditions together: widen them"
    assert page.inner_text("#status") == wrong


def test_a_model_without_observed_cells_still_takes_ranges(model, page_of):
    plain = copy(model)
    process = model.model_.process
    plain.model_ = replace(
        model.model_, process=replace(process, architecture=replace(process.architecture, has_observed=False))
    )
    page = page_of(plain)
    assert page.inner_text("#given summary") == "Give ranges or sets"
    found, _ = drawn(page, RANGE, rows=50, seed=0)
    check_inside(found, RANGE)
