"""One step of the walk back through the graph, and the registry of rules that take it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from laxity.core.errors import TaskError
from laxity.relevance.lrp.graph import function_name, place
from laxity.relevance.lrp.method import Flow, Method


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A node through which relevance is to go.

    Attributes:
        node: a call of a function.
        values: of all nodes that it uses, and its own.
        active: names of the nodes that depend on the network's input.
        relevance: of its outputs; zeros where an output has none.
    """

    node: fx.Node
    values: dict[str, Any]
    active: frozenset[str]
    relevance: list[Tensor]

    @property
    def function(self) -> str:
        """Name of its function, see `function_name`."""
        return function_name(self.node)

    @property
    def sources(self) -> list[fx.Node]:
        """The nodes that give its activations, as often as they occur, in order."""
        found: list[fx.Node] = []
        fx.map_arg((self.node.args, self.node.kwargs), lambda n: found.append(n) if n.name in self.active else None)
        return found

    @property
    def inputs(self) -> list[Tensor]:
        """Its activations, in the order of `sources`."""
        return [self.values[source.name] for source in self.sources]

    @property
    def output(self) -> Tensor:
        """Its first output."""
        value = self.values[self.node.name]
        return value if isinstance(value, Tensor) else value[0]

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments of the call, as values."""
        args, kwargs = fx.map_arg((self.node.args, self.node.kwargs), lambda n: self.values[n.name])
        return list(args), dict(kwargs)

    def call(self, *inputs: Tensor) -> list[Tensor]:
        """All outputs for other activations than those of the pass."""
        given = iter(inputs)

        def value(node: fx.Node) -> Any:
            return next(given) if node.name in self.active else self.values[node.name]

        args, kwargs = fx.map_arg((self.node.args, self.node.kwargs), value)
        result = self.node.target(*args, **kwargs)  # type: ignore[operator]
        return [result] if isinstance(result, Tensor) else list(result)

    def refuse(self, reason: str) -> TaskError:
        """An error that names the node, says why relevance cannot pass it, and what to do."""
        return TaskError(
            f"layer-wise relevance cannot go through {place(self.node)}, {reason}; use a criterion that needs only "
            "derivatives, such as 'taylor'"
        )


Rule = Callable[[Step, Method], Flow]
"""Takes relevance from a node's outputs to its activations, in the order of `Step.sources`."""

RULES: dict[str, Rule] = {}
"""Rules by the names of functions, without namespace and overload."""


def rule(*functions: str) -> Callable[[Rule], Rule]:
    """Register the decorated rule for functions of torch."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(functions, function))
        return function

    return register


def pulled(function: Callable[..., Sequence[Tensor]], inputs: Sequence[Tensor], back: Sequence[Tensor]) -> list[Tensor]:
    """Transposed derivative of a function at `inputs`, applied to one tensor per output."""
    leaves = [x.detach().requires_grad_() for x in inputs]
    with torch.enable_grad():
        outputs = function(*leaves)
    felt = [(out, b) for out, b in zip(outputs, back, strict=True) if out.requires_grad]
    if not felt:
        return [torch.zeros_like(x) for x in leaves]
    found = torch.autograd.grad([out for out, _ in felt], leaves, [b for _, b in felt], allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found, strict=True)]
