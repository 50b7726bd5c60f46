"""Check folders of masks and of classes, as configs name them, before a run reads them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DATASETS
from torch.utils.data import Dataset

from mmsmlp.datasets.custom import Report, files_of, is_hidden, look_at_mask, read_images
from mmsmlp.errors import DataError, UsageError, shorten

from .datasets import inner_datasets

# Masks and images that are read at most, spread over a data set.
MOST = 200


def check_data_folders(cfg: Config, *splits: str) -> None:
    """Check masks of mmseg's data sets, and folders of classes of mmpretrain's.

    Args:
        cfg: The config.
        splits: Of ``'train'``, ``'val'`` and ``'test'``.

    Raises:
        UsageError: If a run would fail at them, or learn other labels than are meant.
    """
    model = cfg.get("model") or {}
    heads = [model.get(name) for name in ("decode_head", "head")]
    head = next((dict(h) for h in heads if isinstance(h, dict)), {})
    of_training: Sequence[str] = ()
    for split in splits:
        loader = cfg.get(f"{split}_dataloader") or {}
        for config in inner_datasets(loader.get("dataset")):
            dataset = _build(config, cfg.get("default_scope", "mmengine"))
            where = f"{split}_dataloader"
            try:
                if hasattr(dataset, "reduce_zero_label"):
                    _check_masks(dataset, config, where, head.get("ignore_index", 255))
                elif hasattr(dataset, "_find_samples") and not dataset.ann_file:
                    classes = _check_classes(dataset, where, head.get("num_classes"), of_training)
                    of_training = of_training or classes
            except DataError as error:
                raise UsageError(f"{where}: {error}") from error


def _build(config: dict[str, Any], scope: str) -> Dataset | None:
    """A data set that has loaded nothing; None if it cannot be one of a folder."""
    config = {**config, "pipeline": [], "lazy_init": True}
    try:
        with DATASETS.switch_scope_and_registry(scope) as registry:
            return registry.build(config)
    except Exception:
        return None  # the run itself reports the reason


def _check_masks(dataset: Dataset, config: dict[str, Any], where: str, ignored: int) -> None:
    folder = dataset.data_prefix.get("img_path") or ""
    if "://" in folder or not dataset.data_prefix.get("seg_map_path"):
        return
    pairs = [(info["img_path"], info["seg_map_path"]) for info in dataset.load_data_list()]
    if not pairs:
        suffixes = Counter(Path(name).suffix for name in files_of(Path(folder)))
        there = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.items()) or "none"
        raise DataError(
            f"no image in {folder} ends in {dataset.img_suffix} (img_suffix); images there: {there}"
        )
    for what, paths in zip(("image", "mask"), zip(*pairs, strict=True), strict=True):
        if missing := [path for path in paths if not os.path.exists(path)]:
            raise DataError(
                f"{len(missing)} of {len(paths)} {what}s are missing: {shorten(missing)}"
            )
    pairs = pairs[:: -(-len(pairs) // MOST)]
    files = read_images(Path(), [image for image, _ in pairs], Report())
    loads = [step for step in config.get("pipeline") or [] if step["type"] == "LoadAnnotations"]
    shift = dataset.reduce_zero_label or any(step.get("reduce_zero_label") for step in loads)
    classes = dataset.metainfo.get("classes") or ()
    count: Counter[int] = Counter()
    for image, mask in pairs:
        look = look_at_mask(Path(mask))
        if look is None:
            raise DataError(f"mask {mask} cannot be read")
        if look.channels > 1:
            raise DataError(
                f"mask {mask} has {look.channels} channels, and mmseg needs maps of labels; "
                "new_dataset makes them of colours"
            )
        if image in files and look.size != files[image].size:
            (w, h), (width, height) = look.size, files[image].size
            raise DataError(
                f"mask {mask} is {w}x{h}, and image {image} {width}x{height}, as training reads it "
                "(with its EXIF orientation); new_dataset rotates or resizes masks"
            )
        count.update(look.values)
    if dataset.label_map or not classes:
        return
    count = Counter({255 if not v else v - 1: n for v, n in count.items()}) if shift else count
    beyond = sorted(v for v in count if v >= len(classes) and v not in (ignored, 255))
    if beyond:
        raise DataError(
            f"masks hold the labels {shorten(map(str, beyond))}, "
            f"and there are {len(classes)} classes"
        )
    lacking = [name for label, name in enumerate(classes) if label not in count]
    if lacking and any(v not in range(len(classes)) for v in count):
        # Of classes alone many data sets lack some.
        without = sum(n for v, n in count.items() if v >= len(classes))
        print_log(
            f"{where}: label {max(count)}, which is ignored, is in {without} of {len(pairs)} masks,"
            f" and there is no pixel of {shorten(lacking)}",
            "current",
            30,
        )


def _check_classes(
    dataset: Dataset, where: str, number: int | None, of_training: Sequence[str]
) -> list[str]:
    """Classes that mmpretrain numbers in the order of their folders."""
    folder = Path(dataset.img_prefix)
    found = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if hidden := [name for name in found if is_hidden(name)]:
        raise DataError(
            f"folders in {folder} that would count as classes: {shorten(hidden)}; remove them"
        )
    if of_training and found != list(of_training):
        other = sorted(set(found) ^ set(of_training)) or found
        raise DataError(
            f"{folder} has other folders of classes than training ({shorten(other)}), and labels "
            "are numbered by folders; new_dataset writes lists with the labels of training"
        )
    if number and len(found) > number:
        raise DataError(f"{folder} has {len(found)} folders of classes, and model.head {number}")
    return found
