"""A network that goes on from any of its layers, with what came before taken from a pass without faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from laxity.core.errors import TaskError
from laxity.emulate.slots import Slots

BATCH = 128
"""Trials in one pass."""

_PROBES = (2, 3)
"""Batch sizes whose passes tell along which dimension samples lie."""


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """What a pass without faults left.

    Attributes:
        values: of the nodes that may be wanted again, by name; samples lie along the node's batch dimension.
        logits: float32 (samples, classes).
    """

    values: Mapping[str, Any]
    logits: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Course:
    """What has to be done from one layer on.

    Attributes:
        run: nodes in their order.
        taken: nodes whose values are taken from the golden pass.
        done: nodes whose values are not wanted any more, by the node after which that is so.
    """

    run: tuple[fx.Node, ...]
    taken: tuple[fx.Node, ...]
    done: Mapping[fx.Node, tuple[fx.Node, ...]]


class Replay:
    """A traced network; see the module.

    The network is traced by `torch.fx`, emulated layers and modules of torch being single steps. It is referred to, and
    not changed. Modules must be in evaluation mode.

    Args:
        model: float32 in, logits out.
        names: of the layers from which it shall go on, as modules are called.
        example: float32 (n, ...), at least three samples.
        outputs: those of the layers whose outputs are kept too.

    Raises:
        TaskError: the network cannot be traced, or one of the layers is no single step of it, or runs several times.
    """

    def __init__(self, model: nn.Module, names: Iterable[str], example: Tensor, outputs: Iterable[str] = ()) -> None:
        wanted = list(names)
        try:
            graph = _Tracer(model, set(wanted)).trace(model)
            self._module = fx.GraphModule(model, graph)
        except Exception as error:
            raise TaskError(f"the network cannot be traced ({type(error).__name__}: {error})") from error
        self._steps = fx.Interpreter(self._module, garbage_collect_values=False)
        self._order = list(graph.nodes)
        self._layers = {name: self._node_of(name) for name in wanted}
        self._dims = _batch_dims(self._module, example)
        self._courses = {name: self._course(node) for name, node in self._layers.items()}
        kept = {n for c in self._courses.values() for n in c.taken} | {_input(n) for n in self._layers.values()}
        kept |= {self._layers[name] for name in outputs}
        self._kept = {n.name for n in kept}
        for node in kept:
            if self._dims[node.name] is None:
                raise TaskError(f"{node.name!r} of the network does not keep samples along one dimension")

    def _node_of(self, name: str) -> fx.Node:
        found = [n for n in self._order if n.op == "call_module" and n.target == name]
        if len(found) != 1:
            raise TaskError(f"layer {name!r} runs {len(found)} times in the network; faults are replayed where it is 1")
        return found[0]

    @torch.no_grad()
    def golden(self, inputs: Tensor) -> Golden:
        """Run without faults, and keep what layers may want again."""
        values: dict[str, Any] = {}

        def seen(node: fx.Node, value: Any) -> None:
            if node.name in self._kept:
                values[node.name] = value

        logits = _Watched(self._module, seen).run(inputs)
        return Golden(values, logits)

    def output(self, layer: str, golden: Golden, rows: Tensor) -> Tensor:
        """What a layer gave in the golden pass, where outputs are kept; as `input`."""
        return self._rows(self._layers[layer], golden, rows)

    def input(self, layer: str, golden: Golden, rows: Tensor) -> Tensor:
        """What a layer was given in the golden pass: float32 (rows, ...).

        Args:
            layer: name.
            golden: from `golden`.
            rows: which samples, int64 (n,).
        """
        return self._rows(_input(self._layers[layer]), golden, rows)

    @torch.no_grad()
    def resume(
        self,
        layer: str,
        outputs: Tensor,
        golden: Golden,
        rows: Tensor,
        instead: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType({}),
    ) -> Tensor:
        """Logits with other outputs of a layer.

        Args:
            layer: name.
            outputs: what the layer gives now, (n, ...).
            golden: from `golden`.
            rows: which samples the rest comes from, int64 (n,).
            instead: what computes other layers, by name, from their inputs.

        Returns:
            float32 (n, classes).
        """
        course, env = self._courses[layer], {self._layers[layer]: outputs}
        env |= {node: self._rows(node, golden, rows) for node in course.taken}
        for node in course.run:
            args, kwargs = _filled(node.args, env), _filled(node.kwargs, env)
            if node.op == "call_module" and node.target in instead:
                value = instead[str(node.target)](*args, **kwargs)
            else:
                value = getattr(self._steps, node.op)(node.target, args, kwargs)
            if node.op == "output":
                result: Tensor = value
                return result
            env[node] = value
            for finished in course.done.get(node, ()):
                del env[finished]
        raise TaskError(f"the network gives nothing after layer {layer!r}")

    def _rows(self, node: fx.Node, golden: Golden, rows: Tensor) -> Any:
        dim = self._dims[node.name]
        assert dim is not None  # checked when the network was traced
        return golden.values[node.name].index_select(dim, rows)

    def _again(self, layer: fx.Node) -> set[fx.Node]:
        """The layer and everything that depends on it."""
        after = {layer}
        for node in self._order:
            if any(n in after for n in node.all_input_nodes):
                after.add(node)
        return after

    def _course(self, layer: fx.Node) -> _Course:
        """What has to run again, and what of the rest it needs: taken where that is possible."""
        after = self._again(layer)
        taken: set[fx.Node] = set()
        again: set[fx.Node] = set()
        waiting = [n for node in after - {layer} for n in node.all_input_nodes if n not in after]
        while waiting:
            node = waiting.pop()
            if node in taken or node in again:
                continue
            if node.op == "placeholder" or self._dims[node.name] is not None:
                taken.add(node)
            else:  # constants, sizes and the like are made anew
                again.add(node)
                waiting += node.all_input_nodes
        run = tuple(n for n in self._order if (n in after and n is not layer) or n in again)
        return _Course(run, tuple(n for n in self._order if n in taken), _last_uses(run))


class OnwardReplay(Replay):
    """Goes on from a layer with everything that runs after it, for faults that strike several layers.

    Layers beside the first struck one, as in a shortcut, are computed anew too.
    """

    def _again(self, layer: fx.Node) -> set[fx.Node]:
        return set(self._order[self._order.index(layer) :])


class _Tracer(fx.Tracer):
    """Emulated layers, wanted layers, and modules of torch without such inside are single steps."""

    def __init__(self, model: nn.Module, names: set[str]) -> None:
        super().__init__()
        steps = {n for n, m in model.named_modules() if isinstance(m, Slots)} | names
        self._steps = steps
        self._around = {n[:i] for n in steps for i, c in enumerate(n) if c == "."}

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        """As fx asks."""
        if name in self._steps:
            return True
        return name not in self._around and super().is_leaf_module(module, name)


class _Watched(fx.Interpreter):
    """Tells every value; forgets those that are not wanted any more."""

    def __init__(self, module: fx.GraphModule, seen: Callable[[fx.Node, Any], None]) -> None:
        super().__init__(module)
        self._seen = seen

    def run_node(self, n: fx.Node) -> Any:
        """As fx asks."""
        value = super().run_node(n)
        self._seen(n, value)
        return value


@torch.no_grad()
def _batch_dims(module: fx.GraphModule, example: Tensor) -> dict[str, int | None]:
    """Along which dimension samples lie in the value of each node; None where there is no one such dimension."""
    shapes: list[dict[str, tuple[int, ...] | None]] = []
    for size in _PROBES:
        if len(example) < size:
            raise TaskError(f"tracing needs {size} samples, the example has {len(example)}")
        seen: dict[str, tuple[int, ...] | None] = {}

        def note(node: fx.Node, value: Any, seen: dict[str, tuple[int, ...] | None] = seen) -> None:
            seen[node.name] = tuple(value.shape) if isinstance(value, Tensor) else None

        _Watched(module, note).run(example[:size])
        shapes.append(seen)
    return {name: _changed(shapes[0][name], shapes[1][name]) for name in shapes[0]}


def _changed(first: tuple[int, ...] | None, second: tuple[int, ...] | None) -> int | None:
    if first is None or second is None or len(first) != len(second):
        return None
    places = [i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
    if len(places) != 1 or (first[places[0]], second[places[0]]) != _PROBES:
        return None
    return places[0]


def _last_uses(run: Sequence[fx.Node]) -> dict[fx.Node, tuple[fx.Node, ...]]:
    last = {used: node for node in run for used in node.all_input_nodes}
    found: dict[fx.Node, list[fx.Node]] = {}
    for used, node in last.items():
        found.setdefault(node, []).append(used)
    return {node: tuple(used) for node, used in found.items()}


def _input(layer: fx.Node) -> fx.Node:
    first = layer.args[0] if layer.args else next(iter(layer.kwargs.values()))
    assert isinstance(first, fx.Node)  # layers are called with what the network computes
    return first


def _filled(arguments: Any, env: Mapping[fx.Node, Any]) -> Any:
    return fx.node.map_arg(arguments, lambda node: env[node])


def batches_of(layers: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Trials that one pass can do: the number of their layer, and at most `BATCH` of their places in `layers`."""
    for number in np.unique(layers):
        chosen = np.flatnonzero(layers == number)
        for start in range(0, len(chosen), BATCH):
            yield int(number), chosen[start : start + BATCH]
