"""Which inputs emulated operations take, and the errors for all others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from laxity.core.errors import DataError, PlanError
from laxity.emulate.form import Form
from laxity.kernels.call import observed


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the input of a layer must be like; dtype and device come with the weight.

    Attributes:
        site: name of the layer.
        dims: spatial dimensions; 0 for a linear layer, whose input has any number of leading dimensions.
        channels: that the layer takes.
        least: smallest input size per spatial dimension that gives an output.
    """

    site: str
    dims: int
    channels: int
    least: tuple[int, ...]

    @classmethod
    def of(cls, site: str, form: Form, weight: Tensor) -> Accepted:
        """Read a layer."""
        if form.linear:
            return cls(site, 0, weight.shape[1], ())
        groups = 1 if form.transposed else form.groups
        channels = weight.shape[0 if form.transposed else 1] * groups
        return cls(site, len(form.kernel), channels, form.least_input())

    def check(self, x: Tensor, device: torch.device) -> None:
        """Raise unless the layer can be computed for `x`.

        Raises:
            DataError: it cannot; says what was given and what is taken.
        """
        dims = self.dims
        if not isinstance(x, Tensor):
            raise DataError(f"input of site {self.site!r} is a {type(x).__name__}; the layer takes {self._wanted()}")
        rank = x.dim()
        right_rank = rank > 0 if dims == 0 else dims < rank < dims + 3
        if (
            x.dtype is not torch.float32
            or not right_rank
            or x.shape[-1 - dims] != self.channels
            or x.layout is not torch.strided
        ):
            raise DataError(f"input of site {self.site!r} is {_text(x)}; the layer takes {self._wanted()}")
        if x.device != device:
            raise DataError(
                f"input of site {self.site!r}, shape {tuple(x.shape)}, is on {x.device} and the layer on {device}; "
                "move them to one device"
            )
        for size, least in zip(x.shape[rank - dims :], self.least, strict=True):
            if size < least:
                raise DataError(
                    f"input of site {self.site!r} is {_text(x)}; kernel and padding need at least {self.least} in the "
                    "last dimensions"
                )

    def _wanted(self) -> str:
        text = f"torch.float32 with {self.channels} channels in dimension {-1 - self.dims}"
        plural = "" if self.dims == 1 else "s"
        return f"{text}, {self.dims} spatial dimension{plural}, and a batch dimension or none" if self.dims else text


def check_weight(weight: Tensor, site: str) -> None:
    """Raise unless codes can stand for all values of a weight; a model that is traced is not looked at.

    Raises:
        DataError: it is not float32, or holds NaN or infinite values; names the site.
    """
    if weight.dtype is not torch.float32:
        raise DataError(
            f"weight of site {site!r} is {weight.dtype}; codes stand for torch.float32, so convert the model: .float()"
        )
    if not observed() and not bool(torch.isfinite(weight).all()):
        raise DataError(
            f"weight of site {site!r}, shape {tuple(weight.shape)}, holds NaN or infinite values, which no code stands "
            "for; check how it was trained or loaded"
        )


def refuse_tracing(x: Tensor, site: str) -> None:
    """Raise where something is asked of an emulated operation that would silently give wrong results.

    Raises:
        PlanError: the model is traced by `torch.jit`, or a tangent comes with `x`; names the site.
    """
    if torch.jit.is_tracing():
        raise PlanError(
            f"site {site!r} cannot be traced by torch.jit, which would record its present output; use torch.export or "
            "torch.compile"
        )
    if _forward_mode() and torch.autograd.forward_ad.unpack_dual(x).tangent is not None:
        raise PlanError(f"site {site!r} has no forward-mode derivatives; use backward gradients")


def _forward_mode() -> bool:
    return not torch.compiler.is_compiling() and torch.autograd.forward_ad._current_level >= 0


def vector(values: Tensor, outputs: int, what: str, site: str) -> Tensor:
    """A number per output as kernels read it: dense float32.

    Raises:
        DataError: it has another dtype or shape; names the site.
    """
    if values.dtype is not torch.float32 or values.shape != (outputs,):
        wanted = f"torch.float32 of shape ({outputs},)"
        raise DataError(f"{what} of site {site!r} is {_text(values)}; the layer takes {wanted}")
    return values.contiguous()


def check_factors(left: Tensor, right: Tensor, site: str) -> None:
    """Raise unless the product of two activations can be computed.

    Raises:
        DataError: dtypes, shapes or devices do not fit; names the site and both.
    """
    for factor in (left, right):
        if not isinstance(factor, Tensor):
            raise DataError(
                f"a factor of site {site!r} is a {type(factor).__name__}; it takes two torch.float32 tensors"
            )
    ranks = left.dim(), right.dim()
    fits = (
        left.dtype is torch.float32
        and right.dtype is torch.float32
        and min(ranks) > 0
        and left.shape[-1] == right.shape[-2 if ranks[1] > 1 else 0]
        and _broadcast(left.shape[:-2], right.shape[:-2])
    )
    if not fits:
        raise DataError(
            f"site {site!r} multiplies torch.float32 (..., M, K) by (..., K, N) with fitting leading dimensions, not "
            f"{_text(left)} by {_text(right)}"
        )
    if left.device != right.device:
        raise DataError(
            f"factors of site {site!r}, shapes {tuple(left.shape)} and {tuple(right.shape)}, are on {left.device} and "
            f"{right.device}; move them to one device"
        )


def _broadcast(left: torch.Size, right: torch.Size) -> bool:
    return all(a == 1 or b in (1, a) for a, b in zip(reversed(left), reversed(right), strict=False))


def _text(x: Tensor) -> str:
    layout = "" if x.layout is torch.strided else f"{x.layout} "
    return f"{layout}{x.dtype} of shape {tuple(x.shape)}"
