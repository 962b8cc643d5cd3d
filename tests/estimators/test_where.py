"""Rows of mixed tables under conditions: they meet them, fit the model's distribution, and are the same for a seed."""

import numpy as np
import pandas as pd
import pytest

from pointillist import Diffusion, between, missing, one_of, present
from pointillist.models import conditioning

N = 2000
FAST = {"width": 64, "depth": 1, "batch_size": 64, "epochs": 30, "learning_rate": 3e-3, "random_state": 0}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    city = rng.choice(["Lyon", "Nice", "Paris"], N, p=[0.3, 0.2, 0.5])
    pay = 1000 * np.exp(0.4 * rng.standard_normal(N) + 0.5 * (city == "Paris"))
    rent = 0.3 * pay + 40 * rng.standard_normal(N)
    bonus = np.where(rng.random(N) < 0.4, np.nan, 0.1 * pay)
    return pd.DataFrame({"city": city, "pay": pay, "rent": rent, "bonus": bonus, "sure": rng.random(N) < 0.3})


@pytest.fixture(scope="module")
def model(data):
    return Diffusion(**FAST).fit(data)


@pytest.fixture(scope="module")
def quick_model(data):
    """Returns a hardly trained model, for properties of every model."""
    return Diffusion(**FAST | {"epochs": 3, "width": 32}).fit(data)


@pytest.fixture(scope="module")
def pool(model):
    """Many rows without a condition, to reject from."""
    return model.sample(10_000, random_state=5)


def meets(rows, where):
    found = np.ones(len(rows), bool)
    for name, asked in where.items():
        cells = rows[name]
        if asked is present or asked is missing:
            found &= cells.isna() == (asked is missing)
        elif hasattr(asked, "values"):
            found &= cells.isin([value for value in asked.values if value is not None]) | (
                cells.isna() & (None in asked.values)
            )
        elif hasattr(asked, "low"):
            found &= (asked.low is None) | (cells >= (cells if asked.low is None else asked.low))
            found &= (asked.high is None) | (cells <= (cells if asked.high is None else asked.high))
        else:
            found &= cells == asked
    return found


CONDITIONS = [
    {"city": one_of("Paris", "Nice")},
    {"pay": between(1200, 1600)},
    {"bonus": present, "city": one_of("Lyon", "Nice")},
    {"bonus": missing, "pay": between(None, 1000)},
    {"pay": between(1000, 1500), "rent": between(380, None), "sure": True},
]


# Each case compiles a separate program.
@pytest.mark.slow
@pytest.mark.parametrize("where", CONDITIONS, ids=str)
def test_rows_are_as_by_rejection_from_the_model(model, pool, where):
    """Asserts agreement within 4 standard errors plus a few percent of a standard deviation between orders."""
    rows = model.sample(600, where=where, random_state=1)
    assert meets(rows, where).all()
    kept = pool[meets(pool, where)]
    assert len(kept) > 150
    size = model.effective_sample_size_
    for name in ("pay", "rent"):
        scale = pool[name].std()
        error = kept[name].std() * (1 / size + 1 / len(kept)) ** 0.5
        assert abs(rows[name].mean() - kept[name].mean()) < 4 * error + 0.06 * scale, name
    for city in ("Paris", "Lyon"):
        one, other = (rows["city"] == city).mean(), (kept["city"] == city).mean()
        error = (other * (1 - other) * (1 / size + 1 / len(kept))) ** 0.5
        assert abs(one - other) < 4 * error + 0.04


@pytest.mark.slow
def test_one_in_ten_thousand(model, data):
    """A range that a draw of a few thousand rows would not contain."""
    low = float(np.quantile(data["pay"], 0.9997))
    where = {"pay": between(low, None)}
    rows = model.sample(40, where=where, random_state=0)
    assert len(rows) == 40 and (rows["pay"] >= low).all() and rows["rent"].mean() > data["rent"].quantile(0.95)
    assert 2 < model.effective_sample_size_ <= 40


@pytest.mark.slow
def test_the_same_seed_gives_the_same_rows_and_a_longer_draw_begins_with_them(quick_model):
    where = CONDITIONS[-1]
    few, many = (quick_model.sample(n, where=where, random_state=3) for n in (30, 130))
    assert meets(many, where).all() and 2 < quick_model.effective_sample_size_ <= 130
    pd.testing.assert_frame_equal(few, many.head(30))
    parts = pd.concat(quick_model.sample_batches(130, where=where, random_state=3), ignore_index=True)
    pd.testing.assert_frame_equal(parts, many)


