"""Swap a small backbone into every config that mmdet and mmseg ship, and build each.

Nothing is run. Prints how many can take it, or with --write renews docs/swap_all.md.
"""

import argparse
import re
import traceback
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import packages_distributions, version
from multiprocessing import get_context

import torch
from documents import DOCS, renew_tables
from mmengine.logging import MMLogger
from rich.progress import track
from swap_matrix import BACKBONES

from mmsmlp.engine.runner import find_config, markdown_table
from mmsmlp.errors import SwapError, one_line
from mmsmlp.model_zoo import configs_of
from mmsmlp.swap import build_model, read_config, swap_backbone

DOCUMENT = DOCS / "swap_all.md"
LIBRARIES = ("mmdet", "mmseg")
SWAPPED = "✔"
FAILED = "FAILS"
KINDS = ("swapped", "refused", "needs a package")
PACKAGE = re.compile(r"needs the package [\w-]+, which is not installed")


def shipped(library: str) -> list[str]:
    """Names of all configs of a library that are no bases of others."""
    folder = configs_of(library)
    paths = (path.relative_to(folder) for path in sorted(folder.rglob("*.py")))
    return [f"{library}::{path.as_posix()}" for path in paths if "_base_" not in path.parts]


def outcome(name: str) -> str:
    """Result for a config: SWAPPED, or the error; without a machine's paths."""
    packages = configs_of(name.partition("::")[0]).parents[2]
    return _outcome(name).replace(f"{packages}/", "")


def _outcome(name: str) -> str:
    torch.set_num_threads(1)
    MMLogger.get_current_instance().setLevel("ERROR")
    try:
        cfg = read_config(find_config(name)).to_dict()
        new = swap_backbone(cfg, BACKBONES["sMLPNet"])
        try:
            with torch.device("meta"):  # no memory and little time, but not all can do without
                build_model(new)
        except SwapError:
            build_model(new)
    except SwapError as error:
        return str(error)
    except Exception as error:
        traceback.print_exc()
        return f"{FAILED}: {one_line(error)}"
    return SWAPPED


def summary(outcomes: Mapping[str, str]) -> str:
    """Markdown table with a library in each row: number of configs by result."""
    rows = []
    for library in LIBRARIES:
        mine = [text for name, text in outcomes.items() if name.startswith(f"{library}::")]
        counts = Counter(kind_of(text) for text in mine)
        rows.append([library, version_of(library), *(str(counts[kind]) for kind in KINDS)])
    return markdown_table([["library", "version", *KINDS], *rows])


def kind_of(text: str) -> str:
    """Which of KINDS an outcome is."""
    if text == SWAPPED:
        return KINDS[0]
    return KINDS[2] if PACKAGE.search(text) else KINDS[1]


def version_of(library: str) -> str:
    """Of the distribution that brings a library, with its name."""
    (distribution,) = set(packages_distributions()[library])
    return f"{distribution} {version(distribution)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"renew {DOCUMENT.name}")
    parser.add_argument("--processes", type=int, default=2, help="to share the work (default: 2)")
    args = parser.parse_args()
    names = [name for library in LIBRARIES for name in shipped(library)]
    with get_context("spawn").Pool(args.processes, maxtasksperchild=100) as pool:
        found = track(pool.imap(outcome, names), "swapping", total=len(names))
        outcomes = dict(zip(names, found, strict=True))
    text = summary(outcomes)
    print(text, end="")
    if args.write:
        rows = [[f"`{name}`", text] for name, text in outcomes.items()]
        renew_tables(DOCUMENT, text, markdown_table([["config", "outcome"], *rows]))


if __name__ == "__main__":
    main()
