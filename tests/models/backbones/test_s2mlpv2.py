"""S²-MLPv2 against the paper's equations, and its split attention away from the native size."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.runner import load_checkpoint

from mmsmlp.models.backbones import S2MLPv2
from mmsmlp.models.backbones.s2mlpv2 import S2Component
from mmsmlp.models.layers import IDENTITY_SHIFT, SS1, SS2, SplitAttention, spatial_shift

DATA = Path(__file__).parents[2] / "data"
MINI = dict(embed_dims=(8, 16), depths=(2, 1), patch_sizes=(7, 2), mlp_ratio=3)


def arrays(name: str) -> dict[str, torch.Tensor]:
    with np.load(DATA / name) as data:
        return {key: torch.from_numpy(data[key]) for key in data.files}


def test_component_equals_the_equations() -> None:
    golden = arrays("s2mlpv2_component.npz")
    x = golden["input"]
    attention = SplitAttention(16, 3, num_tokens=x[0, 0].numel())
    component = S2Component(16, attention, (SS1, SS2, IDENTITY_SHIFT))
    names = {
        "w.mlp1.": "fc1.",
        "w.mlp2.": "fc2.",
        "w.reweight.fc1.weight": "fusion.weight1",
        "w.reweight.fc2.weight": "fusion.weight2",
    }
    component.load_state_dict(
        {
            key.replace(theirs, ours): value
            for key, value in golden.items()
            for theirs, ours in names.items()
            if key.startswith(theirs)
        }
    )
    y = component(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(y, golden["output"], atol=1e-5, rtol=0)


def test_block_equals_its_formula() -> None:
    torch.manual_seed(0)
    block = S2MLPv2(MINI).stages[0].blocks[1].eval()
    for norm in (block.norm1, block.norm2):
        for parameter in norm.parameters():
            torch.nn.init.normal_(parameter)
    x = torch.randn(2, 8, 5, 13)
    tokens = x.permute(0, 2, 3, 1)
    tokens = tokens + block.s2(F.layer_norm(tokens, (8,), block.norm1.weight, block.norm1.bias))
    normed = F.layer_norm(tokens, (8,), block.norm2.weight, block.norm2.bias).reshape(-1, 8)
    tokens = tokens + torch.stack([block.mlp(token) for token in normed]).view_as(tokens)
    torch.testing.assert_close(block(x), tokens.permute(0, 3, 1, 2))


class Only(torch.nn.Module):
    """All weight for one of three maps."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.weights = torch.eye(3)[number]

    def forward(self, mean: torch.Tensor) -> torch.Tensor:
        return self.weights[None, :, None].expand(len(mean), -1, mean.shape[1])


