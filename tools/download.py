"""Download weights that the authors of a network have published, and print their paths."""

import argparse
from pathlib import Path

from rich.console import Console

from mmsmlp.checkpoints import download, named_weights
from mmsmlp.engine.runner import check_folder, run
from mmsmlp.weights import WEIGHTS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help=f"one of {', '.join(WEIGHTS)}")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder to put the file in (default: torch hub's cache); MMSMLP_WEIGHTS=DIR finds it",
    )
    args = parser.parse_args()
    weights = named_weights(args.name)
    if args.out:
        check_folder(str(args.out), "the folder", "--out")
    path = download(weights.name, args.out)
    Console(highlight=False, soft_wrap=True).print(
        f"{weights.name}: {path}\n"
        f"{weights.backbone}, {weights.task}, top-1 {weights.top1} % as {weights.source} prints "
        f"it, licence {weights.licence}; in configs: checkpoint={weights.path!r}"
    )


if __name__ == "__main__":
    run(main, interrupted="the partial download is removed")
