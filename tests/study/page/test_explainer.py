"""The explainer and training in the page, in a browser, against Python."""

import jax
import made_up
import numpy as np
import pytest
from reference import loss_of, trained
from test_live import network_of

from browsers import IN_CHROMIUM, UNNAMED
from pointillist.diffusion.networks import MLP
from pointillist.diffusion.schedules import cosine
from pointillist.engine.weights import named
from pointillist.metrics import two_sample_test
from pointillist.page.weights import STEPS
from pointillist.study.page import page_content
from pointillist.study.page.live import STEP, TRAINING_TIMESTEPS, live_content


@pytest.fixture(scope="module")
def page(browser, written, live_results):
    """One page for all tests; each test uses another part."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((written(live_results) / "index.html").as_uri())
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


def test_sentences_compare_settings_only_after_three_trainings(make):
    """Errors of fewer do not cover training, and two trainings may differ by more than two settings."""
    once = page_content(make())
    assert [text for text, _ in once.sentences[:2]] == [
        "3 data sets, all 13 runs finished.",
        "Each setting was trained once, so small differences may be luck.",
    ]
    text, view = once.sentences[2]
    assert (text, view) == ("Number of steps: the best EMD reaches that of data against data on all 3 sets.", "steps")
    found = page_content(make(made_up.STEPS, seeds=3)).sentences
    assert [view for _, view in found] == ["", "steps"]
    assert found[1][0] == "Number of steps: by EMD, T = 500 is better than every other setting on all 3 sets."


def test_controls_of_all_steps_have_names(page):
    assert page.evaluate(UNNAMED) == []


def test_weights_are_packed_in_steps(live_results, page):
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
            array = np.array(found[name]).reshape(expected.shape)
            off = 0.501 * STEP * np.sqrt(np.mean(expected**2)) / STEPS if name in wide else 2**-11 * np.abs(expected)
            assert (np.abs(array - expected) <= off + 1e-7).all(), name


def test_rows_of_the_data_are_spoilt(page):
    spoil = seen(page, "spoil")

    def at(moment):
        spoil.locator(".time").fill(str(moment))
        return np.array([line.locator("td").all_inner_texts() for line in spoil.locator("tbody tr").all()])

    data, drifted, covered, nothing = map(at, (0, 250, 750, 1000))
    assert data[:2, 0].tolist() == ["Adelie"] * 2 and data[0, 2:4].tolist() == ["39.1", "18.7"]
    # A missing cell is in sight until it is covered.
    missing = data == "missing"
    assert missing[3].sum() == 5 and (drifted[missing] == "missing").all() and set(covered[missing]) <= {"missing", "?"}
    words = np.array([0, 1, 6])
    assert (drifted[:, words] == data[:, words]).all()
    moved = (drifted != data)[:, 2:6][~missing[:, 2:6]]
    assert moved.mean() > 0.8 and not (drifted == "?").any()
    assert 0.3 < (covered == "?").mean() < 0.7 and (nothing == "?").all()
    at(750)
    text = spoil.locator(".readout").inner_text()
    assert text.startswith("The numbers are noise, and ") and 40 < int(text.split("and ")[1].split(" %")[0]) < 60
    colors = page.evaluate("pointillist.explain.shown.find(step => step.time && step.stories).scene.labels")
    assert len(colors) == 344 and {-1, 0, 1, 2} == set(colors)


def test_any_cell_is_guessed_from_those_in_sight(page):
    guess = seen(page, "guess")
    step = "pointillist.explain.shown.find(step => 'covered' in step)"
    cells = guess.locator(".cells button")

    def asked(text):
        page.wait_for_function(f"text => {step}.readout.textContent.startsWith(text)", arg=text, timeout=60_000)
        bars = guess.locator(".bars li").all_inner_texts()
        return [float(text.split("\n")[-1].removesuffix("\u00a0%")) for text in bars]

    # An Adelie penguin of Torgersen, where no others live.
    percents = asked("species, given the 6 cells that you see: most likely Adelie.")
    assert percents[0] > 90 and sum(percents) == pytest.approx(100, abs=1) and not guess.locator(".curve").is_visible()
    for c, name in ((1, "island"), (2, "bill length, mm"), (3, "bill depth, mm"), (4, "flipper length, mm")):
        cells.nth(c).click()
        percents = asked(f"{name}, given the {6 - c} cells")
    # A number: whether it is missing, and its density.
    assert len(percents) == 2 and percents[1] < 5 and guess.locator(".curve svg").is_visible()
    points = np.array(page.evaluate(f"{step}.curve.chart.series[0].points"))
    area = np.trapezoid(points[:, 1], points[:, 0])
    assert area == pytest.approx(1, abs=0.1)
    wide = np.sqrt(np.average((points[:, 0] - 190) ** 2, weights=points[:, 1]))
    # With all other cells in sight, less is possible.
    for c in (3, 2, 1, 0):
        cells.nth(c).click()
        cells.nth(c).click()
    asked("flipper length, mm, given the 6 cells")
    points = np.array(page.evaluate(f"{step}.curve.chart.series[0].points"))
    assert np.sqrt(np.average((points[:, 0] - 190) ** 2, weights=points[:, 1])) < wide
    cells.nth(4).click()
    assert asked("Click a cell") == []
    guess.get_by_text("Another penguin").click()
    assert "?" not in cells.all_inner_texts()


def test_a_visitor_tells_real_rows_from_invented_ones(page):
    judge = seen(page, "judge")
    step = "pointillist.explain.shown.find(step => 'answer' in step)"
    page.wait_for_function(f"() => {step}?.rows")
    for round in range(5):
        assert f"Round {round + 1} of 5" in judge.inner_text()
        answer = page.evaluate(f"{step}.answer")
        shown = page.evaluate(f"Array.from({step}.scenes[{answer}].x)")
        real = page.evaluate(f"Array.from({step}.rows[0])")
        columns = page.evaluate(f"{step}.model.columns")
        first = round * 150 * columns
        assert shown == [real[(first + i) % len(real)] for i in range(150 * columns)]
        # One wrong answer.
        judge.locator(".buttons button").nth(answer if round else 1 - answer).click()
    text = judge.locator(".readout").inner_text()
    assert "You were right in 4 of 5 rounds." in text and "%" in text and "Round 1 of 5" in text


def test_two_sides_start_from_one_noise_and_keep_one_clock(page):
    page.locator("[data-sets] button", has_text="moons").click()
    knobs = seen(page, "knobs")
    knobs.locator("[data-preset=guidance]").click()
    duel = "pointillist.explain.shown.find(step => step.scales).duel"
    page.wait_for_function(f"() => {duel}.stages.every(stage => stage.ready === 1 && stage.labels)")
    knobs.locator(".time").fill("0")
    first, second = (np.array(page.evaluate(f"Array.from({duel}.stages[{i}].scene.x)")) for i in (0, 1))
    np.testing.assert_array_equal(first, second)
    knobs.locator(".time").fill("1000")
    first, second = (np.array(page.evaluate(f"Array.from({duel}.stages[{i}].scene.x)")) for i in (0, 1))
    assert np.abs(first - second).max() > 0.01
    box = knobs.locator("canvas").first.bounding_box()
    x, y = page.evaluate(
        f"""() => {{ const {{ scene }} = {duel}.stages[0]; const k = scene.canvas.clientWidth / scene.canvas.width;
             const inside = v => v > 20 && v < scene.canvas.width - 20;
             for (let r = 0; ; r++) {{ const p = [scene.points[2 * r], scene.points[2 * r + 1]];
               if (p.every(inside)) return p.map(v => v * k); }} }}"""
    )
    page.mouse.click(box["x"] + x, box["y"] + y)
    lengths = page.evaluate(f"{duel}.stages.map(stage => stage.scene.path.length)")
    assert lengths == [2 * 21] * 2
    knobs.locator("canvas").first.press("Enter")
    assert page.evaluate(f"{duel}.stages[0].scene.chosen === {duel}.stages[1].scene.chosen")


HERO = "pointillist.explain.hero"


def texts_at(page, moment):
    """Cells of the first table at a moment, in thousandths of the way."""
    page.locator(".hero-stage .time").fill(str(moment))
    lines = page.locator("#page\\.rows tbody tr")
    return [line.locator("td").all_inner_texts()[1:] for line in lines.all()]


def test_the_cells_of_the_first_table_turn_over_one_by_one(page):
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_function(f"() => {HERO}.stories.length > 64")
    hidden = [sum(text == "?" for row in texts_at(page, moment) for text in row) for moment in range(0, 501, 50)]
    assert hidden[0] == 6 * 7 and hidden[-1] == 0 and len(set(hidden)) > 8 and hidden == sorted(hidden, reverse=True)
    assert page.inner_text(".hero-stage .play") == "Play"
    # From here on, only numbers move.
    halfway, last = texts_at(page, 500), texts_at(page, 1000)
    for before, after in zip(halfway, last, strict=True):
        assert before[:2] == after[:2] and before[6] == after[6]
    assert halfway != last
    page.locator("#page\\.rows tbody tr").nth(2).click()
    row = page.evaluate(f"{HERO}.scene.chosen")
    assert row == page.evaluate(f"{HERO}.rows[2]") and page.evaluate(f"{HERO}.scene.path.length") == 2 * 61
    # A clicked point joins the table, and its cells are the point's coordinates.
    page.evaluate(f"{HERO}.scene.chosen = null")
    box = page.locator(".hero-stage canvas").bounding_box()
    x, y = page.evaluate(
        f"""() => {{ const {{ scene }} = {HERO}; const k = scene.canvas.clientWidth / scene.canvas.width;
             return [scene.points[2 * 50] * k, scene.points[2 * 50 + 1] * k]; }}"""
    )
    page.mouse.click(box["x"] + x, box["y"] + y)
    row = page.evaluate(f"{HERO}.scene.chosen")
    assert page.evaluate(f"{HERO}.rows[0]") == row and page.locator("#page\\.rows .chosen").count() == 1
    cells = page.locator("#page\\.rows .chosen td").all_inner_texts()
    at = page.evaluate(f"Array.from({HERO}.scene.x.slice({2 * row}, {2 * row + 2}))")
    centre, unit = (np.array(page.evaluate(f"{HERO}.stories[0].table.dataset.{of}")) for of in ("centre", "unit"))
    np.testing.assert_allclose([float(text) for text in cells[3:5]], at * unit + centre, atol=1e-5)


def test_invented_rows_are_like_the_data(page):
    """The model in the page has learned the table: shares of categories, missing cells, and what depends on what."""
    page.wait_for_function(f"() => {HERO}.isReady")
    rows = page.evaluate(
        """async () => {
             const { table } = pointillist.explain.hero.stories[0];
             const texts = (stories) => stories.map((story) => story.cells(1).map(({ text }) => text));
             const real = table.real.map((cells) => cells.map((cell) => cell ?? "missing"));
             return [texts(await table.draw(512, { seed: 9 })), real];
           }"""
    )
    made, real = (np.array(each) for each in rows)
    for c in (0, 1, 6):
        for value in np.unique(real[:, c]):
            assert np.mean(made[:, c] == value) == pytest.approx(np.mean(real[:, c] == value), abs=0.08), value
    homes = {tuple(row) for row in real[:, :2]}
    assert np.mean([tuple(row) not in homes for row in made[:, :2]]) < 0.03
    for species in np.unique(real[:, 0]):
        for c in (2, 3, 4, 5):
            mean, spread = (
                [
                    of(rows[(rows[:, 0] == species) & (rows[:, c] != "missing"), c].astype(float))
                    for rows in (made, real)
                ]
                for of in (np.mean, np.std)
            )
            assert abs(mean[0] - mean[1]) < 0.4 * spread[1], (species, c)


def test_a_row_is_written_token_by_token_and_then_all_numbers(page):
    write = seen(page, "write")
    cells = write.locator(".cells td")
    step = write.locator("[name=step]")
    write.locator("[name=rewind]").click()
    for n in range(7):
        texts = cells.all_inner_texts()
        assert texts[n:] == ["?"] * (7 - n) and "?" not in texts[:n]
        assert write.locator(".bars li").count() in (2, 3)
        percents = [
            float(text.split("\n")[-1].removesuffix("\u00a0%")) for text in write.locator(".bars li").all_inner_texts()
        ]
        assert sum(percents) == pytest.approx(100, abs=1.1)
        step.click()
    assert "all numbers together" in write.locator(".readout").inner_text()
    before = cells.all_inner_texts()
    for _ in range(10):
        step.click()
    assert write.locator(".readout").inner_text() == "The row is written."
    after = cells.all_inner_texts()
    assert before[:2] == after[:2] and before[2:6] != after[2:6]
    write.locator("[name=other]").click()
    assert set(cells.all_inner_texts()) == {"?"}


def test_cells_guessed_alone_make_impossible_rows(page):
    once = seen(page, "once")
    text = once.locator(".readout").inner_text()
    alone, together = text.split(":")[1].split(",")
    # The species and islands of the data, drawn alone: 1 - Σ p(species) p(island) over those that occur together.
    assert 0.25 < float(alone.split(" %")[0]) / 100 < 0.45
    assert "no row" in together or float(together.split(" %")[0]) < 3
    assert once.locator("table").nth(0).locator("tbody tr").count() == 5
    page.wait_for_function(
        """() => {
             const step = pointillist.explain.shown.find((each) => each.jump);
             return step.jump.scene.x?.length && step.steps.ready === 1;
           }"""
    )


@pytest.mark.slow
@IN_CHROMIUM
def test_without_motion_the_hero_shows_its_rows(page_of, live_results):
    page = page_of(live_results, reduced_motion="reduce")
    page.wait_for_function(f"() => {HERO}.isReady")
    assert page.evaluate(f"{HERO}.clock.share") == 1 and not page.locator(".hero-stage .play").is_visible()
    assert {text for row in texts_at(page, 0) for text in row} == {"?"}


def test_a_cell_opens_its_network_in_the_knobs(results_of, live_results):
    page = results_of(live_results)
    link = page.locator("[id='section-plain'], #plain").first.locator(".open-live").first
    wanted = link.get_attribute("href")
    link.click()
    knobs = "pointillist.explain?.shown.find(step => step.samplers)"
    page.wait_for_function(f"() => {knobs}?.duel.stages.every(stage => stage.ready === 1)")
    assert page.locator("#knobs [name=model]").first.input_value() in wanted
    assert page.locator("#knobs [name=sampler]").first.input_value() == "ancestral"
    assert page.evaluate("document.querySelector('#knobs').getBoundingClientRect().top < innerHeight / 2")


def test_the_two_sample_test_agrees_with_python(page):
    """The folds differ, so the answers differ by their errors."""
    rng = np.random.default_rng(0)
    compute = "([a, b]) => pointillist.twoSampleTest(Float32Array.from(a), Float32Array.from(b), 2)"
    for shift in (0.0, 1.0, 3.0):
        A, B = rng.normal(size=(350, 2)), rng.normal(shift, 1, size=(300, 2)) * [1, 50]
        A[:, 1] *= 50
        found = page.evaluate(compute, [A.ravel().tolist(), B.ravel().tolist()])
        expected = two_sample_test(A, B, classifier="knn")
        assert abs(found["value"] - expected) < 1.5 * expected.null_standard_error
        assert found["error"] == pytest.approx(expected.standard_error, rel=0.3)


def test_a_score_sees_points_inside_of_a_drawn_outline(page):
    """Some points of a circle lie inside: few, but no eye overlooks them."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 800)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) + rng.normal(0, 0.02, (800, 2))
    data, rows = ring[:400], ring[400:].copy()
    rows[:120] *= rng.uniform(0, 0.8, (120, 1))
    compute = "([a, b]) => pointillist.twoSampleTest(Float32Array.from(a), Float32Array.from(b), 2)"
    found = page.evaluate(compute, [rows.ravel().tolist(), data.ravel().tolist()])
    assert found["value"] - 3 * found["error"] > 0.5
    stray = """(all) => {
      const [rows, held, data] = all.map((each) => Float32Array.from(each));
      return pointillist.strayShare(rows, held, data, 2);
    }"""
    held, learned = ring[:150].ravel().tolist(), ring[150:400].ravel().tolist()
    inside = (np.linalg.norm(rows, axis=1) < 0.9).mean()
    assert page.evaluate(stray, [rows.ravel().tolist(), held, learned]) == pytest.approx(inside, abs=0.05)


