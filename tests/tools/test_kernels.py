"""What a GPU would do, counted without one."""

from collections.abc import Callable

import benchmark
import pytest
import torch
import torch.nn.functional as F
from benchmarks.fake_device import Backward
from benchmarks.kernel_rules import Work
from benchmarks.kernels import GPUS, Counts, Kernel, count
from benchmarks.passes import Case
from benchmarks.subjects import Subject, build_network
from torch import Tensor, nn

from mmsmlp.engine.runner import UsageError

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available() or not hasattr(torch.library, "custom_op"),
    reason="fake tensors of torch 2.4 and up, where no GPU is",
)
INFERENCE, TRAINING = (Case(mode, "fp32", (8, 6), 2) for mode in ("inference", "training"))
PIXELS = 2 * 8 * 6


class Function(nn.Module):
    """A network that is a function of the image; its output is a list."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.function(x)]


def works(function: Callable[[Tensor], Tensor]) -> list[tuple[str, int, int, int]]:
    counts = count(Function(function), INFERENCE)
    return [tuple(kernel.work[:4]) for kernel in counts.kernels]


def test_a_kernel_reads_its_inputs_and_writes_its_output() -> None:
    size = 4 * 3 * PIXELS
    assert works(lambda x: x * 2) == [("mul", size, size, 0)]
    assert works(lambda x: x + x) == [("add", size, size, 0)]
    assert works(lambda x: x[:, :1].expand(-1, 3, -1, -1) + x) == [
        ("add", size // 3 + size, size, 0)
    ]
    assert works(lambda x: x.flatten(2)[:, 1:].mT) == []
    assert works(lambda x: x.relu_()) == [("relu_", size, size, 0)]
    assert works(lambda x: x.zero_()) == [("zero_", 0, size, 0)]


def test_products_count_two_operations_for_each_multiply_add() -> None:
    def product(x: Tensor) -> Tensor:
        return F.linear(x, x.new_empty(5, 6), x.new_empty(5))

    rows = 3 * PIXELS // 6
    assert works(product) == [("addmm", 4 * (6 * rows + 5 * 6 + 5), 4 * 5 * rows, 2 * 5 * 6 * rows)]
    (convolution, bias) = works(lambda x: F.conv2d(x, x.new_empty(7, 3, 1, 1), x.new_empty(7)))
    assert convolution[3] == 2 * 7 * 3 * PIXELS
    assert bias == ("convolution, bias", 4 * 7 * (PIXELS + 1), 4 * 7 * PIXELS, 0)


def test_an_addend_out_of_place_is_copied_before_the_product() -> None:
    def out_of_place(x: Tensor) -> Tensor:
        return torch.baddbmm(x.new_empty(2, 3, 4), x.flatten(2), x.new_empty(2, 48, 4))

    def in_place(x: Tensor) -> Tensor:
        return x.new_empty(2, 3, 4).baddbmm_(x.flatten(2), x.new_empty(2, 48, 4))

    assert len(works(out_of_place)) == 2
    ((name, read, written, flops),) = works(in_place)
    assert (name, written, flops) == ("baddbmm_", 4 * 2 * 3 * 4, 2 * 2 * 3 * 48 * 4)
    assert read == 4 * 2 * (3 * 4 + 3 * 48 + 48 * 4)


@pytest.mark.parametrize(
    ("function", "wait"),
    [
        (lambda x: x[torch.tensor([0])], "index copies between host and device"),
        (lambda x: x * torch.ones(1, device="cuda").cpu().cuda(), "_to_copy copies"),
        (lambda x: x + torch.tensor([1.0], device="cuda"), "_to_copy copies"),
        (lambda x: x + x.sum(dim=(1, 2, 3)).tolist()[0][0], "tolist reads from the device"),
    ],
)
def test_waits_are_noted_with_their_line(function: Callable, wait: str) -> None:
    waits = count(Function(function), INFERENCE).waits
    assert waits
    assert all(wait in text for text in waits)


def test_the_estimated_time_of_a_kernel_is_its_longest_part() -> None:
    gpu = GPUS["H200"]
    small = Kernel(Work("", 1, 1), torch.float32, "")
    large = Kernel(Work("", int(4e9), int(4e9)), torch.float32, "")
    products = Kernel(Work("", 0, 0, int(48e13)), torch.bfloat16, "")
    assert Counts([small, large, products]).seconds(gpu) == pytest.approx(4e-6 + 2e-3 + 1)
    assert small.seconds(gpu, launches=False) < 1e-11
    depthwise = Kernel(products.work._replace(is_depthwise=True), torch.bfloat16, "")
    assert depthwise.seconds(gpu) == pytest.approx(16)


def test_a_backward_pass_has_a_kernel_for_each_gradient() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.GELU(), nn.Conv2d(4, 4, 1))
    counts = count(Function(network), TRAINING)
    names = [kernel.work.name for kernel in counts.kernels]
    assert names == [
        *["convolution", "gelu", "convolution", "convolution, bias"],
        *(f"convolution backward, {part}" for part in ("input", "weight", "bias")),
        *["gelu_backward", "convolution backward, weight"],
    ]
    network = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.GELU(), nn.Conv2d(4, 4, 1))
    network.forward = network[0].forward
    assert count(Function(network), TRAINING).without_grad == [
        "function.2.weight",
        "function.2.bias",
    ]


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * x, 3 * x

    @staticmethod
    def backward(ctx, grad: Tensor, other: Tensor) -> Tensor:
        return 2 * grad + 3 * other


def test_walking_the_graph_gives_the_gradients_of_autograd() -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(4, 6), torch.randn(5, 6), torch.randn(5)
    results = []
    for walks in (True, False):
        leaves = [t.clone().requires_grad_() for t in (x, weight, bias)]
        backward = Backward()
        with backward.watching_hooks():
            y = F.linear(*leaves)
            z = F.gelu(y) + y[:1]
            z.register_hook(lambda grad: 3 * grad)
            outputs = [*Double.apply(z)[:1], z.to(torch.float64).sum(), leaves[0] * leaves[0]]
            outputs.append(y[:, 1:].T.softmax(0))
        grads = [torch.ones_like(output) for output in outputs]
        if walks:
            backward(outputs, grads)
        else:
            torch.autograd.backward(outputs, grads)
        results.append([leaf.grad for leaf in leaves])
    torch.testing.assert_close(*results)


def test_counts_of_peers_match_those_of_autograds_engine() -> None:
    """At the first count, whose engine had a device by a library of its own."""
    pytest.importorskip("mmdet")
    expected = {("swin_t", "inference"): 567, ("swin_t", "training"): 1449}
    for (name, mode), kernels in expected.items():
        network = build_network(Subject(name), drop_path_rate=None)
        counts = count(network, Case(mode, "bf16", (224, 224), 2), with_lines=False)
        assert (len(counts.kernels), counts.waits, counts.without_grad) == (kernels, [], [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vit"], "there is no network 'vit'"),
        (["nothing.py"], "for networks, not for complete models"),
        (
            ["swin_t", "--images", "8x8", "--sizes", "800x1344@3"],
            "--images: 800x1344@3 needs 3, got 1",
        ),
        (["swin_t", "--images", "8x8", "9"], "--images: write 224x224"),
        (["swin_t", "--sizes", "8x8@1", "--images", "9x8"], "--images must fit into 8x8"),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        benchmark.main(["kernels", *arguments])


# Kernels and waits of a pass in bf16 autocast, of a batch of two; beyond the native size they do
# not depend on it. Fewer are welcome: lower the number then.
KERNELS = {
    ("smlpnet_t", "inference"): (922, 1),
    ("smlpnet_t", "training"): (2558, 0),
    ("s2mlpv2_s4", "inference"): (616, 1),
    ("s2mlpv2_s4", "training"): (1738, 0),
    ("s2mlp_deep", "inference"): (823, 1),
    ("s2mlp_deep", "training"): (1995, 1),  # which crops padding
}


@pytest.mark.parametrize(("name", "mode"), KERNELS)
def test_networks_launch_no_more_kernels_than_before(name: str, mode: str) -> None:
    kernels, waits = KERNELS[name, mode]
    network = build_network(Subject(name), drop_path_rate=None)
    counts = count(network, Case(mode, "bf16", (320, 384), 2), with_lines=False)
    assert len(counts.kernels) <= kernels
    assert (len(counts.waits), counts.without_grad) == (waits, [])


def test_inference_waits_once_for_any_padding() -> None:
    network = build_network(Subject("s2mlpv2_s4"), drop_path_rate=None)
    case, images = Case("inference", "bf16", (96, 128), 3), [(96, 128), (64, 100), (96, 128)]
    (wait,) = count(network, case, images, with_lines=False).waits
    assert wait.endswith("tolist reads from the device")


def test_between_the_sizes_and_the_outputs_nothing_waits() -> None:
    """So a CUDA graph can hold it: the stages and norms, in inference and in training."""
    for name in ("smlpnet_t", "s2mlpv2_s4"):
        for mode in ("inference", "training"):
            network = build_network(Subject(name), drop_path_rate=None)
            network._crops_padding = lambda x: False
            assert count(network, Case(mode, "bf16", (96, 128), 2), with_lines=False).waits == []
