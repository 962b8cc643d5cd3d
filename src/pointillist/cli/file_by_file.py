"""Commands that write one file for each file of a folder, one after another or in Ray tasks."""

import functools
import inspect
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from pointillist.cli import options
from pointillist.cli.options import TABLE, Function
from pointillist.files.formats import READABLE, parts_of


def in_parts(command: Function) -> Function:
    """Lets a command that reads `model` and `table` and writes `out` also take a folder of tables."""

    @functools.wraps(command)
    def run(
        *, table: Path, out: Path, resume: bool, engine: options.Engine, address: str | None, **others: Any
    ) -> None:
        from pointillist.engine.cluster import check_engine

        check_engine(engine, address)
        parts = parts_of(table)
        if parts == [table]:
            if engine == "ray":
                raise ValueError(f"{table}: is one file, and Ray takes a folder of them: leave --engine out")
            command(table=table, out=out, **others)
            return
        if out.name.endswith(READABLE):
            raise ValueError(f"{out}: {table} has {len(parts)} files, so name a folder to write to")
        out.mkdir(parents=True, exist_ok=True)
        parts = [part for part in parts if not (resume and (out / part.name).exists())]
        if engine == "ray":
            _run_on_ray(run, parts, out, address, others)
            return
        for part in parts:
            command(table=part, out=out / part.name, **others)

    text = "If TABLE has several files, skip those that OUT holds already."
    engine = Annotated[options.Engine, options.engine("the files of a folder are read and written")]
    added = (
        options.keyword("resume", Annotated[bool, Option("--resume", help=text, rich_help_panel=TABLE)], False),
        options.keyword("engine", engine, "local"),
        options.keyword("address", options.Address, None),
    )
    return options.with_signature(run, [*inspect.signature(command).parameters.values(), *added])


def _run_on_ray(
    command: Function, parts: Sequence[Path], out: Path, address: str | None, others: dict[str, Any]
) -> None:
    """Runs a command for each file; machines need not share a file system."""
    from pointillist.atomic_files import check_different, naming, write_whole
    from pointillist.engine.cluster import cluster, results

    def content(part: Path) -> bytes:
        with naming(part):
            return part.read_bytes()

    for part in parts:
        check_different(out / part.name, part)
    model: Path = others["model"]
    with naming(model):
        shared = command, model.name, model.read_bytes(), others
    with cluster(address):
        for name, written in results(_content_written, shared, ((part, content(part)) for part in parts)):
            write_whole(out / name, written)


def _content_written(shared: tuple[Any, ...], part: Path, content: bytes) -> tuple[str, bytes]:
    command, model_name, model, others = shared
    with tempfile.TemporaryDirectory() as folder:
        read, written, model_file = (Path(folder, each) for each in ("read", "written", model_name))
        read.mkdir()
        written.mkdir()
        (read / part.name).write_bytes(content)
        model_file.write_bytes(model)
        local = {"resume": False, "engine": "local", "address": None}
        try:
            command(table=read / part.name, out=written / part.name, **{**others, **local, "model": model_file})
        except (ValueError, OSError) as error:
            raise ValueError(str(error).replace(f"{read}/", f"{part.parent}/")) from None
        return part.name, (written / part.name).read_bytes()
