"""Folders of related tables: `schema.toml`, and the commands."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
from test_relational import made_shop

from made_models import untrained
from pointillist.cli import main
from pointillist.files.folders import Folder
from pointillist.models.saving import save_model
from pointillist.relational import fitting

SMALL = "--epochs", 1, "--width", 8, "--depth", 1, "--quiet"

SCHEMA = """
[tables.customers]
primary_key = "id"
foreign_keys = { friend = "customers" }

[tables.products]
primary_key = "id"

[tables.orders]
file = "all_orders.csv"
primary_key = "id"
foreign_keys = { product = "products", customer = "customers" }
order = "day"
"""


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*arguments, code=0):
        monkeypatch.setattr(sys, "argv", ["pointillist", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        assert (stop.value.code or 0) == code, arguments

    return run


@pytest.fixture
def shop(tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, frame in made_shop().items():
        frame.to_csv(folder / ("all_orders.csv" if name == "orders" else f"{name}.csv"), index=False)
    (folder / "schema.toml").write_text(SCHEMA)
    return folder


def test_a_schema_names_files_keys_and_orders(shop):
    content = Folder.read(shop)
    assert content.schema.tables == ("customers", "products", "orders")
    assert [key.parent for key in content.schema.foreign_keys["orders"]] == ["products", "customers"]
    assert content.schema.order == {"orders": "day"} and not content.is_proposed


def test_without_a_schema_keys_are_proposed(shop):
    (shop / "schema.toml").unlink()
    content = Folder.read(shop)
    assert content.is_proposed
    assert content.schema.primary_keys["customers"] == ("id",)
    assert {key.name for key in content.schema.foreign_keys["all_orders"]} == {
        "all_orders.customer",
        "all_orders.product",
    }


def test_rules_of_a_folder_are_read_from_a_file(run, tmp_path):
    folder, rng = tmp_path / "shop", np.random.default_rng(0)
    folder.mkdir()
    pd.DataFrame({"id": range(40), "limit": rng.integers(50, 90, 40)}).to_csv(folder / "customers.csv", index=False)
    orders = pd.DataFrame({"customer": rng.integers(0, 40, 90), "amount": rng.integers(1, 50, 90)})
    orders.to_csv(folder / "orders.csv", index=False)
    keys = '[tables.customers]\nprimary_key = "id"\n[tables.orders]\nforeign_keys = { customer = "customers" }\n'
    (folder / "schema.toml").write_text(keys)
    rule = '[[rules]]\nkind = "ordered"\ncolumns = ["orders.amount", "customers.limit"]\n'
    (tmp_path / "rules.toml").write_text(rule)
    options = ["--epochs", 2, "--width", 8, "--depth", 1, "--quiet", "--rules", tmp_path / "rules.toml"]
    run("fit", folder, "-o", "shop.model", *options)
    run("sample", "shop.model", "-o", "drawn", "--scale", 3)
    drawn = pd.read_csv("drawn/orders.csv").merge(pd.read_csv("drawn/customers.csv"), left_on="customer", right_on="id")
    assert len(drawn) > 100 and (drawn.amount <= drawn.limit).all()
    (tmp_path / "rules.toml").write_text(rule.replace("amount", "pieces"))
    run("fit", folder, "-o", "other.model", *options, code=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tables = 3", "schema.toml: "),
        ("[tables.customers]\nkey = 1", "'customers' has the unknown entry 'key'"),
        ("[tables.clients]", "clients.csv"),
        ("[customers]", "unknown entry 'customers'"),
        ('subject = "id"\n[tables.customers]\n[tables.products]', "subject is for one table, and there are 2"),
    ],
)
def test_a_wrong_schema_is_refused_in_one_line(shop, text, message):
    (shop / "schema.toml").write_text(text)
    with pytest.raises((ValueError, OSError), match=message):
        Folder.read(shop)


@pytest.fixture
def cities():
    rng = np.random.default_rng(0)
    customers = pd.DataFrame({"id": range(40), "city": rng.choice(["Orléans", "Nîmes"], 40)})
    orders = pd.DataFrame({"customer_id": rng.integers(0, 40, 90), "amount": rng.normal(size=90).round(2)})
    return {"customers": customers, "orders": orders}


def test_the_form_of_csv_files_is_that_of_every_table_of_a_folder(run, tmp_path, cities):
    folder, options = tmp_path / "shop", ("--encoding", "utf-16", "--decimal", ",")
    folder.mkdir()
    for name, frame in cities.items():
        frame.to_csv(folder / f"{name}.csv", index=False, encoding="utf-16", sep=";", decimal=",")
    run("fit", folder, "-o", "shop.model", *SMALL, *options)
    run("sample", "shop.model", "-o", "drawn", "--scale", 2)
    drawn = {name: pd.read_csv(f"drawn/{name}.csv") for name in cities}
    assert len(drawn["customers"]) == 80 and set(drawn["customers"].city) == {"Orléans", "Nîmes"}
    assert drawn["orders"].amount.dtype == float
    run("evaluate", folder, "drawn", *options, "--json")
    run("evaluate", folder, "drawn", "--encoding", "utf-32", code=2)


def test_evaluate_draws_as_many_rows_from_a_model_as_the_folder_has(run, tmp_path, cities, capsys):
    (tmp_path / "shop").mkdir()
    for name, frame in cities.items():
        frame.to_csv(tmp_path / "shop" / f"{name}.csv", index=False)
    run("fit", "shop", "-o", "shop.model", *SMALL)
    run("sample", "shop.model", "-o", "drawn")
    capsys.readouterr()
    printed = []
    for rows in ("drawn", "shop.model"):
        run("evaluate", "shop", rows, "--json")
        printed.append(json.loads(capsys.readouterr().out))
    assert printed[0] == printed[1]
    (tmp_path / "shop" / "customers.csv").rename(tmp_path / "shop" / "clients.csv")
    run("evaluate", "shop", "shop.model", code=2)
    assert "shop: has no table 'customers', but shop.model draws one" in capsys.readouterr().err


def test_sample_refuses_options_that_the_model_has_no_use_for(run, tmp_path, cities, capsys):
    save_model(untrained(np.random.default_rng(0).normal(size=(20, 2))), tmp_path / "one.model")
    run("sample", "one.model", "-o", "rows.csv", "-n", 4, "--scale", 2, code=2)
    assert "a model of one table, for which there is no --scale" in capsys.readouterr().err
    (tmp_path / "shop").mkdir()
    for name, frame in cities.items():
        frame.to_csv(tmp_path / "shop" / f"{name}.csv", index=False)
    run("fit", "shop", "-o", "shop.model", *SMALL)
    for option in (
        ("--label", "Nîmes"),
        ("--shares", "customers.city:Nîmes=.5"),
        ("--guidance", 3),
        ("--steps", 5),
        ("--deterministic",),
        ("--rows-per-file", 2),
        ("--exclude", "shop/customers.csv"),
        ("--engine", "ray"),
    ):
        run("sample", "shop.model", "-o", "drawn", *option, code=2)
        assert f"for which there is no {option[0]}: leave it out" in capsys.readouterr().err
    run("sample", "shop.model", "-o", "drawn", "-n", 4, "--scale", 2, code=2)
    assert "-n and --scale" in capsys.readouterr().err
    assert not (tmp_path / "drawn").exists()


@pytest.mark.slow
def test_an_interrupted_fit_of_a_folder_continues_and_ends_with_the_same_file(run, shop, monkeypatch, capsys):
    arguments = ("--epochs", 1, "--width", 8, "--depth", 1, "--quiet")
    fitted, fit = [], fitting.fit_rows

    def stopping(configuration, drawn, context, name, checkpoint=None):
        if name == "orders" and len(fitted) == 2:
            fitted.append(name)
            raise KeyboardInterrupt
        fitted.append(name)
        return fit(configuration, drawn, context, name, checkpoint)

    run("fit", "shop", "-o", "whole.model", *arguments)
    monkeypatch.setattr(fitting, "fit_rows", stopping)
    fitted.clear()
    run("fit", "shop", "-o", "shop.model", "--epochs", 1, "--width", 8, "--depth", 1, code=130)
    assert "Stopped." in capsys.readouterr().err
    assert {path.suffix for path in shop.parent.glob("shop.model.checkpoint.*")} == {".customers", ".products"}
    run("fit", "shop", "-o", "shop.model", *arguments)
    assert not [*shop.parent.glob("*.checkpoint*")]
    assert (shop.parent / "shop.model").read_bytes() == (shop.parent / "whole.model").read_bytes()


@pytest.mark.slow
def test_a_folder_is_fitted_drawn_evaluated_and_shown(run, shop, capsys):
    run("fit", "shop", "-o", "shop.model", "--epochs", 2, "--width", 8, "--depth", 1, "--quiet")
    run("fit", "shop", "-o", "shop.model", "--label", "status", code=2)
    assert "there is no --label" in capsys.readouterr().err
    run("sample", "shop.model", "-o", "drawn", "--where", "customers.country=FR", "--seed", 1)
    drawn = {name: pd.read_csv(f"drawn/{name}.csv") for name in ("customers", "products", "orders")}
    assert set(drawn["customers"].country) == {"FR"}
    assert drawn["orders"].customer.isin(drawn["customers"].id).all()
    run("sample", "shop.model", "-o", "drawn", "-n", 10, code=2)
    assert "2 tables have no parent" in capsys.readouterr().err
    run("info", "shop.model")
    assert "orders.customer" in capsys.readouterr().out
    run("evaluate", "shop", "drawn", "--json")
    assert json.loads(capsys.readouterr().out)["measures"]["order kept: orders"]["drawn"] == 1.0
    assert not [*shop.parent.glob("*.checkpoint*")]
