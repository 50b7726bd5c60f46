"""sMLPNet against the authors' implementation and the paper's figures."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.model import revert_sync_batchnorm
from mmengine.runner import load_checkpoint
from torch.nn.modules.batchnorm import _BatchNorm

from mmsmlp.checkpoints import SPACH
from mmsmlp.models.backbones import SMLPNet

MINI = dict(embed_dims=(8, 16, 32, 64), depths=(1, 2, 2, 1), mlp_ratio=3)


@pytest.fixture
def network(spach_weights: dict) -> SMLPNet:
    """Ours with the authors' weights; only the norms of the first three outputs are extra."""
    network = SMLPNet(MINI, img_size=64).eval()
    converted, _ = SPACH.convert(spach_weights)
    weights = {
        name.removeprefix("backbone."): value
        for name, value in converted.items()
        if name.startswith("backbone.")
    }
    incompatible = network.load_state_dict(weights, strict=False)
    assert not incompatible.unexpected_keys
    assert all(name.startswith(("norm0", "norm1", "norm2")) for name in incompatible.missing_keys)
    return network


def test_every_stage_equals_the_reference(network: SMLPNet, spach_golden: dict) -> None:
    x = spach_golden["input"]
    for i, stage in enumerate(network.stages):
        x = stage(x)
        torch.testing.assert_close(x, spach_golden[f"stage{i}"], atol=1e-4, rtol=0)


def test_logits_equal_the_reference(network: SMLPNet, spach_golden: dict) -> None:
    last = network(spach_golden["input"])[-1]
    torch.testing.assert_close(last, spach_golden["final_norm"], atol=1e-4, rtol=0)
    logits = F.linear(
        last.mean(dim=(2, 3)),
        spach_golden["w.mlp_head.0.weight"],
        spach_golden["w.mlp_head.0.bias"],
    )
    torch.testing.assert_close(logits, spach_golden["logits"], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("arch", "millions"), [("tiny", 24.124), ("small", 48.558), ("base", 65.880)]
)
def test_parameters_of_the_classifiers(arch: str, millions: float) -> None:
    with torch.device("meta"):
        network = SMLPNet(arch, out_indices=3)
    classifier = network.channels[-1] * 1000 + 1000
    parameters = sum(p.numel() for p in network.parameters()) + classifier
    assert round(parameters / 1e6, 3) == millions


@pytest.mark.parametrize(("arch", "rate"), [("tiny", 0.0), ("small", 0.2), ("base", 0.3)])
def test_drop_path_grows_linearly_to_the_rate_of_the_variant(arch: str, rate: float) -> None:
    with torch.device("meta"):
        network = SMLPNet(arch)
    rates = [block.drop_path.drop_prob for stage in network.stages for block in stage.blocks]
    np.testing.assert_allclose(rates, np.linspace(0, rate, len(rates)), atol=1e-7)


def test_native_lengths_follow_the_image_size() -> None:
    network = SMLPNet(MINI, img_size=(90, 64))
    rows = [stage.blocks[0].smlp.row.length for stage in network.stages]
    columns = [stage.blocks[0].smlp.column.length for stage in network.stages]
    assert rows == [16, 8, 4, 2]
    assert columns == [23, 12, 6, 3]


def test_block_equals_its_formula() -> None:
    """x + token mixing, then x + channel mixing, away from the native size too."""
    torch.manual_seed(0)
    block = SMLPNet(MINI, img_size=64).stages[1].blocks[0].eval()
    x = torch.randn(2, 16, 5, 13)
    y = F.gelu(block.norm1(x))
    y = F.conv2d(y, block.dwconv.weight, padding=1, groups=16)
    y = F.gelu(block.norm2(y))
    branches = [y, block.smlp.row(y), block.smlp.column(y)]
    x1 = x + F.conv2d(torch.cat(branches, 1), block.smlp.fuse.weight)
    mixed = [block.mlp(block.norm3(token)) for token in x1.permute(0, 2, 3, 1).reshape(-1, 16)]
    expected = x1 + torch.stack(mixed).view(2, 5, 13, 16).permute(0, 3, 1, 2)
    torch.testing.assert_close(block(x), expected)


