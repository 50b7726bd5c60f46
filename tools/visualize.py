"""Draw networks, trainings and detections, as PNG or SVG."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from benchmark import charts
from benchmarks.results import ResultsError
from benchmarks.subjects import Subject, SubjectError, build_network, check_names
from mmengine.registry import DATASETS, init_default_scope
from rich.console import Console
from rich.progress import track
from torch import nn

from mmsmlp.engine.runner import check_checkpoint, check_data, read_config, run
from mmsmlp.errors import PictureError, UsageError
from mmsmlp.visualization import (
    FORMATS,
    axial_maps,
    build_backbone,
    draw_axial_maps,
    draw_curves,
    draw_errors,
    draw_features,
    draw_receptive_fields,
    ground_truth,
    images_as_input,
    input_of,
    load_weights,
    match_detections,
    precision_recall,
    read_curves,
    read_detections,
    receptive_fields,
    save,
    shown_metrics,
)

NETWORK = "an architecture, such as smlpnet_t or swin_t, or a config"


def receptive_field(args: argparse.Namespace) -> None:
    if args.samples < 1:
        raise UsageError(f"--samples must be at least 1, got {args.samples}")
    size = size_of(args)
    check_files(args.images)
    images = images_as_input(args.images, size)
    if not images:
        torch.manual_seed(0)
        images = [torch.randn(1, 3, *size) for _ in range(args.samples)]
    fields = {}
    peers = [peer.partition("=") for peer in args.peers]
    for name, checkpoint in [(args.network, args.checkpoint), *((p[0], p[2]) for p in peers)]:
        title, network = network_of(name, checkpoint or None)
        shown = track(images, title.replace("\n", ", "), console=Console(stderr=True))
        fields[title] = receptive_fields(network, shown)
    save(draw_receptive_fields(fields), args.out)


def axial(args: argparse.Namespace) -> None:
    size = size_of(args)
    _, network = network_of(args.network, args.checkpoint)
    save(draw_axial_maps(axial_maps(network, size), size), args.out)


def features(args: argparse.Namespace) -> None:
    check_files([args.image])
    cfg = read_config(args.config)
    _, network = network_of(args.config, args.checkpoint)
    x, image = input_of(cfg, args.image)
    with torch.no_grad():
        maps = [y[0] for y in network(x)]
    save(draw_features(image, maps), args.out)


def curves(args: argparse.Namespace) -> None:
    found = {str(path): read_curves(path) for path in args.work_dirs}
    metrics = shown_metrics(list(found.values()), args.metrics)
    save(draw_curves(found, metrics), args.out)


def errors(args: argparse.Namespace) -> None:
    for name in ("score", "iou"):
        if not 0 <= getattr(args, name) <= 1:
            raise UsageError(f"--{name} must be from 0 to 1, got {getattr(args, name)}")
    cfg = read_config(args.config)
    if cfg.get("default_scope") != "mmdet":
        raise UsageError(
            f"{args.config} is no config of a detector: its default_scope is not mmdet"
        )
    check_files([args.results])
    check_data(cfg, "test")
    init_default_scope("mmdet")
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    truth = ground_truth(dataset)
    found = read_detections(Path(args.results), truth, getattr(dataset, "cat2label", {}))
    matches = match_detections(truth, found, args.score, args.iou)
    heading = (
        f"{Path(args.results).name}: {len(truth.imgs)} images; matrix and cases of detections with "
        f"scores from {args.score:g}, matched from IoU {args.iou:g}"
    )
    save(draw_errors(truth, precision_recall(truth, found), matches, heading), args.out)


def network_of(name: str, checkpoint: str | None) -> tuple[str, nn.Module]:
    """A backbone and its title.

    Raises:
        UsageError: If there is none of the name, or no such checkpoint.
    """
    if checkpoint is not None:
        check_checkpoint(checkpoint)
    check_names([name])
    subject = Subject(name)
    if subject.is_config:
        network = build_backbone(read_config(name), checkpoint)
    else:
        network = load_weights(build_network(subject), checkpoint)
    weights = "random weights" if checkpoint is None else Path(checkpoint).name
    return f"{subject.title}\n{weights}", network


def size_of(args: argparse.Namespace) -> tuple[int, int]:
    height, width = args.size
    if min(height, width) < 1:
        raise UsageError(f"--size: height and width must be at least 1, got {height} {width}")
    return height, width


def check_files(paths: Sequence[str]) -> None:
    for path in paths:
        if not Path(path).is_file():
            raise UsageError(f"there is no file {path!r} (looked in {Path.cwd()})")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="KIND", dest="kind")

    def add(name: str, draw: Callable[[argparse.Namespace], None], text: str):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(draw=draw)
        return command

    def add_picture(name: str, draw: Callable[[argparse.Namespace], None], text: str):
        command = add(name, draw, text)
        command.add_argument(
            "--out", type=Path, default=Path(f"{name}.png"), help=f"picture (default: {name}.png)"
        )
        return command

    def add_network(command: argparse.ArgumentParser, size: tuple[int, int]) -> None:
        command.add_argument("network", help=NETWORK)
        command.add_argument("checkpoint", nargs="?", help="its weights (default: random ones)")
        command.add_argument(
            "--size",
            nargs=2,
            type=int,
            default=size,
            metavar=("H", "W"),
            help="height and width of the image in pixels (default: {} {})".format(*size),
        )

    command = add_picture(
        "receptive-field", receptive_field, "Draw which pixels each stage depends on, and how much."
    )
    add_network(command, (224, 224))
    command.add_argument(
        "--peers",
        nargs="+",
        default=[],
        metavar="NETWORK[=CHECKPOINT]",
        help="other networks, to draw below",
    )
    images = command.add_mutually_exclusive_group()
    images.add_argument("--images", nargs="+", default=[], help="images to average over")
    images.add_argument("--samples", type=int, default=8, help="or how many of noise (default: 8)")

    command = add_picture(
        "axial-maps", axial, "Draw the axial maps of sMLPNet, native and as applied at a size."
    )
    add_network(command, (480, 640))

    command = add_picture("features", features, "Draw the feature maps of each stage.")
    command.add_argument("config", help="path of the config, or `mmsmlp::…`")
    command.add_argument("checkpoint", help="path or URL of the checkpoint")
    command.add_argument("image", help="path of the image")

    command = add_picture("curves", curves, "Draw losses and metrics of trainings.")
    command.add_argument("work_dirs", nargs="+", type=Path, help="their work directories")
    command.add_argument(
        "--metrics", nargs="+", help="names as logged (default: AP, mIoU and top-1)"
    )

    command = add_picture("errors", errors, "Draw the errors of a detector.")
    command.add_argument("config", help="path of the config, or `mmsmlp::…`")
    command.add_argument(
        "results", help=".pkl of tools/test.py --out, or boxes in COCO's format as .json"
    )
    command.add_argument(
        "--score", type=float, default=0.3, help="least score of a detection (default: 0.3)"
    )
    command.add_argument("--iou", type=float, default=0.5, help="least of a match (default: 0.5)")

    command = add("latency", charts, "Draw results of tools/benchmark.py.")
    command.add_argument("file", type=Path, help="its JSON")
    command.add_argument("--dir", type=Path, default=Path(), help="where to write (default: here)")

    args = parser.parse_args(arguments)
    out = getattr(args, "out", None)
    if out is not None and out.suffix not in FORMATS:
        raise UsageError(f"--out must end in {' or '.join(FORMATS)}, got {str(out)!r}")
    try:
        args.draw(args)
    except (PictureError, ResultsError, SubjectError) as error:
        raise UsageError(str(error)) from error
    if out is not None:
        print(f"drawn: {out}")


if __name__ == "__main__":
    run(main)
