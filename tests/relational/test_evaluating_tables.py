"""The evaluation of related tables: each measure and test finds what it is for, and nothing else."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator

from pointillist.evaluation import related_tables
from pointillist.evaluation.related_tables import REPEATS, RelationalEvaluation, evaluate_tables
from pointillist.metrics.estimate import LEVEL, Estimate
from pointillist.tables.schema import Schema

SHOP = Schema.of(
    ("customers", "orders", "visits"),
    {"customers": "id"},
    {"orders": {"customer": "customers"}, "visits": {"customer": "customers"}},
    {"visits": "day"},
)
ORDERS = Schema.of(("customers", "orders"), {"customers": "id"}, {"orders": {"customer": "customers"}})
VISITS = Schema.of(
    ("customers", "visits"), {"customers": "id"}, {"visits": {"customer": "customers"}}, {"visits": "day"}
)
MEASURES = [
    "columns: customers",
    "pairs: customers",
    "columns: orders",
    "pairs: orders",
    "columns: visits",
    "pairs: visits",
    "number of children: orders.customer",
    "parent and child: orders.customer",
    "number of children: visits.customer",
    "parent and child: visits.customer",
    "siblings: orders",
    "previous and next: visits",
]
TESTS = ["accuracy: customers", "accuracy, rows: orders", "accuracy, rows: visits", "accuracy, sequences: visits"]


def made(n, seed):
    """Customers with orders that depend on them and on each other, and with visits that depend on the previous one."""
    rng = np.random.default_rng(seed)
    age, country = rng.normal(size=n), rng.choice(["FR", "DE"], n)
    customer = np.repeat(np.arange(n), 1 + rng.poisson(2, n))
    taste = rng.normal(size=n)[customer]
    price = age[customer] + taste + rng.normal(size=len(customer)) / 2
    status = np.where(price + taste > 0, "new", "paid")
    orders = {"customer": customer, "price": price, "status": status}
    kept = np.arange(6) < rng.integers(3, 7, (n, 1))
    spent = rng.normal(size=kept.shape)
    for k in range(1, 6):
        spent[:, k] = 0.3 * spent[:, k] - 0.95 * spent[:, k - 1]
    days = np.cumsum(rng.integers(1, 9, kept.shape), axis=1)
    visits = {"customer": np.nonzero(kept)[0], "day": days[kept], "spent": spent[kept]}
    customers = {"id": np.arange(n), "age": age, "country": country}
    tables = {"customers": customers, "orders": orders, "visits": visits}
    return {name: pd.DataFrame(columns) for name, columns in tables.items()}


@pytest.fixture(scope="module")
def real():
    return made(400, 0)


class NearestMean(BaseEstimator):
    """Assigns rows to the side of the nearer mean."""

    def fit(self, rows, labels):
        self.means_ = np.stack([rows[labels == side].mean(axis=0) for side in (0, 1)])

    def predict(self, rows):
        return np.argmin(((rows[:, None] - self.means_) ** 2).sum(axis=2), axis=1)


@pytest.fixture
def fast(monkeypatch):
    """A simple classifier instead of trees, which take most of the time."""
    monkeypatch.setattr(related_tables.ensemble, "HistGradientBoostingClassifier", lambda **_: NearestMean())


def errors_below_real(found, name):
    """Difference of a measure of drawn rows and of real ones, in standard errors of the difference."""
    drawn, real = found.measures[name]
    return (real - drawn) / math.hypot(drawn.standard_error, real.standard_error)


MOST_ERRORS = 5
"""Student's t with 2 (REPEATS − 1) degrees of freedom is larger with probability 0.001."""


def test_an_independent_draw_agrees_with_the_real_tables_within_the_errors(real):
    independent = evaluate_tables(real, made(400, 1), SHOP)
    assert [*independent.measures] == [*MEASURES, "order kept: visits", *TESTS]
    for name in MEASURES:
        assert abs(errors_below_real(independent, name)) < MOST_ERRORS, name
        assert 0.7 < independent.measures[name][0] <= 1
        assert all(value.degrees_of_freedom == REPEATS - 1 for value in independent.measures[name])
    assert independent.measures["order kept: visits"] == (1.0, None)
    assert [*independent.p_values] == TESTS and not independent.is_distinguishable
    assert independent.verdict.startswith("The drawn tables are not distinguishable from real ones at the 1 % level")


