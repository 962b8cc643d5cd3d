"""Checks that rows obey declared rules, and that rules are refused that nothing can obey."""

import tomllib

import numpy as np
import pandas as pd
import pytest

from pointillist import Diffusion, between, one_of, rules
from pointillist.cli.table_options import json_in, read_rules
from pointillist.models.configuration import Configuration
from pointillist.models.fitting import prepare
from pointillist.models.request import Request
from pointillist.queries.sampling import SamplingRun
from pointillist.rules.declarations import DECLARED, declared_from_json
from pointillist.rules.expressions import DeclaredExpression

N = 400

DECLARATIONS = {
    "ordered": rules.ordered("start", "end", strict=True),
    "total": rules.total("sum", ["a", "b"]),
    "product": rules.product("amount", ["price", "pieces"]),
    "bounds": rules.bounds("start", "2024-01-01", "2026-12-31"),
    "positive": rules.positive("a"),
    "allowed": rules.bounds("b", low=1, on_violation="allow"),
    "increments": rules.increments("price", 0.05),
    "fixed_combinations": rules.fixed_combinations("city", "country"),
    "one_hot": rules.one_hot(["is_red", "is_green", "is_blue"]),
    "linear": rules.expression("end - start <= duration('60d') and `pieces` <= 4 * price + 100"),
    "expression": rules.expression("price >= 2 or city != 'A'"),
}


def table_of(n=N):
    rng = np.random.default_rng(0)
    start = pd.Timestamp("2024-03-01") + pd.to_timedelta(rng.integers(0, 500, n), unit="D")
    a, b = np.round(rng.gamma(2, 4, n) + 0.01, 2), np.round(rng.gamma(2, 4, n), 2)
    price, pieces, color = np.round(0.05 * rng.integers(1, 200, n), 2), rng.integers(1, 30, n), rng.integers(0, 3, n)
    city = rng.integers(0, 5, n)
    return pd.DataFrame(
        {
            "start": start,
            "end": start + pd.to_timedelta(rng.integers(1, 60, n), unit="D"),
            "a": a,
            "b": b,
            "sum": np.round(a + b, 2),
            "price": price,
            "pieces": pieces,
            "amount": np.round(price * pieces, 2),
            "city": np.where(price < 2, "B", np.array(list("ABCDE"))[city]),
            "country": np.where(price < 2, "X", np.array(list("XXYYZ"))[(city + (rng.random(n) < 0.2)) % 5]),
            "is_red": color == 0,
            "is_green": color == 1,
            "is_blue": color == 2,
        }
    )


KNOWN = {*zip(table_of().city, table_of().country, strict=True)}


def breaks(rows):
    """Returns the number of rows that break each of `DECLARATIONS`."""
    pairs = zip(rows.city, rows.country, strict=True)
    masks = {
        "ordered": rows.start >= rows.end,
        "total": np.abs(rows["sum"] - rows.a - rows.b) > 1e-9,
        "product": np.abs(rows.amount - rows.price * rows.pieces) > 0.005 + 1e-9,
        "bounds": (rows.start < "2024-01-01") | (rows.start > "2026-12-31"),
        "positive": rows.a <= 0,
        "allowed": rows.b < 1,
        "increments": np.abs(rows.price / 0.05 - np.round(rows.price / 0.05)) > 1e-9,
        "fixed_combinations": np.array([pair not in KNOWN for pair in pairs]),
        "one_hot": rows.is_red.astype(int) + rows.is_green + rows.is_blue != 1,
        "linear": (rows.end - rows.start > pd.Timedelta(days=60)) | (rows.pieces > 4 * rows.price + 100),
        "expression": (rows.price < 2) & (rows.city == "A"),
    }
    return {name: int(mask.sum()) for name, mask in masks.items()}


NONE = dict.fromkeys(DECLARATIONS, 0)


@pytest.fixture(scope="module")
def declared_model():
    return Diffusion(rules=[*DECLARATIONS.values()], epochs=2, width=32, depth=1, random_state=0).fit(table_of())


def planned(*declared, table=None, y=None):
    """Returns a fit with declared rules before its training."""
    return prepare(Configuration(rules=list(declared), random_state=0), table_of() if table is None else table, y)


def test_rows_obey_declared_rules(declared_model):
    assert breaks(table_of()) == NONE | {"allowed": 12}
    rows = declared_model.sample(3000, random_state=1)
    assert breaks(rows) == NONE
    assert declared_model.sample(100, random_state=1).equals(rows.head(100))


def test_a_progress_bar_says_how_many_rows_obey(declared_model):
    run = SamplingRun(declared_model.model_, Request(2000, random_state=1))
    run.rows()
    assert run.progress_text.endswith("% of the drawn rows obey the rules")


