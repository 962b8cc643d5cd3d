"""A SQLite file that may be damaged or not trusted: every row has a checksum, and undamaged rows can be saved."""

import hashlib
import io
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

from pointillist.atomic_files import check_regular, checking, naming, whole_file, write_whole


class StoreError(ValueError):
    """Error about a store that cannot be used; the message is one line."""


class Database:
    """Tables of rows with checksums, in one SQLite file that is not trusted. A subclass defines the tables.

    The file is checked once, when it is opened: its tables must be exactly those defined, SQLite must find it intact,
    and every checksum must match.

    Args:
        path: The file; made if it does not exist or is empty.
        mend: Whether to repair a damaged store by keeping only its undamaged rows.

    Raises:
        StoreError: If the file is not a store of this version, is damaged, or has another program's journal beside it.
        OSError: If it is not a regular file, or cannot be made.

    Warns:
        UserWarning: If something was damaged and is lost.
    """

    tables: ClassVar[dict[str, str]]
    """Columns of each table, in SQL. Another column comes before them: the checksum of a row."""

    version: ClassVar[int]
    """Version of the tables; a store of another version is refused."""

    loose: ClassVar[str]
    """SQL statement that deletes rows that are useless without others that were lost."""

    def __init__(self, path: Path, *, mend: bool = False) -> None:
        self.path = path
        if path.exists():
            check_regular(path)
        if not path.exists() or not path.stat().st_size:
            remove_journals(path)
            write_whole(path, self._empty()[0])
        _check_journal(path)
        try:
            self._open(mend)
        except sqlite3.OperationalError as error:
            raise StoreError(f"{path}: cannot be read: {error}") from error

    def _open(self, mend: bool) -> None:
        self._connection = _connect(self.path)
        try:
            self._check_schema()
            if problem := self._problem():
                if not mend:
                    message = f"is damaged: {problem}; run `pointillist study` to compute what is missing"
                    raise StoreError(f"{self.path}: {message}")
                self._mend()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

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
                connection.execute(f"CREATE TABLE {table} (checksum BLOB NOT NULL, {columns})")
            connection.execute(f"PRAGMA user_version = {cls.version}")
            return connection.serialize(), _schema(connection)

    def _check_schema(self) -> None:
        try:
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            schema = _schema(self._connection)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            is_ours = error.sqlite_errorcode == sqlite3.SQLITE_CORRUPT
            what = f"is damaged: {error}" if is_ours else f"cannot be used as a study's store ({error})"
            raise StoreError(f"{self.path}: {what}; --fresh starts a new one") from error
        if version != self.version:
            raise StoreError(f"{self.path}: is not a store of this version of pointillist; --fresh starts a new one")
        if schema != self._empty()[1]:
            raise StoreError(f"{self.path}: is damaged: its tables are not those of a store; --fresh starts a new one")

    def _problem(self) -> str:
        """Says what is damaged; empty if nothing is."""
        try:
            (result,) = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
            if result != "ok":
                return " ".join(result.split())
            for table in self.tables:
                if not all(_is_whole(table, row) for row in self._connection.execute(f"SELECT * FROM {table}")):
                    return f"a checksum in the table of {table} does not match"
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            return str(error)
        return ""

    def _mend(self) -> None:
        """Copies what is undamaged to a new store, which replaces this one."""
        lost = 0
        with naming(self.path), whole_file(self.path) as part:
            part.write_bytes(self._empty()[0])
            with closing(_connect(part)) as new, _transaction(new):
                for table in self.tables:
                    n, rowids = self._extent(table)
                    rows = (row for rowid in rowids if (row := self._row(table, rowid)) and _is_whole(table, row))
                    lost += n - sum(_insert(new, table, row) for row in rows)
                lost += new.execute(self.loose).rowcount
            self.close()
            remove_journals(self.path)
        self._connection = _connect(self.path)
        warnings.warn(
            f"{self.path}: was damaged: {lost:,} of its entries cannot be used, and will be recomputed", stacklevel=4
        )

    def _extent(self, table: str) -> tuple[int, list[int]]:
        """Counts the rows, and finds those that can be reached from the first or from the last."""
        n, found = 0, set()
        with _as_far_as_possible():
            # Of the index, which is not damaged where the table is.
            (n,) = self._connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
        for order in ("ASC", "DESC"):
            with _as_far_as_possible():
                query = f"SELECT rowid FROM {table} NOT INDEXED ORDER BY rowid {order}"
                for (rowid,) in self._connection.execute(query):
                    found.add(rowid)
        return max(n, len(found)), sorted(found)

    def _row(self, table: str, rowid: int) -> tuple[Any, ...] | None:
        """Reads the row with an id, if it can be read."""
        with _as_far_as_possible():
            return self._connection.execute(f"SELECT * FROM {table} WHERE rowid = ?", (rowid,)).fetchone()
        return None

    def _put(self, table: str, *values: Any) -> None:
        """Writes a row, which replaces the one with the same key if there is one."""
        _insert(self._connection, table, (_checksum(table, values), *values))

    def _copy(self, other: "Database", table: str) -> None:
        """Writes all rows of another store, with their checksums."""
        for row in other._connection.execute(f"SELECT * FROM {table}"):
            _insert(self._connection, table, row)

    def _drop(self, table: str, other: "Database", made: str) -> None:
        """Removes the rows of a table whose keys another store has in one of its tables."""
        keys = other._connection.execute(f"SELECT key FROM {made}")
        self._connection.executemany(f"DELETE FROM {table} WHERE key = ?", keys)

    def _get(self, table: str, **keys: str) -> list[tuple[Any, ...]]:
        """Reads the rows with some keys, without their checksums."""
        condition = " AND ".join(f"{name} = ?" for name in keys)
        with self._reading():
            rows = self._connection.execute(f"SELECT * FROM {table} WHERE {condition}", (*keys.values(),)).fetchall()
            if not all(_is_whole(table, row) for row in rows):
                raise ValueError(f"a checksum in the table of {table} does not match")
        return [row[1:] for row in rows]

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

    def transaction(self) -> AbstractContextManager[None]:
        """Makes everything that is written within it be written completely or not at all."""
        return _transaction(self._connection)


