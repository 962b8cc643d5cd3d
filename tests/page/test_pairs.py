"""Compares pairs of columns of drawn rows with the summarized training rows."""

import numpy as np
import pytest

from browsers import IN_CHROMIUM
from pointillist import Diffusion
from pointillist.columns.pair_counts import PairCounts

OVERLAP = """([x, y, values]) => {
  const { gridOf, content, Table } = pointillist;
  const made = new Table(content, values[0].length, {});
  const [a, b] = [x, y].map((name) => made.columns.find((column) => column.name === name));
  [a.values, b.values] = values.map((each) => Float64Array.from(each));
  return gridOf(content.pairs, a, b).overlap(a, b, values[0].length);
}"""


def as_columns(rows):
    return [np.asarray(rows[:, i], float) for i in range(rows.shape[1])]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 1))
    return np.hstack([x, x + 0.3 * rng.normal(size=x.shape), rng.normal(size=x.shape)])


@pytest.fixture(scope="module")
def numbers(rows):
    labels = np.where(rows[:, 2] > 0.5, "high", "low")
    return Diffusion(epochs=1, width=16, depth=1, random_state=0).fit(rows, labels)


@IN_CHROMIUM
def test_overlap_is_computed_from_fractions_per_cell(numbers, rows, page_of):
    page = page_of(numbers)
    new = np.random.default_rng(1).permutation(rows, axis=0)[:1500]
    new[:, 1] = np.random.default_rng(2).permutation(new[:, 1])
    kept = numbers.model_.summary.pairs
    for names, pair in ((("0", "1"), 0), (("1", "0"), 0), (("1", "2"), 3)):
        overlap, _ = page.evaluate(OVERLAP, [*names, [new[:, int(name)].tolist() for name in names]])
        low, high = sorted(map(int, names))
        edges = [np.concatenate([[-np.inf], kept.ends[i][1:-1], [np.inf]]) for i in (low, high)]
        found = np.histogram2d(new[:, low], new[:, high], bins=edges)[0] / len(new)
        fractions = kept.counts[pair] / kept.counts[pair].sum()
        assert overlap == pytest.approx(np.minimum(found, fractions).sum(), abs=1e-9)


@IN_CHROMIUM
def test_rows_of_the_same_distribution_overlap_as_expected(numbers, page_of):
    page = page_of(numbers)
    rng = np.random.default_rng(3)
    found = []
    for _ in range(8):
        x = rng.normal(size=1000)
        y = x + 0.3 * rng.normal(size=1000)
        found.append(page.evaluate(OVERLAP, ["0", "1", [x.tolist(), y.tolist()]]))
    overlap, expected = np.transpose(found)
    assert abs(overlap.mean() - expected[0]) < 0.01
    assert expected[0] < 0.97


@IN_CHROMIUM
def test_the_pair_that_depends_most_is_shown_first(page_of):
    x = np.random.default_rng(0).normal(size=(2000, 3))
    x[:, 2] = x[:, 1] + 0.2 * x[:, 2]
    page = page_of(Diffusion(epochs=1, width=16, depth=1, random_state=0).fit(x))
    assert [page.input_value(axis) for axis in ("#x", "#y")] == ["1", "2"]


@IN_CHROMIUM
def test_classes_and_categories_are_columns_of_the_grid(numbers, mixed_model, rows, page_of):
    page = page_of(numbers)
    labels = (rows[:, 2] <= 0.5).astype(float)
    overlap, _ = page.evaluate(OVERLAP, ["2", "3", [rows[:, 2].tolist(), labels.tolist()]])
    assert overlap == pytest.approx(1.0)
    page = page_of(mixed_model)
    for names in (("<b>kind", "rooms"), ("rooms", "<b>kind"), ("day", "sum"), ("label", "hours")):
        page.select_option("#x", label=names[0])
        page.select_option("#y", label=names[1])
        assert "overlap by" in page.inner_text("#scatter-note")


@IN_CHROMIUM
def test_the_training_rows_are_shaded_behind_the_points(numbers, page_of):
    page = page_of(numbers)
    count = """() => {
      const canvas = document.querySelector("#scatter");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.filter((value, i) => i % 4 === 3 && value > 0).length;
    }"""
    shaded = page.evaluate(count)
    page.evaluate("() => { pointillist.content.pairs = null; }")
    page.select_option("#x", "1")
    page.select_option("#x", "0")
    assert page.evaluate(count) < shaded
    assert "Shaded" not in page.inner_text("#scatter-note")


@IN_CHROMIUM
def test_rows_of_a_class_are_not_compared_with_all(numbers, page_of):
    page = page_of(numbers)
    assert "overlap" in page.inner_text("#scatter-note")
    page.select_option("#class", label="high")
    page.click("#draw")
    page.wait_for_function("() => !document.querySelector('#csv').disabled")
    note = page.inner_text("#scatter-note")
    assert "Shaded: the training rows." in note and "overlap" not in note


def test_a_private_model_and_a_wide_one_hold_no_pairs(rows):
    wide = Diffusion(epochs=1, width=8, depth=1).fit(np.random.default_rng(0).normal(size=(50, 33)))
    assert wide.model_.summary.pairs is None
    private = Diffusion(epochs=1, width=8, depth=1, epsilon=10.0, delta=1e-4, domain={i: (-5, 5) for i in range(3)})
    assert private.fit(rows[:300]).model_.summary is None