def test_the_errors_are_those_of_independent_draws(fast):
    found = []
    for seed in range(20):
        found.append(evaluate_tables(made(40, 2 * seed), made(40, 2 * seed + 1), ORDERS).measures["columns: orders"][0])
    # The standard deviation of 20 values has a relative error of a sixth.
    assert 0.6 < np.mean([value.standard_error for value in found]) / np.std(found, ddof=1) < 1.6


def test_children_of_other_parents_are_found(real):
    drawn = made(400, 1)
    moved = np.random.default_rng(2).permutation(400)
    drawn["orders"]["customer"] = moved[drawn["orders"].customer]
    drawn["customers"] = drawn["customers"].sample(frac=1, random_state=0)
    found = evaluate_tables(real, drawn, ORDERS)
    assert errors_below_real(found, "parent and child: orders.customer") > 3
    for name in ("columns: orders", "pairs: orders", "siblings: orders", "number of children: orders.customer"):
        assert abs(errors_below_real(found, name)) < MOST_ERRORS, name
    assert found.p_values["accuracy, rows: orders"] < LEVEL
    assert "level over all tests: " in found.verdict and "rows of orders with their parents" in found.verdict


def test_independent_siblings_are_found(real):
    drawn, others = made(400, 1), made(4000, 2)["orders"]
    # Each order is one of another customer of nearly the same age.
    ages = made(4000, 2)["customers"].age.to_numpy()
    first = others[others.customer.diff() != 0].to_numpy()[np.argsort(ages)]
    mine = drawn["customers"].age.to_numpy()[drawn["orders"].customer]
    at = np.searchsorted(np.sort(ages), mine) + np.random.default_rng(3).integers(-25, 25, len(mine))
    drawn["orders"][["price", "status"]] = first[np.clip(at, 0, 3999), 1:]
    drawn["orders"]["price"] = drawn["orders"].price.astype(float)
    found = evaluate_tables(real, drawn, ORDERS)
    assert errors_below_real(found, "siblings: orders") > 3
    assert abs(errors_below_real(found, "parent and child: orders.customer")) < MOST_ERRORS
    # The mean price of a customer varies less.
    assert found.p_values["accuracy: customers"] < LEVEL < found.p_values["accuracy, rows: orders"]
    assert "customers with aggregates of their children" in found.verdict


def test_sequences_in_another_order_are_found(real):
    drawn, rng = made(400, 1), np.random.default_rng(2)
    moved = drawn["visits"].sample(frac=1, random_state=0)
    drawn["visits"] = moved.assign(spent=moved.groupby("customer").spent.transform(rng.permutation))
    found = evaluate_tables(real, drawn, VISITS)
    assert errors_below_real(found, "previous and next: visits") > 3
    assert abs(errors_below_real(found, "columns: visits")) < MOST_ERRORS
    assert found.p_values["accuracy, sequences: visits"] < LEVEL
    assert "successive rows of visits" in found.verdict
    assert 0.4 < found.measures["order kept: visits"][0] < 0.6


def test_the_family_wise_level_of_the_verdict(fast, monkeypatch):
    monkeypatch.setattr(related_tables, "REPEATS", 1)
    pairs = ((made(15, 2 * seed), made(15, 2 * seed + 1)) for seed in range(50))
    wrong = sum(evaluate_tables(*each, ORDERS).is_distinguishable for each in pairs)
    assert wrong <= 3  # more have a probability of 0.2 % at the level of 1 %


def test_p_values_are_adjusted_for_the_number_of_tests():
    test = Estimate(0.5 + 2.5 * 0.02, 0.02, null_standard_error=0.02)
    one = RelationalEvaluation({"accuracy: a": (test, None)})
    two = RelationalEvaluation({"accuracy: a": (test, None), "accuracy, rows: b": (Estimate(0.5, 0, 1, 0.02), None)})
    assert one.is_distinguishable and not two.is_distinguishable
    assert two.p_values["accuracy: a"] == 2 * one.p_values["accuracy: a"]


