"""The example of the documentation runs without OpenMMLab."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmsmlp.deploy import export
from mmsmlp.deploy.exporting import Loaded

DOCUMENT = Path(__file__).parents[2] / "docs" / "deployment.md"
MEAN, STD = (100.0, 110.0, 120.0), (50.0, 60.0, 70.0)


class Preprocessor(nn.Module):
    """What the metadata are read from."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        self.to_rgb = True


@pytest.mark.parametrize("scope", ["mmpretrain", "mmseg"])
def test_the_example_matches_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    pytest.importorskip("onnxscript", reason="the extra `deploy` is not installed")
    pytest.importorskip("onnxruntime")
    registry = pytest.importorskip(f"{scope}.registry")
    from mmengine.registry import init_default_scope

    init_default_scope(scope)
    torch.manual_seed(0)
    arch = dict(embed_dims=(8, 16), depths=(1, 1), mlp_ratio=2)
    backbone = dict(type="mmsmlp.SMLPNet", arch=arch, img_size=32, out_indices=(1,))
    if scope == "mmpretrain":
        head = dict(type="LinearClsHead", num_classes=3, in_channels=16)
        model = dict(type="ImageClassifier", backbone=backbone, head=head)
        model["neck"] = dict(type="GlobalAveragePooling")
    else:
        head = dict(type="FCNHead", in_channels=16, channels=8, num_classes=3, num_convs=1)
        model = dict(type="EncoderDecoder", backbone=backbone, decode_head=dict(head, in_index=0))
    network = registry.MODELS.build(model).eval()
    network.data_preprocessor = Preprocessor()
    loaded = Loaded(network, dict(classes=("cat", "dog", "bird")), "")
    export(loaded, Config(dict()), tmp_path / "model.onnx")

    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert "mmsmlp" not in "".join(re.findall(r"^(?:import|from) .*", example, re.MULTILINE))
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(example, names)
    assert json.loads(json.dumps(names["about"]))["mean"] == list(MEAN)
    image = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)
    x = (torch.from_numpy(image).permute(2, 0, 1).float() - network.data_preprocessor.mean) / (
        network.data_preprocessor.std
    )
    with torch.no_grad():
        features = network.extract_feat(x[None])
        if scope == "mmpretrain":
            assert (
                names["predict"](image) == loaded.meta["classes"][network.head(features).argmax()]
            )
        else:
            logits = nn.functional.interpolate(
                network.decode_head(features), image.shape[:2], mode="bilinear"
            )
            agreement = (torch.from_numpy(names["predict"](image)) == logits[0].argmax(0)).float()
            assert agreement.mean() > 0.999