def test_maps_are_taken_from_the_expansion_in_order_and_shifted_as_in_the_paper() -> None:
    """With multiples of the identity, each map is a shift of a multiple of the input."""
    network = S2MLPv2(dict(embed_dims=(4,), depths=(1,), patch_sizes=(4,), mlp_ratio=1))
    component = network.stages[0].blocks[0].s2
    factors = torch.tensor([1.0, 2.0, 3.0])
    with torch.no_grad():
        component.fc1.weight.copy_((factors[:, None, None] * torch.eye(4)).flatten(0, 1))
        component.fc1.bias.zero_()
        component.fc2.weight.copy_(torch.eye(4))
        component.fc2.bias.zero_()
    x = torch.arange(48.0).view(1, 4, 3, 4)

    def fused(number: int) -> torch.Tensor:
        component.fusion = Only(number)
        return component(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def moved(*order: str) -> torch.Tensor:
        maps = dict(
            right=x[..., [0, 0, 1, 2]],
            left=x[..., [1, 2, 3, 3]],
            down=x[:, :, [0, 0, 1]],
            up=x[:, :, [1, 2, 2]],
        )
        return torch.stack([maps[name][:, i] for i, name in enumerate(order)], dim=1)

    assert torch.equal(fused(0), moved("right", "left", "down", "up"))
    assert torch.equal(fused(1), 2 * moved("down", "up", "right", "left"))
    assert torch.equal(fused(2), 3 * x)


@pytest.mark.parametrize("shifts", [(SS1, SS2, IDENTITY_SHIFT), (SS1, IDENTITY_SHIFT)])
def test_split_attention_sees_the_mean_of_the_shifted_maps(shifts) -> None:
    """Also where the linear map that makes them has become another module; hooks see the maps."""
    torch.manual_seed(0)
    component = S2Component(8, SplitAttention(8, len(shifts), num_tokens=4), shifts)
    x = torch.randn(2, 5, 6, 8)
    seen, expanded = [], []
    component.fusion.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    component.fc1.register_forward_hook(lambda *call: expanded.append(call[2]))
    plain = component(x)
    (maps,) = expanded
    parts = maps.permute(0, 3, 1, 2).chunk(len(shifts), dim=1)
    mean = sum(
        spatial_shift(part, shift).mean(dim=(2, 3))
        for part, shift in zip(parts, shifts, strict=True)
    )
    component.fc1 = torch.nn.Sequential(component.fc1)
    torch.testing.assert_close(component(x), plain)
    torch.testing.assert_close(seen, [mean, mean])


def logits(network: S2MLPv2, x: torch.Tensor) -> list[torch.Tensor]:
    """What the softmax of every block is fed."""
    seen = []
    hooks = [
        module.register_forward_hook(lambda module, args, _: seen.append(module.logits(*args)))
        for module in network.modules()
        if isinstance(module, SplitAttention)
    ]
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("arch", ["small/4", "small/7"])
def test_softmax_input_stays_on_its_scale_at_twice_the_size(arch: str) -> None:
    """A plain sum is four times as large, which this test would see as four."""
    torch.manual_seed(0)
    # Blocks that begin as the identity would hide what deep ones see.
    network = S2MLPv2(arch, init_cfg=dict(type="Kaiming", layer=["Conv2d", "Linear"])).eval()
    network.init_weights()
    x = F.interpolate(torch.randn(1, 3, 8, 8), size=(224, 224), mode="bicubic")
    native = logits(network, x)
    twice = logits(network, F.interpolate(x, scale_factor=2, mode="bicubic"))
    assert len(native) == sum(network.depths)
    for a, b in zip(native, twice, strict=True):
        assert 0.7 < b.std() / a.std() < 1.4


def test_blocks_begin_as_the_identity_and_weights_keep_the_variance() -> None:
    torch.manual_seed(0)
    network = S2MLPv2("small/4").eval()
    network.init_weights()
    block = network.stages[2].blocks[0]
    x = torch.randn(2, 320, 14, 14)
    torch.testing.assert_close(block(x), x, rtol=0, atol=0)
    tokens = x.permute(0, 2, 3, 1)
    assert block.mlp.fc1(tokens).var().item() == pytest.approx(tokens.var().item(), rel=0.05)


def test_an_empty_init_cfg_switches_initialisation_off() -> None:
    network = S2MLPv2(MINI, init_cfg=[])
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.init_weights()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_native_tokens_follow_the_image_size() -> None:
    network = S2MLPv2(MINI, img_size=(50, 98))
    assert [s.blocks[0].s2.fusion.num_tokens for s in network.stages] == [8 * 14, 4 * 7]


def test_split_attention_is_not_saturated_at_the_start() -> None:
    """Were it initialised as linear layers are, one map would have all of the weight."""
    torch.manual_seed(0)
    network = S2MLPv2("small/4").eval()
    network.init_weights()
    x = F.interpolate(torch.randn(1, 3, 8, 8), size=(224, 224), mode="bicubic")
    assert max(a.softmax(dim=1).max() for a in logits(network, x)) < 0.5


@pytest.mark.parametrize("size", [56, 128, 512])
@pytest.mark.parametrize("way", ["autocast", "cast"])
def test_half_precision_suffices_for_large_maps(way: str, size: int, half: torch.dtype) -> None:
    """As many tokens as images of 224 to 2048 pixels have at stride 4, and ten times as large."""
    torch.manual_seed(0)
    component = S2Component(8, SplitAttention(8, 3, num_tokens=size**2), (SS1, SS2, IDENTITY_SHIFT))
    # A part in common to all tokens, as layer norms leave it, makes the sum over them large.
    x = 10 * (torch.randn(1, size, size, 8) + 2 * torch.randn(8))
    seen = []
    component.fusion.register_forward_hook(lambda *call: seen.extend(call[1:]))
    with torch.no_grad():
        exact = component(x)
        if way == "autocast":
            with torch.autocast("cpu", half):
                rounded = component(x)
        else:
            rounded = component.to(half)(x.to(half))
    assert rounded.dtype == half and rounded.isfinite().all()
    assert exact.std() > 1
    # Two products, and a fusion between them.
    eps = 4 * torch.finfo(half).eps
    torch.testing.assert_close(rounded.float(), exact, rtol=eps, atol=eps * exact.abs().max())
    (exact_mean,), exact_weights, (mean,), weights = seen
    assert exact_mean.abs().max() > 10
    assert mean.dtype == weights.dtype == torch.float32
    torch.testing.assert_close(mean, exact_mean, rtol=eps, atol=eps * exact_mean.abs().max())
    torch.testing.assert_close(weights, exact_weights, rtol=0, atol=0.02)


@pytest.mark.parametrize("img_size", [224, 1024, 2048])
@pytest.mark.parametrize("way", ["autocast", "cast"])
def test_half_precision_suffices_at_any_native_size(
    way: str, img_size: int, half: torch.dtype
) -> None:
    torch.manual_seed(0)
    network = S2MLPv2(MINI, img_size=img_size, init_cfg=dict(type="Kaiming", layer="Linear")).eval()
    network.init_weights()
    for stage in network.stages:
        torch.nn.init.normal_(stage.patch_embed.weight, std=10.0)  # activations far beyond usual
    x = torch.randn(1, 3, 96, 80)
    with torch.no_grad():
        exact = network(x)
        if way == "autocast":
            with torch.autocast("cpu", half):
                rounded = network(x)
        else:
            rounded = network.to(half)(x.to(half))
    for y, y_exact in zip(rounded, exact, strict=True):
        assert y.isfinite().all()
        # Of maps whose tokens are normalised, a few roundings in each of three blocks.
        torch.testing.assert_close(y.float(), y_exact, rtol=0, atol=40 * torch.finfo(half).eps)


def load(network: S2MLPv2, path: Path) -> None:
    network.load_state_dict(torch.load(path)["state_dict"])


def load_by_mmengine(network: S2MLPv2, path: Path) -> None:
    load_checkpoint(network, str(path), strict=True)


def load_by_init_cfg(network: S2MLPv2, path: Path) -> None:
    network.init_cfg = dict(type="Pretrained", checkpoint=str(path))
    network.init_weights()


@pytest.mark.parametrize("way", [load, load_by_mmengine, load_by_init_cfg])
def test_checkpoints_for_the_sum_over_tokens_give_the_same_output(
    way: Callable[[S2MLPv2, Path], None], tmp_path: Path, log: list[tuple[int, str]]
) -> None:
    """Weights and outputs of a network whose split attention weighed by the sum, not the mean."""
    reference = arrays("s2mlpv2_of_sums.npz")
    weights = {key[2:]: value for key, value in reference.items() if key.startswith("w.")}
    arch = dict(embed_dims=(8, 16), depths=(1, 1), patch_sizes=(4, 2), mlp_ratio=2)
    line = "Rescaling 2 split attentions of the checkpoint from the sum over tokens"
    for number, said in enumerate([1, 0]):  # and saved anew, for the mean
        path = tmp_path / f"{number}.pth"
        torch.save(dict(state_dict=weights), path)
        network = S2MLPv2(arch, img_size=48)
        log.clear()
        way(network, path)
        assert sum(message.startswith(line) for _, message in log) == said
        for i, y in enumerate(network.eval()(reference["input"])):
            torch.testing.assert_close(y, reference[f"output{i}"], rtol=1e-6, atol=1e-6)
        weights = dict(network.state_dict())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(fusion="max"), "fusion must be 'split_attention' or 'mean', got 'max'"),
        (dict(arch=dict(MINI, patch_sizes=(7,))), "as many embed_dims as depths as patch_sizes"),
        (dict(arch="small"), r"arch must be one of \['medium/4', .*, got 'small'"),
        (dict(img_size=(224, 0)), r"img_size must each be at least 1, got \(224, 0\)"),
        (dict(out_indices=2), "out_indices must be one or more of 0 to 1"),
        (dict(shifts=()), r"shifts must be the directions of one map or more, got \(\)"),
        (dict(shifts=[((0, 2),)]), r"shifts must be \(down, right\) of -1, 0 or 1, got"),
        (dict(arch=dict(MINI, embed_dims=(3, 8))), "embed_dims must each be at least 4, got"),
        (dict(init_cfg=-1), "init_cfg must be a dict with a type, or a list of such, got -1"),
        (
            dict(init_cfg="Kaiming"),
            "init_cfg must be a dict with a type, or a list of such, got 'K",
        ),
    ],
)
def test_bad_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        S2MLPv2(**{"arch": MINI, **arguments}).init_weights()


def test_drop_path_grows_to_a_tenth_by_default() -> None:
    network = S2MLPv2(MINI)
    rates = [block.drop_path.drop_prob for stage in network.stages for block in stage.blocks]
    assert rates == pytest.approx([0, 0.05, 0.1])


def test_patch_embeddings_have_a_bias() -> None:
    network = S2MLPv2(MINI)
    names = [name for name, _ in network.named_parameters() if "patch_embed" in name]
    assert sum(name.endswith("bias") for name in names) == len(network.stages)
