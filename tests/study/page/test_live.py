"""The page's live models: their content, and the rows that a browser generates, compared with Python's samplers."""

import csv
import io
import json
from importlib.resources import files

import numpy as np
import pytest
import wasmtime
from live_study import COLUMNS, SECTIONS, template

from browsers import IN_CHROMIUM
from pointillist.diffusion.guidance import ClassifierFree
from pointillist.diffusion.registries import sampler_named
from pointillist.engine import weights
from pointillist.engine.sampling import sample_rows
from pointillist.engine.training import sigma_data_of
from pointillist.metrics import energy_distance
from pointillist.page.weights import STEPS
from pointillist.study.page.conclusions import view_name
from pointillist.study.page.live import STEP, live_content

ASSETS = files("pointillist.page") / "assets" / "engine"


def network_of(results, model):
    name, cell = cell_of(results, model)
    kept = results.store.model(cell.model_key)
    return weights.from_bytes(template(cell.settings, results.dataset(name)), kept.network)


def cell_of(results, model):
    """The data set's name and the cell of a model in the page."""
    return next(
        (name, cell)
        for section in results.spec.sections
        for name in section.datasets
        for column in section.columns
        for cell in results.cells(name, column.settings)
        if cell.model_key.startswith(model["id"])
    )


def in_page(array):
    """A tensor as the page has it: of wide layers, multiples of a step."""
    if array.ndim < 2 or min(array.shape) < 32:
        return array.astype(np.float16).astype(np.float32)
    step = np.float32(STEP * np.sqrt(np.mean(array.astype(float) ** 2)) / STEPS)
    return np.round(array / step) * step


def denoiser_of(results, model):
    """Python's denoiser of a model in the page, with the page's weights; its schedule."""
    name, cell = cell_of(results, model)
    settings, dataset = cell.settings, results.dataset(name)
    network, schedule = network_of(results, model), settings.noise_schedule()
    network = weights.from_named(network, {name: in_page(array) for name, array in weights.named(network).items()})
    parts = network, settings.prediction, sigma_data_of(dataset.rows), schedule, dataset.n_classes
    return settings.architecture.denoiser(*parts), schedule


def test_every_model_is_packed_once_with_the_best_of_each_set_first(live_results):
    content = live_content(live_results)
    titles = [(m["dataset"], m["network"], m["class_embedding"]) for m in content["models"]]
    # Two of each plain set, the residual one, and one conditional model for both scales of guidance.
    assert sorted(titles) == sorted(
        [("moons", "mlp", 0)] * 2 + [("space", "mlp", 0)] * 2 + [("moons", "residual", 0), ("moons", "mlp", 8)]
    )
    assert content["n_finished"] == 6
    assert [(m["dataset"], m["class_embedding"] > 0) for m in content["models"][:3]] == [
        ("moons", False),
        ("space", False),
        ("moons", True),
    ]
    for model in content["models"][:2]:
        rows = live_results.rows(live_results.spec.sections[0])
        (row,) = (r for r in rows if r.dataset == model["dataset"] and r.metric == "emd")
        best = int(np.argmin([cell.value for cell in row.cells]))
        assert cell_of(live_results, model)[1].settings == live_results.spec.sections[0].columns[best].settings


def test_models_beyond_the_size_limit_are_left_out(live_results):
    content = live_content(live_results)
    first = sum(len(content["models"][0][part]) for part in ("weights", "rest"))
    few = live_content(live_results, budget=first)
    assert [m["id"] for m in few["models"]] == [content["models"][0]["id"]] and few["n_finished"] == 6
    assert live_content(live_results, budget=0) is None
    # A model that is too large does not exclude later ones.
    sizes = [sum(len(model.get(part, "")) for part in ("weights", "rest")) for model in content["models"]]
    wide, *rest = sorted(range(len(sizes)), key=lambda i: -sizes[i])
    assert wide < max(rest) and sizes[wide] > sum(sizes[i] for i in rest)
    without = live_content(live_results, budget=sizes[wide] - 1)
    assert [m["id"] for m in without["models"]] == [content["models"][i]["id"] for i in sorted(rest)]


