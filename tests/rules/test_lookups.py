"""Checks that lookups are found in tables and restored in rows that break them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_table_rules import codes_of

from pointillist import Diffusion, one_of
from pointillist.rules.lookups import Lookup
from pointillist.rules.table_rules import find_rules, restore_rows, rule_from_json
from pointillist.tables.table import Column

N = 2000
CITIES = ("Bonn", "Brno", "Bristol", "Cork", "Metz")
COUNTRY_OF, CODE_OF = np.array([0, 1, 3, 2, 1]), np.array([40.0, 10.0, 20.0, 50.0, 30.0])


def cells(values, categories=None):
    return Column(np.asarray(values, float), np.zeros(len(values), bool), categories)


def city_columns(rng, n=N):
    """Returns columns of countries, cities and city codes, and an independent number and category."""
    city = rng.integers(0, 5, n)
    return [
        cells(COUNTRY_OF[city], ("DE", "FR", "IE", "UK")),
        cells(city, CITIES),
        cells(CODE_OF[city]),
        cells(rng.normal(size=n)),
        cells(rng.integers(0, 3, n), ("a", "b", "c")),
    ]


def found_in(columns):
    return find_rules(columns, codes_of(columns))


def test_a_city_decides_its_country_and_its_code(rng):
    (found,) = found_in(city_columns(rng))
    # If two columns decide each other, the first decides the other.
    assert found.columns == (1, 0, 2)
    np.testing.assert_array_equal(found.table, np.stack([np.arange(5), COUNTRY_OF, CODE_OF], axis=1))
    assert found.text(["country", "city", "code"]) == "city decides country, code"


@pytest.mark.parametrize("change", ["one row", "missing", "few rows", "many values", "by chance"])
def test_no_lookup_is_found_where_no_column_decides_another(rng, change):
    columns = city_columns(rng, 90 if change == "few rows" else N)
    if change == "one row":
        columns[0].values[7], columns[2].values[9] = (columns[0].values[7] + 1) % 4, 10 + columns[2].values[9] % 50
    elif change == "missing":
        columns = [Column(each.values, rng.random(N) < 0.1, each.categories) for each in columns]
    elif change == "many values":
        # A name for every three rows.
        names = tuple(f"n{i}" for i in range(N // 3 + 1))
        columns = [cells(np.arange(N) // 3, names), cells(np.arange(N) // 3 % 4, tuple("abcd"))]
    elif change == "by chance":
        # The first values occur in one row each.
        columns = [cells(np.minimum(np.arange(N), 5), tuple("abcdef")), cells(np.arange(N) == 0, (False, True))]
    assert found_in(columns) == ()


def test_a_rare_flag_of_a_few_days_is_decided_by_the_day(rng):
    day = rng.permutation(np.repeat(np.arange(100), 20))
    rare = np.isin(day, (40, 41))
    (found,) = found_in([cells(day, tuple(f"d{i}" for i in range(100))), cells(rare, (False, True))])
    assert found.columns == (0, 1) and found.table[:, 1].sum() == 2


def test_restored_rows_obey_the_lookup(rng):
    data = city_columns(rng)
    (found,) = found_in(data)
    rows = [Column(rng.permutation(each.values), each.is_missing, each.categories) for each in data]
    country, city, code = (each.values for each in rows[:3])
    free = np.zeros((N, 5), bool)
    restored = [each.values for each in restore_rows(rows, codes_of(data), (found,), free)]
    # The country comes first: the city agrees with it, and the code follows.
    np.testing.assert_array_equal(restored[0], country)
    np.testing.assert_array_equal(COUNTRY_OF[restored[1].astype(int)], country)
    np.testing.assert_array_equal(restored[2], CODE_OF[restored[1].astype(int)])
    agrees = COUNTRY_OF[city.astype(int)] == country
    np.testing.assert_array_equal(restored[1][agrees], city[agrees])
    # The nearest city of the country.
    brno = (country == 1) & (city == 3)
    assert brno.any() and (restored[1][brno] == 4).all()
    np.testing.assert_array_equal(restored[3], rows[3].values)

    fixed = free.copy()
    fixed[:700, 2] = fixed[500:1200, 1] = True
    restored = [each.values for each in restore_rows(rows, codes_of(data), (found,), fixed)]
    # An observed code determines the city, and the city the country.
    np.testing.assert_array_equal(restored[2][:700], code[:700])
    np.testing.assert_array_equal(CODE_OF[restored[1][:500].astype(int)], code[:500])
    np.testing.assert_array_equal(COUNTRY_OF[restored[1].astype(int)], restored[0])
    np.testing.assert_array_equal(restored[1][500:1200], city[500:1200])
    np.testing.assert_array_equal(restored[2][700:], CODE_OF[restored[1][700:].astype(int)])


def broken(found, columns):
    """Returns which rows break each lookup."""
    broken_rows = []
    for each in found:
        decided = {row[0]: row for row in each.table.tolist()}
        rows = np.stack([columns[column].values for column in each.columns], axis=1)
        broken_rows.append(np.array([decided.get(row[0]) != row for row in rows.tolist()]))
    return broken_rows


def streets(street):
    """Returns columns of streets, their cities and their countries."""
    columns = (street, "s", 40), (street // 4, "t", 10), (street // 4 % 3, "c", 3)
    return [cells(values, tuple(f"{kind}{i}" for i in range(n))) for values, kind, n in columns]


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0), (1, 0, 2)])
@pytest.mark.parametrize("fixed", [None, 0, 1, 2])
def test_chains_of_lookups_use_their_first_column(rng, order, fixed):
    """A street determines its city and its country, so both are looked up by street."""
    street = rng.integers(0, 40, N)
    all_columns = streets(street)
    data = [all_columns[i] for i in order]
    (found,) = found_in(data)
    assert {order[column] for column in found.columns[1:]} == {1, 2} and order[found.columns[0]] == 0
    rows = [Column(rng.permutation(each.values), each.is_missing, each.categories) for each in data]
    is_fixed = np.zeros((N, 3), bool)
    if fixed is not None:
        is_fixed[:, fixed] = True
    back = restore_rows(rows, codes_of(data), (found,), is_fixed)
    assert not broken([found], back)[0].any()
    if fixed is not None:
        np.testing.assert_array_equal(back[fixed].values, rows[fixed].values)


def test_orders_and_lookups_hold_together(rng):
    item = rng.integers(0, 6, N)
    price = np.array([10.0, 30, 20, 80, 5, 60])[item]
    data = [cells(item, tuple("abcdef")), cells(price), cells(np.round(price * rng.uniform(0.3, 1, N), 2))]
    found = found_in(data)
    assert len(found) == 2
    rows = [Column(rng.permutation(each.values), each.is_missing, each.categories) for each in data]
    restored = [each.values for each in restore_rows(rows, codes_of(data), found, np.zeros((N, 3), bool))]
    np.testing.assert_array_equal(restored[1], np.array([10.0, 30, 20, 80, 5, 60])[restored[0].astype(int)])
    assert (restored[2] <= restored[1]).all()


def test_a_lookup_follows_a_column_that_a_sum_decides(rng):
    exam, homework = rng.integers(0, 40, (2, N))
    total = exam + homework
    data = [cells(total // 20), cells(exam), cells(homework), cells(total)]
    found = found_in(data)
    (table,) = [each for each in found if isinstance(each, Lookup)]
    assert (table.columns, table.is_followed) == ((3, 0), True)
    rows = [Column(rng.permutation(each.values), each.is_missing) for each in data]
    restored = [each.values for each in restore_rows(rows, codes_of(data), found, np.zeros((N, 4), bool))]
    np.testing.assert_array_equal(restored[3], restored[1] + restored[2])
    np.testing.assert_array_equal(restored[0], restored[3] // 20)
    np.testing.assert_array_equal(restored[1], rows[1].values)


def test_labels_are_never_changed(rng):
    data = city_columns(rng)
    found = find_rules(data, codes_of(data), (), "2")
    # The label comes first, so the city cannot decide it.
    assert [(each.columns, each.is_followed) for each in found] == [((2, 0, 1), True)]
    rows = [Column(rng.permutation(each.values), each.is_missing, each.categories) for each in data]
    back = restore_rows(rows, codes_of(data), found, np.zeros((N, 5), bool))
    np.testing.assert_array_equal(back[2].values, rows[2].values)
    assert not broken(found, back)[0].any()


def test_a_lookup_that_needs_too_large_a_table_is_left_out(rng, monkeypatch):
    monkeypatch.setattr("pointillist.rules.lookups.MOST_NUMBERS", 60)
    street = rng.integers(0, 40, N)
    data = streets(street)
    (found,) = found_in(data)
    assert found.columns == (1, 2)


def test_saved_lookups_include_the_ends_of_the_range(rng, tmp_path):
    amount = np.where(rng.random(6000) < 0.8, 0, np.round(rng.gamma(2, 60, 6000)))
    data = pd.DataFrame({"amount": amount, "band": np.floor(amount / 100), "x": rng.normal(size=6000)})
    model = Diffusion(width=8, depth=1, epochs=1, random_state=0).fit(data)
    (found,) = [each for each in model.model_.codec.rules if isinstance(each, Lookup)]
    assert found.table[:, 0].max() == amount.max()
    model.save(tmp_path / "m.safetensors")
    assert Diffusion.load(tmp_path / "m.safetensors").sample(5, random_state=0).shape == (5, 3)


def frame(rng):
    country, city, code, size, kind = city_columns(rng)
    return pd.DataFrame(
        {
            "country": np.array(country.categories)[country.values.astype(int)],
            "city": np.array(CITIES)[city.values.astype(int)],
            "code": code.values.astype(int),
            "size": size.values,
            "kind": np.array(kind.categories)[kind.values.astype(int)],
        }
    )


@pytest.mark.parametrize("kind", ["object", "category"])
def test_new_and_filled_rows_obey_the_lookup_and_the_conditions(rng, tmp_path, kind):
    data = frame(rng).astype({"country": kind, "city": kind})
    model = Diffusion(width=8, depth=1, epochs=1, random_state=0).fit(data)
    model.save(tmp_path / "m.safetensors")
    model = Diffusion.load(tmp_path / "m.safetensors")
    code_of = dict(zip(CITIES, CODE_OF.astype(int).tolist(), strict=True))
    country_of = dict(zip(data["city"], data["country"], strict=True))

    def obey(rows):
        return (rows["code"] == rows["city"].astype(str).map(code_of)).all() and (
            rows["country"].astype(str) == rows["city"].astype(str).map(country_of)
        ).all()

    assert obey(model.sample(300, random_state=1))
    given = model.sample(300, where={"country": "FR", "kind": "a"}, random_state=1)
    assert obey(given) and set(given["city"]) == {"Brno", "Metz"}
    some = model.sample(200, where={"country": one_of("DE", "UK"), "size": 0.5}, random_state=1)
    assert set(some["country"]) <= {"DE", "UK"} and obey(some)
    holes = data[:50].copy()
    holes.loc[holes.index % 2 == 0, "city"] = None
    holes["code"] = holes["code"].astype("float").mask(holes.index % 4 == 0)
    assert obey(model.impute(holes, random_state=0))
    decided = data[:50].assign(country=data["country"][:50].where(data.index[:50] % 2 == 0))
    assert model.impute(decided, statistic="median")["country"].tolist() == data["country"][:50].tolist()


def test_files_with_impossible_lookups_are_refused(rng):
    columns = city_columns(rng)
    codes, (found,) = codes_of(columns), found_in(columns)
    again = rule_from_json(found.to_json(), 5)
    np.testing.assert_array_equal(again.table, found.table)
    again.check(codes)
    facts = found.to_json()
    for change in (
        {"columns": [1, 0]},
        {"table": [[0.0, 1.0]]},
        {"table": [[0.0, 1.0, float("nan")]]},
        {"table": [[1.0, 1.0, 10.0], [0.0, 1.0, 10.0]]},
        {"table": []},
    ):
        with pytest.raises(ValueError, match=r"decides|a rule"):
            rule_from_json({**facts, **change}, 5)
    for row in ([0.0, 4.0, 10.0], [0.5, 1.0, 10.0], [0.0, 1.0, 60.0]):
        with pytest.raises(ValueError, match="cannot hold the values"):
            Lookup((1, 0, 2), np.array([row])).check(codes)
    with pytest.raises(ValueError, match="cannot hold the values"):
        found.check([replace(code, has_missing=True) for code in codes])
