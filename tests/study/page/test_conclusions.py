"""Checks the written conclusions of tables on synthetic numbers with known differences."""

from dataclasses import replace

import numpy as np
import pytest
from made_up import CLASSIFIER, PLAIN, STEPS

from pointillist.study.page import page_content
from pointillist.study.page.charts import chart
from pointillist.study.page.conclusions import conclude, listing, on_sets, settings
from pointillist.study.page.tables import glance
from pointillist.study.result_tables import notes
from pointillist.study.spec import Column

MOONS = replace(STEPS, datasets=("moons",))
BOTH = replace(STEPS, datasets=("moons", "space"))


def said(results, section=None):
    return " ".join(conclude(results, section or results.spec.sections[0]))


def values(**by_column):
    return lambda _, column: by_column[f"at_{column.label}"]


def test_a_clear_winner_is_better_on_every_set(make):
    text = said(make(BOTH))
    assert text.startswith("By EMD, T = 500 is better than every other setting on both sets.")


def test_ties_are_named_and_the_statement_follows_the_data(make):
    text = said(make(MOONS, value=values(at_10=40.0, at_100=20.5, at_500=20.0)))
    assert text.startswith("By EMD, T = 100 and 500 are among the best on moons; T = 10 on none.")
    text = said(make(MOONS, value=values(at_10=20.0, at_100=20.5, at_500=40.0)))
    assert text.startswith("By EMD, T = 10 and 100 are among the best on moons; T = 500 on none.")


def test_settings_that_no_test_distinguishes(make):
    text = said(make(BOTH, value=lambda *_: 30.0))
    assert text.startswith("By EMD, no test distinguishes between the settings on both sets.")


def test_best_that_differs_between_sets(make):
    text = said(
        make(
            BOTH,
            value=lambda name, c: (
                {"10": 20.0, "500": 40.0}.get(c.label, 30.0)
                if name == "moons"
                else {"10": 40.0, "500": 20.0}.get(c.label, 30.0)
            ),
        )
    )
    assert text.startswith("By EMD, which setting is best differs between sets: ")
    assert "T = 10 and 500 are among the best most often, on 1 of 2 sets each" in text


@pytest.mark.parametrize(
    ("best", "wanted"),
    [
        (20.5, "No test finds these settings worse than the EMD of data against data on moons: T = 500 on"),
        (29.9, "No setting reaches the EMD of data against data on any set."),
        (12.0, "No test finds these settings worse than the EMD of data against data"),
    ],
)
def test_baseline_is_reached_within_the_error(make, best, wanted):
    text = said(make(MOONS, value=values(at_10=60.0, at_100=40.0, at_500=best)))
    assert wanted in text


def test_a_missing_baseline_is_not_mentioned(make):
    text = said(make(MOONS, baseline=None))
    assert "data against data" not in text


def test_emds_of_different_numbers_of_rows_are_not_ranked(make):
    columns = tuple(Column(str(n), replace(PLAIN, emd_rows=n)) for n in (10, 20))
    section = replace(MOONS, varied=("emd_rows",), columns=columns, reference=())
    results = make(section, value=values(at_10=10.0, at_20=25.0))
    emd, energy = (row for row in results.rows(section) if row.metric in ("emd", "energy_distance"))
    assert not any(cell.is_best for cell in emd.cells) and any(cell.is_best for cell in energy.cells)
    text = said(results)
    assert text.startswith("By EMD, the settings are not ranked, because it grows with emd_rows, which differs.")
    assert glance(results)[1]["moons"][0].best == "not ranked"
    assert not any(view for _, view in page_content(results).sentences)
    assert any(note.startswith("EMD: columns are not ranked") for note in notes(results, section))
    assert {row["metric"]: row["isRanked"] for row in chart(results, section)["rows"]}["emd"] is False
    assert (
        page_content(results).sections[0]["has_unranked"] and not page_content(make(MOONS)).sections[0]["has_unranked"]
    )


