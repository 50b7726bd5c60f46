"""Mutated annotations, masks and folders: read rightly, or refused in a line; never a traceback."""

import contextlib
import copy
import functools
import io
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper
from PIL import Image

from mmsmlp.datasets.custom import Coco, read_class_folders, read_coco, read_masks
from mmsmlp.errors import DataError

from tests.helpers import write_config  # isort: skip
from tests.datasets.custom.scenes import (  # isort: skip
    coco_set,
    make_scene,
    overlaps,
    paint,
    write_image,
    write_json,
)

pytest.importorskip("mmdet")
SECONDS, MEGABYTES = 20, 2000
FEW = settings(max_examples=34, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=670, suppress_health_check=list(HealthCheck))

ODD = st.one_of(
    st.sampled_from(
        [
            *(None, True, False, "", "1", "abc", "\ud800", "a\nb", [], {}, [[]], [None], [{}]),
            *(0, -1, 1, 0.5, 1e308, -1e308, float("nan"), float("inf"), 2**63, 10**400, 2.1e8),
            *([1, 2], [1, 2, 3, 4], [[1, 2, 3]], {"size": [1, 1], "counts": [1]}, "[1, 2"),
            *({"size": [96, 128], "counts": "~~~"}, {"size": [10**9, 10**9], "counts": [10**18]}),
            *({"x": 1, "y": 2}, [{"x": 1, "y": 2}] * 3, ["1", "2", "3", "4"], "1 2 3 4"),
        ]
    ),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.floats(allow_nan=False), max_size=8),
)


@st.composite
def mutated(draw: st.DrawFn, data: dict[str, Any]) -> tuple[dict[str, Any], set[int]]:
    """Annotations with some values changed, and the places of objects that are not as they were."""
    data, touched = copy.deepcopy(data), set()
    for _ in range(draw(st.integers(1, 4))):
        node: Any = data
        path: list[Any] = []
        while isinstance(node, dict | list) and node and (len(path) < 1 or draw(st.integers(0, 5))):
            keys = sorted(node) if isinstance(node, dict) else range(len(node))
            path.append(draw(st.sampled_from(keys)))
            node = node[path[-1]]
        parent = data
        for step in path[:-1]:
            parent = parent[step]
        if len(path) < 2:
            continue
        kind = draw(st.sampled_from(["value", "value", "delete", "repeat"]))
        if kind == "value":
            parent[path[-1]] = draw(ODD)
        elif kind == "delete":
            del parent[path[-1]]
        elif isinstance(parent, list):
            parent.insert(path[-1], copy.deepcopy(parent[path[-1]]))
        touched.add(path[1] if path[0] == "annotations" else -1)
    return data, touched


