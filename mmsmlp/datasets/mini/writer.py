"""Draws the images of the mini data set and writes them with their annotations."""

import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as rle
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from .scenes import Scene, render_portrait, render_scene
from .shapes import CLASSES

SPLITS = ("train", "val")

_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 92)
# The second number of an image's entropy; with the split, the class and the index it makes
# every image independent of how many others there are and of the order they are drawn in.
_SCENE, _PORTRAIT = 0, 1


def write_set(
    root: Path,
    *,
    seed: int,
    scenes: Mapping[str, int],
    portraits: Mapping[str, int],
    workers: int | None,
    console: Console,
) -> None:
    """Write images, index maps, COCO annotations and classification folders.

    Args:
        root: Folder to fill; it must not exist.
        seed: Seed of all randomness.
        scenes: Number of scenes by split.
        portraits: Number of classification images per class, by split.
        workers: Threads to draw with; None for a few more than there are cores.
        console: Where the progress bar, or a plain line, goes.

    Raises:
        OSError: If a folder or file cannot be written.
    """
    total = sum(scenes.values()) + len(CLASSES) * sum(portraits.values())
    title = f"Generating the mini data set ({total} images)"
    if not console.is_terminal:
        console.print(title)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    # Threads, because NumPy and OpenCV let go of the interpreter while they draw, and because
    # to fork a process that may hold a GPU, or to import it again, has pitfalls.
    with (
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
        ThreadPoolExecutor(workers) as pool,
    ):
        task = progress.add_task(title, total=total)

        def run(job: Callable, items: Iterable) -> list:
            results = []
            for result in pool.map(job, items):
                results.append(result)
                progress.advance(task)
            return results

        for split in SPLITS:
            _make_folders(root, split)
            described = run(partial(_write_scene, root, split, seed), range(scenes[split]))
            write_json(root / "annotations" / f"instances_{split}.json", _to_coco(described))
            pairs = product(range(len(CLASSES)), range(portraits[split]))
            run(partial(_write_portrait, root, split, seed), pairs)


def write_json(path: Path, content: dict) -> None:
    """Write canonical JSON: sorted keys, no spaces, one line."""
    path.write_text(json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n")


def _make_folders(root: Path, split: str) -> None:
    classes = [f"classification/{split}/{name}" for name in CLASSES]
    for folder in ("annotations", f"images/{split}", f"semantic/{split}", *classes):
        (root / folder).mkdir(parents=True, exist_ok=True)


def _write_scene(root: Path, split: str, seed: int, index: int) -> dict:
    """Write a scene's image and index map; return its size and objects for the annotations."""
    scene = render_scene(np.random.default_rng([seed, _SCENE, SPLITS.index(split), index]))
    _write_image(root / "images" / split / f"{index:06}.jpg", scene.image)
    # Entry 0 is the background's.
    indices = np.concatenate([[0], scene.labels + 1]).astype(np.uint8)
    _write_image(root / "semantic" / split / f"{index:06}.png", indices[scene.instances])
    height, width = scene.instances.shape
    return {"height": height, "width": width, "objects": _describe_objects(scene)}


def _describe_objects(scene: Scene) -> list[dict]:
    """Give the COCO fields that an object has without the rest of the data set."""
    objects = []
    for number, label in enumerate(scene.labels, 1):
        mask = np.asfortranarray(scene.instances == number, np.uint8)
        encoded = rle.encode(mask)
        objects.append(
            {
                "category_id": int(label) + 1,
                "bbox": [int(side) for side in rle.toBbox(encoded)],
                "area": int(rle.area(encoded)),
                "iscrowd": 0,
                "segmentation": {
                    "size": list(mask.shape),
                    "counts": encoded["counts"].decode("ascii"),
                },
            }
        )
    return objects


def _write_portrait(root: Path, split: str, seed: int, which: tuple[int, int]) -> None:
    label, index = which
    entropy = [seed, _PORTRAIT, SPLITS.index(split), label, index]
    scene = render_portrait(np.random.default_rng(entropy), label)
    folder = root / "classification" / split / CLASSES[label]
    _write_image(folder / f"{index:06}.jpg", scene.image)


def _write_image(path: Path, image: np.ndarray) -> None:
    """Write an RGB image or an index map; unlike ``cv2.imwrite``, raise if it fails."""
    pixels = image[..., ::-1] if image.ndim == 3 else image
    _, data = cv2.imencode(path.suffix, pixels, _JPEG if path.suffix == ".jpg" else ())
    path.write_bytes(data)


def _to_coco(described: list[dict]) -> dict:
    """Assemble an annotation file; ids count from 1, since COCO evaluation takes 0 for none."""
    images, annotations = [], []
    for image_id, image in enumerate(described, 1):
        name = f"{image_id - 1:06}.jpg"
        size = {"height": image["height"], "width": image["width"]}
        images.append({"id": image_id, "file_name": name, **size})
        for item in image["objects"]:
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **item})
    return {
        "info": {"description": "mmsmlp mini data set"},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": number, "name": name, "supercategory": "solid"}
            for number, name in enumerate(CLASSES, 1)
        ],
    }
