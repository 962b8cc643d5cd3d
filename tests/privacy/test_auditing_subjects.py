"""Checks audits of related tables: what describes a subject, attacks on copies and on honest draws, and messages."""

import json
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import kstest

from pointillist import Diffusion, RelationalDiffusion, audit
from pointillist.cli import main
from pointillist.privacy.attacks import ATTACKS, WITHOUT_MODEL, Knowledge, attacked
from pointillist.privacy.inputs import Side
from pointillist.privacy.rates import area
from pointillist.privacy.subjects import described, subjects_of, tree_of
from pointillist.tables.schema import Schema

TINY = {"epochs": 2, "width": 8, "depth": 1, "random_state": 0, "verbose": False}
KEYS = {
    "primary_keys": {"people": "id", "clinics": "id"},
    "foreign_keys": {"visits": {"person": "people", "clinic": "clinics"}},
    "order": {"visits": "day"},
}
SCHEMA = Schema.of(("people", "clinics", "visits"), *KEYS.values())
TREE = replace(SCHEMA, tables=("people", "visits"), foreign_keys={"visits": SCHEMA.foreign_keys["visits"][:1]})


def made(n, seed):
    """People with visits, whose pains depend on the person, at one of three clinics."""
    rng = np.random.default_rng([n, seed])
    person = np.repeat(np.arange(n), 1 + rng.poisson(1, n))
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, len(person)), unit="D")
    visits = pd.DataFrame({"person": person, "clinic": rng.integers(1, 4, len(person)), "day": days})
    visits["pain"] = rng.normal(size=n)[person] + rng.normal(size=len(person))
    return {
        "people": pd.DataFrame({"id": np.arange(n), "city": rng.choice(["Rome", "Oslo"], n)}),
        "clinics": pd.DataFrame({"id": [1, 2, 3], "size": [10.0, 20.0, 50.0]}),
        "visits": visits,
    }


def side(tables):
    columns = described(tables, SCHEMA, TREE)
    n = len(columns["city"])
    return Side(columns, np.empty((n, 0), np.float32), None, np.zeros(n, bool))


def one_table(n, seed):
    tables = made(n, seed)
    return tables["visits"].merge(tables["people"], left_on="person", right_on="id")[["person", "city", "day", "pain"]]


@pytest.fixture(scope="module")
def model():
    return RelationalDiffusion(**KEYS, **TINY).fit(made(60, 0))


@pytest.fixture(scope="module")
def of_one_table():
    return RelationalDiffusion(subject="person", order="day", **TINY).fit(one_table(60, 0))


@pytest.fixture(scope="module")
def report(model):
    return audit(model, made(60, 0), made(90, 1), n_drawn=80)


def test_subjects_are_described_by_their_cells_and_by_aggregates_of_all_rows_below_them():
    tables = {
        "people": pd.DataFrame({"id": [7, 8, 9], "city": ["Rome", None, "Oslo"]}),
        "visits": pd.DataFrame({"id": [1, 2, 3], "person": [7, 7, 8], "day": [5, 2, 4], "pain": [3.0, 5.0, None]}),
        "tests": pd.DataFrame({"visit": [1, 1, 1, 2], "kind": ["x", "y", "y", "z"]}),
    }
    keys = {"people": "id", "visits": "id"}, {"visits": {"person": "people"}, "tests": {"visit": "visits"}}
    schema = Schema.of((*tables,), *keys, {"visits": "day"})
    found, nan = described(tables, schema, schema), np.nan
    expected = {
        "visits.person count": [2, 1, 0],
        "visits.person mean of pain": [4, nan, nan],
        "visits.person deviation of pain": [1, nan, nan],
        "visits.person first pain": [5, nan, nan],
        "visits.person deviation of day": [1.5, 0, nan],
        "visits.person first day": [2, 4, nan],
        "visits.person mean of tests.visit count": [2, 0, nan],
        "visits.person mean of tests.visit number of kind": [1.5, 0, nan],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, err_msg=name)
    assert found["city"].tolist() == ["Rome", None, "Oslo"]
    tree = replace(schema, tables=("visits", "tests"), foreign_keys={"tests": schema.foreign_keys["tests"]})
    assert described(tables, schema, tree)["tests.visit most frequent kind"].tolist() == ["y", "z", None]


def test_the_subjects_are_the_rows_with_the_most_rows_below_them(model):
    assert tree_of(model.model_) == TREE
    # Of the clinics, which are not below people, nothing is seen.
    assert not [name for name in side(made(3, 0)).columns if "clinic" in name or "size" in name]


def test_copies_of_subjects_are_found_and_honest_draws_are_not(report):
    members, others, reference, honest = (side(made(*each)) for each in ((60, 0), (60, 1), (30, 2), (240, 3)))
    found = []
    for drawn in (honest.with_more(members), honest):
        known, rng = Knowledge(None, drawn.columns, reference, 0), np.random.default_rng(0)
        attacks = tuple(attacked(name, known, members, others, rng, 0.0, 0.025) for name in WITHOUT_MODEL)
        found.append(replace(report, attacks=attacks))
    assert [each.is_exposed for each in found] == [True, False]
    assert min(attack.auc for attack in found[0].attacks) > 0.8 and found[0].epsilon > 0.2
    assert "Members are distinguishable from non-members (60 members" in found[0].verdict
    for attack in found[1].attacks:
        assert abs(attack.auc - 0.5) < 4 * attack.auc.null_standard_error