def test_pairs_count_the_training_rows(numbers, rows):
    columns = [*as_columns(rows), (rows[:, 2] <= 0.5).astype(float)]
    expected = PairCounts.of(columns, [False, False, False, True])
    np.testing.assert_array_equal(numbers.model_.summary.pairs.counts, expected.counts)
    np.testing.assert_array_equal(numbers.model_.summary.pairs.ends, expected.ends)


@IN_CHROMIUM
def test_histograms_have_the_fractions_of_the_training_rows(mixed_model, mixed_table, page_of):
    page = page_of(mixed_model)
    found = page.evaluate(
        """() => {
             const { columns } = new pointillist.Table(pointillist.content, 1, {});
             return Object.fromEntries(columns.map(({ name, shares, below }) =>
               [name, shares ?? [-1, 0, 1, 2, 3, 4, 6, 10].map((end) => below(end))]));
           }"""
    )
    kinds = np.array(mixed_table["<b>kind"].to_pylist())
    np.testing.assert_allclose(found["<b>kind"], [(kinds == kind).mean() for kind in np.unique(kinds)])
    rooms = mixed_table["rooms"].to_numpy()
    ends = np.array([-1, 0, 1, 2, 3, 4, 6, 10])
    np.testing.assert_allclose(found["rooms"], [(rooms <= end).mean() for end in ends])
    # A spike at 0, and many values.
    for name in ("extra", "hours"):
        overlap = mixed_table[name].to_numpy()
        np.testing.assert_allclose(found[name], [(overlap <= end).mean() for end in ends], atol=0.02)
    assert found["extra"][0] == 0 and found["extra"][1] == pytest.approx((mixed_table["extra"].to_numpy() == 0).mean())


RECORD = """() => {
  window.seen = { points: [], shades: [] };
  const { arc, fillRect } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.arc = function (x, y, ...rest) {
    window.seen.points.push([x, y]);
    return arc.call(this, x, y, ...rest);
  };
  CanvasRenderingContext2D.prototype.fillRect = function (...box) {
    if (this.canvas.id === "scatter") window.seen.shades.push(this.globalAlpha);
    return fillRect.call(this, ...box);
  };
}"""
"""Records the centers of points and how dark the shades of a picture of two columns are."""


@IN_CHROMIUM
def test_two_columns_of_categories_fill_their_cells_lightly(mixed_model, page_of):
    page = page_of(mixed_model)
    page.evaluate(RECORD)
    page.select_option("#x", label="<b>kind")
    page.evaluate("() => { window.seen = { points: [], shades: [] }; }")
    page.select_option("#y", label="label")
    points = np.array(page.evaluate("window.seen.points"))
    shades = page.evaluate("window.seen.shades")
    width, height = page.evaluate("(({ clientWidth, clientHeight }) => [clientWidth, clientHeight])(scatter)")
    cells = np.floor((points - [48, 6]) / [(width - 54) / 3, (height - 28) / 2]).astype(int)
    assert len(np.unique(cells, axis=0)) == 6
    for cell in np.unique(cells, axis=0):
        inside = points[(cells == cell).all(axis=1)]
        assert len(inside) > 20 and abs(np.corrcoef(inside.T)[0, 1]) < 0.4
    assert len(shades) == 6 and max(shades) < 0.15


@IN_CHROMIUM
def test_conditions_that_no_training_row_meets_are_named_and_kept_in_the_address(numbers, page_of, ask):
    page = page_of(numbers)
    finished = "() => /rows? in|cannot/.test(document.querySelector('#status').textContent)"
    page.fill("#rows", "50")
    page.select_option("#class", label="high")
    page.click("#given > summary")
    low, high = (ask(page, "2").nth(i) for i in (0, 1))
    high.fill("-1")
    page.click("#draw")
    page.wait_for_function(finished)
    assert "No counted training row has both 3 and 2 like this: the rows are a guess." in page.inner_text("#status")
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_function(finished)
    assert page.input_value("#rows") == "50" and page.input_value("#class") == "0"
    assert page.locator("#conditions input").nth(1).input_value() == "-1"
    assert "No counted training row" in page.inner_text("#status")
    # A class that the model does not have leaves the choice as it is.
    page.goto("about:blank")
    page.goto(address.replace("class=0", "class=99"))
    page.wait_for_function("() => document.querySelector('#class').options.length")
    assert page.input_value("#class") == "all"
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_function(finished)
    low.fill("-3")
    page.select_option("#class", label="low")
    page.click("#draw")
    page.wait_for_function(finished)
    assert "No counted training row" not in page.inner_text("#status")


@IN_CHROMIUM
def test_rows_that_are_not_counted_are_not_said_to_be_missing(mixed_model, page_of):
    """Grids leave out rare categories and missing cells."""
    page = page_of(mixed_model)
    found = page.evaluate(
        """() => {
             const { unmet, content: { pairs, columns } } = pointillist;
             const of = (name) => columns.find((column) => column.name === name);
             const asked = (...wishes) => unmet(pairs, columns, wishes);
             const kind = (...values) => ({ column: of("<b>kind"), values });
             return [
               asked(kind(99), { column: of("hours"), high: 5 }),
               asked({ column: of("rooms"), values: [NaN] }, kind(0)),
               asked({ column: of("hours"), high: 5 }, kind(0)),
               asked({ column: of("rooms"), values: [4] }, { column: of("hours"), low: -9, high: -8 }),
             ];
           }"""
    )
    assert found == [[], [], [], ["rooms", "hours"]]
