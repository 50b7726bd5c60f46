"""What goes wrong in a training, and the one line that a user gets."""

import json
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import mmsmlp.datasets.mini.swap
from mmsmlp.engine.runner import run
from tests.helpers import losses, tool, write_config

pytest.importorskip("mmdet")

SHORT = (
    *("train_cfg.max_iters=3", "default_hooks.logger.interval=1"),
    *("default_hooks.checkpoint.interval=1", "train_dataloader.num_workers=0"),
    *("train_dataloader.persistent_workers=False", "train_dataloader.batch_size=2"),
)
NO_VALIDATION = ("val_cfg=None", "val_dataloader=None", "val_evaluator=None")
LAST = "the same command with --resume continues from the last checkpoint"


@pytest.fixture
def folder(tiny_mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny mini data set, to be spoilt."""
    shutil.copytree(tiny_mini, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mmsmlp.datasets.mini.swap, "ensure_mini", lambda root: Path(root))
    return tmp_path


@pytest.fixture
def train(folder: Path) -> Callable[..., str]:
    """Train as a user does; gives the line that it ends with, if it ends early."""
    main = tool("train")

    def train(
        task: str,
        *options: str,
        flags: tuple[str, ...] = ("--resume",),
        validation: tuple[str, ...] = NO_VALIDATION,
    ) -> str:
        arguments = (write_config(folder, task), "--mini", "--work-dir", "work", *flags)
        try:
            run(
                lambda: main(*arguments, "--cfg-options", *SHORT, *validation, *options),
                interrupted=LAST,
            )
        except SystemExit as end:
            return str(end.code)
        return ""

    return train


def checkpoints() -> list[str]:
    return sorted(path.name for path in Path("work").glob("*.p*th*"))


def spoil(split: str, change: Callable[[dict], None]) -> Path:
    path = Path("data/mini/annotations", f"instances_{split}.json")
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def test_a_full_disk_leaves_the_checkpoint_before(train: Callable) -> None:
    assert train("segmentation", "train_cfg.max_iters=1") == ""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As a full disk does, it lets small files pass.
    room = Path("work/iter_1.pth").stat().st_size - 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        line = train("segmentation")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    path = Path.cwd() / "work" / "iter_2.pth"
    assert line in (
        f"error: cannot write {str(path)!r}: File too large; {LAST}",
        f"error: cannot write 'work/iter_2.pth': File too large; {LAST}",
    )
    assert checkpoints() == ["iter_1.pth"]
    assert not list(Path("work").glob(".*.part"))
    assert train("segmentation") == ""
    assert len(losses(Path("work"))) == 4  # the second iteration twice


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_vanishes_or_is_cut_short_is_named(train: Callable, workers: int) -> None:
    images = sorted(Path("data/mini/images/train").iterdir())
    options = (
        f"train_dataloader.num_workers={workers}",
        f"train_dataloader.persistent_workers={bool(workers)}",
    )
    contents = [image.read_bytes() for image in images]
    for image in images:
        image.unlink()
    line = train("detection", *options)
    start, _, end = line.partition(".jpg'")
    assert start.startswith("error: cannot load 'data/mini/images/train/")
    assert (
        end == f": No such file or directory; fix the file or leave it out of the data set; {LAST}"
    )
    for image, content in zip(images, contents, strict=True):
        image.write_bytes(content[: len(content) // 2])
    line = train("detection", *options)
    start, _, end = line.partition(".jpg'")
    assert start.startswith("error: cannot load 'data/mini/images/train/")
    assert "failed to load image" in end and "\n" not in end


def test_an_image_that_is_missing_in_validation_is_named(train: Callable) -> None:
    for image in Path("data/mini/images/val").iterdir():
        image.write_bytes(b"")
    line = train("segmentation", "train_cfg.max_iters=1", validation=())
    assert line.startswith("error: cannot load 'data/mini/images/val/")
    assert checkpoints() == ["iter_1.pth"]


def test_dropped_annotations_are_counted_and_training_continues(
    train: Callable, capfd: pytest.CaptureFixture
) -> None:
    def change(content: dict) -> None:
        kinds = content["annotations"]
        kinds[0]["bbox"][2] = 0
        kinds[1]["bbox"][3] *= -1
        kinds[2]["category_id"] = 77
        kinds[3]["bbox"][0] = 10_000
        kinds[4]["image_id"] = 10**9
        change.ids = [kind["id"] for kind in kinds[:5]]
        change.count = len(kinds)

    path = spoil("train", change)
    assert train("detection") == ""
    ids = change.ids
    assert (
        f"{path}: 5 of {change.count} annotations are left out: "
        f"2 with an empty or inverted box (id {ids[0]}, {ids[1]}); "
        f"1 of category 77, which is not listed (id {ids[2]}); "
        f"1 with a box beyond its image (id {ids[3]}); "
        f"1 of image 1000000000, which is not listed (id {ids[4]})"
    ) in capfd.readouterr().out
    assert len(losses(Path("work"))) == 3


def test_training_continues_with_images_without_objects(train: Callable) -> None:
    path = spoil("train", lambda content: content["annotations"].clear())
    line = train("detection", "train_dataloader.dataset.filter_cfg.filter_empty_gt=False")
    assert line == ""
    assert len(losses(Path("work"))) == 3
    # By default they are left out, and nothing remains.
    assert train("detection", flags=()) == (
        f"error: {path}: no image is left to load. Does metainfo.classes name its categories, and "
        "do they have annotations?"
    )


def test_a_loss_that_is_nan_ends_the_run(train: Callable) -> None:
    line = train("segmentation", "optim_wrapper.optimizer.lr=1e30")
    start, _, end = line.partition(" is ")
    assert start == "error: the loss of iteration 2"
    assert end.partition(": ")[::2] == (
        "nan",
        f"lower the learning rate, or clip gradients by optim_wrapper.clip_grad; {LAST}",
    )
    assert checkpoints() == ["iter_1.pth"]


def test_a_work_directory_that_cannot_be_written_is_named(train: Callable) -> None:
    Path("work").write_text("a file is in the way")
    assert train("segmentation", flags=()) == (
        "error: cannot write into the work directory 'work': File exists; name another one by "
        "--work-dir"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_work_directory_is_named(train: Callable) -> None:
    Path("work").mkdir(mode=0o555)
    assert "cannot write into the work directory 'work': Permission denied" in train("segmentation")