def test_two_samplers_are_shown_at_one_noise_level_and_in_one_frame(page):
    sampler = seen(page, "knobs")
    sampler.locator("[data-preset=sampler]").click()
    duel = "pointillist.explain.shown.find(step => step.samplers).duel"
    page.wait_for_function(f"() => {duel}.stages.every(stage => stage.ready === 1 && !stage.labels)")
    levels = f"{duel}.stages.map(({{ scene }}) => [scene.level.lambda, scene.view.halfWidth(scene.level)])"
    steps = page.evaluate(f"{duel}.stages.map(({{ frames }}) => frames.map(({{ level }}) => level.lambda))")
    # The samplers choose other levels.
    first, second = (np.array(each[1:-1]) for each in steps)
    assert np.abs(first - second).max() > 0.1
    for time in ("250", "500", "750"):
        sampler.locator(".time").fill(time)
        first, second = page.evaluate(levels)
        assert first == second
    page.wait_for_function(
        "() => document.querySelector('[data-step=knobs] .readout').textContent.includes('of all cases after 20')"
    )


SETTINGS = {"width": 20, "depth": 3, "batch": 16, "rate": 1e-3, "seed": 7}
SIGMA_DATA = np.array([0.5, 0.4, 0.7])
FEATURES = 8

GRADIENTS = """
handlers.gradients = async ({ model, settings, tensors, x0, times, noise, kernel }) => {
  const training = new Training(new Memory(await WebAssembly.instantiate(kernel)), model, settings);
  const { layers, names } = training.network;
  layers.forEach((layer, i) => {
    layer.weight.set(tensors[`${names[i]}.weight`]);
    layer.offset.set(tensors[`${names[i]}.bias`]);
    layer.pack();
  });
  const loss = training.lossOf(x0, times, noise);
  const gradients = layers.flatMap(({ ofWeight, ofOffset }, i) =>
    [[`${names[i]}.weight`, ofWeight], [`${names[i]}.bias`, ofOffset]]);
  return { loss, gradients: Object.fromEntries(gradients) };
};
"""
"""A handler for the training worker: the loss and the gradients of a network with the given weights."""


