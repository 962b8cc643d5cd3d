"""Compares rows given observed cells in the page of a numeric model with rows from Python."""

from copy import copy
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from page_steps import as_csv, csv_lines, downloaded, fill, wait_until_filled, with_random_weights

from browsers import IN_CHROMIUM
from pointillist import Diffusion
from pointillist.columns.scaling import TableScaling
from pointillist.models.codec import Codec
from pointillist.page import render

SMALL = {"width": 16, "depth": 2, "epochs": 1, "batch_size": 32, "timesteps": 50, "random_state": 0}
HIGH, LOW = 0, 1


@pytest.fixture(scope="module")
def table():
    """Returns a table with correlated numbers, repeated integers, booleans and a constant."""
    rng = np.random.default_rng(0)
    a = rng.normal(2, 3, size=200)
    count = np.clip(np.round(a + rng.normal(size=200)), 0, 6).astype(int)
    columns = {"<b>a": a, "count": count, "c": rng.exponential(size=200), "same": np.full(200, 7), "is_new": a > 2}
    return pa.table(columns)


@pytest.fixture(scope="module")
def labels():
    return np.where(np.random.default_rng(1).random(200) < 0.4, "high", "low")


@pytest.fixture(scope="module")
def model(table, labels):
    return with_random_weights(Diffusion(process="gaussian", scaling="minmax", **SMALL).fit(table, labels))


def scaled_by(model, table, method):
    """Returns a model with the same network and another scaling."""
    codec = model.model_.codec
    rows = np.stack([column.to_numpy() for column in table.columns], axis=1).astype(float)
    scaling = TableScaling.fit(rows, method, codec.scaling.is_integer)
    other = copy(model)
    trained_with = model.model_.trained_with | {"scaling": method}
    other.model_ = replace(model.model_, codec=Codec.from_scaling(codec.layout, scaling), trained_with=trained_with)
    return other


def drawn(page, **asked):
    """Returns the columns of rows that the page draws, by name."""
    return page.evaluate(
        """async (asked) => {
             const { columns } = await pointillist.draw(asked);
             return Object.fromEntries(columns.map(({ name, values }) => [name, Array.from(values)]));
           }""",
        asked,
    )


def check(model, found, expected):
    """Asserts that all numbers are close, except those that are rounded to the next value."""
    scaling = model.model_.codec.scaling
    rows = [np.stack([np.array(of[name], float) for name in expected.column_names], 1) for of in (found, expected)]
    found, expected = (np.where(scaling.is_integer[scaling.varies], np.nan, scaling.transform(each)) for each in rows)
    np.testing.assert_allclose(found, expected, atol=1e-2)
    whole = scaling.is_integer
    assert (rows[0][:, whole] == rows[1][:, whole]).mean() > 0.99


