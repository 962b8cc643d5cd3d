"""Checks the layout of the page: visibility, touch targets, and use without scripts or colors."""

from xml.etree import ElementTree

import pytest

from browsers import IN_CHROMIUM


@pytest.fixture(scope="module")
def results(make):
    return make()


def test_the_baseline_is_in_sight(results_of, results):
    page = results_of(results)
    # As wide as the widest of usual fonts.
    page.add_style_tag(content="table { font-family: 'DejaVu Sans', sans-serif; letter-spacing: 0.4px }")
    hidden = """() => [...document.querySelectorAll('.numbers tr > :last-child')].filter(cell => {
        const [box, panel] = [cell, cell.closest('.scroll')].map(of => of.getBoundingClientRect());
        return cell.checkVisibility() && box.width && box.right > panel.right + 1;
    }).length"""
    for width in (390, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(hidden) == 0, width


def test_touch_targets_are_large_enough(page_of, live_results):
    page = page_of(live_results, viewport={"width": 390, "height": 844}, has_touch=True)
    small = """() => [...document.querySelectorAll('button, select, input, summary, .button, .menu a, .open-live')]
        .filter(of => of.checkVisibility() && !of.closest('.hidden-text'))
        .map(of => of.closest('td') ?? (of.type === 'checkbox' ? of.closest('label') : of))
        .filter(of => of.getBoundingClientRect().height < 43.5).map(of => of.outerHTML.slice(0, 80))"""
    assert page.evaluate(small) == []
    page.locator(".menu-button").click()
    assert page.evaluate(small) == []
    # The first live picture is on the first screen, or begins there.
    assert page.evaluate("document.querySelector('.hero-stage canvas').getBoundingClientRect().top") < 844


@IN_CHROMIUM
def test_without_scripts_nothing_pretends_to_work(page_of, live_results):
    page = page_of(live_results, java_script_enabled=False)
    for control in page.locator("button, select, input, canvas").all():
        assert not control.is_visible()
    assert page.get_by_text("A network learns one thing").is_visible()


def test_on_a_phone_pictures_stand_between_text_and_controls(page_of, live_results):
    page = page_of(live_results, viewport={"width": 390, "height": 844})
    tops = """() => [...document.querySelectorAll('.step')].map(step =>
        ['h2, h3, .train-head', '.stage', 'label, .buttons, .readout'].map(part =>
            (step.querySelector(part) ?? step.closest('.train').querySelector(part)).getBoundingClientRect().top))"""
    for heading, pictures, controls in page.evaluate(tops):
        assert heading < pictures < controls


@IN_CHROMIUM
def test_a_page_with_models_passes_the_accessibility_checks(page_of, live_results, violations):
    page = page_of(live_results, viewport={"width": 390, "height": 900}, bypass_csp=True)
    page.wait_for_function("() => document.querySelector('#page\\\\.rows td')")
    assert violations(page) == {}


@IN_CHROMIUM
@pytest.mark.parametrize(("name", "least"), [("index.html", 1), ("results.html", 6)])
def test_no_empty_picture_is_printed(page_of, live_results, name, least):
    """Steps that were never on the screen have no pictures yet."""
    page = page_of(live_results, name=name)
    page.wait_for_function("() => pointillist.explain?.hero.isReady ?? true")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    pictures = """() => [...document.querySelectorAll('canvas')].filter(of => of.checkVisibility()).map(canvas =>
        canvas.width && canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean))"""
    found = page.evaluate(pictures)
    assert len(found) >= least and all(found)
    assert not page.locator("[data-step=knobs] .step-stages, .train").filter(visible=True).count()


def test_the_page_describes_itself_and_its_project(page_of, results):
    page = page_of(results)
    assert "diffusion models turn noise into data" in page.get_attribute("meta[name=description]", "content")
    assert page.get_attribute("meta[property='og:image']", "content") == "figures/steps_moons_rows.png"
    assert "Pointillist" in page.inner_text("footer")


@IN_CHROMIUM
def test_charts_are_saved_as_vectors(results_of, results):
    page = results_of(results, "#steps")
    with page.expect_download() as download:
        page.locator("#steps .chart .save").click()
    assert download.value.suggested_filename.endswith(".svg")
    root = ElementTree.parse(download.value.path()).getroot()
    texts = [of.text for of in root.iter("{http://www.w3.org/2000/svg}text")]
    paths = list(root.iter("{http://www.w3.org/2000/svg}path"))
    assert "moons" in texts and any("Number of steps" in text for text in texts) and len(paths) > 8
    assert all("NaN" not in of.get("d") for of in paths)
    # Legend entries differ in shape.
    marks = page.locator("#steps .chart .keys .mark").evaluate_all("marks => marks.map(mark => mark.getAttribute('d'))")
    assert len(marks) == len(set(marks)) == 3


def test_a_rotated_solid_stays_in_its_box(page_of, live_results):
    page = page_of(live_results)
    farthest = page.evaluate(
        """() => {
             const [view, half] = [pointillist.View, []];
             const dataset = pointillist.models.datasets.space;
             const solid = new view(dataset, 3);
             const reach = solid.halfWidth({ alpha: 1, sigma: 0 });
             for (let yaw = 0; yaw < 6.3; yaw += 0.3) for (let pitch = -1.5; pitch <= 1.5; pitch += 0.3) {
               solid.turn = { yaw, pitch };
               const points = [...solid.edges(1).flatMap(({ ends }) => [...ends]), ...solid.project(dataset.real)];
               half.push(Math.max(...points.map(Math.abs)) / reach);
             }
             return Math.max(...half);
           }"""
    )
    assert 0.5 < farthest <= 1
    assert page.evaluate("new pointillist.View(pointillist.models.datasets.space, 3).edges(1).length") == 12
