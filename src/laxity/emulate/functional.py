"""Emulate operations that a forward method calls as functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Set
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.emulate.layer import EmulatedLayer, own
from laxity.emulate.slots import Slots
from laxity.sites.contraction import Multiply
from laxity.sites.trace import ModuleStack, call_name, lowering_of, operation


class _Redirect(TorchFunctionMode):
    """Sends the calls of chosen sites to their emulated counterparts.

    Args:
        stack: tells the running module.
        sites: emulated operations by name of the site.
        known: names of all calls, without parts, that were there when the sites were found.
    """

    def __init__(self, stack: ModuleStack, sites: Mapping[str, nn.Module], known: Set[str]) -> None:
        super().__init__()
        self._stack, self._sites, self._known = stack, sites, known
        self._chosen = {name.rpartition(".")[0] if _has_part(name) else name for name in sites}
        self._counts: Counter[tuple[str, str]] = Counter()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        kind, owner = operation(func), self._stack.current
        if kind is None or self._stack.inside(Slots):
            return func(*args, **kwargs)
        name = call_name(owner, kind, self._counts[owner, kind])
        self._counts[owner, kind] += 1
        if name not in self._chosen:
            self._check(name)
            return func(*args, **kwargs)
        with torch._C.DisableTorchFunction():
            emulated = self._sites.get(name)
            if isinstance(emulated, EmulatedLayer):
                with emulated.given(args[1] if len(args) > 1 else kwargs["weight"]):
                    return emulated(args[0] if args else kwargs["input"])
            lowering = lowering_of(func, kind)
            assert lowering is not None  # only functions with a lowering have sites that are products
            return lowering(lambda part: self._product(f"{name}.{part}" if part else name), args, kwargs)

    def _product(self, name: str) -> Multiply:
        return self._sites.get(name, torch.matmul)

    def _check(self, name: str) -> None:
        if name not in self._known:
            raise PlanError(
                f"call {name!r} did not run when the sites were found, so it would silently stay exact; find sites "
                "with an example for which the model makes the same calls, or move the repeated part into a module"
            )


def _has_part(name: str) -> bool:
    return "." in name.rpartition("#")[2]


class FunctionalModel(nn.Module):
    """A model some of whose functional calls are emulated.

    Args:
        inner: the model; its own modules are emulated or exact as they are.
        emulated: emulated operation per functional site name.
        known: names of all functional calls of the model, as `call_name` gives them without a part.
    """

    def __init__(self, inner: nn.Module, emulated: Mapping[str, nn.Module], known: Set[str]) -> None:
        super().__init__()
        self.inner = inner
        self.calls = nn.ModuleList(emulated.values())
        self._names, self._known = list(emulated), frozenset(known)

    @torch.compiler.disable
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the inner model with its chosen calls redirected, which torch.compile leaves as it is.

        Raises:
            PlanError: the model makes a call that it did not make when its sites were found.
        """
        stack = ModuleStack(self.inner)
        with stack.active(), _Redirect(stack, dict(zip(self._names, self.calls, strict=True)), self._known):
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
    layer.weight = own(weight)
    layer.bias = None if bias is None else own(bias)  # type: ignore[assignment]
    return EmulatedLayer(site, layer)