def test_accuracies_of_different_numbers_of_rows_are_not_ranked(make):
    for sizes, is_ranked in (((20, 100), False), ((3000, 5000), True)):
        columns = tuple(Column(str(n), replace(PLAIN, n_samples=n)) for n in sizes)
        section = replace(MOONS, varied=("n_samples",), columns=columns, reference=())
        results = make(section)
        (row,) = (row for row in results.rows(section) if row.metric == "two_sample_test")
        assert row.is_ranked is is_ranked
        assert any("C2ST" in note and "n_samples" in note for note in notes(results, section)) is not is_ranked


def test_unfinished_cells_are_not_compared(make):
    done = {("moons", "10"): 20.0, ("space", "10"): 20.0, ("space", "100"): 40.0}
    alone = make(BOTH, value=lambda name, column: done.get((name, column.label)))
    assert said(alone).startswith("By EMD, T = 10 is better than every other setting on space.")
    one = make(BOTH, value=values(at_10=20.0, at_100=None, at_500=None))
    assert said(one).startswith("By EMD, no set has two settings with a number.")


def test_a_metric_that_is_best_at_its_baseline_is_not_ranked_without_it(make):
    results = make(MOONS, baseline=None)
    emd, nll = (row for row in results.rows(MOONS) if row.metric in ("emd", "report_nll"))
    assert any(cell.is_best for cell in emd.cells) and not any(cell.is_best for cell in nll.cells)


def test_unfinished_and_diverged_cells_are_named(make):
    text = said(make(BOTH, value=values(at_10=None, at_100=np.nan, at_500=20.0), seeds=2))
    assert "Without numbers, because a model diverged: T = 100 on moons and space." in text
    assert "Not finished and not included here: 4 runs, T = 10 on moons and space." in text
    nothing = said(make(MOONS, value=lambda *_: None))
    assert nothing.startswith("No run of this section is finished yet.")
    diverged = make(MOONS, value=lambda *_: np.nan)
    text = said(diverged)
    assert text.startswith("Every finished run diverged, so there is no EMD.")
    assert glance(diverged)[1]["moons"][0].best == "diverged"


def test_one_setting_is_held_against_the_baseline(make):
    one = replace(BOTH, columns=STEPS.columns[2:])
    text = said(make(one))
    assert text.startswith("One setting, whose EMD is 20.0 ± 1.0 on moons and 20.0 ± 1.0 on space.")
    assert "No test finds these settings worse than the EMD of data against data on both sets" in text
    assert "No setting reaches the EMD of data against" in said(make(one, value=lambda *_: 40.0))


def test_of_classifiers_the_highest_accuracy_is_best(make):
    results = make(CLASSIFIER, value=lambda _, c: 21.0 if c.label == "elbo" else 9.0)
    text = said(results)
    assert text.startswith("By held-out accuracy, elbo is better than every other setting on moons.")
    assert "worse than the held-out accuracy of the true class probabilities on moons" in text


def test_variants_are_quoted():
    section = replace(STEPS, varied=(), columns=tuple(Column(name, PLAIN) for name in ("all", "no decay")))
    assert settings(section, [0, 1]) == "“all” and “no decay”"


def test_words():
    assert [listing(list(text)) for text in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]
    assert on_sets(["a", "b"], ["a", "b"]) == "on both sets"
    assert on_sets(["a"], ["a"]) == "on a"
    assert on_sets([], ["a"]) == "on no set"
    assert on_sets(["a", "b", "c"], list("abcd")) == "on 3 of 4 sets"
    two = tuple(Column(f"{t}, 8", replace(PLAIN, timesteps=t, width=8)) for t in (10, 50))
    both = settings(replace(STEPS, varied=("timesteps", "width"), columns=two), [0, 1])
    assert both == "(T = 10, width = 8) and (T = 50, width = 8)"
    many = replace(STEPS, columns=tuple(Column(str(t), replace(PLAIN, timesteps=t)) for t in range(1, 8)))
    assert settings(many, range(7)) == "all 7 settings"
    assert settings(many, range(6)) == "all settings but T = 7"
    assert settings(many, range(6), brief=True) == "6 of 7 settings"
