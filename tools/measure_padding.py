"""Measure how much an image's features depend on the other images of its batch.

Each image of the validation set goes through the model alone and beside a larger one, whose size
it is padded to. Compared are the maps of the backbone on the area of the image, and detections.
Norms use their running statistics throughout, so that padding is all that differs.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from math import ceil

import torch
import torch.nn.functional as F
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmsmlp.engine.runner import (
    base_parser,
    build_runner,
    check_checkpoint,
    check_data,
    load_config,
    run,
)
from mmsmlp.errors import UsageError

# A detection is the same one if it is of the same class and overlaps as much.
MIN_IOU = 0.95


def main() -> None:
    parser = base_parser(__doc__)
    parser.add_argument("checkpoint", help="path or URL of the checkpoint")
    parser.add_argument("--images", type=int, default=50, help="how many images (default: 50)")
    parser.add_argument(
        "--factor", type=float, default=1.25, help="sides of the larger image (default: 1.25)"
    )
    args = parser.parse_args()
    if args.images < 1:
        raise UsageError(f"--images must be at least 1, got {args.images}")
    if args.factor < 1:
        raise UsageError(f"--factor must be at least 1, got {args.factor}")
    cfg = load_config(args)
    check_checkpoint(args.checkpoint)
    cfg.load_from = args.checkpoint
    check_data(cfg, "val")
    runner = build_runner(cfg)
    runner.load_checkpoint(args.checkpoint)
    model = runner.model.eval()
    dataset = Runner.build_dataloader(cfg.val_dataloader).dataset
    num_images = min(args.images, len(dataset))

    ways = {"as in training": padding_left_in, "in inference": nullcontext}
    for way, context in ways.items():
        features, detections = [], []
        for i in track(range(num_images), way, console=Console(stderr=True)):
            batches = alone_and_together(dataset, i, args.factor)
            with context(model.backbone):
                features.append(feature_change(model, *batches))
                if cfg.default_scope == "mmdet":
                    detections.append(detection_change(model, *batches))
        report(way, sum(features), sum(detections) if detections else None)


def alone_and_together(dataset: Dataset, index: int, factor: float) -> tuple[list, list]:
    """An image as a batch of one, and with the next one made larger than it by ``factor``."""
    image, mate = dataset[index], dataset[(index + 1) % len(dataset)]
    size = [ceil(factor * side) for side in image["inputs"].shape[1:]]
    resized = F.interpolate(mate["inputs"][None].float(), size, mode="bilinear", antialias=True)
    mate["inputs"] = resized[0].round().to(image["inputs"].dtype)
    mate["data_samples"].set_metainfo(
        dict(img_shape=tuple(size), ori_shape=tuple(size), scale_factor=(1.0, 1.0))
    )
    return [image], [image, mate]


def preprocess(model: nn.Module, batch: Sequence[dict]) -> dict:
    """Arguments of the model's forward; ``batch`` is not changed."""
    return model.data_preprocessor(pseudo_collate(copy.deepcopy(batch)), False)


@contextmanager
def padding_left_in(backbone: nn.Module) -> Iterator[None]:
    """Within, a backbone of this package includes padding as in training; norms are not changed."""
    backbone.training = True
    try:
        yield
    finally:
        backbone.training = False


@torch.no_grad()
def feature_change(model: nn.Module, alone: Sequence[dict], together: Sequence[dict]) -> Tensor:
    """By output, the squared norm of the change of the first image's map, and that of the map."""
    height, width = alone[0]["inputs"].shape[1:]
    maps = []
    for batch in (alone, together):
        x = preprocess(model, batch)["inputs"]
        maps.append([])
        for y in model.backbone(x):
            rows, columns = height * y.shape[2] / x.shape[2], width * y.shape[3] / x.shape[3]
            maps[-1].append(y[0, :, : ceil(rows), : ceil(columns)])
    return torch.tensor(
        [[(b - a).square().sum(), a.square().sum()] for a, b in zip(*maps, strict=True)]
    )


@torch.no_grad()
def detection_change(model: nn.Module, alone: Sequence[dict], together: Sequence[dict]) -> Tensor:
    """How the first image's detections agree.

    Returns:
        Their number, how many are in the other set as well, and summed over these the change of
        the score and of a side of the box in pixels; all added up over both directions.
    """
    from mmdet.structures.bbox import bbox_overlaps

    found = [
        model(**preprocess(model, batch), mode="predict")[0].pred_instances
        for batch in (alone, together)
    ]
    totals = torch.zeros(4)
    for mine, others in (found, found[::-1]):
        totals[0] += len(mine)
        if not len(mine) or not len(others):
            continue
        overlaps = bbox_overlaps(mine.bboxes, others.bboxes)
        overlaps[mine.labels[:, None] != others.labels] = 0
        overlap, partner = overlaps.max(dim=1)
        same = overlap >= MIN_IOU
        mine, others = mine[same], others[partner[same]]
        totals[1] += len(mine)
        totals[2] += (mine.scores - others.scores).abs().sum()
        totals[3] += (mine.bboxes - others.bboxes).abs().mean(dim=1).sum()
    return totals


def report(way: str, features: Tensor, detections: Tensor | None) -> None:
    """Print sums over images of :func:`feature_change` and :func:`detection_change`."""
    change, norm = features.sqrt().unbind(1)
    print(f"{way}: maps change by", ", ".join(f"{x:.2%}" for x in change / norm))
    if detections is not None:
        number, same, score, box = detections.tolist()
        print(
            f"{way}: of {number / 2:.0f} detections {same / max(number, 1):.2%} are the same, "
            f"their scores to {score / max(same, 1):.2g} and sides to {box / max(same, 1):.2g} px"
        )


if __name__ == "__main__":
    run(main)
