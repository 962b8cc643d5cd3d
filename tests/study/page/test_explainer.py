"""The explainer in a browser, against Python."""

import numpy as np
import pytest
from test_live import network_of

from browsers import IN_CHROMIUM
from pointillist.engine.weights import named
from pointillist.metrics import energy_distance
from pointillist.page.weights import STEPS
from pointillist.study.page.content import page_content
from pointillist.study.page.live import STEP, live_content


@pytest.fixture(scope="module")
def page(browser, written, live_results):
    """One page for all tests: each works on a part of its own."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(written(live_results).as_uri())
    page.wait_for_function("() => document.documentElement.dataset.isReady")
    yield page
    page.close()
    assert not wrong


def seen(page, step):
    """Scrolls to a step of the explainer, until it shows something."""
    part = page.locator(f"[data-step={step}]")
    part.scroll_into_view_if_needed()
    page.wait_for_function(f"() => document.querySelector('[data-step={step}] .readout').textContent")
    return part


def test_one_finding_is_the_first_conclusion(make):
    text, view = page_content(make()).finding
    assert view == "steps" and text.startswith("By EMD, T = 500 is better than every other setting")
    assert text.endswith("On moons, T = 500 has 20.0 ± 1.0; T = 10 is furthest off with 40.0 ± 1.0.")


def test_weights_travel_in_steps(live_results, page):
    read = """async id => {
      const { tensors } = await pointillist.pool.unpacked(pointillist.pool.models.get(id));
      return Object.entries(tensors).map(([name, values]) => [name, Array.from(values)]);
    }"""
    for model in live_content(live_results)["models"]:
        found = dict(page.evaluate(read, model["id"]))
        wide = [name for name, shape, along in model["shapes"] if along]
        assert wide if min(model["shapes"][0][1]) >= 32 else not wide
        for name, exact in named(network_of(live_results, model)).items():
            expected = exact.T if exact.ndim == 2 and model["network"] == "mlp" else exact
            own = np.array(found[name]).reshape(expected.shape)
            off = 0.501 * STEP * np.sqrt(np.mean(expected**2)) / STEPS if name in wide else 2**-11 * np.abs(expected)
            assert (np.abs(own - expected) <= off + 1e-7).all(), name


def test_the_steps_share_a_set_and_a_time(page):
    noise = seen(page, "noise")
    assert "27 of 60" in noise.inner_text()
    noise.locator("[name=t]").fill("1000")
    assert "alpha_t = 0.208" in noise.locator(".readout").inner_text()
    denoise = seen(page, "denoise")
    page.wait_for_function(
        "() => document.querySelector('[data-step=denoise] .readout').textContent.includes('At t = 60')"
    )
    before = denoise.locator(".readout").inner_text()
    denoise.locator("canvas").first.click(position={"x": 40, "y": 60})
    page.wait_for_function(
        "before => document.querySelector('[data-step=denoise] .readout').textContent !== before", arg=before
    )
    schedule = seen(page, "schedule")
    assert "At T = 60" in schedule.locator(".readout").inner_text() and schedule.locator("svg .line").count() >= 2
    page.locator(".how-head [data-sets] button", has_text="space").click()
    page.wait_for_function(
        "() => document.querySelector('[data-step=denoise] .readout').textContent.split(',').length === 5"
    )


def test_two_sides_start_from_one_noise_and_keep_one_clock(page):
    guidance = seen(page, "guidance")
    duel = "pointillist.explain.shown.find(step => step.scales).duel"
    page.wait_for_function(f"() => {duel}.stages.every(stage => stage.isReady)")
    guidance.locator(".time").fill("0")
    first, second = (np.array(page.evaluate(f"Array.from({duel}.stages[{i}].scene.x)")) for i in (0, 1))
    np.testing.assert_array_equal(first, second)
    guidance.locator(".time").fill("1000")
    first, second = (np.array(page.evaluate(f"Array.from({duel}.stages[{i}].scene.x)")) for i in (0, 1))
    assert np.abs(first - second).max() > 0.01
    box = guidance.locator("canvas").first.bounding_box()
    x, y = page.evaluate(
        f"""() => {{ const {{ scene }} = {duel}.stages[0]; const k = scene.canvas.clientWidth / scene.canvas.width;
             const inside = v => v > 20 && v < scene.canvas.width - 20;
             for (let r = 0; ; r++) {{ const p = [scene.points[2 * r], scene.points[2 * r + 1]];
               if (p.every(inside)) return p.map(v => v * k); }} }}"""
    )
    page.mouse.click(box["x"] + x, box["y"] + y)
    lengths = page.evaluate(f"{duel}.stages.map(stage => stage.scene.path.length)")
    assert lengths == [2 * 25] * 2
    guidance.locator("canvas").first.press("Enter")
    assert page.evaluate(f"{duel}.stages[0].scene.chosen === {duel}.stages[1].scene.chosen")


@pytest.mark.slow
@IN_CHROMIUM
def test_without_motion_the_hero_waits_for_a_button(page_of, live_results):
    page = page_of(live_results, reduced_motion="reduce")
    button = page.locator(".hero-stage .play")
    hero = "pointillist.explain.shown.find(step => 'place' in step)"
    page.wait_for_function(f"() => {hero}?.isReady")
    assert button.inner_text() == "Play"
    place = f"{hero}.place"
    assert page.evaluate(place) == 1
    button.click()
    page.wait_for_function(f"() => {place} < 1")
    assert button.inner_text() == "Pause"


def test_a_cell_opens_its_network_in_the_live_stage(page):
    link = page.locator("[id='section-plain'], #plain").first.locator(".open-live").first
    wanted = link.get_attribute("href")
    link.click()
    page.wait_for_function("() => document.querySelector('#live-status').textContent.includes('rows in')")
    assert page.input_value("#live-model") in wanted and page.input_value("#live-sampler") == "ancestral"
    page.wait_for_function("() => document.querySelector('#live').getBoundingClientRect().top < innerHeight / 2")


def test_distances_are_pythons(page):
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(60, 3)), rng.normal(0.2, 1, size=(45, 3))
    compute = "([a, b]) => pointillist.energyDistance(Float32Array.from(a), Float32Array.from(b), 3)"
    found = page.evaluate(compute, [A.ravel().tolist(), B.ravel().tolist()])
    expected = energy_distance(A, B)
    wanted = [float(expected), expected.standard_error]
    np.testing.assert_allclose([found[name] for name in ("value", "error")], wanted, rtol=1e-4)
