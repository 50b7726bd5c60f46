"""Operators that mmcv compiles for GPUs alone, beside formulas written out token by token."""

from math import ceil, floor

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import deform_conv2d

ops = pytest.importorskip("mmcv.ops")
REGIONS = torch.tensor(
    [[0.0, 3, 4, 40, 30], [1, -9, -9, 5, 5], [1, 50, 40, 90, 80], [0, 9, 9, 9, 9]]
)


@pytest.fixture(autouse=True)
def with_ours(use, ours) -> None:
    use(ours)


def differentiable(function, *inputs: Tensor) -> bool:
    """Whether gradients are those of finite differences."""
    inputs = [x.double().requires_grad_() for x in inputs]
    return torch.autograd.gradcheck(function, inputs, nondet_tol=1e-12, fast_mode=True)


def at(image: Tensor, y: float, x: float) -> Tensor:
    """(C, H, W) -> (C,), bilinear, with the border's tokens for one token beyond it."""
    height, width = image.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return image.new_zeros(len(image))
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = floor(y), floor(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = image[:, top, left] * (1 - x + left) + image[:, top, right] * (x - left)
    lower = image[:, bottom, left] * (1 - x + left) + image[:, bottom, right] * (x - left)
    return upper * (1 - y + top) + lower * (y - top)


@pytest.mark.parametrize("dtype", [torch.float, torch.double])
@pytest.mark.parametrize("regions", [REGIONS, REGIONS[:1], REGIONS[:0]], ids=len)
def test_roi_pool(dtype: torch.dtype, regions: Tensor) -> None:
    x = torch.rand(2, 3, 13, 17, dtype=dtype) - 0.5
    expected = x.new_zeros(len(regions), 3, 2, 3)
    for region, (image, *corners) in enumerate(regions.tolist()):
        left, top = corners[0] / 4, corners[1] / 4
        width, height = (corners[2] + 1) / 4 - left, (corners[3] + 1) / 4 - top
        for row in range(2):
            for column in range(3):
                rows = slice(
                    min(max(floor(top + row * height / 2), 0), 13),
                    min(max(ceil(top + (row + 1) * height / 2), 0), 13),
                )
                columns = slice(
                    min(max(floor(left + column * width / 3), 0), 17),
                    min(max(ceil(left + (column + 1) * width / 3), 0), 17),
                )
                tokens = x[int(image), :, rows, columns]
                if tokens.numel():
                    expected[region, :, row, column] = tokens.amax((1, 2))
    layer = ops.RoIPool((2, 3), 0.25)
    torch.testing.assert_close(layer(x, regions.to(dtype)), expected)
    if len(regions):
        assert differentiable(lambda y: layer(y, regions.to(dtype).double()), x)


@pytest.mark.parametrize("sampling_ratio", [0, 2])
@pytest.mark.parametrize("moved", [True, False])
def test_deformable_roi_pool(sampling_ratio: int, moved: bool) -> None:
    regions = REGIONS[:3].double()
    x = torch.rand(2, 3, 13, 17, dtype=torch.double)
    offset = torch.randn(3, 2, 2, 3, dtype=torch.double) if moved else None
    expected = x.new_zeros(3, 3, 2, 3)
    for region, (image, *corners) in enumerate(regions.tolist()):
        x1, y1, x2, y2 = (corner / 4 - 0.5 for corner in corners)
        rows = sampling_ratio or ceil((y2 - y1) / 2)
        columns = sampling_ratio or ceil((x2 - x1) / 3)
        for row in range(2):
            for column in range(3):
                left, top = x1, y1
                if moved:
                    left += 0.1 * (x2 - x1) * float(offset[region, 0, row, column])
                    top += 0.1 * (y2 - y1) * float(offset[region, 1, row, column])
                samples = [
                    at(
                        x[int(image)],
                        top + (y2 - y1) / 2 * (row + (i + 0.5) / rows),
                        left + (x2 - x1) / 3 * (column + (j + 0.5) / columns),
                    )
                    for i in range(rows)
                    for j in range(columns)
                ]
                expected[region, :, row, column] = sum(samples) / len(samples)
    layer = ops.DeformRoIPool((2, 3), 0.25, sampling_ratio)
    torch.testing.assert_close(layer(x, regions, offset), expected)
    if moved:
        assert differentiable(lambda *inputs: layer(inputs[0], regions, inputs[1]), x, offset)


def test_deformable_roi_pool_without_regions() -> None:
    layer = ops.DeformRoIPool((2, 3), 0.25)
    assert layer(torch.rand(2, 3, 13, 17), REGIONS[:0]).shape == (0, 3, 2, 3)


@pytest.mark.parametrize("dtype", [torch.float, torch.double])
@pytest.mark.parametrize("number", [5, 1, 0])
@pytest.mark.parametrize("weighted", [True, False])
def test_sigmoid_focal_loss(dtype: torch.dtype, number: int, weighted: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(number, 3, generator=generator).to(dtype) * 4
    target = torch.randint(3 if weighted else 4, (number,), generator=generator)
    weight = torch.tensor([0.5, 1, 2], dtype=dtype) if weighted else None
    p = x.double().sigmoid()
    positive = -0.3 * (1 - p) ** 1.5 * p.log()
    negative = -0.7 * p**1.5 * (1 - p).log()
    expected = torch.where(target[:, None] == torch.arange(3), positive, negative)
    if weighted:
        expected = expected * weight[target, None]
    loss = ops.sigmoid_focal_loss(x, target, 1.5, 0.3, weight, "none")
    torch.testing.assert_close(loss, expected.to(dtype))
    if number:
        mean = ops.sigmoid_focal_loss(x, target, 1.5, 0.3, weight, "mean")
        torch.testing.assert_close(mean, expected.sum().to(dtype) / number)
        weight = None if weight is None else weight.double()
        assert differentiable(
            lambda y: ops.sigmoid_focal_loss(y, target, 1.5, 0.3, weight, "sum"), x
        )


@pytest.mark.parametrize("dtype", [torch.half, torch.float, torch.double])
def test_multi_scale_deformable_attention(dtype: torch.dtype) -> None:
    attention = ops.multi_scale_deform_attn.MultiScaleDeformableAttnFunction.apply
    shapes, starts = torch.tensor([[4, 5], [2, 3]]), torch.tensor([0, 20])
    generator = torch.Generator().manual_seed(0)
    value, locations, weights = (
        torch.rand(*shape, generator=generator, dtype=torch.double)
        for shape in [(2, 26, 2, 3), (2, 4, 2, 2, 3, 2), (2, 4, 2, 2, 3)]
    )
    value, locations, weights = (x.to(dtype).double() for x in (value, locations, weights))
    expected = torch.zeros(2, 4, 2, 3, dtype=torch.double)
    for image, query, head, level, point in torch.cartesian_prod(
        *(torch.arange(n) for n in (2, 4, 2, 2, 3))
    ).tolist():
        height, width = shapes[level].tolist()
        # Unlike regions, attention sees zeros beyond the border.
        image_map = value[image, starts[level] : starts[level] + height * width, head]
        padded = F.pad(image_map.T.view(3, height, width), (1, 1, 1, 1))
        x, y = locations[image, query, head, level, point].tolist()
        sample = at(padded, y * height + 0.5, x * width + 0.5)
        expected[image, query, head] += weights[image, query, head, level, point] * sample
    inputs = [x.to(dtype) for x in (value, locations, weights)]
    found = attention(inputs[0], shapes, starts, *inputs[1:], 64)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected.flatten(2), **TOLERANCES[dtype])
    if dtype == torch.double:
        assert differentiable(
            lambda v, x, w: attention(v, shapes, starts, x, w, 64), value, locations, weights
        )


TOLERANCES = {
    torch.half: {"rtol": 2e-3, "atol": 2e-3},
    torch.float: {"rtol": 1e-5, "atol": 1e-5},
    torch.double: {"rtol": 1e-9, "atol": 1e-9},
}


@pytest.mark.parametrize("dtype", [torch.float, torch.double])
@pytest.mark.parametrize(("kernel", "groups", "scale"), [(3, 1, 2), (5, 2, 1), (1, 2, 3)])
def test_carafe(dtype: torch.dtype, kernel: int, groups: int, scale: int) -> None:
    x = torch.rand(2, 4, 3, 4, dtype=dtype)
    masks = torch.rand(2, groups * kernel**2, 3 * scale, 4 * scale, dtype=dtype)
    expected = torch.zeros(2, 4, 3 * scale, 4 * scale, dtype=dtype)
    for channel, row, column, place in torch.cartesian_prod(
        *(torch.arange(n) for n in (4, 3 * scale, 4 * scale, kernel**2))
    ).tolist():
        y = row // scale + place // kernel - kernel // 2
        z = column // scale + place % kernel - kernel // 2
        if 0 <= y < 3 and 0 <= z < 4:
            mask = channel // (4 // groups) * kernel**2 + place
            expected[:, channel, row, column] += x[:, channel, y, z] * masks[:, mask, row, column]
    torch.testing.assert_close(ops.carafe(x, masks, kernel, groups, scale), expected)
    torch.testing.assert_close(ops.carafe_naive(x, masks, kernel, groups, scale), expected)
    assert differentiable(lambda *inputs: ops.carafe(*inputs, kernel, groups, scale), x, masks)


@pytest.mark.parametrize(("size", "padding"), [(3, 1), (1, 0), ((3, 1), (1, 0))])
def test_masked_convolution(size, padding) -> None:
    layer = ops.MaskedConv2d(3, 5, size, padding=padding)
    x = torch.rand(1, 3, 6, 7)
    for mask in (torch.rand(1, 6, 7) > 0.5, torch.zeros(1, 6, 7), torch.ones(1, 6, 7)):
        torch.testing.assert_close(
            layer(x, mask), F.conv2d(x, layer.weight, layer.bias, padding=padding) * mask
        )


@pytest.mark.parametrize("psa_type", ["collect", "distribute"])
def test_psa_mask(psa_type: str) -> None:
    height, width, rows, columns = 3, 4, 5, 3
    x = torch.rand(2, rows * columns, height, width)
    expected = torch.zeros(2, height * width, height, width)
    for h, w, i, j in torch.cartesian_prod(
        *(torch.arange(n) for n in (height, width, rows, columns))
    ).tolist():
        y, z = h + i - rows // 2, w + j - columns // 2
        if 0 <= y < height and 0 <= z < width:
            value = x[:, i * columns + j, h, w]
            if psa_type == "collect":
                expected[:, y * width + z, h, w] = value
            else:
                expected[:, h * width + w, y, z] = value
    layer = ops.PSAMask(psa_type, (rows, columns))
    assert layer(x).equal(expected)
    assert differentiable(layer, x)


def test_synchronised_batch_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda group=None: 1)
    theirs, plain = ops.SyncBatchNorm(3), torch.nn.BatchNorm2d(3)
    x = torch.rand(2, 3, 4, 5) * 3
    for norm in (theirs, plain):
        norm.weight.data, norm.bias.data = torch.tensor([1.0, 2, 3]), torch.tensor([0.0, 1, 2])
    results = []
    for norm in (theirs, plain):
        inputs = x.clone().requires_grad_()
        output = norm(inputs)
        output.backward(torch.linspace(-1, 2, x.numel()).view_as(x))
        results.append([output, inputs.grad, norm.weight.grad, norm.bias.grad])
    torch.testing.assert_close(*results)
    torch.testing.assert_close(theirs.running_mean, plain.running_mean)
    torch.testing.assert_close(theirs.running_var, plain.running_var)


