"""Hostile tables: CSV and Parquet files of odd forms, types and sizes, or of other bytes."""

import datetime
import decimal
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from torture.changes import changed_bytes

N = 60

_CELLS = (
    "",
    "NA",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "1e-400",
    "0x10",
    "1_000",
    "1,5",
    "1.000,5",
    "$5",
    "5%",
    "=1+1",
    "@x",
    "'",
    '"',
    '""',
    "\ufeff",
    "\u202e",
    "9" * 5000,
    "-0",
    "00012",
    "True",
    "maybe",
    "9999-12-31",
    "10000-01-01",
    "0000-00-00",
    "1/2/3",
    "25:61",
    "2020-01-01T00:00:00+14:00",
    "1969-12-31T23:59:59.999999999",
    "a" * 10_000,
    "\t",
    "  ",
    "☃",
    "[/b]",
    "x\ty",
    "\\N",
    "9223372036854775808",
    "1.7976931348623157e308",
    "{}",
    "1;2",
    "1|2",
)


def _many_columns(n: int) -> bytes:
    names = ",".join(f"c{i}" for i in range(n))
    return "\n".join([names, *(",".join(["1"] * n) for _ in range(3))]).encode()


_BAD: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "one line end": lambda: b"\n",
    "line ends alone": lambda: b"\n" * 10_000,
    "commas alone": lambda: (b"," * 50 + b"\n") * 50,
    "a quote that does not end": lambda: b'a,b\n1,"' + b"x\n" * 50_000,
    "quotes alone": lambda: b'"' * 100_001,
    "a line of a million": lambda: b"a,b\n" + b"1" * 10**6 + b",2\n3,4\n",
    "a name of a million": lambda: b"a" * 10**6 + b",b\n1,2\n3,4\n5,6\n",
    "20,000 columns": lambda: _many_columns(20_000),
    "NUL bytes": lambda: b"a,b\n" + b"\0,1\n" * 50,
    "UTF-16 without a mark": lambda: "a,b\n1,2\n3,5\n".encode("utf-16-le"),
    "UTF-32": lambda: "a,b\n1,2\n3,5\n".encode("utf-32"),
    "half of a surrogate": lambda: b"a,b\n\xed\xa0\x80,1\nx,2\n",
    "carriage returns": lambda: b"a,b\r" + b"1,2\r3,4\r" * 20,
    "ragged rows": lambda: b"a,b\n" + b"1,2\n1\n1,2,3\n" * 20,
    "no names": lambda: b",,\n" + b"1,2,3\n4,5,6\n" * 20,
    "equal names": lambda: b"a,a,A\n" + b"1,2,x\n4,5,y\n" * 20,
    "many categories": lambda: b"a,b\n" + b"".join(b"x%d,%d\n" % (i // 2, i) for i in range(40_000)),
    "a zip file": lambda: b"PK\x03\x04" + bytes(500),
    "a packed file": lambda: gzip.compress(b"a,b\n1,2\n3,4\n"),
    "a Parquet file": lambda: b"PAR1" + bytes(500) + b"PAR1",
}


def hostile_csv(rng: np.random.Generator, good: Path, path: Path) -> str:
    """Writes a CSV file."""
    kind = rng.random()
    if kind < 0.3:
        content, what = changed_bytes((good / "mixed.csv").read_bytes(), rng)
    elif kind < 0.6:
        what = list(_BAD)[rng.integers(len(_BAD))]
        content = _BAD[what]()
    else:
        content, what = _odd_cells(rng)
    path.write_bytes(content)
    return what


def _odd_cells(rng: np.random.Generator) -> tuple[bytes, str]:
    """A table in which a column holds odd cells, with another delimiter, line end or encoding."""
    delimiter = ",,;\t|"[rng.integers(5)]
    odd = [_CELLS[i] for i in rng.integers(len(_CELLS), size=rng.integers(1, 4))]
    share = rng.choice([0.02, 0.5, 1.0])
    others = [["x", "y", "z"][i] if rng.random() < 0.5 else str(i) for i in rng.integers(3, size=N)]
    cells = [odd[rng.integers(len(odd))] if rng.random() < share else other for other in others]
    end = ("\n", "\r\n", "\r")[rng.integers(3)]
    lines = [delimiter.join((str(i * 0.37), cell, str(i % 4))) for i, cell in enumerate(cells)]
    head = delimiter.join(("a", odd[0][:200] or "b", "c"))
    encoding = ("utf-8", "utf-8-sig", "utf-16", "latin-1")[rng.choice(4, p=[0.7, 0.1, 0.1, 0.1])]
    text = end.join([head, *lines]) + end
    return text.encode(encoding, "replace"), f"{odd!r:.80} in {share:.0%} of cells, {delimiter!r}, {end!r}, {encoding}"


_DAY = datetime.date(2020, 1, 1)
_COLUMNS: dict[str, Callable[[], pa.Array]] = {
    "lists": lambda: pa.array([[i] * (i % 3) for i in range(N)]),
    "structs": lambda: pa.array([{"a": i, "b": "x"} for i in range(N)]),
    "maps": lambda: pa.array([[("k", i)] for i in range(N)], pa.map_(pa.string(), pa.int64())),
    "nulls": lambda: pa.nulls(N),
    "a value and nulls": lambda: pa.array([1.0, *[None] * (N - 1)]),
    "bytes": lambda: pa.array([b"\xff\x00" * (i % 4) for i in range(N)]),
    "bytes of a fixed size": lambda: pa.array([b"1234"] * N, pa.binary(4)),
    "a dictionary with nulls": lambda: pa.DictionaryArray.from_arrays(
        pa.array([0, None] * (N // 2), pa.int32()), pa.array(["y", "x"])
    ),
    "dictionaries of equal values": lambda: pa.DictionaryArray.from_arrays(
        pa.array([0, 1] * (N // 2), pa.int32()), pa.array(["x", "x"])
    ),
    "wide decimals": lambda: pa.array([decimal.Decimal(10) ** 60 + i for i in range(N)], pa.decimal256(70)),
    "fine decimals": lambda: pa.array([decimal.Decimal(i) / 8 for i in range(N)], pa.decimal128(38, 30)),
    "half floats": lambda: pa.array(np.arange(N, dtype=np.float16)),
    "NaN and infinite": lambda: pa.array([float("nan"), float("inf"), -float("inf")] * (N // 3)),
    "the largest floats": lambda: pa.array([1.7e308, -1.7e308] * (N // 2)),
    "the smallest floats": lambda: pa.array([5e-324 * i for i in range(N)]),
    "the largest integers": lambda: pa.array([2**64 - 1 - i for i in range(N)], pa.uint64()),
    "times of day": lambda: pa.array([i * 10**9 for i in range(N)], pa.time64("ns")),
    "durations": lambda: pa.array([i * (-(10**17)) for i in range(N)], pa.duration("ns")),
    "the last moments": lambda: pa.array([2**63 - 1 - i for i in range(N)], pa.timestamp("us")),
    "the first moments": lambda: pa.array([-(2**63) + 1 + i for i in range(N)], pa.timestamp("ns")),
    "moments of no zone": lambda: pa.array([i * 10**6 for i in range(N)], pa.timestamp("us", "Nowhere/None")),
    "days far away": lambda: pa.array([2**31 - 1 - i for i in range(N)], pa.date32()),
    "days": lambda: pa.array([_DAY + datetime.timedelta(i) for i in range(N)]),
    "long texts": lambda: pa.array([str(i % 5) * 100_000 for i in range(N)], pa.large_string()),
    "texts of control": lambda: pa.array(["\x1b[2J", "a\0b", "\u202e"] * (N // 3)),
    "truths": lambda: pa.array([True, None, False] * (N // 3)),
    "numbers": lambda: pa.array(np.arange(N) ** 0.5),
}


def hostile_parquet(rng: np.random.Generator, good: Path, path: Path) -> str:
    """Writes a Parquet file."""
    kind = rng.random()
    if kind < 0.3:
        whole = (good / "mixed.parquet").read_bytes()
        # Half of the changes are in what the file says of itself.
        at = int(rng.integers(2)) * max(0, len(whole) - 1200)
        content, what = changed_bytes(whole[at:], rng)
        path.write_bytes(whole[:at] + content)
        return f"from {at} on, {what}"
    if kind < 0.45:
        what = list(_TABLES)[rng.integers(len(_TABLES))]
        parquet.write_table(_TABLES[what](), path)
        return what
    names = [list(_COLUMNS)[i] for i in rng.integers(len(_COLUMNS), size=rng.integers(1, 5))]
    table = pa.table([_COLUMNS[name]() for name in names], [f"{i}" for i in range(len(names))])
    metadata = {b"pandas": rng.bytes(50) if rng.random() < 0.5 else b'{"index_columns": ["9"], "columns": [{}]}'}
    parquet.write_table(table.replace_schema_metadata(metadata if rng.random() < 0.3 else None), path)
    return ", ".join(names)


_TABLES: dict[str, Callable[[], pa.Table]] = {
    "no columns": lambda: pa.table({}),
    "no rows": lambda: pa.table({"a": pa.array([], pa.float64()), "b": pa.array([], pa.string())}),
    "one row": lambda: pa.table({"a": [1.0], "b": ["x"]}),
    "equal names": lambda: pa.table([pa.array([1.0, 2.0] * 30)] * 3, ["a", "a", "a"]),
    "no names": lambda: pa.table([pa.array([1.0, 2.0] * 30), pa.array(["x", "y"] * 30)], ["", " "]),
    "5,000 columns": lambda: pa.table({f"c{i}": ["x", "y", "x"] for i in range(5000)}),
    "a gigabyte of zeros": lambda: pa.table({"a": np.zeros(2**27, np.float64)}),
    "texts of a gigabyte": lambda: pa.table({"a": pa.array(["x" * 2**20] * 1024), "b": [1, 2] * 512}),
    "all the same": lambda: pa.table({"a": [1.0] * N, "b": ["x"] * N}),
}
