"""Run the libraries' own tests with our small backbones, and write docs/theirs.md.

The checkouts are those of the user, at the versions that are installed; nothing of them is copied.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from documents import DOCS, renew_tables

from mmsmlp.engine.runner import markdown_table, run
from mmsmlp.errors import UsageError

TOOLS = Path(__file__).parent
NETWORKS = ("smlpnet", "s2mlpv2", "cyclemlp")
# Tests that build a model, by library.
TESTS = {
    "mmdet": [
        "tests/test_models/test_detectors",
        "tests/test_models/test_tta",
        "tests/test_models/test_seg_heads",
        "tests/test_apis",
        "tests/test_engine/test_hooks",
    ],
    "mmseg": [
        "tests/test_models/test_forward.py",
        "tests/test_models/test_segmentors",
        "tests/test_apis",
        "tests/test_engine",
    ],
    "mmpretrain": [
        "tests/test_models/test_classifiers.py",
        "tests/test_models/test_tta.py",
        "tests/test_models/test_retrievers.py",
        "tests/test_models/test_selfsup",
        "tests/test_models/test_peft",
        "tests/test_apis",
        "tests/test_engine",
    ],
}

# A test that ends so wants a package or a download that is not here, with any backbone.
ABSENT = ("is not installed", "urlopen error", "No module named")
# A test that ends so asks for the class of the backbone that its model had before the swap.
ANOTHER_CLASS = re.compile(r"is not an instance of <class '\w+\.models\.backbones\.")


def outcome(test: dict) -> str:
    """How a test ended.

    Returns:
        An outcome of pytest's; ``'refused'`` by the swap; ``'lacking'`` a package or a download, or
        the very class of backbone that was swapped.
    """
    if "refused: " in test["reason"]:
        return "refused"
    if test["outcome"] == "failed" and (
        ANOTHER_CLASS.search(test["reason"]) or any(words in test["reason"] for words in ABSENT)
    ):
        return "lacking"
    return test["outcome"]


def run_tests(library: str, checkout: Path, network: str, options: list[str]) -> list[dict]:
    """Run a library's tests with one of our networks; a dict for each test."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.jsonl"
        report.touch()
        # The installed library is tested, so its package in the checkout must not be found.
        links = Path(folder) / "checkout"
        links.mkdir(parents=True)
        for path in checkout.iterdir():
            if path.name != library:
                (links / path.name).symlink_to(path)
        environment = dict(
            os.environ,
            MMSMLP_THEIRS_LIBRARY=library,
            MMSMLP_THEIRS_NETWORK=network,
            MMSMLP_THEIRS_REPORT=str(report),
            MMSMLP_THEIRS_CHECKOUT=str(links),
            PYTHONPATH=os.pathsep.join([str(links), str(TOOLS)]),
        )
        tests = [test for test in TESTS[library] if (links / test).exists()]
        # Their own settings of pytest are for their continuous integration.
        command = ["-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(links)]
        command += ["--import-mode", "append", "-p", "theirs_plugin", "-p", "no:cacheprovider"]
        command += ["-W", "ignore", *options]
        done = subprocess.run([sys.executable, *command, *tests], cwd=links, env=environment)
        if done.returncode not in (0, 1):
            raise UsageError(f"pytest ended with {done.returncode} on {library}'s tests")
        return [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]


def row(library: str, network: str, tests: list[dict]) -> list[str]:
    """A row of the table: how many tests ran with the network, and how they ended."""
    name = f"{library} {import_module(library).__version__}"
    refused = sum(outcome(test) == "refused" for test in tests)
    ours = Counter(outcome(test) for test in tests if test["swaps"])
    other = sum(not test["swaps"] for test in tests) - refused
    ended = [ours[name] for name in ("passed", "failed", "lacking", "skipped")]
    counts = [sum(ended), *ended, refused, other]
    return [name, network, *map(str, counts)]


def reasons(results: dict[tuple[str, str], list[dict]]) -> list[list[str]]:
    """Rows of the second table: each reason of a test that failed or was refused."""
    found: Counter = Counter()
    for (library, _), tests in results.items():
        for test in tests:
            ended = outcome(test)
            if ended == "refused" or (test["swaps"] and ended != "passed"):
                lines = test["reason"].partition("refused: ")[2] or test["reason"]
                found[library, ended, " ".join(lines.split())[:160]] += 1
    return [[*key, str(number)] for key, number in sorted(found.items())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for library in TESTS:
        parser.add_argument(f"--{library}", type=Path, metavar="CHECKOUT")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--write", action="store_true", help="write the tables of docs/theirs.md")
    args, options = parser.parse_known_args()
    checkouts = {library: getattr(args, library) for library in TESTS if getattr(args, library)}
    if not checkouts:
        raise UsageError("name a checkout: " + " ".join(f"--{library} PATH" for library in TESTS))
    if find_spec("parameterized") is None:
        raise UsageError("mmdet's tests need the package parameterized: pip install parameterized")
    for library, checkout in checkouts.items():
        if not (checkout / "tests").is_dir():
            raise UsageError(f"--{library} must be a checkout with tests, got {checkout}")
    results = {
        (library, network): run_tests(library, checkout.resolve(), network, options)
        for library, checkout in checkouts.items()
        for network in args.networks
    }
    titles = ["library", "network", "ran with ours", "passed", "failed", "lacking"]
    summary = markdown_table(
        [
            [*titles, "skipped", "refused", "without a backbone"],
            *(row(*key, tests) for key, tests in results.items()),
        ]
    )
    why = markdown_table([["library", "outcome", "reason", "tests"], *reasons(results)])
    print(summary, why, sep="\n")
    if args.write:
        renew_tables(DOCS / "theirs.md", summary, why)
    if any(outcome(test) == "failed" and test["swaps"] for r in results.values() for test in r):
        sys.exit(1)


if __name__ == "__main__":
    run(main)