def test_the_kernel_is_compiled_from_its_source():
    compiled = wasmtime.wat2wasm((ASSETS / "kernel.wat").read_text())
    assert bytes(compiled) == (ASSETS / "kernel.wasm").read_bytes()


def drawn(page, **options):
    """Rows that the page draws; labels: one for all."""
    rows = page.evaluate(
        """async ({ label, prior, ...rest }) => Array.from(await pointillist.pool.run({
             ...rest,
             prior: prior ? new Float32Array(prior) : undefined,
             labels: label === null ? undefined : new Int32Array(rest.rows).fill(label),
           }))""",
        options,
    )
    return np.array(rows).reshape(options["rows"], -1)


CASES = [
    ("dpm", 20, None, 0.0),
    ("heun", 8, None, 0.0),
    ("ddim", 25, None, 0.0),
    ("ancestral", 60, None, 0.0),
    ("dpm", 10, 1, 0.0),
    ("ancestral", 30, 0, 1.5),
]


@pytest.mark.slow
def test_rows_of_the_page_equal_those_of_python(live_results, page_of):
    """The same prior rows, without noise: ancestral steps leave theirs out."""
    page = page_of(live_results)
    rng = np.random.default_rng(0)
    models = live_content(live_results)["models"]
    for model in models:
        denoiser, schedule = denoiser_of(live_results, model)
        prior = rng.normal(size=(200, model["columns"])).astype(np.float32)
        for sampler, steps, label, guidance in CASES:
            if label is not None and not model["class_embedding"]:
                continue
            if sampler in ("heun", "ddim") and model is not models[0]:
                continue  # a sampler sees the denoiser alone, and programs take their time to compile
            expected = sample_rows(
                ClassifierFree(denoiser, np.asarray(guidance, np.float32)) if guidance else denoiser,
                sampler_named(sampler, schedule, steps, "zero"),
                columns=model["columns"],
                n_rows=200,
                seed=0,
                labels=None if label is None else np.full(200, label, np.int32),
                prior=prior,
            )
            found = drawn(
                page,
                id=model["id"],
                sampler=sampler,
                steps=steps,
                variance="zero",
                seed=0,
                rows=200,
                prior=prior.ravel().tolist(),
                label=label,
                guidance=guidance,
            )
            # Random networks draw rows far outside the data.
            close = {"atol": 1e-4, "rtol": 1e-4}
            np.testing.assert_allclose(found, expected, **close, err_msg=f"{model['title']}, {sampler}")


@pytest.mark.slow
def test_the_noise_of_a_page_is_normal_and_differs_between_rows(live_results, page_of):
    page = page_of(live_results)
    for model in live_content(live_results)["models"][:3]:
        denoiser, schedule = denoiser_of(live_results, model)
        options = {"id": model["id"], "sampler": "ancestral", "steps": 60, "variance": "beta", "label": None}
        found = drawn(page, **options, seed=1, rows=2000)
        np.testing.assert_array_equal(drawn(page, **options, seed=1, rows=700), found[:700])
        assert np.abs(drawn(page, **options, seed=2, rows=2000) - found).max() > 0.1
        sampler = sampler_named("ancestral", schedule, 60, "beta")
        expected = sample_rows(denoiser, sampler, columns=model["columns"], n_rows=2000, seed=0)
        distance = energy_distance(found, expected)
        assert abs(distance) < 2 * distance.null_standard_error, model["title"]


@IN_CHROMIUM
def test_a_view_is_played_scrubbed_and_restored(live_results, page_of):
    page = page_of(live_results)
    page.select_option("#live-set", "space")
    page.fill("#live-seed", "7")
    page.click("#live-play")
    page.wait_for_function("() => document.querySelector('#live-moment').textContent.includes('t = 0 of 60')")
    assert "2,000 rows in" in page.inner_text("#live-status")
    page.evaluate("document.querySelector('#live-time').value = 400")
    page.dispatch_event("#live-time", "input")
    page.dispatch_event("#live-time", "change")
    moment = page.inner_text("#live-moment")
    assert "step 8 of 20" in moment
    rows = page.evaluate("Array.from(pointillist.live.scene.x)")
    other = page_of(live_results, fragment=page.url[page.url.index("#") :])
    other.wait_for_function(f"() => document.querySelector('#live-moment').textContent === {json.dumps(moment)}")
    assert other.input_value("#live-set") == "space" and other.input_value("#live-seed") == "7"
    np.testing.assert_array_equal(other.evaluate("Array.from(pointillist.live.scene.x)"), rows)


