"""Generated columns: keys that are unique, whatever the parts, and personal values that Faker makes up."""

import re
from itertools import pairwise
from uuid import UUID

import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest

from pointillist.columns.generated import GeneratedColumns
from pointillist.columns.generating import GeneratedRows, generated_from_json
from pointillist.columns.keys import Codes, Numbering, Uuids
from pointillist.columns.personal import CONTENTS, Personal
from pointillist.columns.unlearned import key_of, separated
from pointillist.tables.frames import table_of
from pointillist.tables.layout import Layout

N = 120


def placed(columns, **cells):
    """Places generated columns, whose cells give their types, in a table that learns all other columns."""
    table, kind, headings = table_of(pandas.DataFrame(cells))
    rest = table.select([name for name in table.names if name not in [each.name for each in columns]])
    learned = Layout.of(rest, kind, table_of(pandas.DataFrame(cells)[list(rest.names)])[2])
    return GeneratedColumns.of(table, headings, columns, learned)


def rows(generated, *learned, parts=None, start=0, exclude=None, seed=0):
    """Adds generated columns to learned ones, in parts of some lengths."""
    n = len(learned[0])
    source = GeneratedRows(generated, n, start, exclude, seed)
    ends = np.cumsum([0, *(parts or [n])])
    return pa.concat_tables([source.added([column[a:b] for column in learned]) for a, b in pairwise(ends)]).to_pandas()


X = np.arange(50.0)
KEYS = {
    "numbering": (Numbering(name="id", first=7), 1, range(7, 57)),
    "uuids": (Uuids(name="id"), "", None),
    "capital uuids": (Uuids(name="id", is_upper=True), "", None),
    "codes": (Codes(name="id", pattern="[A-Z]{2}-[0-9]{3}"), "", None),
    "codes of integers": (Codes(name="id", pattern="[1-9][0-9]{3}"), 1, None),
}


@pytest.mark.parametrize(("column", "cell", "expected"), KEYS.values(), ids=KEYS)
def test_keys_differ_and_do_not_depend_on_the_parts(column, cell, expected):
    generated = generated_from_json(placed([column], x=[0.5], id=[cell]).to_json())
    whole = rows(generated, X)
    assert list(whole) == ["x", "id"] and whole["id"].is_unique and (expected is None or [*whole["id"]] == [*expected])
    assert rows(generated, X, parts=[1, 30, 0, 19]).equals(whole)
    again = rows(generated, X, start=50)["id"]
    assert not {*again} & {*whole["id"]} and [*rows(generated, np.arange(100.0))["id"]] == [*whole["id"], *again]
    # Without a number of keys used, the keys of rows drawn before are excluded.
    others = rows(generated, X, exclude=whole, parts=[25, 25])["id"]
    assert [*others] == [*again]


def test_uuids_are_of_version_4_and_differ_between_seeds():
    generated = placed([Uuids(name="id")], x=[0.5], id=[""])
    found = [rows(generated, X, seed=seed)["id"] for seed in (0, 1)]
    assert all(UUID(text).version == 4 and UUID(text).variant == "specified in RFC 4122" for text in found[0])
    assert not {*found[0]} & {*found[1]}


def test_too_few_keys_are_refused_with_their_number():
    generated = placed([Codes(name="id", pattern="[A-C][0-9]")], x=[0.5], id=[""])
    with pytest.raises(ValueError, match=r"'id' has 30 codes \[A-C\]\[0-9\], and 50 are needed"):
        rows(generated, X)
    with pytest.raises(ValueError, match=r"has 30 codes .*, and 31 are needed"):
        rows(generated, X[:11], start=20)
    taken = rows(generated, X[:30])
    assert len(rows(generated, X[:3], exclude=taken[:27])) == 3
    with pytest.raises(ValueError, match="has 30 codes"):
        rows(generated, X[:4], exclude=taken[:27])
    small = placed([Numbering(name="id", first=100)], x=[0.5], id=np.array([1], "int8"))
    assert rows(small, X[:28])["id"].iloc[-1] == 127
    with pytest.raises(ValueError, match="has 28 integers from 100, and 50 are needed"):
        rows(small, X)


