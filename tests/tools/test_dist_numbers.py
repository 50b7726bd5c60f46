"""What two processes learn, beside what one learns."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

ROOT = Path(__file__).parents[2]
ARCH = dict(embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1), mlp_ratio=2)

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")

# Networks and losses whose gradients are means over images: two processes then average to what one
# has for the whole batch. Batch norms in training mode and dropout would make a difference.
EXACT = {
    "classification": dict(
        default_scope="mmpretrain",
        model=dict(
            type="ImageClassifier",
            backbone=dict(
                type="mmsmlp.S2MLPv2",
                arch=dict(ARCH, patch_sizes=(4, 2, 2, 2)),
                out_indices=3,
                drop_path_rate=0.0,
            ),
            neck=dict(type="GlobalAveragePooling"),
            head=dict(type="LinearClsHead", in_channels=32, num_classes=5),
            data_preprocessor=dict(
                type="ClsDataPreprocessor", mean=[120.0] * 3, std=[60.0] * 3, num_classes=5
            ),
        ),
        train_dataloader=dict(
            dataset=dict(
                type="CustomDataset",
                data_prefix="data/mini/classification/train",
                pipeline=[
                    dict(type="LoadImageFromFile"),
                    dict(type="Resize", scale=(64, 64)),
                    dict(type="PackInputs"),
                ],
            ),
        ),
    ),
    "segmentation": dict(
        default_scope="mmseg",
        model=dict(
            type="EncoderDecoder",
            backbone=dict(
                type="mmsmlp.SMLPNet",
                arch=ARCH,
                img_size=64,
                out_indices=3,
                norm_eval=True,
                drop_path_rate=0.0,
            ),
            decode_head=dict(
                type="FCNHead",
                in_channels=32,
                in_index=0,
                channels=8,
                num_convs=1,
                num_classes=6,
                dropout_ratio=0,
                loss_decode=dict(type="CrossEntropyLoss"),
            ),
            data_preprocessor=dict(
                type="SegDataPreProcessor", mean=[120.0] * 3, std=[60.0] * 3, size=(64, 64)
            ),
        ),
        train_dataloader=dict(
            dataset=dict(
                type="BaseSegDataset",
                metainfo=dict(classes=("background", *"abcde")),
                data_prefix=dict(
                    img_path="data/mini/images/train", seg_map_path="data/mini/semantic/train"
                ),
                pipeline=[
                    dict(type="LoadImageFromFile"),
                    dict(type="LoadAnnotations"),
                    dict(type="Resize", scale=(64, 64), keep_ratio=False),
                    dict(type="PackSegInputs"),
                ],
            ),
        ),
    ),
}


def exact_config(task: str) -> Config:
    pytest.importorskip(EXACT[task]["default_scope"])
    cfg = Config(EXACT[task])
    cfg.train_dataloader.update(num_workers=0, sampler=dict(type="InfiniteSampler", shuffle=False))
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=10)
    cfg.optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.02, momentum=0.9))
    cfg.default_hooks = dict(checkpoint=dict(type="CheckpointHook", interval=5, by_epoch=False))
    cfg.randomness = dict(seed=0)
    return cfg


@pytest.fixture
def train(tiny_mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """tools/train.py with a config and a batch size, in this process; returns the work directory.

    As one process, or as that of a rank.
    """
    monkeypatch.chdir(tiny_mini)

    def run(cfg: Config, batch_size: int, rank: int | None = None) -> Path:
        launcher = "none" if rank is None else "pytorch"
        monkeypatch.setenv("LOCAL_RANK", str(rank or 0))
        cfg.train_dataloader.batch_size = batch_size
        config, work_dir = tmp_path / f"{launcher}_{rank}.py", tmp_path / launcher
        cfg.dump(config)
        arguments = ["train", config, "--launcher", launcher, "--work-dir", work_dir]
        monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
        runpy.run_path(str(ROOT / "tools" / "train.py"))["main"]()
        return work_dir

    return run


@pytest.mark.parametrize("task", EXACT)
def test_two_processes_learn_the_same_as_one(
    task: str, train: Callable, in_two_processes: Callable
) -> None:
    cfg = exact_config(task)
    one = train(cfg, 4)
    two, _ = in_two_processes(lambda rank: train(cfg, 2, rank))
    halfway, alone, together = (
        torch.load(path, weights_only=False)["state_dict"]
        for path in (one / "iter_5.pth", one / "iter_10.pth", two / "iter_10.pth")
    )
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    assert max((alone[name] - halfway[name]).abs().max() for name in alone) > 1e-3


def test_a_config_trains_with_sharded_weights(train: Callable, in_two_processes: Callable) -> None:
    pytest.importorskip("torch", minversion="2.6", reason="needs a GPU before")
    cfg = exact_config("segmentation")
    cfg.runner_type = "FlexibleRunner"
    cfg.env_cfg = dict(dist_cfg=dict(backend="nccl"))
    wrapper = dict(type="MMFullyShardedDataParallel", device_id="cpu")
    cfg.strategy = dict(type="FSDPStrategy", model_wrapper=wrapper)
    work_dir, _ = in_two_processes(lambda rank: train(cfg, 2, rank))
    shards = {path.name for path in (work_dir / "iter_10.pth").iterdir()}
    assert shards == {"rank0.pth", "rank1.pth"}
