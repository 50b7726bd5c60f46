import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mmsmlp.datasets.mini import dataset, ensure_mini, writer

LEAST = {"scenes": (2, 1), "portraits": (1, 1)}

# What fingerprint() gives, by VERSION.
FINGERPRINTS: dict[int, tuple[str, list[float]]] = {
    2: ("f7a6c5b8f78a26e6", [89.8804, 6.3698, 0.9908, 0.0654, 119.8441, 7.067]),
}


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def forbid(*args, **kwargs):
    raise AssertionError("the set was generated again")


def test_same_seed_same_bytes_for_any_number_of_workers(mini, tiny, tmp_path):
    serial = ensure_mini(tmp_path / "serial", workers=1, **tiny)
    threaded = ensure_mini(tmp_path / "threaded", workers=5, **tiny)
    assert digests(serial) == digests(threaded) == digests(mini)


def test_an_image_depends_on_its_seed_and_index_only(mini, tmp_path):
    smaller = digests(ensure_mini(tmp_path / "smaller", **LEAST))
    other_seed = digests(ensure_mini(tmp_path / "other", seed=1, **LEAST))
    full = digests(mini)
    images = [name for name in smaller if not name.endswith(".json")]
    assert len(images) == 2 * (2 + 1) + 5 * (1 + 1)
    assert all(smaller[name] == full[name] for name in images)
    assert not any(other_seed[name] == full[name] for name in images)


def fingerprint(root: Path) -> tuple[str, list[float]]:
    """Give what tells a set from those of another generator, on whatever machine.

    Args:
        root: A set with the images as arrays, since encoders differ between libraries.

    Returns:
        A digest of all that is whole numbers by nature, and, for photographs, index maps and
        portraits, the mean and the mean difference of neighbours. The last bits of floats, which
        differ between machines, change one pixel in 10,000 by a grey level, and now and then an
        outline by a pixel: no rounding of pixels would be safe, but means hardly move.
    """
    exact, means = [writer._JPEG], []
    for path in sorted(root.glob("annotations/*.json")):
        # What else follows from the outlines.
        exact.append(json.loads(path.read_text(), object_hook=without_outlines))
    for folder in ("images", "semantic", "classification"):
        paths = sorted((root / folder).rglob("*.npy"))
        images = [np.load(path).astype(float) for path in paths]
        exact += [str(path.relative_to(root)) for path in paths]
        exact += [image.shape for image in images]
        means.append(np.mean([image.mean() for image in images]))
        means.append(np.mean([np.abs(np.diff(image, axis=1)).mean() for image in images]))
    digest = hashlib.sha256(json.dumps(exact, sort_keys=True).encode()).hexdigest()
    return digest[:16], [round(float(mean), 4) for mean in means]


def without_outlines(item: dict) -> dict:
    return {key: item[key] for key in item if key not in ("area", "bbox", "segmentation")}


def test_other_data_are_another_version(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "_write_image", np.save)
    found = fingerprint(ensure_mini(tmp_path / "mini", **LEAST))
    digest, means = FINGERPRINTS.get(dataset.VERSION, ("", []))
    assert found == (digest, pytest.approx(means, abs=2e-3)), (
        f"the generator gives other data than it did as version {dataset.VERSION}, and sets made "
        "before would be kept: raise VERSION in mmsmlp/datasets/mini/dataset.py, "
        f"and add to FINGERPRINTS what belongs to it, {found}"
    )


def test_no_two_images_are_equal(mini):
    found = digests(mini)
    pictures = [digest for name, digest in found.items() if name.endswith(".jpg")]
    assert len(pictures) == len(set(pictures)) == 9 + 15


def test_a_complete_set_is_left_alone(mini, tiny, monkeypatch):
    before = digests(mini)
    monkeypatch.setattr(dataset, "write_set", forbid)
    assert ensure_mini(str(mini), **tiny) == mini
    assert digests(mini) == before


def test_meta_describes_the_set(mini):
    meta = json.loads((mini / "meta.json").read_text())
    assert meta["seed"] == 0
    assert meta["classes"] == ["ball", "box", "cone", "ring", "star"]
    for split, scenes in meta["scenes"].items():
        assert len(list((mini / "images" / split).iterdir())) == scenes
        assert len(list((mini / "semantic" / split).iterdir())) == scenes
        for name in meta["classes"]:
            folder = mini / "classification" / split / name
            assert len(list(folder.iterdir())) == meta["portraits_per_class"][split]


