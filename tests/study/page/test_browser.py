"""The page in a browser: opened from the disk, without any request, as `results_of` sees to."""

import csv
import io

import made_up
import pytest

from browsers import IN_BOTH, IN_CHROMIUM, UNNAMED
from pointillist.study.result_tables import csv_text

STEPS = "#steps"


def column(page, i, section=STEPS):
    """Returns the texts of a column in the visible lines of a table."""
    return [text.strip() for text in page.locator(f"{section} tbody tr:visible > :nth-child({i})").all_inner_texts()]


def shown(page, section=STEPS):
    """Returns set and metric of the visible lines."""
    script = "rows => rows.filter(row => row.checkVisibility()).map(row => [row.dataset.set, row.dataset.metric])"
    return [tuple(pair) for pair in page.locator(f"{section} tbody tr").evaluate_all(script)]


def fragment(page):
    return page.evaluate("location.hash")


@pytest.fixture(scope="module")
def results(make):
    return make()


def test_heads_sort_upwards_downwards_and_back(results_of, results):
    page = results_of(results)
    before = shown(page)
    page.locator(f"{STEPS} select[name=metric]").select_option("EMD")
    head = page.locator(f"{STEPS} thead th", has_text="T = 10").first
    number = "cells => cells.map(cell => Number(cell.dataset.number))"
    cells = page.locator(f"{STEPS} tbody tr:visible td:nth-child(3)[data-number]")
    for order, wanted in (("ascending", sorted), ("descending", lambda v: sorted(v, reverse=True))):
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == order
        values = cells.evaluate_all(number)
        assert values == wanted(values) and len(values) == 3
    assert "sort=-3" in fragment(page)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") is None and "sort" not in fragment(page)
    page.locator(f"{STEPS} select[name=metric]").select_option("")
    assert shown(page) == before


def test_filters_leave_the_lines_of_a_set_and_a_metric(results_of, results):
    page = results_of(results)
    page.locator(f"{STEPS} select[name=set]").select_option("space")
    assert {name for name, _ in shown(page)} == {"space", "all"}
    page.locator(f"{STEPS} select[name=metric]").select_option("energy distance")
    assert shown(page) == [("space", "energy distance")]
    page.locator("#guidance select[name=metric]").select_option("coverage")
    assert shown(page, "#guidance") == [("moons", "coverage")]
    page.locator("#guidance input[name=classes]").check()
    assert shown(page, "#guidance") == [("moons", f"coverage{of}") for of in ("", ", class 0", ", class 1")]


def test_reported_numbers_are_shown_on_demand(results_of, results):
    page = results_of(results)
    reported = page.locator(f"{STEPS} .reported", has_text="39.5")
    assert not reported.is_visible()
    page.locator(f"{STEPS} input[name=reported]").check()
    assert reported.is_visible()


@IN_CHROMIUM
def test_csv_has_the_numbers_of_results_csv(results_of, results):
    page = results_of(results)
    with page.expect_download() as download:
        page.locator(f"{STEPS} .table-panel .save").click()
    assert download.value.suggested_filename == "made-up-steps.csv"
    lines = csv.DictReader(io.StringIO(csv_text(results, results.spec.sections)))
    wanted = [line for line in lines if line["section"] == "steps"]
    with open(download.value.path(), newline="") as file:
        assert list(csv.DictReader(file)) == wanted


def test_fragment_restores_every_view(results_of, results):
    page = results_of(results)
    page.locator(f"{STEPS} select[name=set]").select_option("moons")
    page.locator(f"{STEPS} input[name=reported]").check()
    page.locator(f"{STEPS} thead button").nth(3).click()
    page.locator(f"{STEPS} select[name=chart]").select_option("energy_distance")
    page.locator(f"{STEPS} .keys button", has_text="wide").click()
    page.locator(f"{STEPS} select[name=figure]").select_option("space")
    state = "[...document.querySelectorAll('#steps :is(select, input)')].map(e => [e.name, e.value, e.checked])"
    pressed = "[...document.querySelectorAll('#steps [aria-pressed]')].map(e => e.ariaPressed)"
    link = fragment(page)
    assert "hide=wide" in link and "figure=space" in link
    again = results_of(results, link)
    for what in (state, pressed):
        assert again.evaluate(what) == page.evaluate(what)
    assert shown(again) == shown(page)
    assert again.locator(f"{STEPS} .picture").count() == 4
    assert again.locator(f"{STEPS} thead th").nth(3).get_attribute("aria-sort") == "ascending"
    # The state of another view does not change this one, and the browser's Back button restores it too.
    again.evaluate("location.hash = '#guidance?chart=spread'")
    again.wait_for_function("() => document.querySelector('#guidance select[name=chart]').value === 'spread'")
    assert again.evaluate(state) == page.evaluate(state)


def test_fragment_of_nonsense_shows_the_defaults(results_of, results):
    page = results_of(results, "#steps?sort=99&set=none&chart=none&figure=none&hide=q")
    assert page.locator(f"{STEPS} select[name=chart]").input_value() == "emd"
    assert len(shown(page)) > 10


def test_links_keep_the_selection(results_of, results):
    page = results_of(results)
    page.locator("#guidance select[name=chart]").select_option("coverage")
    page.locator(".menu a", has_text="steps").click()
    assert fragment(page) == "#steps"
    page.locator(".menu a", has_text="guidance").click()
    assert fragment(page) == "#guidance?chart=coverage"


