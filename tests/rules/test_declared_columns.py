"""Declared keys and personal columns."""

import tomllib

import numpy as np
import pandas
import pytest

from pointillist import Diffusion, rules
from pointillist.cli.table_options import json_in, read_rules
from pointillist.columns.keys import Codes, Numbering
from pointillist.columns.personal import Personal
from pointillist.columns.unlearned import separated
from pointillist.models.configuration import Configuration
from pointillist.models.fitting import prepare
from pointillist.privacy.private_fits import prepare as prepare_privately
from pointillist.rules.declarations import declared_from_json

N = 120
TINY = {"epochs": 1, "width": 8, "depth": 1, "random_state": 0}


def orders(n=N):
    """Orders of three lines each; small tables whose keys are not found without a declaration."""
    rng = np.random.default_rng(0)
    return pandas.DataFrame(
        {
            "shop": rng.choice(["a", "b"], n),
            "order": np.arange(n) // 3,
            "line": np.arange(n) % 3 + 1,
            "code": [f"K-{i:05}" for i in rng.permutation(n)],
            "mail": rng.choice(["a@x.de", "b@x.de"], n),
            "price": rng.normal(size=n),
        }
    )


DECLARED = {
    "pattern": (rules.unique("code", pattern="K-[0-9]{5}"), Codes(name="code", pattern="K-[0-9]{5}")),
    "found": (rules.unique("code"), Codes(name="code", pattern="K-[0-9]{5}")),
    "composite": (rules.unique("order", "line"), Numbering(name="line", first=1, within=("order",))),
    "violated": (rules.unique("line", on_violation="allow"), Numbering(name="line", first=1)),
    "personal": (
        rules.personal("mail", "email", locale="de_DE"),
        Personal(name="mail", content="email", locale="de_DE"),
    ),
    "by person": (rules.personal("mail", "name", by="order"), Personal(name="mail", content="name", within=("order",))),
    "numbered": (rules.personal("mail", "email", unique=True), Personal(name="mail", content="email", is_unique=True)),
}


@pytest.mark.parametrize(("rule", "column"), DECLARED.values(), ids=DECLARED)
def test_declarations_make_columns(rule, column):
    found = separated(orders(30), declared=[declared_from_json(rule.to_json())])
    assert column in found.columns and column.name not in found.X and column.name not in found.reasons


REFUSED = {
    "repeated": (rules.unique("line"), r"117 of 120 training rows repeat, .* the key, first row 3 \(line 1\): correct"),
    "repeated pairs": (rules.unique("shop", "line"), r"11[0-9] of 120 training rows repeat"),
    "no match": (
        rules.unique("code", pattern="K-[0-4]{5}"),
        r"training rows .* do not match the key, first row \d+ \(code K-",
    ),
    "no kind": (rules.unique("price"), "the type and the values of column 'price' show no kind of key: give pattern="),
    "unknown": (rules.unique("id"), "there is no column 'id'; the columns are shop, order"),
    "unknown group": (rules.unique("id", "line"), "there is no column 'id'"),
    "wrong type": (
        rules.unique("price", pattern="[1-9]", on_violation="allow"),
        "'price' holds double, which cannot be",
    ),
    "unknown person": (rules.personal("mail", "name", by="id"), "there is no column 'id'"),
    "unknown locale": (rules.personal("mail", "email", locale="xx_XX"), "Faker has no locale 'xx_XX'"),
}


@pytest.mark.parametrize(("rule", "reason"), REFUSED.values(), ids=REFUSED)
def test_declarations_that_do_not_fit_are_refused(rule, reason):
    with pytest.raises(ValueError, match=reason):
        prepare(Configuration(rules=[rule]), orders())


def test_missing_keys_break_the_rule():
    frame = orders()
    frame.loc[[4, 7], "code"] = None
    with pytest.raises(ValueError, match=r"2 of 120 training rows .*, first row 4 \(code None\)"):
        separated(frame, declared=[rules.unique("code")])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: rules.unique(), "rules.unique takes the names of 1 or more different columns"),
        (lambda: rules.unique("a", "a"), "rules.unique takes the names"),
        (lambda: rules.unique("a", pattern="x+"), "the pattern 'x.' is not simple"),
        (lambda: rules.unique("a", on_violation="drop"), "drop rows with equal keys before fit"),
        (lambda: rules.personal("a", "pet"), "personal columns hold name, "),
        (lambda: rules.personal("a", "name", locale="de"), "a locale is written as 'de_DE'"),
        (lambda: rules.personal("a", "phone", unique=True), "phone numbers cannot be unique"),
    ],
)
def test_bad_declarations_are_refused(make, reason):
    with pytest.raises(ValueError, match=reason):
        make()


