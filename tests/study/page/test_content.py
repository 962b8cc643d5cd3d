"""Checks the content of the page without a browser."""

import base64
import gzip
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest
from made_up import CLASSIFIER, GUIDANCE, PLAIN, STEPS, dataset

from pointillist.metrics import Estimate
from pointillist.study.page import PAGES, page_content, render, write_pages
from pointillist.study.page.charts import MAX_ROWS, chart, evenly, pictures
from pointillist.study.page.conclusions import live_name, view_name
from pointillist.study.page.tables import LEAST_EVALUATIONS, MOST_STEPS, glance, page_table
from pointillist.study.result_tables import csv_text
from pointillist.study.results import Results
from pointillist.study.spec import Column
from pointillist.study.window import Window

PAGE = files("pointillist.study.page")


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text of scripts by id."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self._script = [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._script = dict(attributes).get("id") if tag == "script" else None

    def handle_data(self, data):
        if self._script:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data

    def handle_endtag(self, tag):
        self._script = None

    def count(self, name):
        return sum(tag == name for tag, _ in self.tags)


def test_the_same_store_gives_the_same_page_written_atomically(make, tmp_path):
    results = make()
    write_pages(results, tmp_path / "out")
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == render(results)


@pytest.mark.parametrize("name", PAGES)
def test_page_is_small_and_loads_nothing(make, name):
    text = render(make())[name]
    assert len(text.encode()) < 400_000
    elements = Elements(text)
    for tag, attributes in elements.tags:
        for name in ("src", "href", "data", "srcset", "action", "poster"):
            # The two pages lead to each other.
            assert attributes.get(name, "#").startswith(("#", "data:", *PAGES)), (tag, attributes)
    assert not re.search(r"@import|url\((?!['\"]?data:)", text.split("<body>")[0])
    (policy,) = [a["content"] for tag, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and "connect-src" not in rules
    assert not re.search(r"https?:", policy)


def test_ids_are_unique_and_labels_point_to_them(make):
    pages = {name: Elements(text) for name, text in render(make()).items()}
    ids = {name: [a["id"] for _, a in page.tags if "id" in a] for name, page in pages.items()}
    for name, page in pages.items():
        assert len(ids[name]) == len(set(ids[name]))
        named = {a[key] for _, a in page.tags for key in ("aria-labelledby", "aria-controls") if key in a}
        assert named <= set(ids[name])
        for other, _, target in (a["href"].partition("#") for tag, a in page.tags if tag == "a"):
            assert not target or target in ids[other or name]


NASTY = "/data/</script><script>alert(1)<!--.csv"


def test_names_cannot_break_out(make):
    results = make(replace(STEPS, title="<b>&\"'</b></title>", datasets=("moons",)), rename={"moons": NASTY})
    pages, plain = render(results), render(make(STEPS))
    for name, text in pages.items():
        assert "<script>alert" not in text and "<b>&\"'</b>" not in text
        assert Elements(text).count("script") == Elements(plain[name]).count("script")
    elements = Elements(pages["results.html"])
    data = json.loads(elements.scripts["page.data"])
    assert list(data["sets"]) == ["script><script>alert(1)<!--"]
    assert data["sections"][0]["title"] == "<b>&\"'</b></title>"


def test_csv_is_the_sections_lines_of_results_csv(make):
    results = make()
    head, *lines = csv_text(results, results.spec.sections).splitlines()
    data = json.loads(Elements(render(results)["results.html"]).scripts["page.data"])
    for section in data["sections"]:
        text = gzip.decompress(base64.b64decode(section["csv"])).decode()
        assert text.splitlines() == [head, *(line for line in lines if line.startswith(f"{section['name']},"))]


def cell_of(table, dataset, title, i):
    (line,) = [line for line in table if (line.dataset, line.title) == (dataset, title)]
    return line.cells[i]


def test_table_shows_how_far_a_cell_is_from_the_baseline(make):
    results = make()
    table = page_table(results, results.spec.sections[0])
    # (40 - 20) / √2 and (30 - 20) / √2
    far, off, at = (cell_of(table, "moons", "EMD", i) for i in range(3))
    assert (far.band, far.distance) == ("off", "14.1 standard errors above the baseline")
    assert (off.band, off.distance) == ("off", "7.1 standard errors above the baseline")
    assert at.band == "baseline" and at.distance.endswith("no test finds it worse than the baseline")
    assert (at.measured, at.is_best, far.reported) == ("20.0 ± 1.0", True, "39.5")
    assert cell_of(table, "moons", "prior KL (nats)", 0).band == ""
    assert not any(line.is_of_class for line in table)
    assert [section["has_reported"] for section in page_content(results).sections] == [True, False, False]


def test_near_far_and_better_than_the_baseline(make):
    results = make(replace(STEPS, datasets=("moons",)), value=lambda _, c: {"10": 60, "100": 25, "500": 5}[c.label])
    table = page_table(results, results.spec.sections[0])
    assert [cell_of(table, "moons", "EMD", i).band for i in range(3)] == ["far", "near", "baseline"]
    assert "10.6 standard errors below the baseline" in cell_of(table, "moons", "EMD", 2).distance


def test_seeds_share_the_held_out_rows_but_not_the_generated_ones(make):
    results = make(GUIDANCE, CLASSIFIER, seeds=2)
    drawn, held_out = (results.rows(section)[0].cells[0].summary for section in results.spec.sections)
    assert (drawn.standard_error, held_out.standard_error) == pytest.approx((1 / np.sqrt(2), 1.0))


def test_table_of_classes_has_lines_of_single_ones(make):
    results = make(GUIDANCE)
    table = page_table(results, results.spec.sections[0])
    assert {line.title: line.is_of_class for line in table}["EMD, class 1"]
    text = render(results)["results.html"]
    assert "<option>EMD</option>" in text and "<option>EMD, class 1</option>" not in text and 'name="classes"' in text


@pytest.mark.parametrize(
    "sampler,steps,asked",
    [
        ("ancestral", 0, 500),
        ("ancestral", 7, 7),
        ("ddim", 0, 500),
        ("dpm", 0, 20),
        ("dpm", 5, 5),
        ("heun", 0, 21),
        ("dpm", 2, None),
        ("dpm", 101, None),
        ("dpm-sde", 0, None),
    ],
)
def test_a_link_uses_the_sampler_of_the_study_or_is_absent(make, sampler, steps, asked):
    column = Column("it", replace(PLAIN, timesteps=500, sampler=sampler, steps=steps))
    section = replace(STEPS, datasets=("moons",), varied=(), columns=(column,), reference=())
    results = make(section)
    model = live_name(results.cells("moons", column.settings)[0])
    requests = {cell.live for line in page_table(results, section, {model: "beta"})[:1] for cell in line.cells}
    wanted = "" if asked is None else f"evaluations={asked}&left={model},{sampler},0"
    assert requests == {wanted, ""}
    # The page draws all rows of a model with one variance.
    other = page_table(results, section, {model: "posterior"})[0].cells[0].live
    assert other == ("" if sampler == "ancestral" else wanted)


def test_the_largest_number_of_steps_agrees_with_the_page():
    text = (PAGE / "assets" / "explain" / "knobs.js").read_text("utf-8")
    steps = re.search(r"const STEPS = \{(.*?)\};", text)[1]
    assert {name: int(most) for name, most in re.findall(r"(\w+): (\d+)", steps)} == MOST_STEPS
    assert f"[{LEAST_EVALUATIONS}, 1000]" in text


def test_every_number_of_the_table_is_in_the_html(make):
    results = make()
    elements = Elements(render(results)["results.html"])
    numbers = [float(a["data-number"]) for tag, a in elements.tags if tag == "td" and "data-number" in a]
    wanted = [
        cell.number
        for section in results.spec.sections
        for line in page_table(results, section)
        for cell in line.cells
        if cell.number is not None
    ]
    assert numbers == wanted


def test_a_link_asks_for_no_guidance_that_the_stage_cannot_set(make):
    """Its slider goes from 0 to 4 in quarters."""
    columns = tuple(
        Column(f"{w:g}", replace(PLAIN, timesteps=500, method="guidance", class_embedding=16, p_uncond=0.2, guidance=w))
        for w in (0.0, 0.1, 0.25, 4.0, 8.0)
    )
    section = replace(STEPS, datasets=("moons",), varied=("guidance",), columns=columns, reference=())
    results = make(section)
    model = live_name(results.cells("moons", columns[0].settings)[0])
    cells = page_table(results, section, {model: "beta"})[0].cells[:5]
    found = [cell.live.rpartition(",")[2] for cell in cells]
    assert found == ["0", "", "0.25", "4", ""]


def test_glance_names_the_best_of_every_section_and_set(make):
    results = make()
    heads, lines = glance(results)
    assert [name for _, name, _ in heads] == ["steps", "guidance", "classifier"]
    assert [None if cell is None else cell.best for cell in lines["space"]] == ["T = 500", None, None]
    assert lines["moons"][1].best == "w = 0 and 1"


def test_glance_names_all_ties_and_their_range(make):
    columns = tuple(Column(str(t), replace(PLAIN, timesteps=t)) for t in range(2, 9))
    level = {str(t): 20.0 + t / 10 for t in range(2, 9)}
    level["8"] = 90.0
    results = make(replace(STEPS, columns=columns), value=lambda _, c: level[c.label])
    cell = glance(results)[1]["moons"][0]
    assert (cell.best, cell.value) == ("all settings but T = 8", "20.2 to 20.7")


def test_glance_is_shaded_by_the_worst_metric(make):
    results = make()
    section = results.spec.sections[0]
    assert glance(results)[1]["moons"][0].band == "baseline"
    (cell,) = results.cells("moons", section.columns[2].settings)
    known = results.store.measures(cell.key)
    results.store.add_result(cell, {**known, "two_sample_test": Estimate(9.0, 0.1, 50.0)})
    found = glance(Results(results.store))[1]["moons"][0]
    assert found.best == "T = 500" and found.band == "far"
    assert found.distance.startswith("C2ST accuracy (15-NN): 49.5 standard errors above the baseline")


def test_terms_match_the_kinds_in_the_study(make):
    everything, classifiers = (
        re.findall("<dt>(.*?)</dt> <dd>", render(results)["index.html"]) for results in (make(), make(CLASSIFIER))
    )
    assert everything == ["EMD", "accuracy", "held-out accuracy", "two-sample test (C2ST)", "baseline"]
    assert classifiers == ["held-out accuracy", "baseline"]


def test_chart_shows_the_numbers_of_the_store(make):
    results = make(value=lambda _, c: np.nan if c.label == "100" else None if c.label == "500" else 40.0)
    of = chart(results, results.spec.sections[0])
    assert of["x"] == [10, 100, 500] and of["heads"] == ["T = 10", "T = 100", "T = 500"]
    row = next(row for row in of["rows"] if (row["set"], row["metric"]) == ("moons", "emd"))
    assert row["value"] == [40.0, None, None] and row["error"][0] == 1.0
    assert row["diverged"] == [False, True, False]
    assert row["baseline"] == [20.0] * 3 and row["reported"] == [39.5, None, None]
    assert row["text"] == ["40.0 ± 1.0", "diverged", "not yet"]


def test_names_and_single_settings_have_no_numeric_axis(make):
    results = make()
    assert chart(results, results.spec.sections[2])["x"] is None
    one = make(replace(STEPS, columns=STEPS.columns[:1]))
    assert chart(one, one.spec.sections[0])["x"] is None
    decay = tuple(Column(str(v), replace(PLAIN, decay=v)) for v in (False, True))
    flags = make(replace(STEPS, varied=("decay",), columns=decay))
    assert chart(flags, flags.spec.sections[0])["x"] is None
    # No single number of steps is common to all.
    few = tuple(Column(str(v), replace(PLAIN, sampler="ddim", steps=v)) for v in (0, 2))
    fewer = make(replace(STEPS, varied=("steps",), columns=few))
    assert chart(fewer, fewer.spec.sections[0])["x"] == [PLAIN.timesteps, 2]


def unpack(draw, dimensions):
    return np.frombuffer(base64.b64decode(draw["rows"]), "<i2").reshape(-1, dimensions) / 32767


@pytest.mark.parametrize(("name", "dimensions"), [("moons", 2), ("space", 3), ("wide", 2)])
def test_packed_rows_are_restored(make, name, dimensions):
    sets, _ = pictures(make())
    packed = sets[name]
    assert len(packed["axes"]) == dimensions and packed["projected"] == (name == "wide")
    window = Window.around(dataset(name).rows)
    shown, _ = window.split(dataset(name).rows)
    labels = dataset(name).labels
    wanted = (shown - window.low) / (window.high - window.low) * 2 - 1
    wanted = wanted[np.argsort(labels, kind="stable")]
    assert np.abs(unpack(packed["real"], dimensions) - wanted).max() < 1e-4
    assert packed["real"]["classes"] == np.bincount(labels).tolist()


def test_generated_rows_are_counted_where_they_are_not_shown(make):
    results = make(value=lambda _, c: np.nan if c.label == "10" else None if c.label == "100" else 20.0)
    content = page_content(results)
    sections, draws = json.loads(content.data)["sections"], json.loads(content.draws)
    lost, unfinished, drawn = (draws.get(key) for key in sections[0]["draws"]["moons"])
    assert lost == {"n": 120, "lost": 3} and unfinished is None
    assert drawn["outside"] == 7 and len(unpack(drawn, 2)) == 113 and "classes" not in drawn
    guided = draws[sections[1]["draws"]["moons"][0]]
    assert sum(guided["classes"]) == len(unpack(guided, 2))


def test_rows_are_chosen_evenly():
    assert evenly(7).tolist() == list(range(7))
    chosen = evenly(20_000)
    assert len(set(chosen.tolist())) == MAX_ROWS and np.ptp(np.diff(chosen)) <= 1


@pytest.mark.parametrize(
    ("name", "view"), [("steps", "steps"), ("live", "section-live"), ("section-live", "section-section-live")]
)
def test_views_do_not_use_the_name_of_the_live_part(name, view):
    assert view_name(replace(STEPS, name=name)) == view


def test_unfinished_study_is_a_page_too(make):
    text = render(make(value=lambda *_: None))["results.html"]
    assert "No run of this section is finished yet." in text and "0 of 13 runs finished" in text


def test_summary_explains_the_errors(make):
    one, three = (page_content(make(seeds=n)).summary for n in (1, 3))
    assert "standard errors of sampling only (1 seed)" in one[0]
    assert "over 3 seeds, which cover training and sampling" in three[0]
    assert one[1] == "Made by pointillist 0.1.0, jax 0.10. Machine: x86_64, 2 devices"


def luminance(color):
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("name", ["style.css", "dark.css"])
def test_text_and_series_have_contrast(name):
    text = (files("pointillist.page") / "assets" / name).read_text()
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", text))
    assert len(colors) == 16
    for foreground in colors:
        if foreground in ("bg", "panel", "line"):
            continue
        for background in ("bg", "panel"):
            high, low = sorted((luminance(colors[foreground]), luminance(colors[background])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (foreground, background)
