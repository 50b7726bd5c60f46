"""A run on a CPU keeps the memory of freed feature maps."""

import subprocess
import sys

import pytest
from mmengine.device import is_cuda_available

FAULTS = """
import resource, sys
import torch
from mmsmlp.engine.runner.memory import keep_freed_memory

assert sys.argv[1] == "default" or keep_freed_memory()
for turn in range(30):
    maps = [torch.ones(2**22) for _ in range(4)]  # 64 MiB
    del maps
    if turn == 9:  # by then the heap has grown
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or is_cuda_available(), reason="for runs on a CPU, with glibc"
)
def test_memory_of_freed_maps_causes_no_page_faults() -> None:
    faults = {
        mode: int(subprocess.check_output([sys.executable, "-c", FAULTS, mode], text=True))
        for mode in ("default", "kept")
    }
    assert faults["default"] > 100 * 20 and faults["kept"] < 100, faults
