"""Compares rows of a model's page in a browser with rows from Python."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from page_steps import downloaded, with_random_weights
from typer.testing import CliRunner

from browsers import IN_CHROMIUM
from pointillist import Diffusion, evaluate
from pointillist.cli import app
from pointillist.models.row_model import Guarantee
from pointillist.page import Verdict, render

SMALL = {"width": 16, "depth": 2, "epochs": 2, "batch_size": 32, "timesteps": 50, "random_state": 0}
HOSTILE = '</script><img src=x onerror="alert(1)">'


def fitted(X, y=None, **options):
    return with_random_weights(Diffusion(**SMALL | options).fit(X, y))


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    a = rng.normal(size=200)
    return np.stack([a, 0.5 * a + rng.normal(size=200), rng.exponential(size=200)], axis=1)


def drawn(page, **asked):
    """Returns the columns of rows that the page draws."""
    return np.array(
        page.evaluate(
            """async ({ prior, ...asked }) => {
                 const table = await pointillist.draw({ ...asked, prior: prior && new Float32Array(prior) });
                 return table.columns.map((column) => Array.from(column.values));
               }""",
            asked,
        )
    ).T


@pytest.mark.parametrize("scaling", ["standard", "minmax"])
def test_rows_equal_those_of_python_for_the_same_seed_or_prior(rows, page_of, scaling):
    model = fitted(rows, scaling=scaling)
    page = page_of(model)
    scaled = model.model_.codec.encode
    expected = model.sample(700, random_state=5)
    np.testing.assert_allclose(scaled(drawn(page, rows=700, seed=5)), scaled(expected), atol=1e-2)
    prior = np.random.default_rng(1).normal(size=(90, 3)).astype(np.float32)
    expected = model.sample(prior=prior)
    found = drawn(page, rows=90, seed=0, prior=prior.ravel().tolist())
    np.testing.assert_allclose(scaled(found), scaled(expected), atol=1e-2)


def test_numbers_are_on_their_grids_and_within_their_ranges(rows, page_of, tmp_path):
    a, b, c = rows.T
    table = {"a": np.round(a, 1), "b": 0.05 * np.round(40 * b), "c": np.round(c, 1).astype(np.float32)}
    model = fitted(
        pa.table(table | {"d": 5 * np.round(5 * a).astype(int), "e": c}), process="gaussian", scaling="minmax"
    )
    page = page_of(model)
    found, expected = drawn(page, rows=3000, seed=5), model.sample(3000, random_state=5)
    steps = model.model_.codec.scaling.units
    for i, (column, other) in enumerate(zip(found.T, expected.itercolumns(), strict=True)):
        other = other.to_numpy().astype(float)
        if i < 4:
            # Numbers halfway between two grid values may be rounded either way.
            assert (np.abs(column - other) < 1e-6).mean() > 0.95 and (np.abs(column - other) < 1.1 * steps[i]).all()
        assert column.min() >= other.min() - 0.1 - steps[i]
    assert found[:, 2].min() >= 0 and found[:, 4].min() == c.min() == expected["e"].to_numpy().min()
    page.fill("#rows", "3000")
    page.fill("#seed", "5")
    page.click("#draw")
    page.wait_for_function("() => document.querySelector('#status').textContent.startsWith('3,000 rows in')")
    _, *cells = downloaded(page, "#csv", tmp_path / "rows.csv")
    for i, digits in enumerate([1, 2, 1, 0]):
        assert max(len(row[i].partition(".")[2]) for row in cells) == digits


def test_classes_and_guidance_agree_with_python(rows, page_of):
    model = fitted(rows[:, :2], np.where(rows[:, 0] > 0.5, "high", "low"))
    page = page_of(model)
    for label, guidance in ((0, 0.0), (1, 2.0)):
        name = ["high", "low"][label]
        expected = model.sample(300, labels=name, guidance=guidance, random_state=3)
        found = drawn(page, rows=300, seed=3, label=label, guidance=guidance)
        off = np.abs(found[:, :2] - expected)
        # Guidance amplifies the rounding of weights.
        assert np.quantile(off, 0.99) < 1.5e-2 and off.max() < 0.1
        assert (found[:, 2] == label).all()


@IN_CHROMIUM
def test_a_page_draws_rows_and_saves_csv_with_the_types_of_the_table(rows, page_of, tmp_path):
    table = pa.table(
        {
            HOSTILE: rows[:, 0].astype(np.float32),
            "a, b": np.round(10 * rows[:, 1]).astype(np.int64),
            "same": np.full(200, 7),
            "is_large": rows[:, 2] > 1,
        }
    )
    model = fitted(table, np.where(rows[:, 0] > 0.5, "high", f"{HOSTILE}<b>"), p_uncond=0.0, process="gaussian")
    page = page_of(model)
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert HOSTILE in page.inner_text("#first-rows thead")
    page.fill("#rows", "1500")
    page.fill("#seed", "9")
    page.click("#draw")
    page.wait_for_function("() => document.querySelector('#status').textContent.startsWith('1,500 rows in')")
    names, *cells = downloaded(page, "#csv", tmp_path / "rows.csv")
    assert names == [*table.column_names, "label"] and len(cells) == 1500
    expected, labels = model.sample(1500, return_labels=True, random_state=9)
    assert [row[4] for row in cells] == labels.tolist()
    close = np.isclose([float(row[0]) for row in cells], expected[HOSTILE].to_numpy(), atol=1e-2)
    whole = [int(row[1]) for row in cells] == expected["a, b"].to_numpy()
    assert close.mean() > 0.99 and whole.mean() > 0.97
    assert {row[2] for row in cells} == {"7"} and {row[3] for row in cells} <= {"true", "false"}
    assert all(np.float32(row[0]) == float(np.float32(row[0])) for row in cells)
    large = [str(value).lower() for value in expected["is_large"].to_pylist()]
    assert np.mean([row[3] == value for row, value in zip(cells, large, strict=True)]) > 0.99


def test_rows_of_a_failed_draw_are_not_offered(rows, page_of):
    page = page_of(fitted(rows))
    page.evaluate(
        """() => {
             const { workers } = pointillist;
             const call = workers.call.bind(workers);
             let first;
             workers.call = async (...asked) => {
               if (!first) return (first = call(...asked));
               await first;
               await new Promise((resume) => setTimeout(resume, 500));
               workers.call = call;
               throw new Error("out of memory");
             };
           }"""
    )
    page.evaluate("document.querySelector('#rows').value = 3000")
    page.click("#draw")
    page.wait_for_function("() => document.querySelector('#status').textContent.includes('out of memory')")
    assert page.locator("#csv").is_disabled() and page.locator("#rows-drawn").is_hidden()
    page.click("#draw")
    page.wait_for_function("() => !document.querySelector('#csv').disabled")
    assert page.locator("#rows-drawn").is_visible()


def test_a_page_states_the_privacy_guarantee(rows):
    model = fitted(rows).model_
    assert "Differential privacy" not in render(model, "plain") and "as confidential as the table" in render(model, "")
    guarantee = Guarantee(
        2.5, 1e-5, "a row more or less", "accountant 1", ("<i>noise</i>",), ("the <b>ranges</b>",), False
    )
    text = render(replace(model, record=replace(model.record, guarantee=guarantee)), "private")
    assert "Differential privacy" in text and "the &lt;b&gt;ranges&lt;/b&gt;" in text
    assert "2.5" in text and "as confidential as the table" not in text


def test_a_draw_can_be_stopped_after_fields_change(rows, page_of):
    page = page_of(fitted(rows))
    page.evaluate("() => { pointillist.workers.call = () => new Promise(() => {}) }")
    page.click("#draw")
    page.fill("#rows", "")
    page.click("#draw")
    assert page.inner_text("#status") == "Stopped."


def test_a_private_page_states_no_moments_of_the_data(rows, page_of):
    """Private fits scale by the domain; its center does not depend on the rows."""
    model = fitted(rows)
    assert "(data: " in (text := page_of(model).inner_text("#marginals")) and "; data from -" in text
    guarantee = Guarantee(2.5, 1e-5, "a row more or less", "accountant 1", ("noise",), ("the ranges",), False)
    model.model_ = replace(model.model_, record=replace(model.model_.record, guarantee=guarantee))
    page = page_of(model)
    assert "(data: " not in page.inner_text("#marginals") and "; domain from -" in page.inner_text("#marginals")
    assert "deviation of the training data" not in page.inner_text("main")


def test_a_page_shows_the_verdict_of_an_evaluation(rows, tmp_path):
    model = Diffusion(**SMALL).fit(rows)
    model.save(tmp_path / "m.model")
    path, page = tmp_path / "e.json", tmp_path / "m.html"

    def written(text):
        path.write_text(text)
        asked = ["page", str(tmp_path / "m.model"), "-o", str(page), "--evaluation", str(path)]
        return CliRunner().invoke(app, asked)

    assert written('{"verdict": "Not <b>distinguishable</b>.", "is_distinguishable": false}').exit_code == 0
    assert '<p class="remark"><b>Evaluation:</b> Not &lt;b&gt;distinguishable' in page.read_text()
    for text, wrong in (("[]", "e.json: holds no verdict"), ("{", "e.json: is not JSON"), ('{"verdict": 1}', "no ver")):
        assert wrong in str(written(text).exception)
    with pytest.raises(ValueError, match="no verdict"):
        Verdict.from_json({"verdict": "fine"})
    found = evaluate(rows[:50], model.sample(50, random_state=0))
    with pytest.raises(TypeError, match="evaluation must be what evaluate returned, not 'fine'"):
        model.page(page, evaluation="fine")
    model.page(page, evaluation=found)
    assert f"{found.verdict[:20]}" in page.read_text()


def test_models_that_a_page_does_not_support_are_refused(rows, tmp_path):
    model = Diffusion(**SMALL).fit(rows)
    model.save(tmp_path / "m.model")
    done = CliRunner().invoke(app, ["page", str(tmp_path / "m.model"), "-o", str(tmp_path / "m.model")])
    assert "is a file to read and would be overwritten" in str(done.exception)
    assert Diffusion.load(tmp_path / "m.model").model_.codec.width == 3


@pytest.mark.slow
def test_types_that_a_page_cannot_write_are_refused(tmp_path):
    times = pa.array(np.arange(200, dtype=np.int32) * 60, pa.time32("s"))
    mixed = Diffusion(**SMALL | {"epochs": 1}).fit(pa.table({"at": times, "kind": ["a", "b"] * 100}))
    with pytest.raises(ValueError, match=r"a page cannot write time32\[s\], which column 'at' holds"):
        mixed.page(tmp_path / "m.html")
    assert not (tmp_path / "m.html").exists()


@pytest.mark.slow
def test_a_default_model_takes_less_than_a_megabyte(rows, tmp_path):
    model = Diffusion(epochs=1, random_state=0).fit(rows)
    model.save(tmp_path / "m.model")
    done = CliRunner().invoke(app, ["page", str(tmp_path / "m.model"), "-o", str(tmp_path / "m.html")])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "m.html").read_text()
    assert len(text) < 1e6 and "<title>m</title>" in text
    assert "None of its rows" in text and "the mean and the standard deviation of each column" in text
    assert model.model_.record.fingerprint not in text
