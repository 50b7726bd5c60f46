"""Weights that a model names, and test-time augmentation through wrapped data sets."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmsmlp.engine.hooks import CheckWeightsHook
from mmsmlp.engine.runner import use_tta
from mmsmlp.errors import CheckpointError, UsageError
from mmsmlp.models.backbones import SMLPNet

ARCH = dict(embed_dims=(8, 16), depths=(1, 1), mlp_ratio=2)


class Model(BaseModel):
    """A model of the usual build."""

    def __init__(self, init_cfg: dict | list | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.backbone = SMLPNet(ARCH, img_size=32, out_indices=(0, 1))
        self.head = nn.Linear(16, 3)

    def forward(self, inputs: Tensor, mode: str = "tensor") -> Tensor:
        return self.backbone(inputs)[-1]


@pytest.fixture
def trained() -> Model:
    torch.manual_seed(1)
    model = Model()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    return model


def initialised(init_cfg: dict | list) -> Model:
    """A model after the start of a run."""
    model = Model(init_cfg)
    CheckWeightsHook().before_run(SimpleNamespace(model=model))
    model.init_weights()
    return model


@pytest.mark.parametrize("prefix", ["", "backbone.", "module.encoder."])
def test_a_file_of_the_backbone_alone_arrives(prefix: str, trained: Model, tmp_path: Path) -> None:
    weights = {f"{prefix}{name}": x for name, x in trained.backbone.state_dict().items()}
    torch.save(weights, tmp_path / "backbone.pth")
    cfg = dict(type="Pretrained", checkpoint=str(tmp_path / "backbone.pth"))
    others = [dict(type="Constant", layer="Conv2d", val=0.5)]
    for init_cfg in (cfg, [cfg], [cfg, *others]):
        model = initialised(init_cfg)
        for name, value in trained.backbone.state_dict().items():
            assert torch.equal(model.backbone.state_dict()[name], value), name


def test_a_checkpoint_of_the_model_is_loaded_completely(trained: Model, tmp_path: Path) -> None:
    torch.save(dict(state_dict=trained.state_dict()), tmp_path / "model.pth")
    model = initialised(dict(type="Pretrained", checkpoint=str(tmp_path / "model.pth")))
    for name, value in trained.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_a_file_of_something_else_is_an_error(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 3).state_dict(), tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"SMLPNet cannot load '.*other\.pth': only 0 of"):
        initialised(dict(type="Pretrained", checkpoint=str(tmp_path / "other.pth")))


def test_a_backbone_takes_the_weights_that_mmseg_hands_it(trained: Model, tmp_path: Path) -> None:
    torch.save(trained.state_dict(), tmp_path / "model.pth")
    path = str(tmp_path / "model.pth")
    backbone = SMLPNet(ARCH, img_size=32, out_indices=(0, 1), pretrained=path)
    backbone.init_weights()
    for name, value in trained.backbone.state_dict().items():
        assert torch.equal(backbone.state_dict()[name], value), name


def test_augmentation_in_testing_takes_all_wrapped_data_sets() -> None:
    part = dict(type="A", pipeline=[dict(type="Plain")])
    nested = dict(type="RepeatDataset", dataset=dict(type="ConcatDataset", datasets=[part, part]))
    options = dict(
        model=dict(type="M"),
        data_preprocessor=dict(mean=1),
        tta_model=dict(type="T"),
        tta_pipeline=[dict(type="Many")],
    )
    cfg = Config(dict(options, test_dataloader=dict(dataset=nested)))
    use_tta(cfg)
    assert cfg.model == dict(type="T", module=dict(type="M", data_preprocessor=dict(mean=1)))
    for inner in cfg.test_dataloader.dataset.dataset.datasets:
        assert inner.pipeline == [dict(type="Many")]
    with pytest.raises(UsageError, match=r"^--tta needs tta_model and tta_pipeline in the conf"):
        use_tta(Config(dict(model=dict(type="M"))))