CASES = [
    ("minmax", {"<b>a": 7.5, "count": 3}, LOW, 0.0),
    ("standard", {"c": 0.25}, HIGH, 0.0),
    pytest.param("standard", {"count": 6}, LOW, 1.0, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("scaling", "where", "label", "guidance"), CASES)
def test_rows_given_cells_equal_those_of_python_for_the_same_seed(
    model, table, page_of, scaling, where, label, guidance
):
    model = scaled_by(model, table, scaling)
    expected = model.sample(600, where=where, labels=["high", "low"][label], guidance=guidance, random_state=4)
    given = [[table.column_names.index(name), value] for name, value in where.items()]
    found = drawn(page_of(model), rows=600, seed=4, given=given, label=label, guidance=guidance)
    assert all(set(found[name]) == {value} for name, value in where.items())
    check(model, found, expected)


@IN_CHROMIUM
def test_observed_cells_can_be_entered_in_the_page(model, page_of):
    page = page_of(model)
    assert page.evaluate("document.querySelectorAll('#given-cells b').length") == 0
    page.click("#given summary")
    status, fields = page.locator("#status"), page.locator("#given-cells label")
    assert fields.count() == 4
    count = fields.filter(has_text="count").locator("input")
    for text, wrong in (("1.5", 'count: "1.5" is not an integer'), ("two", 'count: "two" is not a number')):
        count.fill(text)
        page.click("#draw")
        assert status.inner_text() == wrong
    count.fill("4")
    fields.filter(has_text="is_new").locator("select").select_option(label="true")
    page.click("#draw")
    assert status.inner_text() == "classes are not known before the given cells: choose one"
    page.select_option("#class", label="low")
    page.locator("#guidance").press("End")
    page.locator("#given-cells input").nth(0).press("Enter")
    page.wait_for_function("() => document.querySelector('#status').textContent.startsWith('1,000 rows in')")
    for cells in page.locator("#first-rows tbody tr").all():
        texts = cells.locator("td").all_inner_texts()
        assert texts[1] == "4" and texts[4:] == ["true", "low"]


def with_missing(table, labels):
    """Returns the first rows of a table without a third of the cells of varying columns and some labels."""
    rng = np.random.default_rng(3)
    columns = {name: table[name].to_numpy()[:150] for name in table.column_names}
    masks = {name: rng.random(150) < 0.33 for name in columns}
    arrays = {name: pa.array(columns[name], mask=masks[name]) for name in columns}
    return pa.table(arrays), masks, np.where(rng.random(150) < 0.3, None, labels[:150])


@IN_CHROMIUM
def test_filled_cells_equal_those_of_python_for_the_same_seed(model, table, labels, page_of, tmp_path):
    incomplete, masks, known = with_missing(table, labels)
    expected = model.impute(incomplete, labels=known.tolist(), random_state=5)
    page = page_of(model)
    page.fill("#seed", "5")
    text = as_csv(incomplete.append_column("label", pa.array(known.tolist())))
    fill(page, text)
    n_missing = sum(each.sum() for each in masks.values())
    wait_until_filled(page)
    assert page.inner_text("#fill-status").startswith(f"{n_missing} cells of 150 rows filled")
    assert page.locator("#filled-rows mark").count() == sum(each[:8].sum() for each in masks.values())
    names, *cells = downloaded(page, "#filled-csv", tmp_path / "filled.csv")
    assert names == [*table.column_names, "label"]
    given = csv_lines(text)[1:]
    for observed, row in zip(given, cells, strict=True):
        assert all(cell in ("", filled) for cell, filled in zip(observed, row, strict=True))
    assert [row[5] for row in cells] == [label or "" for label in known]
    found = dict(zip(names, zip(*cells, strict=True), strict=True))
    check(model, found | {"is_new": np.array(found["is_new"]) == "true"}, expected)


WRONG = [
    ("count,hue\n1,\n", 'Unknown column "hue"'),
    ("count,c\n1,2\n1.5,\n", 'Line 3, column "count": "1.5" is not an integer.'),
    ("c,is_new\n,perhaps\n", 'Line 2, column "is_new": "perhaps" is not a category of this column: "false", "true".'),
    ("c,label\n,medium\n", 'Line 2, column "label": "medium" is not a category of this column: "high", "low".'),
    ("c,label\n1e999,\n", 'Line 2, column "c": "1e999" is not a number.'),
]


def test_tables_that_cannot_be_filled_are_reported_in_one_line(model, page_of):
    page = page_of(model)
    for text, wrong in WRONG:
        fill(page, text)
        assert page.inner_text("#fill-status").startswith(wrong)


SLOW = """() => {
  const { workers } = pointillist;
  const call = workers.call.bind(workers);
  workers.call = async (...asked) => {
    await new Promise((resume) => setTimeout(resume, 400));
    return call(...asked);
  };
}"""


@pytest.mark.parametrize("is_file", [False, True])
def test_an_error_clears_the_earlier_imputation(model, page_of, is_file):
    """The result would overwrite the error message."""
    page = page_of(model)
    page.evaluate(SLOW)
    fill(page, "count,c\n1,\n")
    says = "(start) => document.querySelector('#fill-status').textContent.startsWith(start)"
    page.wait_for_function(says, arg="filling ")
    if is_file:
        # As for a folder or a deleted file.
        page.evaluate("() => { File.prototype.text = async () => { throw new Error('unreadable') } }")
        page.set_input_files("#table-file", {"name": "gone.csv", "mimeType": "text/csv", "buffer": b"c\n"})
        wrong = "gone.csv cannot be read."
    else:
        fill(page, "count,hue\n1,\n")
        wrong = 'Unknown column "hue"'
    page.wait_for_function(says, arg=wrong)
    page.wait_for_timeout(1000)
    assert page.inner_text("#fill-status").startswith(wrong) and page.locator("#fill-progress").is_hidden()
    assert page.locator("#filled-rows tr").count() == 0


def test_rows_without_a_label_get_the_chosen_one(model, table, page_of):
    process = replace(model.model_.process, p_uncond=0.0)
    other = copy(model)
    other.model_ = replace(model.model_, process=process)
    page = page_of(other)
    fill(page, "c,count\n0.5,\n")
    wrong = "Line 2 has no class, which this model needs: write it there, or choose one above."
    assert page.inner_text("#fill-status") == wrong
    page.select_option("#class", label="low")
    page.click("#fill button[type=submit]")
    wait_until_filled(page)
    expected = model.impute(pa.Table.from_pylist([{"c": 0.5}], schema=table.schema), labels="low", random_state=0)
    names, cells = (page.locator(f"#filled-rows {cell}").all_inner_texts() for cell in ("th", "td"))
    assert names == ["c", "count", "<b>a", "same", "is_new"]
    assert cells[0] == "0.5" and float(cells[2]) == pytest.approx(expected["<b>a"][0].as_py(), abs=0.05)


@IN_CHROMIUM
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_passes_the_accessibility_checks(ask, model, page_of, violations, scheme):
    page = page_of(model, viewport={"width": 390, "height": 900}, color_scheme=scheme, bypass_csp=True)
    fill(page, "c,count\n0.5,\n")
    page.wait_for_function("() => document.querySelector('#filled-rows tr')")
    page.click("#given summary")
    for column in ("<b>a", "count"):
        ask(page, column)
    assert violations(page) == {}


def test_a_model_without_observed_cells_offers_no_fields_for_them(model):
    process = model.model_.process
    plain = replace(process, architecture=replace(process.architecture, has_observed=False))
    parts = 'id="given-cells"', "<textarea", '["observed",', '"can_be_given":true'
    for of, is_asked in ((model.model_, True), (replace(model.model_, process=plain), False)):
        text = render(of, "")
        assert all((part in text) == is_asked for part in parts)
        assert 'id="condition-column"' in text
