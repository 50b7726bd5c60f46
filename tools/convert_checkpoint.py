"""Publish a checkpoint: from the authors of sMLPNet or CycleMLP, or from our training runs.

Either becomes a checkpoint of plain tensors as mmpretrain, mmdet and mmseg load it.
"""

import argparse
from datetime import date
from hashlib import sha256
from pathlib import Path

from rich.console import Console
from rich.table import Table
from torch import Tensor

from mmsmlp import __version__
from mmsmlp.checkpoints import (
    download,
    publishable,
    read_checkpoint,
    serialise,
    weights_of,
    write_atomically,
)
from mmsmlp.checkpoints.publishing import convert, name_of_run, verify
from mmsmlp.engine.runner import run
from mmsmlp.errors import CheckpointError, UsageError, shorten
from mmsmlp.weights import SCHEME, WEIGHTS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "source", help="path or URL of the checkpoint to read, or a name of `list --weights`"
    )
    parser.add_argument(
        "target", help="file to write, .pth or .safetensors, or a folder to name a .pth file in"
    )
    parser.add_argument(
        "--ema",
        action=argparse.BooleanOptionalAction,
        help="take the moving average of the weights, or the weights themselves (default: those "
        "that the training evaluated)",
    )
    parser.add_argument("--backbone-only", action="store_true", help="write only backbone.*")
    parser.add_argument(
        "--lenient", action="store_true", help="convert even if tensors are left over or missing"
    )
    parser.add_argument(
        "--verify", metavar="NPZ", help="compare with the `logits` of an `input` in this file"
    )
    parser.add_argument("--force", action="store_true", help="replace the target if it exists")
    return parser.parse_args()


def check_target(target: Path, force: bool) -> None:
    """Reject arguments that would fail or overwrite something at the end.

    Raises:
        UsageError: Then.
    """
    if target.is_dir():
        return
    if target.suffix not in (".pth", ".safetensors"):
        raise UsageError(
            f"target {str(target)!r} must end in .pth or .safetensors, or be a folder that exists"
        )
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {str(target.parent)!r} to write {target.name} in")
    if target.exists() and not (force and target.is_file()):
        raise UsageError(f"target {str(target)!r} exists; --force replaces it")


def main() -> None:
    args = parse_args()
    target = Path(args.target)
    check_target(target, args.force)
    if args.source.removeprefix(SCHEME) in WEIGHTS and not Path(args.source).exists():
        args.source = str(download(args.source))
    checkpoint = read_checkpoint(args.source)
    meta = checkpoint.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    try:
        weights, place = weights_of(checkpoint, args.ema)
        conversion = convert(weights, name_of_run(args.source, meta), meta, args.backbone_only)
    except CheckpointError as error:
        raise CheckpointError(f"{args.source!r}: {error}") from error

    kept = (place, "meta")
    dropped = [
        key for key, v in checkpoint.items() if key not in kept and not isinstance(v, Tensor)
    ]
    report = Table("", conversion.name, title=f"{args.source} ({place})", title_justify="left")
    report.add_row("converted", str(len(conversion.weights)))
    report.add_row("renamed", str(len(conversion.weights) if conversion.renamed else 0))
    report.add_row("left over", "\n".join(conversion.left_over) or "none")
    report.add_row("missing", "\n".join(conversion.missing) or "none")
    report.add_row("dropped", "\n".join(map(str, dropped)) or "none")
    console = Console(highlight=False, soft_wrap=True)
    console.print(report)
    for what, names in (("missing", conversion.missing), ("left over", conversion.left_over)):
        if names and not args.lenient:
            raise CheckpointError(
                f"{args.source!r}: {len(names)} {what}: {shorten(names)}; "
                "--lenient converts without"
            )
    if args.verify:
        difference = verify(convert(weights, "", {}).weights, args.verify)
        console.print(f"verified: the logits differ by {difference:.1e} at most")

    data = serialise(
        publishable(conversion.weights, dict(conversion.meta, mmsmlp_version=__version__)),
        ".pth" if target.is_dir() else target.suffix,
    )
    if target.is_dir():
        sha = sha256(data).hexdigest()[:8]
        target /= f"{conversion.name}_{date.today():%Y%m%d}-{sha}.pth"
        check_target(target, args.force)
    write_atomically(data, target)
    console.print(f"written: {target}")


if __name__ == "__main__":
    run(main)