def test_chart_shows_its_values_to_mouse_and_keyboard(results_of, results):
    page = results_of(results)
    chart = page.locator(f"{STEPS} .chart")
    tip, plot = chart.locator(".tip"), chart.locator(".plot")
    over = chart.locator(".area")
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    over.hover(position={"x": box["width"] - 20, "y": 80})
    assert (
        "T = 500" in tip.inner_text() and "20.0 ± 1.0" in tip.inner_text() and "baseline 20.0 ± 1.0" in tip.inner_text()
    )
    page.mouse.move(2, 2)
    assert not tip.is_visible()
    plot.focus()
    for key, wanted in (
        ("ArrowRight", "T = 10:"),
        ("ArrowRight", "T = 100:"),
        ("End", "T = 500:"),
        ("Home", "T = 10:"),
    ):
        page.keyboard.press(key)
        assert page.locator("[role=status]").inner_text().startswith(wanted)
    assert "moons 40.0 ± 1.0 baseline 20.0 ± 1.0" in page.locator("[role=status]").inner_text()
    assert "T = 10" in tip.inner_text()
    page.keyboard.press("Escape")
    assert not tip.is_visible()


@IN_CHROMIUM
def test_theme_follows_the_system_by_default(results_of, results):
    background = "getComputedStyle(document.body).backgroundColor"
    page = results_of(results, color_scheme="dark")
    dark = page.evaluate(background)
    button = page.locator(".theme-button")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    light = page.evaluate(background)
    assert light != dark and page.evaluate("document.documentElement.dataset.theme") == "light"
    chosen = "localStorage.getItem('pointillist-theme')"
    assert page.evaluate(chosen) == "light"
    # A busy browser loads the page again before it has stored what was chosen: this stores it in any case.
    page.add_init_script("localStorage.setItem('pointillist-theme', 'light')")
    page.reload()
    assert page.evaluate(background) == light
    assert results_of(results, color_scheme="light").evaluate(background) == light


def test_keyboard_reaches_everything_and_the_skip_link_skips(results_of, results):
    page = results_of(results, "#steps?figure=space")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    look = """(() => {
        const { className, name, tagName } = document.activeElement;
        return [getComputedStyle(document.activeElement).outlineStyle, ...className.split(" "), name, tagName];
    })()"""
    names = set()
    for _ in range(50):
        page.keyboard.press("Tab")
        outline, *more = page.evaluate(look)
        assert outline not in ("none", "")
        names |= set(more)
    assert {"brand", "theme-button", "sort", "save", "plot", "chart", "set", "SUMMARY"} <= names
    head = page.locator(f"{STEPS} thead button").first
    head.focus()
    page.keyboard.press("Enter")
    assert page.locator(f"{STEPS} thead th").first.get_attribute("aria-sort") == "ascending"


@IN_BOTH
def test_every_control_has_a_name(results_of, results):
    assert results_of(results).evaluate(UNNAMED) == []


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_screen(results_of, results, width):
    page = results_of(results, "#steps?reported=1", viewport={"width": width, "height": 800})
    # The remaining width is a scroll bar.
    width = page.evaluate("document.documentElement.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    wide = """width => [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll') &&
        !e.closest('.hidden-text') && e.getBoundingClientRect().right > width + 1).map(e => e.className)"""
    assert page.evaluate(wide, width) == []


def test_menu_of_a_phone_opens_and_closes(results_of, results):
    page = results_of(results, viewport={"width": 360, "height": 700})
    link = page.locator(".menu a", has_text="guidance")
    assert not link.is_visible()
    page.locator(".menu-button").click()
    link.click()
    assert not link.is_visible() and fragment(page) == "#guidance"


def test_numbers_are_sorted_within_their_metric(results_of, results):
    """Metrics have different units."""
    page = results_of(results)
    page.locator(f"{STEPS} thead button", has_text="T = 100").click()
    lines = page.evaluate(
        f"""[...document.querySelectorAll("{STEPS} tbody tr")].map(row =>
            [row.dataset.metric, Number(row.cells[3].dataset.number ?? Infinity)])"""
    )
    metrics = [metric for metric, _ in lines]
    assert len(set(metrics)) > 2 and metrics == sorted(metrics, key=metrics.index)
    for metric in set(metrics):
        values = [value for name, value in lines if name == metric]
        assert values == sorted(values)


def test_plots_of_rows_have_descriptions(results_of, results):
    page = results_of(results)
    legend = page.locator(f"{STEPS} .rows .legend")
    legend.scroll_into_view_if_needed()
    assert "principal" not in legend.inner_text()
    assert page.locator(f"{STEPS} .remark").all_inner_texts() == ["7 of 120 outside"] * 3
    page.locator(f"{STEPS} select[name=figure]").select_option("wide")
    assert "first two principal components" in legend.inner_text()
    assert "Color: the class" in page.locator("#guidance .rows .legend").text_content()


@IN_CHROMIUM
def test_tables_and_conclusions_read_without_scripts(results_of, results):
    page = results_of(results, java_script_enabled=False)
    assert page.locator(".lead").get_by_text("By EMD, T = 500 is better than every other setting").is_visible()
    assert page.locator(f"{STEPS} td", has_text="40.0 ± 1.0").first.is_visible()
    assert not page.locator(f"{STEPS} .chart").is_visible()


def test_nasty_names_work(results_of, make):
    name = "/data/</script><img src=x onerror=alert(1)>'\".csv"
    # The section of classifiers is left out because no file can contain it.
    page = results_of(make(made_up.STEPS, made_up.GUIDANCE, rename={"moons": name}))
    assert (
        page.locator("#steps select[name=figure] option").first.inner_text() == "script><img src=x onerror=alert(1)>'\""
    )
    page.locator("#steps .keys button").first.click()
    assert page.locator("img").count() == 0


@IN_CHROMIUM
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_passes_the_accessibility_checks(results_of, results, violations, scheme):
    page = results_of(results, viewport={"width": 390, "height": 900}, color_scheme=scheme, bypass_csp=True)
    assert violations(page) == {}