def evaluate_in_page(page, message, **arrays):
    """Returns the last answer of a separate worker to a message about a network of three columns."""
    return page.evaluate(
        """({ message, arrays, sigma_data, features, gradients }) => new Promise((resolve, reject) => {
             const [alpha, sigma] = pointillist.trainer.schedule;
             const each = (object, change) =>
               Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));
             const numbers = (value) => Array.isArray(value) ? Float32Array.from(value) : each(value, numbers);
             const plain = (value) =>
               ArrayBuffer.isView(value) ? Array.from(value) : Object(value) === value ? each(value, plain) : value;
             const model = { columns: 3, time_embedding: features, sigma_data, alpha, sigma };
             const source = new Blob([pointillist.trainer.source, gradients], { type: "text/javascript" });
             const worker = new Worker(URL.createObjectURL(source));
             worker.onmessage = ({ data }) => {
               if (data.error) reject(new Error(data.error));
               else if (data.isDone || "loss" in data && !data.progress) resolve(plain(data)), worker.terminate();
             };
             pointillist.trainer.kernel.then((kernel) =>
               worker.postMessage({ call: 0, ...message, model, kernel, ...numbers(arrays) }));
           })""",
        {
            "message": message,
            "arrays": arrays,
            "sigma_data": SIGMA_DATA.tolist(),
            "features": FEATURES,
            "gradients": GRADIENTS,
        },
    )


