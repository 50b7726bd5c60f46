"""Passes through networks and models, the worker that holds them, and where their time goes."""

import time
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from benchmarks.clocks import peak_memory, seconds
from benchmarks.limits import forms
from benchmarks.models import ModelPass
from benchmarks.passes import Case, NetworkPass, loss_of, usable
from benchmarks.profiling import COPIES, DEPTHWISE, ELEMENTWISE, NORMS, PRODUCTS, REST, SHIFTS
from benchmarks.subjects import PEERS, TITLES, Subject, SubjectError, check_names, variants
from benchmarks.workers import Failed, Worker, worker_pool
from torch import Tensor, nn

from benchmarks import passes, profiling
from mmsmlp.models.backbones import SMLPNet
from tests.helpers import sampled

ROOT = Path(__file__).parents[2]


class Toy(nn.Module):
    """Something of every group."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.local = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.norm = nn.BatchNorm2d(16)
        self.linear = nn.Linear(32, 8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.norm(self.local(self.patches(x)))
        y = F.silu(x) + x
        y = torch.cat([y, y.roll(1, -1)], dim=1)
        return x, self.linear(y.permute(0, 2, 3, 1))


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> NetworkPass:
    monkeypatch.setattr(passes, "build_network", lambda subject: Toy())
    return NetworkPass(Subject("smlpnet_t"), "cpu")


@pytest.mark.parametrize(("mode", "factor"), [("inference", 1), ("training", 3)])
def test_multiply_adds_are_those_written_down(toy: NetworkPass, mode: str, factor: int) -> None:
    toy.prepare(Case(mode, "fp32", (32, 64), 2))
    tokens = 2 * 8 * 16
    assert toy.multiply_adds() == factor * tokens * (3 * 16 * 16 + 16 * 9 + 32 * 8)


def test_a_training_pass_leaves_gradients_of_the_sum_of_mean_squares(toy: NetworkPass) -> None:
    toy.prepare(Case("training", "fp32", (32, 32), 2))
    toy.run(toy.fetch())
    ours = [p.grad.clone() for p in toy.network.parameters()]
    toy.finish()
    assert all(p.grad is None for p in toy.network.parameters())
    x, y = toy.network(toy.image)
    ((x**2).mean() + (y**2).mean()).backward()
    for p, grad in zip(toy.network.parameters(), ours, strict=True):
        torch.testing.assert_close(p.grad, grad)
    assert loss_of([torch.tensor([3.0, 1.0])]) == loss_of(torch.tensor([3.0, 1.0])) == 5


def test_an_inference_pass_is_in_evaluation_mode_without_gradients(toy: NetworkPass) -> None:
    seen = []
    toy.network.register_forward_hook(
        lambda module, _, out: seen.append((module.training, out[0].is_inference(), out[1].dtype))
    )
    toy.prepare(Case("inference", "bf16", (32, 32), 1))
    toy.run(toy.fetch())
    assert seen == [(False, True, torch.bfloat16)]


def test_a_compiled_subject_runs_through_torch_compile(
    toy: NetworkPass, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda network: compiled.append(network) or network)
    case = Case("inference", "fp32", (32, 32), 1)
    toy.prepare(case)
    assert not compiled
    toy.subject = Subject("smlpnet_t", compiled=True)
    toy.prepare(case)
    toy.run(toy.fetch())
    assert compiled == [toy.network]


@pytest.mark.parametrize(
    ("runtime", "ours"), sampled(product(["onnxruntime", "openvino_bf16"], [True, False]), 3)
)
def test_an_exported_pass_matches_the_network(
    runtime: str, ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(runtime.partition("_")[0])
    from benchmarks.exported import ExportedPass

    arch = dict(embed_dims=(8, 16), depths=(1, 1), mlp_ratio=2)
    network = SMLPNet(arch, img_size=64, out_indices=(0, 1)) if ours else Toy()
    monkeypatch.setattr(passes, "build_network", lambda _: network)
    work = ExportedPass(Subject("smlpnet_t" if ours else "resnet50", runtime=runtime), "cpu")
    files = []
    for size in ((32, 32), (48, 80)):
        work.prepare(Case("inference", "fp32", size, 2))
        files.append(work.exported)
        work.run(work.fetch())
        with torch.no_grad():
            expected = work.network(work.image)
        tolerance = 0.05 if "bf16" in runtime else 1e-5
        for ours_now, theirs in zip(work.exported.tensors(work.image), expected, strict=True):
            scale = theirs.abs().max().item()
            torch.testing.assert_close(ours_now, theirs, rtol=0, atol=tolerance * scale)
    assert (files[0] is files[1]) == ours  # a peer's file is for one size


def test_precisions_that_torch_has_not_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable("cpu", "fp32")
    assert usable("cpu", "bf16")
    # As before torch 2.3, which then warned and went on in full precision.
    monkeypatch.setattr(passes, "autocast", lambda *_: passes.nullcontext())
    assert not usable("cpu", "fp16")


def test_channels_last_goes_for_image_and_weights() -> None:
    work = NetworkPass(Subject("resnet50_channels_last"), "cpu")
    work.prepare(Case("inference", "fp32", (32, 64), 2))
    last = torch.channels_last
    assert work.image.is_contiguous(memory_format=last)
    assert work.network.layer1[0].conv2.weight.is_contiguous(memory_format=last)


@pytest.mark.parametrize("name", [*TITLES, *PEERS])
def test_every_network_gives_maps_and_peers_give_four(name: str) -> None:
    if "mmpretrain" in str(PEERS.get(name)):
        pytest.importorskip("mmpretrain")
    network = passes.build_network(Subject(name)).to("meta")
    network.eval()
    maps = network(torch.zeros(1, 3, 64, 96, device="meta"))
    assert all(y.ndim == 4 and y.shape[0] == 1 for y in maps)
    if name in PEERS:
        assert [y.shape[2:] for y in maps] == [(64 // s, 96 // s) for s in (4, 8, 16, 32)]


def test_all_three_forms_are_the_same_map() -> None:
    x, weight = torch.randn(6, 4), torch.randn(5, 4)
    linear, matmul, conv2d = (form() for form in forms(x, weight, 2, 3).values())
    torch.testing.assert_close(matmul, linear)
    torch.testing.assert_close(conv2d.permute(0, 2, 3, 1).reshape(6, 5), linear)


def test_seconds_are_those_that_pass() -> None:
    assert seconds(lambda: time.sleep(0.02), "cpu") >= 0.02


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="not Linux")
def test_peak_memory_is_the_additional_memory_of_a_pass() -> None:
    for _ in range(2):  # the second time, what the first has freed is no help
        peak = peak_memory(lambda: torch.ones(8 * 2**20).sum(), "cpu")
        assert 30 * 2**20 < peak < 40 * 2**20


@pytest.mark.parametrize(
    ("name", "shapes", "group"),
    [
        ("aten::addmm", [[4], [2, 3], [3, 4]], PRODUCTS),
        ("aten::bmm", [], PRODUCTS),
        ("aten::baddbmm", [], PRODUCTS),
        ("aten::linear", [], PRODUCTS),
        ("mkldnn::_linear_pointwise", [], PRODUCTS),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", [], PRODUCTS),
        ("aten::mkldnn_convolution", [[1, 3, 8, 8], [5, 3, 1, 1], [5]], PRODUCTS),
        ("aten::mkldnn_convolution", [[1, 5, 8, 8], [5, 1, 3, 3], [5]], DEPTHWISE),
        ("aten::mkldnn_convolution", [[1, 1, 8, 8], [5, 1, 3, 3], [5]], PRODUCTS),
        ("aten::_conv_depthwise2d", [[1, 5, 8, 8], [5, 1, 3, 3]], DEPTHWISE),
        ("aten::convolution_backward", [[1, 5, 8, 8], [1, 5, 8, 8], [5, 1, 3, 3]], DEPTHWISE),
        ("aten::convolution_backward", [[1, 5, 8, 8], [1, 3, 8, 8], [5, 3, 1, 1]], PRODUCTS),
        ("aten::_slow_conv2d_forward", [[1, 3, 8, 8], [5, 3, 1, 1]], PRODUCTS),
        ("aten::native_batch_norm_backward", [], NORMS),
        ("aten::native_layer_norm", [], NORMS),
        ("aten::cudnn_batch_norm", [], NORMS),
        ("aten::gelu_backward", [], NORMS),
        ("aten::_softmax", [], NORMS),
        ("aten::clamp_min_", [], NORMS),
        ("aten::roll", [], SHIFTS),
        ("aten::upsample_bilinear2d", [], SHIFTS),
        ("aten::avg_pool2d", [], SHIFTS),
        ("aten::constant_pad_nd", [], SHIFTS),
        ("aten::copy_", [], COPIES),
        ("aten::_to_copy", [], COPIES),
        ("aten::cat", [], COPIES),
        ("aten::fill_", [], COPIES),
        ("aten::add_", [], ELEMENTWISE),
        ("aten::mul", [], ELEMENTWISE),
        ("aten::empty", [], REST),
        ("GeluBackward0", [], REST),
        (profiling.PASS, [], REST),
    ],
)
def test_operations_have_groups(name: str, shapes: list[Any], group: str) -> None:
    assert profiling.group_of(name, shapes) == group


@pytest.mark.parametrize("mode", passes.MODES)
def test_groups_sum_to_the_complete_pass(
    toy: NetworkPass, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    profilers = []
    whole = profiling.profile

    def kept(**arguments: Any) -> Any:
        profilers.append(whole(**arguments))
        return profilers[-1]

    monkeypatch.setattr(profiling, "profile", kept)
    monkeypatch.setattr(profiling, "TOP", 10**6)
    toy.prepare(Case(mode, "fp32", (64, 64), 2))
    found = profiling.profile_passes(toy, "cpu", 2)
    passed = sum(
        event.cpu_time_total
        for profiler in profilers
        for event in profiler.key_averages()
        if event.key == profiling.PASS
    )
    assert sum(found["groups"].values()) == pytest.approx(passed / 2 / 1e6, rel=0.02)
    assert min(found["groups"].values()) > -1e-5  # the rest is a difference, of microseconds
    by_group: Counter[str] = Counter()
    for operation in found["operations"]:
        by_group[operation["group"]] += operation["seconds"]
    assert by_group == pytest.approx(found["groups"])


def test_variants_follow_their_subject() -> None:
    check_names(["smlpnet_t", "swin_t"])
    plain = [Subject("smlpnet_t"), Subject("swin_t")]
    titles = [s.title for s in variants(plain, True, True, Path("/before"), ["openvino_int8"])]
    assert titles == [
        "sMLPNet-T",
        "Swin-T",
        "sMLPNet-T with_cp",
        "sMLPNet-T compiled",
        "Swin-T compiled",
        "sMLPNet-T in OpenVINO int8",
        "Swin-T in OpenVINO int8",
        "sMLPNet-T before",
        "sMLPNet-T with_cp before",
        "sMLPNet-T compiled before",
        "sMLPNet-T in OpenVINO int8 before",
    ]
    with pytest.raises(SubjectError, match="no network 'a'"):
        check_names(["a"])


@pytest.mark.long
def test_a_worker_tells_its_failures_and_starts_again(tmp_path: Path) -> None:
    (tmp_path / "mmsmlp").mkdir()
    (tmp_path / "mmsmlp/__init__.py").write_text("raise ImportError('out of order')")
    with worker_pool([Subject("smlpnet_t", checkout=str(tmp_path))], "cpu", 1) as (worker,):
        case = Case("inference", "fp32", (32, 32), 1).to_dict()
        with pytest.raises(Failed, match="ImportError: out of order"):
            worker.ask("prepare", case=case)
        worker.process.kill()
        with pytest.raises(Failed, match="killed by signal 9"):
            worker.ask("prepare", case=case)
        assert worker.process is None
        with pytest.raises(Failed, match="out of order"):
            worker.ask("prepare", case=case)
    assert worker.process is None


def test_a_worker_that_was_never_asked_has_no_process() -> None:
    worker = Worker(None, "cpu", 1)
    worker.close()
    assert worker.process is None


def test_a_complete_model_learns_and_predicts_on_its_first_images(in_tiny_mini: Path) -> None:
    pytest.importorskip("mmdet")
    config = str(ROOT / "configs/experiments/padding/s2mlpv2.py")
    options = {"model.backbone.arch.depths": (1, 1, 1, 1)}
    whole = ModelPass(Subject(config, mini=True, options=options), "cpu")
    assert [len(stage.blocks) for stage in whole.model.backbone.stages] == [1, 1, 1, 1]
    whole.prepare(Case("training", "fp32", (0, 0), 1))
    whole.run(whole.fetch())
    assert all(p.grad is not None for p in whole.model.backbone.parameters())
    whole.finish()
    assert all(p.grad is None for p in whole.model.parameters())
    whole.prepare(Case("inference", "fp32", (0, 0), 1))
    whole.run(whole.fetch())