@pytest.mark.parametrize("change", ["version", "seed", "size"])
def test_another_set_is_replaced(tmp_path, monkeypatch, capsys, change):
    root = ensure_mini(tmp_path / "mini", **LEAST)
    (root / "left-over").touch()
    wanted = dict(LEAST)
    if change == "version":
        monkeypatch.setattr(dataset, "VERSION", dataset.VERSION + 1)
    elif change == "seed":
        wanted["seed"] = 7
    else:
        wanted["scenes"] = (1, 1)
    capsys.readouterr()
    ensure_mini(root, **wanted)
    assert "Replacing" in capsys.readouterr().err
    assert not (root / "left-over").exists()
    monkeypatch.setattr(dataset, "write_set", forbid)
    ensure_mini(root, **wanted)


def interrupt_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def render(*args):
        drawn.append(1)
        if len(drawn) > count:
            raise KeyboardInterrupt
        return original(*args)

    original = writer.render_scene
    monkeypatch.setattr(writer, "render_scene", render)


def test_an_interrupted_run_leaves_nothing(tiny, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_after(3, patch)
        with pytest.raises(KeyboardInterrupt):
            ensure_mini(tmp_path / "mini", **tiny)
    assert [path.name for path in tmp_path.iterdir()] == [".mini.lock"]


def test_an_interrupted_replacement_keeps_the_old_set(tmp_path, monkeypatch):
    root = ensure_mini(tmp_path / "mini", **LEAST)
    before = digests(root)
    interrupt_after(1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        ensure_mini(root, seed=1, **LEAST)
    assert digests(root) == before


def test_incomplete_files_of_a_killed_run_are_removed(tmp_path):
    for role in ("partial", "old"):
        folder = tmp_path / f".mini.{role}" / "images" / "train"
        folder.mkdir(parents=True)
        (folder / "999999.jpg").touch()
    root = ensure_mini(tmp_path / "mini", **LEAST)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mini.lock", "mini"]
    assert not list(root.rglob("999999.jpg"))


def test_of_several_at_once_one_generates(tmp_path, monkeypatch):
    calls = []

    def counted(*args, **kwargs):
        calls.append(1)
        original(*args, **kwargs)

    original = dataset.write_set
    monkeypatch.setattr(dataset, "write_set", counted)
    with ThreadPoolExecutor(4) as pool:
        roots = list(pool.map(lambda _: ensure_mini(tmp_path / "mini", **LEAST), range(4)))
    assert roots == [tmp_path / "mini"] * 4
    assert len(calls) == 1


@pytest.mark.parametrize("meta", [None, "{}", "[1]", '{"format": "coco"}', "not json"])
def test_a_foreign_folder_is_not_touched(tmp_path, meta):
    root = tmp_path / "mini"
    root.mkdir()
    (root / "thesis.txt").write_text("years of work")
    if meta is not None:
        (root / "meta.json").write_text(meta)
    before = digests(root)
    with pytest.raises(FileExistsError, match=re.escape(str(root))):
        ensure_mini(root, **LEAST)
    assert digests(root) == before


def test_a_file_in_the_way_is_not_touched(tmp_path):
    (tmp_path / "mini").write_text("mine")
    with pytest.raises(FileExistsError, match="mini"):
        ensure_mini(tmp_path / "mini", **LEAST)
    assert (tmp_path / "mini").read_text() == "mine"


def test_an_empty_folder_and_a_link_are_filled(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "mini").symlink_to(tmp_path / "disk")
    ensure_mini(tmp_path / "mini", **LEAST)
    assert (tmp_path / "mini").is_symlink()
    assert (tmp_path / "disk" / "meta.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed"),
        ({"scenes": (0, 4)}, "scenes"),
        ({"scenes": (4, 4, 4)}, "scenes"),
        ({"portraits": (4, -1)}, "portraits"),
        ({"workers": 0}, "workers"),
    ],
)
def test_bad_arguments_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        ensure_mini(tmp_path / "mini", **arguments)
    assert not any(tmp_path.iterdir())
