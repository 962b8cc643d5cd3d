"""Compares rows given continuous numbers in the page of a mixed model with rows from Python."""

from datetime import date

import numpy as np
import pytest

from browsers import IN_CHROMIUM
from pointillist.page import mixed

DRAWN = """async ([asked, given]) => {
  const { content, draw } = pointillist;
  const { columns } = await draw({
    ...asked,
    given: Object.entries(given).map(([name, value]) => [
      content.columns.find((column) => column.name === name).token,
      value ?? NaN,
    ]),
  });
  const cells = ({ nominal, values }) => Array.from(values, (value) => (nominal ? nominal[value] : value));
  return Object.fromEntries(columns.map((column) => [column.name, cells(column)]));
}"""

NUMBERS = ("hours", "extra", "sum")


@pytest.fixture
def exact_page(mixed_model, page_of, monkeypatch):
    """Opens the page of a model whose weights are not rounded."""
    content = mixed.weights_content
    monkeypatch.setattr(mixed, "weights_content", lambda tensors, *_: content(tensors, "float32"))
    return page_of(mixed_model)


def as_numbers(column):
    """Returns cells as a page holds them: dates as day numbers, missing cells as NaN."""
    cells = column.to_pylist()
    if isinstance(cells[0], date):
        return column.to_numpy().astype("M8[D]").astype(int)
    return [np.nan if cell is None else cell for cell in cells]


def check(found, expected):
    """Asserts that categories and discrete numbers are equal, and others nearly: rounding may change the last digit."""
    for name in ("<b>kind", "is_new"):
        assert found[name] == [str(cell).lower() if name == "is_new" else cell for cell in expected[name].to_pylist()]
    np.testing.assert_array_equal(np.array(found["rooms"], float), as_numbers(expected["rooms"]))
    for name in (*NUMBERS, "day"):
        off = np.abs(np.array(found[name], float) - as_numbers(expected[name]))
        unit = {"hours": 0.1, "day": 1}.get(name, 0.01)
        assert off.max() < 1.01 * unit + 1e-2 and np.mean(off < 1e-2) > 0.98, name


CASES = [
    ({"hours": 9.3}, {"label": "no"}, 1.0),
    # A frequent value with a token, and an interval.
    ({"extra": 0.0, "day": date(2024, 5, 31)}, {}, 0.0),
    ({"sum": 12.5, "extra": 1.3, "rooms": None, "<b>kind": "one"}, {}, 0.0),
]


@pytest.mark.parametrize(("where", "label", "guidance"), CASES)
def test_rows_given_numbers_equal_those_of_python_for_the_same_seed(mixed_model, exact_page, where, label, guidance):
    expected = mixed_model.sample(150, where=where, labels=label.get("label"), guidance=guidance, random_state=4)
    encoding = mixed_model.model_.codec.encoding
    given = {
        name: (value - date(1970, 1, 1)).days
        if isinstance(value, date)
        else encoding.encoder(name).categories.index(value)
        if isinstance(value, str)
        else value
        for name, value in (where | label).items()
    }
    found = exact_page.evaluate(DRAWN, [{"rows": 150, "seed": 4, "guidance": guidance}, given])
    check(found, expected)
    for name in set(where) - {"<b>kind", "rooms"}:
        assert set(found[name]) == {given[name]}


WRONG = [
    ("hours", "two", 'hours: "two" is not a number'),
    ("hours", "1e999", 'hours: "1e999" is not a number'),
    ("hours", "missing", 'hours: "missing" is not a number'),
    ("day", "2024-02-31", 'day: "2024-02-31" is not a date like 2024-05-31'),
]


@IN_CHROMIUM
def test_observed_numbers_can_be_entered_in_the_page(mixed_model, page_of):
    page = page_of(mixed_model)
    page.click("#given summary")
    status = page.locator("#status")

    def field(name):
        return page.locator("#given-cells label", has=page.locator(f"text=/^{name}$/")).locator("input")

    assert page.locator("#given-cells input").count() == 4
    assert field("day").get_attribute("placeholder").startswith("2024-01-01 … 2025-")
    for name, text, wrong in WRONG:
        field(name).fill(text)
        page.click("#draw")
        assert status.inner_text() == wrong
        field(name).fill("")
    field("day").fill("2024-05-31")
    field("extra").fill("2.5")
    page.locator("#given-cells label", has_text="is_new").locator("select").select_option(label="true")
    page.fill("#rows", "50")
    page.click("#draw")
    page.wait_for_function("() => document.querySelector('#status').textContent.startsWith('50 rows in')")
    for cells in page.locator("#first-rows tbody tr").all():
        texts = cells.locator("td").all_inner_texts()
        assert texts[2] == "2.5" and texts[5:7] == ["2024-05-31", "true"]
        assert float(texts[3]) == pytest.approx(float(texts[1]) + 2.5)


MOMENTS = [
    ("0033-04-03", np.datetime64("0033-04-03")),
    ("2024-02-29 23:59:59.5", np.datetime64("2024-02-29T23:59:59.5")),
    ("1969-12-31T23:59", np.datetime64("1969-12-31T23:59")),
    *((text, None) for text in ("2023-02-29", "2024-13-01", "2024-01-01 10:75", "2024-01-01 24:00", "2024-01-00")),
]


def test_dates_follow_the_calendar(mixed_model, page_of):
    read = """(text) => {
      try {
        return pointillist.formats.time.parse(text, { format: "time", per_second: 1000 });
      } catch (error) {
        return null;
      }
    }"""
    page = page_of(mixed_model)
    for text, moment in MOMENTS:
        assert page.evaluate(read, text) == (None if moment is None else int(moment.astype("M8[ms]").astype(int))), text


HELD = [
    ({"format": "whole", "limits": [-128, 127]}, "128", "the column holds numbers from -128 to 127"),
    ({"format": "whole", "limits": [-128, 127]}, "1.5", '"1.5" is not an integer'),
    ({"format": "decimal", "scale": 2}, "1.255", "the column holds 2 digits after the point"),
    ({"format": "decimal", "scale": 2}, "2.25", 2.25),
    ({}, "1e3", "no training row is 1e3; its values go from 1.8 to 25.8"),
    ({"has_missing": True}, " Missing ", None),
]


def test_a_cell_outside_its_column_is_refused(mixed_model, page_of):
    page = page_of(mixed_model)
    for parts, text, expected in HELD:
        found = page.evaluate(
            """([parts, text]) => {
                 const { columnOf, content, givenCell } = pointillist;
                 const column = content.columns.find(({ name }) => name === "hours");
                 const { field, read } = givenCell(columnOf({ ...column, ...parts }, content));
                 field.value = text;
                 try {
                   const value = read();
                   return Number.isNaN(value) ? null : value;
                 } catch (error) {
                   return error.message;
                 }
               }""",
            [parts, text],
        )
        assert found == (f"hours: {expected}" if isinstance(expected, str) else expected)
