"""Rows of parents: rules across tables, ends of histories, drawing in parts, and filling missing cells."""

import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest

from pointillist import RelationalDiffusion, rules
from pointillist.cli import main
from pointillist.relational import sampling
from pointillist.relational.sampling import at_quantiles, follows_end

TINY = {"epochs": 3, "width": 8, "depth": 1, "random_state": 0, "verbose": False}
KEYS = {
    "primary_keys": {"customers": "id"},
    "foreign_keys": {"orders": {"customer": "customers"}},
    "order": {"orders": "date"},
}
RULES = [
    rules.ordered("customers.since", "orders.date", "orders.paid"),
    rules.ordered("orders.amount", "customers.limit"),
]


def made_shop(n=60):
    rng = np.random.default_rng(0)
    since = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D")
    customers = pd.DataFrame({"id": np.arange(n), "since": since, "limit": rng.integers(50, 90, n).astype(float)})
    counts = rng.poisson(3, n)
    orders = pd.DataFrame({"customer": np.repeat(np.arange(n), counts)})
    orders["date"] = since[orders.customer] + pd.to_timedelta(rng.integers(0, 40, len(orders)), unit="D")
    orders["paid"] = orders.date + pd.to_timedelta(rng.integers(0, 3, len(orders)), unit="D")
    orders["amount"] = np.round(rng.random(len(orders)) * customers["limit"].to_numpy()[orders.customer], 1)
    return {"customers": customers, "orders": orders}


def made_visits(n=80):
    rng = np.random.default_rng(1)
    rows = []
    for patient in range(n):
        for day in range(1, 8):
            is_dead = rng.random() < 0.2
            rows.append((patient, 10 * day, "dead" if is_dead else str(rng.choice(["ill", "well"])), float(is_dead)))
            if is_dead:
                break
    return pd.DataFrame(rows, columns=["patient", "day", "state", "event"])


@pytest.fixture(scope="module")
def model():
    return RelationalDiffusion(**KEYS, rules=RULES, **TINY).fit(made_shop())


@pytest.fixture(scope="module")
def visits_model():
    return RelationalDiffusion(subject="patient", order="day", **TINY).fit(made_visits())


def broken(tables):
    orders = tables["orders"].merge(tables["customers"], left_on="customer", right_on="id", suffixes=("", "_"))
    return (orders.date < orders.since) | (orders.paid < orders.date) | (orders.amount > orders.limit)


def test_rules_hold_between_a_row_and_its_parent_and_dates_stay_in_order(model, tmp_path):
    drawn = model.sample(scale=3, random_state=0)
    assert len(drawn["orders"]) > 200 and not broken(drawn).any()
    assert drawn["orders"].groupby("customer").date.apply(lambda each: each.is_monotonic_increasing).all()
    assert (drawn["orders"].date == drawn["orders"].date.dt.normalize()).all()
    without = RelationalDiffusion(**KEYS, **TINY).fit(made_shop()).sample(scale=3, random_state=0)
    assert broken(without).mean() > 0.05
    model.save(tmp_path / "shop.model")
    again = RelationalDiffusion.load(tmp_path / "shop.model").sample(scale=3, random_state=0)
    pd.testing.assert_frame_equal(again["orders"], drawn["orders"])


def test_rules_hold_for_new_rows_of_real_parents_and_under_conditions(model):
    customers = made_shop()["customers"]
    drawn = model.sample(given={"customers": customers}, random_state=0)
    pd.testing.assert_frame_equal(drawn["customers"], customers)
    assert not broken(drawn).any()
    assert not broken(model.sample(where={"customers.limit": 60}, random_state=0)).any()


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (rules.ordered("orders.date", "customers.since"), r"of \d+ training rows break .*customers\.since"),
        (rules.ordered("since", "orders.date"), "'since' is not a column of a table"),
        (rules.ordered("customers.birth", "orders.date"), "table 'customers' has no column 'birth'"),
        (rules.ordered("customers.limit", "orders.date"), "make both numbers or both dates"),
        (rules.ordered("customers.since", "orders.date", on_violation="drop"), "is not for related tables"),
        (rules.unique("orders.id"), "is not for related tables"),
    ],
)
def test_rules_that_cannot_be_used_are_refused_in_one_line(declared, message):
    with pytest.raises(ValueError, match=message) as error:
        RelationalDiffusion(**KEYS, rules=[declared], **TINY).fit(made_shop())
    assert "\n" not in str(error.value)