def test_arrays_and_tables_of_keys_alone_are_refused():
    with pytest.raises(ValueError, match="need columns with names: give a data frame"):
        Diffusion(rules=[rules.unique(0)]).fit(np.arange(20.0).reshape(10, 2))
    with pytest.raises(ValueError, match="none is left to learn"):
        Diffusion(rules=[rules.unique("code")]).fit(orders()[["code"]])


def test_declarations_are_shown_by_their_functions():
    assert repr(rules.unique("id")) == "rules.unique(columns=('id',), pattern=None)"
    assert repr(rules.personal("mail", "email")).startswith("rules.personal(column='mail', content='email', ")


def test_composite_keys_are_unique_in_new_rows(tmp_path):
    """Covers several declarations at once, a rule of rows beside them, and the model file."""
    declared = [
        rules.unique("shop", "line"),
        rules.unique("code", pattern="[A-Z]{3}-[0-9]{6}"),
        rules.personal("mail", "email", locale="fr_FR"),
        rules.bounds("price", low=-9),
    ]
    frame = orders().assign(line=[*range(60)] * 2, shop=["a"] * 60 + ["b"] * 60)
    frame.loc[:, "code"] = [f"ABC-{i:06}" for i in range(N)]
    model = Diffusion(**TINY, rules=declared).fit(frame)
    one, two = (
        model.sample(300, random_state=0),
        model.sample(100, random_state=1, exclude=model.sample(300, random_state=0)),
    )
    both = pandas.concat([one, two])
    assert list(one) == list(frame) and not both.duplicated(["shop", "line"]).any() and both["code"].is_unique
    assert {*one["shop"]} == {"a", "b"} and one.groupby("shop")["line"].min().tolist() == [0, 0]
    model.save(tmp_path / "m")
    again = Diffusion.load(tmp_path / "m")
    assert again.get_params()["rules"] == declared and again.sample(300, random_state=0).equals(one)


def test_rules_of_a_file(tmp_path):
    text = """
[[rules]]
kind = "unique"
columns = ["code"]
pattern = "[A-Z]{3}-[0-9]{6}"

[[rules]]
kind = "personal"
column = "mail"
content = "email"
locale = "de_DE"
"""
    (tmp_path / "rules.toml").write_text(text)
    assert json_in(tmp_path / "rules.toml", read_rules, tomllib.loads) == [
        rules.unique("code", pattern="[A-Z]{3}-[0-9]{6}"),
        rules.personal("mail", "email", locale="de_DE"),
    ]
    assert tomllib.loads(text)["rules"][0]["kind"] == "unique"


def test_private_fits_take_only_declared_columns_and_learn_nothing_from_them():
    domain = {"shop": ["a", "b"], "order": (0, 99), "price": (-5.0, 5.0), "line": (0, 3)}
    private = {"epsilon": 3.0, "domain": domain, "random_state": 0}
    declared = [rules.unique("code", pattern="[A-Z]{2}[0-9]{4}"), rules.personal("mail", "email")]
    task = prepare_privately(Configuration(**private, rules=declared), orders())
    # The codes of the rows do not match the pattern, which is not compared with them.
    assert [each.text for each in task.generated.columns] == [
        "codes [A-Z]{2}[0-9]{4}",
        "e-mail addresses by Faker, en_US",
    ]
    with pytest.raises(ValueError, match="the type and the values of column 'code' show no kind of key: give pattern="):
        prepare_privately(Configuration(**private, rules=[rules.unique("code"), declared[1]]), orders())
    with pytest.raises(ValueError, match="epsilon needs a domain for column 'code'"):
        prepare_privately(Configuration(**private, rules=declared[1:]), orders())
    with pytest.raises(ValueError, match=r"leave out all but rules.unique and rules.personal"):
        Configuration(**private, rules=[rules.positive("price")])
    del domain["line"]
    private["domain"] = domain
    numbered = prepare_privately(Configuration(**private, rules=[*declared, rules.unique("line")]), orders())
    assert numbered.generated.columns[-1] == Numbering(name="line", first=1)