def test_the_last_column_of_a_composite_key_is_numbered_in_each_group():
    """Several columns together identify a row."""
    column = Codes(name="line", pattern="L[0-9]", within=("order", "shop"))
    generated = placed([column], order=[1], line=["L1"], shop=["a"])
    order, shop = np.arange(40) % 3, np.where(np.arange(40) % 2, "a", "b")
    whole = rows(generated, order, shop)
    assert list(whole) == ["order", "line", "shop"] and not whole.duplicated().any()
    assert whole.groupby(["order", "shop"])["line"].nunique().tolist() == [7, 7, 7, 6, 6, 7]
    assert rows(generated, order, shop, parts=[3, 37]).equals(whole)
    more = rows(generated, order[:12], shop[:12], exclude=whole)
    assert not pandas.concat([whole, more]).duplicated().any()
    with pytest.raises(ValueError, match=r"has 10 codes L\[0-9\] for each 'order', 'shop', and 11 are needed"):
        rows(generated, order, shop, start=5)
    with pytest.raises(ValueError, match="exclude has no column 'shop'"):
        rows(generated, order, shop, exclude=whole[["order", "line"]])


def test_columns_that_cannot_hold_their_keys_are_refused():
    for column, cell, reason in (
        (Numbering(name="id"), "a", "'id' holds .*str.*, which cannot be integers from 1"),
        (Uuids(name="id"), 1, "'id' holds int64, which cannot be UUIDs"),
        (Codes(name="id", pattern="[0-9]{3}"), 1, "'id' holds integers, .*: write \\[1-9\\] first"),
        (Codes(name="id", pattern="k[0-9]"), 1, "'id' holds integers"),
        (Codes(name="id", pattern="[1-9][0-9]{30}"), 1, "cannot be codes"),
        (Personal(name="id", content="email"), 1, "'id' holds int64, which cannot be e-mail addresses"),
    ):
        with pytest.raises(ValueError, match=reason.replace("'str'", "")):
            placed([column], x=[0.5], id=[cell])
    # Of integers of three or four digits, 0123 would be 123.
    four = placed([Codes(name="id", pattern="[1-9][0-9]{2,3}")], x=[0.5], id=[1234])
    assert rows(four, np.arange(9900.0))["id"].is_unique


def test_keys_come_in_random_order():
    found = rows(placed([Codes(name="id", pattern="[1-9][0-9]{3}")], x=[0.5], id=[1]), np.arange(9000.0))["id"]
    assert abs(np.corrcoef(found, np.arange(9000))[0, 1]) < 0.05 and sorted(found) == [*range(1000, 10_000)]


CONTENT_FORMS = {"email": r"[a-z.]+@example\.(com|org|net)", "iban": r"DE\d{20}", "phone": r"[\d ()+/-]{6,}"}


@pytest.mark.parametrize("content", CONTENTS)
def test_personal_values_depend_on_the_seed_and_the_index_alone(content):
    generated = generated_from_json(
        placed([Personal(name="who", content=content, locale="de_DE")], x=[0.5], who=[""]).to_json()
    )
    whole = rows(generated, X)["who"]
    assert [*rows(generated, X, parts=[10, 40])["who"]] == [*whole] and whole.nunique() > 20
    assert [*rows(generated, X[:9], start=5)["who"]] == [*whole[5:14]] != [*rows(generated, X[:9], seed=1)["who"]]
    assert all(re.fullmatch(CONTENT_FORMS.get(content, r".*\w.*"), each) for each in whole)


