"""The operators beside mmcv's compiled ones: values, gradients, precisions and edge cases."""

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor

ops = pytest.importorskip("mmcv.ops")
Use = Callable[[ModuleType], None]


def boxes_and_scores(number: int, *, dtype: torch.dtype = torch.float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(number)
    corners = torch.rand(number, 2, generator=generator) * 60
    sizes = torch.rand(number, 2, generator=generator) * 30 + 1
    scores = torch.rand(number, generator=generator)
    return torch.cat([corners, corners + sizes], 1).to(dtype), scores.to(dtype)


def both(use: Use, compiled: ModuleType, ours: ModuleType, function: Callable[[], object]) -> tuple:
    results = []
    for operators in (compiled, ours):
        use(operators)
        results.append(function())
    return tuple(results)


@pytest.mark.parametrize("number", [0, 1, 200])
@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("threshold", [0.1, 0.5])
def test_nms(use, compiled, ours, number, offset, threshold) -> None:
    boxes, scores = boxes_and_scores(number)
    options = {"iou_threshold": threshold, "offset": offset, "score_threshold": 0.2, "max_num": 50}
    (dets, kept), (our_dets, our_kept) = both(
        use, compiled, ours, lambda: ops.nms(boxes, scores, **options)
    )
    assert our_kept.tolist() == kept.tolist() and our_dets.equal(dets)


def test_nms_keeps_boxes_whose_overlap_is_the_threshold(use, compiled, ours) -> None:
    """As compiled, it compares in single precision, in which 0.1 is more than 1/10."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 1], [9, 0, 10, 10]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    kept, our_kept = both(use, compiled, ours, lambda: ops.nms(boxes, scores, 0.1)[1].tolist())
    assert our_kept == kept == [0, 1, 2]


def test_batched_nms_by_class(use, compiled, ours) -> None:
    boxes, scores = boxes_and_scores(300)
    classes = torch.arange(300) % 4
    for config in (
        {"type": "nms", "iou_threshold": 0.4},
        {"type": "nms", "iou_threshold": 0.4, "split_thr": 100},
        {"type": "soft_nms", "iou_threshold": 0.3, "min_score": 0.05},
    ):
        (dets, kept), (our_dets, our_kept) = both(
            use, compiled, ours, lambda c=config: ops.batched_nms(boxes, scores, classes, c)
        )
        assert our_kept.tolist() == kept.tolist()
        torch.testing.assert_close(our_dets, dets)


@pytest.mark.parametrize("number", [0, 1, 100])
@pytest.mark.parametrize("method", ["naive", "linear", "gaussian"])
@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("min_score", [1e-3, 0.6])
def test_soft_nms(use, compiled, ours, number, method, offset, min_score) -> None:
    boxes, scores = boxes_and_scores(number)
    options = {"method": method, "offset": offset, "min_score": min_score}
    (dets, kept), (our_dets, our_kept) = both(
        use, compiled, ours, lambda: ops.soft_nms(boxes, scores, 0.3, **options)
    )
    assert our_kept.tolist() == kept.tolist()
    torch.testing.assert_close(our_dets, dets)


def test_soft_nms_without_a_good_box_keeps_the_best(use, compiled, ours) -> None:
    boxes, scores = boxes_and_scores(5)
    kept, our_kept = both(
        use, compiled, ours, lambda: ops.soft_nms(boxes, scores / 10, min_score=0.5)[1].tolist()
    )
    assert our_kept == kept == [int(scores.argmax())]


@pytest.mark.parametrize("number", [0, 1, 100])
def test_nms_match(use, compiled, ours, number) -> None:
    boxes, scores = boxes_and_scores(number)
    dets = torch.cat([boxes, scores[:, None]], 1)
    groups, our_groups = both(use, compiled, ours, lambda: ops.nms_match(dets, 0.3))
    assert [group.tolist() for group in our_groups] == [group.tolist() for group in groups]


@pytest.mark.parametrize("mode", ["iou", "iof"])
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("dtype", [torch.float, torch.double])
def test_bbox_overlaps(use, compiled, ours, mode, aligned, offset, dtype) -> None:
    first, second = boxes_and_scores(9, dtype=dtype)[0], boxes_and_scores(8, dtype=dtype)[0]
    if aligned:
        first = first[:8]
    found, our_found = both(
        use, compiled, ours, lambda: ops.bbox_overlaps(first, second, mode, aligned, offset)
    )
    torch.testing.assert_close(our_found, found)


def value_and_gradients(function: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    inputs = [x.clone().requires_grad_() for x in inputs]
    value = function(*inputs)
    weights = torch.linspace(-1, 2, value.numel(), dtype=value.dtype).view_as(value)
    value.backward(weights)
    return [value.detach(), *(x.grad for x in inputs)]


REGIONS = torch.tensor(
    [[0.0, 3, 4, 40, 30], [1, -9, -9, 5, 5], [1, 50, 40, 90, 80], [0, 9, 9, 9, 9]]
)


@pytest.mark.parametrize("dtype", [torch.float, torch.double])
@pytest.mark.parametrize("regions", [REGIONS, REGIONS[:1], REGIONS[:0]], ids=len)
@pytest.mark.parametrize("sampling_ratio", [0, 2])
@pytest.mark.parametrize("aligned", [True, False])
def test_roi_align(use, compiled, ours, dtype, regions, sampling_ratio, aligned) -> None:
    x = torch.rand(2, 3, 13, 17, dtype=dtype)
    layer = ops.RoIAlign((3, 4), 0.25, sampling_ratio, aligned=aligned)
    found, our_found = both(
        use, compiled, ours, lambda: value_and_gradients(lambda y: layer(y, regions.to(dtype)), x)
    )
    torch.testing.assert_close(our_found, found)


@pytest.mark.parametrize("dtype", [torch.float, torch.double])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("deform_groups", [1, 2])
@pytest.mark.parametrize("options", [(1, 1, 1), (2, 0, 1), (1, 2, 2)])
def test_deform_conv(use, compiled, ours, dtype, groups, deform_groups, options) -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight = (
        torch.rand(*shape, generator=generator).to(dtype) - 0.5
        for shape in [(2, 4, 9, 8), (6, 4 // groups, 3, 3)]
    )
    size = torch.nn.functional.conv2d(x, weight, None, *options, groups).shape[2:]
    offset = torch.randn(2, 18 * deform_groups, *size, generator=generator).to(dtype) * 3
    found, our_found = both(
        use,
        compiled,
        ours,
        lambda: value_and_gradients(
            lambda *inputs: ops.deform_conv2d(*inputs, *options, groups, deform_groups),
            *(x, offset, weight),
        ),
    )
    torch.testing.assert_close(our_found, found)


@pytest.mark.parametrize("dtype", [torch.float, torch.double])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("deform_groups", [1, 2])
@pytest.mark.parametrize("options", [(1, 1, 1), ((2, 1), (0, 1), (1, 2))])
@pytest.mark.parametrize("larger", [0, 3])
def test_modulated_deform_conv(
    use, compiled, ours, dtype, biased, deform_groups, options, larger
) -> None:
    """Also with maps of offsets that are larger than the output."""
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.rand(*shape, generator=generator).to(dtype) - 0.5
        for shape in [(2, 4, 9, 8), (6, 4, 3, 3), (6,)]
    )
    size = torch.nn.functional.conv2d(x, weight, None, *options).shape[2:]
    size = (size[0] + larger, size[1])
    offset = torch.randn(2, 18 * deform_groups, *size, generator=generator).to(dtype) * 3
    mask = torch.rand(2, 9 * deform_groups, *size, generator=generator).to(dtype)

    def convolve(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, *bias: Tensor) -> Tensor:
        bias = bias[0] if bias else None
        return ops.modulated_deform_conv2d(
            x, offset, mask, weight, bias, *options, 1, deform_groups
        )

    inputs = [x, offset, mask, weight, *([bias] if biased else [])]
    found, our_found = both(use, compiled, ours, lambda: value_and_gradients(convolve, *inputs))
    torch.testing.assert_close(our_found, found)


@pytest.mark.parametrize("psa_type", ["collect", "distribute"])
@pytest.mark.parametrize("mask_size", [(3, 3), (7, 5), (11, 13)])
def test_psa_mask(use, compiled, ours, psa_type, mask_size) -> None:
    x = torch.rand(2, mask_size[0] * mask_size[1], 5, 4)
    layer = ops.PSAMask(psa_type, mask_size)
    found, our_found = both(use, compiled, ours, lambda: value_and_gradients(layer, x))
    assert all(our.equal(theirs) for our, theirs in zip(our_found, found, strict=True))


def test_autocast_computes_regions_and_deformed_samples_in_single_precision(
    use, compiled, ours
) -> None:
    """Maps under autocast are in half precision: rounded inputs, then as in single precision."""
    x = torch.rand(1, 4, 9, 9).bfloat16()
    offset, weight = torch.randn(1, 18, 9, 9).bfloat16(), torch.rand(4, 4, 3, 3)
    layer = ops.RoIAlign(3, 0.25)
    use(compiled)
    aligned = layer(x.float(), REGIONS[:1])
    convolved = ops.deform_conv2d(x.float(), offset.float(), weight.bfloat16().float(), 1, 1)
    use(ours)
    with torch.autocast("cpu"):
        ours_aligned = layer(x, REGIONS[:1].bfloat16())
        ours_convolved = ops.deform_conv2d(x, offset, weight, 1, 1)
    assert ours_aligned.dtype == ours_convolved.dtype == torch.bfloat16
    torch.testing.assert_close(ours_aligned, aligned.bfloat16())
    torch.testing.assert_close(ours_convolved, convolved.bfloat16())
