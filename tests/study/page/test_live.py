"""The page's live models: their content, and the rows that a browser generates, compared with Python's samplers."""

import csv
import io
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


def test_the_kernel_computes_what_numpy_does():
    store = wasmtime.Store()
    kernel = wasmtime.Instance(store, wasmtime.Module.from_file(store.engine, ASSETS / "kernel.wasm"), []).exports(
        store
    )
    memory = np.frombuffer(kernel["memory"].get_buffer_ptr(store), np.float32)
    # Offsets, in numbers: x is [units][rows], scale and shift [units].
    units, rows, x, y, scale, shift = 3, 1000, 0, 3000, 6000, 6003
    values = np.concatenate([np.linspace(-20, 20, 2990), [-1e4, -100, -88, -87, 0, 87, 88, 100, 1e4, 1]])
    memory[x:y] = values
    values = memory[x:y].astype(float)
    memory[scale : shift + 3] = [1, 2, -1, 0, 0.5, 3]
    kernel["normalize"](store, *(4 * at for at in (x, y, scale, shift)), units, rows)
    table = values.reshape(units, rows)
    expected = np.array([[1], [2], [-1]]) * table / np.sqrt((table**2).mean(0) + 1e-6) + np.array([[0], [0.5], [3]])
    np.testing.assert_allclose(memory[y:scale].reshape(units, rows), expected, rtol=1e-6, atol=1e-6)
    silu = values / (1 + np.exp(np.minimum(-values, 700)))
    kernel["silu"](store, 4 * x, 4 * 3000)
    np.testing.assert_allclose(memory[x:y], silu, rtol=4e-7, atol=1e-33)
    memory[y:scale] = values
    kernel["add"](store, 4 * x, 4 * y, 4 * 3000)
    np.testing.assert_allclose(memory[x:y], values + silu, rtol=1e-6, atol=1e-33)


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


KNOBS = "pointillist.explain.shown.find(step => step.samplers)"
DRAWN = f"() => {KNOBS}?.duel.stages.every(stage => stage.ready === 1)"


def knobs_of(page):
    """Scrolls to the knobs, until both sides have drawn their rows."""
    page.locator("#knobs").scroll_into_view_if_needed()
    page.wait_for_function(DRAWN)
    return page.locator("#knobs")


@IN_CHROMIUM
def test_a_link_restores_both_sides_and_their_rows(live_results, page_of):
    page = page_of(live_results)
    knobs = knobs_of(page)
    page.locator("[data-sets] button", has_text="space").click()
    knobs.locator("[name=sampler]").nth(0).select_option("heun")
    knobs.locator("[name=link]").click()
    page.wait_for_function("() => document.querySelector('#knobs [name=link]').textContent === 'Copied'")
    address = page.url[page.url.index("#") :]
    assert address.startswith("#knobs?evaluations=20&left=")
    page.wait_for_function(DRAWN)
    rows = f"{KNOBS}.duel.stages.map(stage => Array.from(stage.frames.at(-1)?.x ?? []))"
    other = page_of(live_results, fragment=address)
    other.wait_for_function(f"() => {KNOBS}?.set === 'space' && ({DRAWN})()")
    assert other.locator("#knobs [name=sampler]").nth(0).input_value() == "heun"
    page.wait_for_function(f"() => {KNOBS}.duel.stages[0].total === 10 && ({DRAWN})()")
    for found, expected in zip(other.evaluate(rows), page.evaluate(rows), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_finished_run_plays_again(live_results, page_of):
    page = page_of(live_results)
    # As in a browser that is late: a frame's time is earlier than the time of the click before it.
    page.evaluate(
        """() => {
             const next = window.requestAnimationFrame;
             window.requestAnimationFrame = (draw) => next((time) => draw(time - 80));
           }"""
    )
    play = knobs_of(page).locator(".play")
    finished = f"() => {KNOBS}.duel.clock.share === 1"
    page.wait_for_function(f"() => {KNOBS}.duel.clock.ready() === 1")
    page.evaluate(f"{KNOBS}.duel.clock.seek(1)")
    assert play.inner_text() == "Play"
    play.click()
    page.wait_for_function(f"() => {KNOBS}.duel.clock.share > 0.05 && {KNOBS}.duel.clock.share < 0.7")
    page.wait_for_function(finished)


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
    page = page_of(live_results, f"#knobs?left={guided},constructor,99&right=none&evaluations=12")
    knobs = knobs_of(page)
    page.wait_for_function(f"() => {KNOBS}.n === 12")
    assert knobs.locator("[name=model]").nth(0).input_value() == guided
    assert knobs.locator("[name=sampler]").nth(0).input_value() == "dpm"
    assert knobs.locator("[name=w]").nth(0).input_value() == "4"
    page = results_of(live_results, f"#{view_name(SECTIONS[0])}?figure=__proto__")
    assert page.locator(f"[id='{view_name(SECTIONS[0])}'] .rows select").input_value() == "moons"


@IN_CHROMIUM
def test_rows_go_out_as_the_last_ones_in_the_tables_units(live_results, page_of, tmp_path):
    page = page_of(live_results)
    knobs = knobs_of(page)
    page.locator("[data-sets] button", has_text="space").click()
    page.wait_for_function(f"() => {KNOBS}.duel.stages[0].model.columns === 3 && ({DRAWN})()")
    knobs.locator(".time").fill("400")
    with page.expect_download() as download:
        knobs.locator("[name=csv]").click()
    download.value.save_as(tmp_path / "rows.csv")
    names, *cells = csv.reader(io.StringIO((tmp_path / "rows.csv").read_text()))
    last = np.array(page.evaluate(f"Array.from({KNOBS}.duel.stages[0].frames.at(-1).x)")).reshape(-1, 3)
    assert names == COLUMNS["names"]
    np.testing.assert_allclose(np.array(cells, float), last * COLUMNS["unit"] + COLUMNS["centre"], rtol=1e-6)
