import ast
import importlib
import inspect
import pkgutil
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from functools import cached_property
from importlib.metadata import requires, version
from pathlib import Path
from types import FunctionType

import pytest
from packaging.requirements import Requirement

import pointillist

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def written(name, pattern):
    return re.findall(pattern, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)


def test_all_files_state_the_same_version():
    ours = pointillist.__version__
    # The metadata come from the last installation: `make .venv/core` renews them.
    assert version("pointillist") == ours
    assert written("CITATION.cff", r"^version: (.+)$") == [ours]
    wheels = [found for page in (ROOT / "docs").rglob("*.md") for found in written(page, r"pointillist-([\w.]+)-py3")]
    assert wheels and set(wheels) == {ours}


def test_the_metadata_name_every_tested_python():
    minors = [m for line in PROJECT["classifiers"] for m in re.findall(r"^Programming .* :: (3\.\d+)$", line)]
    assert PROJECT["requires-python"] == f">={minors[0]}"
    (tested,) = written(".github/workflows/ci.yml", r"^ +python: \[(.+)\]$")
    assert re.findall(r"[\d.]+", tested) == minors
    assert all((ROOT / name).is_file() for name in PROJECT["license-files"])


def test_every_direct_dependency_has_a_lower_bound_and_a_pinned_version_above_it():
    pinned = dict(line.split("==") for line in written("constraints.txt", r"^[^#\s]\S*$"))
    pinned = {name.lower().replace("_", "-"): number for name, number in pinned.items()}
    for requirement in map(Requirement, requires("pointillist")):
        assert [s.operator for s in requirement.specifier] == [">="], requirement
        assert requirement.specifier.contains(pinned[requirement.name.lower()]), requirement


def test_errors_in_the_pages_scripts_are_found_with_their_file_and_line(tmp_path):
    tool = runpy.run_path(str(ROOT / "tools" / "check_scripts.py"))
    if tool["deno"]() is None:
        pytest.skip("needs deno")
    planted = {
        "csv.js": ("rows.push(row)", "rows.push(wor)"),
        "incomplete_rows.js": ("readCsv } =", "readCvs: readCsv } ="),  # imported from another script
        "table.js": ("const ROWS_AT_ONCE", "const UNUSED = 1;\nconst ROWS_AT_ONCE"),
    }
    scripts, expected = [], []
    for script in tool["PROGRAMS"]["model"]:
        text = script.read_text(encoding="utf-8")
        if script.name in planted:
            right, wrong = planted[script.name]
            assert text.count(right) == 1
            expected.append(f"{tmp_path / script.name}:{text[: text.index(right)].count(chr(10)) + 1}")
            text = text.replace(right, wrong)
        scripts.append(tmp_path / script.name)
        scripts[-1].write_text(text, encoding="utf-8")
    found = list(tool["errors"]({"model": scripts}, tool["deno"]()))
    assert [location for location, _ in (error.split(": ", 1) for error in found)] == sorted(expected), found
    assert ["wor" in found[0], "readCvs" in found[1], "UNUSED" in found[2]] == [True] * 3


def test_examples_must_print_what_the_page_shows(capsys):
    tool = runpy.run_path(str(ROOT / "tools" / "check_wheel.py"))
    page = (
        "```sh\npip install .\n```\n```python\nprint(1)\n```\nIt prints, among others:\n```text\nRows: 10\n\n"
        "AUC 0.45 (real\nrows 0.50)\n```\n```sh\npointillist fit a.csv -o b.csv\n```\n```text\nloss\n```\n"
    )
    (example, shell) = tool["examples"](page)
    assert example == ("python", "print(1)\n", "Rows: 10\n\nAUC 0.45 (real\nrows 0.50)\n")
    assert tool["missing_files"](shell[1], ROOT) == ["a.csv"]
    for printed, differs, fails in [
        ("Rows: 10\nmore\nAUC  0.45 (real rows 0.50)", False, False),
        ("Rows: 10\nAUC 0.449 (real\nrows 0.50)", True, False),
        ("Rows: 10\nROC 0.45 (real rows 0.50)", True, True),
        ("AUC 0.45 (real rows 0.50)\nRows: 10", True, True),
    ]:
        for is_reference in (False, True):
            reason = ""
            try:
                tool["check_output"]("it", example[2], printed, is_reference=is_reference)
            except SystemExit as stop:
                reason = str(stop)
            assert bool(reason) == (fails or (differs and is_reference)), printed
            assert ("- AUC 0.45" in capsys.readouterr().out) == differs


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Returns a function that adds files to a new repository and runs tools/check_tracked.py on it."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    # Ignore the index or work tree of another repository, which a git hook may set.
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    tool = runpy.run_path(str(ROOT / "tools" / "check_tracked.py"))

    def check(**contents):
        subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
        for name, content in contents.items():
            if isinstance(content, Path):
                (tmp_path / name).symlink_to(content)
            else:
                (tmp_path / name).write_bytes(content)
        subprocess.run(["git", "add", "--all"], cwd=tmp_path, check=True)
        found = tool["tracked"](tmp_path)
        assert set(found) == set(contents)
        return [line for name, mode in found.items() for line in tool["faults"](tmp_path, name, mode)]

    return check


