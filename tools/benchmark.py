"""Cost of our networks and others, in multiply-adds, seconds and memory.

`speed` and `profile` measure each subject in its own process, in turn, so that machine noise
affects all subjects alike.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import torch
from benchmarks.charts import DEVICES, draw_charts
from benchmarks.cost import cost_table
from benchmarks.kernels import GPUS, WEIGHTS, report
from benchmarks.measuring import Settings, measure
from benchmarks.passes import MODES, PRECISIONS, Case, usable
from benchmarks.results import ResultsError, Store, read_runs
from benchmarks.subjects import (
    PEERS,
    RUNTIMES,
    TITLES,
    Subject,
    SubjectError,
    check_names,
    variants,
)
from benchmarks.terminal import show
from benchmarks.workers import Failed
from mmengine.config import DictAction

from mmsmlp.engine.runner import run
from mmsmlp.errors import UsageError

NETWORKS = ["smlpnet_t", "s2mlpv2_s4", "swin_t", "resnet50"]
COUNTED = ["smlpnet_t", "s2mlpv2_s4", "s2mlp_deep", "swin_t", "convnext_t", "resnet50"]
SIZE = "800x1344"


def cost(args: argparse.Namespace) -> None:
    print(cost_table(), end="")


def cases_of(args: argparse.Namespace, whole_models: bool) -> list[Case]:
    """Everything to measure of each subject.

    Raises:
        UsageError: If a size is none, or does not apply.
    """
    images: list[tuple[tuple[int, int] | None, int | None]] = [(None, None)]
    if not whole_models:
        images = [size_of(text, args.batch or 1) for text in args.sizes or [SIZE]]
    elif args.sizes or args.batch:
        raise UsageError(
            "--sizes and --batch are for networks; the size of a model's images is in its config "
            "(--cfg-options changes that)"
        )
    return [
        Case(mode, precision, *image)
        for precision in args.precision
        for mode in args.mode
        for image in images
    ]


def size_of(text: str, batch: int, option: str = "--sizes") -> tuple[tuple[int, int], int]:
    """Height and width, and the batch that may follow them.

    Raises:
        UsageError: If they are none.
    """
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)(?:@([1-9]\d*))?", text)
    if found is None:
        raise UsageError(f"{option}: write 224x224, or 224x224@8 for a batch of 8; got {text!r}")
    height, width, own_batch = found.groups()
    return (int(height), int(width)), int(own_batch or batch)


def subjects_of(args: argparse.Namespace) -> list[Subject]:
    """Everything to measure.

    Raises:
        UsageError: If something is missing.
    """
    check_names(args.subjects)
    plain = [
        Subject(name, mini=args.mini, options=args.cfg_options or {}) for name in args.subjects
    ]
    for subject in plain:
        if subject.is_config and "::" not in subject.name and not Path(subject.name).is_file():
            raise UsageError(f"config {subject.name!r} does not exist")
        if subject.is_config and (args.with_cp or args.compile or args.exported):
            raise UsageError(
                "--with-cp, --compile and --exported are for networks; for a model there is "
                "--cfg-options model.backbone.with_cp=True"
            )
        if not subject.is_config and (args.mini or args.cfg_options):
            raise UsageError("--mini and --cfg-options are for configs of complete models")
    if args.baseline and not (args.baseline / "mmsmlp/__init__.py").is_file():
        raise UsageError(f"--baseline: there is no mmsmlp in {args.baseline}")
    baseline = args.baseline and args.baseline.resolve()
    return variants(plain, args.with_cp, args.compile, baseline, args.exported)


def reference_of(asked: str | None, subjects: Sequence[Subject]) -> str:
    """The title that ratios refer to: the requested one, else Swin-T, else the last one.

    Raises:
        UsageError: If that is not among the subjects.
    """
    titles = [subject.title for subject in subjects]
    if asked is None:
        swin = PEERS["swin_t"][0]
        return swin if swin in titles else titles[-1]
    names = {subject.name: subject.title for subject in reversed(subjects)}
    title = names.get(asked, asked)
    if title not in titles:
        raise UsageError(f"--reference {asked!r} is not measured; there are {', '.join(titles)}")
    return title


def run_measurement(args: argparse.Namespace) -> None:
    """Measure, print, and keep."""
    subjects = subjects_of(args)
    cases = cases_of(args, subjects[0].is_config)
    for name in ("rounds", "threads"):
        if getattr(args, name) < 1:
            raise UsageError(f"--{name} must be at least 1, got {getattr(args, name)}")
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch sees no CUDA device")
    for precision in args.precision:
        if not usable(args.device, precision):
            raise UsageError(f"torch {torch.__version__} has no {precision} on this {args.device}")
    if args.exported and (args.mode, args.precision, args.device) != (
        ["inference"],
        ["fp32"],
        "cpu",
    ):
        raise UsageError("--exported is for inference on CPUs; runtimes have their own precisions")
    reference = reference_of(args.reference, subjects) if args.kind == "speed" else None
    store = Store(args.out)
    settings = Settings(args.device, args.threads, args.rounds, reference)
    measured = measure(args.kind, subjects, cases, settings, store)
    failures = show(measured)
    if failures:
        total = len(cases) * len(subjects)
        raise UsageError(f"{failures} of {total} could not be measured, see above")


def kernels(args: argparse.Namespace) -> None:
    """Count, and print."""
    check_names(args.subjects)
    subjects = [Subject(name) for name in args.subjects]
    if any(subject.is_config for subject in subjects):
        raise UsageError("kernels are counted for networks, not for complete models")
    images = [size_of(text, 1, "--images")[0] for text in args.images or []]
    cases = [
        Case(mode, precision, *size_of(text, len(images) if images else args.batch))
        for precision in args.precision
        for mode in args.mode
        for text in args.sizes
    ]
    for case in cases:
        if images and len(images) != case.batch:
            raise UsageError(f"--images: {case.images} needs {case.batch}, got {len(images)}")
        if any(h > case.size[0] or w > case.size[1] for h, w in images):
            raise UsageError(f"--images must fit into {case.size[0]}x{case.size[1]}")
    reference = reference_of(args.reference, subjects)
    for text in report(subjects, cases, reference, args.gpu, images or None, args.lines):
        print(text)


def charts(args: argparse.Namespace) -> None:
    matplotlib.use("Agg")
    runs = read_runs(args.file)
    if not args.dir.is_dir():
        raise UsageError(f"--dir: there is no folder {args.dir}")
    written = [path for device in DEVICES for path in draw_charts(runs, device, args.dir)]
    if not written:
        raise UsageError(f"{args.file} has nothing to draw: no two sizes, and no profile")
    print(*written, sep="\n")


def add_measurement(parser: argparse.ArgumentParser, kind: str, rounds: int) -> None:
    """Shared options of `speed` and `profile`."""
    parser.add_argument(
        "subjects",
        nargs="*",
        default=NETWORKS,
        metavar="network",
        help=f"{', '.join([*TITLES, *PEERS])}; or configs of complete models, measured on "
        f"the first batch of their data (default: {' '.join(NETWORKS)})",
    )
    parser.add_argument("--mode", nargs="+", choices=MODES, default=["inference"])
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=["fp32"])
    parser.add_argument(
        "--sizes",
        nargs="+",
        metavar="HxW[@N]",
        help=f"of images, N in a batch (default: {SIZE})",
    )
    parser.add_argument("--batch", type=int, help="of sizes that name none (default: 1)")
    parser.add_argument("--device", choices=list(DEVICES), default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument(
        "--with-cp", action="store_true", help="measure our networks with with_cp=True as well"
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="CHECKOUT",
        help="measure our networks, or the models, with the mmsmlp of another checkout as well",
    )
    parser.add_argument("--mini", action="store_true", help="models on the built-in mini data set")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, help="settings of the configs to override"
    )
    parser.add_argument("--out", type=Path, help="JSON to keep the run in, behind those it has")
    parser.set_defaults(run=run_measurement, kind=kind, compile=False, exported=(), reference=None)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)

    def add(name: str, run: Callable[[argparse.Namespace], None], text: str):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    add("cost", cost, "Count multiply-adds.")
    command = add("speed", run_measurement, "Measure seconds and memory of passes.")
    add_measurement(command, "speed", rounds=9)
    command.add_argument(
        "--compile", action="store_true", help="measure all networks compiled as well"
    )
    command.add_argument(
        "--exported",
        nargs="+",
        choices=RUNTIMES,
        default=(),
        help="measure all networks exported as well; peers are exported for each size",
    )
    command.add_argument(
        "--reference", help="network that ratios refer to (default: swin_t if named, or the last)"
    )
    command = add("profile", run_measurement, "Find out where the time of a pass goes.")
    add_measurement(command, "profile", rounds=3)
    command = add("kernels", kernels, "Count the kernels of a GPU in a pass, without a GPU.")
    command.add_argument(
        "subjects",
        nargs="*",
        default=COUNTED,
        metavar="network",
        help=f"{', '.join([*TITLES, *PEERS])} (default: {' '.join(COUNTED)})",
    )
    command.add_argument("--mode", nargs="+", choices=MODES, default=list(MODES))
    command.add_argument(
        "--precision",
        nargs="+",
        choices=[*PRECISIONS, *WEIGHTS],
        default=["bf16"],
        help="bf16 and fp16 are autocast, the others weights of that type (default: bf16)",
    )
    command.add_argument(
        "--sizes", nargs="+", metavar="HxW[@N]", default=[SIZE], help=f"(default: {SIZE})"
    )
    command.add_argument("--batch", type=int, default=2, help="of sizes that name none")
    command.add_argument(
        "--images", nargs="+", metavar="HxW", help="each image of a batch without its padding"
    )
    command.add_argument("--gpu", nargs="+", choices=list(GPUS), default=["H200"])
    command.add_argument(
        "--lines", type=int, default=0, help="name so many lines that launch most kernels"
    )
    command.add_argument("--reference", help="network that ratios refer to (default: swin_t)")
    command = add("charts", charts, "Draw charts from a file of measurements.")
    command.add_argument("file", type=Path)
    command.add_argument("--dir", type=Path, default=Path(), help="where to write (default: here)")
    args = parser.parse_args(arguments)
    try:
        args.run(args)
    except (Failed, ResultsError, SubjectError) as error:
        raise UsageError(str(error)) from error


if __name__ == "__main__":
    run(main, interrupted="--out has the cases that were finished")