def test_an_identity_in_place_of_a_norm_leaves_the_input_alone() -> None:
    torch.manual_seed(0)
    block = SMLPNet(MINI, img_size=64).stages[1].blocks[0].eval()
    block.norm1 = torch.nn.Identity()
    x = torch.randn(2, 16, 5, 13).contiguous(memory_format=torch.channels_last)
    given, expected = x.clone(), block(x).detach()
    with torch.no_grad():
        torch.testing.assert_close(block(x), expected)
    assert torch.equal(x, given)


def test_stages_may_mix_locally_or_globally_only() -> None:
    """A pixel reaches its neighbours' blocks, or its row and column; nothing else."""
    torch.manual_seed(0)
    x = torch.randn(1, 8, 16, 16)
    other = x.clone()
    other[:, :, 5, 9] += 1
    near = torch.zeros(16, 16, dtype=torch.bool)
    near[4:7, 8:11] = True
    axes = torch.zeros(16, 16, dtype=torch.bool)
    axes[5], axes[:, 9] = True, True
    for arguments, expected in [
        (dict(global_stages=()), near),
        (dict(local_stages=()), axes),
        (dict(global_stages=(1, 2, 3)), near),
        (dict(local_stages=(1, 2, 3)), axes),
    ]:
        block = SMLPNet(MINI, img_size=64, **arguments).stages[0].blocks[0].eval()
        assert torch.equal((block(x) != block(other)).any(dim=1)[0], expected)


def test_norm_eval_keeps_statistics_but_learns_weights() -> None:
    network = SMLPNet(MINI, norm_eval=True).train()
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    assert norms and not any(norm.training for norm in norms)
    network(torch.randn(2, 3, 64, 64))
    assert all(norm.num_batches_tracked == 0 for norm in norms)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_sync_batch_norm_serves_in_place_of_batch_norm() -> None:
    plain = SMLPNet(MINI).eval()
    sync = SMLPNet(MINI, norm_cfg=dict(type="SyncBN", requires_grad=True)).eval()
    norms = [module for module in sync.modules() if isinstance(module, _BatchNorm)]
    assert norms and all(isinstance(norm, torch.nn.SyncBatchNorm) for norm in norms)
    sync.load_state_dict(plain.state_dict())
    x = torch.randn(1, 3, 40, 40)
    torch.testing.assert_close(sync(x), plain(x))
    torch.testing.assert_close(revert_sync_batchnorm(sync)(x), plain(x))


def test_patch_sizes_are_part_of_an_arch() -> None:
    network = SMLPNet(dict(MINI, patch_sizes=(2, 2, 2, 2)), img_size=32)
    assert network.strides == [2, 4, 8, 16]
    assert [stage.blocks[0].smlp.row.length for stage in network.stages] == [16, 8, 4, 2]


