"""The report of an evaluation as one HTML page."""

import re
from dataclasses import replace

import numpy as np
import pandas
import pytest

from browsers import IN_CHROMIUM
from pointillist import evaluate
from pointillist.evaluation.figure import histograms
from pointillist.evaluation.report import number_text
from pointillist.metrics import column_differences
from pointillist.metrics.inputs import columns_of

HOSTILE = '</title></svg><script>ran = 1</script><img src="http://localhost/x" onerror="ran = 1">'


def sampled(seed, n):
    rng = np.random.default_rng(seed)
    return pandas.DataFrame(
        {
            HOSTILE: np.where(rng.random(n) < 0.5, HOSTILE, "plain\x1b").astype(object),
            "size": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            "rooms": rng.integers(0, 4, n),
            "when": pandas.Timestamp("2020-01-01") + pandas.to_timedelta(rng.integers(0, 900, n), "D"),
        }
    )


@pytest.fixture(scope="module")
def evaluation():
    return evaluate(sampled(0, 60), sampled(1, 50), holdout=sampled(2, 40))


def test_the_histograms_have_the_fractions_of_cells(evaluation):
    data = sampled(0, 60)
    labels, size, rooms, _ = evaluation.histograms
    assert labels.column.name == HOSTILE and {*labels.labels} == {HOSTILE, "plain\x1b"}
    assert labels.data[labels.labels.index(HOSTILE)] == pytest.approx((data[HOSTILE] == HOSTILE).mean())
    assert rooms.labels == ("0", "1", "2", "3")
    np.testing.assert_allclose(rooms.data, [(data["rooms"] == i).mean() for i in range(4)])
    assert size.missing[0] == pytest.approx(np.isnan(data["size"]).mean())
    assert sum(size.data) == pytest.approx(1, abs=0.05) and size.ends[0] < 0 < size.ends[1]
    assert "histograms" not in evaluation.to_json()


@pytest.mark.parametrize("unit", ["s", "ns", "D"])
def test_bars_of_dates_are_labelled_by_dates(unit):
    days = pandas.to_datetime("2020-01-01") + pandas.to_timedelta([*range(0, 200, 5), *range(400, 0, -4)], "D")
    few = days[[0, 100] * 70]
    table = pandas.DataFrame({"when": days, "few": few} if unit != "D" else {"when": days.date, "few": few.date})
    if unit != "D":
        table = table.astype(f"M8[{unit}]")
    data, rows = columns_of({"data": table, "rows": table}).values()
    when, discrete = histograms(data, rows, column_differences(data, rows))
    ends = days.to_series().quantile([0.002, 0.998])
    assert [number_text(end, when.per_day) for end in when.ends] == [f"{end:%Y-%m-%d}" for end in ends]
    assert discrete.labels == tuple(f"{each:%Y-%m-%d}" for each in few[:2])


def test_the_report_has_means_of_dates(evaluation):
    days = sampled(0, 60)["when"]
    deviation = days.std(ddof=0) / pandas.Timedelta("1D")
    for text in (str(evaluation), evaluation.to_html()):
        assert f"{days.mean():%Y-%m-%d} ± {deviation:.3g} days" in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@IN_CHROMIUM
def test_a_page_shows_hostile_text_as_it_is(evaluation, opened, violations, tmp_path, scheme):
    text = evaluation.to_html()
    assert not re.search(r"<script|<link rel=\"(?!icon\" href=\"data:,)|@import|url\(|<img|<iframe", text)
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    page = opened(
        tmp_path / "report.html", viewport={"width": 390, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    assert page.evaluate("window.ran") is None and page.locator("figure svg").count() == 4
    assert page.locator("figcaption b").all_text_contents().count(HOSTILE) == 1
    assert HOSTILE in page.locator("figure svg title").all_text_contents()
    assert page.locator("h1").text_content().startswith("No test tells the generated rows from real rows")
    assert evaluation.verdict in page.locator("main").text_content()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert violations(page) == {}


def test_the_first_sentence_and_the_checks_say_what_was_found(evaluation):
    copied = replace(evaluation, copies=replace(evaluation.copies, count=50, p_value=0.0), holdout_copies=None)
    assert '<h1 class="bad">Generated rows look copied from real ones.</h1>' in copied.to_html()
    assert "Rows look copied. Do not pass them on" in copied.to_html()
    columns = tuple(replace(each, p_value=1e-9) for each in evaluation.columns)
    differs = replace(evaluation, columns=columns, holdout_rows=None)
    assert "do not look copied, but a test tells them from real rows" in differs.to_html()
    assert "Look at the columns and pairs" in differs.to_html() and "evaluate with held-out rows" in differs.to_html()