@pytest.mark.slow
def test_conditions_may_differ_between_rows(quick_model):
    truths = [True, False] * 2
    where = {"sure": truths, "pay": between(1000, 1300), "rent": between(300, None)}
    rows = quick_model.sample(where=where, random_state=0)
    assert 0 < quick_model.effective_sample_size_ <= 4
    assert rows["sure"].tolist() == truths and meets(rows, {name: where[name] for name in ("pay", "rent")}).all()


@pytest.mark.slow
def test_conditions_without_mass_are_refused_in_one_line(quick_model, monkeypatch):
    monkeypatch.setattr(conditioning, "MOST_TRIES", 3)
    with pytest.raises(ValueError, match=r"draw for row [0-3] meets 'pay' between\(500, 600\) and 'rent'") as raised:
        # Values differ between rows; the compiled program is shared with the test above.
        where = {"sure": [True, False] * 2, "pay": between(500, 600), "rent": between(900, None)}
        quick_model.sample(where=where)
    assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match="column 'pay': no training row is between\\(1000000, None\\)"):
        quick_model.sample(5, where={"pay": between(1_000_000, None)})


@pytest.fixture(scope="module")
def numbers():
    """Three numbers; the last is an integer that depends on the first."""
    rng = np.random.default_rng(1)
    x = rng.normal(0, 2, N)
    return pd.DataFrame(
        {"x": x, "y": 0.8 * x + rng.normal(0, 1, N), "z": np.round(50 + 10 * x + rng.normal(0, 5, N)).astype(int)}
    )


@pytest.fixture(scope="module")
def numeric_model(numbers):
    return Diffusion(process="gaussian", width=64, depth=2, epochs=60, random_state=0).fit(numbers)


@pytest.fixture(scope="module")
def numeric_pool(numeric_model):
    return numeric_model.sample(10_000, random_state=5)


@pytest.fixture(scope="module")
def quick_numeric_model(numbers):
    return Diffusion(process="gaussian", width=16, depth=1, epochs=10, random_state=0).fit(numbers[:500])


def test_rows_of_numbers_meet_ranges(quick_numeric_model):
    where = {"x": between(None, -2), "z": between(31, None)}
    rows = quick_numeric_model.sample(60, where=where, random_state=1)
    assert len(rows) == 60 and meets(rows, where).all() and 2 < quick_numeric_model.effective_sample_size_ <= 60


@pytest.mark.slow
@pytest.mark.parametrize(
    "where",
    [{"y": between(1, 2)}, {"x": between(None, -2), "z": between(31, None)}, {"z": one_of(40, 41, 60)}],
    ids=str,
)
def test_rows_of_numbers_in_ranges_are_as_by_rejection(numeric_model, numeric_pool, where):
    model, pool = numeric_model, numeric_pool
    rows = model.sample(400, where=where, random_state=1)
    assert meets(rows, where).all()
    kept = pool[meets(pool, where)]
    for name in ("x", "y", "z"):
        error = kept[name].std() * (1 / model.effective_sample_size_ + 1 / len(kept)) ** 0.5
        assert abs(rows[name].mean() - kept[name].mean()) < 4 * error + 0.02 * pool[name].std(), name
    assert model.effective_sample_size_ > 100


