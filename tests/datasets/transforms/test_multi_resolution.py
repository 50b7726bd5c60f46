import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

pytest.importorskip("mmpretrain")
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import BATCH_AUGMENTS, MODELS
from mmpretrain.structures import DataSample

from mmsmlp.datasets.transforms import MultiResolution

TYPE = "mmsmlp.datasets.transforms.MultiResolution"


def batch(size: int = 32, count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(count, 3, size, size), F.one_hot(torch.arange(count), 10)


@pytest.mark.parametrize("size", [8, 20, 32, 48])
def test_resizes_as_pillow_does(size: int) -> None:
    """Pillow's bilinear filter is anti-aliased."""
    inputs, scores = batch()
    resized, kept = MultiResolution([size])(inputs, scores)
    expected = [
        [np.array(Image.fromarray(x.numpy()).resize((size, size), Image.BILINEAR)) for x in image]
        for image in inputs
    ]
    np.testing.assert_allclose(resized, expected, atol=1e-5)
    assert kept.dtype.is_floating_point and torch.equal(kept, scores.float())


def test_draws_every_size_and_both_sides_equally_often() -> None:
    augment = MultiResolution(range(8, 33, 8))
    shapes = {tuple(augment(*batch())[0].shape[2:]) for _ in range(100)}
    assert shapes == {(8, 8), (16, 16), (24, 24), (32, 32)}


def test_a_size_given_three_times_is_drawn_three_times_as_often() -> None:
    np.random.seed(0)
    augment = MultiResolution([4, 8, 8, 8])
    draws = [augment(*batch(count=1))[0].shape[-1] for _ in range(400)]
    assert 270 < draws.count(8) < 330


def test_draws_height_and_width_independently() -> None:
    augment = MultiResolution([8, 16], square=False)
    shapes = {tuple(augment(*batch())[0].shape[2:]) for _ in range(100)}
    assert shapes == {(8, 8), (8, 16), (16, 8), (16, 16)}


def test_a_seed_repeats_the_sizes() -> None:
    def draw(seed: int) -> list[int]:
        np.random.seed(seed)
        return [augment(*batch())[0].shape[-1] for _ in range(20)]

    augment = MultiResolution(range(4, 40))
    assert draw(0) == draw(0) != draw(1)


def test_mixes_at_the_new_size() -> None:
    """MixUp of constant images tells how much of each is in the mixture."""
    augment = BATCH_AUGMENTS.build(
        dict(type=TYPE, sizes=[20], augments=dict(type="Mixup", alpha=1.0), probs=[1.0])
    )
    inputs = torch.arange(4.0)[:, None, None, None].expand(4, 3, 32, 32)
    mixed, scores = augment(inputs, F.one_hot(torch.arange(4)))
    assert mixed.shape == (4, 3, 20, 20)
    torch.testing.assert_close(mixed[:, 0, 0, 0], scores @ torch.arange(4.0))


@pytest.mark.parametrize("sizes", [[], [0], [224, 31.5]])
def test_bad_sizes_are_named(sizes: list) -> None:
    with pytest.raises(ValueError, match=r"sizes must be one or more sides"):
        MultiResolution(sizes)


def test_a_config_of_mmpretrain_finds_it(tmp_path) -> None:
    """With nothing imported by the config, and through a dump of it."""
    path = tmp_path / "config.py"
    path.write_text(f"""
model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(num_classes=10),
    backbone=dict(type="mmsmlp.SMLPNet", img_size=32, out_indices=-1,
                  arch=dict(embed_dims=(8, 16), depths=(1, 1), mlp_ratio=2)),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(type="LinearClsHead", in_channels=16, num_classes=10),
    train_cfg=dict(augments=dict(
        type="{TYPE}", sizes=range(8, 33, 8), square=False,
        augments=[dict(type="Mixup", alpha=0.8), dict(type="CutMix", alpha=1.0)])))
""")
    Config.fromfile(path).dump(tmp_path / "dump.py")
    init_default_scope("mmpretrain")
    model = MODELS.build(Config.fromfile(tmp_path / "dump.py").model)
    shapes = set()
    for _ in range(10):
        samples = [DataSample().set_gt_label(i) for i in range(4)]
        data = model.data_preprocessor(dict(inputs=batch()[0], data_samples=samples), True)
        shapes.add(data["inputs"].shape[2:])
        losses = model(**data, mode="loss")
        assert losses["loss"].isfinite()
    assert len(shapes) > 2
