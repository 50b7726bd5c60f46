"""Altered and damaged configs through the swap: a config that works, or a line of why not."""

import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from mmengine.config import Config

from mmsmlp.swap import BACKBONES

from tests.fuzz.odd import JUNK, LENGTHS, cases, outcome  # isort: skip

RESNET = dict(type="ResNet", depth=18, base_channels=4, norm_cfg=dict(type="BN"), style="pytorch")
RECIPE = dict(
    optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01)),
    param_scheduler=[dict(type="PolyLR", eta_min=1e-4, end=10, by_epoch=False)],
    load_from="x.pth",
)
CONFIGS = dict(
    mmseg=dict(
        RECIPE,
        default_scope="mmseg",
        model=dict(
            type="EncoderDecoder",
            data_preprocessor=dict(type="SegDataPreProcessor", mean=[0, 0, 0], std=[1, 1, 1]),
            backbone=dict(RESNET, out_indices=(0, 1, 2, 3)),
            decode_head=dict(
                type="FCNHead", in_channels=32, in_index=3, channels=4, num_convs=1, num_classes=2
            ),
            test_cfg=dict(mode="whole"),
        ),
    ),
    mmdet=dict(
        RECIPE,
        default_scope="mmdet",
        model=dict(
            type="SingleStageDetector",
            data_preprocessor=dict(type="DetDataPreprocessor", mean=[0, 0, 0], std=[1, 1, 1]),
            backbone=dict(RESNET, out_indices=(1, 2, 3), frozen_stages=1),
            neck=dict(type="FPN", in_channels=[8, 16, 32], out_channels=8, num_outs=3),
            bbox_head=dict(
                type="FCOSHead", num_classes=2, in_channels=8, stacked_convs=1, strides=[8, 16, 32]
            ),
            test_cfg=dict(nms_pre=10, score_thr=0.9, nms=dict(type="nms", iou_threshold=0.5)),
        ),
    ),
)
SMALL = dict(
    type="mmsmlp.SMLPNet",
    arch=dict(embed_dims=(4, 6, 8, 10), depths=(1, 1, 1, 1), mlp_ratio=1),
    img_size=64,
)


def places(config: Any) -> list[tuple]:
    """Paths of all settings."""
    keys = config if isinstance(config, dict) else range(len(config))
    found = []
    for key in keys if isinstance(config, (dict, list, tuple)) else ():
        found.append((key,))
        if isinstance(config[key], (dict, list, tuple)):
            found += [(key, *rest) for rest in places(config[key])]
    return found


def altered(config: dict[str, Any], changes: list[tuple[int, str, Any]]) -> dict[str, Any]:
    """A config of which some settings are gone, have another name, or are something else."""
    config = deepcopy(config)
    for place, what, value in changes:
        if not (found := places(config)):
            break
        *path, key = found[place % len(found)]
        part = config
        for step in path:
            part = part[step]
        if isinstance(part, tuple):
            continue
        if what == "gone":
            del part[key]
        elif what == "renamed" and isinstance(part, dict):
            part[f"{key}s"] = part.pop(key)
        elif what == "added" and isinstance(part, dict):
            part["x"] = deepcopy(value)
        else:
            part[key] = deepcopy(value)
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("swap")


@pytest.fixture(scope="module", autouse=True)
def small() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "smlpnet_t", SMALL)
        yield


@given(
    scope=st.sampled_from(sorted(CONFIGS)),
    changes=st.lists(
        st.tuples(
            st.integers(0, 100), st.sampled_from(("gone", "renamed", "added", "changed")), JUNK
        ),
        max_size=3,
    ),
    length=LENGTHS,
    added=st.sampled_from(
        ("",) * 12 + ("import of_no_such_name", "x = (", "_base_ = 'no.py'", "\0")
    ),
    flags=st.lists(st.sampled_from(("--no-forward", "--keep-optimizer", "--force")), unique=True),
)
@cases(0.3)
def test_the_swap_writes_a_working_config_or_an_error(
    folder: Path, scope: str, changes: list, length: float, added: str, flags: list[str]
) -> None:
    pytest.importorskip(scope)
    shutil.rmtree(folder)
    folder.mkdir()
    text = Config(altered(CONFIGS[scope], changes)).pretty_text
    source, target = folder / "old.py", folder / "new.py"
    source.write_text(text[: round(length * len(text))] + f"\n{added}\n")
    if "--force" in flags:
        target.write_text("before = 1")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    error = outcome("swap_backbone", source, "--backbone", "smlpnet_t", "--out", target, *flags)
    after = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    event(error.replace(str(folder), "")[:90] if error else "swapped")
    if error:
        assert after == before
    else:
        assert after.keys() == {source, target}
        assert Config.fromfile(target).model.to_dict() != CONFIGS[scope]["model"]
