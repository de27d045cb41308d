"""Any kernel as one torch operator, for models that are compiled or exported.

The operators name a kernel of this process by its number, so an exported model that holds one of them runs while the
emulated model lives. Kernels with operators of their own hold all they need in the graph.
"""

from __future__ import annotations

import uuid
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from laxity.core.errors import PlanError
from laxity.kernels.call import not_finite
from laxity.kernels.geometry import Geometry
from laxity.kernels.operators import LIBRARY
from laxity.kernels.products import Products

LIBRARY.define("convolve(Tensor codes, Tensor weight, int[] stride, int[] dilation, int groups, int kernel) -> Tensor")
LIBRARY.define("finite(Tensor x, str site) -> Tensor")
LIBRARY.define("multiply(Tensor left, Tensor right, int kernel) -> Tensor")

_KERNELS: WeakValueDictionary[int, Products] = WeakValueDictionary()


def number_of(kernel: Products) -> int:
    """The number by which the operators find a kernel; asked for before a model is traced."""
    for number, known in _KERNELS.items():
        if known is kernel:
            return number
    number = uuid.uuid4().int >> 66  # no other process gives it away: an exported model finds its own kernel or none
    _KERNELS[number] = kernel
    return number


def convolve(codes: Tensor, weight: Tensor, geometry: Geometry, number: int) -> Tensor:
    """`Products.convolve` for unprepared weight codes, float64."""
    result: Tensor = torch.ops.laxity.convolve(
        codes, weight, geometry.stride, geometry.dilation, geometry.groups, number
    )
    return result


def multiply(left: Tensor, right: Tensor, number: int) -> Tensor:
    """`Products.matmul`, float64."""
    result: Tensor = torch.ops.laxity.multiply(left, right, number)
    return result


def finite(x: Tensor, site: str) -> Tensor:
    """Values that must be finite; while a model is traced, they are looked at when it runs.

    Raises:
        DataError: they are not; names the site.
    """
    if torch.compiler.is_compiling():
        result: Tensor = torch.ops.laxity.finite(x, site)
        return result
    if not bool(torch.isfinite(x).all()):
        raise not_finite(x, site)
    return x


def _finite(x: Tensor, site: str) -> Tensor:
    return finite(x, site).clone()


@torch.library.register_fake("laxity::finite", lib=LIBRARY)
def _finite_fake(x: Tensor, site: str) -> Tensor:
    return torch.empty_like(x)


def _kernel(number: int) -> Products:
    kernel = _KERNELS.get(number)
    if kernel is None:
        raise PlanError(
            f"kernel {number} of a compiled or exported model is not in this process any more; keep the emulated model "
            "while the compiled one is used, and export again after loading"
        )
    return kernel


def _convolve(
    codes: Tensor, weight: Tensor, stride: list[int], dilation: list[int], groups: int, number: int
) -> Tensor:
    kernel = _kernel(number)
    geometry = Geometry(tuple(stride), tuple(dilation), groups)
    return kernel.convolve(codes, kernel.prepare(weight), geometry).to(torch.float64).contiguous()


def _multiply(left: Tensor, right: Tensor, number: int) -> Tensor:
    return _kernel(number).matmul(left, right).to(torch.float64).contiguous()


@torch.library.register_fake("laxity::convolve", lib=LIBRARY)
def _convolve_fake(
    codes: Tensor, weight: Tensor, stride: list[int], dilation: list[int], groups: int, number: int
) -> Tensor:
    size = Geometry(tuple(stride), tuple(dilation), groups).output_size(codes, tuple(weight.shape[2:]))
    return codes.new_empty(codes.shape[0], weight.shape[0], *size, dtype=torch.float64)


@torch.library.register_fake("laxity::multiply", lib=LIBRARY)
def _multiply_fake(left: Tensor, right: Tensor, number: int) -> Tensor:
    lead = torch.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    return left.new_empty(*lead, left.shape[-2], right.shape[-1], dtype=torch.float64)


LIBRARY.impl("convolve", _convolve, "CompositeExplicitAutograd")
LIBRARY.impl("finite", _finite, "CompositeExplicitAutograd")
LIBRARY.impl("multiply", _multiply, "CompositeExplicitAutograd")
