"""Folders of masks and of classes as people bring them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmsmlp.datasets.custom import read_class_folders, read_masks
from mmsmlp.engine.hooks.checks import differing_classes
from mmsmlp.engine.runner.data_folders import check_data_folders
from mmsmlp.errors import DataError, UsageError

from tests.datasets.custom.scenes import new_dataset, paint, turned, write_image  # isort: skip

SIZE = (64, 48)


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def labels_of(image: np.ndarray) -> np.ndarray:
    """0 for the ground, 1 for the red object, 2 for the green one, from the colours."""
    values = image.astype(int)
    red, green = values[..., 0] - values[..., 1] > 60, values[..., 1] - values[..., 0] > 60
    return (red + 2 * green).astype(np.uint8)


def make_pairs(
    write: Callable[[np.ndarray, Path], None], suffix: str = ".png", orientation: int = 1
) -> None:
    for i in range(4):
        image, _ = paint(i, SIZE)
        write_image(Path(f"images/a{i}{suffix}"), image, orientation)
        Path("masks").mkdir(exist_ok=True)
        write(labels_of(image), Path(f"masks/a{i}.png"))


def index(labels: np.ndarray, path: Path) -> None:
    Image.fromarray(labels).save(path)


def palette(labels: np.ndarray, path: Path) -> None:
    image = Image.fromarray(labels, mode="P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(path)


def own_palettes(labels: np.ndarray, path: Path) -> None:
    """Each file numbers its colours anew."""
    if int(path.stem[1:]) % 2:
        palette(labels, path)
        return
    image = Image.fromarray(np.array([2, 0, 1], np.uint8)[labels], mode="P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 0])
    image.save(path)


def colours(labels: np.ndarray, path: Path) -> None:
    table = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)
    Image.fromarray(table[labels]).save(path)


def transparent(labels: np.ndarray, path: Path) -> None:
    alpha = np.full_like(labels, 255)
    Image.fromarray(np.dstack([labels, labels, labels, alpha])).save(path)


def black_and_white(labels: np.ndarray, path: Path) -> None:
    Image.fromarray((labels > 0).astype(np.uint8) * 255).save(path)


def grey_levels(labels: np.ndarray, path: Path) -> None:
    Image.fromarray(labels * 127).save(path)


def sixteen_bits(labels: np.ndarray, path: Path) -> None:
    Image.fromarray(labels.astype(np.uint16) * 1000).save(path)


def half(labels: np.ndarray, path: Path) -> None:
    Image.fromarray(labels[::2, ::2]).save(path)


def with_an_end(labels: np.ndarray, path: Path) -> None:
    index(labels, path.with_name(f"{path.stem}_gtFine.png"))


def void(labels: np.ndarray, path: Path) -> None:
    index(np.where(labels == 2, 255, labels).astype(np.uint8), path)


FORMS: dict[str, tuple[Callable[[np.ndarray, Path], None], str, list[int]]] = {
    "index": (index, "", [0, 1, 2]),
    "palette": (palette, "", [0, 1, 2]),
    "a palette for each": (own_palettes, "fixed: colours, numbered in this order", [0, 2, 1]),
    "colours": (colours, "fixed: colours, numbered in this order: 3", [0, 2, 1]),
    "transparent": (transparent, "", [0, 1, 2]),
    "0 and 255": (
        black_and_white,
        "fixed: labels, numbered in this order: 2 (class 0, class 255)",
        [0, 1, 1],
    ),
    "grey levels": (grey_levels, "fixed: labels", [0, 1, 2]),
    "sixteen bits": (sixteen_bits, "fixed: labels", [0, 1, 2]),
    "half the size": (
        half,
        "of another size or EXIF rotation than their image, moved: 4",
        [0, 1, 2],
    ),
    "names with an end": (with_an_end, "", [0, 1, 2]),
    "void": (void, "masks with the label 255, which is not learnt: 4", [0, 1, 255]),
}


def trained_labels(split: str) -> dict[str, np.ndarray]:
    """Labels of a written config, as mmseg pairs and reads them, by names of images."""
    cfg = Config.fromfile("mine.py")[f"{split}_dataloader"].dataset
    found = {}
    for name in Path(cfg.ann_file).read_text().splitlines():
        image = Path(cfg.data_prefix.img_path, name + cfg.img_suffix)
        mask = Path(cfg.data_prefix.seg_map_path, name + cfg.seg_map_suffix)
        assert image.is_file()
        found[image.name] = np.asarray(Image.open(mask))
    return found


@pytest.mark.parametrize("form", FORMS)
def test_masks_of_any_form_get_the_labels_of_their_objects(form: str) -> None:
    write, line, labels = FORMS[form]
    make_pairs(write)
    said = new_dataset("images", "masks")
    assert line in "\n".join(said) and said[0].startswith("masks: 4 images with masks")
    found = trained_labels("train") | trained_labels("val")
    assert len(found) == 4
    for i in range(4):
        wanted = np.array(labels)[labels_of(paint(i, SIZE)[0])]
        assert found[f"a{i}.png"].shape == wanted.shape
        assert (found[f"a{i}.png"] == wanted).mean() > (0.95 if form == "half the size" else 0.999)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("stored", [False, True])
def test_masks_for_the_image_as_it_is_stored_are_turned(orientation: int, stored: bool) -> None:
    back = {6: 8, 8: 6}.get(orientation, orientation) if stored else 1
    make_pairs(
        lambda m, path: index(np.ascontiguousarray(turned(m, back)), path), ".jpg", orientation
    )
    said = "\n".join(new_dataset("images", "masks"))
    assert ("of another size or EXIF rotation than their image, moved: 4" in said) == stored
    for name, found in (trained_labels("train") | trained_labels("val")).items():
        assert np.array_equal(found, labels_of(paint(int(name[1]), SIZE)[0]))


def test_images_without_a_good_mask_are_left_out() -> None:
    make_pairs(index)
    Path("masks/a0.png").unlink()
    Path("masks/a1.png").write_bytes(b"no image")
    Image.new("L", (30, 10)).save("masks/a2.png")
    data = read_masks(Path("images"), Path("masks"))
    assert list(data.pairs) == ["a3.png"]
    said = "\n".join(data.report)
    assert "images without a mask: 1 (a0.png)" in said and "cannot be read: 1 (a1.png)" in said
    assert "masks of another shape than their image: 1 (a2.png)" in said


def test_labels_beyond_the_classes_are_not_learnt() -> None:
    make_pairs(index)
    said = new_dataset("images", "masks", "--classes", "ground", "box")
    assert "  fixed: labels beyond the classes, which are not learnt: 1 (2)" in said
    assert {int(v) for m in trained_labels("train").values() for v in np.unique(m)} == {0, 1, 255}


def test_images_and_masks_may_each_have_an_end() -> None:
    make_pairs(index)
    for i in range(4):
        Path(f"images/a{i}.png").rename(f"images/a{i}_leftImg8bit.png")
        Path(f"masks/a{i}.png").rename(f"masks/a{i}_gtFine_labelTrainIds.png")
    Path("masks/a0_leftImg8bit.txt").write_text("no image")
    data = read_masks(Path("images"), Path("masks"))
    assert data.pairs == {
        f"a{i}_leftImg8bit.png": f"a{i}_gtFine_labelTrainIds.png" for i in range(4)
    }
    assert "4 images with masks" in new_dataset("images", "masks")[0]


def test_the_end_of_most_masks_is_taken() -> None:
    make_pairs(with_an_end)
    Path("masks/a0_gtFine.png").rename("masks/a0.png")
    data = read_masks(Path("images"), Path("masks"))
    assert data.pairs == {f"a{i}.png": f"a{i}_gtFine.png" for i in (1, 2, 3)}
    said = "\n".join(data.report)
    assert "images without a mask: 1 (a0.png)" in said
    assert "masks without an image: 1 (a0.png)" in said


def test_masks_as_photos_are_refused() -> None:
    make_pairs(lambda m, path: colours((np.random.rand(*m.shape) * 3).astype(np.uint8), path))
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save("masks/a0.png")
    with pytest.raises(DataError, match=r"its masks hold \d+ colours; maps of up to 200 labels"):
        read_masks(Path("images"), Path("masks"))
    with pytest.raises(DataError, match="no mask in nowhere is called like an image in images"):
        read_masks(Path("images"), Path("nowhere"))


def make_folders(splits: tuple[str, ...] = ("train", "val")) -> None:
    for split in splits:
        for label, name in enumerate(("ant", "bee cat", "cow")):
            for i in range(3):
                path = Path("data", split, name, f"{i}.PNG")
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (40, 40), (80 * label, 0, 0)).save(path)


def test_labels_are_those_of_training_for_any_folders() -> None:
    make_folders()
    for i in range(3):
        Path(f"data/val/ant/{i}.PNG").unlink()
    Path("data/train/.ipynb_checkpoints").mkdir()
    Image.new("RGB", (40, 40)).save("data/train/.ipynb_checkpoints/x.png")
    Path("data/train/ant/._0.PNG").write_bytes(b"mac")
    Path("data/train/empty").mkdir()
    Image.new("RGB", (40, 40)).save("data/train/loose.png")
    Path("data/val/dog").mkdir()
    Image.new("RGB", (40, 40)).save("data/val/dog/0.png")
    Path("data/train/cow/0.PNG").write_bytes(b"")
    said = new_dataset("data")
    assert "  left out: hidden folders, which are no classes: 1 (train/.ipynb_checkpoints)" in said
    assert "  folders without an image to train on: 2 (dog, empty)" in said
    assert "  left out: images of classes that training has not: 1 (val/dog/0.png)" in said
    assert "  left out: images outside of a folder of a class: 1 (train/loose.png)" in said
    assert "  classes without an image to evaluate on: 1 (ant)" in said
    assert Path("mine_val.txt").read_text().splitlines()[0] == "val/bee cat/0.PNG 1"
    lines = Path("mine_train.txt").read_text().splitlines()
    assert len(lines) == 8 and lines[-1] == "train/cow/2.PNG 2"
    cfg = Config.fromfile("mine.py")
    assert cfg.classes == ("ant", "bee cat", "cow") and cfg.model.head.num_classes == 3


def test_folders_without_splits_are_divided() -> None:
    make_folders(("",))
    new_dataset("data")
    texts = [Path(f"mine_{split}.txt").read_text().splitlines() for split in ("train", "val")]
    assert (len(texts[0]), len(texts[1])) == (7, 2)
    assert all(line.endswith(f" {'abc'.index(line[0])}") for line in texts[0] + texts[1])


def test_a_single_class_is_refused() -> None:
    make_folders(("",))
    with pytest.raises(DataError, match=r"there is one class to train on \(data\)"):
        read_class_folders(Path("."))
    with pytest.raises(DataError, match="there is no image in folders of data/ant"):
        read_class_folders(Path("data/ant"))


def mmseg_config(**dataset: object) -> Config:
    pytest.importorskip("mmseg")
    import mmseg.datasets  # noqa: F401

    pipeline = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations")]
    base = dict(
        type="BaseSegDataset",
        img_suffix=".png",
        metainfo=dict(classes=("ground", "box", "pea")),
        data_prefix=dict(img_path="images", seg_map_path="masks"),
        pipeline=pipeline,
    )
    return Config(
        dict(default_scope="mmseg", train_dataloader=dict(dataset={**base, **dataset}), model={})
    )


@pytest.mark.parametrize(
    ("write", "dataset", "message"),
    [
        (colours, {}, "mask masks/a0.png has 3 channels, and mmseg needs maps of labels"),
        (transparent, {}, "mask masks/a0.png has 4 channels"),
        (half, {}, "mask masks/a0.png is 32x24, and image images/a0.png 64x48"),
        (with_an_end, {}, "4 of 4 masks are missing: masks/a0.png"),
        (index, dict(img_suffix=".jpg"), r"no image in images ends in \.jpg .*: 4 \.png"),
        (index, dict(metainfo=dict(classes=("a", "b"))), "labels 2, and there are 2 classes"),
    ],
)
def test_a_run_on_masks_that_it_would_fail_at_is_refused(
    write: Callable, dataset: dict, message: str
) -> None:
    make_pairs(write)
    with pytest.raises(UsageError, match=message):
        check_data_folders(mmseg_config(**dataset), "train")


def test_a_run_on_masks_of_0_and_255_lists_unlearnt_labels(capsys: pytest.CaptureFixture) -> None:
    make_pairs(index)
    check_data_folders(mmseg_config(), "train")
    assert "255" not in "".join(capsys.readouterr())
    make_pairs(black_and_white)
    check_data_folders(mmseg_config(metainfo=dict(classes=("ground", "thing"))), "train")
    said = "".join(capsys.readouterr())
    assert "label 255, which is ignored, is in 4 of 4 masks, and there is no pixel of thing" in said


def folders_config() -> Config:
    pytest.importorskip("mmpretrain")
    import mmpretrain.datasets  # noqa: F401

    loaders = {
        f"{split}_dataloader": dict(
            dataset=dict(type="CustomDataset", data_root="data", data_prefix=split)
        )
        for split in ("train", "val")
    }
    return Config(dict(default_scope="mmpretrain", model=dict(head=dict(num_classes=3)), **loaders))


def test_folders_that_would_shift_labels_are_refused() -> None:
    make_folders()
    check_data_folders(folders_config(), "train", "val")
    Path("data/train/.ipynb_checkpoints").mkdir()
    with pytest.raises(UsageError, match=r"count as classes: \.ipynb_checkpoints"):
        check_data_folders(folders_config(), "train")
    Path("data/train/.ipynb_checkpoints").rmdir()
    Path("data/val/ant").rename("data/val/zebra")
    with pytest.raises(UsageError, match=r"val_dataloader: .* than training \(ant, zebra\)"):
        check_data_folders(folders_config(), "train", "val")


def test_classes_of_a_checkpoint_at_other_labels_are_an_error() -> None:
    classes = ("ant", "bee", "cow")
    assert differing_classes(classes, ["Ant", "bee", "cow"]) is None
    assert differing_classes(classes, ("x", "y", "z")) is None
    assert differing_classes(None, classes) is None
    line = differing_classes(classes, ("bee", "cow", "dog"))
    assert "ant, bee, cow, and the data set bee, cow, dog: labels would mean other classes" in line


def test_unknown_combinations_of_arguments_are_refused() -> None:
    make_folders()
    for arguments, message in (
        (["data", "--classes", "ant"], "--val and --classes go with annotations"),
        (["none"], "there is no folder 'none'"),
        (["data", "--batch-size", 0], "--batch-size must be at least 1, got 0"),
        (["data", "--val-share", 1], "--val-share must be between 0 and 1"),
        (["data", "data", "--batch-size", 1], "at least 2 for UperNet's norms, got 1"),
        (["data", "--backbone", "s2mlp_wide", "--val-share", 2], "--val-share"),
    ):
        with pytest.raises(UsageError, match=message):
            new_dataset(*arguments)
    assert not list(Path().glob("mine*"))
