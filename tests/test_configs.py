"""The configs: what the heads expect of the maps is what backbone and neck make."""

from math import ceil
from pathlib import Path

import pytest
import torch

CONFIGS = sorted(Path(__file__).parents[1].glob("configs/*.py"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_anchors_and_regions_have_the_strides_of_the_maps(path: Path) -> None:
    pytest.importorskip("mmdet")
    from mmdet.registry import MODELS
    from mmengine.config import Config

    model = Config.fromfile(path).model
    with torch.device("meta"):
        backbone, neck = MODELS.build(model.backbone), MODELS.build(model.neck)
        maps = neck(backbone(torch.zeros(1, 3, 448, 672)))
    strides = model.rpn_head.anchor_generator.strides
    sizes = [(ceil(448 / stride), ceil(672 / stride)) for stride in strides]
    assert [tuple(y.shape[2:]) for y in maps] == sizes
    for extractor in ("bbox_roi_extractor", "mask_roi_extractor"):
        assert model.roi_head[extractor].featmap_strides == strides[:4]
    # Padding to whole tokens of the coarsest map of the backbone.
    assert model.data_preprocessor.pad_size_divisor % backbone.strides[-1] == 0


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_anchors_are_of_32_to_512_pixels(path: Path) -> None:
    pytest.importorskip("mmdet")
    from mmdet.registry import TASK_UTILS
    from mmengine.config import Config

    generator = TASK_UTILS.build(Config.fromfile(path).model.rpn_head.anchor_generator)
    areas = [((b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])).mean() for b in generator.base_anchors]
    torch.testing.assert_close(torch.stack(areas).sqrt(), 2.0 ** torch.arange(5, 10))