def test_names_and_the_address_of_a_row_belong_to_one_person():
    columns = [Personal(name=name, content=name) for name in ("email", "name", "last_name", "first_name")]
    found = rows(placed(columns, x=[0.5], email=[""], name=[""], last_name=[""], first_name=[""]), X)
    assert (found["name"] == found["first_name"] + " " + found["last_name"]).all()
    assert [each.partition("@")[0] for each in found["email"]] == [
        each.lower().replace("'", "").replace(" ", ".") for each in found["name"]
    ]


def test_one_person_has_the_same_values_in_all_rows_and_tables():
    columns = [
        Personal(name="mail", content="email", within=("id",)),
        Personal(name="who", content="name", within=("id",)),
    ]
    generated = generated_from_json(placed(columns, id=[1], mail=[""], who=[""]).to_json())
    found = rows(generated, np.arange(60) % 7, parts=[8, 52])
    assert found.groupby("id").nunique().max().max() == 1 and found["who"].nunique() == 7
    other = rows(placed(columns[1:], who=[""], x=[0.5], id=[1]), X[:7], np.arange(7)[::-1])
    assert dict(zip(other["id"], other["who"], strict=True)) == dict(zip(found["id"], found["who"], strict=True))
    with pytest.raises(ValueError, match="values that rows share cannot be unique"):
        Personal(name="mail", content="email", is_unique=True, within=("id",))


def test_unique_addresses_are_unique():
    """An e-mail address may be the key."""
    generated = placed([Personal(name="mail", content="email", is_unique=True)], x=[0.5], mail=[""])
    assert rows(generated, np.arange(3000.0))["mail"].is_unique
    assert not rows(placed([Personal(name="mail", content="email")], x=[0.5], mail=[""]), np.arange(3000.0))[
        "mail"
    ].is_unique
    with pytest.raises(ValueError, match="streets cannot be unique"):
        Personal(name="road", content="street", is_unique=True)


@pytest.mark.parametrize("locale", ["ja_JP", "ru_RU", "tr_TR"])
def test_addresses_of_names_in_any_letters(locale):
    found = rows(placed([Personal(name="mail", content="email", locale=locale)], x=[0.5], mail=[""]), X)["mail"]
    assert all(re.fullmatch(r"[a-z.]+@example\.(com|org|net)", each) for each in found)


def test_faker_and_locales_that_are_missing(monkeypatch):
    with pytest.raises(ValueError, match="Faker has no locale 'xx_XX': take one like 'en_US'"):
        Personal(name="who", content="name", locale="xx_XX").prepare()
    with pytest.raises(ValueError, match="a locale is written as 'de_DE', not 'german'"):
        Personal(name="who", content="name", locale="german")
    with pytest.raises(ValueError, match=r"personal columns hold name, .*, not 'pet'"):
        Personal(name="who", content="pet")
    monkeypatch.setitem(__import__("sys").modules, "faker", None)
    with pytest.raises(ValueError, match=r"personal columns need Faker: pip install faker"):
        Personal(name="who", content="name", locale="it_IT").prepare()


FOUND = {
    "integers": (np.arange(5, 5 + N), Numbering(name="id", first=5)),
    "an index": (np.random.default_rng(0).permutation(10**6)[:N], None),
    "long integers": (np.arange(N) * 10**6 + 10**17, Codes(name="id", pattern="[1-9][0-9]{17}")),
    "integers of 19 digits": (np.arange(N) * 10**6 + 10**18, Numbering(name="id", first=10**18)),
    "uuids": ([str(UUID(int=i * 2**100 + 1, version=4)) for i in range(N)], Uuids(name="id")),
    "codes": ([f"INV-{i:06}" for i in range(N)], Codes(name="id", pattern="INV-[0-9]{6}")),
    "words": ([f"a{'b' * i}" for i in range(N)], None),
}


@pytest.mark.parametrize(("values", "expected"), FOUND.values(), ids=FOUND)
def test_the_kind_of_a_key_is_found(values, expected):
    found = key_of("id", pa.array(values))
    assert found == expected or (expected is None and (found is None or isinstance(found, Codes)))
    frame = pandas.DataFrame({"id": values, "x": np.arange(N) / 2})
    assert separated(frame).columns == (() if found is None else (found,))
    twice = pandas.concat([frame, frame[:1]])
    assert not separated(twice).columns and not separated(frame.assign(id=[None, *values[1:]])).columns