def by_inputs(array):
    """A matrix with inputs first, as pages have it."""
    return array.T if array.ndim == 2 else array


def test_gradients_agree_with_jax(page):
    """Gradients of the network that is trained in the page, for the same weights, rows, times and noise."""
    rng = np.random.default_rng(1)
    size = {"width": SETTINGS["width"], "depth": SETTINGS["depth"]}
    network = MLP(jax.random.key(0), columns=3, features=FEATURES, **size)
    x0, noise = rng.normal(size=(2, SETTINGS["batch"], 3)).astype(np.float32)
    times = rng.integers(1, TRAINING_TIMESTEPS + 1, SETTINGS["batch"])
    value, gradients = loss_of(network, cosine(TRAINING_TIMESTEPS), SIGMA_DATA, x0, times, noise, FEATURES)
    found = evaluate_in_page(
        page,
        {"type": "gradients", "settings": SETTINGS, "times": times.tolist()},
        x0=x0.ravel().tolist(),
        noise=noise.ravel().tolist(),
        tensors={name: by_inputs(array).ravel().tolist() for name, array in named(network).items()},
    )
    assert found["loss"] == pytest.approx(float(value), rel=1e-5)
    for name, expected in named(gradients).items():
        wanted = by_inputs(expected)
        np.testing.assert_allclose(
            np.array(found["gradients"][name]).reshape(wanted.shape), wanted, atol=1e-4, rtol=1e-4
        )