def test_nms_of_boxes_in_other_precisions() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 10, 10], [20, 20, 30, 30]])
    scores = torch.tensor([0.5, 0.75, 0.25])
    for dtype in (torch.half, torch.bfloat16, torch.double):
        assert ops.nms(boxes.to(dtype), scores.to(dtype), 0.5)[1].tolist() == [1, 2]


def test_offsets_of_a_larger_map_are_read_in_the_layout_of_the_output() -> None:
    """As mmcv's compiled operator does, which DyHead gives the offsets of the level below."""
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.rand(2, 4, 4, 5, generator=generator), torch.rand(6, 4, 3, 3)
    offset = torch.randn(2, 18, 8, 10, generator=generator, requires_grad=True)
    mask = torch.rand(2, 9, 8, 10, generator=generator, requires_grad=True)
    y = ops.modulated_deform_conv2d(x, offset, mask, weight, None, 1, 1, 1, 1, 1)
    of_output = [
        torch.tensor([row.ravel()[: channels * 20] for row in map_.detach().numpy()])
        for map_, channels in ((offset, 18), (mask, 9))
    ]
    leaves = [x.view(2, -1, 4, 5).requires_grad_() for x in of_output]
    expected = deform_conv2d(x, leaves[0], weight, None, 1, 1, 1, leaves[1])
    torch.testing.assert_close(y, expected)
    found = torch.autograd.grad(y.square().sum(), [offset, mask])
    gradients = torch.autograd.grad(expected.square().sum(), leaves)
    for gradient, of_leaf in zip(found, gradients, strict=True):
        read, unread = gradient.flatten(1).tensor_split([of_leaf[0].numel()], dim=1)
        torch.testing.assert_close(read, of_leaf.flatten(1))
        assert not unread.any()