def path_of(*parts):
    return "/".join(("", *parts)).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"see " + path_of("home", "somebody", "rows.csv"),
        b"PATH=" + path_of("root", ".venv"),
        b'"' + path_of("Users", "somebody") + b'"',
        b"file://" + path_of("work", "main"),
        b"C:" + b"\\Users\\somebody",
    ],
)
def test_paths_of_a_machine_are_refused(repository, content):
    (line,) = repository(notes=b"first line\n" + content)
    assert line.startswith("notes:2: ") and line.endswith("is a path of one machine")


@pytest.mark.parametrize(
    "content",
    [
        b"https://example.org" + path_of("home", "page"),
        b"results" + path_of("work", "x"),
        b"/home/ and ~/work/x, /usr/bin",
    ],
)
def test_other_paths_are_not(repository, content):
    assert repository(notes=content) == []


def test_binary_files_are_not_searched(repository):
    assert repository(picture=b"\0" + path_of("home", "somebody")) == []


def test_symbolic_links_are_refused(repository):
    assert repository(link=Path("elsewhere")) == ["link: is a symbolic link"]


def test_large_files_are_refused(repository):
    assert repository(small=b"\0" * 10**6) == []
    (line,) = repository(small=b"\0", large=b"\0" * (10**6 + 1))
    assert line.startswith("large: has 1,000,001 bytes")


@pytest.mark.parametrize(
    "line", ["a @ https://example.org/a.whl", "--index-url https://example.org/simple", "-i mirror", "--find-links x"]
)
def test_files_of_versions_leave_the_registry_open(repository, line):
    pins = f"# of `make`\nnumpy==2.0\n{line}\n".encode()
    assert repository(**{"notes.txt": pins}) == []
    (found,) = repository(**{"notes.txt": pins, "constraints.txt": pins})
    assert found.startswith("constraints.txt:3: ")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no git checkout")
def test_this_repository_passes():
    done = subprocess.run([sys.executable, ROOT / "tools" / "check_tracked.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def defined_names(tree):
    """Names that a file defines: functions, classes, variables, and attributes that it sets or annotates."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def foreign_private_names(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    accessed = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    # Inherited names count as the class's names.
    used = {
        node.attr for node in accessed if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    }
    used |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    defined = {*defined_names(tree), "_replace", "_asdict", "_fields"}  # of named tuples
    return {name for name in used if name.startswith("_") and not name.startswith("__")} - defined


def test_no_file_uses_a_private_name_of_another():
    files = sorted((ROOT / "src").rglob("*.py"))
    assert len(files) > 100
    assert {path.name: names for path in files if (names := foreign_private_names(path))} == {}


def methods_without_docstring(module):
    for name, each in vars(module).items():
        if not inspect.isclass(each) or each.__module__ != module.__name__ or name.startswith("_"):
            continue
        for method, value in vars(each).items():
            is_method = isinstance(value, FunctionType | property | cached_property | classmethod | staticmethod)
            documented = any(getattr(vars(base).get(method), "__doc__", None) for base in each.__mro__)
            if is_method and not method.startswith("_") and not documented:
                yield f"{module.__name__}.{name}.{method}"


def test_every_public_method_has_a_docstring_or_inherits_one():
    """The two attributes that are functions have their docstrings in the source."""
    names = [each.name for each in pkgutil.walk_packages(pointillist.__path__, "pointillist.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    missing = {each for module in modules for each in methods_without_docstring(module)}
    assert missing == {"pointillist.columns.number.NumberEncoder.kind", "pointillist.metrics.registry.Measure.detail"}