@pytest.mark.parametrize(
    ("where", "options", "message"),
    [
        ({"x": None}, {}, "column 'x' has no missing cells in the model: give a value"),
        ({"x": "a"}, {}, "column 'x' holds double, not 'a'"),
        ({"z": 40.5}, {}, "column 'z' holds int64, not 40.5"),
        (
            {"x": [1.0, 2.0]},
            {},
            "where gives column 'x' 2 values, one per row, and n_samples is 3: use one_of\\(1.0, 2.0\\)",
        ),
        ({"x": 1.0}, {"prior": np.zeros((3, 3))}, "prior cannot be combined with values in where"),
        ({"w": between(0, 1)}, {}, "there is no column 'w': the model's columns are x, y, z"),
        ({"x": between(100, None)}, {}, "column 'x': no training row is between\\(100, None\\); its values go from"),
        ({"z": between(40.2, 40.8)}, {}, "column 'z': no training row is between\\(40.2, 40.8\\)"),
        ({"x": one_of(1, 2)}, {}, "column 'x' holds continuous numbers, so one_of\\(1, 2\\) has probability 0"),
        ({"x": between(0, 1)}, {"sampler": "heun"}, "ranges of numbers need sampler='dpm-sde', not 'heun'"),
        ({"x": between(0, 1)}, {"deterministic": True}, "deterministic cannot be combined with ranges of numbers"),
        ({"x": between("a", "b")}, {}, "column 'x' holds double, not 'a'"),
        ({"x": one_of(1, None)}, {}, "column 'x' has no missing cells in the model"),
    ],
)
def test_conditions_on_numbers_that_are_refused(quick_numeric_model, where, options, message):
    with pytest.raises(ValueError, match=message) as raised:
        quick_numeric_model.sample(3, where=where, **options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("p_uncond", "options"), [(0.0, {}), pytest.param(0.2, {"return_labels": True}, marks=pytest.mark.slow)]
)
def test_classes_are_drawn_given_the_ranges(numbers, p_uncond, options):
    labelled_model = Diffusion(process="gaussian", width=16, depth=1, epochs=1, p_uncond=p_uncond, random_state=0)
    model = labelled_model.fit(numbers[:200], (numbers["x"] > 0)[:200])
    with pytest.raises(ValueError, match=r"^ranges of numbers need labels: give labels \(--label\)$"):
        model.sample(3, where={"x": between(0, 1)}, **options)
    assert meets(model.sample(3, labels=True, where={"x": between(0, 1)}), {"x": between(0, 1)}).all()


LANDS = {"Paris": "FR", "Lyon": "FR", "Berlin": "DE", "Bonn": "DE", "Rome": "IT"}


@pytest.fixture(scope="module")
def orders():
    """Returns orders with a rounded product, a sum, a city that determines its country, and two ordered dates."""
    rng = np.random.default_rng(2)
    city = rng.choice([*LANDS], N)
    quantity, price = rng.integers(1, 12, N), np.round(rng.gamma(2, 10, N) + 1, 2)
    amount, tip = np.round(quantity * price, 2), np.round(rng.gamma(2, 2, N), 2)
    ordered = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, N), unit="D")
    frame = {"quantity": quantity, "price": price, "amount": amount, "tip": tip, "paid": np.round(amount + tip, 2)}
    days = {"ordered": ordered, "sent": ordered + pd.to_timedelta(rng.integers(0, 60, N), unit="D")}
    return pd.DataFrame({**frame, **days, "city": city, "country": [LANDS[each] for each in city]})


@pytest.fixture(scope="module")
def orders_model(orders):
    model = Diffusion(width=16, depth=1, epochs=1, random_state=0).fit(orders)
    found = [each.text(model.model_.codec.column_names) for each in model.model_.codec.rules]
    assert {"amount = quantity × price", "paid = amount + tip", "sent ≥ ordered", "city decides country"} <= {*found}
    return model


def broken(rows):
    """Returns rows in which a rule does not hold exactly."""
    is_off = (rows["amount"] - (rows["quantity"] * rows["price"]).round(2)).abs() > 1e-6
    is_off |= (rows["paid"] - rows["amount"] - rows["tip"]).abs() > 1e-6
    return is_off | (rows["sent"] < rows["ordered"]) | (rows["city"].map(LANDS) != rows["country"].astype(str))


def day(text):
    return pd.Timestamp(text)


RELATED = [
    {"price": between(10, 12), "amount": between(100, 130)},
    {"amount": between(100, 110)},
    {"paid": between(100, 101), "sent": between(None, day("2024-03-01")), "ordered": between(day("2024-02-20"), None)},
    {"amount": 100.0},
    {"city": one_of("Paris", "Berlin"), "country": "DE"},
    {"country": one_of("FR", "IT"), "city": one_of("Bonn", "Rome", "Lyon"), "quantity": one_of(2, 5)},
    {"country": ["DE", "FR"] * 20, "paid": between(50, 90)},
]


