"""Compares rows in ranges and sets in the page of a mixed model with rows from Python."""

import numpy as np
import pyarrow as pa
import pytest

from browsers import IN_CHROMIUM
from pointillist import Diffusion, between, one_of, present
from pointillist.columns.grids import Grid
from pointillist.columns.number import NumberEncoder
from pointillist.page import mixed, numbers

DRAWN = """async ([asked, where, given]) => {
  const { content, draw } = pointillist;
  const of = (name) => content.columns.find((column) => column.name === name);
  const conditions = Object.entries(where).map(([name, asked]) => of(name).allowed(asked));
  const tokens = Object.entries(given).map(([name, value]) => [of(name).token, value]);
  const { columns, effective } = await draw({ ...asked, given: tokens, conditions });
  return [Object.fromEntries(columns.map(({ name, values }) => [name, Array.from(values)])), effective ?? null];
}"""


def drawn(page, where, given, **asked):
    """Returns the columns of rows that the page draws, by name, and their effective sample size."""
    return page.evaluate(DRAWN, [asked, where, given])


def as_condition(name, asked, encoding):
    if "values" in asked:
        known = encoding.encoder(name).categories
        return one_of(*(None if np.isnan(v) else known[v] if known else v for v in asked["values"]))
    if not asked:
        return present
    low, high = (asked.get(end) for end in ("low", "high"))
    return between(as_day(low), as_day(high)) if name == "day" else between(low, high)


def as_day(number):
    return None if number is None else (np.datetime64("1970-01-01") + number).item()


def as_numbers(name, column, encoding):
    """Returns cells as a page holds them: indices of categories, day numbers, and NaN for missing cells."""
    if name == "day":
        return column.to_numpy().astype("M8[D]").astype(int)
    cells = column.to_pylist()
    categories = encoding.encoder(name).categories
    return np.array(
        [np.nan if each is None else categories.index(each) if categories else each for each in cells], float
    )


def check_inside(found, where):
    for name, asked in where.items():
        cells = np.array(found[name])
        if "values" in asked:
            assert all(
                np.isin(cell, asked["values"]) or (np.isnan(cell) and np.nan in asked["values"]) for cell in cells
            )
        else:
            assert (cells >= asked.get("low", -np.inf)).all() and (cells <= asked.get("high", np.inf)).all()


