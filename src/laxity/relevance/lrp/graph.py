"""A network as a graph of tensor functions, run node by node so that every value can be looked at."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from laxity.core.errors import TaskError

_SHOWN = 300


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A network exported for one shape of input.

    Attributes:
        nodes: in order of execution.
        constants: values of the nodes that hold parameters, buffers and constants, by name.
        input: the node of the network's input.
        output: the node of its logits.
        active: names of the nodes whose value depends on the input.
    """

    nodes: tuple[fx.Node, ...]
    constants: dict[str, Any]
    input: fx.Node
    output: fx.Node
    active: frozenset[str]

    @torch.no_grad()
    def run(self, inputs: Tensor) -> dict[str, Any]:
        """Values of all nodes, by name.

        Args:
            inputs: of the shape that the network was exported with.
        """
        values: dict[str, Any] = {**self.constants, self.input.name: inputs}
        for node in self.nodes:
            if node.op == "call_function":
                args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: values[n.name])
                values[node.name] = node.target(*args, **kwargs)  # type: ignore[operator]
        return values


def export(model: nn.Module, inputs: Tensor) -> Graph:
    """Export a network in eval mode; what it does in place becomes functions without side effects.

    Args:
        model: takes one tensor and returns one.
        inputs: (n, ...), the only shape that the graph can be run with.

    Raises:
        TaskError: it cannot be exported, for example because its course depends on the data.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch warns of what its own copies of graphs contain
            program = torch.export.export(model, (inputs,)).run_decompositions({})
    except Exception as error:  # torch.export fails in many ways, also by the user's own code
        said = str(error).strip().partition("\n")[0][:_SHOWN].rstrip(".")
        what = f"{type(error).__name__}: {said}"
        raise TaskError(
            f"layer-wise relevance needs the network as a graph, and torch.export fails: {what}; "
            "use a criterion that needs none, such as 'taylor'"
        ) from error
    signature, nodes = program.graph_signature, tuple(program.graph.nodes)
    stored = {**program.state_dict, **program.constants}
    names = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    constants = {node: stored[name] for node, name in names.items()}
    given = [n for n in nodes if n.op == "placeholder" and n.name in signature.user_inputs]
    results = [n for n in nodes if n.name in signature.user_outputs]
    if len(given) != 1 or len(results) != 1 or results[0] is given[0]:
        raise TaskError(
            "layer-wise relevance needs a network that maps one tensor to logits; use the criterion 'taylor'"
        )
    active = {given[0].name}
    for node in nodes:
        if any(source.name in active for source in node.all_input_nodes):
            active.add(node.name)
    return Graph(nodes, constants, given[0], results[0], frozenset(active))


def site_nodes(graph: Graph, layers: Collection[str], functions: Mapping[str, Any]) -> dict[str, list[fx.Node]]:
    """The nodes that compute the outputs of sites, one per call.

    Args:
        graph: of a network.
        layers: module paths.
        functions: names of the functions that layers are computed by.
    """
    found: dict[str, list[fx.Node]] = {name: [] for name in layers}
    for node in graph.nodes:
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        owner = re.sub(r"@\d+", "", stack[-1][0]) if stack else ""
        if owner in found and function_name(node) in functions:
            found[owner].append(node)
    return found


def function_name(node: fx.Node) -> str:
    """Name of the function of a node without namespace and overload, such as ``"conv2d"``; empty for other nodes."""
    if node.op != "call_function":
        return ""
    packet = getattr(node.target, "overloadpacket", None)
    name: str = getattr(packet, "__name__", "") or getattr(node.target, "__name__", str(node.target))
    return name


def place(node: fx.Node) -> str:
    """Where a node is, for messages: its name, function and module."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    owner = stack[-1][0] if stack else ""
    return f"node {node.name!r} (function {function_name(node)!r}" + (f" in module {owner!r})" if owner else ")")
