"""Networks of layers, one after the other, some of whose neurons fail."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from laxity.campaign.bounds.activations import Activation, activation_of
from laxity.campaign.bounds.linearised import Forced, Linearised
from laxity.campaign.bounds.printed import LayerFacts, forward_error
from laxity.campaign.scores.slopes import unfolded
from laxity.core.errors import ConfigError, TaskError
from laxity.relevance.lrp.graph import function_name, place

_LAYERS = ("linear", "conv1d", "conv2d", "conv3d")
_KEEP = ("view", "_unsafe_view", "reshape", "flatten", "squeeze", "unsqueeze", "permute", "transpose", "contiguous",
         "clone", "alias", "detach", "dropout")  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """A layer, and the activation after it; None after the last one.

    Attributes:
        node: of the layer.
        weight: float64.
        activation: None for the output layer.
        neurons: name of the node of the activation.
    """

    node: fx.Node
    weight: Tensor
    activation: Activation | None = None
    neurons: str = ""


class FeedForward:
    """Bounds on what failing neurons do to the outputs of a network of layers and elementwise activations in turn.

    A neuron is a value that an activation gives. A crashed neuron sends 0, a Byzantine one anything that the synapses
    transmit.

    Args:
        model: in evaluation mode, in floating point; it is copied.
        example: float32 (n, ...), the inputs that `interval` speaks of.

    Raises:
        TaskError: the network is none of linear or convolutional layers and known activations in turn.
    """

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        self.network = Linearised(model, example)
        self._layers = _chain(self.network)
        self._hidden = self._layers[:-1]

    @property
    def neurons(self) -> tuple[int, ...]:
        """How many neurons each hidden layer has."""
        return tuple(math.prod(self.values(number).shape[1:]) for number in range(len(self._hidden)))

    def values(self, layer: int) -> Tensor:
        """What the neurons of a hidden layer send without failures, float64 (n, ...)."""
        found: Tensor = self.network.values[self._hidden[layer].neurons]
        return found.detach()

    def printed(self, failing: Sequence[int], transmitted: float | None = None) -> float:
        """The bound as printed: any so many neurons of each hidden layer, any input, any output.

        Args:
            failing: how many neurons of each hidden layer fail.
            transmitted: None for crashes; else the largest absolute value that a Byzantine neuron can send.

        Raises:
            ConfigError: not one number per hidden layer, or more than a layer has.
            TaskError: activations are not bounded.

        Source: see `forward_error`.
        """
        self._check(failing)
        capacities = self._capacities(transmitted)
        facts = [
            LayerFacts(count, f, float(layer.weight.abs().max()))
            for count, f, layer in zip(self.neurons, failing, self._hidden, strict=True)
        ]
        steepest = max(_known(layer).lipschitz for layer in self._hidden)
        return forward_error(facts, float(self._layers[-1].weight.abs().max()), max(capacities), steepest)

    @torch.no_grad()
    def matrix(self, failing: Sequence[int | Tensor], transmitted: float | None = None) -> Tensor:
        """The sharper recursion ``e_l = min(K (|W_l| e_(l-1) + s_l), span)``; any neurons or known ones, any input.

        Instead of the largest weight, every neuron counts its own ones: ``s`` is the sum of its f largest
        ``|w_i| (C - e_i)``, f being the failing neurons of the layer before, each of which sends something that is
        wrong by C instead of e_i; an activation changes by no more than its span. For neurons that are known to fail,
        e_i is C, and s is 0.

        Args:
            failing: per hidden layer how many of its neurons fail, or a mask of those that do, in the shape of one
                sample's values.
            transmitted: as in `printed`.

        Returns:
            Bound on the change of every output, float64 (outputs,).

        Raises:
            ConfigError: as `printed`.
            TaskError: as `printed`.
        """
        counts = [int(f.sum()) if isinstance(f, Tensor) else f for f in failing]
        self._check(counts)
        capacities = self._capacities(transmitted)
        values = self.network.values
        error = torch.zeros_like(values[self.network.graph.input.name][:1])
        capacity, count = 0.0, 0
        for number, layer in enumerate(self._layers):
            args: list[Any] = [values[a.name] if isinstance(a, fx.Node) else a for a in layer.node.args]
            error = error.reshape(1, *args[0].shape[1:])
            found: Tensor = layer.node.target(error, layer.weight.abs(), None, *args[3:])  # type: ignore[operator]
            error = found + _failing(layer, capacity, error, count, args)
            if layer.activation is None:
                break
            error = (layer.activation.lipschitz * error).clamp(max=layer.activation.span)
            capacity, count, known = capacities[number], counts[number], failing[number]
            if isinstance(known, Tensor):
                error, count = torch.where(known.reshape(error.shape), capacity, error), 0
        return error[0]

    def interval(self, failing: Sequence[Tensor | None], transmitted: float | None = None) -> Tensor:
        """Known neurons fail, known inputs: intervals around the values without failures.

        Args:
            failing: per hidden layer a mask of its neurons in the shape of one sample's values, or None.
            transmitted: as in `printed`.

        Returns:
            Bound on the change of every output for every input, float64 (n, outputs).

        Raises:
            ConfigError: not one mask per hidden layer.
        """
        if len(failing) != len(self._hidden):
            raise ConfigError(f"the network has {len(self._hidden)} hidden layers, and {len(failing)} masks are given")
        forced = {}
        for number, (layer, mask) in enumerate(zip(self._hidden, failing, strict=True)):
            if mask is not None:
                values = self.values(number)
                error = values.abs() + (transmitted or 0.0)
                forced[layer.neurons] = Forced(error, mask.expand(values.shape))
        return self.network.reach(forced).errors

    def _check(self, failing: Sequence[int]) -> None:
        neurons = self.neurons
        if len(failing) != len(neurons) or any(not 0 <= f <= n for f, n in zip(failing, neurons, strict=False)):
            raise ConfigError(f"hidden layers have {list(neurons)} neurons; {list(failing)} of them cannot fail")

    def _capacities(self, transmitted: float | None) -> list[float]:
        """By how much what a failing neuron of each hidden layer sends can be wrong."""
        suprema = [_known(layer).supremum for layer in self._hidden]
        if not all(map(math.isfinite, suprema)):
            raise TaskError(
                "an activation without largest value has no bound for any input; clip it (relu6, hardtanh), or use "
                "interval(), which knows the inputs"
            )
        return [supremum + (transmitted or 0.0) for supremum in suprema]


def _failing(layer: _Layer, capacity: float, error: Tensor, count: int, args: list[Any]) -> Tensor:
    """The most that failing neurons of the layer before add to each output, beyond their error if they worked."""
    weight = layer.weight.abs()
    if function_name(layer.node) == "linear":
        added = weight * (capacity - error)[..., None, :]
        return added.topk(count, -1).values.sum(-1)
    groups = int(args[6]) if len(args) > 6 else 1
    padding = args[4] if len(args) > 4 else [0]
    if groups != 1 or isinstance(padding, str):  # every failing neuron counted in full
        largest = weight.flatten(1).topk(count, 1).values.sum(1)
        return capacity * largest.reshape(-1, *[1] * (weight.dim() - 2))
    dims = weight.dim() - 2
    stride, dilation = (list(args[i]) if len(args) > i else [1] * dims for i in (3, 5))
    edge = [amount for p in reversed(list(padding) * (dims if len(padding) == 1 else 1)) for amount in (p, p)]
    kernel = list(weight.shape[2:])
    each = (given * (dims if len(given) == 1 else 1) for given in (stride, dilation))
    windows = unfolded(F.pad(capacity - error, edge), kernel, *each)
    met = windows.reshape(1, 1, math.prod(weight.shape[1:]), -1)
    added = (met * weight.flatten(1)[None, :, :, None]).topk(count, 2).values.sum(2)
    return added.reshape(1, len(weight), *windows.shape[2 + dims :])


def _known(layer: _Layer) -> Activation:
    assert layer.activation is not None  # hidden layers have one
    return layer.activation


def _chain(network: Linearised) -> list[_Layer]:
    """Layers in their order.

    Raises:
        TaskError: the network is no such chain; names the node.
    """
    graph, layers = network.graph, list[_Layer]()
    before: fx.Node = graph.input
    for node in graph.nodes:
        if node.name not in graph.active or node.op != "call_function":
            continue
        last = layers[-1] if layers else None
        if node.all_input_nodes[0] is not before or any(n.name in graph.active for n in node.all_input_nodes[1:]):
            raise TaskError(f"{place(node)} does not follow the node before it; the bound is of layers in a row")
        activation = activation_of(node)
        waiting = last is not None and last.activation is None
        if function_name(node) in _LAYERS and not waiting:
            weight: Any = network.values[node.all_input_nodes[1].name]
            layers.append(_Layer(node, weight))
        elif activation is not None and waiting and last is not None:
            layers[-1] = _Layer(last.node, last.weight, activation, node.name)
        elif function_name(node) not in _KEEP:
            raise TaskError(f"{place(node)} breaks the turns of layers and activations that this bound needs")
        before = node
    if len(layers) < 2 or layers[-1].activation is not None:
        raise TaskError("the bound needs a network of at least one hidden layer that ends with a layer")
    return layers
