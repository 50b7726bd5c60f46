"""UperNet on images of sizes that no stride divides, whole and by a sliding window."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from torch import Tensor, nn

CONFIGS = Path(__file__).parents[1] / "configs"
# The configs' own networks, a few channels wide.
SMALL = {
    "upernet_smlpnet_t": dict(embed_dims=(8, 8, 16, 16), depths=(1, 1, 1, 1), mlp_ratio=2),
    "upernet_s2mlpv2_s4": dict(
        embed_dims=(8, 8, 16, 16), depths=(1, 1, 1, 1), patch_sizes=(4, 2, 2, 2), mlp_ratio=2
    ),
}
SIZES = [(67, 53), (33, 101)]
CROP, STRIDE = (48, 48), (31, 31)


@pytest.fixture(params=SMALL)
def model(request: pytest.FixtureRequest) -> nn.Module:
    pytest.importorskip("mmseg")
    from mmseg.registry import MODELS

    init_default_scope("mmseg")
    cfg = Config.fromfile(CONFIGS / f"{request.param}.py").model
    cfg.backbone.arch = SMALL[request.param]
    cfg.decode_head.update(in_channels=[8, 8, 16, 16], channels=8)
    cfg.auxiliary_head.update(in_channels=16, channels=8)
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    # Weights of a size that tells one place of an image from another.
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.xavier_normal_(parameter)
    return model.eval()


def infer(model: nn.Module, x: Tensor, mode: str) -> Tensor:
    """(N, 3, H, W) -> logits (N, 150, H, W)."""
    model.test_cfg = ConfigDict(mode=mode, crop_size=CROP, stride=STRIDE)
    size = tuple(x.shape[2:])
    meta = dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=[0] * 4)
    with torch.inference_mode():
        return model.inference(x, [meta] * len(x))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["whole", "slide"])
def test_predictions_have_the_size_of_the_image(
    model: nn.Module, mode: str, size: tuple[int, int]
) -> None:
    from mmseg.structures import SegDataSample

    model.test_cfg = ConfigDict(mode=mode, crop_size=CROP, stride=STRIDE)
    # The image was shown to the network at another size than that of its annotation.
    sample = SegDataSample(metainfo=dict(ori_shape=(90, 71), img_shape=size, pad_shape=size))
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    (prediction,) = model.test_step(dict(inputs=[image], data_samples=[sample]))
    assert prediction.pred_sem_seg.data.shape == (1, 90, 71)
    assert infer(model, torch.randn(2, 3, *size), mode).shape == (2, 150, *size)


@pytest.mark.parametrize("size", SIZES)
def test_sliding_averages_over_the_windows(model: nn.Module, size: tuple[int, int]) -> None:
    x = torch.randn(1, 3, *size)

    def starts(length: int, crop: int, stride: int) -> list[int]:
        """Every stride, the last one as far as the border lets it."""
        last = max(length - crop, 0)
        return sorted({min(start, last) for start in range(0, last + stride, stride)})

    total, times = torch.zeros(1, 150, *size), torch.zeros(size)
    for top in starts(size[0], CROP[0], STRIDE[0]):
        for left in starts(size[1], CROP[1], STRIDE[1]):
            window = (..., slice(top, top + CROP[0]), slice(left, left + CROP[1]))
            total[window] += infer(model, x[window], "whole")
            times[window] += 1
    assert times.min() == 1 and times.max() > 1
    expected = total / times
    assert expected.std() > 0.01
    torch.testing.assert_close(infer(model, x, "slide"), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(48, 48), (37, 45)])
def test_an_image_within_one_window_is_not_split(model: nn.Module, size: tuple[int, int]) -> None:
    x = torch.randn(1, 3, *size)
    torch.testing.assert_close(infer(model, x, "slide"), infer(model, x, "whole"))


def test_windows_see_less_than_the_image(model: nn.Module) -> None:
    """The two differ where an image is larger: every token of a network sees its whole input."""
    x = torch.randn(1, 3, 67, 53)
    difference = infer(model, x, "slide") - infer(model, x, "whole")
    assert difference.abs().max() > 0.01
