import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmsmlp.engine.hooks import calibrate_norms
from mmsmlp.models.backbones import S2MLPv2, SMLPNet

ARCH = dict(embed_dims=(8, 16), depths=(2, 2), mlp_ratio=2)


def network(**arguments) -> SMLPNet:
    torch.manual_seed(0)
    return SMLPNet(ARCH, img_size=32, out_indices=(0, 1), **arguments)


def images(*sizes: tuple[int, int, int]) -> list[Tensor]:
    """Batches of (count, height, width), far from centred and unlike each other."""
    generator = torch.Generator().manual_seed(1)
    return [
        (i + 1) * torch.randn(n, 3, h, w, generator=generator) + i
        for i, (n, h, w) in enumerate(sizes)
    ]


def norms_of(backbone: nn.Module) -> dict[str, _BatchNorm]:
    return {name: m for name, m in backbone.named_modules() if isinstance(m, _BatchNorm)}


def inputs_of(backbone: nn.Module, name: str, batches: list[Tensor]) -> np.ndarray:
    """All that a norm is given in inference, (channels, values) in float64."""
    seen = []
    norm = backbone.get_submodule(name)
    hook = norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        for batch in batches:
            backbone.eval()(batch)
    hook.remove()
    return np.concatenate([x.transpose(0, 1).flatten(1).double().numpy() for x in seen], axis=1)


BATCHES = images((3, 32, 32), (1, 48, 40), (2, 20, 64))
FIRST = "stages.0.blocks.0.norm1"


def test_mean_and_variance_over_all_images() -> None:
    """Of the first norm, which depends on no other; what was in the checkpoint is forgotten."""
    backbone = network()
    first = backbone.get_submodule(FIRST)
    first.running_mean.fill_(1e6)
    names = calibrate_norms(backbone, iter(BATCHES))
    assert set(names) == set(norms_of(backbone))
    values = inputs_of(backbone, FIRST, BATCHES)
    np.testing.assert_allclose(first.running_mean, values.mean(axis=1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(first.running_var, values.var(axis=1), rtol=1e-4)


def test_of_one_batch_every_norm_agrees() -> None:
    """With one batch, each norm has its final statistics before the next one looks."""
    backbone = network()
    calibrate_norms(backbone, BATCHES[:1])
    for name, norm in norms_of(backbone).items():
        values = inputs_of(backbone, name, BATCHES[:1])
        np.testing.assert_allclose(norm.running_mean, values.mean(axis=1), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(norm.running_var, values.var(axis=1), rtol=1e-3)


def test_deep_norms_match_their_input_in_inference() -> None:
    """Image by image, where norms that look at one batch alone would lose what images differ in."""
    generator = torch.Generator().manual_seed(2)
    contrast, brightness = torch.rand(2, 300, 1, 1, 1, generator=generator)
    batches = (contrast * torch.randn(300, 3, 32, 32, generator=generator) + brightness).split(1)
    backbone = network()
    calibrate_norms(backbone, batches)
    for name, norm in norms_of(backbone).items():
        values = inputs_of(backbone, name, batches)
        deviation = values.std(axis=1)
        shift = abs(norm.running_mean.numpy() - values.mean(axis=1)) / deviation
        scale = abs(np.log(norm.running_var.sqrt().numpy() / deviation))
        assert shift.mean() < 0.05 and scale.mean() < 0.05, name
        assert shift.max() < 0.15 and scale.max() < 0.15, name


def test_nothing_else_changes() -> None:
    backbone = network(drop_path_rate=0.5, frozen_stages=1, norm_eval=True).train()
    before = copy.deepcopy(backbone.state_dict())
    modes = [module.training for module in backbone.modules()]
    names = calibrate_norms(backbone, BATCHES)
    assert [module.training for module in backbone.modules()] == modes
    assert all(norm.momentum == 0.1 for norm in norms_of(backbone).values())
    assert not any(module._forward_pre_hooks for module in backbone.modules())
    changed = {k for k, v in backbone.state_dict().items() if not torch.equal(v, before[k])}
    # The first stage is frozen, with its output norm.
    assert changed == {f"{name}.running_{x}" for name in names for x in ("mean", "var")}
    assert set(names) == {n for n in norms_of(backbone) if n.startswith(("stages.1", "norm1"))}


def test_nothing_is_dropped() -> None:
    first, second = network(drop_path_rate=0.9), network(drop_path_rate=0.0)
    calibrate_norms(first.train(), BATCHES)
    calibrate_norms(second.train(), BATCHES)
    torch.testing.assert_close(first.state_dict(), second.state_dict())


def test_a_network_without_batch_norms_is_refused() -> None:
    backbone = S2MLPv2(dict(ARCH, patch_sizes=(4, 2)))
    with pytest.raises(ValueError, match="has no batch norm whose statistics may change"):
        calibrate_norms(backbone, BATCHES)


def test_no_images_are_refused_and_leave_the_statistics() -> None:
    backbone = network()
    before = copy.deepcopy(backbone.state_dict())
    with pytest.raises(ValueError, match="there is no batch"):
        calibrate_norms(backbone, [])
    torch.testing.assert_close(backbone.state_dict(), before, rtol=0, atol=0)


RANKS = 3


def _rank(rank: int, store: str, result: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=RANKS
    )
    backbone = network()
    # As many images as there are, none for the last rank.
    calibrate_norms(backbone, [BATCHES[:2], BATCHES[2:], []][rank])
    torch.save(backbone.state_dict(), result)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_ranks_end_with_the_statistics_over_all_images(tmp_path: Path) -> None:
    results = [tmp_path / f"{rank}.pth" for rank in range(RANKS)]
    # Not forks of this process: where it has used OpenMP, they would wait for threads they lack.
    processes = [
        subprocess.Popen([sys.executable, __file__, str(rank), str(tmp_path / "store"), result])
        for rank, result in enumerate(results)
    ]
    try:
        assert [process.wait(120) for process in processes] == [0] * RANKS
    finally:
        for process in processes:
            process.kill()
    states = [torch.load(result) for result in results]
    values = inputs_of(network(), FIRST, BATCHES)
    for state in states:
        np.testing.assert_allclose(state[f"{FIRST}.running_mean"], values.mean(1), rtol=1e-4)
        np.testing.assert_allclose(state[f"{FIRST}.running_var"], values.var(1), rtol=1e-4)
        for name in state:
            np.testing.assert_array_equal(state[name], states[0][name])


if __name__ == "__main__":
    _rank(int(sys.argv[1]), *sys.argv[2:])
