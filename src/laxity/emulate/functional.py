"""Emulate operations that a forward method calls as functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from laxity.core.op import Site
from laxity.emulate.layer import EmulatedLayer
from laxity.emulate.product import EmulatedProduct
from laxity.sites.trace import ModuleStack, factors, operation


class _Redirect(TorchFunctionMode):
    """Sends the calls of chosen sites to their emulated counterparts."""

    def __init__(self, stack: ModuleStack, sites: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self._stack, self._sites = stack, sites
        self._counts: dict[tuple[str, str], int] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        kind = operation(func)
        if kind is None:
            return func(*args, **kwargs)
        owner = self._stack.current
        ordinal = self._counts.get((owner, kind), 0)
        self._counts[owner, kind] = ordinal + 1
        emulated = self._sites.get(f"{owner}:{kind}#{ordinal}")
        if emulated is None:
            return func(*args, **kwargs)
        with torch._C.DisableTorchFunction():
            return _call(emulated, func, args, kwargs)


def _call(emulated: nn.Module, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    product = isinstance(emulated, EmulatedProduct)
    inputs = factors(args, kwargs) if product else (args[0] if args else kwargs["input"],)
    result: Tensor = emulated(*inputs)
    return result


class FunctionalModel(nn.Module):
    """A model some of whose functional calls are emulated.

    Args:
        inner: the model; its own modules are emulated or exact as they are.
        emulated: emulated operation per functional site name.
    """

    def __init__(self, inner: nn.Module, emulated: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.inner = inner
        self.calls = nn.ModuleList(emulated.values())
        self._names = list(emulated)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the inner model with its chosen calls redirected."""
        stack = ModuleStack(self.inner)
        with stack.active(), _Redirect(stack, dict(zip(self._names, self.calls, strict=True))):
            return self.inner(*args, **kwargs)


def emulated_call(site: Site, weight: Tensor, bias: Tensor | None, arguments: Mapping[str, Any]) -> EmulatedLayer:
    """An emulated layer for a functional convolution or linear call.

    Args:
        site: the functional site.
        weight: as passed to the function.
        bias: as passed to the function.
        arguments: stride, padding, dilation, groups, output_padding as passed.
    """
    kind = site.op.kind
    if kind == "linear":
        layer: nn.Module = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    else:
        dims = int(kind[-2])
        transposed = kind.startswith("conv_transpose")
        family: tuple[type[nn.Module], ...] = (
            (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
            if transposed
            else (nn.Conv1d, nn.Conv2d, nn.Conv3d)
        )
        groups = int(arguments.get("groups", 1))
        inputs = weight.shape[0] if transposed else weight.shape[1] * groups
        outputs = weight.shape[1] * groups if transposed else weight.shape[0]
        options = {k: v for k, v in arguments.items() if k != "groups"}
        layer = family[dims - 1](
            inputs, outputs, tuple(weight.shape[2:]), groups=groups, bias=bias is not None, **options
        )
    with torch.no_grad():
        layer.weight.copy_(weight)  # type: ignore[operator]
        if bias is not None:
            layer.bias.copy_(bias)  # type: ignore[operator]
    layer = layer.to(weight.device)
    return EmulatedLayer(site, layer)
