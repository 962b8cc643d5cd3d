"""A SQLite file that is not trusted."""

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

from pointillist.atomic_files import check_regular, checking, write_whole


class StoreError(ValueError):
    """Error about a store that cannot be used; the message is one line."""


class Database:
    """Tables in one SQLite file. A subclass defines the tables.

    The file is checked once, when it is opened: its tables must be exactly those defined, and SQLite must find it
    intact.

    Args:
        path: The file; made if it does not exist or is empty.

    Attributes:
        connection: SQLite's connection to the file.

    Raises:
        StoreError: If the file is not a store of this version, is damaged, or has another program's journal beside it.
        OSError: If it is not a regular file, or cannot be made.
    """

    tables: ClassVar[dict[str, str]]
    """Columns of each table, in SQL."""

    version: ClassVar[int]
    """Version of the tables; a store of another version is refused."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists():
            check_regular(path)
        if not path.exists() or not path.stat().st_size:
            remove_journals(path)
            write_whole(path, self._empty()[0])
        _check_journal(path)
        try:
            uri = f"{path.absolute().as_uri()}?mode=rw"
            self.connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=60)
            self._check()
        except sqlite3.OperationalError as error:
            raise StoreError(f"{path}: cannot be read: {error}") from error

    def close(self) -> None:
        """Closes the file."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @classmethod
    @cache
    def _empty(cls) -> tuple[bytes, list[tuple[Any, ...]]]:
        """Makes the file without rows, and returns its schema."""
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            connection.execute("PRAGMA auto_vacuum = FULL")
            for table, columns in cls.tables.items():
                connection.execute(f"CREATE TABLE {table} ({columns})")
            connection.execute(f"PRAGMA user_version = {cls.version}")
            return connection.serialize(), connection.execute(_SCHEMA).fetchall()

    def _check(self) -> None:
        self.connection.execute("PRAGMA trusted_schema = OFF")
        self.connection.execute("PRAGMA cell_size_check = ON")
        self.connection.text_factory = lambda text: text.decode(errors="replace")
        problem = ""
        try:
            (version,) = self.connection.execute("PRAGMA user_version").fetchone()
            if version != self.version:
                problem = "is not a store of this version of pointillist"
            elif self.connection.execute(_SCHEMA).fetchall() != self._empty()[1]:
                problem = "is damaged: its tables are not those of a store"
            else:
                (found,) = self.connection.execute("PRAGMA integrity_check(1)").fetchone()
                problem = "" if found == "ok" else f"is damaged: {' '.join(found.split())}"
        except sqlite3.OperationalError:
            self.close()
            raise
        except sqlite3.DatabaseError as error:
            is_ours = error.sqlite_errorcode == sqlite3.SQLITE_CORRUPT
            problem = f"is damaged: {error}" if is_ours else f"cannot be used as a study's store ({error})"
        if problem:
            self.close()
            raise StoreError(f"{self.path}: {problem}; --fresh starts a new one")

    def _put(self, table: str, *values: Any) -> None:
        """Writes a row, which replaces the one with the same key if there is one."""
        self.connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(values))})", values)

    def _get(self, table: str, **keys: str) -> list[tuple[Any, ...]]:
        """Reads the rows with some keys."""
        condition = " AND ".join(f"{name} = ?" for name in keys)
        with self._reading():
            return self.connection.execute(f"SELECT * FROM {table} WHERE {condition}", (*keys.values(),)).fetchall()

    def _one(self, table: str, **keys: str) -> tuple[Any, ...] | None:
        """Reads the row with a key, if there is one."""
        return next(iter(self._get(table, **keys)), None)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turns errors about the store's content into a one-line StoreError."""
        try:
            with checking(self.path, StoreError):
                yield
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self.path}: is damaged: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Makes everything that is written within it be written completely or not at all."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")


_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"


def remove_journals(path: Path) -> None:
    """Removes SQLite's journals: those of an earlier database of the same name would be applied to this one."""
    for ending in ("-journal", "-wal", "-shm"):
        path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)


def _check_journal(path: Path) -> None:
    """Refuses a journal of several databases, which no store has: SQLite deletes the file that it names."""
    journal, magic = path.with_name(f"{path.name}-journal"), bytes.fromhex("d9d505f920a163d7")
    if not journal.exists():
        return
    check_regular(journal)
    with journal.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        # Any journal begins with these bytes; one of several databases ends with them as well.
        file.seek(-min(size, len(magic)), io.SEEK_END)
        if size > len(magic) and file.read() == magic:
            raise StoreError(f"{journal}: is not a journal of a study's store; --fresh starts a new one")
