"""Torch operators of the compiled kernels, so that emulated layers can be compiled and exported.

Every operator takes float32 inputs, quantises them, adds products in integers and returns scaled float32 values, or
the integer sums. The CPU implementations are the compiled module's; other devices use `Products` of torch operations.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from laxity.core.errors import DataError
from laxity.kernels import native
from laxity.kernels.geometry import Geometry

LIBRARY = torch.library.Library("laxity", "DEF")

LIBRARY.define(
    "table(Tensor x, Tensor quantiser, Tensor? index, Tensor codes, Tensor table, Tensor constants, "
    "Tensor? scale, Tensor? gain, Tensor? bias, int[] geometry, int[] layout, bool wide, str site) -> Tensor"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of one call: of a linear layer for ``x`` (M, K), else of a convolution for ``x`` (B, C, *spatial).

    Attributes:
        output: size of the result.
        numbers: what the compiled module wants to know, without strides.
    """

    output: tuple[int, ...]
    numbers: list[int]


def flat(geometry: Geometry, kernel: tuple[int, ...]) -> list[int]:
    """A geometry as the operators take it: groups, then kernel, stride, padding before, after, dilation."""
    none = (0,) * len(kernel)
    padding = (*(geometry.before or none), *(geometry.after or none))
    return [geometry.groups, *kernel, *geometry.stride, *padding, *geometry.dilation]


def shape_of(x: Tensor, outputs: int, geometry: list[int]) -> Shape:
    """Sizes of the result for input `x` and a flat geometry."""
    dims = (len(geometry) - 1) // 5
    kernel, stride, before, after, dilation = (geometry[1 + dims * i : 1 + dims * (i + 1)] for i in range(5))
    groups = geometry[0]
    if x.dim() == 2:
        return Shape((x.shape[0], outputs), [1, x.shape[1], outputs, groups, 1, 1, x.shape[0], *_POINT])
    lead = 3 - dims
    inner = list(x.shape[2:])
    out = [
        max(0, (n + b + a - d * (k - 1) - 1) // s + 1)
        for n, b, a, d, k, s in zip(inner, before, after, dilation, kernel, stride, strict=True)
    ]
    ones, zeros = [1] * lead, [0] * lead
    numbers = [x.shape[0], x.shape[1], outputs, groups, *ones, *inner, *ones, *kernel, *ones, *stride]
    numbers += [*zeros, *before, *zeros, *after, *ones, *dilation]
    return Shape((x.shape[0], outputs, *out), numbers)


_POINT = [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1]


def strides_of(tensor: Tensor) -> list[int]:
    """Strides by batch, channel and three spatial dimensions; rows of a matrix are positions of one sample."""
    if tensor.dim() == 2:
        return [0, tensor.stride(1), 0, 0, tensor.stride(0)]
    spatial = tensor.stride()[2:]
    return [*tensor.stride()[:2], *[0] * (3 - len(spatial)), *spatial]


def empty_like_input(x: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Memory for a result: channels last where the input is."""
    memory_format = torch.contiguous_format
    if x.dim() in {4, 5} and not x.is_contiguous():
        last = torch.channels_last if x.dim() == 4 else torch.channels_last_3d
        if x.is_contiguous(memory_format=last):
            memory_format = last
    return torch.empty(shape, dtype=dtype, device=x.device, memory_format=memory_format)


def result(x: Tensor, outputs: int, scale: Tensor | None, geometry: list[int]) -> tuple[Tensor, list[int]]:
    """Memory for the result of a call and the numbers that describe the call to the compiled module."""
    shape = shape_of(x, outputs, geometry)
    y = empty_like_input(x, shape.output, torch.int64 if scale is None else torch.float32)
    return y, [*shape.numbers, *strides_of(x), *strides_of(y)]


def address(tensor: Tensor | None) -> int:
    """Where a tensor's data starts; 0 for none."""
    return 0 if tensor is None else tensor.data_ptr()


def not_finite(x: Tensor, site: str) -> DataError:
    """The error for an input that holds NaN or infinity."""
    return DataError(
        f"input of site {site!r}, shape {tuple(x.shape)}, holds NaN or infinite values, which no integer code stands "
        "for; check the inputs of the model and its weights"
    )


def _table(  # noqa: PLR0917 (the operator's arguments)
    x: Tensor,
    quantiser: Tensor,
    index: Tensor | None,
    codes: Tensor,
    table: Tensor,
    constants: Tensor,
    scale: Tensor | None,
    gain: Tensor | None,
    bias: Tensor | None,
    geometry: list[int],
    layout: list[int],
    wide: bool,
    site: str,
) -> Tensor:
    y, numbers = result(x, codes.shape[0], scale, geometry)
    module = native.compiled()
    assert module is not None  # prepared operands exist only where the module does
    scaled, sums = (address(y), 0) if scale is not None else (0, address(y))
    finite = module.table_layer(
        native.level(), native.threads(), numbers, address(x), address(quantiser), address(index),
        address(codes), address(table), *layout, wide, address(constants), address(scale), address(gain),
        address(bias), scaled, sums,
    )  # fmt: skip
    if not finite:
        raise not_finite(x, site)
    return y


def fake_result(x: Tensor, per_output: Tensor, scale: Tensor | None, geometry: list[int]) -> Tensor:
    """The result of a call without its values, for tracing; `per_output` has one row or element per output."""
    shape = shape_of(x, per_output.shape[0], geometry).output
    return empty_like_input(x, shape, torch.int64 if scale is None else torch.float32)


@torch.library.register_fake("laxity::table", lib=LIBRARY)
def _table_fake(  # noqa: PLR0917 (the operator's arguments)
    x: Tensor,
    quantiser: Tensor,
    index: Tensor | None,
    codes: Tensor,
    table: Tensor,
    constants: Tensor,
    scale: Tensor | None,
    gain: Tensor | None,
    bias: Tensor | None,
    geometry: list[int],
    layout: list[int],
    wide: bool,
    site: str,
) -> Tensor:
    return fake_result(x, codes, scale, geometry)


LIBRARY.impl("table", _table, "CPU")
