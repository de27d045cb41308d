"""One pass through an approximated model: which emulated layers and functions make which values from which.

A pass over real inputs sees modules and functional calls alike and follows any Python control flow. Values are told
apart by the identity of their tensors, and ranges are those of the inputs that are passed through.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from laxity.core.errors import DataError, PlanError
from laxity.emulate.integer.operations import Arguments, Limits, Operation, UnsupportedError, read_call
from laxity.emulate.slots import Slots
from laxity.sites.audit import tensors_in
from laxity.sites.trace import ModuleStack, call_name

CHUNK = 16
"""Samples that pass through the model at once."""

_LOOKS = frozenset({"item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__"})


@dataclass(slots=True)
class Value:
    """A tensor of the pass.

    Attributes:
        shape: without the batch.
        low, high: least and greatest value seen.
    """

    shape: tuple[int, ...]
    low: float
    high: float


@dataclass(slots=True)
class Node:
    """What makes one value.

    Attributes:
        name: of the site, or of the call as in names of sites.
        kind: ``input|product|unsupported``, or the kind of an `Operation`.
        inputs: indices of the values it reads.
        output: index of the value it makes.
        layer: the emulated layer of a product.
        operation: the call of every other kind that is supported.
        limits: values are clamped to them.
        reason: why it is not supported.
    """

    name: str
    kind: str
    inputs: list[int]
    output: int
    layer: Slots | None = None
    operation: Operation | None = None
    limits: Limits = (-math.inf, math.inf)
    reason: str = ""


@dataclass(slots=True)
class Graph:
    """A traced model.

    Attributes:
        values: by index; the input is number 0.
        nodes: in order of execution, node i making value i.
        output: index of the value that the model returns.
    """

    values: list[Value]
    nodes: list[Node]
    output: int


class _Recorder(TorchFunctionMode):
    """Collects nodes and values; what runs inside of emulated layers does not count."""

    def __init__(self, stack: ModuleStack, x: Tensor) -> None:
        super().__init__()
        self.values: list[Value] = []
        self.nodes: list[Node] = []
        self._stack = stack
        self._known: dict[int, tuple[int, Tensor, int]] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._names: Counter[str] = Counter()
        self.add(Node("input", "input", [], 0), x)

    def add(self, node: Node, output: Tensor) -> None:
        """Remember a node and the value that it makes."""
        node.output = len(self.values)
        finite = output.numel() and output.is_floating_point()
        low, high = (float(output.min()), float(output.max())) if finite else (0.0, 0.0)
        self.values.append(Value(tuple(output.shape[1:]), low, high))
        self.nodes.append(node)
        self._known[id(output)] = node.output, output, output._version

    def index(self, tensor: Tensor, reader: str) -> int | None:
        """Number of a tensor's value, or None for tensors that do not depend on the input."""
        found = self._known.get(id(tensor))
        if found is None:
            return None
        number, _, version = found
        if tensor._version != version:
            raise PlanError(f"{reader!r} reads a value that was changed in place; let the model make a new tensor")
        return number

    def leaf(self, layer: Slots, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """An emulated layer has run."""
        name = layer.site.name or "model"
        self._names[name] += 1
        if self._names[name] > 1:
            name = f"{name}#{self._names[name] - 1}"
        inputs = [self.index(t, name) for t in tensors_in([*args, *kwargs.values()])]
        known = [i for i in inputs if i is not None]
        if isinstance(output, Tensor) and known:
            reason = "" if len(known) == len(inputs) == 1 else "it multiplies two activations"
            self.add(Node(name, "unsupported" if reason else "product", known, 0, layer, reason=reason), output)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self._stack.inside(Slots):
            return func(*args, **kwargs)
        function, owner = str(getattr(func, "__name__", func)), self._stack.current
        given = tensors_in([*args, *kwargs.values()])
        name = call_name(owner, function, self._counts[owner, function])
        known = [i for i in (self.index(t, name) for t in given) if i is not None]
        output = func(*args, **kwargs)
        if not known:
            return output
        self._counts[owner, function] += 1
        if function in _LOOKS:
            raise PlanError(f"{name!r} looks at the contents of an activation, which integer codes do not have")
        self._call(name, function, Arguments(args, kwargs, output), known)
        return output

    def _call(self, name: str, function: str, call: Arguments, known: list[int]) -> None:
        outputs = tensors_in([call.output])
        if function == "__setitem__":
            outputs = [call.args[0]]
        node = Node(name, "unsupported", known, 0)
        if outputs:
            try:
                node.operation = read_call(function, call, len(known))
                node.kind, node.limits = node.operation.kind, node.operation.limits
            except UnsupportedError as error:
                node.kind, node.reason = "unsupported", str(error)
        for output in outputs:
            self.add(Node(name, node.kind, known, 0, None, node.operation, node.limits, node.reason), output)


@contextmanager
def _hooked(model: nn.Module, recorder: _Recorder) -> Iterator[None]:
    def after(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        assert isinstance(layer, Slots)  # only these are hooked
        recorder.leaf(layer, args, kwargs, output)

    handles = [m.register_forward_hook(after, with_kwargs=True) for m in model.modules() if isinstance(m, Slots)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def trace_model(model: nn.Module, example: Tensor) -> Graph:
    """Pass inputs through an approximated model and return what it consists of, with the ranges that were seen.

    Args:
        model: calibrated, in eval mode.
        example: float32 (n, ...), n at least 1.

    Raises:
        DataError: there is no input, or it is not float32.
        PlanError: the model returns something else than one tensor, or what it does depends on its input.
    """
    if not isinstance(example, Tensor) or example.dtype != torch.float32 or example.dim() < 2 or not len(example):
        raise DataError("integer models are made with an example of float32 inputs, (n, ...), n at least 1")
    graph: Graph | None = None
    for chunk in example.split(CHUNK):
        found = _trace(model, chunk)
        graph = found if graph is None else _joined(graph, found)
    assert graph is not None  # the example is not empty
    return graph


@torch.no_grad()
def _trace(model: nn.Module, x: Tensor) -> Graph:
    stack = ModuleStack(model)
    x = x.clone()
    recorder = _Recorder(stack, x)
    with stack.active(), _hooked(model, recorder), recorder:
        output = model(x)
    index = recorder.index(output, "the output") if isinstance(output, Tensor) else None
    if index is None:
        raise PlanError(f"the model returns a {type(output).__name__}, not one tensor computed from its input")
    return Graph(recorder.values, recorder.nodes, index)


def _joined(first: Graph, second: Graph) -> Graph:
    """The first graph with the ranges of both."""
    same = [(n.name, n.kind, n.inputs) for n in first.nodes] == [(n.name, n.kind, n.inputs) for n in second.nodes]
    shapes = [v.shape for v in first.values] == [v.shape for v in second.values]
    if not same or not shapes or first.output != second.output:
        raise PlanError("the model does different things for different inputs, which a program of integers cannot")
    for mine, other in zip(first.values, second.values, strict=True):
        mine.low, mine.high = min(mine.low, other.low), max(mine.high, other.high)
    return first
