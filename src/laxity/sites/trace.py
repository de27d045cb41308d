"""Record the tensor functions that a model calls, with the module that calls them.

One forward pass under a `TorchFunctionMode` sees modules and functional calls alike, follows any Python control flow,
and needs no symbolic tracing. An `Audit` below it sees the sums of products that no known function accounts for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from laxity.sites import attention as _attention
from laxity.sites.audit import Audit, tensors_in
from laxity.sites.contraction import Multiply, NotLowered
from laxity.sites.layers import plain_layer
from laxity.sites.lowering import COMPUTED_WEIGHTS, LOWERINGS, Lowering

KNOWN = (_attention,)
"""Modules whose import registers lowerings of functions beyond those of `laxity.sites.lowering`."""

_KINDS: dict[Any, str] = {
    torch.conv1d: "conv1d",
    torch.conv2d: "conv2d",
    torch.conv3d: "conv3d",
    F.conv1d: "conv1d",
    F.conv2d: "conv2d",
    F.conv3d: "conv3d",
    F.conv_transpose1d: "conv_transpose1d",
    F.conv_transpose2d: "conv_transpose2d",
    F.conv_transpose3d: "conv_transpose3d",
    torch.conv_transpose1d: "conv_transpose1d",
    torch.conv_transpose2d: "conv_transpose2d",
    torch.conv_transpose3d: "conv_transpose3d",
    F.linear: "linear",
    F.batch_norm: "batch_norm",
    torch.batch_norm: "batch_norm",
}
LAYERS = frozenset(_KINDS.values()) - {"batch_norm"}
"""Functions that multiply their input by a weight."""


def operation(function: Callable[..., Any]) -> str | None:
    """Name of a torch function that multiplies or normalises, None for every other function."""
    try:
        lowering = LOWERINGS.get(function)
        return _KINDS.get(function) if lowering is None else lowering.name
    except TypeError:
        return None


def lowering_of(function: Callable[..., Any], name: str | None) -> Lowering | None:
    """The products that a function of this name consists of, weights of layers being operands like any others."""
    return None if name is None else COMPUTED_WEIGHTS.get(name) or LOWERINGS.get(function)


@dataclass(slots=True)
class Call:
    """One recorded call, or one product that a call consists of.

    Attributes:
        kind: ``conv1d|...|linear|matmul|batch_norm``; ``"opaque"`` for what accumulates products and cannot be
            emulated; ``"other"`` for functions that matter only as consumers of a tensor.
        owner: path of the innermost module whose forward made the call.
        ordinal: how many calls of this function the owner had made before in this pass.
        args, kwargs, output: the call itself; tensors are kept alive so that identity means sameness.
        function: name of the function in names of sites.
        part: which product of the call, empty where there is one.
        reason: why an opaque call cannot be emulated.
    """

    kind: str
    owner: str
    ordinal: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any
    function: str = ""
    part: str = ""
    reason: str = ""

    @property
    def name(self) -> str:
        """``path:function#i``, with ``.part`` where the call consists of several products."""
        return call_name(self.owner, self.function, self.ordinal, self.part)


def argument(call: Call, position: int, name: str, default: Any = None) -> Any:
    """Positional or keyword argument of a call."""
    return call.args[position] if len(call.args) > position else call.kwargs.get(name, default)


def call_name(owner: str, function: str, ordinal: int, part: str = "") -> str:
    """Name of the site of a functional call."""
    return f"{owner}:{function}#{ordinal}" + (f".{part}" if part else "")


