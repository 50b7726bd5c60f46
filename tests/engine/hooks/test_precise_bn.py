import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel, ImgDataPreprocessor
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import Dataset

from mmsmlp.engine.hooks import PreciseBNHook
from mmsmlp.models.backbones import SMLPNet

ARCH = dict(embed_dims=(8, 16), depths=(1, 1), mlp_ratio=2)
FIRST = "stages.0.blocks.0.norm1"


class Images(Dataset):
    """12 images of several sizes, each as a pipeline packs it."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        sizes = [(40, 32), (32, 48), (36, 36)] * 4
        self.images = [
            torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
            for size in sizes
        ]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict:
        return dict(inputs=self.images[index])


class Regressor(BaseModel):
    """A model of the usual build; its loss is of no meaning."""

    def __init__(self, **backbone) -> None:
        super().__init__(ImgDataPreprocessor(mean=[127.3] * 3, std=[60.1] * 3, pad_size_divisor=32))
        torch.manual_seed(0)
        self.backbone = SMLPNet(ARCH, img_size=32, out_indices=(0, 1), **backbone)
        self.statistics = []  # of the first norm, at each step

    def forward(self, inputs: Tensor, mode: str = "tensor", **kwargs) -> dict:
        self.statistics.append(self.backbone.get_submodule(FIRST).running_mean.clone())
        return dict(loss=self.backbone(inputs)[-1].square().mean())


def train(
    folder: Path, hook: dict, train_cfg: dict, optimizer: dict | None = None, **arguments
) -> Runner:
    runner = Runner(
        model=arguments.pop("model", None) or Regressor(),
        work_dir=str(folder),
        train_dataloader=dict(
            dataset=Images(), sampler=dict(type="DefaultSampler", shuffle=True), batch_size=3
        ),
        train_cfg=train_cfg,
        optim_wrapper=dict(optimizer=optimizer or dict(type="SGD", lr=0.0)),
        custom_hooks=[
            *arguments.pop("before", []),
            dict(type="mmsmlp.PreciseBNHook", **hook),
        ],
        default_hooks=dict(
            checkpoint=dict(type="CheckpointHook", interval=1, by_epoch=train_cfg["by_epoch"])
        ),
        experiment_name=f"{folder.name}_{np.random.randint(1 << 30)}",
        **arguments,
    )
    runner.train()
    return runner


def population(model: Regressor, images: list[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the first norm's input, the embedded patches of each image alone."""
    embed = copy.deepcopy(model.backbone.stages[0].patch_embed)
    with torch.no_grad():
        tokens = [embed((x.float() - 127.3)[None] / 60.1)[0].flatten(1) for x in images]
    tokens = torch.cat(tokens, dim=1).double().numpy()
    return tokens.mean(axis=1), tokens.var(axis=1)


def saved(runner: Runner, name: str) -> Tensor:
    state = torch.load(Path(runner.work_dir) / f"{name}.pth", weights_only=False)["state_dict"]
    return state[f"backbone.{FIRST}.running_mean"]


EPOCHS = dict(by_epoch=True, max_epochs=2)
ITERS = dict(by_epoch=False, max_iters=4)
LOOPS = pytest.mark.parametrize(
    ("train_cfg", "last"), [(EPOCHS, "epoch_2"), (ITERS, "iter_4")], ids=["epochs", "iters"]
)


@LOOPS
def test_training_begins_with_the_statistics_of_its_images(
    tmp_path: Path, train_cfg: dict, last: str
) -> None:
    """Each image by itself, although batches pad them."""
    runner = train(tmp_path, dict(num_images=100), train_cfg)
    mean, _ = population(runner.model, Images().images)
    # Estimating goes past the model to its backbone: the first entry is the first step.
    np.testing.assert_allclose(runner.model.statistics[0], mean, rtol=1e-4, atol=1e-5)
    assert len(runner.model.statistics) == runner.iter
    # Without an interval, running averages are saved as ever: of padded batches.
    assert not np.allclose(saved(runner, last), mean, rtol=1e-3)


@LOOPS
def test_checkpoints_get_the_statistics_at_an_interval(
    tmp_path: Path, train_cfg: dict, last: str
) -> None:
    runner = train(tmp_path, dict(interval=2), train_cfg)
    mean, _ = population(runner.model, Images().images)
    np.testing.assert_allclose(saved(runner, last), mean, rtol=1e-4, atol=1e-5)
    between = saved(runner, last.replace("4", "3").replace("epoch_2", "epoch_1"))
    assert not np.allclose(between, mean, rtol=1e-3)


@pytest.mark.parametrize("average", [dict(), dict(update_buffers=True, priority=49)])
@LOOPS
def test_averaged_weights_get_statistics_of_their_own(
    tmp_path: Path, train_cfg: dict, last: str, average: dict
) -> None:
    """The embedding of patches moves, so weights and average have different statistics."""
    ema = dict(type="EMAHook", momentum=0.5, **average)
    train(tmp_path, dict(interval=2), train_cfg, dict(type="Adam", lr=0.05), before=[ema])
    checkpoint = torch.load(tmp_path / f"{last}.pth", weights_only=False)
    found = []
    for key in ("state_dict", "ema_state_dict"):
        weights = {
            name.removeprefix("module."): value
            for name, value in checkpoint[key].items()
            if isinstance(value, Tensor)
        }
        model = Regressor()
        model.load_state_dict(weights, strict=False)
        mean, _ = population(model, Images().images)
        found.append(model.backbone.get_submodule(FIRST).running_mean.numpy())
        np.testing.assert_allclose(found[-1], mean, rtol=1e-4, atol=1e-5)
    assert not np.allclose(*found, rtol=1e-2)


def test_num_images_limits_the_images(tmp_path: Path) -> None:
    """The statistics are those of some five of the images, and of one order of them."""
    first = train(tmp_path / "first", dict(num_images=5), ITERS).model
    second = train(tmp_path / "second", dict(num_images=5), ITERS).model
    assert torch.equal(first.statistics[0], second.statistics[0])
    means = [
        population(first, [Images().images[i] for i in subset])[0]
        for subset in torch.combinations(torch.arange(12), 5)
    ]
    assert sum(np.allclose(first.statistics[0], mean, rtol=1e-4, atol=1e-5) for mean in means) == 1


def test_a_resumed_run_keeps_its_statistics(tmp_path: Path) -> None:
    runner = train(tmp_path, dict(num_images=100), ITERS)
    learnt = saved(runner, "iter_4")
    resumed = train(
        tmp_path,
        dict(num_images=100),
        dict(ITERS, max_iters=5),
        resume=True,
        load_from=str(tmp_path / "iter_4.pth"),
    )
    torch.testing.assert_close(resumed.model.statistics[0], learnt)


@pytest.mark.parametrize("argument", ["num_images", "interval"])
def test_bad_arguments_are_named(argument: str) -> None:
    with pytest.raises(ValueError, match=f"{argument} must be at least 1.*, got 0"):
        PreciseBNHook(**{argument: 0})