@pytest.mark.parametrize(
    "where",
    [{"city": "A"}, {"a": between(3, 9), "country": one_of("X", "Y")}, {"sum": np.linspace(4, 21, 100).round(2)}],
    ids=list,
)
def test_rows_under_conditions_obey_declared_rules(declared_model, where):
    assert breaks(declared_model.sample(100, where=where, random_state=0)) == NONE


@pytest.mark.parametrize(
    "where",
    [
        {"start": "2024-06-01", "end": "2024-06-01"},
        {"price": 1.03},
        {"city": "A", "country": "Z"},
        {"is_red": True, "is_blue": True},
        {"price": 1.5, "city": "A"},
    ],
    ids=list,
)
def test_conditions_that_contradict_a_declared_rule_are_refused(declared_model, where):
    with pytest.raises(ValueError, match="where contradicts the rule "):
        declared_model.sample(1, where=where)


def test_filled_rows_obey_declared_rules(declared_model):
    table, rng = table_of(60), np.random.default_rng(0)
    holes = table.astype({name: object for name in ("is_red", "is_green", "is_blue")})
    holes = holes.mask(rng.random(table.shape) < 0.3)
    holes["b"] = table.b.clip(lower=1).mask(rng.random(60) < 0.3)
    holes["sum"] = np.nan
    holes.loc[5, ["start", "end"]] = pd.Timestamp("2024-06-01")
    with pytest.warns(UserWarning, match="observed cells of 1 of 60 rows break start < end, first row 5: they stay"):
        filled = declared_model.impute(holes, random_state=0)
    assert not filled.isna().any(axis=None)
    broken = breaks(filled.astype({name: bool for name in ("is_red", "is_green", "is_blue")}))
    assert broken == NONE | {"ordered": 1}


def test_predictions_obey_declared_rules(declared_model):
    table = table_of(100)
    table["b"] = table.b.clip(lower=1)
    ends = declared_model.conditional("end").quantiles(table, [0.01, 0.5, 0.99])
    days = (ends - table.start.to_numpy()[:, None]) / np.timedelta64(1, "D")
    assert (days > 0).all() and (days <= 60).all()
    np.testing.assert_allclose(declared_model.conditional("sum").predict(table), table.a + table.b, atol=1e-9)
    city = declared_model.conditional("city")
    p = city.predict_proba(table)
    assert p[table.price < 2][:, list(city.classes_).index("A")].max() == 0
    np.testing.assert_allclose(p.sum(axis=1), 1)
    prices = declared_model.conditional("price").sample(table, 3, random_state=0)
    np.testing.assert_allclose(prices / 0.05, np.round(prices / 0.05), atol=1e-9)


def test_a_saved_model_keeps_its_declared_rules(declared_model, tmp_path):
    declared_model.save(tmp_path / "model")
    loaded = Diffusion.load(tmp_path / "model")
    assert loaded.rules == [*DECLARATIONS.values()]
    assert loaded.sample(50, random_state=2).equals(declared_model.sample(50, random_state=2))


@pytest.mark.parametrize("declared", DECLARATIONS.values(), ids=[*DECLARATIONS])
def test_a_declared_rule_equals_itself_after_json(declared):
    assert declared_from_json(declared.to_json()) == declared


def test_a_declared_rule_as_text():
    assert repr(DECLARATIONS["ordered"]) == "rules.ordered(columns=('start', 'end'), strict=True)"
    assert repr(DECLARATIONS["allowed"]).endswith("strict=False, on_violation='allow')")


def test_rows_that_break_a_rule_are_counted_refused_or_dropped():
    table = table_of()
    table.loc[[7, 30], "end"] = table.start[[7, 30]]
    with pytest.raises(ValueError, match=r"2 of 400 training rows break start < end, first row 7 \(start 2"):
        planned(rules.ordered("start", "end", strict=True), table=table)
    kept = planned(rules.ordered("start", "end", strict=True, on_violation="drop"), table=table, y=np.arange(N) % 2)
    assert kept.classes.counts.tolist() == [199, 199] and len(kept.plan.rows) == 398


def test_a_found_rule_is_not_kept_if_it_is_ignored():
    def found(*declared):
        codec = planned(*declared, table=table_of()[["a", "b", "sum", "city"]]).plan.codec
        return {rule.text(codec.names) for rule in codec.rules}

    assert "sum = a + b" in found(rules.ignore("a", "city"))
    assert found(rules.ignore("sum", "a")) == {"sum ≥ b"}
    assert found(rules.ignore()) == set()


def test_linear_comparisons_become_rules_that_are_restored():
    def kinds(text):
        return [rule.kind for rule in planned(rules.expression(text)).plan.codec.rules if rule.is_declared]

    assert kinds("start < end and a + b >= 0.01") == ["inequality", "inequality"]
    assert kinds("0 < a <= 1000") == ["inequality", "inequality"]
    assert kinds("`sum` - a == b") == ["sum"]
    assert kinds("start >= '2024-01-01'") == ["inequality"]
    assert (
        kinds("abs(a - b) < 100")
        == kinds("not (a < 0)")
        == kinds("city in ('A', 'B', 'C', 'D', 'E')")
        == ["expression"]
    )


