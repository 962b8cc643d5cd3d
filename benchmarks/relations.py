"""Relations that data obeys: how many generated rows break them, with restoring and without.

A made table of 20,000 flights has a departure and an arrival that follow from the plan, delays and times in the air,
two of the columns as sums of others, an income as a product, the logarithm of a fare, temperatures in two units, a
route that decides the distance and the country, and cells that are missing together. Beside the share of rows that
break a relation stand the seconds of finding the relations, out of those of the fit.
"""

import copy
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from machine import report
from pointillist import Diffusion
from pointillist.columns.encoder import ColumnEncoder
from pointillist.models.token_codec import TokenCodec
from pointillist.rules.functions import FUNCTIONS
from pointillist.rules.lookups import Lookup
from pointillist.rules.relation import Relation
from pointillist.rules.relations import relations
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
    known |= {"fare": fare, "seats": seats, "income": np.round(fare * seats, 2), "log fare": np.log(fare)}
    celsius = np.round(rng.normal(planned / 120, 8), 1)
    known |= {"celsius": celsius, "fahrenheit": np.round(1.8 * celsius + 32, 1)}
    flown = {
        **{"delay": delay, "departure": planned + delay, "air": air, "taxi": taxi, "elapsed": air + taxi},
        "arrival": planned + delay + air + taxi,
    }
    return pa.table(known | {name: pa.array(values, mask=is_cancelled) for name, values in flown.items()})


def broken(table: Table, found: tuple[Relation | Lookup, ...], codes: Sequence[ColumnEncoder]) -> dict[str, float]:
    """Computes the share of rows that break each relation, among those in which no cell of its columns is missing."""
    shares = {}
    for relation in found:
        cells = [table.cells[place] for place in relation.places]
        there = ~np.any([each.is_missing for each in cells], axis=0)
        own, *terms = (
            (each.values if each.categories is None else codes[place].encode(each)[0])[there]
            for place, each in zip(relation.places, cells, strict=True)
        )
        if isinstance(relation, Lookup):
            decided = {row[0]: row for row in relation.table.tolist()}
            is_broken = np.array([decided.get(row[0]) != row for row in np.stack([own, *terms], axis=1).tolist()])
        elif relation.power:
            total = relation.factors[0] * terms[0] * sum(terms[1:]) ** relation.power
            is_broken = np.abs(total - own) > 0.0051
        elif relation.factors:
            total = FUNCTIONS[relation.function][0](np.stack(terms, axis=1)) @ np.array(relation.factors)
            within = 0.5 * codes[relation.column].unit if relation.function or len(terms) == 1 else 0.0
            is_broken = np.abs(total + relation.constant - own) > within + 1e-6
        else:
            is_broken = own < terms[0]
        shares[relation.text(table.names)] = float(is_broken.mean())
    return shares


def main() -> None:
    """Prints the table."""
    train = flights()
    started = time.perf_counter()
    model = Diffusion(random_state=0).fit(train)
    fitted = time.perf_counter() - started
    codec = model.model_.codec
    assert isinstance(codec, TokenCodec)
    started = time.perf_counter()
    found = relations(Table(train).cells, codec.encoding.columns)
    searched = time.perf_counter() - started
    bare = copy.copy(model)
    bare.model_ = replace(model.model_, codec=replace(codec, relations=()))
    sides = {"restored": model, "as drawn": bare}
    tables = {name: each.sample(N, random_state=0) for name, each in sides.items()} | {"training rows": train}
    shares = {name: broken(Table(each), found, codec.encoding.columns) for name, each in tables.items()}
    print(f"\n{N:,} rows x {train.num_columns}: fit {fitted:.1f} s, of which relations {searched:.2f} s\n")
    print(f"| rows that break it | {' | '.join(shares)} |\n|---|---|---|---|")
    for text in shares["restored"]:
        print(f"| {text} | {' | '.join(f'{100 * own[text]:.2f} %' for own in shares.values())} |")
    report("relations", {"fit_s": fitted, "relations_s": searched, "broken": shares})


if __name__ == "__main__":
    main()
