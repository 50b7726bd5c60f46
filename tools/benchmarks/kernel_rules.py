"""Kernels that an operator launches on CUDA, and their bytes and products.

One operator is one kernel that reads its inputs and writes its outputs; views and empty tensors are
none. Exceptions are rules here, from torch's CUDA backend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverload


class Work(NamedTuple):
    """Of one kernel: a name, bytes read, bytes written, operations of products, and their kind."""

    name: str
    read: int
    written: int
    flops: int = 0
    is_depthwise: bool = False


class Call(NamedTuple):
    """An operator, by its name without ``aten.``, with its inputs and outputs."""

    name: str
    args: tuple[Any, ...]
    inputs: list[Tensor]
    outputs: list[Tensor]
    read: int
    written: int


# In addition to views, which have a schema.
LAUNCH_NOTHING = {
    *["detach", "alias", "lift_fresh", "view", "_unsafe_view", "_reshape_alias", "resize_", "set_"],
    *["empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"],
    *["is_same_size", "is_pinned", "resolve_conj"],
}
# They do not read the tensors that they overwrite.
OVERWRITE = {"fill_", "zero_", "copy_", "random_", "uniform_", "normal_", "bernoulli_"}


def tensors_in(values: Any) -> Iterator[Tensor]:
    """All tensors in nested lists and dicts."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, dict):
        yield from tensors_in(list(values.values()))
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from tensors_in(value)


def size_of(x: Tensor) -> int:
    """Bytes of the distinct elements of a tensor, which may be expanded."""
    size = x.element_size()
    for length, stride in zip(x.shape, x.stride(), strict=True):
        size *= length if stride or not length else 1
    return size


def full_size(x: Tensor) -> int:
    """Bytes of all elements."""
    return x.numel() * x.element_size()