@contextlib.contextmanager
def in_folder(folder: Path) -> Any:
    """As contextlib.chdir, which Python 3.10 has not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextlib.contextmanager
def within_limits() -> Any:
    started, before = time.process_time(), peak()
    with contextlib.redirect_stderr(io.StringIO()):
        yield
    assert time.process_time() - started < SECONDS and peak() - before < MEGABYTES


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("scene")
    return folder, make_scene(folder / "images", count=3)


@functools.cache
def small_detector(with_masks: bool) -> tuple[torch.nn.Module, OptimWrapper]:
    from mmdet.registry import MODELS

    with tempfile.TemporaryDirectory() as folder:
        model = Config.fromfile(write_config(Path(folder), "detection")).model
    if not with_masks:
        model.type = "FasterRCNN"
        model.roi_head.update(mask_head=None, mask_roi_extractor=None)
    network = MODELS.build(model)
    return network, OptimWrapper(torch.optim.SGD(network.parameters(), lr=1e-4))


def train_one_step(data: Coco) -> None:
    dataset = coco_set(data)
    if not len(dataset):
        return
    network, optimizer = small_detector(data.with_masks)
    batch = pseudo_collate([dataset[0], dataset[len(dataset) - 1]])
    found = network.train_step(batch, optimizer)
    assert torch.isfinite(found["loss"])


def check_annotations(folder: Path, data: dict[str, Any], touched: set[int]) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    write_json(data)
    try:
        with within_limits():
            found = read_coco(Path("ann.json"), Path("images"))
    except DataError as error:
        assert "\n" not in str(error) and str(error)
        return
    with within_limits(), contextlib.redirect_stdout(io.StringIO()):
        boxes, masks = overlaps(found)
        train_one_step(found)
        # As evaluation takes them: whoever finds each object is perfect.
        truth = COCO("checked.json")
        learnt = [entry for entry in truth.dataset["annotations"] if not entry["iscrowd"]]
        if learnt:
            results = COCO()
            results.dataset = dict(
                truth.dataset, annotations=[dict(entry, score=1.0) for entry in learnt]
            )
            results.createIndex()
            evaluation = COCOeval(truth, results, "segm" if found.with_masks else "bbox")
            for step in (evaluation.evaluate, evaluation.accumulate, evaluation.summarize):
                step()
            assert evaluation.stats[0] == pytest.approx(1.0)
    # Objects whose entries nobody touched are where they were painted.
    if -1 not in touched:
        wrong = sum(box < 0.85 for box in boxes)
        assert wrong <= len(touched)
        assert sum(mask < 0.8 for mask in masks) <= len(touched)


@FEW
@given(st.data())
def test_mutated_annotations(scene: tuple[Path, dict[str, Any]], data: st.DataObject) -> None:
    folder, annotations = scene
    with in_folder(folder):
        check_annotations(folder, *data.draw(mutated(annotations)))


@pytest.mark.long
@pytest.mark.timeout(1800)
@MANY
@given(st.data())
def test_many_mutated_annotations(scene: tuple[Path, dict], data: st.DataObject) -> None:
    folder, annotations = scene
    with in_folder(folder):
        check_annotations(folder, *data.draw(mutated(annotations)))


FAULTS = ("delete", "cut", "bytes", "empty", "mode", "resize", "value", "rename", "hidden", "text")


def damage(path: Path, fault: str, number: int) -> None:
    """Give a file a fault."""
    content = path.read_bytes()
    if fault == "delete":
        path.unlink()
    elif fault == "cut":
        path.write_bytes(content[: number % len(content)])
    elif fault == "bytes":
        place = number % len(content)
        path.write_bytes(content[:place] + bytes([number % 256]) + content[place + 1 :])
    elif fault in ("empty", "text"):
        path.write_bytes(b"" if fault == "empty" else b"not an image")
    elif fault == "rename":
        path.rename(
            path.with_name([f"{path.stem}_x.png", "ü.png", path.stem, " a .png"][number % 4])
        )
    elif fault == "hidden":
        path.rename(path.with_name(f"._{path.name}"))
    else:
        image = Image.open(io.BytesIO(content))
        if fault == "mode":
            image = image.convert(["RGB", "RGBA", "LA", "P", "1", "I;16", "I"][number % 7])
        elif fault == "resize":
            image = image.resize([(1, 1), (48, 64), (32, 24), (640, 480), (63, 48)][number % 5])
        else:
            image = image.point(lambda value: (value * (1 + number % 300)) % 256)
        image.save(path)


def make_masks(folder: Path) -> None:
    for i in range(3):
        image, _ = paint(i, (64, 48))
        write_image(folder / "images" / f"a{i}.png", image)
        red = image[..., 0].astype(int) - image[..., 1] > 60
        (folder / "masks").mkdir(exist_ok=True)
        Image.fromarray(red.astype(np.uint8)).save(folder / "masks" / f"a{i}.png")


def check_masks(folder: Path, faults: list[tuple[int, str, int]]) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    make_masks(folder)
    files = sorted(folder.rglob("*.png"))
    touched = set()
    for place, fault, number in faults:
        path = files[place % len(files)]
        if path.exists() and path.stat().st_size:
            with contextlib.suppress(OSError, ValueError):  # from Pillow, of a file damaged before
                damage(path, fault, number)
            touched.add(path.stem)
    try:
        with within_limits():
            found = read_masks(folder / "images", folder / "masks")
            for name in found.pairs:
                found.write(name, folder / "new")
    except DataError as error:
        assert "\n" not in str(error) and str(error)
        return
    for name, (width, height) in found.sizes.items():
        labels = np.asarray(Image.open(folder / "new" / f"{name}.png"))
        assert labels.shape == (height, width)
        assert set(np.unique(labels)) <= {*range(len(found.classes)), 255}
        is_first = name in ("a0.png", "a1.png", "a2.png") and Path(name).stem not in touched
        if is_first and found.classes[:2] == ["class 0", "class 1"]:
            image = paint(int(name[1]), (64, 48))[0].astype(int)
            assert np.array_equal(labels == 1, image[..., 0] - image[..., 1] > 60)


def check_folders(folder: Path, faults: list[tuple[int, str, int]]) -> None:
    shutil.rmtree(folder)
    for split in ("train", "val"):
        for label, name in enumerate("abc"):
            for i in range(2):
                path = folder / split / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (8, 8), 80 * label).save(path)
    files = sorted(folder.rglob("*.png"))
    for place, fault, number in faults:
        path = files[place % len(files)]
        if path.exists() and path.stat().st_size:
            with contextlib.suppress(OSError, ValueError):
                damage(path, fault, number)
            if number % 7 == 0 and path.parent.exists():
                shutil.rmtree(path.parent)
    try:
        with within_limits():
            found = read_class_folders(folder)
    except DataError as error:
        assert "\n" not in str(error) and str(error)
        return
    for name, label in found.labels.items():
        assert found.classes[label] == Path(name).parent.name and (folder / name).is_file()


faults = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from(FAULTS), st.integers(0, 10**4)), max_size=4
)


@FEW
@given(faults)
def test_mutated_masks(tmp_path: Path, faults: list) -> None:
    check_masks(tmp_path, faults)


@FEW
@given(faults)
def test_mutated_class_folders(tmp_path: Path, faults: list) -> None:
    check_folders(tmp_path, faults)


@pytest.mark.long
@MANY
@given(faults)
def test_many_mutated_masks(tmp_path: Path, faults: list) -> None:
    check_masks(tmp_path, faults)


@pytest.mark.long
@MANY
@given(faults)
def test_many_mutated_class_folders(tmp_path: Path, faults: list) -> None:
    check_folders(tmp_path, faults)
