"""Small images of coloured objects, and whether a config's ground truth is where they are."""

import contextlib
import importlib.util
import io
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from mmsmlp.datasets.custom import Coco

ROOT = Path(__file__).parents[3]
COLOURS = dict(box=(220, 30, 30), pea=(30, 200, 30))
INVERSE = {6: 8, 8: 6}


def turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """An array ``(H, W)`` as EXIF's orientation says to show it."""
    return {
        **{1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud},
        **{5: np.transpose, 6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).T},
        **{8: np.rot90},
    }[orientation](array)


def paint(seed: int, size: tuple[int, int]) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """An image with a red rectangle and a green ellipse, and where they are."""
    rng = np.random.default_rng(seed)
    width, height = size
    image = np.full((height, width, 3), 90, np.uint8)
    objects = []
    for place, (name, colour) in enumerate(COLOURS.items()):
        w, h = (
            int(rng.integers(width // 6, width // 4)),
            int(rng.integers(height // 5, height // 3)),
        )
        x = int(rng.integers(0, width // 2 - w)) + place * width // 2
        y = int(rng.integers(0, height - h))
        if seed % 3 == 0:
            x, y = (width - w if place else 0), (0 if place else height - h)
        if name == "box":
            points = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], float)
            cv2.rectangle(image, (x, y), (x + w - 1, y + h - 1), colour, -1)
        else:
            angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
            centre, radii = np.array([x + w / 2, y + h / 2]), np.array([w / 2, h / 2])
            points = centre + radii * np.column_stack([np.cos(angles), np.sin(angles)])
            cv2.fillPoly(image, [np.round((points - 0.5) * 16).astype(np.int32)], colour, shift=4)
        low, high = points.min(axis=0), points.max(axis=0)
        objects.append(
            dict(name=name, bbox=[*low.tolist(), *(high - low).tolist()], points=points.round(2))
        )
    return image, objects


def write_image(path: Path, image: np.ndarray, orientation: int = 1) -> None:
    """Write RGB, stored so that EXIF's orientation shows it upright."""
    stored = image
    if orientation > 1:
        back = INVERSE.get(orientation, orientation)
        stored = np.stack([turned(image[..., c], back) for c in range(3)], axis=-1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = dict(quality=100, subsampling=0) if path.suffix in (".jpg", ".JPG") else {}
    if path.suffix == ".webp":
        options = dict(lossless=True)
    if path.suffix in (".tif", ".tiff"):
        options = dict(tiffinfo={0x0112: orientation})
    elif orientation > 1:
        options["exif"] = exif
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(stored)).save(path, **options)


def make_scene(
    folder: Path,
    count: int = 6,
    size: tuple[int, int] = (128, 96),
    suffix: str = ".png",
    orientation: int = 1,
) -> dict[str, Any]:
    """Images in a folder, and their annotations, right as they are shown."""
    data = dict(
        images=[], annotations=[], categories=[dict(id=1, name="box"), dict(id=2, name="pea")]
    )
    for i in range(count):
        image, objects = paint(i, size)
        name = f"im{i}{suffix}"
        write_image(folder / name, image, orientation)
        data["images"].append(dict(id=i + 1, file_name=name, width=size[0], height=size[1]))
        for thing in objects:
            x, y, w, h = thing["bbox"]
            data["annotations"].append(
                dict(
                    id=len(data["annotations"]) + 1,
                    image_id=i + 1,
                    category_id=1 + (thing["name"] == "pea"),
                    bbox=[x, y, w, h],
                    area=w * h,
                    iscrowd=0,
                    segmentation=[thing["points"].ravel().tolist()],
                )
            )
    return data


def new_dataset(*arguments: object) -> list[str]:
    """Run the tool; the lines that it prints."""
    spec = importlib.util.spec_from_file_location("tool", ROOT / "tools" / "new_dataset.py")
    module = importlib.util.module_from_spec(spec)
    text = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(text):
        spec.loader.exec_module(module)
        patch.setattr(sys, "argv", ["new_dataset", *map(str, arguments), "--out", "mine.py"])
        module.main()
    return text.getvalue().splitlines()


def training_set(path: str = "mine.py", split: str = "train") -> Any:
    """The data set of a config."""
    cfg = Config.fromfile(path)
    importlib.import_module(cfg.default_scope)
    init_default_scope(cfg.default_scope)
    if cfg.default_scope == "mmdet":
        from mmdet.utils import register_all_modules

        register_all_modules(init_default_scope=False)
    with contextlib.redirect_stdout(io.StringIO()):
        return DATASETS.build(cfg[f"{split}_dataloader"].dataset)


def coco_set(data: Coco) -> Any:
    """Annotations as mmdet loads them for training."""
    from mmdet.datasets import CocoDataset
    from mmdet.utils import register_all_modules

    register_all_modules()
    Path("checked.json").write_text(data.text())
    load = dict(type="LoadAnnotations", with_bbox=True, with_mask=data.with_masks)
    with contextlib.redirect_stdout(io.StringIO()):
        return CocoDataset(
            ann_file="checked.json",
            data_prefix=dict(img="images"),
            metainfo=dict(classes=tuple(data.boxes)),
            filter_cfg=dict(filter_empty_gt=True, min_size=1),
            pipeline=[dict(type="LoadImageFromFile"), load, dict(type="PackDetInputs")],
            serialize_data=False,
        )


def overlaps(data: Coco) -> tuple[list[float], list[float]]:
    """IoU of ground-truth boxes, and of masks, with the objects of their colours."""
    dataset = coco_set(data)
    boxes, masks = [], []
    for i in range(len(dataset)):
        sample = dataset[i]
        image = sample["inputs"].permute(1, 2, 0).numpy().astype(int)
        found = sample["data_samples"].gt_instances
        red, green = image[..., 2] - image[..., 1] > 60, image[..., 1] - image[..., 2] > 60
        for k in range(len(found)):
            name = dataset.metainfo["classes"][found.labels[k]]
            seen = dict(box=red, pea=green).get(name, red | green)
            ys, xs = np.nonzero(seen)
            drawn = np.zeros(seen.shape, bool)
            x1, y1, x2, y2 = found.bboxes.tensor[k].round().int().tolist()
            drawn[max(y1, 0) : y2, max(x1, 0) : x2] = True
            extent = np.zeros(seen.shape, bool)
            if len(xs):
                extent[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1] = True
            boxes.append((drawn & extent).sum() / (drawn | extent).sum())
            if "masks" in found:
                mask = found.masks.to_ndarray()[k].astype(bool)
                masks.append((mask & seen).sum() / max(1, (mask | seen).sum()))
    return boxes, masks


def write_json(data: Any, name: str = "ann.json") -> None:
    """Write annotations."""
    Path(name).write_text(json.dumps(data), encoding="utf-8")
