"""Rules that data obeys: how many generated rows break them, with restoring and without.

A made table of 20,000 flights has a departure and an arrival that follow from the plan, delays and times in the air,
two of the columns as sums of others, an income as a product, temperatures in two units, a route that decides the
distance and the country, and cells that are missing together. Beside the fraction of rows that break a rule stand the
seconds of finding the rules, out of those of the fit.

With --declared ROWS, a table of 20,000 bookings with one declared rule of each kind: how many of so many new rows of a
narrow network break each rule, with the rules and without, and how much longer drawing takes a default network.

With --data FOLDER, three declared rules for each of Adult, Beijing and Default: the score of a classifier that tells
new rows from training rows, with the rules and without.
"""

import argparse
import copy
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from machine import report
from mixed import uci
from pointillist import Diffusion, evaluate, rules
from pointillist.rules.table_rules import broken_rows, find_rules
from pointillist.tables.table import Table

N, ROUTES = 20_000, 120


def flights() -> pa.Table:
    """Makes the table."""
    rng = np.random.default_rng(0)
    planned = 60 * rng.integers(5, 24, N) + 5 * rng.integers(0, 12, N)
    lengths, countries, route = rng.integers(100, 2600, ROUTES), rng.integers(0, 12, ROUTES), rng.integers(0, ROUTES, N)
    distance = lengths[route]
    delay = np.round(rng.exponential(22, N) - rng.exponential(8, N) + planned / 60 - 12)
    air = np.round(distance / 7.5 + 18 + rng.normal(0, 7, N))
    taxi = np.round(rng.gamma(6, 2.7, N))
    is_cancelled = rng.random(N) < 0.025
    fare, seats = np.round(20 + distance * rng.gamma(20, 0.006, N), 2), rng.integers(30, 180, N)
    known = {"carrier": rng.choice(list("ABCDEFGH"), N), "planned": planned, "distance": distance}
    known |= {"route": [f"R{i}" for i in route], "country": [f"C{i}" for i in countries[route]]}
    known |= {"fare": fare, "seats": seats, "income": np.round(fare * seats, 2)}
    celsius = np.round(rng.normal(planned / 120, 8), 1)
    known |= {"celsius": celsius, "fahrenheit": np.round(1.8 * celsius + 32, 1)}
    flown = {
        **{"delay": delay, "departure": planned + delay, "air": air, "taxi": taxi, "elapsed": air + taxi},
        "arrival": planned + delay + air + taxi,
    }
    return pa.table(known | {name: pa.array(values, mask=is_cancelled) for name, values in flown.items()})


DECLARED = {
    "ordered": rules.ordered("start", "end", strict=True),
    "bounds": rules.bounds("nights", 1, 30),
    "positive": rules.positive("price"),
    "total": rules.total("total", ["amount", "fee"]),
    "product": rules.product("amount", ["price", "nights"]),
    "increments": rules.increments("price", 0.05),
    "fixed_combinations": rules.fixed_combinations("city", "country"),
    "one_hot": rules.one_hot(["is_web", "is_phone", "is_desk"]),
    "expression": rules.expression("nights <= 20 or city != 'C0'"),
}


def bookings() -> pa.Table:
    """Makes a table that obeys the declared rules."""
    rng = np.random.default_rng(0)
    nights, price = rng.integers(1, 31, N), np.round(0.05 * rng.integers(400, 4000, N), 2)
    city = rng.integers(0, 30, N)
    city = np.where((city == 0) & (nights > 20), 1, city)
    country, channel, start = (city + (rng.random(N) < 0.3)) // 3, rng.integers(0, 3, N), rng.integers(0, 900, N)
    amount, fee = np.round(price * nights, 2), np.round(rng.gamma(2, 9, N), 2)
    return pa.table(
        {
            "start": pa.array(start.astype(np.int32), pa.int32()).cast(pa.date32()),
            "end": pa.array((start + nights).astype(np.int32), pa.int32()).cast(pa.date32()),
            "nights": nights,
            "price": price,
            "amount": amount,
            "fee": fee,
            "total": np.round(amount + fee, 2),
            "city": [f"C{i}" for i in city],
            "country": [f"L{i}" for i in country],
            **{f"is_{name}": channel == i for i, name in enumerate(("web", "phone", "desk"))},
        }
    )


def broken(train: pa.Table, rows: pa.Table) -> dict[str, float]:
    """Returns the fraction of rows that break each declared rule, counted without the library."""
    a = {name: rows[name].to_numpy(zero_copy_only=False) for name in rows.column_names}
    multiples = a["price"] / 0.05
    pairs = {*zip(train["city"].to_pylist(), train["country"].to_pylist(), strict=True)}
    masks = {
        "ordered": a["start"] >= a["end"],
        "bounds": (a["nights"] < 1) | (a["nights"] > 30),
        "positive": a["price"] <= 0,
        "total": np.abs(a["total"] - a["amount"] - a["fee"]) > 1e-6,
        "product": np.abs(a["amount"] - a["price"] * a["nights"]) > 0.005 + 1e-6,
        "increments": np.abs(multiples - np.round(multiples)) > 1e-6,
        "fixed_combinations": np.array([pair not in pairs for pair in zip(a["city"], a["country"], strict=True)]),
        "one_hot": a["is_web"].astype(int) + a["is_phone"] + a["is_desk"] != 1,
        "expression": (a["nights"] > 20) & (a["city"] == "C0"),
    }
    return {name: float(mask.mean()) for name, mask in masks.items()}


