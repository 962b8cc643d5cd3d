"""Fits the model of penguins that the page of a study shows; `make penguins` runs it."""

from pathlib import Path

from pyarrow import csv

from pointillist import Diffusion
from pointillist.estimators.inputs import fitted_model
from pointillist.page import model_content
from pointillist.page.parts import as_json
from pointillist.study import page

FOLDER = Path(page.__file__).with_name("assets") / "penguins"
SETTINGS = {"width": 64, "depth": 2, "random_state": 0}
"""A small network, because the page holds its weights."""


def main() -> None:
    """Writes the model."""
    options = csv.ConvertOptions(strings_can_be_null=True)
    table = csv.read_csv(FOLDER / "penguins.csv", convert_options=options).drop_columns("year")
    content = model_content(fitted_model(Diffusion(process="masked", **SETTINGS).fit(table)))
    kept = {name: content[name] for name in ("model", "columns", "numbers")}
    (FOLDER / "model.json").write_text(f"{as_json(kept)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
