"""Checks that dist/ is complete and works without a checkout, as for a newcomer; `make check-newcomer` runs it.

It compares the files of sdist and wheel with those of the checkout, reads the wheel's metadata, and installs the wheel
into a new environment in a temporary folder, with the versions of constraints.txt. There it fits, samples, runs a
study, and the notebooks with fits of a few epochs and a smaller study. It also runs the README's examples whose output
the page shows: on the reference machine the output must be the same, and elsewhere it may have other numbers.
"""

import ast
import difflib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

LICENCES = {"LICENSE"}

GENERATED = {"PKG-INFO", "setup.cfg"}
"""Files of an sdist that no checkout has, besides those in the folder that ends with .egg-info."""

TABLE = "length,weight,kind\n" + "".join(
    f"{i % 17 + i % 3 / 4},{i % 13 * 2.5},{'short' if i % 17 < 8 else 'long'}\n" for i in range(300)
)

STUDY = """
datasets = "moons"
timesteps = [3, 4]
width = 8
depth = 1
epochs = 1
n_samples = 60
emd_rows = 50
"""

SHORTER = {
    "early_stopping=True).fit(": "early_stopping=True, epochs=3).fit(",
    "width = [4, 16, 128]": "width = [4, 16]",
    "epochs = 15": "epochs = 1",
    "n_samples = 2000": "n_samples = 300",
    "n_held_out = 500": "n_held_out = 100",
}
"""What notebooks ask for, and what is enough to see that their cells run; `make notebooks` runs them whole."""

REFERENCE = {"cpu family 6 model 143", "cpu family 6 model 207"}
"""Processors in /proc/cpuinfo that compute like the first of docs/explanation/benchmarks/index.md (Sapphire Rapids)."""

NUMBER = re.compile(r"[-+<]?\d[\d.,]*(?:e[-+]?\d+)?|─+")
"""What may differ on other machines: numbers, and the width of a table."""

# Run by the new environment's Python, with the version and the names of the package's data and licences.
INSIDE = """
import csv, math, sys
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import pointillist

version, names, licences = sys.argv[1], sys.argv[2].split(), sys.argv[3].split()
home = Path(pointillist.__file__).resolve()
assert home.is_relative_to(Path(sys.prefix).resolve()), f"pointillist is imported from {home}"
assert pointillist.__version__ == distribution("pointillist").version == version
for name in names:
    assert files("pointillist").joinpath(name).is_file(), f"{name} is not installed"
installed = {str(file) for file in distribution("pointillist").files}
for name in licences:
    assert any(f.endswith(f".dist-info/licenses/{name}") for f in installed), f"{name} is no installed licence"

with open("new.csv") as file:
    header, *rows = csv.reader(file)
assert header == ["length", "weight", "kind"], header
assert len(rows) == 50 and {kind for *_, kind in rows} <= {"short", "long"}
assert all(math.isfinite(float(cell)) for *numbers, _ in rows for cell in numbers)
assert pointillist.Diffusion.load("rows.model").sample(5, random_state=0).shape[0] == 5
page = Path("results/tiny/results.html").read_text(encoding="utf-8")
assert "saveChart" in page, "the page lacks its charts"
"""


def main() -> None:
    """Prints a line for each part, with its seconds, and a closing one.

    Raises:
        SystemExit: With the reason, if a part fails.
    """
    begin = time.perf_counter()
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "dist").resolve()
    wheel, sdist = _only(folder, "*.whl"), _only(folder, "*.tar.gz")
    version = declared_version()
    checkout = checkout_files()
    check_sdist(sdist, checkout)
    package = sorted(name.removeprefix("src/pointillist/") for name in checkout if name.startswith("src/pointillist/"))
    check_wheel(wheel, package, version)
    print(f"files of {sdist.name} and {wheel.name}: those of the checkout")
    with tempfile.TemporaryDirectory() as place:
        use(wheel, Path(place), version, [name for name in package if not name.endswith(".py")])
    print(f"check-newcomer: pointillist {version} works from its wheel ({time.perf_counter() - begin:.0f} s)")


def declared_version() -> str:
    """Reads `__version__` from the source text."""
    tree = ast.parse((ROOT / "src/pointillist/__init__.py").read_text(encoding="utf-8"))
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__version__":
            return str(ast.literal_eval(statement.value))
    raise SystemExit("src/pointillist/__init__.py has no __version__")