@pytest.mark.parametrize("strict", [True, False])
def test_checkpoints_of_another_native_size_are_followed(strict: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = SMLPNet(MINI, img_size=64).eval()
    for norm in source.modules():
        if isinstance(norm, _BatchNorm):
            norm.running_var.uniform_(0.5, 2)
    path = str(tmp_path / "source.pth")
    torch.save({"state_dict": {f"backbone.{k}": v for k, v in source.state_dict().items()}}, path)
    # As part of a model, as detectors hold it.
    model = torch.nn.ModuleDict({"backbone": SMLPNet(MINI, img_size=(96, 160))}).eval()
    with patch("mmsmlp.models.backbones.smlpnet.print_log") as log:
        load_checkpoint(model, path, strict=strict)
    log.assert_called_once()
    assert "12 axial maps" in log.call_args.args[0]
    assert "16 to 40, 16 to 24, 8 to 20, 8 to 12" in log.call_args.args[0]
    x = torch.randn(2, 3, 96, 160)
    torch.testing.assert_close(model["backbone"](x), source(x), atol=1e-5, rtol=1e-5)
    with patch("mmsmlp.models.backbones.smlpnet.print_log") as log:
        model.load_state_dict(model.state_dict())
    log.assert_not_called()


@pytest.mark.long
@pytest.mark.usefixtures("compiler")
def test_exported_for_all_sizes_beyond_the_native_one() -> None:
    Dim = torch.export.Dim
    torch.manual_seed(0)
    network = SMLPNet(dict(MINI, depths=(1, 1, 1, 1)), img_size=64).eval()
    height, width = Dim("height", min=3, max=32), Dim("width", min=3, max=32)
    with torch.no_grad():
        exported = torch.export.export(
            network,
            (torch.randn(2, 3, 96, 160),),
            dynamic_shapes=({2: 32 * height, 3: 32 * width},),
        ).module()
        for size in [(96, 160), (224, 96), (128, 128)]:
            x = torch.randn(2, 3, *size)
            torch.testing.assert_close(exported(x), network(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            dict(arch="huge"),
            r"arch must be one of \['base', 'small', 'tiny'\] or a dict, got 'huge'",
        ),
        (dict(arch=dict(depths=(1, 1))), r"arch lacks \['embed_dims', 'mlp_ratio'\]"),
        (dict(arch=dict(MINI, heads=3)), r"arch has unknown keys \['heads'\]; allowed are"),
        (dict(arch=dict(MINI, depths=(1, 1))), "as many embed_dims as depths"),
        (dict(img_size=0), r"img_size must each be at least 1, got \(0, 0\)"),
        (dict(drop_path_rate=1.0), r"drop_path_rate must be in \[0, 1\), got 1.0"),
        (dict(out_indices=(0, 4)), r"out_indices must be one or more of 0 to 3 .* got \(0, 4\)"),
        (dict(out_indices=()), r"out_indices must be one or more of 0 to 3"),
        (dict(out_indices=(3, -1)), r"out_indices must name each stage once, got \(3, -1\)"),
        (dict(frozen_stages=5), r"frozen_stages must be in \[-1, 4\] .* got 5"),
        (dict(frozen_stages=-2), "frozen_stages must be in"),
        (
            dict(local_stages=(0, 1), global_stages=(1, 2)),
            r"local_stages and global_stages must together be all of 0 to 3, got \[0, 1\] and",
        ),
        (
            dict(smlp_cfg=dict(fusion="max")),
            "fusion must be 'concat', 'sum' or 'weighted_sum', got",
        ),
        (dict(axial_mode="stretch"), "axial_mode must be 'resample', got 'stretch'"),
        (dict(frozen_stages=3, out_indices=(0, 1)), r"frozen_stages must be in \[-1, 2\]"),
        (dict(arch=None), r"arch must be one of \['base', .* or a dict, got None"),
        (dict(arch=dict(MINI, depths=(1, 2, 2, 1.0))), r"depths must be integers, got \(1, 2"),
        (dict(arch=dict(MINI, embed_dims=(8, 0, 32, 64))), "embed_dims must each be at least 1"),
        (dict(arch=dict(MINI, mlp_ratio="x")), "mlp_ratio must be a number, got 'x'"),
        (dict(arch=dict(MINI, mlp_ratio=0.1)), "mlp_ratio must be at least 1/8, got 0.1"),
        (dict(arch=dict(MINI, mlp_ratio=float("inf"))), "mlp_ratio must be finite and above 0"),
        (
            dict(img_size=(1, 2, 3)),
            r"img_size must be one number of pixels or two, got \(1, 2, 3\)",
        ),
        (dict(img_size=64.0), "img_size must be integers"),
        (dict(in_channels=True), "in_channels must be an integer, got True"),
        (dict(drop_path_rate="x"), r"drop_path_rate must be in \[0, 1\), got x"),
        (dict(out_indices=1.5), "out_indices must be integers, got 1.5"),
        (dict(frozen_stages=None), "frozen_stages must be in"),
        (dict(local_stages="x"), "local_stages must be integers, got 'x'"),
        (dict(smlp_cfg=None), "smlp_cfg must be a dict, got None"),
        (dict(norm_cfg=None), "norm_cfg must make a norm, got None: cfg must be a dict"),
        (dict(norm_cfg=dict(type="x")), "norm_cfg must make a norm, got {'type': 'x'}"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        SMLPNet(**{"arch": MINI, **arguments})


@pytest.mark.parametrize("shape", [(2, 4, 32, 32), (3, 32, 32)])
def test_wrong_input_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"x must be \(N, 3, H, W\), as in_channels=3 says"):
        SMLPNet(MINI)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "floating-point numbers, got torch.uint8"),
        (np.zeros((1, 3, 8, 8)), "x must be a tensor of floating-point numbers, got ndarray"),
        (torch.zeros(1, 3, 0, 8), r"x must have a pixel at least, got \(1, 3, 0, 8\)"),
    ],
)
def test_a_file_that_is_no_image_is_named(x: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        SMLPNet(MINI)(x)
