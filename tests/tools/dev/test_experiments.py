"""The experiments: their jobs fit their configs, and their tables say what was measured."""

import argparse
import json
from itertools import product
from pathlib import Path
from types import ModuleType

import pytest
from experiments import mixed_sizes, padding, transfer
from experiments.jobs import Job
from experiments.reporting import report
from mmengine.config import Config, DictAction

ROOT = Path(__file__).parents[3]
EXPERIMENTS = [transfer, padding]


def config_of(job: Job) -> Config:
    """The config that a training gets to see."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--work-dir")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction)
    args = parser.parse_args(job.command[1:])
    cfg = Config.fromfile(ROOT / args.config)
    cfg.merge_from_dict(args.cfg_options)
    return cfg


def trainings(experiment: ModuleType, root: Path) -> dict[str, Config]:
    pytest.importorskip("mmpretrain")
    return {
        job.name: config_of(job)
        for job in experiment.jobs(root)
        if job.command[0] == "tools/train.py"
    }


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda module: module.__name__)
def test_jobs_need_the_jobs_of_their_checkpoints(experiment: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("mmpretrain")
    jobs = {job.name: job for job in experiment.jobs(tmp_path)}
    configs = trainings(experiment, tmp_path)
    for name, job in jobs.items():
        assert (ROOT / job.command[0]).is_file()
        read = [argument for argument in job.command if argument.endswith(".pth")]
        assert len(read) == len(job.needs) <= 1
        for argument, need in zip(read, job.needs, strict=True):
            path = Path(argument.partition("=")[2] or argument)
            assert path.parent == tmp_path / need
            assert path.name == f"epoch_{configs[need].train_cfg.max_epochs}.pth", name


@pytest.mark.parametrize(
    "path",
    [
        *sorted((ROOT / "configs/experiments").glob("camvid_*")),
        *sorted((ROOT / "configs/experiments").glob("cifar*")),
        *sorted((ROOT / "configs/experiments/padding").glob("camvid_*")),
    ],
    ids=lambda path: path.stem,
)
def test_networks_of_all_configs_build(path: Path) -> None:
    cfg = Config.fromfile(path)
    library = cfg.default_scope
    registry = pytest.importorskip(f"{library}.registry").MODELS
    with registry.switch_scope_and_registry(library) as models:
        model = models.build(cfg.model)
    head, classes = (model.decode_head, 11) if library == "mmseg" else (model.head, 10)
    assert head.num_classes == classes


def write_metric(folder: Path, **metric: float) -> None:
    log = folder / "20260101_000000" / "vis_data" / "scalars.json"
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps(dict(loss=1.0)) + "\n" + json.dumps(metric) + "\n")


def test_the_table_of_transfer_has_means_and_gains(tmp_path: Path) -> None:
    for k, network in enumerate(transfer.NETWORKS):
        write_metric(tmp_path / f"cifar10/{network}", **{"accuracy/top1": 60.0 + k})
        for seed in transfer.SEEDS:
            write_metric(tmp_path / f"camvid/{network}/scratch/{seed}", mIoU=20.0 + k + seed)
            write_metric(tmp_path / f"camvid/{network}/pretrained/{seed}", mIoU=30.0 + 2 * seed)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/transfer.md").write_text("before\n\n| table |\n\nafter\n")
    lines = report(transfer, tmp_path, tmp_path / "docs").splitlines()
    document = (tmp_path / "docs/transfer.md").read_text().splitlines()
    assert document == ["before", "", *lines, "", "after"]
    assert lines[2] == "| sMLPNet | 60.0 | 21.0 ± 1.0 | 32.0 ± 2.0 | +11.0 |"
    assert lines[5] == "| ResNet-18 | 63.0 | 24.0 ± 1.0 | 32.0 ± 2.0 | +8.0 |"
    written = json.loads((tmp_path / "docs/experiments/transfer.json").read_text())
    assert written["swin"] == dict(top1=64.0, scratch=[24, 25, 26], pretrained=[30, 32, 34])
    assert (tmp_path / "docs/images/transfer.png").stat().st_size > 10_000

    # Run anew, elsewhere, for one network.
    write_metric(tmp_path / "anew/cifar10/swin", **{"accuracy/top1": 70.0})
    for start, seed in product(transfer.STARTS, transfer.SEEDS):
        write_metric(tmp_path / f"anew/camvid/swin/{start}/{seed}", mIoU=40.0 + seed)
    anew = report(transfer, tmp_path / "anew", tmp_path / "docs", ["swin"]).splitlines()
    assert anew[:-1] == lines[:-1]
    assert anew[-1] == "| Swin | 70.0 | 41.0 ± 1.0 | 41.0 ± 1.0 | +0.0 |"


def test_trainings_on_images_of_mixed_sizes(tmp_path: Path) -> None:
    pytest.importorskip("mmdet")
    jobs = {job.name: job for job in padding.jobs(tmp_path)}
    cfg = config_of(jobs["mini/s2mlpv2/crop/2"])
    assert cfg.model.backbone.training_padding == "crop"
    assert cfg.randomness.seed == 2
    assert cfg.train_cfg.max_iters == cfg.train_cfg.val_interval == padding.ITERATIONS
    swin = config_of(jobs["mini/swin/include/0"])
    assert "training_padding" not in swin.model.backbone

    before = [dict(type="LoadImageFromFile"), dict(type="PackDetInputs")]
    cfg = Config(dict(train_dataloader=dict(dataset=dict(pipeline=before))))
    mixed_sizes.resize_each(cfg)
    first, resize, last = cfg.train_dataloader.dataset.pipeline
    assert [first, last] == before
    assert resize.type == "RandomResize" and resize.ratio_range == (0.6, 1.6)


def test_the_table_of_padding_has_finished_trainings(tmp_path: Path) -> None:
    jobs = {job.name: job for job in padding.jobs(tmp_path)}
    finished = [*(f"swin/include/{seed}" for seed in range(3)), "s2mlp/include/0"]
    finished += ["s2mlp/crop/0", "s2mlp/crop/1"]
    for k, name in enumerate(f"mini/{run}" for run in finished):
        write_metric(
            tmp_path / name, **{"coco/bbox_mAP": 0.1 + 0.02 * k, "coco/segm_mAP": 0.1 + 0.01 * k}
        )
        done = dict(command=jobs[name].command, seconds=1)
        (tmp_path / name / "done.json").write_text(json.dumps(done))
    write_metric(tmp_path / "mini/s2mlp/include/1", **{"coco/bbox_mAP": 0.5})
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/padding.md").write_text("| table |\n\n| changes |\n")
    lines = report(padding, tmp_path, tmp_path / "docs").splitlines()
    assert lines[0] == "| network | padding in training | mini, box AP | mini, mask AP |"
    assert [line for line in lines[1:] if not line.startswith("| ---")] == [
        "| Swin | included | 12.0 ± 2.0 | 11.0 ± 1.0 |",
        "| S²-MLP | included | 16.0 (1 of 6) | 13.0 (1 of 6) |",
        "| S²-MLP | cropped | 19.0 ± 1.4 (2 of 6) | 14.5 ± 0.7 (2 of 6) |",
        "",
        "| network | mini, box AP | mini, mask AP |",
        "| S²-MLP | +2.0, more in 1 of 1 | +1.0, more in 1 of 1 |",
    ]
    assert (tmp_path / "docs/images/padding.png").stat().st_size > 10_000
