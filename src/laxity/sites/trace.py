"""Record the tensor functions that a model calls, with the module that calls them.

One forward pass under a `TorchFunctionMode` sees modules and functional calls alike, follows any Python control flow,
and needs no symbolic tracing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

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
    torch.matmul: "matmul",
    torch.bmm: "matmul",
    torch.mm: "matmul",
    Tensor.matmul: "matmul",
    Tensor.bmm: "matmul",
    Tensor.mm: "matmul",
    Tensor.__matmul__: "matmul",
    F.batch_norm: "batch_norm",
    torch.batch_norm: "batch_norm",
    F.scaled_dot_product_attention: "attention",
}


def operation(function: Callable[..., Any]) -> str | None:
    """Name of the kind of a torch function that multiplies or normalises, None for every other function."""
    try:
        return _KINDS.get(function)
    except TypeError:
        return None


@dataclass(slots=True)
class Call:
    """One recorded call.

    Attributes:
        kind: see `operation`; ``"other"`` for functions that matter only as consumers of a tensor.
        owner: path of the innermost module whose forward made the call.
        ordinal: how many calls of this kind the owner had made before in this pass.
        args, kwargs, output: the call itself; tensors are kept alive so that identity means sameness.
    """

    kind: str
    owner: str
    ordinal: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any


class ModuleStack:
    """Knows which module's forward is running, through hooks on every module."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._stack: list[str] = []
        self._names = {id(m): n for n, m in model.named_modules()}

    @property
    def current(self) -> str:
        """Path of the innermost running module; empty for the model itself."""
        return self._stack[-1] if self._stack else ""

    @contextmanager
    def active(self) -> Iterator[ModuleStack]:
        """Install the hooks for the duration of the block."""
        handles = []
        for module in self._model.modules():
            handles.append(module.register_forward_pre_hook(self._enter))
            handles.append(module.register_forward_hook(self._leave, always_call=True))
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()
            self._stack.clear()

    def _enter(self, module: nn.Module, _: Any) -> None:
        self._stack.append(self._names[id(module)])

    def _leave(self, _module: nn.Module, _args: Any, _output: Any) -> None:
        if self._stack:
            self._stack.pop()


class _Recorder(TorchFunctionMode):
    def __init__(self, stack: ModuleStack) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self._stack = stack
        self._counts: dict[tuple[str, str], int] = {}
        self._depth = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        kind = operation(func) or "other"
        owner = self._stack.current
        ordinal = self._counts.get((owner, kind), 0)
        self._counts[owner, kind] = ordinal + 1
        self.calls.append(Call(kind, owner, ordinal, args, kwargs, output))
        return output


def record(model: nn.Module, example_input: Tensor) -> list[Call]:
    """Run the model once without gradients and return every tensor function it called, in order.

    The last call stands for whoever receives the model's output.
    """
    stack = ModuleStack(model)
    recorder = _Recorder(stack)
    with torch.no_grad(), stack.active(), recorder:
        output = model(example_input.clone())
    return [*recorder.calls, Call("other", "", len(recorder.calls), (output,), {}, None)]


def factors(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Left and right operand of a matrix product, however they were passed."""
    left = args[0] if args else kwargs["input"]
    return left, args[1] if len(args) > 1 else kwargs["other"] if "other" in kwargs else kwargs["mat2"]
