"""Check and measure on a CUDA GPU; takes some minutes.

It compares the CUDA path of the backbones with the CPU's, the fused shift with its plain form, and
measures passes eager, compiled and in CUDA graphs beside peers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from copy import deepcopy

import torch
from benchmarks.kernels import WEIGHTS
from benchmarks.passes import Case, autocast, loss_of
from benchmarks.subjects import PEERS, TITLES, Subject, build_network
from mmcv.ops import RoIAlign
from mmengine.utils.dl_utils import collect_env
from torch import Tensor, nn

from mmsmlp.models.layers import shift_operator, shifted_gelu, shifted_sum
from mmsmlp.models.layers.activation import GELU
from mmsmlp.models.layers.shift import IDENTITY_SHIFT, SS1, SS2

OURS = ("smlpnet_t", "s2mlpv2_s4", "s2mlp_deep")
NETWORKS = (*OURS, "swin_t", "convnext_t", "resnet50")
SIZE, BATCH = (800, 1344), 2


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest one, relative to the largest value."""
    theirs = theirs.detach().float().cpu()
    return float((ours.detach().float().cpu() - theirs).abs().max() / theirs.abs().max())


def check_shifts() -> Iterator[tuple[str, float, float]]:
    """The fused shift beside the CPU's plain form: a name, the difference, and its limit."""
    torch.manual_seed(0)
    for dtype, limit in ((torch.float32, 1e-5), (torch.bfloat16, 4e-2)):
        for height, width in ((1, 1), (7, 5), (50, 84)):
            maps, weights = torch.randn(2, height, width, 3 * 70), torch.rand(2, 3, 70)
            results = []
            for device in ("cpu", "cuda"):
                kind = torch.float32 if device == "cpu" else dtype
                inputs = [x.to(device, kind).requires_grad_() for x in (maps, weights)]
                y = shifted_sum(*inputs, (SS1, SS2, IDENTITY_SHIFT))
                z = shifted_gelu(inputs[0], SS1, GELU())
                grads = torch.autograd.grad(y.sum() + z.square().sum(), inputs)
                results.append([y, z, *grads])
            worst = max(difference(ours, theirs) for theirs, ours in zip(*results, strict=True))
            yield f"shift {height}x{width} {dtype}", worst, limit
    yield "fused shift refused", float(shift_operator._Kernels.failure is not None), 0.5


def check_networks() -> Iterator[tuple[str, float, float]]:
    """Outputs and gradients on the GPU beside the CPU's, padded images included."""
    torch.backends.cudnn.allow_tf32 = False
    image = torch.randn(2, 3, 256, 320)
    image[1, :, 200:], image[1, :, :, 250:] = 0, 0
    for name in OURS:
        torch.manual_seed(0)
        network = build_network(Subject(name), drop_path_rate=0.0)
        for mode in ("inference", "training"):
            network.train(mode == "training")
            results = []
            for device in ("cpu", "cuda"):
                twin = deepcopy(network).to(device)
                outputs = twin(image.to(device))
                loss_of(outputs).backward()
                grads = [p.grad for p in twin.parameters() if p.grad is not None]
                results.append([*outputs, torch.cat([g.flatten() for g in grads])])
            worst = max(difference(ours, theirs) for theirs, ours in zip(*results, strict=True))
            yield f"{TITLES[name]} {mode}", worst, 1e-3


def check_roi_align() -> Iterator[tuple[str, float, float]]:
    """RoIAlign of mmcv on a network's maps on the GPU beside the CPU's, with the gradient."""
    torch.manual_seed(0)
    maps = build_network(Subject("smlpnet_t")).eval()(torch.randn(2, 3, 256, 320))[0].detach()
    corners = torch.rand(64, 4) * torch.tensor([320, 256, 320, 256])
    boxes = torch.cat([corners[:, :2], corners[:, :2] + corners[:, 2:] / 2 + 1], dim=1)
    rois = torch.cat([torch.arange(64.0)[:, None] % 2, boxes], dim=1)
    results = []
    for device in ("cpu", "cuda"):
        x = maps.to(device).requires_grad_()
        y = RoIAlign(7, spatial_scale=1 / 4, sampling_ratio=0)(x, rois.to(device))
        results.append([y, *torch.autograd.grad(y.square().sum(), x)])
    worst = max(difference(ours, theirs) for theirs, ours in zip(*results, strict=True))
    yield "RoIAlign", worst, 1e-4


def passes_of(name: str, case: Case, form: str) -> Callable[[], object]:
    """A function that runs one pass of a network, eager, compiled or as a CUDA graph."""
    dtype = WEIGHTS.get(case.precision)
    network = build_network(Subject(name)).to("cuda", dtype)
    network.train(case.mode == "training")
    image = torch.randn(BATCH, 3, *case.size, device="cuda", dtype=dtype)
    forward: nn.Module | Callable = network
    if form == "compiled":
        torch.compiler.reset()
        forward = torch.compile(network)

    def run() -> None:
        amp = nullcontext() if dtype else autocast("cuda", case.precision)
        with amp, nullcontext() if case.mode == "training" else torch.no_grad():
            outputs = forward(image)
        if case.mode == "training":
            network.zero_grad(set_to_none=False)
            loss_of(outputs).backward()

    if form != "graph":
        return run
    network._crops_padding = lambda x: False  # sizes would be read
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def milliseconds(run: Callable[[], object], rounds: int) -> float:
    """The median over rounds, by events."""
    times = []
    for i in range(rounds + 3):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        if i >= 3:
            times.append(start.elapsed_time(end))
    return sorted(times)[rounds // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS, help=", ".join(NETWORKS))
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    if unknown := set(args.networks) - {*TITLES, *PEERS}:
        sys.exit(f"gpu_check: there is no network {sorted(unknown)[0]!r}")
    if not torch.cuda.is_available():
        print("gpu_check: no GPU here, nothing is checked; run it where torch sees a CUDA device")
        return
    print(torch.cuda.get_device_name(), f"torch {torch.__version__}", collect_env().get("NVCC", ""))
    failed = False
    for check in (check_shifts, check_networks, check_roi_align):
        for name, worst, limit in check():
            failed |= not worst <= limit
            print(f"{'ok' if worst <= limit else 'WRONG':6}{name}: {worst:.1e}")
    for mode in ("inference", "training"):
        for precision in ("fp32", "bf16"):
            case = Case(mode, precision, SIZE, BATCH)
            for name in args.networks:
                cells = [Subject(name).title]
                for form in ("eager", "compiled", "graph"):
                    try:
                        cells.append(
                            f"{milliseconds(passes_of(name, case, form), args.rounds):.2f}"
                        )
                    except Exception as error:  # the other forms can still be measured
                        cells.append(f"{type(error).__name__}: {error}".splitlines()[0][:60])
                print(
                    f"{mode} {precision} eager, compiled, graph (ms):",
                    *cells,
                    sep=" | ",
                    flush=True,
                )
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
