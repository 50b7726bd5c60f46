"""Change the package in ways that a user would feel, and see whether the tests notice."""

import argparse
import importlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import tomllib

ROOT = Path(__file__).resolve().parents[2]
LISTS = Path(__file__).parent / "mutants"
# Files of the repository that the tests need.
PARTS = ("configs", "mmsmlp", "requirements", "tests", "tools", "pyproject.toml", "setup.py")
LIBRARIES = ("mmdet.models", "mmseg.models", "mmpretrain.models")
TIMEOUT = 300  # of seconds, for the tests of one mutant
TESTS_FAILED, BROKEN_IMPORT = 1, 2  # pytest's exit codes


@dataclass(frozen=True)
class Mutant:
    """A change of the package.

    Attributes:
        path: Of the file, from the root of the repository.
        before: A text that occurs once.
        after: Its replacement.
        why: The effect for a user.
        tests: Of the suite, those that should fail.
        survives: Why none of them does, if so.
    """

    path: str
    before: str
    after: str
    why: str
    tests: tuple[str, ...]
    survives: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"

    def problem(self) -> str:
        """Reason why the change cannot be made; empty if it can."""
        file = ROOT / self.path
        count = file.read_text().count(self.before) if file.is_file() else 0
        if self.before == self.after:
            return f"{self}: changes nothing"
        return "" if count == 1 else f"{self}: is there {count} times, not once: {self.before!r}"


def read_mutants() -> Iterator[Mutant]:
    """All mutants of the lists; a mutant has the tests of its file unless it names its own."""
    for path in sorted(LISTS.glob("*.toml")):
        for file in tomllib.loads(path.read_text())["file"]:
            for mutant in file["mutant"]:
                tests = mutant.pop("tests", file["tests"])
                yield Mutant(path=file["path"], tests=tuple(tests), **mutant)


def run_tests(tests: tuple[str, ...], mutant: Mutant | None = None) -> tuple[int, str]:
    """Run tests on a copy of the package, changed if there is a mutant.

    They run in a fork of this process, which has imported the slow modules.

    Returns:
        The exit code of pytest, or that of failed tests where they take for ever, and the output.
    """
    with TemporaryDirectory(prefix="mutant_") as folder:
        for part in PARTS:
            source, target = ROOT / part, Path(folder, part)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        if mutant is not None:
            file = Path(folder, mutant.path)
            file.write_text(file.read_text().replace(mutant.before, mutant.after))
        process = get_context("fork").Process(target=_pytest, args=(folder, tests))
        process.start()
        process.join(TIMEOUT)
        if process.exitcode is None:
            process.kill()
            return TESTS_FAILED, f"not done after {TIMEOUT} seconds"
        return process.exitcode, Path(folder, "log").read_text()


def _pytest(folder: str, tests: tuple[str, ...]) -> None:
    os.chdir(folder)
    os.environ["PYTHONPATH"] = sys.path[0] = folder
    options = ("-x", "-q", "-p", "no:cacheprovider", "-W", "ignore")
    with open("log", "w") as log:
        sys.stdout = sys.stderr = log
        os.dup2(log.fileno(), 1), os.dup2(log.fileno(), 2)
        code = pytest.main([*options, *(f"tests/{test}" for test in tests)])
    os._exit(code)


def judge(mutant: Mutant) -> str:
    """One line on a mutant; it begins with ``caught``, ``listed`` or the error."""
    code, output = run_tests(mutant.tests, mutant)
    if code not in (0, TESTS_FAILED, BROKEN_IMPORT):
        return f"ERROR     {mutant}: {output.strip().splitlines()[-1]}"
    if code == 0:
        verdict = f"listed    {mutant}: {mutant.survives}"
        return verdict if mutant.survives else f"SURVIVED  {mutant}"
    return f"caught    {mutant}" if not mutant.survives else f"CAUGHT    {mutant}: it is listed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", help="texts; those of a mutant's line are run alone")
    args = parser.parse_args()
    mutants = [
        mutant
        for mutant in read_mutants()
        if not args.only or any(text in str(mutant) for text in args.only)
    ]
    if problems := [problem for mutant in mutants if (problem := mutant.problem())]:
        sys.exit("\n".join(problems))
    for library in LIBRARIES:
        importlib.import_module(library)
    tests = tuple(sorted({test for mutant in mutants for test in mutant.tests}))
    code, output = run_tests(tests)
    if code != 0:
        sys.exit(f"{output}\nthe tests fail without a mutant, so they show nothing")
    counts = dict.fromkeys(("caught", "listed"), 0)
    for line in map(judge, mutants):
        print(line, flush=True)
        if (verdict := line.split()[0]) in counts:
            counts[verdict] += 1
    caught, listed = counts.values()
    print(f"{caught} of {len(mutants)} mutants caught, {listed} survive for a reason given")
    sys.exit(caught + listed < len(mutants))


if __name__ == "__main__":
    main()