def test_a_seed_trains_the_same_network_as_in_python(page):
    """Compares weights after steps of Adam on the same batches with the same noise, from the first weights on."""
    data = (np.random.default_rng(2).normal(size=(50, 3)) * SIGMA_DATA).astype(np.float32)
    message = {"type": "train", "settings": SETTINGS, "steps": 20}
    found = evaluate_in_page(page, message, data=data.ravel().tolist())
    schedule = cosine(TRAINING_TIMESTEPS)
    expected, loss = trained(data, schedule, SIGMA_DATA, 20, features=FEATURES, **SETTINGS)
    assert found["step"] == 20 and found["loss"] == pytest.approx(loss, rel=1e-5)
    assert set(found["tensors"]) == set(expected)
    for name, array in expected.items():
        wanted = by_inputs(array)
        # A hundredth of what the steps change: another decay of Adam's, or another first batch, is farther off.
        np.testing.assert_allclose(np.array(found["tensors"][name]).reshape(wanted.shape), wanted, atol=1e-5, rtol=0)


def test_tables_that_cannot_be_learned_are_refused_in_a_line(page):
    read = "text => { try { return pointillist.readTable(text).cells.length } catch (error) { return error.message } }"
    lines = "\n".join(f"{i / 2},x" for i in range(40))
    assert page.evaluate(read, f"a,b\n{lines}") == 40 and page.evaluate(read, lines) == 40
    assert page.evaluate(read, "a,b\n1,2") == "The file has 1 rows; it takes 30 or more."
    assert page.evaluate(read, f"a,b\n1\n{lines}") == "Line 2 has 1 cells instead of 2."
    assert page.evaluate(read, "a\n1") == "The file has 1 column; it takes two or more."
    many = "\n".join(f"{i},x" for i in range(2001))
    assert page.evaluate(read, f"a,b\n{many}") == "The file has 2,001 rows; at most 2,000 can be learned here."
    wide = "\n".join(",".join("123456789") for _ in range(40))
    assert page.evaluate(read, wide) == "The file has 9 columns; at most 8 can be learned here."
    names = "\n".join(f"{i},name {i}" for i in range(40))
    expected = "b has 40 different words (such as name 0); at most 20 can be learned here."
    assert page.evaluate(read, f"a,b\n{names}") == expected