def test_rules_need_a_foreign_key_from_one_table_to_the_other():
    tables = made_shop() | {"towns": pd.DataFrame({"id": [1, 2], "founded": [1.0, 2.0]})}
    keys = {**KEYS, "primary_keys": {"customers": "id", "towns": "id"}}
    model = RelationalDiffusion(**keys, rules=[rules.ordered("towns.founded", "orders.amount")], **TINY)
    with pytest.raises(ValueError, match=r"no foreign key leads from .* leave .* out"):
        model.fit(tables)


def test_a_rule_of_one_table_with_subjects_names_plain_columns():
    visits = made_visits().assign(end=lambda frame: frame.day + 2)
    model = RelationalDiffusion(subject="patient", order="day", rules=[rules.ordered("day", "end")], **TINY)
    drawn = model.fit(visits).sample(n_subjects=40, random_state=0)
    assert (drawn.end >= drawn.day).all()


def test_no_row_follows_a_value_that_ends_every_history_of_the_training_rows(visits_model):
    ends = visits_model.model_.tables[1].ends
    assert ends == {"state": ("dead",), "event": (1.0,)}
    drawn = visits_model.sample(n_subjects=100, random_state=0)
    is_last = drawn.patient != drawn.patient.shift(-1)
    assert (drawn.state == "dead").any()
    assert not ((drawn.state == "dead") & ~is_last).any() and not ((drawn.event == 1) & ~is_last).any()


def test_a_value_that_is_last_by_chance_is_no_end():
    visits = made_visits()
    visits["state"] = np.where(visits.state == "dead", "ill", visits.state)
    visits["event"] = 0.0
    visits.loc[visits.groupby("patient").tail(1).index[:3], "state"] = "rare"
    model = RelationalDiffusion(subject="patient", order="day", **TINY).fit(visits)
    assert not model.model_.tables[1].ends


def test_rows_after_an_end_are_found_within_parents():
    is_end = np.array([0, 1, 0, 0, 0, 1, 1], bool)
    np.testing.assert_array_equal(follows_end(is_end, np.array([0, 0, 0, 1, 1, 1, 1])), [0, 0, 1, 0, 0, 0, 1])


def test_numbers_of_children_in_parts_have_the_distribution_of_the_training_rows(model):
    encoder = model.model_.tables[0].drawer.encoder("orders.customer›count")
    cells = model.model_.tables[0].drawer.draw({}, 8, 0)[encoder.name]
    rng = np.random.default_rng(0)
    means = np.concatenate([at_quantiles(encoder, cells, rng).values for _ in range(500)])
    expected = made_shop()["orders"].groupby("customer").size().reindex(range(60), fill_value=0)
    # Eight rows, one in each eighth of the distribution: less than the error of 4,000 independent rows.
    assert abs(means.mean() - expected.mean()) < 4 * expected.std() / np.sqrt(len(means))


def test_tables_are_drawn_in_parts_with_valid_keys(model, monkeypatch, tmp_path):
    monkeypatch.setattr(sampling, "ROWS_PER_PART", 40)
    drawn = model.sample(scale=2, random_state=0)
    parts = list(sampling.Sampler(model.model_, {}, {}, 0).parts({"customers": 120}))
    assert len(parts) > 5 and sum(len(part["customers"]) for part in parts) == 120
    assert drawn["customers"].id.tolist() == [*range(1, 121)] and not broken(drawn).any()
    for part in parts:
        assert {*part["orders"].column("customer").to_pylist()} <= {*part["customers"].column("id").to_pylist()}
    assert pd.concat([part["orders"].to_pandas() for part in parts]).amount.tolist() == drawn["orders"].amount.tolist()


