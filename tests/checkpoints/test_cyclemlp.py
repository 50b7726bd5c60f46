"""CycleMLP's authors' names; that the tensors land where they belong is tested with the network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mmsmlp.checkpoints import CYCLEMLP, SPACH, source_of
from mmsmlp.checkpoints.publishing import Classifier, convert, verify
from mmsmlp.errors import CheckpointError
from mmsmlp.models.backbones import CycleMLP, SMLPNet

ARCH = dict(embed_dims=(8, 16, 24, 32), depths=(1, 2, 1, 1), mlp_ratios=(4, 4, 4, 4))


def authors_names(network: CycleMLP) -> dict[str, Tensor]:
    """A network's state dict in the authors' layout, written down apart from the converter."""
    rows = [("cycle.row", "attn.sfc_h"), ("cycle.column", "attn.sfc_w"), ("cycle.", "attn.")]
    rows += [("channel", "mlp_c"), ("reweight.0", "reweight.fc1"), ("reweight.2", "reweight.fc2")]
    theirs = {}
    for name, value in network.state_dict().items():
        value = value.clone()
        if name.startswith("stages."):
            stage, rest = name.removeprefix("stages.").split(".", 1)
            if rest.startswith("patch_embed"):
                place = "patch_embed.proj" if stage == "0" else f"network.{2 * int(stage) - 1}.proj"
                name = rest.replace("patch_embed", place)
            else:
                name = f"network.{2 * int(stage)}.{rest.removeprefix('blocks.')}"
                for ours, their in rows:
                    name = name.replace(ours, their)
                if ".sfc_" in name and value.ndim == 2:
                    value = value[:, :, None, None]
                    theirs[name.replace("weight", "offset")] = torch.zeros(1, 2 * len(value), 1, 1)
        else:
            name = name.replace("norm3", "norm")
        theirs[name] = value
    return theirs


def test_every_tensor_gets_our_name(cyclemlp_weights: dict) -> None:
    converted, modules = CYCLEMLP.convert(cyclemlp_weights)
    backbone = CycleMLP(ARCH, out_indices=-1)
    shapes = {f"backbone.{name}": value.shape for name, value in backbone.state_dict().items()}
    shapes |= {"head.fc.weight": (10, 32), "head.fc.bias": (10,)}
    assert {name: value.shape for name, value in converted.items()} == shapes
    assert modules["backbone.stages.1.blocks.1.cycle.row"] == "network.2.1.attn.sfc_h"
    assert len(set(modules.values())) == len(modules)


@pytest.mark.parametrize("arch", sorted(CycleMLP.variants))
def test_the_variant_is_recognised(arch: str) -> None:
    with torch.device("meta"):
        network = CycleMLP(arch, out_indices=-1)
        converted, _ = CYCLEMLP.convert(authors_names(network))
        assert converted.keys() == {f"backbone.{name}" for name in network.state_dict()}
    assert CYCLEMLP.settings(converted) == dict(arch=arch, in_channels=3)


def test_wrappers_come_off(cyclemlp_weights: dict) -> None:
    wrapped = {f"module.model.{name}": value for name, value in cyclemlp_weights.items()}
    converted, modules = CYCLEMLP.convert(wrapped)
    assert converted.keys() == CYCLEMLP.convert(cyclemlp_weights)[0].keys()
    assert modules["backbone.norm3"] == "module.model.norm"


def test_unknown_modules_keep_their_names(cyclemlp_weights: dict) -> None:
    cyclemlp_weights["relative.table"] = torch.zeros(2)
    assert "backbone.relative.table" in CYCLEMLP.convert(cyclemlp_weights)[0]


def test_others_are_not_mistaken_for_it(cyclemlp_weights: dict, spach_weights: dict) -> None:
    assert source_of(cyclemlp_weights) is CYCLEMLP
    assert source_of(spach_weights) is SPACH
    assert source_of(CycleMLP(ARCH).state_dict()) is None


def init_from(network: torch.nn.Module, path: Path) -> None:
    network.init_cfg = dict(type="Pretrained", checkpoint=str(path), prefix="backbone.")
    network.init_weights()


def test_the_authors_file_arrives_by_init_cfg(cyclemlp_weights: dict, tmp_path: Path) -> None:
    torch.save({"model": cyclemlp_weights, "epoch": 300}, tmp_path / "theirs.pth")
    network = CycleMLP(ARCH)
    init_from(network, tmp_path / "theirs.pth")
    converted, _ = CYCLEMLP.convert(cyclemlp_weights)
    for name, value in network.state_dict().items():
        if not name.startswith(("norm0", "norm1", "norm2")):
            assert torch.equal(value, converted[f"backbone.{name}"]), name


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            lambda: SMLPNet("tiny", img_size=64),
            "SMLPNet cannot load .*: only 46 of its 540",
        ),
        (lambda: CycleMLP("b1"), "CycleMLP cannot load .*: .* of another shape"),
    ],
    ids=["another network", "another size"],
)
def test_weights_of_another_network_are_refused_in_words(
    network, message: str, cyclemlp_weights: dict, tmp_path: Path
) -> None:
    torch.save({"model": cyclemlp_weights}, tmp_path / "theirs.pth")
    with pytest.raises(CheckpointError, match=message) as error:
        init_from(network(), tmp_path / "theirs.pth")
    assert "\n" not in str(error.value)


def test_weights_of_smlpnet_are_refused_by_cyclemlp(spach_weights: dict, tmp_path: Path) -> None:
    torch.save({"model": spach_weights}, tmp_path / "theirs.pth")
    with pytest.raises(CheckpointError, match=r"CycleMLP cannot load .*: "):
        init_from(CycleMLP(ARCH), tmp_path / "theirs.pth")


def test_the_published_form_has_the_authors_logits(
    cyclemlp_weights: dict, cyclemlp_golden: dict, tmp_path: Path
) -> None:
    conversion = convert(cyclemlp_weights, "", {})
    assert conversion.name == "cyclemlp-custom_3rdparty"
    assert conversion.meta["backbone"] == dict(
        type="mmsmlp.CycleMLP", arch=ARCH, in_channels=3, out_indices=-1
    )
    assert not conversion.left_over and not conversion.missing
    Classifier(conversion.meta["backbone"], 10).load_state_dict(conversion.weights)
    arrays = {name: cyclemlp_golden[f"{name}_64x96"].numpy() for name in ("input", "logits")}
    np.savez(tmp_path / "reference.npz", **arrays)
    assert verify(conversion.weights, str(tmp_path / "reference.npz")) < 1e-5


def test_unused_missing_and_misshapen_tensors_are_named(cyclemlp_weights: dict) -> None:
    cyclemlp_weights["network.0.0.attn.extra.weight"] = torch.zeros(2)
    del cyclemlp_weights["network.2.0.attn.sfc_w.bias"]
    conversion = convert(cyclemlp_weights, "", {})
    assert conversion.left_over == ["network.0.0.attn.extra.weight"]
    assert conversion.missing == ["network.2.0.attn.sfc_w.bias"]
    cyclemlp_weights["norm.weight"] = torch.zeros(3)
    with pytest.raises(CheckpointError, match=r"1 of a wrong shape: norm\.weight is \(3,\), not"):
        convert(cyclemlp_weights, "", {})
