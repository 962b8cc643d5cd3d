"""Rules that data obeys: how many generated rows break them, with restoring and without.

A made table of 20,000 flights has a departure and an arrival that follow from the plan, delays and times in the air,
two of the columns as sums of others, an income as a product, temperatures in two units, a route that decides the
distance and the country, and cells that are missing together. Beside the fraction of rows that break a rule stand the
seconds of finding the rules, out of those of the fit.
"""

import copy
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa

from machine import report
from pointillist import Diffusion
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


def main() -> None:
    """Prints the table."""
    train = flights()
    started = time.perf_counter()
    model = Diffusion(random_state=0).fit(train)
    fitted = time.perf_counter() - started
    codec = model.model_.codec
    started = time.perf_counter()
    found = find_rules(Table(train).cells, codec.encoding.columns)
    searched = time.perf_counter() - started
    bare = copy.copy(model)
    bare.model_ = replace(model.model_, codec=replace(codec, rules=()))
    sides = {"restored": model, "as drawn": bare}
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
