"""Write a config for your own images.

Takes images and their annotations in COCO's format (Mask R-CNN, or Faster R-CNN without masks),
images and a folder of masks (UperNet), or a folder with a folder of images for each class
(classifier). Checks the data and prints a line for each finding. Unusable annotations are left out,
in copies of annotations or masks beside the config; your files stay as they are.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from mmsmlp.datasets.custom import (
    Coco,
    Segmentation,
    held_out,
    printable,
    read_class_folders,
    read_coco,
    read_masks,
    splits_of,
)
from mmsmlp.engine.runner import check_new_config, read_config, run
from mmsmlp.errors import DataError, UsageError, shorten
from mmsmlp.model_zoo import config_path, recipes
from mmsmlp.model_zoo.own_configs import (
    Set,
    classification_config,
    detection_config,
    segmentation_config,
)
from mmsmlp.swap import base_of

T = TypeVar("T")
DETECTOR, SEGMENTOR, CLASSIFIER = (
    *("mmsmlp::mask_rcnn_{}.py", "mmsmlp::upernet_{}.py", "mmsmlp::{}_in1k.py"),
)
BATCH_SIZES = {DETECTOR: 2, SEGMENTOR: 2, CLASSIFIER: 32}
say = Console(highlight=False, soft_wrap=True, markup=False).print
BACKBONES = sorted({r.backbone for r in recipes()})
OTHER_FORMATS = {".xml": "Pascal VOC's", ".txt": "YOLO's", ".yaml": "YOLO's"}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="folder of the images, or of folders of classes")
    parser.add_argument(
        "annotations", type=Path, nargs="?", help="a COCO json, or the folder of the masks"
    )
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
        help="validation data (default: folders called val or test, or a fixed share of the "
        "training data)",
    )
    parser.add_argument(
        "--val-share", type=float, default=0.2, help="this share, without --val (default: 0.2)"
    )
    parser.add_argument(
        "--classes", nargs="+", help="use these only (COCO), or names of labels (masks)"
    )
    parser.add_argument(
        "--batch-size", type=int, help="images a GPU (default: 2; of a classifier 32)"
    )
    parser.add_argument("--force", action="store_true", help="replace the new files if they exist")
    return parser.parse_args()


def read(source: Path, reader: Callable[[], T], summary: Callable[[T], str]) -> T:
    """The usable data; findings are printed.

    Raises:
        UsageError: If it is nothing.
    """
    try:
        data = reader()
    except DataError as error:
        raise UsageError(f"{source}: {error}") from error
    say(f"{source}: {summary(data)}")
    for line in data.report:
        say(f"  {line}")
    return data


def write(args: argparse.Namespace, end: str, text: str) -> str:
    """Write a file beside the config; its path."""
    path = args.out.with_name(f"{args.out.stem}_{end}")
    path.write_text(text, encoding="utf-8")
    say(f"written: {path}")
    return path.as_posix()


def counted(what: str, counts: dict[str, int]) -> str:
    parts = (f"{printable(name)} {count}" for name, count in counts.items())
    return f"{what} ({shorten(parts, 10)})"


def of_coco(data: Coco) -> str:
    what = f"{len(data.images)} images, {sum(data.boxes.values())} boxes"
    return counted(what, data.boxes)


def divided(names: set[str], args: argparse.Namespace) -> tuple[set[str], set[str]]:
    """Names to train on and to evaluate on: those of folders, or a share."""
    splits = splits_of(sorted(names))
    if splits:
        purpose = "val" if splits.get("val") else "test"
        unused = len(names) - len(splits["train"]) - len(splits.get(purpose, ()))
        if splits.get(purpose):
            if unused:
                say(f"  in other folders than train and {purpose}, not used: {unused} images")
            return splits["train"], splits[purpose]
        names = splits["train"]
    try:
        evaluated = held_out(names, args.val_share)
    except DataError as error:
        raise UsageError(f"{args.images}: {error}") from error
    return names - evaluated, evaluated


def say_what_is_in_both(train: Coco | Segmentation, val: Coco | Segmentation) -> None:
    names = [
        {image["file_name"] for image in data.images} if isinstance(data, Coco) else set(data.pairs)
        for data in (train, val)
    ]
    if both := sorted(names[0] & names[1]):
        say(f"images to train on and to evaluate on: {len(both)} ({shorten(map(printable, both))})")


def for_detection(args: argparse.Namespace, base: str, name: str) -> tuple[str, str]:
    def load(folder: Path, file: Path, like: Coco | None = None) -> Coco:
        return read(
            file,
            lambda: read_coco(file, folder, args.classes, like),
            lambda data: f"{of_coco(data)}, with{'' if data.with_masks else 'out'} masks",
        )

    train = load(args.images, args.annotations)
    if args.val:
        val = load(*args.val, like=train)
        if args.val[0].samefile(args.images):
            say_what_is_in_both(train, val)
    else:
        whole, parts = train, []
        names = {image["file_name"] for image in whole.images}
        for part, purpose in zip(divided(names, args), ("train", "evaluate"), strict=True):
            parts.append(whole.part(part))
            say(f"to {purpose} on: {of_coco(parts[-1])}")
            counts = parts[-1].boxes.items()
            lacking = [name for name, count in counts if not count and whole.boxes[name]]
            if lacking:
                say(f"  classes without a box to {purpose} on: {len(lacking)} ({shorten(lacking)})")
        train, val = parts
    if not sum(train.boxes.values()):
        raise UsageError(f"{args.annotations}: no object is left to train on")
    folders = args.images, args.val[0] if args.val else args.images
    files = write(args, "train.json", train.text()), write(args, "val.json", val.text())
    sets = [Set(folder.as_posix(), file) for folder, file in zip(folders, files, strict=True)]
    train.with_masks &= val.with_masks
    model = "Mask R-CNN" if train.with_masks else "Faster R-CNN"
    title = f"{model} on {args.backbone}, for {args.annotations.name}."
    recipe = read_config(name)
    return model, detection_config(title, base, recipe, (*sets,), train, args.batch_size)


def for_segmentation(args: argparse.Namespace, base: str, name: str) -> tuple[str, str]:
    def load(images: Path, masks: Path, like: Segmentation | None = None) -> Segmentation:
        return read(
            masks,
            lambda: read_masks(images, masks, args.classes, like),
            lambda data: (
                f"{len(data.pairs)} images with masks, {len(data.classes)} classes "
                f"({shorten(map(printable, data.classes), 10)})"
            ),
        )

    train = load(args.images, args.annotations)
    if args.val:
        val = load(*args.val, like=train)
        if args.val[0].samefile(args.images):
            say_what_is_in_both(train, val)
        parts = [(train, set(train.pairs)), (val, set(val.pairs))]
    else:
        parts = [(train, part) for part in divided(set(train.pairs), args)]
        say(f"to train on: {len(parts[0][1])} images; to evaluate on: {len(parts[1][1])}")
    sets = []
    for purpose, (data, names) in zip(("train", "val"), parts, strict=True):
        masks = args.out.with_name(f"{args.out.stem}_{purpose}_masks")
        for image in track(sorted(names), "masks", console=Console(stderr=True), transient=True):
            data.write(image, masks)
        say(f"written: {masks}, masks of labels from 0 to {len(data.classes) - 1}")
        file = write(args, f"{purpose}.txt", "".join(f"{image}\n" for image in sorted(names)))
        sets.append(Set(data.images.as_posix(), file, masks.as_posix()))
    title = f"UperNet on {args.backbone}, for {args.annotations.name}."
    sizes = [train.sizes[image] for image in parts[0][1]]
    recipe = read_config(name)
    return "UperNet", segmentation_config(
        title, base, recipe, (*sets,), train.classes, sizes, args.batch_size
    )


def for_classification(args: argparse.Namespace, base: str, name: str) -> tuple[str, str]:
    data = read(
        args.images,
        lambda: read_class_folders(args.images),
        lambda data: counted(f"{len(data.labels)} images", data.count(set(data.labels))),
    )
    sets = []
    parts = divided(set(data.labels), args)
    for names, purpose, verb in zip(parts, ("train", "val"), ("train", "evaluate"), strict=True):
        counts = data.count(names)
        say(f"to {verb} on: {counted(f'{len(names)} images', counts)}")
        if lacking := [name for name, count in counts.items() if not count]:
            say(f"  classes without an image to {verb} on: {len(lacking)} ({shorten(lacking)})")
        lines = (f"{image} {data.labels[image]}\n" for image in sorted(names))
        file = write(args, f"{purpose}.txt", "".join(lines))
        sets.append(Set(args.images.as_posix(), file))
    title = f"Classifier on {args.backbone}, for {args.images.name}."
    count = len(parts[0])
    return "classifier", classification_config(
        title, base, (*sets,), data.classes, count, args.batch_size
    )


def kind_of(images: Path, annotations: Path | None) -> str:
    """The recipe for a user's data.

    Raises:
        UsageError: If there is none.
    """
    if not images.is_dir():
        raise UsageError(f"there is no folder {str(images)!r} (looked in {Path.cwd()})")
    if annotations is None:
        return CLASSIFIER
    is_folder = annotations.is_dir()
    files = [p for p in annotations.rglob("*") if p.is_file()] if is_folder else [annotations]
    suffixes = [path.suffix.lower() for path in files]
    suffix = max(OTHER_FORMATS, key=suffixes.count)
    if suffixes.count(suffix) > len(suffixes) / 2:
        raise UsageError(
            f"{annotations} is in {OTHER_FORMATS[suffix]} format; make a COCO json of it, for "
            "example with supervision (docs/own_data.md has the two lines)"
        )
    return SEGMENTOR if is_folder else DETECTOR


def main() -> None:
    args = parse_args()
    if args.batch_size is not None and args.batch_size < 1:
        raise UsageError(f"--batch-size must be at least 1, got {args.batch_size}")
    if not 0 < args.val_share < 1:
        raise UsageError(f"--val-share must be between 0 and 1, got {args.val_share}")
    check_new_config(args.out, args.force)
    kind = kind_of(args.images, args.annotations)
    for folder in (args.val or ())[:1]:
        kind_of(folder, args.val[1])
    args.batch_size = args.batch_size or BATCH_SIZES[kind]
    if kind == SEGMENTOR and args.batch_size < 2:
        raise UsageError(
            f"--batch-size must be at least 2 for UperNet's norms, got {args.batch_size}"
        )
    if kind == CLASSIFIER and (args.val or args.classes):
        raise UsageError("--val and --classes go with annotations; folders name splits and classes")
    name = kind.format(args.backbone)
    fitting = [r.backbone for r in recipes() if r.name == kind.format(r.backbone)]
    if args.backbone not in fitting:
        raise UsageError(
            f"--backbone {args.backbone} has no such recipe; {', '.join(fitting)} have"
        )
    base = base_of(config_path(name), args.out.parent)
    make = {DETECTOR: for_detection, SEGMENTOR: for_segmentation, CLASSIFIER: for_classification}
    model, text = make[kind](args, base, name)
    args.out.write_text(text, encoding="utf-8")
    say(f"written: {args.out}, {model}; next: python -m mmsmlp train {args.out}")


if __name__ == "__main__":
    run(main)
