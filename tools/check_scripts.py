"""Checks the types in the pages' JavaScript with the checker of TypeScript, which deno has; `make lint` runs it.

Types come from JSDoc comments, from what values are, and from `page_types.d.ts`. The checker is given programs: all the
scripts of a page, or of its workers, one after another in one file, since they share one scope.

A script of a page has a scope of its own, and hands on what later ones use of it, by a closing
`Object.assign(window.pointillist, {…})`. The checker cannot follow that, so here a script returns it instead, and
`window.pointillist` is what those before have returned: a name that no earlier script handed on is an error. Lines stay
lines.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pointillist import page
from pointillist.study import page as study_page

ROOT = Path(__file__).resolve().parents[1]
TYPES = Path(__file__).with_name("page_types.d.ts")
MODEL, STUDY = (Path(room.__file__).with_name("assets") for room in (page, study_page))

PROGRAMS = {
    "model": [MODEL / name for name in ("theme.js", *page.FIRST, *page.SCRIPTS)],
    "model_worker": [MODEL / name for name in page.WORKER],
    "study": [
        *(MODEL / name for name in ("theme.js", *study_page.SHARED, *study_page.LIVE_SHARED)),
        *(STUDY / name for name in study_page.SCRIPTS + study_page.LIVE_SCRIPTS),
    ],
    "study_results": [
        *(MODEL / name for name in ("theme.js", *study_page.SHARED)),
        *(STUDY / name for name in study_page.SCRIPTS + study_page.RESULT_SCRIPTS),
    ],
    "study_worker": [*(MODEL / name for name in page.ENGINE), *(STUDY / name for name in study_page.WORKER)],
}
"""Scripts that run together, in their order."""

OPTIONS = {
    "checkJs": True,
    "lib": ["dom", "dom.iterable", "esnext"],
    "strict": True,
    "noFallthroughCasesInSwitch": True,
    "noImplicitReturns": True,
    "noUnusedLocals": True,
    "allowUnreachableCode": False,
    # What a picture has only once it shows something.
    "strictPropertyInitialization": False,
    # Scripts throw errors alone.
    "useUnknownInCatchVariables": False,
}
"""The checker's. Of those not named, `noUncheckedIndexedAccess` would doubt every element of every array."""

_HANDED_ON = re.compile(r"^Object\.assign\(window\.pointillist, (\{[^;]*\})\);$", re.MULTILINE)
_ERROR = re.compile(r"^(TS\d+) \[ERROR\]: (.*?)\n    at file://(\S+):(\d+):\d+$", re.MULTILINE | re.DOTALL)
# A thousand parameters of small functions need not say their types. The rest of `noImplicitAny` counts: without it, any
# object of JavaScript has whatever property is asked for.
_LEFT_OUT = ("TS7006", "TS7031")
_UNUSED = ("TS6133", "TS6196")


@dataclass(frozen=True)
class Program:
    """Scripts in one text.

    Attributes:
        text: The text.
        scripts: The scripts.
        starts: The line of the text, from 1 on, that each of them begins with.
    """

    text: str
    scripts: Sequence[Path]
    starts: Sequence[int]

    @classmethod
    def of(cls, scripts: Sequence[Path]) -> "Program":
        """Joins scripts."""
        lines, starts = [f'/// <reference types="./{TYPES.name}" />'], []
        shared = "{}"
        for i, script in enumerate(scripts):
            text = script.read_text(encoding="utf-8").rstrip("\n")
            if "window.pointillist" in text:
                returned = _HANDED_ON.sub(r"return (\1);", text)
                hands_on = returned != text
                result = f"const $of{i} = " if hands_on else ""
                own = returned.replace("window.pointillist", f"$before{i}")
                text = f"let $before{i} = {shared}; {result}(() => {{ {own} }})();"
                shared = f"{{ ...$before{i}, ...$of{i} }}" if hands_on else f"$before{i}"
            starts.append(len(lines) + 1)
            lines += text.split("\n")
        return cls("\n".join(lines) + "\n", scripts, starts)

    def place(self, line: int) -> tuple[Path, int]:
        """The script and its line that a line of the text is, both from 1 on."""
        i = bisect(self.starts, line) - 1
        return self.scripts[i], line - self.starts[i] + 1


def errors(programs: Mapping[str, Sequence[Path]], deno: str) -> Iterator[str]:
    """Yields a text for each error, which begins with its file and line.

    Raises:
        RuntimeError: If the checker fails otherwise.
    """
    made = {f"{name}.js": Program.of(scripts) for name, scripts in programs.items()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for name, program in made.items():
            (folder / name).write_text(program.text, encoding="utf-8")
        shutil.copy(TYPES, folder)
        (folder / "deno.json").write_text(json.dumps({"compilerOptions": OPTIONS}))
        # Nothing is fetched, and nothing is left in the user's caches.
        own = {"DENO_DIR": str(folder / "cache"), "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}
        offline = ["--no-remote", "--no-npm", "--no-lock", "--config", "deno.json"]
        command = [deno, "check", "--quiet", *offline, *made]
        done = subprocess.run(command, cwd=folder, env=os.environ | own, capture_output=True, text=True)
    found: dict[tuple[Path, int, str], set[str]] = {}
    for code, text, path, line in _ERROR.findall(done.stderr):
        if code in _LEFT_OUT:
            continue
        name = Path(path).name
        script, number = made[name].place(int(line)) if name in made else (TYPES, int(line))
        found.setdefault((script, number, f"{code} {text}"), set()).add(name)
    if done.returncode and "[ERROR]" not in done.stderr:
        raise RuntimeError(done.stderr)
    for (script, number, text), names in sorted(found.items()):
        # What one program has no use for, another may have.
        if not text.startswith(_UNUSED) or names == {name for name in made if script in made[name].scripts}:
            yield f"{script.relative_to(ROOT) if script.is_relative_to(ROOT) else script}:{number}: {text}"


def deno() -> str | None:
    """The checker's path: beside this Python, or else wherever it is found."""
    return shutil.which("deno", path=str(Path(sys.executable).parent)) or shutil.which("deno")


def main() -> int:
    """Prints each error and a closing line; returns the exit status."""
    checker = deno()
    if checker is None:
        print("check_scripts: there is no deno, which `make .venv/dev` installs")
        return 1
    found = list(errors(PROGRAMS, checker))
    scripts = {script for program in PROGRAMS.values() for script in program}
    print(*found, f"check_scripts: {len(scripts)} scripts, {len(found)} errors", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