# Each case compiles a separate program.
@pytest.mark.parametrize(
    "where", [RELATED[0], *(pytest.param(each, marks=pytest.mark.slow) for each in RELATED[1:])], ids=str
)
def test_rows_under_conditions_obey_all_rules(orders_model, orders, where):
    rows = orders_model.sample(40, where=where, random_state=0)
    assert (
        not broken(rows).any()
        and meets(rows, {name: asked for name, asked in where.items() if name != "country"}).all()
    )
    assert (rows[["price", "tip"]] <= orders[["price", "tip"]].max()).all(axis=None)
    n = 40 if isinstance(where.get("country"), list) else 10
    pd.testing.assert_frame_equal(orders_model.sample(n, where=where, random_state=0), rows.head(n))
    if isinstance(where.get("country"), str):
        assert set(rows["city"]) == {"Berlin"}


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (
            {"paid": 100, "amount": 80, "tip": 5},
            r"where contradicts the rule paid = amount \+ tip: paid is 100, amount is 80, tip is 5",
        ),
        (
            {"amount": [20, 20], "quantity": [4, 3], "price": 5},
            "rule amount = quantity × price in row 1: amount is 20, quantity is 3, price is 5",
        ),
        (
            {"quantity": 2, "amount": between(500, None)},
            r"quantity × price: amount is between\(500, None\), quantity is 2, price goes from 1\.\d+ to ",
        ),
        (
            {"city": "Paris", "country": "DE"},
            "where contradicts the rule city decides country: city is Paris, country is DE",
        ),
        (
            {"city": one_of("Paris", "Rome"), "country": "DE"},
            r"country: city is one_of\('Paris', 'Rome'\), country is DE",
        ),
        (
            {"ordered": day("2024-05-02"), "sent": day("2024-05-01")},
            "rule sent ≥ ordered: sent is 2024-05-01 00:00:00, ordered is 2024-05-02 00:00:00",
        ),
        (
            {"ordered": between(day("2024-05-02"), None), "sent": day("2024-05-01")},
            "rule sent ≥ ordered: sent is 2024",
        ),
        ({"quantity": 200}, "column 'quantity': no training row is 200; its values go from 1 to 11"),
        (
            {"ordered": day("2031-01-01")},
            "column 'ordered': no training row is 2031-01-01 00:00:00; its values go from 20",
        ),
    ],
    ids=str,
)
def test_conditions_that_contradict_a_rule_or_a_range_are_refused(orders_model, where, message):
    with pytest.raises(ValueError, match=message) as raised:
        orders_model.sample(where=where)
    assert "\n" not in str(raised.value)


def test_observed_cells_may_contradict_a_rule_or_a_range(orders_model, orders):
    """A contradiction in conditions is refused; rows with contradictory observed cells are filled and predicted."""
    observed = orders.head(4).copy()
    observed.loc[0, ["paid", "amount"]] = 100.0, 80.0
    observed.loc[1, "quantity"] = 200
    observed.loc[2, "country"] = "IT" if observed.loc[2, "country"] != "IT" else "DE"
    observed.loc[3, "price"] = 1e6
    incomplete = observed.assign(tip=np.nan)
    incomplete.loc[0, "tip"] = 5.0
    filled = orders_model.impute(incomplete, random_state=0)
    pd.testing.assert_frame_equal(filled.drop(columns="tip"), incomplete.drop(columns="tip"), check_dtype=False)
    assert filled.loc[0, "tip"] == 5.0 and filled["tip"].notna().all()


def test_a_list_of_another_length_names_one_of(orders_model):
    message = r"where gives column 'city' 2 values, one per row, and n_samples is 10: .* one_of\('Paris', 'Lyon'\)"
    with pytest.raises(ValueError, match=message) as raised:
        orders_model.sample(10, where={"city": ["Paris", "Lyon"]})
    assert "\n" not in str(raised.value)


def test_dates_and_durations_may_be_text():
    days = pd.date_range("2024-05-01", periods=40, tz="Europe/Berlin")
    frame = pd.DataFrame({"day": days, "took": pd.to_timedelta(range(40), "s"), "x": np.arange(40.0)})
    model = Diffusion(**FAST | {"epochs": 2}).fit(frame)
    for texts, where in (
        ({"day": "2024-05-03", "took": "5 s"}, {"day": days[2], "took": pd.Timedelta(seconds=5)}),
        ({"day": between("2024-05-03", "2024-05-09 10:00")}, {"day": between(days[2], days[8] + pd.Timedelta("10h"))}),
    ):
        found, expected = (model.sample(20, where=each, random_state=0) for each in (texts, where))
        pd.testing.assert_frame_equal(found, expected)
    with pytest.raises(ValueError, match=r"^column 'day' holds timestamp.*, not 'soon'"):
        model.sample(2, where={"day": "soon"})


def test_a_set_means_one_of_its_elements(quick_model):
    for values in ({"Paris", "Nice"}, frozenset({"Lyon"})):
        rows = quick_model.sample(30, where={"city": values}, random_state=0)
        assert rows.equals(quick_model.sample(30, where={"city": one_of(*sorted(values))}, random_state=0))
        assert set(rows["city"]) <= values