def kernels_of(
    operator: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
) -> list[Work]:
    """The kernels that a call launches; none if it is a view or not on the device.

    Args:
        operator: Of torch's dispatcher.
        args: Its arguments.
        kwargs: Those with a name.
        result: Its result.
    """
    name = str(operator.overloadpacket).removeprefix("aten.")
    given = list(tensors_in(kwargs.get("out", ())))
    inputs = list(tensors_in([args, {k: v for k, v in kwargs.items() if k != "out"}]))
    outputs = given or list(tensors_in(result))
    arguments, returns = operator._schema.arguments, operator._schema.returns
    written_to = [
        value
        for value, argument in zip(args, arguments, strict=False)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    is_view = not written_to and any(
        r.alias_info is not None and not r.alias_info.is_write for r in returns
    )
    on_device = any(x.is_cuda for x in [*inputs, *outputs])
    if not on_device or is_view or name in LAUNCH_NOTHING or not any(map(torch.numel, outputs)):
        return []
    if name == "copy_" and _is_same_memory(inputs[0], inputs[1]):
        return []  # `a[i] += b` copies a view to itself
    targets = outputs if given or not written_to else list(tensors_in(written_to))
    read = sum(map(size_of, _distinct(x for x in inputs if x.is_cuda)))
    if name in OVERWRITE:
        read = max(read - size_of(inputs[0]), 0)
    call = Call(name, args, inputs, outputs, read, sum(map(size_of, targets)))
    return RULES.get(name, _one)(call)


def _distinct(tensors: Iterable[Tensor]) -> Iterable[Tensor]:
    return {
        (x.untyped_storage()._cdata, x.storage_offset(), x.shape, x.stride()): x for x in tensors
    }.values()


def _is_same_memory(x: Tensor, y: Tensor) -> bool:
    return x.dtype == y.dtype and len(list(_distinct([x, y]))) == 1


def _one(call: Call, flops: int = 0) -> list[Work]:
    return [Work(call.name, call.read, call.written, flops)]


def _product(call: Call) -> list[Work]:
    """`addmm` with a vector adds it in the product; all else that is added is copied before."""
    adds = call.name in ("addmm", "baddbmm")
    x, y = call.args[1:3] if adds else call.args[:2]
    flops = 2 * x.numel() * y.shape[-1]
    if not adds or (call.name == "addmm" and call.args[0].ndim == 1):
        return _one(call, flops)
    result, added = size_of(call.outputs[0]), size_of(call.args[0])
    return [
        Work(f"{call.name}, copy of the added tensor", added, result),
        Work(call.name, call.read - added + result, call.written, flops),
    ]


def _product_inplace(call: Call) -> list[Work]:
    """`addmm_` and `baddbmm_` add in the product."""
    x, y = call.args[1:3]
    return _one(call, 2 * x.numel() * y.shape[-1])


def is_channels_last(x: Tensor) -> bool:
    """Whether channels, and not columns, are neighbours in memory."""
    return (
        x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    )


def _made_contiguous(name: str, *tensors: Tensor) -> list[Work]:
    """A convolution has all tensors in one memory format, and copies those that are not."""
    last = any(map(is_channels_last, tensors[-2:]))
    memory_format = torch.channels_last if last else torch.contiguous_format
    return [
        Work(f"{name}, copy to a memory format", size_of(x), full_size(x))
        for x in tensors
        if not x.is_contiguous(memory_format=memory_format)
    ]


def _convolution(call: Call) -> list[Work]:
    """The bias is added by another kernel."""
    x, weight, bias = call.args[:3]
    y = call.outputs[0]
    works = _made_contiguous("convolution", x, weight)
    read, size = call.read, full_size(y)
    if isinstance(bias, Tensor):
        works.append(Work("convolution, bias", size + size_of(bias), size))
        read -= size_of(bias)
    flops = 2 * y.numel() * weight[0].numel()
    return [Work("convolution", read, call.written, flops, weight.shape[1] < x.shape[1]), *works]


def _convolution_backward(call: Call) -> list[Work]:
    grad, x, weight = call.args[:3]
    to_x, to_weight, to_bias = call.args[-1]
    products = 2 * grad.numel() * weight[0].numel(), weight.shape[1] < x.shape[1]
    sizes = [full_size(t) for t in (grad, x, weight)]
    works = _made_contiguous("convolution backward", grad, x, weight)
    if to_x:
        works.append(Work("convolution backward, input", sizes[0] + sizes[2], sizes[1], *products))
    if to_weight:
        works.append(Work("convolution backward, weight", sizes[0] + sizes[1], sizes[2], *products))
    if to_bias:
        works.append(Work("convolution backward, bias", sizes[0], 0))
    return works


def _batch_norm(call: Call) -> list[Work]:
    """In training: statistics, running statistics, and the norm."""
    if not call.args[5]:
        return _one(call)
    statistics = Work("batch norm, statistics", full_size(call.args[0]), 0)
    return [*_one(call), statistics, Work("batch norm, running statistics", 0, 0)]


def _norm_backward(call: Call) -> list[Work]:
    """The gradient of the map, and sums for those of weight and bias."""
    return [*_one(call), Work(f"{call.name}, sums", sum(map(full_size, call.args[:2])), 0)]


def _gather(call: Call) -> list[Work]:
    """It reads as many elements as it writes, and the indices."""
    indices = sum(size_of(x) for x in call.inputs if not x.is_floating_point())
    return [Work(call.name, call.written + indices, call.written)]


def _scatter(call: Call) -> list[Work]:
    values = size_of(call.args[2])
    indices = sum(map(size_of, tensors_in(call.args[1])))
    return [Work(call.name, values + indices, values)]


def _view_backward(call: Call) -> list[Work]:
    """Zeros of the original size, and the gradient copied into them."""
    return [Work(call.name, call.read, call.read), Work(f"{call.name}, zeros", 0, call.written)]


def _upsample_backward(call: Call) -> list[Work]:
    """It adds into zeros."""
    return [*_one(call), Work("upsample backward, zeros", 0, call.written)]


RULES: dict[str, Callable[[Call], list[Work]]] = {
    **dict.fromkeys(["mm", "bmm", "addmm", "baddbmm"], _product),
    **dict.fromkeys(["addmm_", "baddbmm_"], _product_inplace),
    **dict.fromkeys(["convolution", "_convolution"], _convolution),
    "convolution_backward": _convolution_backward,
    **dict.fromkeys(["native_batch_norm", "cudnn_batch_norm"], _batch_norm),
    **dict.fromkeys(["native_batch_norm_backward", "cudnn_batch_norm_backward"], _norm_backward),
    "native_layer_norm_backward": _norm_backward,
    "upsample_bilinear2d_backward": _upsample_backward,
    **dict.fromkeys(["index", "index_select", "gather", "embedding"], _gather),
    **dict.fromkeys(["index_put", "index_put_"], _scatter),
    **dict.fromkeys(["slice_backward", "select_backward"], _view_backward),
}
