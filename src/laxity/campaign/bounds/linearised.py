"""A network around a pass without faults: derivatives, and how far bounded changes can spread."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from laxity.campaign.bounds.activations import Activation, activation_of
from laxity.campaign.bounds.spread import LARGEST, Spread, largest_residual, spread_through
from laxity.core.errors import TaskError
from laxity.relevance.lrp import Graph, export
from laxity.relevance.lrp.graph import function_name, place, site_nodes
from laxity.relevance.lrp.weighted import LAYERS


@dataclass(frozen=True, slots=True, eq=False)
class Forced:
    """Changes that begin at a node.

    Attributes:
        error: bound on the absolute change of each element of its value, float64.
        where: of which elements; the others change by what reaches them. None for all.
        single_channel: only one index of dimension 1 changes, whichever it is.
    """

    error: Tensor
    where: Tensor | None = None
    single_channel: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """How far bounded changes reach.

    Attributes:
        errors: bound on the absolute change of every logit, float64 (n, classes).
        residuals: what activations and maxima can add to the linear change, by name of node, in the shape of its value.
    """

    errors: Tensor
    residuals: Mapping[str, Spread]


class Linearised:
    """A network in double precision around the pass of some inputs.

    Args:
        model: in evaluation mode, in floating point; it is copied.
        inputs: float32 (n, ...).

    Raises:
        TaskError: it cannot be exported, or has a part for which no bound is known, which is named.
    """

    def __init__(self, model: nn.Module, inputs: Tensor) -> None:
        own = copy.deepcopy(model).to(torch.float64)
        for parameter in own.parameters():
            parameter.requires_grad_(False)
        self.graph: Graph = export(own, inputs.to(torch.float64))
        self.bend: dict[str, Activation | None] = {}
        for node in self.graph.nodes:
            if node.name in self.graph.active and node.op == "call_function":
                found = activation_of(node)
                if found is not None or function_name(node) in LARGEST:
                    self.bend[node.name] = found
        self.values: dict[str, Any] = {}
        self.logits = torch.empty(0)
        self.look_at(inputs)

    def look_at(self, inputs: Tensor) -> None:
        """Take other inputs, of the shape that the network was built with."""
        with torch.enable_grad():
            x = inputs.to(torch.float64).requires_grad_()
            values: dict[str, Any] = {**self.graph.constants, self.graph.input.name: x}
            for node in self.graph.nodes:
                if node.op == "call_function":
                    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: values[n.name])
                    values[node.name] = node.target(*args, **kwargs)  # type: ignore[operator]
        self.values = values
        self.logits = values[self.graph.output.name].detach()
        self._slopes: dict[str, Tensor] = {}

    def layer_node(self, name: str) -> fx.Node:
        """The node that computes a layer.

        Raises:
            TaskError: the layer does not run exactly once.
        """
        found = site_nodes(self.graph, [name], LAYERS)[name]
        if len(found) != 1:
            raise TaskError(f"layer {name!r} runs {len(found)} times; bounds need layers that run once")
        return found[0]

    @torch.enable_grad()
    def derivatives(self, objective: Tensor, names: Sequence[str]) -> list[Tensor]:
        """Derivatives of a sum of per-sample numbers with respect to the values of nodes."""
        wanted = [self.values[name] for name in names]
        if not wanted:
            return []
        found = torch.autograd.grad(objective.sum(), wanted, retain_graph=True, allow_unused=True)
        return [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found, strict=True)]

    @property
    def outputs(self) -> Tensor:
        """Logits to derive, float64 (n, classes)."""
        logits: Tensor = self.values[self.graph.output.name]
        return logits

    @torch.no_grad()
    def reach(self, forced: Mapping[str, Forced]) -> Reach:
        """Spread bounded changes of the values of some nodes through everything after them.

        Args:
            forced: by name of node.

        Raises:
            TaskError: a node has no rule.
        """
        errors: dict[str, Spread] = {}
        residuals: dict[str, Spread] = {}
        for node in self.graph.nodes:
            if node.op == "call_function" and any(n.name in errors for n in node.all_input_nodes):
                if node.name in self.bend:
                    errors[node.name], residuals[node.name] = self._bent(node, errors)
                else:
                    found = spread_through(node, self.values, errors)
                    if found is None:
                        raise TaskError(f"no bound is known for {place(node)}")
                    errors[node.name] = found
            if node.name in forced:
                errors[node.name] = _begun(forced[node.name], errors.get(node.name))
        logits = errors.get(self.graph.output.name)
        return Reach(torch.zeros_like(self.logits) if logits is None else logits.error, residuals)

    def _bent(self, node: fx.Node, errors: Mapping[str, Spread]) -> tuple[Spread, Spread]:
        source = node.args[0]
        assert isinstance(source, fx.Node)  # activations have one operand
        given, values = errors[source.name], self.values[source.name].detach()
        activation = self.bend[node.name]
        if activation is None:
            residual, error = largest_residual(node, values, given.error)
        else:
            residual = activation.residual(values, given.error)
            error = activation.spread(self._slope(node, values), given.error, residual)
        return Spread(error, given.single_channel), Spread(residual, given.single_channel)

    def _slope(self, node: fx.Node, values: Tensor) -> Tensor:
        """Derivative of an activation where the pass without faults has it."""
        if node.name not in self._slopes:
            with torch.enable_grad():
                leaf = values.clone().requires_grad_()
                result = node.target(leaf, *node.args[1:], **node.kwargs)  # type: ignore[operator]
                self._slopes[node.name] = torch.autograd.grad(result.sum(), leaf)[0]
        return self._slopes[node.name]


def _begun(forced: Forced, arrived: Spread | None) -> Spread:
    if forced.where is None:
        return Spread(forced.error, forced.single_channel)
    others = torch.zeros_like(forced.error) if arrived is None else arrived.error
    return Spread(torch.where(forced.where, forced.error, others))
