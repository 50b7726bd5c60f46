"""A file and its config predict as the checkpoint: what a model does around its graph included."""

from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmsmlp.apis.inference import Predictor
from mmsmlp.deploy import config_of, use_exported
from mmsmlp.deploy.checking import check_predictions
from mmsmlp.deploy.metadata import metadata_of
from mmsmlp.deploy.parts import flatten, parts_of
from mmsmlp.deploy.tracing import aligned_matrix, trace
from mmsmlp.errors import ExportError
from mmsmlp.model_zoo.whole_models import build

from tests.apis.inference.conftest import META, configure, randomise  # isort: skip

MULTI_LABEL = dict(type="MultiLabelLinearClsHead", num_classes=5, in_channels=16, thr=0.45)
ONE_CLASS = dict(
    num_classes=2,
    out_channels=1,
    threshold=0.52,
    loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=True),
)
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "slide": ("mmseg", dict(test_cfg=dict(mode="slide", crop_size=(32, 32), stride=(20, 20)))),
    "threshold": ("mmseg", dict(decode_head=ONE_CLASS)),
    "align_corners": ("mmseg", dict(decode_head=dict(align_corners=True))),
    "six_bands": ("mmseg", {}),
    "several_labels": ("mmpretrain", dict(head=dict(MULTI_LABEL, _delete_=True))),
    "softmax": ("mmpretrain", {}),
}


class Held:
    """What stands for a file: the form of export, and its metadata."""

    def __init__(self, model: nn.Module, cfg: Config) -> None:
        eager, self.form = parts_of(model)
        with torch.no_grad():
            _, nest = flatten(eager.results(torch.rand(1, eager.channels, 64, 64)))
        self.metadata = metadata_of(eager, nest, model.data_preprocessor, META, cfg, "fp32")

    @torch.no_grad()
    def __call__(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return dict(logits=self.form(image)[0])


def configured(case: str) -> Config:
    scope, changes = CASES[case]
    cfg = configure(scope, 6 if case == "six_bands" else 3)
    cfg.merge_from_dict(dict(model=changes))
    return cfg


@pytest.mark.parametrize("case", CASES)
def test_a_file_and_its_config_predict_as_the_model(case: str) -> None:
    cfg = configured(case)
    model = randomise(cfg).model
    held = Held(model, cfg)
    own = config_of(held.metadata)
    deployed = build(own)
    use_exported(deployed, held)
    channels = model.backbone.in_channels
    images = torch.randint(0, 256, (2, channels, 75, 90), dtype=torch.uint8)

    def predict(model: nn.Module, cfg: Config) -> torch.Tensor:
        # The pipeline but for its file: what it packs.
        predictor = Predictor(model, cfg)
        step = predictor.steps[-1]
        data = [
            step(dict(img=image.permute(1, 2, 0).numpy(), img_shape=(75, 90), ori_shape=(75, 90)))
            for image in images
        ]
        samples = predictor.predict([dict_like(one) for one in data])
        if "pred_sem_seg" in samples[0]:
            return torch.stack([sample.pred_sem_seg.data for sample in samples])
        return torch.cat([*(s.pred_score for s in samples), *(s.pred_label for s in samples)])

    expected, found = predict(model, cfg), predict(deployed, own)
    assert len(expected.unique()) > 1
    assert ((expected.float() - found.float()).abs() < 1e-4).float().mean() > 0.995
    check_predictions(model, held, channels)


def dict_like(data: dict[str, Any]) -> Any:
    from mmsmlp.apis.inference import Prepared

    return Prepared(data, None)


def test_a_file_that_predicts_something_else_is_refused() -> None:
    cfg = configured("slide")
    model = randomise(cfg).model
    held = Held(model, cfg)
    model.test_cfg.mode = "whole"
    with pytest.raises(
        ExportError, match=r"predictions with the file differ .* EncoderDecoder does"
    ):
        check_predictions(model, held, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            dict(size=(64, 64)),
            r"data_preprocessor.test_cfg.size=\(64, 64\) pads images to one size",
        ),
        (dict(size_divisor=32), "test_cfg.mode='slide' with .*size_divisor slides over padding"),
    ],
)
def test_padding_that_a_graph_cannot_do_is_refused(options: dict, message: str) -> None:
    cfg = configured("slide")
    cfg.model.data_preprocessor.test_cfg = options
    with pytest.raises(ExportError, match=message) as error:
        parts_of(randomise(cfg).model)
    assert "\n" not in str(error.value)


def test_the_config_in_a_file_keeps_tuples_and_runs_no_code() -> None:
    cfg = configured("slide")
    metadata = Held(randomise(cfg).model, cfg).metadata
    own = config_of(metadata)
    assert own.test_dataloader.dataset.pipeline[1].scale == (256, 64)
    assert own.model.test_cfg.crop_size == (32, 32)
    for text in (
        metadata["config"].replace("'FCNHead'", "'os.system'"),
        metadata["config"].replace("'mmseg'", "'os'"),
    ):
        with pytest.raises(ExportError, match=r"the file needs 'os\..*', which is custom code"):
            config_of(dict(metadata, config=text))
    for text in ("model = dict(type='A')", "__import__('os')", "{}"):
        with pytest.raises(ExportError, match="the file holds no config, or that of an earlier"):
            config_of(dict(metadata, config=text))


@torch.no_grad()
def test_a_segmentor_with_aligned_corners_is_one_graph_for_all_sizes() -> None:
    model = randomise(configured("align_corners")).model
    eager, form = parts_of(model)
    graph = trace(form).module()
    for size in ((1, 3, 97, 61), (2, 3, 64, 160)):
        image = torch.randn(size)
        torch.testing.assert_close(graph(image)[0], eager(image)[0], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("source", "target"), [(5, 13), (13, 5), (4, 1), (1, 6), (7, 7)])
def test_aligned_corners_are_interpolated_as_by_torch(source: int, target: int) -> None:
    x = torch.randn(1, 2, source, 9)
    expected = nn.functional.interpolate(x, (target, 9), mode="bilinear", align_corners=True)
    torch.testing.assert_close(aligned_matrix(source, target, x) @ x, expected)
