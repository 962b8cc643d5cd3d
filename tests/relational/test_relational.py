"""`RelationalDiffusion`: keys, orders, conditions, containers and files; and a database of known distribution."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from pointillist import Diffusion, RelationalDiffusion
from pointillist.models.configuration import Configuration
from pointillist.models.container import ModelFileError
from pointillist.relational.fitting import check_configuration
from pointillist.relational.sampling import Sampler

TINY = {"epochs": 2, "width": 8, "depth": 1, "random_state": 0, "verbose": False}
KEYS = {
    "primary_keys": {"customers": "id", "products": "id", "orders": "id"},
    "foreign_keys": {"orders": {"product": "products", "customer": "customers"}, "customers": {"friend": "customers"}},
    "order": {"orders": "day"},
}


def made_shop(n=60):
    rng = np.random.default_rng(0)
    customers = pd.DataFrame({"id": np.arange(n) + 100, "country": rng.choice(["FR", "DE"], n)})
    customers["friend"] = np.where(rng.random(n) < 0.5, np.nan, 100 + rng.integers(0, n, n))
    products = pd.DataFrame({"id": ["p1", "p2", "p3"], "price": [1.0, 2.0, 5.0]})
    counts = rng.poisson(np.where(customers.country == "FR", 1, 4))
    orders = pd.DataFrame({"id": np.arange(counts.sum()), "customer": np.repeat(customers.id.to_numpy(), counts)})
    orders["product"] = np.where(rng.random(len(orders)) < 0.2, None, rng.choice(products.id, len(orders)))
    orders["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 40, len(orders)), unit="D")
    orders["status"] = rng.choice(["new", "paid"], len(orders))
    return {"orders": orders.sample(frac=1, random_state=0), "customers": customers, "products": products}


@pytest.fixture(scope="module")
def shop():
    return made_shop()


@pytest.fixture(scope="module")
def model(shop):
    return RelationalDiffusion(**KEYS, **TINY).fit(shop)


@pytest.fixture(scope="module")
def drawn(model):
    return model.sample(scale=2, random_state=1)


def test_all_keys_are_valid_and_columns_and_types_are_kept(shop, drawn):
    assert list(drawn) == ["customers", "products", "orders"]
    assert len(drawn["customers"]) == 120 and len(drawn["products"]) == 6
    for name, frame in drawn.items():
        assert frame.dtypes.equals(shop[name].dtypes)
        assert frame.id.is_unique and frame.id.notna().all()
    orders = drawn["orders"]
    assert orders.customer.isin(drawn["customers"].id).all()
    assert orders["product"].dropna().isin(drawn["products"].id).all()
    friends = drawn["customers"].friend.dropna()
    assert 0 < len(friends) < 120 and friends.isin(drawn["customers"].id).all()


def test_an_evaluation_compares_drawn_with_real_tables_and_leaves_unlearned_columns_out(model, shop, drawn):
    real = {**shop, "customers": shop["customers"].assign(name=[f"name {i}" for i in range(60)])}
    found = model.evaluate(real, drawn)
    assert found.measures["order kept: orders"][0] == 1.0
    number, held_out = found.measures["number of children: orders.customer"]
    assert held_out - 4 * held_out.standard_error < number <= 1
    assert "customers" in str(found) and found.to_json()["verdict"] == found.verdict
    again = model.evaluate(real, shop).measures["accuracy: customers"][0]
    assert again < 0.7


def test_rows_of_a_parent_are_in_order_and_in_the_range_of_the_data(shop, drawn):
    days = drawn["orders"].day
    assert (drawn["orders"].groupby("customer").day.apply(lambda each: each.is_monotonic_increasing)).all()
    assert days.min() >= shop["orders"].day.min() and days.max() <= shop["orders"].day.max()
    assert (days == days.dt.normalize()).all()


def test_equal_seeds_give_equal_rows_also_from_a_file(model, drawn, tmp_path):
    model.save(tmp_path / "shop.model")
    again = RelationalDiffusion.load(tmp_path / "shop.model")
    assert again.primary_keys == KEYS["primary_keys"] and again.order == KEYS["order"]
    for name, frame in again.sample(scale=2, random_state=1).items():
        pd.testing.assert_frame_equal(frame, drawn[name])
    assert not model.sample(scale=2, random_state=2)["orders"].equals(drawn["orders"])
    with pytest.raises(ModelFileError, match=r"is a model of related tables.*join the tables and fit the result"):
        Diffusion.load(tmp_path / "shop.model")


def test_conditions_hold_in_their_tables_and_parents_have_summaries_that_fit_them(model):
    drawn = model.sample(where={"customers.country": "FR", "orders.status": "paid"}, random_state=0)
    assert (drawn["customers"].country == "FR").all() and len(drawn["orders"])
    assert (drawn["orders"].status == "paid").all()
    sampler = Sampler(model.model_, {"orders.status": "paid"}, {}, 0)
    fraction, number = sampler._implied(model.model_.tables[0]).items()
    assert fraction[0].startswith("orders.customer›fraction of status")
    assert fraction[1].values[0] == fraction[0].endswith("paid") and number[1].values[0] == 1


def test_real_parents_keep_their_rows_and_their_keys_and_get_new_children(model, shop):
    drawn = model.sample(given={"products": shop["products"]}, random_state=0)
    pd.testing.assert_frame_equal(drawn["products"], shop["products"])
    assert drawn["orders"]["product"].dropna().isin(shop["products"].id).all()
    customers = shop["customers"].head(20)
    some = customers.assign(friend=customers.friend.where(customers.friend.isin(customers.id)))
    drawn = model.sample(given={"customers": some}, random_state=0)
    pd.testing.assert_frame_equal(drawn["customers"], some)
    assert len(drawn["orders"]) and drawn["orders"].customer.isin(some.id).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"where": {"country": "FR"}}, "'country' is not a column of a table: give 'TABLE.COLUMN'"),
        ({"where": {"orders.day": "2024-01-01"}}, "there is no column 'day'"),
        ({"where": {"orders.status": {"new", "paid"}}}, "takes single values of tables with a parent"),
        (
            {"given": {"customers": made_shop()["customers"].head(20)}},
            r"foreign key customers\.friend holds .*, which no",
        ),
        ({"given": {"orders": None}}, "given takes tables without a parent"),
        ({"given": {"shops": None}}, "given names table 'shops'"),
        ({"scale": 0}, "scale must be a number above 0"),
        ({"n_subjects": 3}, "n_subjects is an integer of at least 1, for a model with subject"),
    ],
)
def test_requests_that_cannot_be_met_are_refused_in_one_line(model, arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        model.sample(random_state=0, **arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"missing": "unknown"}, "do not use missing"),
        ({"timesteps": 50}, "do not use timesteps"),
    ],
)
def test_parameters_without_a_use_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        check_configuration(Configuration(**parameters))


def test_privacy_is_refused_with_the_reason(shop):
    with pytest.raises(ValueError, match="epsilon covers single rows, and a subject has rows in several tables"):
        RelationalDiffusion(**KEYS, epsilon=1.0).fit(shop)


def test_one_table_with_several_rows_per_subject_comes_back_in_its_container():
    rng = np.random.default_rng(0)
    n = rng.integers(1, 4, 30)
    visits = pl.DataFrame(
        {
            "day": np.concatenate([np.sort(rng.integers(0, 50, each)) for each in n]),
            "patient": np.repeat([f"a{i}" for i in range(30)], n),
            "sex": np.repeat(rng.choice(["f", "m"], 30), n),
            "state": rng.choice(["ill", "well"], n.sum()),
        }
    )
    model = RelationalDiffusion(subject="patient", order="day", **TINY).fit(visits)
    assert model.model_.subjects.constant == ("sex",)
    rows = model.sample(n_subjects=20, where={"sex": "f"}, random_state=0)
    assert isinstance(rows, pl.DataFrame) and rows.schema == visits.schema
    assert rows["patient"].n_unique() == 20 and set(rows["sex"]) == {"f"}
    assert rows.group_by("patient").agg(pl.col("day").diff().min())["day"].drop_nulls().ge(0).all()


@pytest.mark.slow
def test_link_tables_with_composite_keys_have_no_repeated_pairs():
    rng = np.random.default_rng(0)
    pairs = sorted({(int(a), int(b)) for a, b in rng.integers(0, 12, (60, 2))})
    tables = {
        "lists": pa.table({"list": [*range(12)], "kind": ["a", "b"] * 6}),
        "songs": pa.table({"song": [*range(12)], "genre": ["rock", "jazz", "folk"] * 4}),
        "links": pa.table({"list": [a for a, _ in pairs], "song": [b for _, b in pairs]}),
    }
    keys = {"lists": "list", "songs": "song", "links": ("list", "song")}
    model = RelationalDiffusion(primary_keys=keys, foreign_keys={"links": {"list": "lists", "song": "songs"}}, **TINY)
    model.fit(tables)
    # With two songs, a list has at most two of the five that it would have.
    for scale, fewest in ((1, 20), (0.2, 2)):
        links = model.sample(scale=scale, random_state=0)["links"]
        assert isinstance(links, pa.Table) and links.num_rows >= fewest
        found = {*zip(*(links.column(name).to_pylist() for name in ("list", "song")), strict=True)}
        assert len(found) == links.num_rows


@pytest.mark.slow
def test_primary_keys_of_three_foreign_keys_do_not_repeat():
    rng = np.random.default_rng(0)
    taken = pd.DataFrame({name: rng.integers(0, n, 240) for name, n in (("student", 20), ("course", 8), ("term", 3))})
    taken = taken.drop_duplicates()
    tables = {f"{name}s": pd.DataFrame({name: range(taken[name].max() + 1)}) for name in taken} | {"taken": taken}
    keys = {f"{name}s": name for name in taken} | {"taken": (*taken,)}
    foreign_keys = {"taken": {name: f"{name}s" for name in taken}}
    model = RelationalDiffusion(primary_keys=keys, foreign_keys=foreign_keys, **TINY).fit(tables)
    # With half of the courses and terms, a student takes nearly all of them.
    for scale, fewest in ((1, 150), (0.5, 60)):
        drawn = model.sample(scale=scale, random_state=0)["taken"]
        assert len(drawn) >= fewest and not drawn.duplicated().any()


@pytest.mark.slow
def test_numbers_of_children_and_their_transitions_are_those_of_a_known_markov_chain():
    rng = np.random.default_rng(0)
    n, rates = 1500, {"a": 1.0, "b": 4.0}
    change = {"a": np.array([[0.8, 0.2, 0.0], [0.1, 0.7, 0.2], [0.3, 0.3, 0.4]]), "b": np.full((3, 3), 1 / 3)}
    kinds = rng.choice(["a", "b"], n)
    counts = rng.poisson([rates[kind] for kind in kinds])
    states = []
    for kind, count in zip(kinds, counts, strict=True):
        state = 0
        for _ in range(count):
            state = rng.choice(3, p=change[kind][state])
            states.append(state)
    steps = pd.DataFrame({"run": np.repeat(np.arange(n), counts), "state": np.array(list("xyz"))[states]})
    steps["time"] = steps.groupby("run").cumcount()
    runs = pd.DataFrame({"run": np.arange(n), "kind": kinds})
    keys = {"primary_keys": {"runs": "run"}, "foreign_keys": {"steps": {"run": "runs"}}, "order": {"steps": "time"}}
    model = RelationalDiffusion(**keys, random_state=0).fit({"runs": runs, "steps": steps})
    drawn = model.sample(scale=2, random_state=1)
    kind = drawn["runs"].set_index("run").kind
    found = drawn["steps"].groupby("run").size().reindex(kind.index, fill_value=0)
    for each in "ab":
        here = found[kind == each]
        # The errors of the training rows and of the drawn rows, in standard errors of a Poisson mean and variance.
        error = np.sqrt(rates[each]) * np.sqrt(1 / (n / 2) + 1 / len(here))
        assert abs(here.mean() - rates[each]) < 4 * error
        of_kind = drawn["steps"][drawn["steps"].run.map(kind) == each]
        code = of_kind.state.map({"x": 0, "y": 1, "z": 2}).to_numpy()
        is_next = of_kind.run.to_numpy()[1:] == of_kind.run.to_numpy()[:-1]
        table = np.zeros((3, 3))
        np.add.at(table, (code[:-1][is_next], code[1:][is_next]), 1)
        fraction = table / table.sum(axis=1, keepdims=True)
        error = np.sqrt(change[each] * (1 - change[each]) * 3 / table.sum(axis=1, keepdims=True))
        np.testing.assert_array_less(np.abs(fraction - change[each]), 4 * error + 0.03)
