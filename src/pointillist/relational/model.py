"""`RelationalModel`: the fitted models of related tables, as one file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pointillist.atomic_files import checking
from pointillist.engine.devices import configure
from pointillist.models.container import ModelFileError, read_model, write_model
from pointillist.models.row_model import RowModel
from pointillist.models.saving import content_of, model_from
from pointillist.relational.database import Order, TableModel
from pointillist.relational.features import Feature
from pointillist.relational.rows import RowDrawer
from pointillist.relational.sampling import Sampler
from pointillist.rules.related_tables import RelatedRules
from pointillist.tables.layout import Layout
from pointillist.tables.schema import ForeignKey, Schema
from pointillist.tables.subjects import Subjects


@dataclass(frozen=True, eq=False)
class RelationalModel:
    """The fitted models of related tables.

    Attributes:
        tables: The model of each table, parents before their children.
        rules: Declared rules about several tables, by the last of them.
        subjects: How one table was split into subjects and their rows; None for several tables.
    """

    schema: Schema
    tables: tuple[TableModel, ...]
    rules: Mapping[str, RelatedRules]
    subjects: Subjects | None = None

    @property
    def first_keys(self) -> dict[str, ForeignKey | None]:
        """The key of the parent that decides the number of rows of each table: one that rows are not matched by."""
        found: dict[str, ForeignKey | None] = {}
        for each in self.tables:
            keys = self.schema.foreign_keys.get(each.name, ())
            found[each.name] = keys[0] if keys and keys[0].name not in each.targets else None
        return found

    @property
    def roots(self) -> list[str]:
        """Names of the tables without a parent that decides how many rows they have."""
        return [name for name, key in self.first_keys.items() if key is None]

    def sample(
        self, n_rows: Mapping[str, int], where: Mapping[str, Any], given: Mapping[str, Any], seed: int
    ) -> dict[str, Any]:
        """Draws all tables; see `Sampler`."""
        parts = list(Sampler(self, where, given, seed).parts(n_rows))
        found = dict(given)
        for each in self.tables:
            if each.name not in given:
                rows = each.layout.joined([part[each.name] for part in parts if each.name in part])
                found[each.name] = each.layout.restore(rows)
        return {name: found[name] for name in self.schema.tables}

    def save(self, path: Path) -> None:
        """Writes the models to one file, whole or not at all."""
        facts: list[dict[str, Any]] = []
        tensors: dict[str, np.ndarray] = {}
        for index, table in enumerate(self.tables):
            model_facts, model_tensors = content_of(table.drawer.model)
            tensors |= {f"{index}.{name}": tensor for name, tensor in model_tensors.items()}
            facts.append(
                {
                    "name": table.name,
                    "layout": table.layout.to_json(),
                    "features": [each.to_json() for each in table.features],
                    "order": None if table.order is None else asdict(table.order),
                    "ends": dict(table.ends),
                    "targets": {key: [each.to_json() for each in found] for key, found in table.targets.items()},
                    "n_rows": table.n_rows,
                    "model": model_facts,
                }
            )
        subjects = None if self.subjects is None else self.subjects.to_json()
        tensors |= {f"rules.{name}": each.encoding.array() for name, each in self.rules.items()}
        rules = [each.to_json() for each in self.rules.values()]
        description = {"schema": self.schema.to_json(), "tables": facts, "rules": rules, "subjects": subjects}
        write_model(path, description, tensors)


def load_relational(path: Path) -> RelationalModel:
    """Reads a file that `RelationalModel.save` wrote.

    Raises:
        ModelFileError: A ValueError, in one line, if the file is damaged, malicious or of another version.
        OSError: If it cannot be read.
    """
    configure()
    facts, tensors = read_model(path)
    if "schema" not in facts:
        raise ModelFileError(f"{path}: is a model of one table: read it with Diffusion.load")
    with checking(path, ModelFileError):
        schema = Schema.from_json(facts["schema"])
        models = [model_from(each["model"], _under(index, tensors)) for index, each in enumerate(facts["tables"])]
        tables = tuple(map(_table, facts["tables"], models))
        if tuple(each.name for each in tables) != schema.tables:
            raise ValueError("its tables are not those of its schema")
        subjects = None if facts["subjects"] is None else Subjects.from_json(facts["subjects"])
        arrays = _under("rules", tensors)
        rules = {each["table"]: RelatedRules.from_json(each, arrays[each["table"]]) for each in facts["rules"]}
        return RelationalModel(schema, tables, rules, subjects)


def _under(index: int | str, content: Mapping[str, Any]) -> dict[str, Any]:
    prefix = f"{index}."
    return {name.removeprefix(prefix): each for name, each in content.items() if name.startswith(prefix)}


def _table(facts: dict[str, Any], model: RowModel) -> TableModel:
    of = facts["order"]
    order = None if of is None else Order(str(of["column"]), *(float(of[k]) for k in ("unit", "base", "last", "days")))
    return TableModel(
        str(facts["name"]),
        Layout.from_json(facts["layout"]),
        tuple(map(Feature.from_json, facts["features"])),
        order,
        {str(key): tuple(map(Feature.from_json, found)) for key, found in facts["targets"].items()},
        {str(column): tuple(values) for column, values in facts["ends"].items()},
        int(facts["n_rows"]),
        RowDrawer(model),
    )
