"""Calls of compiled kernels, prepared once per layer so that little is left to do per input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from laxity.core.errors import DataError
from laxity.kernels import native
from laxity.kernels.geometry import Geometry

_MOST_SHAPES = 64
_MEMORY = (Tensor, torch.nn.Parameter)
_POINT = (1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1)


class Layer(Protocol):
    """A layer that is ready for its input."""

    def __call__(self, x: Tensor) -> Tensor:
        """Quantise, multiply, add and scale."""


def flat(geometry: Geometry, kernel: tuple[int, ...]) -> list[int]:
    """A geometry as the operators take it: groups, then kernel, stride, padding before, after, dilation."""
    none = (0,) * len(kernel)
    padding = (*(geometry.before or none), *(geometry.after or none))
    return [geometry.groups, *kernel, *geometry.stride, *padding, *geometry.dilation]


def output_size(x: Tensor, outputs: int, geometry: Sequence[int]) -> tuple[int, ...]:
    """Size of the result: of a linear layer for `x` (M, K), else of a convolution for `x` (B, C, *spatial)."""
    if x.dim() == 2:
        return x.shape[0], outputs
    dims = (len(geometry) - 1) // 5
    kernel, stride, before, after, dilation = (geometry[1 + dims * i : 1 + dims * (i + 1)] for i in range(5))
    spatial = zip(x.shape[2:], before, after, dilation, kernel, stride, strict=True)
    inner = (max(0, (n + b + a - d * (k - 1) - 1) // s + 1) for n, b, a, d, k, s in spatial)
    return x.shape[0], outputs, *inner


def empty_result(x: Tensor, outputs: int, geometry: Sequence[int], *, scaled: bool) -> Tensor:
    """Memory for a result, float32 or int64 sums: channels last where the input is."""
    memory_format = torch.contiguous_format
    if x.dim() in {4, 5} and not x.is_contiguous():
        last = torch.channels_last if x.dim() == 4 else torch.channels_last_3d
        if x.is_contiguous(memory_format=last):
            memory_format = last
    dtype = torch.float32 if scaled else torch.int64
    return torch.empty(output_size(x, outputs, geometry), dtype=dtype, device=x.device, memory_format=memory_format)


def _numbers(x: Tensor, y: Tensor, outputs: int, geometry: Sequence[int]) -> list[int]:
    """Everything about one call that the compiled module wants to know."""
    groups = geometry[0]
    if x.dim() == 2:
        sizes = [1, x.shape[1], outputs, groups, 1, 1, x.shape[0], *_POINT]
        return [*sizes, *_strides(x), *_strides(y)]
    dims = (len(geometry) - 1) // 5
    kernel, stride, before, after, dilation = (geometry[1 + dims * i : 1 + dims * (i + 1)] for i in range(5))
    ones, zeros = [1] * (3 - dims), [0] * (3 - dims)
    sizes = [x.shape[0], x.shape[1], outputs, groups, *ones, *x.shape[2:], *ones, *kernel, *ones, *stride]
    sizes += [*zeros, *before, *zeros, *after, *ones, *dilation]
    return [*sizes, *_strides(x), *_strides(y)]


def _strides(tensor: Tensor) -> list[int]:
    """Strides by batch, channel and three spatial dimensions; rows of a matrix are positions of one sample."""
    if tensor.dim() == 2:
        return [0, tensor.stride(1), 0, 0, tensor.stride(0)]
    spatial = tensor.stride()[2:]
    return [*tensor.stride()[:2], *[0] * (3 - len(spatial)), *spatial]


def address(tensor: Tensor | None) -> int:
    """Where a tensor's data starts; 0 for none."""
    return 0 if tensor is None else tensor.data_ptr()


def not_finite(x: Tensor, site: str) -> DataError:
    """The error for an input that holds NaN or infinity."""
    return DataError(
        f"input of site {site!r}, shape {tuple(x.shape)}, holds NaN or infinite values, which no integer code stands "
        "for; check the inputs of the model and its weights"
    )


