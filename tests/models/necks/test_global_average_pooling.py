"""Global average pooling: an image in a padded batch has the mean that it has alone."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from mmengine.registry import MODELS
from torch import Tensor

from mmsmlp.models.necks import GlobalAveragePooling

FOUR_STAGES = dict(embed_dims=(8, 12, 16, 24), depths=(1, 1, 1, 1), mlp_ratio=2)
NETWORKS = {
    "SMLPNet": dict(type="mmsmlp.SMLPNet", arch=FOUR_STAGES, img_size=64),
    "S2MLPv2": dict(type="mmsmlp.S2MLPv2", arch=dict(FOUR_STAGES, patch_sizes=(4, 2, 2, 2))),
    "S2MLP": dict(
        type="mmsmlp.S2MLP", arch=dict(embed_dims=16, depth=4, patch_size=8, mlp_ratio=2)
    ),
}
SIZES = ((96, 128), (64, 64), (96, 40))


@given(
    st.lists(st.tuples(st.integers(1, 7), st.integers(1, 9)), min_size=1, max_size=4),
    st.integers(0, 1000),
)
def test_what_repeats_the_border_does_not_count(sizes: list[tuple[int, int]], seed: int) -> None:
    torch.manual_seed(seed)
    images = [torch.randn(1, 3, *size, dtype=torch.float64) for size in sizes]
    height, width = (max(lengths) for lengths in zip(*sizes, strict=True))
    batch = torch.cat(
        [
            F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2]), mode="replicate")
            for x in images
        ]
    )
    first, second = GlobalAveragePooling()((batch, 2 * batch))
    expected = torch.cat([x.mean(dim=(2, 3)) for x in images])
    torch.testing.assert_close(first, expected)
    torch.testing.assert_close(second, 2 * expected)


def test_one_map_gives_one_mean() -> None:
    x = torch.ones(2, 3, 4, 5) * torch.arange(3)[:, None, None]
    assert GlobalAveragePooling()(x).tolist() == [[0, 1, 2]] * 2


def test_lines_that_repeat_inside_of_an_image_count() -> None:
    x = torch.tensor([1.0, 1.0, 1.0, 5.0]).expand(1, 1, 2, 4).contiguous()
    x[..., 1, :] += 1
    assert GlobalAveragePooling()(x).item() == 2.5


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_those_of_the_image_alone(name: str) -> None:
    pytest.importorskip("mmpretrain")
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type="mmpretrain.ImageClassifier",
            backbone=NETWORKS[name],
            neck=dict(type="mmsmlp.GlobalAveragePooling"),
            head=dict(
                type="mmpretrain.LinearClsHead",
                num_classes=7,
                in_channels=16 if name == "S2MLP" else 24,
            ),
            data_preprocessor=dict(
                type="mmpretrain.ClsDataPreprocessor", mean=[9.0] * 3, std=[60.0] * 3
            ),
        )
    ).eval()
    images = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in SIZES]

    def logits(images: list[Tensor]) -> Tensor:
        data = model.data_preprocessor(dict(inputs=images))
        return model(data["inputs"])

    with torch.no_grad():
        together = logits(images)
        for row, image in zip(together, images, strict=True):
            torch.testing.assert_close(row[None], logits([image]), rtol=1e-4, atol=1e-5)


def test_a_recorded_graph_takes_the_whole_map() -> None:
    x = torch.ones(1, 2, 3, 3)
    x[..., 0, 0] = 10
    traced = torch.jit.trace(GlobalAveragePooling(), x)
    torch.testing.assert_close(traced(x), torch.full((1, 2), 2.0))


def test_large_maps_do_not_overflow_in_half_precision(half: torch.dtype) -> None:
    x = 100 + torch.rand(1, 2, 64, 64)
    y = GlobalAveragePooling()(x.to(half))
    torch.testing.assert_close(y.float(), x.mean(dim=(2, 3)), rtol=0.01, atol=0)
