"""Functions that multiply and accumulate, expressed by matrix products of two operands.

A lowering computes what the function computes, but asks for every product by the name of its part. While a model is
traced the parts become sites, in an emulated model the parts that a plan names are emulated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from laxity.sites.contraction import Multiply, NotLowered, contract, einsum, tensordot

Parts = Callable[[str], Multiply]
"""Gives the matrix product that stands for a part; the name is empty where there is one part only."""


@dataclass(frozen=True, slots=True)
class Lowering:
    """How a function is expressed by products.

    Attributes:
        name: of the function, in names of sites.
        run: takes `Parts` and the arguments of the function and returns its result; raises `NotLowered` for arguments
            that it cannot express.
        in_place: the function stores its result in its first argument.
    """

    name: str
    run: Callable[..., Any]
    in_place: bool = False

    def __call__(self, parts: Parts, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Compute the function; the result goes where the call wants it."""
        given = dict(kwargs)
        target = args[0] if self.in_place else given.pop("out", None)
        result = self.run(parts, *args, **given)
        if target is None:
            return result
        return target.copy_(result) if target.shape == result.shape else target.resize_(result.shape).copy_(result)


LOWERINGS: dict[Any, Lowering] = {}
"""Lowerings by the function that torch calls."""


def lower(name: str, *functions: Any, in_place: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function as the lowering of torch functions."""

    def register(run: Callable[..., Any]) -> Callable[..., Any]:
        LOWERINGS.update(dict.fromkeys(functions, Lowering(name, run, in_place)))
        return run

    return register


@lower("matmul", torch.matmul, torch.linalg.matmul, torch.bmm, torch.mm, Tensor.matmul, Tensor.bmm, Tensor.mm)
@lower("matmul", Tensor.__matmul__)
def _matmul(
    parts: Parts,
    input: Tensor,  # noqa: A002 (torch's own argument name, as everywhere below)
    other: Tensor | None = None,
    *,
    mat2: Tensor | None = None,
    tensor2: Tensor | None = None,
) -> Tensor:
    right = next(t for t in (other, mat2, tensor2) if t is not None)
    return parts("")(input, right)


@lower("matmul", Tensor.__rmatmul__)
def _rmatmul(parts: Parts, right: Tensor, left: Any) -> Tensor:
    return parts("")(torch.as_tensor(left, dtype=right.dtype), right)


@lower("mv", torch.mv, Tensor.mv)
def _mv(parts: Parts, input: Tensor, vec: Tensor) -> Tensor:  # noqa: A002
    return parts("")(input, vec)


@lower("dot", torch.dot, Tensor.dot, torch.vdot, Tensor.vdot)
def _dot(parts: Parts, input: Tensor, tensor: Tensor | None = None, *, other: Tensor | None = None) -> Tensor:  # noqa: A002
    right = tensor if tensor is not None else other
    assert right is not None  # torch has run the call
    return parts("")(input, right)


@lower("inner", torch.inner, Tensor.inner)
def _inner(parts: Parts, input: Tensor, other: Tensor) -> Tensor:  # noqa: A002
    if not input.dim() or not other.dim():
        return input * other
    return tensordot(parts(""), input, other, ([-1], [-1]))


@lower("vecdot", torch.linalg.vecdot)
def _vecdot(parts: Parts, x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    x, y = torch.broadcast_tensors(x, y)
    return parts("")(x.movedim(dim, -1)[..., None, :], y.movedim(dim, -1)[..., :, None])[..., 0, 0]


def _added(product: Tensor, input: Tensor, beta: float, alpha: float) -> Tensor:  # noqa: A002
    """Scale a product and add a tensor, which is ignored where beta is zero, whatever it holds."""
    scaled = product if alpha == 1 else product * alpha
    if beta == 0:
        return scaled
    return scaled + (input if beta == 1 else input * beta)


@lower("addmm", torch.addmm, Tensor.addmm)
@lower("addmm", Tensor.addmm_, in_place=True)
def _addmm(parts: Parts, input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:  # noqa: A002
    return _added(parts("")(mat1, mat2), input, beta, alpha)


@lower("addmv", torch.addmv, Tensor.addmv)
@lower("addmv", Tensor.addmv_, in_place=True)
def _addmv(parts: Parts, input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:  # noqa: A002
    return _added(parts("")(mat, vec), input, beta, alpha)


@lower("baddbmm", torch.baddbmm, Tensor.baddbmm)
@lower("baddbmm", Tensor.baddbmm_, in_place=True)
def _baddbmm(
    parts: Parts,
    input: Tensor,  # noqa: A002
    batch1: Tensor,
    batch2: Tensor,
    *,
    beta: float = 1,
    alpha: float = 1,
) -> Tensor:
    return _added(parts("")(batch1, batch2), input, beta, alpha)


@lower("addbmm", torch.addbmm, Tensor.addbmm)
@lower("addbmm", Tensor.addbmm_, in_place=True)
def _addbmm(
    parts: Parts,
    input: Tensor,  # noqa: A002
    batch1: Tensor,
    batch2: Tensor,
    *,
    beta: float = 1,
    alpha: float = 1,
) -> Tensor:
    return _added(contract(parts(""), batch1, batch2, "bnk", "bkp", "np"), input, beta, alpha)


@lower("einsum", torch.einsum)
def _einsum(parts: Parts, *args: Any, equation: str | None = None, operands: Any = ()) -> Tensor:
    given = args if equation is None else (equation, *operands)
    return einsum(parts(""), *given)


@lower("tensordot", torch.tensordot)
def _tensordot(parts: Parts, a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    return tensordot(parts(""), a, b, dims)


@lower("multi_dot", torch.linalg.multi_dot)
def _multi_dot(parts: Parts, tensors: Sequence[Tensor]) -> Tensor:
    return _chain(parts, *tensors)


@lower("chain_matmul", torch.chain_matmul)
def _chain(parts: Parts, *matrices: Tensor) -> Tensor:
    if len(matrices) > 2:
        raise NotLowered("a chain of more than two matrices; write the products with @ in the order you want")
    return parts("")(*matrices) if len(matrices) == 2 else matrices[0]


@lower("bilinear", F.bilinear)
def _bilinear(parts: Parts, input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """First the left input times the weight, then what comes out times the right input."""
    outputs, left, right = weight.shape
    mixed = parts("left")(input1, weight.permute(1, 0, 2).reshape(left, outputs * right))
    result = parts("right")(mixed.unflatten(-1, (outputs, right)), input2[..., :, None])[..., 0]
    return result if bias is None else result + bias


def _linear(parts: Parts, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # noqa: A002
    product = parts("")(input, weight.transpose(-2, -1) if weight.dim() > 1 else weight)
    return product if bias is None else product + bias


def _convolution(
    parts: Parts,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """A convolution as a product of unfolded windows (batch, groups, positions, reduction) with the kernels."""
    kernel = tuple(weight.shape[2:])
    dims = len(kernel)
    if input.dim() != dims + 2:
        raise NotLowered("a convolution of one sample without a batch dimension; add one with unsqueeze(0)")
    strides, dilations = _each(stride, dims), _each(dilation, dims)
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    if padding == "same":
        pairs = [((r - 1) // 2, r - 1 - (r - 1) // 2) for r in reach]
    else:
        pairs = [(p, p) for p in _each(0 if padding == "valid" else padding, dims)]
    x = F.pad(input, [p for pair in reversed(pairs) for p in pair])
    for i in range(dims):
        x = x.unfold(2 + i, reach[i], strides[i])[..., :: dilations[i]]
    size = x.shape[2 : 2 + dims]
    order = (0, 1, *range(3, 3 + dims), 2, *range(3 + dims, 3 + 2 * dims))
    windows = x.unflatten(1, (groups, -1)).permute(order).reshape(len(x), groups, math.prod(size), -1)
    kernels = weight.reshape(groups, weight.shape[0] // groups, -1).transpose(1, 2)
    result = parts("")(windows, kernels).transpose(2, 3).reshape(len(x), weight.shape[0], *size)
    return result if bias is None else result + bias.reshape(-1, *([1] * dims))


def _each(value: Any, dims: int) -> tuple[int, ...]:
    """One entry per spatial dimension; torch lets a single entry stand for all."""
    entries = (value,) if isinstance(value, int) else tuple(value)
    return entries * (dims if len(entries) == 1 else 1)


COMPUTED_WEIGHTS = {
    "linear": Lowering("linear", _linear),
    "conv1d": Lowering("conv1d", _convolution),
    "conv2d": Lowering("conv2d", _convolution),
    "conv3d": Lowering("conv3d", _convolution),
}
"""Lowerings of layers whose weight is computed on the fly: their products are those of two activations."""