class NativeCall:
    """One function of the compiled module with everything but the input.

    Args:
        function: its name.
        middle: its arguments between the address of the input and those of the results; addresses among them.
        outputs: outputs of the layer.
        geometry: as `flat` gives it.
        scaled: results are float32, otherwise int64 sums.
        site: named in errors.
        kept: tensors whose addresses are among the arguments.
    """

    def __init__(
        self,
        function: str,
        middle: Sequence[Any],
        outputs: int,
        geometry: Sequence[int],
        site: str,
        *,
        scaled: bool,
        kept: Sequence[Tensor | None] = (),
    ) -> None:
        self._function = getattr(native.required(), function)
        self._level, self._middle, self._kept = native.level(), tuple(middle), kept
        self._outputs, self._geometry, self._scaled, self._site = outputs, geometry, scaled, site
        self._shapes: dict[Any, tuple[tuple[int, ...], tuple[int, ...], list[int]]] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """Run for float32 `x` on the CPU.

        Raises:
            DataError: `x` holds NaN or infinite values.
        """
        key = (x.shape, x.stride())
        known = self._shapes.get(key)
        if known is None:
            y = empty_result(x, self._outputs, self._geometry, scaled=self._scaled)
            known = tuple(y.shape), y.stride(), _numbers(x, y, self._outputs, self._geometry)
            if len(self._shapes) == _MOST_SHAPES:
                self._shapes.clear()
            self._shapes[key] = known
        size, stride, numbers = known
        y = torch.empty_strided(size, stride, dtype=torch.float32 if self._scaled else torch.int64)
        scaled, sums = (y.data_ptr(), 0) if self._scaled else (0, y.data_ptr())
        finite = self._function(
            self._level, torch.get_num_threads(), numbers, x.data_ptr(), *self._middle, scaled, sums
        )
        if not finite:
            raise not_finite(x, self._site)
        return y


class MatricesCall:
    """A function of the compiled module for batches of products of two activations.

    Args:
        function: its name.
        rest: its arguments after the addresses.
        index: map of the left codes, or None.
        constant: int64 (right codes,), what each right code adds to an output.
    """

    def __init__(self, function: str, rest: Sequence[Any], index: Tensor | None, constant: Tensor) -> None:
        self._function, self._rest, self._index, self._constant = function, rest, index, constant

    def __call__(
        self, left: Tensor, quantiser: Tensor, right: Tensor, right_quantiser: Tensor, scale: Tensor, site: str
    ) -> Tensor:
        """Multiply float32 (B, M, K) and (B, K, N).

        Raises:
            DataError: a factor holds NaN or infinite values.
        """
        (count, m, k), n = left.shape, right.shape[2]
        out = torch.empty(count, m, n)
        at = [address(t) for t in (left, quantiser, self._index, right, right_quantiser, self._constant, scale, out)]
        numbers = [count, m, k, n, *left.stride(), *right.stride()]
        run = getattr(native.compiled(), self._function)
        if not run(native.level(), torch.get_num_threads(), numbers, at, *self._rest):
            bad = left if not bool(torch.isfinite(left).all()) else right
            raise not_finite(bad, site)
        return out


class LayerCall:
    """A layer that runs directly where it can, and through its torch operator while a model is traced.

    Args:
        direct: the compiled function.
        operator: the same for tracing, with everything but the input.
    """

    def __init__(self, direct: NativeCall, operator: Callable[[Tensor], Tensor]) -> None:
        self._direct, self._operator = direct, operator

    def __call__(self, x: Tensor) -> Tensor:
        """Quantise, multiply, add and scale."""
        return self._direct(x) if is_plain(x) else self._operator(x)


def observed() -> bool:
    """Whether more than the computation itself wants to know of operations: they are traced, faked or counted."""
    return bool(
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._functorch.peek_interpreter_stack()
    )


def is_plain(x: Tensor) -> bool:
    """Whether the memory of `x` holds its values, and nothing but the computation itself wants to know of this call."""
    return type(x) in _MEMORY and not x.is_neg() and not observed()
