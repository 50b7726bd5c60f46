"""Predictions are those of the libraries' own API on the same files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmsmlp.apis.inference import Predictor
from mmsmlp.deploy import load_model
from mmsmlp.errors import UsageError
from mmsmlp.model_zoo.whole_models import build

from tests.apis.inference.conftest import configure  # isort: skip

tifffile = pytest.importorskip("tifffile")
RNG = np.random.default_rng(0)
SHAPE = (53, 77)  # odd, and not square


def smooth(channels: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """An image of bytes with structure, ``(H, W, channels)``."""
    coarse = np.random.default_rng(1).integers(0, 256, (6, 8, channels), dtype=np.uint8)
    return np.atleast_3d(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC))


def write(folder: Path, kind: str) -> Path:
    """An image file of some kind."""
    image = smooth(3)
    if kind == "exif":
        exif = Image.Exif()
        exif[274] = 6  # a quarter turn
        path = folder / "turned.jpg"
        Image.fromarray(image).save(path, exif=exif)
    elif kind == "tiff":
        path = folder / "rgb.tif"
        tifffile.imwrite(path, image, photometric="rgb")
    elif kind == "bands":
        path = folder / "bands.tif"
        tifffile.imwrite(path, smooth(6), photometric="minisblack", planarconfig="contig")
    else:
        path = folder / f"{kind}.png"
        pixels = dict(grey=image[..., 0], deep=image.astype(np.uint16) * 257, odd=image[:31, :17])
        cv2.imwrite(str(path), pixels.get(kind, image))
    return path


# How images are loaded, the channels of the model, and the file.
CASES: dict[str, tuple[dict[str, Any], int, str]] = {
    "png": (dict(), 3, "png"),
    "odd_size": (dict(), 3, "odd"),
    "grey_file": (dict(), 3, "grey"),
    "16_bits_as_8": (dict(), 3, "deep"),
    "16_bits": (dict(color_type="unchanged", to_float32=True), 3, "deep"),
    "exif": (dict(), 3, "exif"),
    "exif_ignored": (dict(color_type="color_ignore_orientation"), 3, "exif"),
    "tiff": (dict(), 3, "tiff"),
    "tifffile": (dict(imdecode_backend="tifffile", color_type="unchanged"), 3, "tiff"),
    "pillow": (dict(imdecode_backend="pillow"), 3, "exif"),
    "six_bands": (dict(imdecode_backend="tifffile", color_type="unchanged"), 6, "bands"),
    "one_channel": (dict(color_type="grayscale"), 1, "png"),
}


def predict(config: str, checkpoint: str, path: Path) -> Any:
    cfg = Config.fromfile(config)
    predictor = Predictor(load_model(cfg, checkpoint).model, cfg)
    (sample,) = predictor.predict([predictor.prepare(path)])
    return sample


@pytest.mark.parametrize("case", CASES)
def test_segmentor_predictions_match_mmseg(saved: Callable, tmp_path: Path, case: str) -> None:
    loading, channels, kind = CASES[case]
    path = write(tmp_path, kind)
    config, checkpoint = saved(configure("mmseg", channels, **loading))
    from mmseg.apis import inference_model, init_model

    cfg = Config.fromfile(config)
    cfg.test_pipeline = cfg.test_dataloader.dataset.pipeline  # where mmseg looks for it
    expected = inference_model(init_model(cfg, checkpoint, device="cpu"), str(path))
    found = predict(config, checkpoint, path)
    assert len(expected.pred_sem_seg.data.unique()) > 1
    assert torch.equal(found.pred_sem_seg.data, expected.pred_sem_seg.data)


@pytest.mark.parametrize("case", [case for case in CASES if case != "six_bands"])
def test_detector_predictions_match_mmdet(saved: Callable, tmp_path: Path, case: str) -> None:
    loading, channels, kind = CASES[case]
    path = write(tmp_path, kind)
    config, checkpoint = saved(configure("mmdet", channels, **loading))
    from mmdet.apis import inference_detector, init_detector

    model = init_detector(config, checkpoint, palette="random", device="cpu")
    expected = inference_detector(model, str(path)).pred_instances
    found = predict(config, checkpoint, path).pred_instances
    assert len(found) == len(expected) > 1
    for name in ("labels", "scores", "bboxes"):
        assert torch.equal(found[name], expected[name])


# mmpretrain's API reads images in its own way, whatever the pipeline loads them by.
@pytest.mark.parametrize("case", [case for case, (loading, *_) in CASES.items() if not loading])
def test_classifier_predictions_match_mmpretrain(
    saved: Callable, tmp_path: Path, case: str
) -> None:
    path = write(tmp_path, CASES[case][2])
    config, checkpoint = saved(configure("mmpretrain"))
    from mmpretrain.apis import ImageClassificationInferencer

    (expected,) = ImageClassificationInferencer(config, checkpoint, device="cpu")(str(path))
    found = predict(config, checkpoint, path)
    np.testing.assert_allclose(found.pred_score.numpy(), expected["pred_scores"], atol=1e-6)
    assert found.pred_label.item() == expected["pred_label"]


@pytest.mark.parametrize(
    ("case", "suffix"), [("png", "bmp"), ("tifffile", "tif"), ("one_channel", "bmp")]
)
def test_a_frame_is_read_as_its_file_would_be(
    saved: Callable, tmp_path: Path, case: str, suffix: str
) -> None:
    loading, channels, _ = CASES[case]
    path = tmp_path / f"frame.{suffix}"
    if suffix == "tif":
        tifffile.imwrite(path, smooth(3)[..., ::-1], photometric="rgb")
    else:
        cv2.imwrite(str(path), smooth(3))
    config, checkpoint = saved(configure("mmseg", channels, **loading))
    cfg = Config.fromfile(config)
    predictor = Predictor(load_model(cfg, checkpoint).model, cfg)
    expected, found = predictor.prepare(path), predictor.prepare(smooth(3))
    assert torch.equal(expected.data["inputs"], found.data["inputs"])
    np.testing.assert_array_equal(expected.picture, found.picture)
    assert found.picture.shape == (*SHAPE, 3)


def test_a_picture_shows_the_colours_of_an_rgb_file(saved: Callable, tmp_path: Path) -> None:
    path = write(tmp_path, "tiff")
    loading, channels, _ = CASES["tifffile"]
    config, checkpoint = saved(configure("mmseg", channels, **loading))
    cfg = Config.fromfile(config)
    picture = Predictor(load_model(cfg, checkpoint).model, cfg).prepare(path).picture
    np.testing.assert_array_equal(picture[..., ::-1], smooth(3))


@pytest.mark.parametrize("wrapper", ["ConcatDataset", "RepeatDataset"])
def test_a_wrapped_test_set_has_its_pipeline(saved: Callable, tmp_path: Path, wrapper: str) -> None:
    path = write(tmp_path, "png")
    cfg = configure("mmpretrain")
    config, checkpoint = saved(cfg)
    expected = predict(config, checkpoint, path).pred_score
    part = cfg.test_dataloader.dataset
    parts = dict(datasets=[part, part]) if wrapper == "ConcatDataset" else dict(dataset=part)
    cfg.test_dataloader.dataset = dict(type=wrapper, **parts)
    cfg.dump(config)
    assert torch.equal(predict(config, checkpoint, path).pred_score, expected)


@pytest.mark.parametrize("scope", ["mmdet", "mmpretrain", "mmseg"])
def test_a_batch_gives_the_same_results_as_single_images(
    saved: Callable, tmp_path: Path, scope: str
) -> None:
    cfg = configure(scope)
    predictor = Predictor(load_model(cfg, saved(cfg)[1]).model, cfg, 40)
    paths = [write(tmp_path, kind) for kind in ("png", "grey", "odd", "tiff")]
    prepared = [predictor.prepare(path) for path in paths]
    assert prepared[0].data["inputs"].shape[1:] == (40, 58)
    name = dict(mmdet="pred_instances", mmseg="pred_sem_seg", mmpretrain="pred_score")[scope]
    for one, found in zip(prepared, predictor.predict(prepared), strict=True):
        (alone,) = predictor.predict([one])
        found, alone = found.get(name), alone.get(name)
        if scope == "mmdet":
            found, alone = found.scores, alone.scores
        elif scope == "mmseg":
            found, alone = found.data.float(), alone.data.float()
        assert found.shape == alone.shape and ((found - alone).abs() < 1e-5).float().mean() > 0.999


def test_a_model_of_test_time_augmentation_predicts(tmp_path: Path) -> None:
    cfg = configure("mmseg")
    load, resize, annotations, pack = cfg.test_dataloader.dataset.pipeline
    flips = [dict(type="RandomFlip", prob=prob, direction="horizontal") for prob in (0.0, 1.0)]
    steps = dict(type="TestTimeAug", transforms=[[resize], flips, [annotations], [pack]])
    cfg.test_dataloader.dataset.pipeline = [load, steps]
    cfg.model = dict(type="SegTTAModel", module=cfg.model)
    predictor = Predictor(build(cfg), cfg)
    prepared = [predictor.prepare(write(tmp_path, kind)) for kind in ("png", "odd")]
    samples = predictor.predict(prepared)
    assert [sample.pred_sem_seg.shape for sample in samples] == [SHAPE, (31, 17)]


def test_a_config_that_cannot_predict_is_refused(saved: Callable) -> None:
    cfg = configure("mmseg")
    model = load_model(cfg, saved(cfg)[1]).model
    cfg.test_dataloader.dataset.pipeline = [dict(type="NoSuchStep")]
    with pytest.raises(UsageError, match=r"the test pipeline cannot be built: KeyError: .*NoSuch"):
        Predictor(model, cfg)
    cfg.test_dataloader.dataset.pipeline = []
    with pytest.raises(UsageError, match="the config has no test pipeline"):
        Predictor(model, cfg)
    cfg.default_scope = "mmpose"
    with pytest.raises(UsageError, match=r"default_scope must be one of .* got 'mmpose'"):
        build(cfg)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
def test_an_image_is_read_completely_or_rejected(
    saved: Callable, tmp_path: Path, suffix: str
) -> None:
    cfg = configure("mmseg")
    predictor = Predictor(load_model(cfg, saved(cfg)[1]).model, cfg)
    path = tmp_path / f"image{suffix}"
    cv2.imwrite(str(path), RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    content = path.read_bytes()
    assert predictor.prepare(path).picture.shape == (40, 50, 3)
    for length in (0, 30, len(content) // 2, len(content) - 20):
        path.write_bytes(content[:length])
        with pytest.raises(Exception, match=r"\w"):
            predictor.prepare(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        predictor.prepare(path)
