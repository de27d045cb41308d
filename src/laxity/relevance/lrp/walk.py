"""The walk back through the graph, from the logits to the input."""

from __future__ import annotations

import operator
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from laxity.relevance.lrp import activations as _activations
from laxity.relevance.lrp import routing as _routing
from laxity.relevance.lrp import sums as _sums
from laxity.relevance.lrp import weighted as _weighted
from laxity.relevance.lrp.graph import Graph, function_name
from laxity.relevance.lrp.method import Method
from laxity.relevance.lrp.step import RULES, Step

BUILT_IN = (_activations, _routing, _sums, _weighted)
"""Modules whose import registers the rules."""


@dataclass(frozen=True, slots=True, eq=False)
class Propagation:
    """What a walk has found.

    Attributes:
        relevance: of the values of nodes, in their shapes, by name of node.
        absorbed: what biases, constants and stabilisers have taken at each node where it is not 0.
    """

    relevance: dict[str, Tensor]
    absorbed: dict[str, float]


@torch.no_grad()
def propagate(
    graph: Graph, values: dict[str, Any], start: Tensor, method: Method, keep: Collection[str] | None = None
) -> Propagation:
    """Take relevance from the logits to the input.

    Args:
        graph: of a network.
        values: what ``graph.run`` found.
        start: relevance of the logits, in their shape.
        method: how it is divided.
        keep: names of the nodes whose relevance is wanted; None for all that have one tensor as value.

    Raises:
        TaskError: there is no rule for a node; names it.
    """
    pending: dict[str, dict[int, Tensor]] = {graph.output.name: {0: start}}
    relevance, absorbed = {}, {}
    for node in reversed(graph.nodes):
        arrived = pending.pop(node.name, None)
        if arrived is None:
            continue
        if isinstance(values[node.name], Tensor) and (keep is None or node.name in keep):
            relevance[node.name] = arrived[0]
        if node is graph.input:
            continue
        if node.target is operator.getitem:
            source, index = node.args
            _arrive(pending, source, arrived[0], index)  # type: ignore[arg-type]
            continue
        step = Step(node, values, graph.active, _all_outputs(values[node.name], arrived))
        found = RULES.get(function_name(node))
        if found is None:
            raise step.refuse("for which it has no rule")
        flows, lost = found(step, method)
        if lost:
            absorbed[node.name] = lost
        for source, flow in zip(step.sources, flows, strict=True):
            _arrive(pending, source, flow)
    return Propagation(relevance, absorbed)


def _arrive(pending: dict[str, dict[int, Tensor]], node: fx.Node, flow: Tensor, index: int = 0) -> None:
    outputs = pending.setdefault(node.name, {})
    outputs[index] = outputs[index] + flow if index in outputs else flow


def _all_outputs(value: Any, arrived: dict[int, Tensor]) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [arrived[0]]
    return [arrived[i] if i in arrived else torch.zeros_like(output) for i, output in enumerate(value)]
