"""Compares rows of the page of a mixed model in a browser with rows from Python."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from page_steps import as_csv, csv_lines, downloaded, fill, wait_until_filled
from pyarrow import csv as csv_of

from browsers import IN_BOTH, IN_CHROMIUM, UNNAMED
from pointillist import Diffusion


@pytest.fixture(scope="module")
def table(mixed_table):
    return mixed_table


@pytest.fixture(scope="module")
def model(mixed_model):
    return mixed_model


@pytest.fixture
def page(model, opened, tmp_path):
    model.page(tmp_path / "model.html")
    page = opened(tmp_path / "model.html")
    page.wait_for_function("() => !document.querySelector('#csv').disabled", timeout=60_000)
    return page


def drawn(page, **asked):
    """Returns cells of rows that the page draws, as text, by column."""
    return page.evaluate(
        """async (asked) => {
             const table = await pointillist.draw(asked);
             const rows = Array.from({ length: table.rows }, (_, r) => r);
             return Object.fromEntries(table.columns.map(({ name }, c) => [name, rows.map((r) => table.text(c, r))]));
           }""",
        asked,
    )


def as_text(value):
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def check(found, expected, least_sums=1.0):
    """Asserts that nearly all categories are equal, and the numbers of rows with equal categories."""
    same = np.ones(len(expected), bool)
    for name in ("<b>kind", "rooms", "is_new"):
        same &= np.array(found[name]) == [as_text(value) for value in expected[name].to_pylist()]
    assert same.mean() > 0.98
    for name in ("hours", "extra", "sum"):
        numbers, python = np.array(found[name], float)[same], expected[name].to_numpy()[same]
        assert (np.abs(numbers - python) <= 0.05 * python.std()).mean() > 0.97, name
    assert np.mean(np.array(found["day"])[same] == expected["day"].to_numpy().astype("M8[D]").astype(str)[same]) > 0.95
    # If observed cells prevent an exact sum, it holds to the digits of the drawn cell, as in Python.
    rest = np.array(found["sum"], float) - np.array(found["hours"], float) - np.array(found["extra"], float)
    assert (np.abs(rest) < 0.0501).all() and (np.abs(rest) < 1e-6).mean() >= least_sums


@IN_BOTH
def test_rows_equal_those_of_python_for_the_same_seed(model, page):
    expected, labels = model.sample(400, return_labels=True, random_state=4)
    found = drawn(page, rows=400, seed=4)
    check(found, expected)
    assert np.mean(np.array(found["label"]) == labels) > 0.99


@pytest.mark.slow
def test_observed_cells_and_guidance_agree_with_python(model, page):
    codec = model.model_.codec.encoding
    given = [[codec.index("<b>kind"), 1], [codec.index("label"), 0]]
    kind = codec.encoder("<b>kind").categories[1]
    expected = model.sample(200, where={"<b>kind": kind}, labels="no", guidance=1.0, random_state=2)
    found = drawn(page, rows=200, seed=2, given=given, guidance=1.0)
    check(found, expected)
    assert set(found["<b>kind"]) == {kind} and set(found["label"]) == {"no"}


def with_missing(table):
    """Returns the first rows of a table without a third of the cells."""
    mask = np.random.default_rng(3).random((200, table.num_columns)) < 0.33
    columns = [
        pc.if_else(pa.array(mask[:, i]), pa.scalar(None, column.type), column.slice(0, 200).combine_chunks())
        for i, column in enumerate(table.columns)
    ]
    return pa.table(dict(zip(table.column_names, columns, strict=True))), mask


@IN_CHROMIUM
def test_filled_cells_equal_those_of_python_for_the_same_seed(model, table, page, tmp_path):
    incomplete, mask = with_missing(table)
    text = as_csv(incomplete)
    expected = model.impute(incomplete, random_state=5)
    page.fill("#seed", "5")
    fill(page, text)
    wait_until_filled(page)
    assert page.locator("#filled-rows mark").count() >= mask[:8].sum()
    names, *cells = downloaded(page, "#filled-csv", tmp_path / "filled.csv")
    assert names == [*table.column_names, "label"]
    found = dict(zip(names, zip(*cells, strict=True), strict=True))
    given = csv_lines(text)[1:]
    for i, name in enumerate(table.column_names):
        assert all(row[i] in ("", cell) for row, cell in zip(given, found[name], strict=True)), name
    assert "" not in found["rooms"]
    check(found, expected, least_sums=0.9)


WRONG = [
    ("hours,<b>hue\n1,\n", 'Unknown column "<b>hue"'),
    ("hours,hours\n1,\n", 'Column "hours" occurs twice'),
    ("hours,<b>kind\n1,three\n,\n", 'Line 2, column "<b>kind": "three" is not a category of this column: "'),
    ("hours,rooms\n1,\nmany,\n", 'Line 3, column "hours": "many" is not a number.'),
    ("day,rooms\n2024-02-31,\n", 'Line 2, column "day": "2024-02-31" is not a date'),
    ('hours,rooms\n1,"a', "Line 2: a quote is opened"),
    ("hours,rooms\n1\n", "Line 2 has 1 cells, and the first line 2"),
]


def test_tables_that_cannot_be_filled_are_reported_in_one_line(page):
    for text, wrong in WRONG:
        fill(page, text)
        assert page.inner_text("#fill-status").startswith(wrong)
        assert page.input_value("#table-text") == text and page.locator("#fill-status b").count() == 0


CSV = [
    ("price, EUR\tqty\n3\t\n\t4\n", [["price, EUR", "qty"], ["3", ""], ["", "4"]]),
    ("\na;b\n1,5;2\n", [["a", "b"], ["1,5", "2"]]),
    ('"red;green;blue",size\nx,1\n', [["red;green;blue", "size"], ["x", "1"]]),
    ("a;b,c\n1;2,3\n4,5;6\n", [["a;b", "c"], ["1;2", "3"], ["4", "5;6"]]),
]


def test_the_delimiter_splits_all_lines_into_equally_many_fields(page):
    for text, cells in CSV:
        assert page.evaluate("(text) => pointillist.readCsv(text).map(({ cells }) => cells)", text) == cells


def test_results_of_an_earlier_imputation_are_cleared(page):
    fill(page, "hours,rooms\n1,\n")
    wait_until_filled(page)
    fill(page, WRONG[0][0])
    assert page.is_disabled("#filled-csv") and page.locator("#filled-rows td").count() == 0


@IN_CHROMIUM
def test_numbers_keep_their_type_and_numeric_categories_are_read(page_of):
    rng = np.random.default_rng(0)
    grade = pd.Series(rng.choice([1.0, 2.5], 200)).astype("category")
    big = np.where(rng.random(200) < 0.5, 2**53 + 1, 2**53 + 3)
    paid, free = rng.integers(0, 2000, (2, 200)).astype(np.uint16)
    frame = pd.DataFrame({"grade": grade, "big": pd.Categorical(big), "total": paid + free, "paid": paid, "free": free})
    frame["code"] = rng.choice([10, 20, 30], 200)
    model = Diffusion(width=16, depth=1, epochs=1, random_state=0).fit(frame, categorical=["code"])
    page = page_of(model)
    assert set(drawn(page, rows=30, seed=0)["big"]) == {str(2**53 + 1), str(2**53 + 3)}
    given = "grade,big,total,paid,free,code\n1.0,9007199254740993,10,2000,,20\n2.50,9007199254740995,,5,6,30\n"
    lines = lines_of(page, FILLED % given)
    assert lines[1:] == ["1.0,9007199254740993,10,2000,0,20", "2.50,9007199254740995,11,5,6,30"]
    fill(page, "code,paid\n999,\n")
    assert page.inner_text("#fill-status").startswith('Line 2, column "code": "999" is not a category of this column: ')


@IN_CHROMIUM
def test_conditions_can_be_entered_in_the_page(ask, page):
    page.click("#given summary")
    ask(page, "rooms")
    assert page.locator("#conditions .values label").all_inner_texts() == ["0", "1", "2", "3", "4", "(missing)"]
    for index in (3, 4):
        page.locator("#conditions .values input").nth(index).check()
    ask(page, "<b>kind")
    page.locator("#conditions .values label", has_text="</script>").locator("input").check()
    page.fill("#rows", "50")
    page.click("#draw")
    page.wait_for_function("() => document.querySelector('#status').textContent.startsWith('50 rows in')")
    for cells in page.locator("#first-rows tbody tr").all():
        texts = cells.locator("td").all_inner_texts()
        assert texts[0] == "</script>" and texts[4] in ("3", "4")


@pytest.mark.slow
def test_rows_of_wide_tables_equal_those_of_python(opened, tmp_path):
    """More than 128 tokens are drawn several at a time."""
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 3, (300, 135)) // 2
    columns = {f"c{i}": np.array(["no", "yes"])[cells[:, i]] for i in range(135)}
    model = Diffusion(width=16, depth=1, epochs=1, random_state=0).fit(pa.table(columns))
    model.page(tmp_path / "wide.html")
    page = opened(tmp_path / "wide.html")
    expected, found = model.sample(60, random_state=3), drawn(page, rows=60, seed=3)
    same = [np.array(found[name]) == expected[name].to_pylist() for name in expected.column_names]
    assert np.mean(same) > 0.99


@IN_CHROMIUM
def test_a_page_takes_observed_cells_and_writes_csv(model, table, page, tmp_path):
    assert page.evaluate("document.querySelectorAll('b').length") == len(table.column_names) + 1
    page.click("#given summary")
    page.locator("#given-cells label", has_text="is_new").locator("select").select_option(label="true")
    page.fill("#rows", "300")
    page.click("#draw")
    page.wait_for_function("() => document.querySelector('#status').textContent.startsWith('300 rows in')")
    names, *cells = downloaded(page, "#csv", tmp_path / "rows.csv")
    assert names == [*table.column_names, "label"] and len(cells) == 300
    columns = dict(zip(names, zip(*cells, strict=True), strict=True))
    assert set(columns["is_new"]) == {"true"} and "" in columns["rooms"]
    assert set(columns["<b>kind"]) == {"one", "two, or more", "</script>"}


def lines_of(page, asked):
    """Returns the lines of the CSV of a table in the page."""
    return page.evaluate(f"async () => (await (await ({asked})).csv()).text()").splitlines()


FILLED = """(() => {
  const { content, draw, readIncompleteRows } = pointillist;
  const incomplete = readIncompleteRows(%r, content);
  return draw({ rows: incomplete.texts.length, seed: 0, incomplete });
})()"""


def test_quoted_words_for_missing_cells_are_text_as_in_python(page_of, tmp_path):
    """The table that a page writes has the types of the training table: "NA" may be Namibia."""
    rng = np.random.default_rng(0)
    kinds = np.array(["NA", "", "null", "de", None], object)[rng.integers(0, 5, 200)]
    table = pa.table({"kind": kinds, "x": rng.integers(0, 2, 200)})
    page = page_of(Diffusion(width=16, depth=1, epochs=5, random_state=0).fit(table))
    lines = lines_of(page, "pointillist.draw({ rows: 200, seed: 0 })")
    assert {line.split(",")[0] for line in lines[1:]} == {'"NA"', '""', '"null"', "de", ""}
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    form = csv_of.ConvertOptions(
        null_values=["", "NA", "null"], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    back = csv_of.read_csv(tmp_path / "rows.csv", convert_options=form)
    assert set(back["kind"].to_pylist()) == set(kinds)
    filled = lines_of(page, FILLED % 'kind,x\n"NA",\nNA,1\n"",\n"N/A",0\n,0\n')
    assert [line.split(",")[0] for line in filled[1:4:2]] == ['"NA"', '""'] and len(filled) == 6
    assert all(line.split(",")[0] in ('"NA"', '""', '"null"', "de", "") for line in filled[1:])
    assert [line.split(",")[1] for line in filled[2::2]] == ["1", "0"]


def test_missing_cells_of_a_single_column_are_lines(page_of):
    model = Diffusion(width=16, depth=1, epochs=5, random_state=0).fit(pa.table({"kind": ["a", "b", None] * 60}))
    page = page_of(model)
    lines = lines_of(page, "pointillist.draw({ rows: 100, seed: 0 })")
    assert len(lines) == 101 and set(lines[1:]) == {"a", "b", "NA"}
    filled = lines_of(page, FILLED % "kind\na\n\nNA\nb\n\n\n")
    assert len(filled) == 5 and [filled[i] for i in (1, 4)] == ["a", "b"]


@IN_CHROMIUM
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_passes_the_accessibility_checks(model, page_of, violations, scheme):
    page = page_of(model, viewport={"width": 390, "height": 900}, color_scheme=scheme, bypass_csp=True)
    fill(page, "hours,rooms\n7.5,\n")
    page.wait_for_function("() => document.querySelector('#filled-rows tr')")
    assert violations(page) == {}


@IN_CHROMIUM
def test_a_hidden_cell_is_guessed_from_the_rest_of_its_row(mixed_model, page_of):
    page = page_of(mixed_model)
    names = page.locator("#first-rows th").all_inner_texts()

    def guessed(name):
        cell = page.locator("#first-rows tbody tr").first.locator("td").nth(names.index(name))
        text = cell.inner_text()
        cell.locator("button").click()
        page.wait_for_function(
            "name => document.querySelector('#guess-note').textContent.startsWith(`${name}, guessed`)", arg=name
        )
        assert cell.inner_text() == "?"
        return cell, text, page.inner_text("#guess-note").removeprefix(f"{name}, guessed from the rest of the row: ")

    cell, text, note = guessed("<b>kind")
    shares = [int(share) for share in re.findall(r"(\d+) %", note)]
    assert 98 <= sum(shares) <= 102 and note.endswith(f". The row has {text}.")
    # A rule says what the rest leaves open.
    cell, text, note = guessed("sum")
    assert note == f"{text}, in nine of ten cases from {text} to {text}. The row has {text}."
    cell.locator("button").click()
    assert cell.inner_text() == text and not page.locator("#guess").is_visible()


@IN_CHROMIUM
def test_cells_are_reached_by_arrow_keys_and_keep_the_focus(mixed_model, page_of):
    page = page_of(mixed_model)
    rows = page.locator("#first-rows tbody tr")
    assert page.locator("#first-rows tbody [tabindex='0']").count() == 1
    rows.first.locator("button").first.focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowLeft", "ArrowUp", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    cell = rows.nth(1).locator("td").nth(1)
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#guess-note').textContent.includes(', guessed')")
    assert cell.inner_text() == "?"
    assert page.evaluate("document.activeElement.closest('td').cellIndex") == 1
    page.keyboard.press("Enter")
    stops = page.locator("#first-rows tbody [tabindex='0']")
    assert cell.inner_text() != "?" and stops.count() == 1
    # Another draw keeps the focus, and leaves a stop even if the cell is gone.
    page.locator("#first-rows th button").nth(2).focus()
    page.evaluate("document.querySelector('#rows').value = 1; document.querySelector('#rows').form.requestSubmit()")
    page.wait_for_function("() => document.querySelectorAll('#first-rows tbody tr').length === 1")
    assert stops.count() == 1 and page.evaluate("document.activeElement.closest('th').cellIndex") == 2
    assert page.evaluate(UNNAMED) == []
