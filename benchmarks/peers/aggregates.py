"""Computes C2ST-Agg of drawn tables by the code of SyntheRela (Hudovernik et al. 2024), in its own environment.

`python aggregates.py FOLDER METHOD` compares the tables of `FOLDER/real` with those of `FOLDER/METHOD`, with the keys
of `FOLDER/keys.json`, and prints as JSON the accuracy and its standard error for each table to which others refer. The
classifier and the seeds are those of SyntheRela's experiments: XGBoost with its defaults and seed 0, five folds, random
state 42, one level of aggregates.

Texts and truth values are categories; other columns without dates are numbers. Left out are columns that were not
drawn, texts of more than 200 values (names, which would be as many columns of the classifier), keys of several columns,
keys that refer to their own table, and tables of fewer than ten rows.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from syntherela.metadata import Metadata
from syntherela.metrics.multi_table.detection import AggregationDetection
from xgboost import XGBClassifier

MOST_CATEGORIES = 200
"""Largest number of values of a text that is compared."""

FEWEST_ROWS = 10
"""Smallest number of rows of a table that is compared."""


def main() -> None:
    """Prints the result."""
    warnings.simplefilter("ignore")
    folder, method = Path(sys.argv[1]), sys.argv[2]
    keys = json.loads((folder / "keys.json").read_text())
    tables = {}
    for name in keys["dates"]:
        drawn_columns = pd.read_csv(folder / method / f"{name}.csv", nrows=0).columns
        tables[name] = pd.read_csv(
            folder / "real" / f"{name}.csv", usecols=lambda each, known=drawn_columns: each in known
        )
    metadata = described(keys, tables)
    real, drawn = (read(folder / side, metadata) for side in ("real", method))
    found = {}
    for table in metadata.get_tables():
        if metadata.get_children(table) and min(len(real[table]), len(drawn[table])) >= FEWEST_ROWS:
            test = AggregationDetection(XGBClassifier, classifier_args={"seed": 0}, random_state=42)
            result = test.run(real, drawn, metadata, target_table=table)
            found[table] = {"value": float(result["accuracy"]), "standard_error": float(result["SE"])}
    print("\n" + json.dumps(found))


def described(keys: dict[str, Any], tables: dict[str, pd.DataFrame]) -> Metadata:
    """Returns columns and keys as SyntheRela describes them."""
    metadata = Metadata()
    plain = {table: columns for table, columns in keys["primary_keys"].items() if isinstance(columns, str)}
    for table, frame in tables.items():
        metadata.add_table(table)
        of_keys = {plain.get(table), *keys["foreign_keys"].get(table, {})}
        for column, values in frame.items():
            kind = "numerical" if pd.api.types.is_numeric_dtype(values) else "categorical"
            kind = "categorical" if pd.api.types.is_bool_dtype(values) else kind
            kind = "datetime" if column in keys["dates"][table] else kind
            is_name = kind == "categorical" and values.nunique() > MOST_CATEGORIES
            metadata.add_column(table, column, sdtype="id" if column in of_keys or is_name else kind)
        if table in plain:
            metadata.set_primary_key(table, plain[table])
    for table, parents in keys["foreign_keys"].items():
        for column, parent in parents.items():
            if parent != table:
                metadata.add_relationship(parent, table, plain[parent], column)
    return metadata


def read(folder: Path, metadata: Metadata) -> dict[str, pd.DataFrame]:
    """Reads tables, with the types of cells that a description names."""
    tables = {}
    for name in metadata.get_tables():
        kinds = {column: found["sdtype"] for column, found in metadata.tables[name].columns.items()}
        dates = [column for column, kind in kinds.items() if kind == "datetime"]
        texts = {column: "category" for column, kind in kinds.items() if kind == "categorical"}
        tables[name] = pd.read_csv(folder / f"{name}.csv", dtype=texts, parse_dates=dates)[[*kinds]]
    return tables


if __name__ == "__main__":
    main()
