import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from support import add_finished

from pointillist.metrics import Baseline, Estimate
from pointillist.study.comparisons import summarize
from pointillist.study.quantities import protocol
from pointillist.study.result_tables import (
    agreement_lines,
    comparisons,
    csv_text,
    markdown,
    notes,
    terminal,
    write_tables,
    z_score,
)
from pointillist.study.results import Results
from pointillist.study.spec import ReferenceValue, to_json
from pointillist.study.spec_files import load_spec
from pointillist.study.store import Store


@pytest.fixture
def results(tiny, tmp_path):
    """The tiny study with made-up measures: EMD 20 + T with error 1, one diverged cell, one missing."""
    spec = load_spec(str(tiny))
    from pointillist.study.grid import load_dataset, study_cells

    datasets = [load_dataset(name) for name in spec.sections[0].datasets]
    store = Store(tmp_path / "study.db")
    store.set_fact("spec", to_json(spec))
    store.set_fact("fingerprints", {dataset.name: dataset.fingerprint for dataset in datasets})
    for dataset in datasets:
        store.add_dataset(dataset)
        for metric in ("emd", "report_nll"):
            key = protocol(spec.sections[0].columns[0].settings)
            store.add_baselines(dataset.fingerprint, key, {metric: Baseline(20.0, 2.0, 25)})
    cells = study_cells(spec, {dataset.name: dataset.fingerprint for dataset in datasets})
    for cell in cells:
        value = 20.0 + cell.settings.timesteps
        if cell.settings.schedule == "sigmoid":
            continue
        if cell.settings.schedule == "cosine":
            value = np.nan
        rows = np.zeros((3, 2), np.float32)
        add_finished(store, cell, rows[:, 0], rows, {"emd": Estimate(value, 1.0, 4.0)})
    return Results(store)


def test_markdown_shows_value_error_reference_baseline_and_best(results):
    steps, kinds = results.spec.sections
    text = markdown(results, steps)
    assert "| set | metric | timesteps = 5 | 9 | baseline |" in text
    # |29 - 25| = 4 with √2 of error and 8 degrees of freedom: p = 0.011, so that 25 alone is best.
    assert "| rows | EMD | **25.0 ± 1.0**<br>*20.5* | 29.0 ± 1.0 | 20.0 ± 2.0 |" in text
    assert "| rows | EMD | **25.0 ± 1.0** | diverged | not yet |" in markdown(results, kinds)


def test_terminal_table_fits_eighty_columns(results):
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(terminal(results, results.spec.sections[0]))
    text = console.export_text()
    assert "EMD" in text and "25.0" in text and "±1.0" in text and "20.5" in text and "…" not in text


def test_notes_warn_of_a_prior_that_is_off(results):
    steps, kinds = results.spec.sections
    assert any("some of the data is left in x_T" in note and "rows at 5 (" in note for note in notes(results, steps))
    off = [note for note in notes(results, kinds) if "is left in x_T" in note]
    assert "rows at linear" in off[0] and "cosine" not in off[0]
    assert "of sampling only (1 seed);" in notes(results, steps)[0]


def test_prior_kl_and_alpha_bar_are_the_schedules(results):
    settings = results.spec.sections[0].columns[0].settings
    assert results.alpha_bar_T(settings) == pytest.approx(np.prod(1 - np.linspace(1e-4, 0.02, 5)))
    name = results.spec.sections[0].datasets[0]
    assert results.prior_is_off(name, settings)


def test_agreement_counts_within_three_standard_errors_of_both(results, tmp_path):
    # 25 ± 1 against 20.5 ± 1: 4.5 / √2 = 3.2.
    assert agreement_lines(Results(results.store))[1:] == ["steps, EMD: 0 of 1"]
    section = results.spec.sections[0]
    near = ReferenceValue("rows", "emd", "9", 29.0 - 4.2, 2)
    object.__setattr__(section, "reference", (*section.reference, near))
    assert agreement_lines(results)[1:] == ["steps, EMD: 1 of 2"]
    (apart,) = (each for each in comparisons(results) if not each.agrees)
    assert apart.z == pytest.approx(4.5 / np.sqrt(2 + 0.1**2 / 12))
    text = write_tables(results, tmp_path)[-1].read_text()
    assert "| steps | EMD | 1 of 2 |" in text and "| steps | rows | EMD | 5 | 25 | 1 | 20.5 | +3.2 | +3.2 |" in text


