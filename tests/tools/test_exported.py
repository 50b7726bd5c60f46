"""Exported files in the tools, beside the checkpoints that they are of."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import mmengine
import pytest
import torch
from mmengine.config import Config
from pycocotools import mask as coco_mask

import mmsmlp.datasets.mini.swap
from mmsmlp.errors import ExportError, UsageError
from mmsmlp.model_zoo.whole_models import build
from tests.helpers import METRIC, sampled, tool, write_config

pytest.importorskip("torch", minversion="2.6", reason="torch cannot export open sizes")
pytest.importorskip("onnxscript", reason="the extra `deploy` is not installed")
pytest.importorskip("onnxruntime")
for library in ("mmdet", "mmseg", "mmpretrain"):
    pytest.importorskip(library)

# A detector keeps parts beside its file, which makes it the hardest.
TASKS = sampled(["detection", "classification", "segmentation"], 3)
IMAGES = {"classification": "classification/val/ball"}


class Deployed(NamedTuple):
    """A model in three forms."""

    config: Path
    checkpoint: Path
    file: Path
    rest: tuple[str, ...]  # what the tools want beside the file


@pytest.fixture(scope="module")
def data(tiny_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to work in, with a tiny mini data set that is yours to change."""
    folder = tmp_path_factory.mktemp("deployed")
    shutil.copytree(tiny_mini, folder, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(mmsmlp.datasets.mini.swap, "ensure_mini", lambda root: Path(root))
        yield folder


@pytest.fixture(scope="module", params=TASKS)
def deployed(request: pytest.FixtureRequest, data: Path) -> tuple[str, Deployed]:
    """A small network with random weights, and its export."""
    task = request.param
    return task, deploy(task, data / task)


def deploy(task: str, folder: Path) -> Deployed:
    folder.mkdir()
    config, checkpoint, file = (folder / name for name in ("mini.py", "model.pth", "model.onnx"))
    cfg = Config.fromfile(write_config(folder, task))
    mmsmlp.datasets.mini.swap.use_mini(cfg)
    cfg.work_dir = str(folder / "work")
    for split in ("train", "val", "test"):
        cfg[f"{split}_dataloader"].update(num_workers=0, persistent_workers=False)
    # Beside others an image is padded further, and what is behind the backbone sees that.
    cfg.test_dataloader.batch_size = 1
    if task == "classification":
        cfg.model.data_preprocessor = cfg.pop("data_preprocessor")
    cfg.dump(config)
    torch.manual_seed(1)
    model = build(cfg)
    model.init_weights()
    for name, parameter in model.named_parameters():
        # Scores, boxes and masks of all kinds.
        parameter.data += (0.3 if "head" in name else 0.1) * torch.randn_like(parameter)
    meta = dict(dataset_meta=dict(cfg.test_dataloader.dataset.metainfo))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), checkpoint)
    tool("export")(config, checkpoint, "--out", file)
    rest = ("--rest", str(checkpoint)) if task == "detection" else ()
    return Deployed(config, checkpoint, file, rest)


def metrics(model: Deployed, file: Path, *options: str, out: Path) -> tuple[dict, list]:
    """The metrics that tools/test.py gives, and the predictions."""
    tool("test")(model.config, file, *options, "--work-dir", out, "--out", out / "found.pkl")
    (log,) = out.glob("*/*.json")
    return json.loads(log.read_text()), mmengine.load(out / "found.pkl")


def annotate(annotations: Path, found: list[dict]) -> None:
    """Make what was found the truth: at most three objects of each image."""
    content = json.loads(annotations.read_text())
    content["annotations"] = []
    for image in found:
        instances = image["pred_instances"]
        for k in range(min(3, len(instances["scores"]))):
            left, top, right, bottom = instances["bboxes"][k].tolist()
            runs = instances["masks"][k]
            content["annotations"].append(
                dict(
                    id=len(content["annotations"]) + 1,
                    image_id=image["img_id"],
                    category_id=int(instances["labels"][k]) + 1,
                    bbox=[left, top, right - left, bottom - top],
                    segmentation=dict(runs, counts=runs["counts"].decode()),
                    area=float(coco_mask.area(runs)),
                    iscrowd=0,
                )
            )
    annotations.write_text(json.dumps(content))


def test_metrics_are_those_of_the_checkpoint(
    deployed: tuple[str, Deployed], data: Path, tmp_path: Path
) -> None:
    task, model = deployed
    if task == "detection":
        # Of an untrained detector, a metric is zero: let it be tested on what it finds.
        _, found = metrics(model, model.checkpoint, out=tmp_path / "first")
        annotations = data / "data/mini/annotations/instances_val.json"
        before = annotations.read_text()
        annotate(annotations, found)
    expected, _ = metrics(model, model.checkpoint, out=tmp_path / "eager")
    got, _ = metrics(model, model.file, *model.rest, out=tmp_path / "exported")
    if task == "detection":
        annotations.write_text(before)
    names = [name for name in expected if not name.endswith("time")]
    assert METRIC[task] in names and expected[METRIC[task]] > (0.3 if task == "detection" else 1)
    # Of random weights, scores are so close that rounding changes the order of some boxes.
    tolerance = 0.02 if task == "detection" else 0.2  # of 1, and of 100
    for name in names:
        assert got[name] == pytest.approx(expected[name], abs=tolerance), name