def test_rules_hold_for_columns_of_an_array():
    low = np.random.default_rng(0).normal(size=300)
    rows = np.stack([low, low + 1], axis=1)
    assert [rule.columns for rule in planned(rules.ordered(0, 1), table=rows).plan.codec.rules if rule.is_declared] == [
        (1, 0)
    ]


def test_a_step_holds_together_with_an_order():
    """The table of SDV's issue 2360, where the step of one column broke the order of two."""
    table = pd.DataFrame({"low": [1, 3, 5, 4, 3] * 20, "high": [5, 5, 10, 15, 5] * 20})
    model = Diffusion(rules=[rules.increments("high", 5), rules.ordered("low", "high")], epochs=1, random_state=0).fit(
        table
    )
    rows = model.sample(1000, random_state=0)
    assert (rows.high % 5 == 0).all() and (rows.low <= rows.high).all() and rows.high.nunique() == 3


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
        (lambda: [rules.increments("a", 0)], "rules.increments: step must be above 0"),
        (lambda: [rules.increments("pieces", 2)], "rules: 2.. of 400 training rows break pieces is a multiple of 2, "),
        (lambda: [rules.one_hot(["is_red", "a"])], "rules.one_hot: column 'a' must hold 0 and 1, or booleans"),
        (
            lambda: [rules.one_hot(["is_red", "is_blue"])],
            "rules: 1.. of 400 training rows break one of is_red, is_blue",
        ),
        (lambda: ["a < b"], "rules must be a list of rules, or None, not "),
        (lambda: rules.positive("a"), "rules must be a list of rules, or None, not "),
    ],
)
def test_a_wrong_rule_is_refused_in_one_line(declared, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        planned(*declared()) if isinstance(declared(), list) else Configuration(rules=declared())
    assert "\n" not in str(caught.value)


def test_contradictory_rules_are_refused_because_every_row_breaks_one_of_them():
    with pytest.raises(ValueError, match=r"^rules: [0-9]+ of 400 training rows break a [≥≤] [45], first row"):
        planned(rules.bounds("a", low=5), rules.bounds("a", high=4))
    with pytest.raises(ValueError, match=r"^rules: 0 of 400 training rows obey them all: leave a rule out"):
        planned(*(rules.bounds("a", *ends, on_violation="drop") for ends in ((5, None), (None, 4))))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b", "'a b' is not an expression: invalid syntax"),
        ("a.real > 3", "'a.real' has no meaning in a rule"),
        ("open('a') > a", "\"open\\('a'\\)\" has no meaning in a rule"),
        ("a > 'x'", "a is a number, but 'x' is a text"),
        ("a + start > 3", "a \\+ start combines a number and a date"),
        ("city > 'A'", "city is a text: compare it by == or !="),
        ("a", "a is a number, not true or false"),
        ("start > '2020-13-01'", "'2020-13-01' is not a date: write it as 2024-03-20"),
        ("end - start < duration('3')", "duration takes a number and a unit"),
        ("1 < 2", "'1 < 2' names no column"),
        ("(" * 60 + "a" + ")" * 60 + " < " + "-" * 60 + "b", "the expression is nested too deeply"),
    ],
)
def test_a_wrong_expression_is_refused(text, message):
    with pytest.raises(ValueError, match=f"^rules.expression: {message}"):
        planned(rules.expression(text))


@pytest.mark.parametrize("parameters", [{"process": "gaussian"}, {"epsilon": 1.0, "domain": {}}], ids=str)
def test_processes_without_rules_refuse_them(parameters):
    with pytest.raises(ValueError, match=r"^rules (need masked diffusion|are not for private fits)"):
        Configuration(rules=[rules.positive("a")], **parameters)


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


def test_rules_are_read_from_toml(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(
        '[[rules]]\nkind = "ordered"\ncolumns = ["start", "end"]\nstrict = true\n'
        '[[rules]]\nkind = "bounds"\ncolumn = "start"\nlow = 2024-01-01\non_violation = "drop"\n'
    )
    start = rules.bounds("start", "2024-01-01", on_violation="drop")
    assert json_in(path, read_rules, tomllib.loads) == [rules.ordered("start", "end", strict=True), start]
    for text, message in (
        ("rules = 3", "must hold tables that begin with"),
        ("[[rules]", "Expected"),
        ("", "must hold"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message) as caught:
            json_in(path, read_rules, tomllib.loads)
        assert str(caught.value).startswith(str(path))


def test_every_kind_is_a_function_of_the_namespace():
    assert {*rules.__all__} >= {*DECLARED} and all(callable(getattr(rules, name)) for name in rules.__all__)
    assert DECLARED["expression"] is DeclaredExpression