@pytest.mark.parametrize(("spread", "expected"), [(4.0, 4.0), (0.1, 1.5)])
def test_error_of_one_seed_is_the_larger_of_deviation_between_seeds_and_drawing_error(spread, expected):
    values = [20 - spread, 20.0, 20 + spread]
    summary = summarize([Estimate(value, 1.5, 4.0) for value in values])
    assert summary.seed_error == pytest.approx(expected)
    assert summary.standard_error == pytest.approx(spread / np.sqrt(3))
    assert summarize([Estimate(value, 1.5, 4.0) for value in values[:2]]).seed_error == pytest.approx(1.5)
    for error in (summary.seed_error, 2.0):
        z = z_score(summary, ReferenceValue("d", "emd", "c", 8.0, 2), error)
        assert z == pytest.approx(12 / np.hypot(error * np.sqrt(4 / 3), 0.01 / np.sqrt(12)))


def test_csv_has_a_line_a_cell_and_metric(results):
    lines = list(csv.DictReader(io.StringIO(csv_text(results, results.spec.sections))))
    assert len(lines) == (2 * 2 + 3) * 4
    (line,) = [
        entry
        for entry in lines
        if (entry["section"], entry["dataset"], entry["timesteps"], entry["metric"]) == ("steps", "rows", "5", "emd")
    ]
    assert (line["value"], line["standard_error"], line["reported"], line["baseline"]) == (
        "25.0",
        "1.0",
        "20.5",
        "20.0",
    )
    assert line["is_best"] == "True" and line["beta_range"] == "1e-4..0.02"


NASTY = "[/b] [red]$x$ \x1b[31m | \\ <b>\nnew"


def renamed(results, text):
    """Returns the study with a title and labels that only an untrusted store could have."""
    section = results.spec.sections[0]
    columns = tuple(replace(column, label=f"{text}{i}") for i, column in enumerate(section.columns))
    return replace(section, title=text, columns=columns, varied=())


def test_untrusted_text_is_escaped_on_the_terminal(results):
    console = Console(width=200, record=True, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    console.print(terminal(results, renamed(results, NASTY)))
    text = console.export_text()
    assert r"[/b] [red]$x$ \x1b[31m | \ <b>\nnew" in text and r"<b>\nnew0" in text
    assert "\x1b[31m" not in console.file.getvalue()


def test_untrusted_text_stays_in_its_markdown_cell(results):
    head, _, columns, rule, *lines = markdown(results, renamed(results, NASTY)).splitlines()
    assert head == r"# \[/b] \[red]$x$ \\x1b\[31m \| \\ \<b>\\nnew"
    assert columns.replace(r"\|", "").count("|") == rule.count("|") == 6
    assert all(line.replace(r"\|", "").count("|") in (0, 6) for line in lines)


@pytest.mark.parametrize(
    ("text", "written"),
    [("=1+1", "'=1+1"), ("@a", "'@a"), ("+a", "'+a"), ("-1.5", "-1.5"), ("\x1ba", r"\x1ba"), ("a=", "a=")],
)
def test_text_that_a_spreadsheet_would_compute_is_quoted(results, text, written):
    section = results.spec.sections[0]
    changed = replace(section, columns=(replace(section.columns[0], label=text), *section.columns[1:]))
    (line, *_) = csv.DictReader(io.StringIO(csv_text(results, [changed])))
    assert line["column"] == written and float(line["value"]) == 25


def test_numbers_below_0_stay_numbers(results):
    section = results.spec.sections[0]
    for cell in results.cells(section.datasets[0], section.columns[0].settings):
        results.store.add_result(cell, {"emd": Estimate(-1.5, 1.0, 4.0)})
    (line, *_) = csv.DictReader(io.StringIO(csv_text(results, [section])))
    assert line["value"] == "-1.5"
