"""What tests of several folders use."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from mmengine.logging import MMLogger
from mmengine.runner import runner
from mmengine.utils import ManagerMixin
from PIL import Image
from torch import distributed, multiprocessing
from yapf.yapflib import yapf_api

import mmsmlp.datasets.mini.swap
from mmsmlp.datasets.mini import ensure_mini
from mmsmlp.models.layers.linear_maps import convolutions_are_faster
from tests.helpers import CYCLEMLP_GOLDEN, OWN_NAMES, SPACH_GOLDEN, SPACH_NETWORK, TINY_MINI

# The same cases each time; `make fuzz` has others, and far more of them.
settings.register_profile("tests", derandomize=True, deadline=None)
settings.register_profile("fuzz", max_examples=1700, deadline=None)
settings.load_profile("tests")

# Autograd looks for devices at the first backward pass, and cannot be forked where it finds one.
# Later in a session a library may have registered a device that is none.
torch.ones((), requires_grad=True).backward()


def global_instances(manager: type = ManagerMixin) -> Iterator[dict]:
    """What the managers of mmengine (default scope, visualizer, logger, …) keep by name."""
    for child in manager.__subclasses__():
        yield child._instance_dict
        yield from global_instances(child)


@pytest.fixture(scope="session", autouse=True)
def quick_runners() -> Iterator[None]:
    """A Runner lays out its config again and again, and asks for compilers: half of its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yapf_api, "FormatCode", lambda text, **_: (text, True))
        patch.setattr(runner, "collect_env", cache(runner.collect_env))
        yield


@pytest.fixture(autouse=True)
def own_global_instances() -> Iterator[None]:
    """A Runner sets them for the process: keep them from other tests.

    Those of a fixture that lives longer as well: they are there before the test that asks for it.
    """
    for instances in global_instances():
        instances.clear()
    yield
    for instances in global_instances():
        instances.clear()


@pytest.fixture
def in_two_processes(tmp_path: Path) -> Callable[[Callable[[int], Any]], list[Any]]:
    """Runs a function of the rank in two processes that meet over gloo; gives both results.

    They are forked, so nothing is imported twice, and who waits for the other in vain fails.
    """

    def run(function: Callable[[int], Any]) -> list[Any]:
        def work(rank: int) -> None:
            torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
            distributed.init_process_group(
                *("gloo", f"file://{tmp_path}/meeting"),
                timeout=timedelta(seconds=30),
                world_size=2,
                rank=rank,
            )
            distributed.barrier()  # who ends before the other has connected breaks its connection
            torch.save(function(rank), tmp_path / f"result_{rank}")
            if distributed.is_initialized():
                distributed.destroy_process_group()

        multiprocessing.start_processes(work, nprocs=2, start_method="fork")
        return [torch.load(tmp_path / f"result_{rank}", weights_only=False) for rank in range(2)]

    return run


@pytest.fixture
def compiler() -> None:
    """Skips a test that compiles or exports a network where torch cannot."""
    pytest.importorskip("torch", minversion="2.2", reason="torch 2.1 cannot")


@pytest.fixture
def convolutions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Linear maps are computed as convolutions, whatever the machine and however small."""
    linear = "mmsmlp.models.layers.linear_maps"
    monkeypatch.setattr(f"{linear}.SMALL_PRODUCT", 1)
    monkeypatch.setattr(f"{linear}._made_by_intel", lambda: False)
    for function, value in {
        "get_num_threads": 2,
        "backends.cpu.get_cpu_capability": "AVX512",
        "backends.mkl.is_available": True,
    }.items():
        monkeypatch.setattr(f"torch.{function}", lambda value=value: value)
    convolutions_are_faster.cache_clear()
    yield
    convolutions_are_faster.cache_clear()


@pytest.fixture(params=[torch.bfloat16, torch.float16], ids=str)
def half(request: pytest.FixtureRequest) -> torch.dtype:
    """A type of two bytes that autocast knows on CPUs."""
    try:
        with torch.autocast("cpu", request.param):
            return request.param
    except RuntimeError as error:  # torch 2.1 knows bfloat16 only
        pytest.skip(str(error))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """What is logged, with its level."""
    records = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, "handle", lambda r: records.append((r.levelno, r.getMessage())))
    return records


@pytest.fixture(scope="session")
def tiny_mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder whose ``data/mini`` holds a mini data set of a few images."""
    folder = tmp_path_factory.mktemp("tiny_mini")
    ensure_mini(folder / "data" / "mini", **TINY_MINI)
    return folder


@pytest.fixture
def in_tiny_mini(tiny_mini: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny mini data set stands for the full one, in the current folder."""
    monkeypatch.chdir(tiny_mini)
    monkeypatch.setattr(mmsmlp.datasets.mini.swap, "ensure_mini", lambda root: Path(root))
    return tiny_mini


@pytest.fixture(scope="session")
def spach_golden() -> dict[str, torch.Tensor]:
    """Input, outputs and, by ``w.<their name>``, weights."""
    with np.load(SPACH_GOLDEN) as data:
        return {key: torch.from_numpy(data[key]) for key in data.files if key != "meta"}


@pytest.fixture
def spach_weights(spach_golden: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """State dict of the authors' sMLPNet, as their checkpoints hold it; yours to change."""
    return {key[2:]: value for key, value in spach_golden.items() if key.startswith("w.")}


@pytest.fixture(scope="session")
def cyclemlp_golden() -> dict[str, torch.Tensor]:
    """The same of CycleMLP's authors, of inputs of two sizes."""
    with np.load(CYCLEMLP_GOLDEN) as data:
        return {key: torch.from_numpy(data[key]) for key in data.files if key != "meta"}


@pytest.fixture
def cyclemlp_weights(cyclemlp_golden: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """State dict of the authors' CycleMLP, as their checkpoints hold it; yours to change."""
    return {key[2:]: value for key, value in cyclemlp_golden.items() if key.startswith("w.")}


@pytest.fixture
def spach_network() -> dict:
    """Arguments of the SMLPNet that the weights are of; yours to change."""
    return dict(SPACH_NETWORK)


@pytest.fixture(scope="session")
def spach_reference() -> Path:
    """The file of the reference."""
    return SPACH_GOLDEN


@pytest.fixture(scope="session")
def own_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the images of ``OWN_DATA``; not yours to change."""
    folder = tmp_path_factory.mktemp("images")
    for i, name in enumerate(OWN_NAMES):
        Image.fromarray(np.full((48, 64, 3), 20 * i, dtype=np.uint8)).save(folder / name)
    return folder
