"""Keys of related tables: checked, looked up and proposed."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from pointillist.tables.schema import Positions, Schema, propose_keys
from pointillist.tables.table import Table

KEYS = {"customers": "id", "orders": "id"}
FOREIGN = {"orders": {"customer": "customers"}}


DAYS = date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)


def shop(customers=(1, 2, 3), orders=(1, 2), of=(3, 1), **columns):
    tables = {
        "customers": {"id": [*customers]},
        "orders": {"id": [*orders], "customer": [*of], **columns},
    }
    return {name: Table(pa.table(columns)) for name, columns in tables.items()}


def test_rows_of_parents_are_found_and_parents_come_first():
    schema = Schema.of(("orders", "customers"), KEYS, FOREIGN)
    assert schema.tables == ("customers", "orders")
    positions = Positions.of(schema, shop())
    np.testing.assert_array_equal(positions.rows["orders.customer"], [2, 0])
    assert positions.first("orders").parent == "customers"
    assert positions.first("customers") is None


def test_tables_without_an_order_stay_in_theirs():
    """In every process: the rows of a seed depend on the order of the tables."""
    parents = [f"t{i}" for i in range(20)]
    keys = {"child": {f"key_{name}": name for name in reversed(parents)}}
    assert Schema.of(("child", *parents), dict.fromkeys(parents, "id"), keys).tables == (*parents, "child")


def test_composite_keys_are_looked_up():
    tables = {
        "depts": Table(pa.table({"store": [1, 1, 2], "dept": ["a", "b", "a"]})),
        "sales": Table(pa.table({"store": [2, 1, 1], "dept": ["a", "b", "b"]})),
    }
    schema = Schema.of(("depts", "sales"), {"depts": ("store", "dept")}, {"sales": {("store", "dept"): "depts"}})
    np.testing.assert_array_equal(Positions.of(schema, tables).rows["sales.store+dept"], [2, 1, 1])


def test_a_missing_key_is_no_parent_and_a_later_key_without_missing_cells_is():
    tables = shop(of=(3, None), product=[7, 7])
    tables["products"] = Table(pa.table({"id": [7]}))
    schema = Schema.of(
        tuple(tables), {**KEYS, "products": "id"}, {"orders": {"customer": "customers", "product": "products"}}
    )
    positions = Positions.of(schema, tables)
    np.testing.assert_array_equal(positions.rows["orders.customer"], [2, -1])
    assert positions.first("orders").parent == "products"
    assert positions.schema.foreign_keys["orders"][0].columns == ("product",)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            shop(of=(3, 9)),
            r"orders\.customer holds 9, which no row of 'customers' has \(1 of 2 rows\): drop these rows",
        ),
        (shop(customers=(1, 1, 3)), r"primary key customers\.id repeats 1: drop"),
        (shop(orders=(1, None)), r"primary key orders\.id has missing cells"),
        (shop(of=("a", "b")), r"orders\.customer holds string, and customers\.id int64: convert one"),
        (shop(of=("3", "1")), r"orders\.customer holds string, and customers\.id int64: convert one"),
        (shop(customers=DAYS, of=DAYS[:2]), r"primary key customers\.id holds dates, and new rows are numbered: make "),
    ],
)
def test_invalid_keys_are_refused_in_one_line(tables, message):
    with pytest.raises(ValueError, match=message):
        Positions.of(Schema.of(("customers", "orders"), KEYS, FOREIGN), tables)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"shops": "id"}, {}), "primary_keys names table 'shops': the tables are"),
        ((KEYS, {"orders": {"customer": "clients"}}), "orders.customer refers to table 'clients': there is no"),
        (({}, FOREIGN), "orders.customer has 1 columns, and the primary key of 'customers' has 0"),
        (
            (KEYS, {**FOREIGN, "customers": {"best": "orders"}}),
            "in a cycle, (customers → orders → customers|orders → customers → orders): leave one",
        ),
    ],
)
def test_schemas_that_cannot_be_used_are_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message):
        Schema.of(("customers", "orders"), *arguments)


@pytest.mark.parametrize(
    ("day", "message"),
    [(["a", "b"], "order column orders.day holds string: convert it"), ([1, None], "orders.day has missing cells")],
)
def test_an_order_that_cannot_be_used_is_refused(day, message):
    schema = Schema.of(("customers", "orders"), KEYS, FOREIGN, {"orders": "day"})
    with pytest.raises(ValueError, match=message):
        Positions.of(schema, shop(day=day))


def test_keys_are_proposed_by_name_and_content():
    tables = {
        "customers": Table(pa.table({"customer_id": [5, 6], "age": [1, 2]})),
        "orders": Table(pa.table({"order_id": [1, 2, 3], "customer_id": [5, 5, 6], "age": [1, 1, 2]})),
        "Store": Table(pa.table({"StoreId": ["a", "b"]})),
        "visits": Table(pa.table({"store": ["a", "a", None]})),
    }
    primary, foreign = propose_keys(tables)
    assert primary == {"customers": "customer_id", "orders": "order_id", "Store": "StoreId"}
    assert foreign == {"orders": {"customer_id": "customers"}, "visits": {"store": "Store"}}


def test_a_schema_is_rebuilt_from_its_json_values():
    schema = Schema.of(("customers", "orders"), KEYS, FOREIGN, {"orders": "day"})
    again = Schema.from_json(schema.to_json())
    assert again.to_json() == schema.to_json()