def test_rows_of_a_table_are_numbers_and_back(page):
    """Words, few numbers, missing cells of both kinds, and digits."""
    rng = np.random.default_rng(0)
    size, weight = rng.normal(size=40).round(2).astype(str), rng.integers(1000, 2000, 40).astype(str)
    kind, grade = rng.choice(["b", "a", "c"], 40), rng.integers(0, 3, 40).astype(str)
    cells = np.stack([size, kind, weight, grade], axis=1).astype(object)
    cells[[3, 5], [0, 1]] = cells[7, 2] = None
    found = page.evaluate(
        """(cells) => {
             const { codecs, asCells, readTable } = pointillist;
             const text = cells.map((row) => row.map((cell) => cell ?? "NA").join()).join("\\n");
             const { dataset } = readTable(`size,kind,weight,grade\\n${text}`);
             const codec = codecs.get(dataset);
             const rows = codec.encode(cells);
             const moved = rows.map((value, i) => value + 0.0005 * (i % 3));
             const means = codec.learned(cells).reduce((sums, value, i) => {
               sums[i % codec.width] += value / 4000;
               return sums;
             }, Array(codec.width).fill(0));
             const odd = asCells(dataset, rows, NaN).map(Number.isNaN);
             return [codec.decode(rows), codec.decode(moved), means, codec.width, dataset.axes, [...odd]];
           }""",
        cells.tolist(),
    )
    back, moved, means, width, axes, missing = found
    wanted = [
        [None if cell is None else f"{float(cell):g}" if c % 2 == 0 else cell for c, cell in enumerate(row)]
        for row in cells
    ]
    assert back == wanted and moved[0][1] == wanted[0][1] and [row[3] for row in moved] == [row[3] for row in wanted]
    # A number and whether it is missing, three words and a missing one, and three grades.
    assert width == 2 + 4 + 2 + 3 and axes == ["size", "weight"]
    assert np.abs(means).max() < 0.02 and np.flatnonzero(missing).tolist() == [3 * width, 7 * width + 6]