def without_rules(model: Diffusion) -> Diffusion:
    """Returns the same model, which leaves its rows as they are drawn."""
    bare = copy.copy(model)
    bare.model_ = replace(model.model_, codec=replace(model.model_.codec, rules=()))
    return bare


def processor_seconds(model: Diffusion, n: int) -> float:
    """Measures the processor time of drawing n rows, the median of three."""
    found = []
    for seed in range(4):
        started = time.process_time()
        model.sample(n, random_state=seed)
        found.append(time.process_time() - started)
    return statistics.median(found[1:])


def declared(n: int) -> None:
    """Prints the fraction of n new rows that break each declared rule, and the time of drawing."""
    train, wanted = bookings(), [*DECLARED.values(), rules.ignore()]
    assert not any(broken(train, train).values())
    model = Diffusion(rules=wanted, width=32, depth=1, epochs=20, random_state=0).fit(train)
    sides = {"as drawn": without_rules(model), "with rules": model}
    shares = {name: broken(train, each.sample(n, random_state=0)) for name, each in sides.items()}
    seconds = {
        name: processor_seconds(Diffusion(rules=each, random_state=0).fit(train), 50_000)
        for name, each in {"without": [rules.ignore()], "with": wanted}.items()
    }
    print(f"\nProcessor time of 50,000 rows: {seconds}; ratio {seconds['with'] / seconds['without']:.2f}")
    print(f"\n{n:,} rows\n\n| rule | {' | '.join(shares)} |\n|---|---|---|")
    for name in DECLARED:
        print(f"| {name} | {' | '.join(f'{100 * each[name]:.4f} %' for each in shares.values())} |")
    report("declared_rules", {"rows": n, "seconds": seconds, "broken": shares})


THREE = {
    "adult": [
        rules.fixed_combinations("education", "education_num"),
        rules.expression("capital_gain == 0 or capital_loss == 0"),
        rules.bounds("age", 17, 90),
    ],
    "beijing": [
        rules.ordered("DEWP", "TEMP"),
        rules.expression("Is == 0 or Ir == 0"),
        rules.positive("Iws"),
    ],
    "default": [
        rules.increments("LIMIT_BAL", 10_000, on_violation="drop"),
        rules.expression("BILL_AMT2 - BILL_AMT1 <= LIMIT_BAL", on_violation="drop"),
        rules.bounds("AGE", low=21),
    ],
}


def detection(folder: Path, tables: list[str], seeds: int) -> None:
    """Prints the two-sample scores of tables with rules and without, one fit of each per seed."""
    found: dict[str, list[dict[str, float]]] = {}
    print("\n| table | seed | without rules | with three rules | the same rows uncorrected |\n|---|---|---|---|---|")
    for name in tables:
        train, _, _ = uci(name, folder / name)
        found[name] = []
        for seed in range(seeds):
            plain, ruled = (Diffusion(rules=each, random_state=seed).fit(train) for each in (None, THREE[name]))
            models = {"without": plain, "with": ruled, "uncorrected": without_rules(ruled)}
            rows = {side: model.sample(len(train), random_state=seed) for side, model in models.items()}
            scores = {
                side: float(evaluate(train, each, random_state=0).rows.two_sample.score) for side, each in rows.items()
            }
            found[name].append(scores)
            print(f"| {name} | {seed} | {' | '.join(f'{score:.4f}' for score in scores.values())} |", flush=True)
        if seeds > 1:
            values = np.array([[*scores.values()] for scores in found[name]])
            values = np.column_stack([values, values[:, 1] - values[:, 2]])
            means, errors = values.mean(axis=0), values.std(axis=0, ddof=1) / seeds**0.5
            *cells, correction = [f"{mean:.3f} ± {error:.3f}" for mean, error in zip(means, errors, strict=True)]
            print(f"| {name} | mean | {' | '.join(cells)} |\neffect of the correction: {correction}", flush=True)
    report("rules_detection", found)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--declared", type=int, metavar="ROWS", help="measure declared rules on so many new rows")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="folders adult, beijing and default")
    parser.add_argument("--tables", nargs="+", choices=THREE, default=[*THREE], help="tables in --data")
    parser.add_argument("--seeds", type=int, default=1, help="fits of each table in --data")
    arguments = parser.parse_args()
    if arguments.declared or arguments.data:
        if arguments.declared:
            declared(arguments.declared)
        if arguments.data:
            detection(arguments.data, arguments.tables, arguments.seeds)
        return
    train = flights()
    started = time.perf_counter()
    model = Diffusion(random_state=0).fit(train)
    fitted = time.perf_counter() - started
    codec = model.model_.codec
    started = time.perf_counter()
    found = find_rules(Table(train).cells, codec.encoding.columns)
    searched = time.perf_counter() - started
    sides = {"restored": model, "as drawn": without_rules(model)}
    tables = {name: each.sample(N, random_state=0) for name, each in sides.items()} | {"training rows": train}
    texts, shares = [rule.text(train.column_names) for rule in found], {}
    for name, each in tables.items():
        masks = broken_rows(Table(each).cells, codec.encoding.columns, found)
        shares[name] = dict(zip(texts, (float(mask.mean()) for mask in masks), strict=True))
    print(f"\n{N:,} rows x {train.num_columns}: fit {fitted:.1f} s, of which rules {searched:.2f} s\n")
    print(f"| rows that break it | {' | '.join(shares)} |\n|---|---|---|---|")
    for text in texts:
        print(f"| {text} | {' | '.join(f'{100 * own[text]:.2f} %' for own in shares.values())} |")
    report("relations", {"fit_s": fitted, "rules_s": searched, "broken": shares})


if __name__ == "__main__":
    main()
