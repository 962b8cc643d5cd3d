"""Output of a study: pages, tables on the terminal and in files, figures, and results.csv."""

from pathlib import Path

from rich.console import Console

from pointillist.atomic_files import check_inside, write_whole
from pointillist.foreign_text import terminal_text
from pointillist.study.figures import write_figures
from pointillist.study.page import PAGES, write_pages
from pointillist.study.result_tables import agreement_lines, csv_text, notes, terminal, write_tables
from pointillist.study.results import Results
from pointillist.study.store import Store

STORE = "study.db"
"""Name of the store in a study's folder."""

_FILES = ("results.csv", *PAGES)
_PATTERNS = ("tables/*.md", "figures/*.png")


def check_folder(folder: Path) -> None:
    """Checks a study's folder before anything in it is written or removed: somebody else may have made it.

    No link in it may lead to files elsewhere, and without a study it may hold no file that a study would overwrite.
    """
    check_inside(folder, [folder / name for name in (STORE, "tables", "figures")])
    check_inside(folder, _outputs(folder))
    if not (folder / STORE).exists():
        for name in _FILES:
            if (folder / name).exists():
                raise ValueError(f"{folder}: holds {name}, and no study: give another folder, or move it away")


def _outputs(folder: Path) -> list[Path]:
    """Lists the files, without the store, that a study may have written in its folder."""
    return [*(folder / name for name in _FILES), *(path for pattern in _PATTERNS for path in folder.glob(pattern))]


def written_by(store: Store, folder: Path) -> list[Path]:
    """Lists the files in a folder that a study says that it has written, without the store."""
    earlier = store.fact("outputs")
    if not isinstance(earlier, list):
        return []
    return [path for path in _outputs(folder) if path.relative_to(folder).as_posix() in (*_FILES, *earlier)]


def write_outputs(store: Store, out: Path, console: Console) -> None:
    """Writes the pages, tables, figures and results.csv from the store, and prints the tables."""
    results = Results(store)
    write_whole(out / "results.csv", csv_text(results, results.spec.sections))
    written = write_tables(results, out / "tables")
    with console.status("drawing figures"):
        written += write_figures(results, out / "figures")
    write_pages(results, out)
    # An earlier run may have written tables and figures of sections that the study no longer has.
    names = [path.relative_to(out).as_posix() for path in written]
    for path in written_by(store, out):
        if path.relative_to(out).as_posix() not in (*_FILES, *names):
            path.unlink()
    store.set_fact("outputs", names)
    for section in results.spec.sections:
        console.print()
        console.print(terminal(results, section))
        for note in notes(results, section):
            console.print(terminal_text(f"  {note}", "dim"))
    if lines := agreement_lines(results):
        console.print()
        for line in lines:
            console.print(terminal_text(line))
    console.print(terminal_text(f"{out} holds index.html for a browser, tables, figures and results.csv"))