def mixed_file(path, rows=600):
    """Writes a table of two kinds, whose numbers differ and are missing in one of them; returns its cells."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, rows)
    size = (rng.normal(5, 1, rows) + 10 * kind).round(1)
    place = np.where(rng.random(rows) < 0.9, kind, 1 - kind)
    lines = [
        [f"{s:.1f}" if k or i % 2 else "NA", f"{w:.2f}", ("small", "large")[k], ("north", "south")[p] if i % 5 else ""]
        for i, (k, s, w, p) in enumerate(zip(kind, size, rng.normal(size=rows), place, strict=True))
    ]
    path.write_text("\n".join(map(",".join, [["size", "weight", "kind", "place"], *lines])))
    return lines


def test_a_table_of_numbers_words_and_missing_cells_is_learned(page, tmp_path):
    mixed_file(tmp_path / "rows.csv")
    page.set_input_files("input[type=file]", tmp_path / "rows.csv")
    page.wait_for_function("() => document.querySelector('.train .readout').textContent.startsWith('600 rows')")
    text = page.inner_text(".train .readout")
    assert text.startswith("600 rows of 4 columns; the picture shows size and weight; ")
    assert text.endswith(" missing cells, which are learned too")
    page.evaluate("pointillist.trainer.start(600)")
    page.wait_for_function(
        "() => document.querySelector('.train .readout').textContent.startsWith('Done')", timeout=90_000
    )
    rows = page.evaluate(
        """async () => {
             const { codecs, models, pool } = pointillist;
             const x = await pool.run({ id: "trained here", sampler: "dpm", steps: 20, seed: 0, rows: 1000 });
             return codecs.get(models.datasets.yours).decode(x);
           }"""
    )
    made = np.array([["missing" if cell is None else cell for cell in row] for row in rows])
    small = made[:, 2] == "small"
    assert set(made[:, 2]) == {"small", "large"} and abs(small.mean() - 0.5) < 0.1
    assert set(made[:, 3]) == {"north", "south", "missing"} and abs((made[:, 3] == "missing").mean() - 0.2) < 0.1
    no_size = made[:, 0] == "missing"
    assert abs(no_size[small].mean() - 0.5) < 0.15 and no_size[~small].mean() < 0.05
    sizes = [made[side & ~no_size, 0].astype(float) for side in (small, ~small)]
    assert [each.mean() for each in sizes] == pytest.approx([5, 15], abs=1)
    assert all(abs(size * 10 - round(size * 10)) < 1e-9 for size in np.concatenate(sizes))
    assert np.mean(made[small & (made[:, 3] != "missing"), 3] == "north") > 0.75
    # The rows in the table are those of the picture, colored by their kind.
    table = page.locator("#train table")
    assert table.locator("th").all_inner_texts() == ["size", "weight", "kind", "place"] and table.is_visible()
    kinds = [line.locator("td").nth(2).inner_text() for line in table.locator("tbody tr").all()]
    colors = page.evaluate("pointillist.trainer.stage.scene.labels.slice(0, 6)")
    assert [["large", "small"][color] for color in colors] == kinds
    # The judge and the knobs compare cells, as the data are, and the file has them.
    knobs = page.evaluate("pointillist.models.get('trained here').columns")
    assert knobs == 2 + 1 + 2 + 3
    # Its rows stay in the page, so no link can hold them.
    page.locator(".train .done button").click()
    assert "has no link" in page.inner_text(".train .readout")
    # A refused file leaves no picture of other rows beside it.
    page.evaluate("pointillist.trainer.choose('draw')")
    (tmp_path / "rows.csv").write_text("a\n1")
    page.set_input_files("input[type=file]", tmp_path / "rows.csv")
    page.wait_for_function("() => document.querySelector('.train .readout').classList.contains('wrong')")
    assert not page.locator(".train .pad").is_visible() and page.locator(".train .start").is_disabled()
    assert not table.is_visible()


def test_a_link_trains_the_drawn_model_again(page_of, live_results):
    page = page_of(live_results)
    page.evaluate(
        """() => {
             const { trainer } = pointillist;
             for (let i = 0; i < 650; i++) trainer.pad.points.push([Math.cos(i), Math.sin(i) / 2]);
             trainer.pad.text = trainer.pad.text;
             trainer.start(20);
           }"""
    )
    page.wait_for_function("() => pointillist.trainer?.done")
    page.locator(".train .done button").click()
    page.wait_for_function("() => location.hash.startsWith('#train?')")
    address = page.evaluate("location.href")
    assert len(address) < 6000
    other = page_of(live_results, address[address.index("#") :])
    other.wait_for_function("() => pointillist.explain.state.set === 'yours'", timeout=60_000)
    weights = "Array.from(pointillist.models.get('trained here').tensors['output.weight'])"
    assert other.evaluate(weights) == page.evaluate(weights)


def test_points_are_drawn_by_hand(page):
    page.evaluate("pointillist.trainer.choose('draw')")
    pad = page.locator(".pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    for i in range(8):
        page.mouse.move(box["x"] + 60 + 20 * i, box["y"] + 70)
    page.mouse.up()
    assert page.evaluate("pointillist.trainer.pad.points.length") >= 30 and page.locator(".train .start").is_enabled()
    page.locator(".train .clear").click()
    assert not page.locator(".train .start").is_enabled()


def test_a_network_is_trained_and_joins_the_others(page, tmp_path):
    """A ring, from a file."""
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 800)
    lines = "\n".join(f"{100 + 5 * np.cos(a)};{np.sin(a)}" for a in angle)
    (tmp_path / "ring.csv").write_text(f"width;height\n{lines}\n")
    page.locator("[name=source]").select_option("csv")
    page.locator("input[type=file]").set_input_files(tmp_path / "ring.csv")
    page.wait_for_function("() => document.querySelector('.train .readout').textContent === '800 rows of 2 columns'")
    page.locator(".train .start").click()
    # The score may rise between measurements.
    is_nearer = "(found) => found?.length > 2 && found.at(-1)[1] < found[0][1]"
    page.wait_for_function(f"() => ({is_nearer})(pointillist.trainer.training?.scores)", timeout=60_000)
    page.locator(".train .start").click()
    page.wait_for_function(
        "() => document.querySelector('.train .readout').textContent.startsWith('Done')", timeout=20_000
    )
    assert page.evaluate("pointillist.explain.state.set") == "yours"
    rows = page.evaluate(
        """async () => {
             const { models, pool } = pointillist;
             const x = await pool.run({ id: "trained here", sampler: "dpm", steps: 20, seed: 0, rows: 2000 });
             return pointillist.codecs.get(models.datasets.yours).decode(x);
           }"""
    )
    rows = np.array(rows, float)
    assert rows.mean(axis=0) == pytest.approx([100, 0], abs=0.5) and rows[:, 0].max() > 103


def train(page):
    """Trains a network on the chosen set for a moment."""
    page.evaluate("pointillist.trainer.start()")
    page.wait_for_function("() => pointillist.trainer.training.scores.length > 0", timeout=60_000)
    page.evaluate("pointillist.trainer.stop()")
    page.wait_for_function(
        "() => document.querySelector('.train .readout').textContent.startsWith('Done')", timeout=20_000
    )


def test_a_network_that_is_trained_again_is_shown_instead_of_the_first(page):
    """Covers all steps: both have the same name."""
    seen(page, "knobs")
    seen(page, "once")
    page.evaluate("pointillist.trainer.choose(Object.keys(pointillist.models.datasets)[0])")
    stages = "explain.shown.flatMap(step => step.jump ? step.steps : step.samplers ? step.duel.stages : [])"
    for _ in range(2):
        train(page)
        page.wait_for_function(
            f"""() => {{
                  const {{ explain }} = pointillist, stages = {stages};
                  return stages.length === 3 && stages.every(({{ model }}) => model === explain.state.model);
                }}"""
        )


def test_a_training_can_be_stopped_before_it_starts(page):
    page.evaluate("pointillist.trainer.choose(Object.keys(pointillist.models.datasets)[0])")
    page.evaluate("() => { pointillist.trainer.start(); pointillist.trainer.stop() }")
    page.wait_for_function("() => !pointillist.trainer.worker", timeout=20_000)
    page.wait_for_function("() => document.querySelector('.train .readout').textContent.startsWith('Done')")
    assert page.inner_text(".train .readout").startswith("Done: 10 steps in ")


def test_other_rows_end_a_training(page, tmp_path):
    """Its last report would overwrite their text."""
    page.evaluate("pointillist.trainer.choose(Object.keys(pointillist.models.datasets)[0])")
    page.evaluate("pointillist.trainer.start()")
    page.wait_for_function("() => pointillist.trainer.training.scores.length > 0", timeout=60_000)
    lines = "\n".join(f"{i},{i * i}" for i in range(40))
    (tmp_path / "rows.csv").write_text(f"a,b\n{lines}\n")
    page.set_input_files("input[type=file]", tmp_path / "rows.csv")
    page.wait_for_function("() => document.querySelector('.train .readout').textContent === '40 rows of 2 columns'")
    page.wait_for_timeout(1000)
    assert page.inner_text(".train .readout") == "40 rows of 2 columns" and page.inner_text(".train .start") == "Train"
    assert page.locator(".train .done").is_hidden()


def test_a_corrected_file_can_be_chosen_again(page, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n")
    page.evaluate("pointillist.trainer.choose('csv')")
    page.set_input_files("input[type=file]", path)
    page.wait_for_function("() => document.querySelector('.train .readout').textContent.includes('takes 30 or more')")
    # A browser reports no change if the same file is chosen again.
    assert page.input_value("input[type=file]") == ""
