"""Models of the page against the libraries' own inference on the same image."""

from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmsmlp.apis.demo.models import MAX_INPUT, Model
from mmsmlp.errors import UsageError


def paths(work_dirs: Path, kind: str) -> tuple[str, str]:
    return str(work_dirs / kind / f"{kind}.py"), str(work_dirs / kind / "iter_1.pth")


def model_of(work_dirs: Path, kind: str) -> Model:
    config, checkpoint = paths(work_dirs, kind)
    return Model(Config.fromfile(config), checkpoint, "cpu")


def test_detector_predictions_match_mmdet(work_dirs: Path, image: Path) -> None:
    from mmdet.apis import inference_detector, init_detector

    prediction = model_of(work_dirs, "detector").predict(str(image))
    found = prediction.sample.pred_instances
    expected = inference_detector(
        init_detector(*paths(work_dirs, "detector"), device="cpu"), str(image)
    ).pred_instances
    assert prediction.input_size == (96, 128) and prediction.scale == 1
    assert len(expected) > 3
    torch.testing.assert_close(found.scores, expected.scores)
    torch.testing.assert_close(found.bboxes, expected.bboxes)
    assert np.mean(np.asarray(found.masks) == np.asarray(expected.masks)) > 0.9999


@pytest.mark.parametrize("kind", ["segmentor", "detector"])
def test_a_grey_image_of_16_bits_is_found_by_the_pipeline_of_the_config(
    work_dirs: Path, image: Path, tmp_path: Path, kind: str
) -> None:
    """One that loads grey values as they are; the picture beside it has the frame of these."""
    config, checkpoint = paths(work_dirs, kind)
    cfg = Config.fromfile(config)
    deep = mmcv.imread(str(image), "grayscale").astype(np.uint16) * 257
    mmcv.imwrite(deep, str(tmp_path / "deep.png"))
    cfg.test_dataloader.dataset.pipeline[0].update(color_type="grayscale")
    cfg.model.backbone.in_channels = 1
    cfg.model.data_preprocessor.update(mean=[100.0], std=[50.0], bgr_to_rgb=False)
    weights = torch.load(checkpoint, weights_only=False)
    stem = [key for key in weights["state_dict"] if weights["state_dict"][key].shape[1:2] == (3,)]
    weights["state_dict"][stem[0]] = weights["state_dict"][stem[0]][:, :1]
    torch.save(weights, tmp_path / "grey.pth")
    prediction = Model(cfg, str(tmp_path / "grey.pth"), "cpu").predict(str(tmp_path / "deep.png"))
    assert prediction.image.shape == (480, 640, 3)


def test_segmentor_predictions_match_mmseg(work_dirs: Path, image: Path) -> None:
    from mmseg.apis import inference_model, init_model

    prediction = model_of(work_dirs, "segmentor").predict(str(image))
    config, checkpoint = paths(work_dirs, "segmentor")
    cfg = Config.fromfile(config)
    cfg.test_pipeline = cfg.test_dataloader.dataset.pipeline  # where mmseg looks for it
    expected = inference_model(init_model(cfg, checkpoint, device="cpu"), str(image))
    expected = expected.pred_sem_seg.data
    assert expected.shape == (1, 480, 640) and len(expected.unique()) > 1
    assert (prediction.sample.pred_sem_seg.data == expected).float().mean() > 0.9999


def test_classifier_predictions_match_mmpretrain(work_dirs: Path, image: Path) -> None:
    from mmpretrain.apis import ImageClassificationInferencer

    config, checkpoint = paths(work_dirs, "classifier")
    inferencer = ImageClassificationInferencer(config, checkpoint, device="cpu")
    (expected,) = inferencer(str(image))
    prediction = model_of(work_dirs, "classifier").predict(str(image))
    assert prediction.input_size == (64, 64)
    torch.testing.assert_close(
        prediction.sample.pred_score, torch.as_tensor(expected["pred_scores"])
    )


@pytest.mark.parametrize("kind", ["detector", "segmentor", "classifier"])
def test_a_small_image_is_drawn_larger_and_found_in_its_own_pixels(
    work_dirs: Path, image: Path, tmp_path: Path, kind: str
) -> None:
    path = str(tmp_path / "small.png")
    mmcv.imwrite(mmcv.imresize(mmcv.imread(str(image)), (160, 120)), path)
    model = model_of(work_dirs, kind)
    prediction = model.predict(path, 64)
    assert prediction.input_size == (64, 85) and prediction.scale == 4
    assert prediction.image.shape == (480, 640, 3)
    drawn = model.draw(prediction, 0.0)
    assert drawn.shape[2] == 3 and drawn.shape[1] == pytest.approx(640, abs=2)
    np.testing.assert_array_equal(drawn, model.draw(prediction, 0.0))
    if kind == "detector":
        boxes = prediction.sample.pred_instances.bboxes
        assert boxes.max() > 200 and (boxes <= torch.tensor([640, 480, 640, 480])).all()


def test_an_input_is_bounded(work_dirs: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(work_dirs, "segmentor")
    monkeypatch.setattr("mmsmlp.apis.demo.models.MAX_INPUT", 48 * 64)
    for resolution in (None, 96):
        prediction = model.predict(str(image), resolution)
        assert prediction.input_size == (48, 64) and prediction.reduced
        assert prediction.sample.pred_sem_seg.data.shape == (1, 480, 640)
    assert not model.predict(str(image), 48).reduced
    assert max(800 * 1344, 640 * 2048) <= MAX_INPUT  # of COCO's recipes, and of ADE20K's


@pytest.mark.parametrize("kind", ["detector", "segmentor"])
def test_fields_are_of_the_point(work_dirs: Path, image: Path, kind: str) -> None:
    model = model_of(work_dirs, kind)
    backbone = model._network.backbone
    # Without mixing, a token of the first map knows its patch alone.
    for block in backbone.stages[0].blocks:
        block.forward = lambda x: x
    fields = model.fields(str(image), (493, 124), 90).stages
    assert {field.shape for field in fields} == {(90, 120)}
    expected = np.zeros((90, 120), bool)
    expected[20:24, 92:96] = True  # row 23 and column 92, in patches of 4x4
    np.testing.assert_array_equal(fields[0] > 0, expected)


def test_fields_of_a_classifier_cover_the_complete_image(work_dirs: Path, image: Path) -> None:
    (field,) = model_of(work_dirs, "classifier").fields(str(image), (0, 240)).stages
    assert field.shape == (80, 106)  # without the crop to 64x64
    assert (field > 0).all()


def test_a_config_that_cannot_predict_is_refused(work_dirs: Path) -> None:
    config, checkpoint = paths(work_dirs, "detector")
    cfg = Config.fromfile(config)
    cfg.pop("test_dataloader")
    with pytest.raises(UsageError, match="the config has no test pipeline"):
        Model(cfg, checkpoint, "cpu")
    cfg.default_scope = "mmpose"
    with pytest.raises(UsageError, match=r"default_scope must be one of .* got 'mmpose'"):
        Model(cfg, checkpoint, "cpu")