def test_the_command_line_writes_tables_as_they_are_drawn(model, monkeypatch, tmp_path):
    model.save(tmp_path / "shop.model")
    monkeypatch.setattr(sampling, "ROWS_PER_PART", 40)
    command = ["sample", tmp_path / "shop.model", "-o", tmp_path / "drawn", "--scale", "2", "--seed", "0"]
    monkeypatch.setattr(sys, "argv", ["pointillist", *map(str, command)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    read = pd.read_csv(tmp_path / "drawn" / "orders.csv", parse_dates=["date", "paid"])
    pd.testing.assert_frame_equal(read, model.sample(scale=2, random_state=0)["orders"], check_dtype=False)


def test_parts_leave_the_tables_whole_to_which_other_rows_refer(monkeypatch):
    rng = np.random.default_rng(0)
    tables = {
        "customers": pd.DataFrame({"id": range(60), "sex": rng.choice(["f", "m"], 60)}),
        "products": pd.DataFrame({"id": [1, 2, 3], "kind": ["a", "a", "b"]}),
        "orders": pd.DataFrame({"customer": rng.integers(0, 60, 180), "product": rng.choice([1, 2, 3], 180)}),
    }
    tables["orders"]["paid"] = rng.choice(["yes", "no"], 180)
    keys = {
        "primary_keys": {"customers": "id", "products": "id"},
        "foreign_keys": {"orders": {"customer": "customers", "product": "products"}},
    }
    model = RelationalDiffusion(**keys, **TINY).fit(tables).model_
    monkeypatch.setattr(sampling, "ROWS_PER_PART", 40)
    first, *others = sampling.Sampler(model, {}, {}, 0).parts({"customers": 60, "products": 3})
    assert {*first} == {"products"} and len(others) > 2 and all({*part} == {"customers", "orders"} for part in others)
    assert all({*part["orders"].column("product").to_pylist()} <= {1, 2, 3} for part in others)


def test_missing_cells_are_filled_and_all_others_kept(model):
    tables = made_shop()
    orders, customers = tables["orders"].copy(), tables["customers"].copy()
    is_missing = np.random.default_rng(2).random((2, len(orders))) < 0.3
    orders.loc[is_missing[0], "amount"] = np.nan
    orders.loc[is_missing[1], "paid"] = pd.NaT
    customers.loc[:5, "limit"] = np.nan
    filled = model.impute({"customers": customers, "orders": orders}, random_state=0)
    assert not filled["orders"].isna().any(axis=None) and not filled["customers"].isna().any(axis=None)
    for name, given in (("orders", orders), ("customers", customers)):
        pd.testing.assert_frame_equal(filled[name].where(given.notna()), given, check_dtype=False)
    again = model.impute({"customers": customers, "orders": orders}, random_state=0)
    pd.testing.assert_frame_equal(filled["orders"], again["orders"])
    only_orders = model.impute({"customers": tables["customers"], "orders": orders}, random_state=0)
    assert not broken(only_orders).any()
    with pytest.raises(ValueError, match="X has no table 'customers'"):
        model.impute({"orders": orders})


def test_a_cell_is_filled_from_the_row_of_its_parent():
    rng = np.random.default_rng(0)
    parents = pd.DataFrame({"id": range(300), "kind": rng.choice(["a", "b"], 300)})
    children = pd.DataFrame({"parent": np.repeat(range(300), 3)})
    children["kind"] = parents.kind.to_numpy()[children.parent]
    keys = {"primary_keys": {"parents": "id"}, "foreign_keys": {"children": {"parent": "parents"}}}
    model = RelationalDiffusion(**keys, epochs=30, width=32, depth=1, random_state=0, verbose=False)
    model.fit({"parents": parents, "children": children})
    holes = children.assign(kind=children.kind.where(children.parent % 3 > 0))
    filled = model.impute({"parents": parents, "children": holes}, random_state=0)["children"]
    assert (filled.kind == children.kind).mean() > 0.97


def test_one_table_with_subjects_is_filled_in_its_container(visits_model):
    visits = pl.from_pandas(made_visits()).with_columns(
        pl.when(pl.col("day") == 20).then(None).otherwise(pl.col("state")).alias("state")
    )
    filled = visits_model.impute(visits.to_pandas(), random_state=0)
    assert not filled.isna().any(axis=None) and filled.patient.tolist() == visits["patient"].to_list()
    assert (filled.state[filled.day != 20] == made_visits().state[filled.day != 20]).all()