class ModuleStack:
    """Knows which module's forward is running, through hooks on every module."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._stack: list[nn.Module] = []
        self._names = {id(m): n for n, m in model.named_modules()}

    @property
    def current(self) -> str:
        """Path of the innermost running module; empty for the model itself."""
        return self._names[id(self._stack[-1])] if self._stack else ""

    def inside(self, kind: type[nn.Module]) -> bool:
        """Whether the innermost running module is of a type."""
        return bool(self._stack) and isinstance(self._stack[-1], kind)

    @contextmanager
    def active(self) -> Iterator[ModuleStack]:
        """Install the hooks for the duration of the block."""
        handles = []
        for module in self._model.modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue  # takes no hooks; what it runs counts for the module around it
            handles.append(module.register_forward_pre_hook(self._enter))
            handles.append(module.register_forward_hook(self._leave, always_call=True))
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()
            self._stack.clear()

    def _enter(self, module: nn.Module, _: Any) -> None:
        self._stack.append(module)

    def _leave(self, _module: nn.Module, _args: Any, _output: Any) -> None:
        if self._stack:
            self._stack.pop()


class _Recorder(TorchFunctionMode):
    def __init__(self, model: nn.Module, stack: ModuleStack, audit: Audit) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self._stack, self._audit = stack, audit
        self._modules, self._stored = dict(model.named_modules()), _stored(model)
        self._counts: Counter[tuple[str, str]] = Counter()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        self.flush()
        output = func(*args, **kwargs)
        seen, owner = self._audit.take(), self._stack.current
        name = operation(func)
        function: str = name or str(getattr(func, "__name__", func)).partition(".")[0]
        ordinal = self._counts[owner, function]
        self._counts[owner, function] += 1
        call = Call("other", owner, ordinal, args, kwargs, output, function)
        lowering = lowering_of(func, name)
        if name in LAYERS and self._stores(owner, argument(call, 1, "weight")):
            call.kind = name
        elif lowering is not None:
            self._lower(call, lowering)
        elif name in LAYERS:
            call.kind, call.reason = "opaque", "its weight is computed on the fly"
        elif name is not None:
            call.kind = name
        elif seen:
            call.kind, call.reason = "opaque", f"it runs {seen[0][1]}"
        self.calls.append(call)
        return output

    def _stores(self, owner: str, weight: Any) -> bool:
        """Whether a layer multiplies by a weight of the model, not by one that is computed on the fly."""
        return plain_layer(self._modules.get(owner)) or id(weight) in self._stored

    def flush(self) -> None:
        """Record what ran outside of any function that torch lets us see."""
        for owner, operator in self._audit.take():
            function = operator.rpartition("::")[2]
            ordinal = self._counts[owner, function]
            self._counts[owner, function] += 1
            self.calls.append(Call("opaque", owner, ordinal, (), {}, None, function, "", f"it runs {operator}"))

    def _lower(self, call: Call, lowering: Lowering) -> None:
        """Record the products of a call, or turn it into an opaque one."""
        tensors = tensors_in([*call.args, *call.kwargs.values()])
        if not any(t.is_floating_point() or t.is_complex() for t in tensors):
            return
        if any(t.is_complex() or t.layout != torch.strided or t.is_nested for t in tensors):
            call.kind, call.reason = "opaque", "its operands are complex, sparse or nested"
            return
        products: list[Call] = []

        def parts(part: str) -> Multiply:
            def multiply(left: Tensor, right: Tensor) -> Tensor:
                result = torch.matmul(left, right)
                products.append(
                    Call("matmul", call.owner, call.ordinal, (left, right), {}, result, call.function, part)
                )
                return result

            return multiply

        try:
            lowering.run(parts, *call.args, **{k: v for k, v in call.kwargs.items() if k != "out"})
        except NotLowered as error:
            call.kind, call.reason = "opaque", f"it is {error}"
        else:
            self.calls.extend(products)
        finally:
            self._audit.take()


def _stored(model: nn.Module) -> set[int]:
    """Identities of all parameters and buffers."""
    return {id(t) for t in (*model.parameters(), *model.buffers())}


def record(model: nn.Module, example_input: Tensor) -> list[Call]:
    """Run the model once without gradients and return every tensor function it called, in order.

    The last call stands for whoever receives the model's output.
    """
    stack = ModuleStack(model)
    audit = Audit(lambda: stack.current)
    recorder = _Recorder(model, stack, audit)
    with torch.no_grad(), stack.active(), audit, recorder:
        output = model(example_input.clone())
        recorder.flush()
    return [*recorder.calls, Call("other", "", len(recorder.calls), (output,), {}, None)]