@pytest.mark.parametrize("sizes", [(1, 1), (2, 3), (40, 3), (3, 40), (40, 0)])
def test_too_few_rows_have_no_scores_and_raise_nothing(sizes, fast):
    tables = [made(max(n, 1), n) for n in sizes]
    if sizes[1] == 0:
        tables[1] = {name: frame.head(0) for name, frame in tables[1].items()}
    found = evaluate_tables(*tables, SHOP)
    assert all(math.isnan(found.measures[name][0]) for name in TESTS) and not found.is_distinguishable
    assert found.verdict == "There are too few rows for a two-sample test, which needs 10 of each side."
    assert "nan" not in str(found)
    values = json.loads(json.dumps(found.to_json(), allow_nan=False))["measures"]
    assert [*values] == [*found.measures] and values["accuracy: customers"]["drawn"] is None


def test_equal_seeds_give_equal_results(fast):
    tables = made(30, 0), made(40, 1)
    one, again, other = (evaluate_tables(*tables, SHOP, random_state=seed).to_json() for seed in (3, 3, 4))
    assert one == again and one != other


def test_halves_are_of_equal_size_and_numbers_of_children_are_those_of_whole_tables(fast):
    """Drawn tables of three times the size are not thinner: orders of products that are in no half count, too."""
    schema = Schema.of(
        ("customers", "products", "orders"),
        {"customers": "id", "products": "id"},
        {"orders": {"customer": "customers", "product": "products"}},
    )

    def database(n, seed):
        tables = made(n, seed)
        rng = np.random.default_rng(seed)
        tables["products"] = pd.DataFrame({"id": np.arange(n // 2), "size": rng.normal(size=n // 2)})
        tables["orders"]["product"] = rng.integers(0, n // 2, len(tables["orders"]))
        return {name: tables[name] for name in schema.tables}

    found = evaluate_tables(database(200, 0), database(600, 1), schema)
    for name in ("number of children: orders.product", "parent and child: orders.product", "siblings: orders"):
        assert abs(errors_below_real(found, name)) < MOST_ERRORS, name
    assert not found.is_distinguishable


def test_the_parent_that_decides_the_number_of_rows_is_the_one_of_the_real_tables(fast):
    keys = {"gifts": {"sender": "customers", "customer": "customers"}}
    schema = Schema.of(("customers", "gifts"), {"customers": "id"}, keys)
    tables = []
    for seed in (0, 1):
        customers, gifts = (made(30, seed)[name] for name in ("customers", "orders"))
        gifts["sender"] = np.random.default_rng(seed).integers(0, 30, len(gifts)).astype(float)
        tables.append({"customers": customers, "gifts": gifts})
    tables[0]["gifts"].loc[::2, "sender"] = np.nan
    found = evaluate_tables(*tables, schema)
    assert found.measures["siblings: gifts"][0] > 0.5 and not math.isnan(found.measures["accuracy, rows: gifts"][0])


def test_a_test_takes_one_row_of_those_that_descend_from_one(fast):
    """Rows of each grandparent are equal, and 40 equal rows are no evidence of 40."""
    schema = Schema.of(("a", "b", "c"), {"a": "id", "b": "id"}, {"b": {"a": "a"}, "c": {"b": "b"}})

    def database(seed):
        x = np.random.default_rng(seed).normal(size=12)
        b = {"id": np.arange(48), "a": np.repeat(np.arange(12), 4), "y": np.repeat(x, 4)}
        c = {"b": np.repeat(np.arange(48), 10), "z": np.repeat(x, 40)}
        return {name: pd.DataFrame(each) for name, each in {"a": {"id": np.arange(12)}, "b": b, "c": c}.items()}

    found = evaluate_tables(database(0), database(1), schema)
    assert [*found.p_values] == ["accuracy: a", "accuracy: b", "accuracy, rows: b", "accuracy, rows: c"]
    errors = {found.measures[name][0].null_standard_error for name in found.p_values}
    assert len(errors) == 1 and not found.is_distinguishable