def infer(model: Deployed, file: Path, *options: object, out: Path) -> tuple[dict, list]:
    with_config = () if file == model.file else (model.config,)
    rest = model.rest if file == model.file else ()
    tool("infer")(*with_config, file, *options, *rest, "--out-dir", out)
    return tuple(json.loads((out / f"{name}.json").read_text()) for name in ("images", "results"))


def test_an_exported_file_predicts_like_its_checkpoint(
    deployed: tuple[str, Deployed], data: Path, tmp_path: Path
) -> None:
    task, model = deployed
    folder = data / "data/mini" / IMAGES.get(task, "images/val")
    options = [folder, "--batch-size", "4", "--size", "100"]
    options += ["--score-thr", "0.05"] if task == "detection" else []
    eager, exported = tmp_path / "eager", tmp_path / "exported"
    images, expected = infer(model, model.checkpoint, *options, out=eager)
    same, found = infer(model, model.file, *options, out=exported)
    assert images == same and len(images["images"]) == len(list(folder.iterdir()))
    assert len(expected) == len(found) >= len(images["images"])
    for theirs, ours in zip(expected, found, strict=True):
        assert theirs.keys() == ours.keys()
        if task == "segmentation":
            maps = [cv2.imread(str(o / theirs["index_map"]), -1) for o in (eager, exported)]
            assert (maps[0] == maps[1]).mean() > 0.99
        else:
            assert theirs["category_id"] == ours["category_id"]
            assert theirs["score"] == pytest.approx(ours["score"], abs=0.005)
        if task == "detection":
            assert theirs["bbox"] == pytest.approx(ours["bbox"], abs=0.2)
    for entry in images["images"]:
        drawn = cv2.imread(str(exported / "vis" / entry["file_name"]))
        assert drawn.shape == (entry["height"], entry["width"], 3)
        assert (drawn != cv2.imread(str(folder / entry["file_name"]))).any()


def test_an_error_that_a_user_can_fix_is_named(
    deployed: tuple[str, Deployed], tmp_path: Path
) -> None:
    task, model = deployed
    image = min(Path("data/mini/images/val").iterdir())
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(model.file.read_bytes()[:5000])
    (tmp_path / "file").touch()
    cases = [
        ([model.config, cut, image], ExportError, r"'.*cut.onnx' cannot be read: "),
        ([model.config, model.checkpoint, image, "--size", "0"], UsageError, "--size must be at l"),
        ([model.config, model.checkpoint, image, "--rest", "x"], UsageError, "--rest goes with"),
        (
            [model.config, model.checkpoint, image, "--classes", "bal"],
            UsageError,
            "no class 'bal'; did you mean ball",
        ),
        (
            [model.config, model.checkpoint, image, "--out-dir", tmp_path / "file"],
            UsageError,
            r"cannot write into the folder '.*file': File exists; name another one by --out-dir",
        ),
    ]
    if task == "detection":
        cases += [
            ([model.file, image], ExportError, "add --rest CHECKPOINT"),
            ([model.config, model.file, image], ExportError, "add --rest CHECKPOINT"),
        ]
    else:
        cases += [
            ([model.file, image, "--score-thr", "0.5"], UsageError, "--score-thr is for detectors"),
            ([model.file, image, "--rest", model.checkpoint], ExportError, "holds a whole"),
        ]
    for arguments, error, message in cases:
        with pytest.raises(error, match=message):
            tool("infer")(*arguments)
    with pytest.raises(SystemExit):
        tool("infer")(model.config, model.file)
    with pytest.raises(UsageError, match=r"cannot write into the folder '.*file': .* by --out"):
        tool("export")(model.config, model.checkpoint, "--out", tmp_path / "file" / "model.onnx")
    assert not list(Path().glob("predictions*"))


def test_a_broken_image_is_skipped_and_the_exit_status_is_1(
    deployed: tuple[str, Deployed], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    _, model = deployed
    folder = tmp_path / "images"
    folder.mkdir()
    for path in sorted(Path("data/mini/images/val").iterdir())[:2]:
        shutil.copy(path, folder)
    (folder / "broken.jpg").write_bytes(path.read_bytes()[:500])
    with pytest.raises(UsageError, match=r"1 of 3 inputs failed \(.*broken.jpg\); pred"):
        infer(model, model.checkpoint, folder, out=tmp_path / "out")
    assert (
        f"skipped: {folder / 'broken.jpg'} cannot be read or prepared (" in capsys.readouterr().err
    )
    assert len(list((tmp_path / "out" / "vis").iterdir())) == 2
    broken = folder / "broken.jpg"
    with pytest.raises(UsageError, match=r"1 of 1 inputs failed \(.*broken.jpg\)"):
        infer(model, model.checkpoint, broken, out=tmp_path / "none")


@pytest.mark.long
@pytest.mark.parametrize("deployed", ["classification"], indirect=True)
def test_the_weights_of_openvino_count_as_the_file(deployed, tmp_path, capsys) -> None:
    pytest.importorskip("openvino")
    _, model = deployed
    tool("export")(model.config, model.checkpoint, "--out", tmp_path / "model.xml")
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert f"fp32, {size / 2**20:.1f} MiB: " in capsys.readouterr().out
