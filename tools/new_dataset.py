"""Write a config for images and annotations of your own, in COCO's format.

Checks the data and says what it finds, a line each. What cannot be trained on is left out, in a
copy of the annotations beside the config; your files stay as they are.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mmsmlp.checkpoints import few
from mmsmlp.datasets.custom import (
    Annotations,
    Checked,
    Set,
    boxes_of_classes,
    check_annotations,
    config_text,
    look_at_images,
    read_annotations,
    split,
)
from mmsmlp.engine.runner import check_new_config, read_config, run
from mmsmlp.errors import DataError, UsageError
from mmsmlp.model_zoo import config_path, recipes
from mmsmlp.swap import base_of

BASE = "mmsmlp::mask_rcnn_{}.py"
say = Console(highlight=False, soft_wrap=True, markup=False).print
BACKBONES = [r.backbone for r in recipes() if r.name == BASE.format(r.backbone)]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="folder of the images")
    parser.add_argument("annotations", type=Path, help="their annotations, a COCO json")
    parser.add_argument("--out", required=True, type=Path, help="config to write")
    parser.add_argument(
        "--backbone",
        choices=BACKBONES,
        default="smlpnet_t",
        metavar="NAME",
        help=f"one of {', '.join(BACKBONES)} (default: smlpnet_t)",
    )
    parser.add_argument(
        "--val",
        nargs=2,
        type=Path,
        metavar=("IMAGES", "ANNOTATIONS"),
        help="what to evaluate on (default: a share of the above, the same each time)",
    )
    parser.add_argument(
        "--val-share", type=float, default=0.2, help="this share, without --val (default: 0.2)"
    )
    parser.add_argument("--classes", nargs="+", help="use these only (default: all in the json)")
    parser.add_argument("--batch-size", type=int, default=2, help="images a GPU (default: 2)")
    parser.add_argument("--force", action="store_true", help="replace the new files if they exist")
    return parser.parse_args()


def checked(folder: Path, annotations: Path, classes: Sequence[str] | None) -> Checked:
    """What can be trained on; what was found is printed.

    Raises:
        UsageError: If it is nothing.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {str(folder)!r} (looked in {Path.cwd()})")
    try:
        data = read_annotations(annotations)
        images = look_at_images(folder, (image["file_name"] for image in data["images"]))
        found = check_annotations(data, images, classes)
    except DataError as error:
        raise UsageError(f"{annotations}: {error}") from error
    say(f"{annotations}: {summary(found.data)}, {'with' if found.with_masks else 'without'} masks")
    for finding in found.findings:
        say(f"  {finding}")
    return found


def summary(data: Annotations) -> str:
    classes = (f"{name} {count}" for name, count in boxes_of_classes(data).items())
    return f"{len(data['images'])} images, {len(data['annotations'])} boxes ({few(classes, 10)})"


def divided(found: Checked, share: float) -> tuple[Checked, Checked]:
    """A part to train on and one to evaluate on, and what is said of them."""
    parts = split(found.data, share)
    everywhere = boxes_of_classes(found.data)
    for part, purpose in zip(parts, ("train", "evaluate"), strict=True):
        counts = boxes_of_classes(part)
        lacking = [name for name in counts if everywhere[name] and not counts[name]]
        say(f"to {purpose} on: {summary(part)}")
        if lacking:
            say(f"  classes without a box to {purpose} on: {len(lacking)} ({few(lacking)})")
    train, val = (Checked(part, found.with_masks, changed=True) for part in parts)
    return train, val


def say_what_is_in_both(train: Checked, val: Checked) -> None:
    names = [{image["file_name"] for image in found.data["images"]} for found in (train, val)]
    if both := sorted(names[0] & names[1]):
        say(f"images to train on and to evaluate on: {len(both)} ({few(both)})")


def main() -> None:
    args = parse_args()
    if args.batch_size < 1:
        raise UsageError(f"--batch-size must be at least 1, got {args.batch_size}")
    if not 0 < args.val_share < 1:
        raise UsageError(f"--val-share must be between 0 and 1, got {args.val_share}")
    check_new_config(args.out, args.force)
    name = BASE.format(args.backbone)
    recipe = read_config(name)

    train = checked(args.images, args.annotations, args.classes)
    if args.val:
        classes = [category["name"] for category in train.data["categories"]]
        val = checked(*args.val, classes)
        if args.val[0].samefile(args.images):
            say_what_is_in_both(train, val)
    else:
        train, val = divided(train, args.val_share)
    sources = [(args.images, args.annotations), args.val or (args.images, args.annotations)]
    sets = []
    for purpose, found, (folder, file) in zip(("train", "val"), (train, val), sources, strict=True):
        if found.changed:
            file = args.out.with_name(f"{args.out.stem}_{purpose}.json")
            file.write_text(json.dumps(found.data), encoding="utf-8")
            say(f"written: {file}")
        sets.append(Set(folder.as_posix(), file.as_posix()))
    with_masks = train.with_masks and val.with_masks
    model = "Mask R-CNN" if with_masks else "Faster R-CNN"
    text = config_text(
        f"{model} on {args.backbone}, for {args.annotations.name}.",
        base_of(config_path(name), args.out.parent),
        recipe,
        (sets[0], sets[1]),
        train.data,
        with_masks,
        args.batch_size,
    )
    args.out.write_text(text, encoding="utf-8")
    say(f"written: {args.out}, {model}; next: python -m mmsmlp train {args.out}")


if __name__ == "__main__":
    run(main)
