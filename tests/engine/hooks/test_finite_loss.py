"""A loss or weights that are no numbers end a run."""

from types import SimpleNamespace

import pytest
import torch

from mmsmlp.engine.hooks import FiniteLossHook
from mmsmlp.errors import RunError

RUNNER = SimpleNamespace(iter=6)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_run(value: float) -> None:
    hook = FiniteLossHook()
    hook.after_train_iter(RUNNER, 0, outputs=dict(loss=torch.tensor(3.0, requires_grad=True)))
    hook.after_train_iter(RUNNER, 0, outputs=dict(other=1))
    hook.after_train_iter(RUNNER, 0)
    with pytest.raises(RunError, match=rf"^the loss of iteration 7 is {value}: lower the learning"):
        hook.after_train_iter(RUNNER, 0, outputs=dict(loss=torch.tensor(value)))


@pytest.mark.parametrize("value", [float("nan"), -float("inf")])
def test_weights_that_are_no_numbers_are_not_saved(value: float) -> None:
    weights = dict(good=torch.zeros(2), count=torch.tensor(3), bad=torch.zeros(2))
    FiniteLossHook().before_save_checkpoint(RUNNER, dict(state_dict=weights))
    weights["bad"][1] = value
    with pytest.raises(RunError, match=r"^bad is NaN or infinite at iteration 7: lower"):
        FiniteLossHook().before_save_checkpoint(RUNNER, dict(state_dict=weights))