@pytest.mark.parametrize("name", WITHOUT_MODEL)
def test_p_values_of_members_never_seen_are_uniform(name):
    pool = side(made(40 * 60, 4))
    known = Knowledge(None, side(made(300, 5)).columns, side(made(100, 6)), 0)
    groups = ATTACKS[name](known, pool).reshape(40, 60)
    areas, p_values = zip(*(area(group[:30], group[30:]) for group in groups), strict=True)
    assert abs(np.mean(areas) - 0.5) < 4 * areas[0].null_standard_error / np.sqrt(40)
    assert kstest(p_values, "uniform").pvalue > 0.01


def test_the_report_names_subjects_and_their_table(report):
    text = " ".join(str(report).split())
    assert "60 and 60 subjects of table 'people'" in text and "The attacks see 80 generated subjects, and may" in text
    assert "with this many subjects, an AUC of" in report.verdict and not report.is_exposed
    exposed = replace(report, attacks=tuple(replace(each, p_value=0.0) for each in report.attacks))
    assert "Most exposed, as subjects of the members counted from 1" in " ".join(str(exposed).split())
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert [each["name"] for each in content["attacks"]] == ["nearest record", "density ratio"]
    assert content["source"] == "table 'people'" and content["n_strangers"] == 0 and content["stated"] is None


def test_models_and_files_give_the_same_result_from_the_same_seed(model, report, tmp_path):
    model.save(tmp_path / "it.model")
    for same in (model.model_, tmp_path / "it.model", str(tmp_path / "it.model")):
        again = audit(same, made(60, 0), made(90, 1), n_drawn=80).to_json()
        assert {**again, "seconds": 0} == {**report.to_json(), "seconds": 0}


def test_non_members_among_the_members_are_reported(model):
    found = audit(model, made(60, 0), made(60, 0), n_drawn=80)
    assert "60 of the 60 non-members are among the members" in found.verdict


def test_one_table_with_several_rows_per_subject_in_any_container(of_one_table):
    members, others = one_table(60, 0), one_table(90, 1)
    found = audit(of_one_table, members, others, n_drawn=80)
    assert (found.n_members, found.n_non_members, found.source) == (60, 60, "column 'person'")
    side = subjects_of(of_one_table.model_, members, "members")
    np.testing.assert_array_equal(side.columns["rows.person count"], members.groupby("person").size())
    assert (
        audit(of_one_table, pl.from_pandas(members), others, n_drawn=80).to_json()["attacks"]
        == found.to_json()["attacks"]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda tables: {name: each for name, each in tables.items() if name != "visits"},
            "members: there is no table 'vis",
        ),
        (lambda tables: tables["people"], "members: give a dictionary of the tables .*, not DataFrame"),
        (lambda tables: made(29, 0), "members has 29 subjects, and an audit needs at least 30"),
        (
            lambda tables: {**tables, "people": tables["people"][["id"]]},
            "members: table 'people': X has no column 'city'",
        ),
        (
            lambda tables: {**tables, "people": tables["people"][1:]},
            "members: foreign key visits.person holds 0, which",
        ),
    ],
)
def test_bad_tables_are_refused_in_one_line(model, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        audit(model, change(made(60, 0)), made(60, 1))
    assert "\n" not in str(caught.value)


def test_other_kinds_of_input_are_refused_in_one_line(model, of_one_table):
    tables, table = made(60, 0), one_table(60, 0)
    with pytest.raises(ValueError, match=r"^members: give one table, not dict$"):
        audit(of_one_table, tables, tables)
    with pytest.raises(ValueError, match=r"^labels are for a model of one row per subject: leave them out$"):
        audit(model, tables, tables, labels=([], []))
    with pytest.raises(
        ValueError, match=r"^model must be a fitted Diffusion or RelationalDiffusion, .* not Relational"
    ):
        audit(RelationalDiffusion(subject="person"), table, table)
    rows = np.random.default_rng(0).normal(size=(40, 2))
    with pytest.raises(ValueError, match=r"^members: X cannot be read: give an array or a data frame [^\n]*$"):
        audit(Diffusion(**TINY).fit(rows), {"people": rows}, {"people": rows})


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["pointillist", "audit", *map(str, arguments), "--json", "-n", "80"])
        with pytest.raises(SystemExit) as stop:
            main()
        shown, error = capsys.readouterr()
        return error if stop.value.code else json.loads(shown)

    return run


def test_the_command_takes_folders_of_related_tables(model, report, run, tmp_path):
    model.save(tmp_path / "it.model")
    for name, tables in (("members", made(60, 0)), ("others", made(90, 1))):
        (tmp_path / name).mkdir()
        for table, frame in tables.items():
            frame.to_csv(tmp_path / name / f"{table}.csv", index=False)
    found = run("it.model", "--members", "members", "--non-members", "others")
    assert found["source"] == "table 'people'" and found["attacks"] == report.to_json()["attacks"]
    error = run("it.model", "--members", "members/people.csv", "--non-members", "others")
    assert "members: there is no table 'clinics'" in error


def test_the_command_takes_files_of_tables_with_several_rows_per_subject(of_one_table, run, tmp_path):
    of_one_table.save(tmp_path / "it.model")
    for name, frame in (("members.csv", one_table(60, 0)), ("others.csv", one_table(90, 1))):
        frame.to_csv(tmp_path / name, index=False)
    assert run("it.model", "--members", "members.csv", "--non-members", "others.csv")["source"] == "column 'person'"
