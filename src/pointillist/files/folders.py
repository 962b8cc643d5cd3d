"""Reads a folder of related tables with its `schema.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pointillist.atomic_files import naming
from pointillist.files.csv_format import DEFAULT_FORM, CsvForm
from pointillist.files.formats import READABLE, ending_of, format_of
from pointillist.files.reading import read_table
from pointillist.tables.schema import Schema, propose_keys
from pointillist.tables.table import Table

SCHEMA = "schema.toml"

_ENTRIES = {"file", "primary_key", "foreign_keys", "order"}


def holds_related_tables(path: Path, form: CsvForm = DEFAULT_FORM) -> bool:
    """Whether a path is a folder with a schema, or with files whose columns differ; otherwise it is one table."""
    if not path.is_dir() or (path / SCHEMA).exists():
        return path.is_dir()
    files = [file for file in path.iterdir() if file.name.endswith(READABLE)]
    return len({tuple(format_of(file).names(file, form)) for file in files}) > 1


@dataclass(frozen=True, eq=False)
class Folder:
    """The tables of a folder.

    Attributes:
        tables: The tables, or the only table, if `subject` is given.
        schema: Their keys; None for a table with several rows per subject.
        subject: Column that names the subject of each row; None for several tables.
        order: Column that orders the rows of a subject.
        is_proposed: Whether the keys were found by name and content, because there is no schema.
    """

    tables: Mapping[str, Table]
    schema: Schema | None
    subject: str | None = None
    order: str | None = None
    is_proposed: bool = False

    @classmethod
    def read(cls, path: Path, form: CsvForm = DEFAULT_FORM) -> Self:
        """Reads the tables of a folder, whose CSV files have one form.

        Raises:
            ValueError: In one line, if there is no table, or the schema is not valid.
            OSError: If a file cannot be read.
        """
        files = {file.name.removesuffix(end): file for file in sorted(path.iterdir()) if (end := ending_of(file))}
        if not (path / SCHEMA).exists():
            if not files:
                raise ValueError(f"{path}: holds no table: its files must end in one of {', '.join(READABLE)}")
            tables = {name: read_table(file, kind="mixed", form=form) for name, file in files.items()}
            primary, foreign = propose_keys(tables)
            return cls(tables, Schema.of(tuple(tables), primary, foreign), is_proposed=True)
        with naming(path / SCHEMA):
            text = (path / SCHEMA).read_text()
        try:
            content = tomllib.loads(text)
            return cls._of(path, content, files, form)
        except (tomllib.TOMLDecodeError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{path / SCHEMA}: {error}") from error

    @classmethod
    def _of(cls, path: Path, content: dict[str, Any], files: Mapping[str, Path], form: CsvForm) -> Self:
        declared = content.get("tables", {})
        for name in content:
            if name not in ("tables", "subject", "order"):
                raise ValueError(f"unknown entry {name!r}: it holds tables, or subject and order")
        for table, entries in declared.items():
            for name in entries:
                if name not in _ENTRIES:
                    raise ValueError(f"table {table!r} has the unknown entry {name!r}: {', '.join(sorted(_ENTRIES))}")
        paths = {
            name: path / each["file"] if "file" in each else files.get(name, path / f"{name}.csv")
            for name, each in declared.items()
        }
        tables = {name: read_table(file, kind="mixed", form=form) for name, file in (paths or files).items()}
        if "subject" in content:
            if len(tables) != 1:
                raise ValueError(f"subject is for one table, and there are {len(tables)}: leave it out")
            return cls(tables, None, content["subject"], content.get("order"))
        schema = Schema.of(
            tuple(tables),
            {name: each["primary_key"] for name, each in declared.items() if "primary_key" in each},
            {
                name: {tuple(key.split(",")): parent for key, parent in each["foreign_keys"].items()}
                for name, each in declared.items()
                if "foreign_keys" in each
            },
            {name: each["order"] for name, each in declared.items() if "order" in each},
        )
        return cls(tables, schema)