FINISHED = "() => document.querySelector('#live-moment').textContent.includes('t = 0 of 60')"


def test_a_finished_run_plays_again(live_results, page_of):
    page = page_of(live_results)
    # As in a browser that is late: a frame's time is earlier than the time of the click before it.
    page.evaluate(
        """() => {
             const next = window.requestAnimationFrame;
             window.requestAnimationFrame = (draw) => next((time) => draw(time - 80));
           }"""
    )
    page.click("#live-play")
    page.wait_for_function(FINISHED)
    page.wait_for_function("() => document.querySelector('#live-play').textContent === 'Play'")
    page.click("#live-play")
    page.wait_for_function("() => pointillist.live.position > 1 && pointillist.live.position < 15")
    page.wait_for_function(FINISHED)


def test_dragging_before_the_first_frame_begins_one_run(live_results, page_of):
    page = page_of(live_results)
    page.evaluate(
        """window.runs = 0;
           const run = pointillist.pool.run;
           pointillist.pool.run = function (options, onFrame, channel) {
             window.runs += channel === "live";
             return run.call(this, options, onFrame, channel);
           };
           for (let i = 1; i <= 20; i++) {
             const time = document.querySelector("#live-time");
             time.value = 20 * i;
             time.dispatchEvent(new Event("input"));
           }"""
    )
    page.wait_for_function("() => document.querySelector('#live-status').textContent.includes('rows in')")
    assert page.evaluate("runs") == 1
    assert "step 8 of 20" in page.inner_text("#live-moment")


def test_every_run_settles(live_results, page_of):
    page = page_of(live_results)
    model = live_content(live_results)["models"][0]["id"]
    ends = page.evaluate(
        """async (id) => {
             const asked = { id, sampler: "ancestral", steps: 60, seed: 0, rows: 2000 };
             await pointillist.pool.load(id);
             const runs = await Promise.all([1, 2, 3, 4].map(() => pointillist.pool.run(asked)));
             return runs.map((rows) => rows !== null);
           }""",
        model,
    )
    assert ends == [False, False, False, True]


def test_links_to_unknown_settings_change_nothing(live_results, page_of, results_of):
    guided = next(m for m in live_content(live_results)["models"] if m["class_embedding"])["id"]
    page = page_of(live_results, f"#live?model={guided}&class=99&sampler=constructor&steps=12")
    assert page.input_value("#live-class") == "all" and page.input_value("#live-sampler") == "dpm"
    assert page.input_value("#live-steps") == "12"
    view = view_name(SECTIONS[0])
    page = results_of(live_results, f"#{view}?figure=__proto__")
    assert page.locator(f"[id='{view}'] .rows select").input_value() == "moons"


def test_copying_a_link_is_confirmed(live_results, page_of):
    page = page_of(live_results)
    page.click("#live-link")
    page.wait_for_function("() => document.querySelector('#live-link').textContent === 'Copied'")


@IN_CHROMIUM
def test_rows_go_out_as_the_last_ones_in_the_tables_units(live_results, page_of, tmp_path):
    page = page_of(live_results)
    page.select_option("#live-set", "space")
    page.click("#live-play")
    page.wait_for_function("() => document.querySelector('#live-status').textContent.includes('rows in')")
    page.evaluate("document.querySelector('#live-time').value = 400")
    page.dispatch_event("#live-time", "input")
    with page.expect_download() as download:
        page.click("#live-csv")
    download.value.save_as(tmp_path / "rows.csv")
    names, *cells = csv.reader(io.StringIO((tmp_path / "rows.csv").read_text()))
    last = np.array(page.evaluate("Array.from(pointillist.live.stage.frames.at(-1).x)")).reshape(-1, 3)
    assert names == COLUMNS["names"]
    np.testing.assert_allclose(np.array(cells, float), last * COLUMNS["unit"] + COLUMNS["centre"], rtol=1e-6)