# Ends of ranges with more digits than the columns.
HOURS, LITTLE = {"hours": {"low": 10.96, "high": 12.54}}, {"extra": {"high": 1}}
ROOMS, KIND, DAY = {"rooms": {"low": 1, "high": 3}}, {"<b>kind": {"values": [0, 2]}}, {"day": {"low": 19_800}}
CASES = [
    # A repeated value and a range of other numbers are allowed.
    (HOURS | KIND | LITTLE, {}, None, 0.0),
    pytest.param(DAY, {"extra": 0.5}, None, 0.0, marks=pytest.mark.slow),
    pytest.param(HOURS, {"rooms": 2}, "yes", 1.0, marks=pytest.mark.slow),
    pytest.param({"hours": {"low": 14}}, {"sum": 16.25}, None, 0.0, marks=pytest.mark.slow),
    pytest.param(ROOMS | KIND | DAY, {}, None, 0.0, marks=pytest.mark.slow),
    pytest.param({"rooms": {"values": [1, 4, np.nan]}} | HOURS, {}, None, 0.0, marks=pytest.mark.slow),
    pytest.param({"rooms": {}} | HOURS, {}, None, 0.0, marks=pytest.mark.slow),
    pytest.param(ROOMS, {}, "no", 2.0, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("where", "given", "label", "guidance"), CASES)
def test_rows_in_ranges_equal_those_of_python_for_the_same_seed(
    mixed_model, page_of, monkeypatch, where, given, label, guidance
):
    """Uses weights that are not rounded, because their last digits may decide which candidates are kept."""
    content = mixed.weights_content
    monkeypatch.setattr(mixed, "weights_content", lambda tensors, *_: content(tensors, "float32"))
    encoding = mixed_model.model_.codec.encoding
    conditions = {name: as_condition(name, asked, encoding) for name, asked in where.items()}
    expected = mixed_model.sample(80, where=conditions | given, labels=label, guidance=guidance, random_state=4)
    label_token = {} if label is None else {"label": encoding.encoder("label").categories.index(label)}
    found, effective = drawn(page_of(mixed_model), where, given | label_token, rows=80, seed=4, guidance=guidance)
    # A single restricted token is drawn directly.
    assert (effective or 80) == pytest.approx(mixed_model.effective_sample_size_, rel=1e-2)
    names = expected.column_names
    python = np.stack([as_numbers(name, expected[name], encoding) for name in names], 1)
    rows = np.array([found[name] for name in names], float).T
    assert np.isclose(rows, python, rtol=0, atol=1e-2, equal_nan=True).all(axis=1).mean() > 0.96
    check_inside(found, where)
    assert all(set(found[name]) == {value} for name, value in given.items())
    assert np.array_equal(np.round(found["hours"], 1), found["hours"])


def test_sets_in_a_table_without_continuous_numbers_give_the_rows_of_python(page_of, monkeypatch):
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 4, (300, 3))
    cells[:, 1] = (cells[:, 0] + cells[:, 1] // 3) % 4
    table = pa.table({name: np.array(list("abcd"))[cells[:, i]] for i, name in enumerate("xyz")})
    model = Diffusion(width=16, depth=1, epochs=5, random_state=0).fit(table)
    content = mixed.weights_content
    monkeypatch.setattr(mixed, "weights_content", lambda tensors, *_: content(tensors, "float32"))
    page = page_of(model)
    text = page.evaluate("() => pointillist.textIn('worker-source')")
    assert "class MixedModel" in text and "class Weighted" in text
    assert not any(
        part in text for part in ("class NumberModel", "class KnownRows", "function walkInto", "function drawnLabels")
    )
    expected = model.sample(100, where={"x": one_of("a", "b"), "y": one_of("b", "c")}, random_state=1)
    found, effective = drawn(page, {"x": {"values": [0, 1]}, "y": {"values": [1, 2]}}, {}, rows=100, seed=1)
    assert effective == pytest.approx(model.effective_sample_size_, rel=1e-2)
    for name in "xyz":
        assert ["abcd"[int(value)] for value in found[name]] == expected[name].to_pylist()


SETS = [("rooms", {"values": [1, 3]}), ("rooms", {"values": [np.nan, 2]}), *KIND.items()]
FIXED = [("sum", {}), ("sum", {"low": 3}), *SETS]


def test_conditions_fix_the_same_columns_as_in_python(mixed_model, page_of):
    """The other columns may change to obey the rules."""
    encoding, layout = (getattr(mixed_model.model_.codec, part) for part in ("encoding", "layout"))
    is_fixed = """([name, asked]) => {
      const { Table, content } = pointillist;
      const column = content.columns.find((each) => each.name === name);
      return new Table(content, 1, { conditions: [column.allowed(asked)] }).isFixed(0, column.token);
    }"""
    page = page_of(mixed_model)
    found = [page.evaluate(is_fixed, each) for each in FIXED]
    conditions = [(name, as_condition(name, asked, encoding)) for name, asked in FIXED]
    allowed = [encoding.encoder(name).allowed(asked, layout.type_of(name), None) for name, asked in conditions]
    assert found == [each.ends.is_set for each in allowed] == [False, False, True, True, True]


WRONG = [
    ("90", "", "sum: no training row lies there; its values go from "),
    ("5", "5", "sum: no training row lies there; its values go from "),
    ("9", "8", "sum: from 9 to 8 is empty"),
    ("five", "", 'sum: "five" is not a number'),
]


@IN_CHROMIUM
def test_ranges_can_be_entered_in_the_page(ask, mixed_model, page_of):
    page = page_of(mixed_model)
    page.click("#given summary")
    names = [*mixed_model.model_.codec.names, "label"]
    assert page.locator("#condition-column option").all_inner_texts() == names
    low, high = ask(page, "sum").all()
    status = page.locator("#status")
    for first, last, wrong in WRONG:
        low.fill(first)
        high.fill(last)
        page.click("#draw")
        assert status.inner_text().startswith(wrong)
    # A condition that all rows meet.
    low.fill("-1")
    high.fill("")
    ask(page, "hours").first.fill("11.5")
    cell = page.locator("#given-cells input").first
    cell.fill("12")
    page.click("#draw")
    assert status.inner_text() == "hours has a value and a condition: leave one of them out"
    cell.fill("")
    ask(page, "<b>kind").nth(2).check()
    page.fill("#rows", "70")
    page.click("#draw")
    page.wait_for_function("() => /^70 rows in /.test(document.all.status.textContent)")
    for cells in page.locator("#first-rows tbody tr").all():
        texts = cells.locator("td").all_inner_texts()
        assert float(texts[1]) >= 11.5 and texts[0] == "two, or more"
        assert float(texts[3]) == pytest.approx(float(texts[1]) + float(texts[2]))


@IN_CHROMIUM
def test_present_numbers_can_be_required_in_the_page(ask, page_of):
    rng = np.random.default_rng(0)
    table = pa.table({"x": pa.array(rng.normal(0, 1, 200), mask=rng.random(200) < 0.5), "y": ["a", "b"] * 100})
    page = page_of(Diffusion(width=16, depth=1, epochs=5, random_state=0).fit(table))
    page.click("#given summary")
    fields = ask(page, "x")
    assert fields.count() == 3 and ask(page, "y").count() == 2
    fields = page.locator("#conditions fieldset").first.locator("input")
    for is_checked in (False, True):
        fields.last.set_checked(is_checked)
        page.click("#draw")
        page.wait_for_function("() => !document.querySelector('#draw').dataset.busy")
        cells = page.locator("#first-rows tbody tr td:first-child").all_inner_texts()
        assert all(cells) == is_checked


def test_ranges_without_enough_rows_are_reported_in_one_line(ask, mixed_model, page_of, monkeypatch):
    monkeypatch.setitem(numbers.RANGES, "smallest_mass", 0.7)
    monkeypatch.setitem(numbers.RANGES, "most_tries", 1)
    page = page_of(mixed_model)
    page.click("#given summary")
    days = ask(page, "day")
    for first, wrong in (
        ("2025-04-01", "too few rows meet the condition: "),
        (None, "too few rows meet the conditions"),
    ):
        if first:
            days.first.fill(first)
        else:
            ask(page, "hours").first.fill("14")
        page.click("#draw")
        page.wait_for_function("() => !document.querySelector('#draw').dataset.busy")
        assert page.inner_text("#status").startswith(f"cannot draw rows here: {wrong}")


@IN_CHROMIUM
def test_dates_written_as_integers_are_rounded_as_in_python(mixed_model, page_of):
    values = np.random.default_rng(0).uniform(20231130, 20250105, 3000)
    code = NumberEncoder("day", False, np.empty(0), np.empty(0), Grid(0, is_calendar=True))
    script = """(values) => {
      const { bounded, columnOf } = pointillist;
      const described = { kind: "discrete", format: "number", is_calendar: true, n_values: 1, atoms: [] };
      const column = columnOf(described, {});
      return values.map((value) => [bounded(column, value, 1), bounded(column, value, -1), column.round(value)]);
    }"""
    found = np.array(page_of(mixed_model).evaluate(script, values.tolist()))
    np.testing.assert_array_equal(
        found.T, [code.bounded(values, 1.0), code.bounded(values, -1.0), code.rounded(values)]
    )