def checkout_files() -> set[str]:
    """Returns the files that are tracked, or would be after the next `git add --all`."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return {name for name in done.stdout.split("\0") if (ROOT / name).is_file()}


def check_sdist(path: Path, checkout: set[str]) -> None:
    """Exits with the differences if the sdist does not hold the files of the checkout and the generated ones."""
    with tarfile.open(path) as archive:
        inside = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    ours = {name for name in inside if name not in GENERATED and ".egg-info/" not in name}
    _same(path.name, ours, checkout)


def check_wheel(path: Path, package: list[str], version: str) -> None:
    """Exits with the reason if the wheel lacks a file of the package or has others, or if its metadata are wrong."""
    info = f"pointillist-{version}.dist-info/"
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        if f"{info}METADATA" not in names:
            raise SystemExit(f"{path.name}: is not of version {version}")
        metadata = message_from_bytes(archive.read(f"{info}METADATA"))
    _same(path.name, {name for name in names if not name.startswith(info)}, {f"pointillist/{name}" for name in package})
    if metadata["License-Expression"] != "Apache-2.0":
        raise SystemExit(f"{path.name}: its licence is {metadata['License-Expression']}")
    _same(f"{path.name}, licences", set(metadata.get_all("License-File", [])), LICENCES)
    _same(f"{path.name}, licences", {name for name in LICENCES if f"{info}licenses/{name}" in names}, LICENCES)


def use(wheel: Path, place: Path, version: str, data: list[str]) -> None:
    """Installs the wheel in a new environment and works with it there; exits with the output of what fails.

    Args:
        wheel: The file.
        place: An empty folder outside the checkout.
        version: Version that the package must have.
        data: Files of the package that are not Python.
    """
    (place / "rows.csv").write_text(TABLE)
    (place / "tiny.toml").write_text(STUDY)
    notebooks = sorted((ROOT / "docs/tutorials").glob("*.ipynb"))
    for notebook in notebooks:
        (place / notebook.name).write_text(shortened(notebook.read_text(encoding="utf-8")), encoding="utf-8")
    python, command = str(place / "venv/bin/python"), str(place / "venv/bin/pointillist")
    pip, constraints = [python, "-m", "pip", "--disable-pip-version-check"], str(ROOT / "constraints.txt")
    install = [*pip, "install", "--quiet", "--no-compile", "--constraint", constraints]
    steps: dict[str, list[str]] = {
        "a new environment": [sys.executable, "-m", "venv", str(place / "venv")],
        "install": [*install, str(wheel)],
        "pip check": [*pip, "check"],
        "pointillist --help": [command, "--help"],
        "pointillist fit": [command, "fit", "rows.csv", "--label", "kind", "--epochs", "3", "--out", "rows.model"],
        "pointillist sample": [command, "sample", "rows.model", "-n", "50", "--out", "new.csv"],
        "pointillist study": [command, "study", "tiny.toml"],
        "import pointillist": [python, "-I", "-c", INSIDE, version, " ".join(data), " ".join(sorted(LICENCES))],
        "install what notebooks need": [*install, f"{wheel}[notebooks]"],
        "notebooks": [str(place / "venv/bin/jupyter"), "execute", *(notebook.name for notebook in notebooks)],
    }
    # Nothing of the checkout, and no compiled program that an earlier version left.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment |= {"POINTILLIST_CACHE": str(place / "compiled"), "MPLBACKEND": "Agg"}
    environment["PATH"] = f"{place / 'venv/bin'}{os.pathsep}{environment['PATH']}"
    for name, arguments in steps.items():
        run(name, arguments, place, environment)
    # Programs that are compiled in less time take longer, and may round otherwise.
    environment.pop("XLA_FLAGS", None)
    for i, (language, code, text) in enumerate(examples((ROOT / "README.md").read_text(encoding="utf-8")), 1):
        name, is_shell = f"example {i} of the README", language == "sh"
        if is_shell and (absent := missing_files(code, place)):
            print(f"{name}: not run, without {' and '.join(absent)}")
            continue
        printed = run(name, ["sh", "-ec", code] if is_shell else [python, "-I", "-c", code], place, environment)
        check_output(name, text, printed, is_reference=is_reference())


def run(name: str, arguments: list[str], place: Path, environment: dict[str, str]) -> str:
    """Runs a command and prints its seconds; returns what it printed, or exits with that if it fails."""
    begin = time.perf_counter()
    done = subprocess.run(arguments, cwd=place, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stdout}{done.stderr}")
    print(f"{name}: {time.perf_counter() - begin:.1f} s", flush=True)
    return done.stdout


def examples(page: str) -> list[tuple[str, str, str]]:
    """Returns the language, the code and the text of each block of Python or shell that a block of text follows."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [
        (*block, text) for block, (kind, text) in pairwise(blocks) if block[0] in ("python", "sh") and kind == "text"
    ]


def missing_files(code: str, place: Path) -> list[str]:
    """Returns the tables that shell commands read and the folder lacks."""
    read = re.findall(r"(?<!-o )\b\S+\.csv\b", code)
    return [name for name in dict.fromkeys(read) if not (place / name).exists()]


def check_output(name: str, text: str, printed: str, *, is_reference: bool) -> None:
    """Prints the lines of a text that an example did not print; exits if they differ by more than numbers may."""

    def absent(convert: Callable[[str], str]) -> list[str]:
        """Return the lines that do not follow one another in what was printed, perhaps with others in between."""
        rest, lines = " ".join(convert(printed).split()), []
        for line in filter(str.strip, text.splitlines()):
            _, found, after = rest.partition(" ".join(convert(line).split()))
            if found:
                rest = after
            else:
                lines.append(line)
        return lines

    differing = absent(str)
    for line in differing:
        print(f"{name}:\n- {line}\n+ {difflib.get_close_matches(line, printed.splitlines(), 1, 0.0)[0]}")
    if differing and (is_reference or absent(lambda each: NUMBER.sub("0", each))):
        raise SystemExit(f"{name} prints another text than the page shows")


def is_reference() -> bool:
    """Whether this is a machine with two cores like those whose numbers the pages show."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    found = re.findall(r"^(cpu family|model)\t+: (\d+)$", cpu, re.MULTILINE)[:2]
    return " ".join(part for pair in found for part in pair) in REFERENCE and len(os.sched_getaffinity(0)) == 2


def shortened(notebook: str) -> str:
    """Returns a notebook that asks for less, by `SHORTER`."""
    for long, short in SHORTER.items():
        notebook = notebook.replace(long, short)
    return notebook


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"{folder} has {len(found)} files {pattern}, not one: make wheel")
    return found[0]


def _same(what: str, found: set[str], wanted: set[str]) -> None:
    lines = [f"lacks {name}" for name in sorted(wanted - found)] + [f"has {name}" for name in sorted(found - wanted)]
    if lines:
        raise SystemExit(f"{what} is not as the checkout says:\n" + "\n".join(lines))


if __name__ == "__main__":
    main()