def remove_journals(path: Path) -> None:
    """Removes SQLite's journals: those of an earlier database of the same name would be applied to this one."""
    for ending in ("-journal", "-wal", "-shm"):
        path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)


def _check_journal(path: Path) -> None:
    """Refuses a journal of several databases, which no store has: SQLite deletes the file that such a one names."""
    journal = path.with_name(f"{path.name}-journal")
    if not journal.exists():
        return
    check_regular(journal)
    with journal.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(-min(size, len(_JOURNAL)), io.SEEK_END)
        if size > len(_JOURNAL) and file.read() == _JOURNAL:
            raise StoreError(f"{journal}: is not a journal of a study's store; --fresh starts a new one")


_JOURNAL = bytes.fromhex("d9d505f920a163d7")
"""Bytes with which a journal begins, and with which one of several databases ends as well."""


def _connect(path: Path) -> sqlite3.Connection:
    """Opens an existing database without trusting anything in it."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=60)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    # What is no UTF-8 has another checksum, in place of an error that ends a walk over the rows.
    connection.text_factory = lambda text: text.decode(errors="replace")
    return connection


def _schema(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").fetchall()


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def _as_far_as_possible() -> Iterator[None]:
    """Ends a block quietly if the database is damaged, but not if the disk cannot be read or the file is locked."""
    try:
        yield
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        pass


def _insert(connection: sqlite3.Connection, table: str, row: tuple[Any, ...]) -> int:
    """Writes a row with its checksum, and returns the number of rows that were written."""
    return connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row).rowcount


def _checksum(table: str, values: tuple[Any, ...]) -> bytes:
    """SHA-256 of a row's values, each with its type and length."""
    digest = hashlib.sha256(table.encode())
    for value in values:
        kind, content = _encoded(value)
        digest.update(kind + len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.digest()


def _encoded(value: Any) -> tuple[bytes, bytes]:
    match value:
        case None:
            return b"n", b""
        case int():
            return b"i", b"%d" % value
        case float():
            # SQLite has no -0.
            return b"f", (value + 0.0).hex().encode()
        case str():
            return b"t", value.encode()
    return b"b", value


def _is_whole(table: str, row: tuple[Any, ...]) -> bool:
    return bool(row[0] == _checksum(table, row[1:]))