PERSONAL = {
    "mail": ("email", lambda i: f"u{i % 7}@shop{i % 3}.de"),
    "IBAN": ("iban", lambda i: ("DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432")[i % 2]),
    "First Name": ("first_name", lambda i: ("Ann", "Jean-Luc", "Zoë", "Mary Jo")[i % 4]),
    "nachname": ("last_name", lambda i: ("Meier", "von Ölde", "O'Hara")[i % 3]),
    "name": ("name", lambda i: f"Mr. {'A' * (i + 1)}nn, Jo"),
    "customerName": ("name", lambda i: f"Jo {'Aa' * (i + 1)}"),
    "home_phone": ("phone", lambda i: f"+49 ({i % 5}30) 12-34{i:03}"),
    "Straße": ("street", lambda i: f"Am Weg {i}"),
    "work_address": ("address", lambda i: f"Am Weg {i}, 12345 Ort"),
    "company_name": ("company", lambda i: f"{'Ab' * (i + 1)} GmbH"),
}
NOT_PERSONAL = {
    "hotel": lambda i: f"+49 30 1234{i:03}",
    "phone": lambda i: ("Pixel", "Moto")[i % 2],
    "company": lambda i: ("Acme", "Initech", "Hooli")[i % 3],
    "name": lambda i: ("setosa", "virginica")[i % 2],
    "iban": lambda i: ("DE00370400440532013000", "GB00WEST12345698765432")[i % 2],
    "user_name": lambda i: f"{'ab' * (i + 1)} c",
    "mail": lambda i: ("yes", "no")[i % 2],
}


@pytest.mark.parametrize("name", PERSONAL)
@pytest.mark.parametrize("make", [pandas.DataFrame, polars.DataFrame, pa.table])
def test_personal_columns_are_found_by_name_and_content(name, make):
    content, cell = PERSONAL[name]
    found = separated(make({name: [cell(i) for i in range(N)], "x": np.arange(N) / 2}))
    (column,) = found.columns
    assert column == Personal(name=name, content=content) and found.reasons == {
        name: f"column {name!r} holds {CONTENTS[content]}"
    }
    assert not separated(make({name: [cell(i) for i in range(N)], "x": np.arange(N) / 2}), [name]).columns


@pytest.mark.parametrize("name", NOT_PERSONAL)
def test_other_columns_are_not_personal(name):
    found = separated(pandas.DataFrame({name: map(NOT_PERSONAL[name], range(N)), "x": np.arange(N) / 2}))
    assert not any(isinstance(each, Personal) for each in found.columns)


def test_without_faker_personal_columns_are_dropped(monkeypatch):
    monkeypatch.setattr("pointillist.columns.unlearned.has_faker", lambda: False)
    found = separated(pandas.DataFrame({"mail": [f"u{i % 7}@x.de" for i in range(N)], "x": np.arange(N) / 2}))
    assert not found.columns and list(found.X) == ["x"]
    with pytest.warns(UserWarning, match=r"Faker is not installed \(pip install faker\), so it is dropped"):
        found.warn()


def test_damaged_content_of_files_is_refused():
    content = placed([Codes(name="id", pattern="[A-C][0-9]")], x=[0.5], id=[""]).to_json()
    column = content["columns"][0]
    for changed in (
        {"kind": "secret"},
        {"pattern": "(a+)+"},
        {"pattern": 3},
        {"name": ["str", "other"]},
        {"within": [["str", "id"]]},
    ):
        with pytest.raises((ValueError, TypeError)):
            generated_from_json({**content, "columns": [{**column, **changed}]})
    with pytest.raises(ValueError, match="labels have no position"):
        generated_from_json({**content, "label_index": 7})
