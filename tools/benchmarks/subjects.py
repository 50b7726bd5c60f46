"""Subjects to measure: our backbones, their peers in mmdet and mmpretrain, complete models."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from torch import nn

from .deforming import with_deform_conv

# Has the package: a checkout, or an installation. It is not imported here, so that a worker reports
# its errors.
ROOT = Path(importlib.util.find_spec("mmsmlp").origin).resolve().parents[1]
# The same for every network that has it: it costs a pass over each residual branch in training.
DROP_PATH_RATE = 0.1
TITLES = {
    "smlpnet_t": "sMLPNet-T",
    "smlpnet_s": "sMLPNet-S",
    "smlpnet_b": "sMLPNet-B",
    "cyclemlp_b2": "CycleMLP-B2",
    "s2mlpv2_s4": "S²-MLPv2-Small/4",
    "s2mlpv2_m4": "S²-MLPv2-Medium/4",
    "s2mlpv2_s7": "S²-MLPv2-Small/7",
    "s2mlp_wide": "S²-MLP-wide",
    "s2mlp_deep": "S²-MLP-deep",
}
RESNET50 = dict(type="mmdet.ResNet", depth=50)
# By the names of the command line: the title, and the config, whose type begins with the library.
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet50": ("ResNet-50", RESNET50),
    "resnet50_channels_last": ("ResNet-50, channels last", RESNET50),
    "swin_t": (
        "Swin-T",
        dict(
            type="mmdet.SwinTransformer",
            embed_dims=96,
            depths=(2, 2, 6, 2),
            num_heads=(3, 6, 12, 24),
            drop_path_rate=DROP_PATH_RATE,
        ),
    ),
    "cyclemlp_b2_deform": (
        "CycleMLP-B2 by deform_conv2d",
        dict(type="mmsmlp.CycleMLP", arch="b2", drop_path_rate=DROP_PATH_RATE),
    ),
    "convnext_t": (
        "ConvNeXt-T",
        dict(
            type="mmpretrain.ConvNeXt",
            arch="tiny",
            out_indices=(0, 1, 2, 3),
            gap_before_final_norm=False,
            drop_path_rate=DROP_PATH_RATE,
        ),
    ),
    "pvtv2_b2": (
        "PVTv2-B2",
        dict(
            type="mmdet.PyramidVisionTransformerV2",
            embed_dims=64,
            num_layers=(3, 4, 6, 3),
            drop_path_rate=DROP_PATH_RATE,
        ),
    ),
    "poolformer_s24": (
        "PoolFormer-S24",
        dict(
            type="mmpretrain.PoolFormer",
            arch="s24",
            out_indices=(0, 2, 4, 6),
            frozen_stages=-1,
            drop_path_rate=DROP_PATH_RATE,
        ),
    ),
}


# That run an exported network, and in which precision if it is not fp32; also their titles.
RUNTIMES = {
    "onnxruntime": "onnxruntime",
    "openvino": "OpenVINO",
    "openvino_bf16": "OpenVINO bf16",
    "openvino_int8": "OpenVINO int8",
}


class SubjectError(ValueError):
    """There is no subject of this name; the message lists the names."""


@dataclass(frozen=True)
class Subject:
    """A subject to measure, in its own process.

    Args:
        name: A key of ``TITLES`` or ``PEERS``, or a config of a complete model.
        checkout: The checkout of this repository whose ``mmsmlp`` is measured.
        with_cp: Whether blocks recompute their activations in the backward pass.
        compiled: Whether it goes through ``torch.compile``.
        runtime: A key of ``RUNTIMES`` if it is exported.
        mini: Whether the mini data set takes the place of the config's own.
        options: Settings of the config to override.
    """

    name: str
    checkout: str = str(ROOT)
    with_cp: bool = False
    compiled: bool = False
    runtime: str = ""
    mini: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def is_config(self) -> bool:
        return is_config(self.name)

    @property
    def is_ours(self) -> bool:
        return self.name in TITLES

    @property
    def title(self) -> str:
        """Its title in tables and charts."""
        if self.is_config:
            title = Path(self.name).stem
        else:
            title = TITLES[self.name] if self.is_ours else PEERS[self.name][0]
        additions = {
            " with_cp": self.with_cp,
            " compiled": self.compiled,
            f" in {RUNTIMES.get(self.runtime)}": bool(self.runtime),
            " before": self.checkout != str(ROOT),
        }
        return title + "".join(text for text, holds in additions.items() if holds)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def is_config(name: str) -> bool:
    return name.endswith(".py") or "::" in name


def check_names(names: Sequence[str]) -> None:
    """Make sure that everything can be measured, and in the same run.

    Raises:
        SubjectError: If not.
    """
    for name in names:
        if not is_config(name) and name not in TITLES and name not in PEERS:
            raise SubjectError(
                f"there is no network {name!r}; there are {', '.join([*TITLES, *PEERS])}, "
                "and configs, whose names end in .py"
            )
    if len({is_config(name) for name in names}) > 1:
        raise SubjectError("networks and configs of complete models cannot be measured in one run")
    if len(set(names)) < len(names):
        raise SubjectError(f"every network must be named once, got {' '.join(names)}")


def variants(
    subjects: Sequence[Subject],
    with_cp: bool,
    compiled: bool,
    baseline: Path | None,
    exported: Sequence[str] = (),
) -> list[Subject]:
    """Subjects, and after them their variants.

    Args:
        subjects: Those to begin with.
        with_cp: Whether to add our networks with recomputed activations.
        compiled: Whether to add all of them compiled.
        baseline: A checkout with whose ``mmsmlp`` to add our networks, or all models.
        exported: Keys of ``RUNTIMES`` in which to add all of them.
    """
    more = list(subjects)
    if with_cp:
        more += [replace(subject, with_cp=True) for subject in subjects if subject.is_ours]
    if compiled:
        more += [replace(subject, compiled=True) for subject in subjects]
    more += [replace(subject, runtime=name) for name in exported for subject in subjects]
    if baseline is not None:
        # Peers have nothing in them that a checkout could change.
        changeable = [subject for subject in more if subject.is_ours or subject.is_config]
        more += [replace(subject, checkout=str(baseline)) for subject in changeable]
    return more


def build_network(subject: Subject, drop_path_rate: float | None = DROP_PATH_RATE) -> nn.Module:
    """A backbone, with random weights.

    Args:
        subject: Which one.
        drop_path_rate: Of networks that have drop path; each network's default if None.
    """
    _supply_operators()
    if subject.is_ours:
        import mmsmlp.backbones  # noqa: F401, by the name that earlier checkouts have as well
        from mmsmlp.swap.backbones import BACKBONES

        cfg = dict(BACKBONES[subject.name], drop_path_rate=DROP_PATH_RATE, with_cp=subject.with_cp)
        if "norm_cfg" in cfg:
            cfg["norm_cfg"] = dict(type="BN")  # one process has nobody to synchronise with
        library = "mmdet"
    else:
        cfg = dict(PEERS[subject.name][1])
        library = cfg["type"].partition(".")[0]
    if "drop_path_rate" in cfg:
        cfg["drop_path_rate"] = drop_path_rate
        if drop_path_rate is None:
            del cfg["drop_path_rate"]
    init_default_scope(library)
    network = importlib.import_module(f"{library}.registry").MODELS.build(ConfigDict(cfg))
    return with_deform_conv(network) if subject.name.endswith("_deform") else network


def _supply_operators() -> None:
    """Load mmcv's operators for a checkout that does not have them yet."""
    import mmsmlp  # noqa: F401, which loads its own

    if "mmsmlp.ops" not in sys.modules:
        path = Path(__file__).parents[2] / "mmsmlp/ops/__init__.py"
        spec = importlib.util.spec_from_file_location("mmsmlp.ops", path)
        module = sys.modules["mmsmlp.ops"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
