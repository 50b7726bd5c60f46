"""One pass through a complete model: an iteration without its optimizer, or a prediction."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner, set_random_seed

from .passes import Case, autocast
from .subjects import Subject


class ModelPass:
    """Passes through the model of a config, on the first batch of its data.

    Args:
        subject: Which one.
        device: ``'cpu'`` or ``'cuda'``.
    """

    def __init__(self, subject: Subject, device: str) -> None:
        from mmsmlp.datasets.mini.swap import use_mini
        from mmsmlp.engine.runner import check_data, read_config

        self.device = device
        self.cfg = read_config(subject.name)
        if subject.mini:
            use_mini(self.cfg)
        if subject.options:
            self.cfg.merge_from_dict(subject.options)
        check_data(self.cfg, "train", "test")
        init_default_scope(self.cfg.default_scope)
        set_random_seed(0)
        model = ConfigDict(self.cfg.model)
        # mmpretrain keeps it outside of the model.
        if "data_preprocessor" in self.cfg:
            model.setdefault("data_preprocessor", self.cfg.data_preprocessor)
        self.model = MODELS.build(model)
        self.model.init_weights()
        self.model.to(device)

    def prepare(self, case: Case) -> None:
        self.case = case
        self.model.train(case.mode == "training")
        split = "train" if case.mode == "training" else "test"
        loader = dict(self.cfg[f"{split}_dataloader"], num_workers=0, persistent_workers=False)
        set_random_seed(0)
        self.batch = next(iter(Runner.build_dataloader(loader, seed=0)))

    def fetch(self) -> Any:
        """Input of the next pass; made outside of the timed part."""
        # The same regions and points are drawn each time; models write into their samples.
        set_random_seed(0)
        # Some losses depend on the progress of training, which a Runner would set.
        MessageHub.get_current_instance().update_info_dict(dict(epoch=0, iter=1))
        return deepcopy(self.batch)

    def run(self, batch: Any) -> None:
        amp = autocast(self.device, self.case.precision)
        if self.case.mode == "inference":
            with torch.inference_mode(), amp:
                self.model.test_step(batch)
        else:
            with amp:
                inputs = self.model.data_preprocessor(batch, True)
                losses = self.model._run_forward(inputs, mode="loss")
                loss, _ = self.model.parse_losses(losses)
            loss.backward()

    def finish(self) -> None:
        """Free the results of the pass."""
        self.model.zero_grad(set_to_none=True)

    def multiply_adds(self) -> None:
        """Unknown: the cost of a head depends on the predictions."""
