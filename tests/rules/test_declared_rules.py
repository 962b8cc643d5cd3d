"""Checks that rows obey declared rules, and that rules are refused that nothing can obey."""

import numpy as np
import pandas as pd
import pytest

from pointillist import Diffusion, between, rules
from pointillist.rules.declarations import DECLARED, declared_from_json

N = 400

DECLARATIONS = {
    "ordered": rules.ordered("start", "end", strict=True),
    "total": rules.total("sum", ["a", "b"]),
    "bounds": rules.bounds("start", "2024-01-01", "2026-12-31"),
    "positive": rules.positive("a"),
    "allowed": rules.bounds("b", low=1, on_violation="allow"),
}


def table_of(n=N):
    rng = np.random.default_rng(0)
    start = pd.Timestamp("2024-03-01") + pd.to_timedelta(rng.integers(0, 500, n), unit="D")
    a, b = np.round(rng.gamma(2, 4, n) + 0.01, 2), np.round(rng.gamma(2, 4, n), 2)
    return pd.DataFrame(
        {
            "start": start,
            "end": start + pd.to_timedelta(rng.integers(1, 60, n), unit="D"),
            "a": a,
            "b": b,
            "sum": np.round(a + b, 2),
            "city": rng.choice(list("ABC"), n),
        }
    )


def breaks(rows):
    """Returns the number of rows that break each of `DECLARATIONS`."""
    return {
        "ordered": int((rows.start >= rows.end).sum()),
        "total": int((np.abs(rows["sum"] - rows.a - rows.b) > 1e-9).sum()),
        "bounds": int(((rows.start < "2024-01-01") | (rows.start > "2026-12-31")).sum()),
        "positive": int((rows.a <= 0).sum()),
        "allowed": int((rows.b < 1).sum()),
    }


@pytest.fixture(scope="module")
def declared_model():
    return Diffusion(rules=[*DECLARATIONS.values()], epochs=2, random_state=0).fit(table_of())


def test_rows_obey_declared_rules(declared_model):
    assert breaks(table_of()) == dict.fromkeys(DECLARATIONS, 0) | {"allowed": 12}
    rows = declared_model.sample(3000, random_state=1)
    assert breaks(rows) == dict.fromkeys(DECLARATIONS, 0)
    assert declared_model.sample(100, random_state=1).equals(rows.head(100))


@pytest.mark.parametrize(
    "where", [{"city": "A"}, {"a": between(3, 9)}, {"sum": np.linspace(4, 21, 200).round(2)}], ids=list
)
def test_rows_under_conditions_obey_declared_rules(declared_model, where):
    assert breaks(declared_model.sample(200, where=where, random_state=0)) == dict.fromkeys(DECLARATIONS, 0)


def test_conditions_that_contradict_a_declared_rule_are_refused(declared_model):
    with pytest.raises(ValueError, match="where contradicts the rule start < end: "):
        declared_model.sample(1, where={"start": "2024-06-01", "end": "2024-06-01"})


def test_a_saved_model_keeps_its_declared_rules(declared_model, tmp_path):
    declared_model.save(tmp_path / "model")
    loaded = Diffusion.load(tmp_path / "model")
    assert loaded.rules == [*DECLARATIONS.values()]
    assert loaded.sample(50, random_state=2).equals(declared_model.sample(50, random_state=2))


@pytest.mark.parametrize("declared", DECLARATIONS.values(), ids=[*DECLARATIONS])
def test_a_declared_rule_equals_itself_after_json(declared):
    assert declared_from_json(declared.to_json()) == declared


def test_rows_that_break_a_rule_are_counted_refused_or_dropped():
    table = table_of()
    table.loc[[7, 30], "end"] = table.start[[7, 30]]
    with pytest.raises(ValueError, match=r"2 of 400 training rows break start < end, first row 7 \(start 2"):
        Diffusion(rules=[rules.ordered("start", "end", strict=True)]).fit(table)
    model = Diffusion(rules=[rules.ordered("start", "end", strict=True, on_violation="drop")], epochs=1).fit(
        table, np.arange(N) % 2
    )
    assert model.class_counts_.tolist() == [199, 199]


def test_a_found_rule_is_not_kept_if_it_is_ignored():
    table = table_of()[["a", "b", "sum", "city"]]

    def found(*declared):
        model = Diffusion(rules=list(declared), epochs=1, random_state=0).fit(table)
        return {rule.text(model.model_.codec.names) for rule in model.model_.codec.rules}

    assert "sum = a + b" in found(rules.ignore("a", "city"))
    assert found(rules.ignore("sum", "a")) == {"sum ≥ b"}
    assert found(rules.ignore()) == set()


def test_rules_hold_in_arrays_by_the_index_of_a_column():
    low = np.random.default_rng(0).normal(size=300)
    rows = np.stack([low, low + np.random.default_rng(1).gamma(1, 1, 300)], axis=1)
    drawn = Diffusion(rules=[rules.ordered(0, 1)], epochs=1, random_state=0).fit(rows).sample(2000, random_state=0)
    assert (drawn[:, 0] <= drawn[:, 1]).all()


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (lambda: [rules.ordered("start", "stop")], "rules: there is no column 'stop'; the columns are start, end, "),
        (lambda: [rules.ordered("a", "city")], "rules: column 'city' holds categories, but the rule is about numbers"),
        (lambda: [rules.ordered("a", "end")], "rules: a ≤ end compares double with timestamp"),
        (lambda: [rules.total("sum", ["a", "end"])], "rules.total: 'sum' and its parts hold double, double, timestamp"),
        (lambda: [rules.bounds("start", "soon")], "column 'start' holds timestamp"),
        (lambda: [rules.ordered("a")], "rules.ordered takes the names of 2 or more different columns, not"),
        (lambda: [rules.ordered("a", "b", strict=1)], "rules.ordered: strict must be true or false, not 1"),
        (
            lambda: [rules.ordered("a", "b", on_violation="drp")],
            "rules.ordered: on_violation must be one of 'refuse', ",
        ),
        (lambda: [rules.bounds("a")], "rules.bounds needs low, high or both"),
        (lambda: [rules.ignore("a")], "rules.ignore takes two or more columns"),
        (lambda: ["a < b"], "rules must be a list of rules, or None, not "),
        (lambda: rules.positive("a"), "rules must be a list of rules, or None, not "),
    ],
)
def test_a_wrong_rule_is_refused_in_one_line(declared, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        Diffusion(rules=declared()).fit(table_of())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("parameters", [{"process": "gaussian"}, {"epsilon": 1.0, "domain": {}}], ids=str)
def test_processes_without_rules_refuse_them(parameters):
    with pytest.raises(ValueError, match=r"^rules (need masked diffusion|are not for private fits)"):
        Diffusion(rules=[rules.positive("a")], **parameters).fit(table_of())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"kind": "order"}, "'order' is not a kind of declared rule: choose one of bounds, "),
        ({"kind": "ordered", "column": "a"}, "rules.ordered has no 'column'"),
        ({"kind": "total", "column": "a"}, "rules.total needs more of"),
        ({"kind": "total", "column": "a", "parts": 3}, "rules.total takes a column and a list of its parts, not 3"),
        ("ordered", "None is not a kind"),
    ],
)
def test_a_wrong_rule_in_a_file_is_refused(content, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        declared_from_json(content)


def test_every_kind_is_a_function_of_the_namespace():
    assert {*rules.__all__} >= {*DECLARED} and all(callable(getattr(rules, name)) for name in rules.__all__)
