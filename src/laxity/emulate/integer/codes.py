"""Which integer code every value of a traced model travels in."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

from laxity.core.errors import PlanError
from laxity.core.parts import Code
from laxity.emulate.integer.trace import Graph, Limits, Node
from laxity.emulate.layer import EmulatedLayer
from laxity.techniques.data.codes import ActivationCode, IntegerOperands

KEEPING = frozenset({"max", "reshape", "pad", "slice"})
"""Nodes whose result is in the code of their input."""

_CLAMPING = frozenset({"product", "average", "add", "clamp"})
_LEAST_RANGE = 1e-8
_TOLERANCE = 1 / 8
"""How much of a calibrated range values may exceed, as a fraction, without a code of their own."""


@dataclass(slots=True)
class Coded:
    """A traced model without what integers do not need, and the code of each of its values.

    Attributes:
        nodes: that the output depends on, in order of execution; clamps that a requantisation does are gone.
        codes: by index of the value; None for the output where it is to keep all bits of the sums.
        output: index of the value that the model returns.
    """

    nodes: list[Node]
    codes: dict[int, Code | None]
    output: int


def choose_codes(graph: Graph, bits: int) -> Coded:
    """Choose codes.

    Values that share an integer code, as before and after max pooling, form a group. A group takes the code that the
    layers that read it were calibrated for. Values that are added, averaged or joined take it too where it has at least
    `bits` bits and covers what was seen; else they get a code of `bits` bits that does, and layers read it rescaled.
    The output of a network keeps all bits of its sums.

    Args:
        graph: the traced model.
        bits: width of codes that no layer prescribes.

    Raises:
        PlanError: a node that the output depends on has no integer form.
    """
    nodes, output = _needed(graph)
    alias = _fuse_clamps(graph, nodes, output)
    nodes = [n for n in nodes if n.output not in alias]
    for node in nodes:
        node.inputs = [_follow(alias, i) for i in node.inputs]
    output = _follow(alias, output)
    return Coded(nodes, _Choice(graph, nodes, output, bits).codes(), output)


def _follow(alias: dict[int, int], index: int) -> int:
    while index in alias:
        index = alias[index]
    return index


def _needed(graph: Graph) -> tuple[list[Node], int]:
    """Nodes that the output depends on, identities left out, and the index of the output."""
    wanted, alias = {graph.output}, {}
    for node in reversed(graph.nodes):
        if node.output in wanted:
            wanted.update(node.inputs)
    needed = [n for n in graph.nodes if n.output in wanted]
    for node in needed:
        if node.kind == "unsupported":
            raise PlanError(f"{node.name!r} cannot be part of an integer-only network: {node.reason}")
        if node.kind == "identity":
            alias[node.output] = node.inputs[0]
    for node in needed:
        node.inputs = [_follow(alias, i) for i in node.inputs]
    return [n for n in needed if n.kind != "identity"], _follow(alias, graph.output)


def _fuse_clamps(graph: Graph, nodes: list[Node], output: int) -> dict[int, int]:
    """Let requantisations clamp where nothing else reads the unclamped values; those clamps become aliases."""
    makers = {n.output: n for n in nodes}
    readers: dict[int, int] = defaultdict(int)
    for index in [output, *(i for n in nodes for i in n.inputs)]:
        readers[index] += 1
    alias: dict[int, int] = {}
    for node in nodes:
        if node.kind != "clamp":
            continue
        chain = [_follow(alias, node.inputs[0])]
        while readers[chain[-1]] == 1 and makers[chain[-1]].kind in KEEPING:
            chain.append(_follow(alias, makers[chain[-1]].inputs[0]))
        root = makers[chain[-1]]
        if root.kind not in _CLAMPING or any(readers[i] != 1 for i in chain):
            continue
        root.limits = _within(root.limits, node.limits)
        alias[node.output] = chain[0]
        readers[chain[0]] = readers[node.output]
        for index in chain:
            value = graph.values[index]
            value.low, value.high = (min(max(v, node.limits[0]), node.limits[1]) for v in (value.low, value.high))
    return alias


def _within(first: Limits, second: Limits) -> Limits:
    return max(first[0], second[0]), min(first[1], second[1])


def site_code(node: Node) -> Code:
    """The code that a layer takes its input in.

    Raises:
        PlanError: the layer does not compute with integer codes of its weight and its input.
    """
    layer = node.layer
    if not isinstance(layer, EmulatedLayer) or not isinstance(layer.operand, IntegerOperands):
        raise PlanError(
            f"site {node.name!r} does not compute with integer codes; give it the OPERAND choice 'integer', whose "
            "weights and activations are integers"
        )
    coder = layer.operand.input
    assert isinstance(coder, ActivationCode)  # as IntegerOperands declares
    low, high = coder.code_range
    return Code(float(coder.scale), int(coder.zero), low, high)


def covering(low: float, high: float, bits: int) -> Code:
    """A code of `bits` bits for values from `low` to `high`: unsigned where none is negative, else symmetric."""
    if low >= 0:
        top = (1 << bits) - 1
        return Code(max(high, _LEAST_RANGE) / top, 0, 0, top)
    top = (1 << (bits - 1)) - 1
    return Code(max(high, -low, _LEAST_RANGE) / top, 0, -top, top)


class _Choice:
    """The codes of all groups; groups that read others are decided before them."""

    def __init__(self, graph: Graph, nodes: list[Node], output: int, bits: int) -> None:
        self._graph, self._output, self._bits = graph, output, bits
        self._root: dict[int, int] = {}
        for node in nodes:
            self._root[node.output] = self._root[node.inputs[0]] if node.kind in KEEPING else node.output
        self._readers: dict[int, list[Node]] = defaultdict(list)
        for node in nodes:
            for index in dict.fromkeys(node.inputs):
                if node.kind not in KEEPING:
                    self._readers[self._root[index]].append(node)
        self._members: dict[int, list[int]] = defaultdict(list)
        for index, root in self._root.items():
            self._members[root].append(index)
        self._makers = {n.output: n for n in nodes}
        self._chosen: dict[int, Code | None] = {}

    def codes(self) -> dict[int, Code | None]:
        """By index of the value."""
        for root in sorted(self._members, reverse=True):
            self._chosen[root] = self._group(root)
        return {index: self._chosen[root] for index, root in self._root.items()}

    def _group(self, root: int) -> Code | None:
        readers = self._readers[root]
        returned = self._root[self._output] == root
        if returned and not readers and self._makers[root].kind in {"product", "average", "add"}:
            return None
        demands = list(dict.fromkeys(site_code(n) for n in readers if n.kind == "product"))
        others = [n for n in readers if n.kind != "product"]
        if not returned and not others and demands:
            return min(demands, key=lambda d: (not self._covers(d, root), d.scale))
        wide = [d for d in demands if d.bits >= self._bits and self._covers(d, root)]
        if wide:
            return min(wide, key=lambda d: d.scale)
        if not returned and not demands and len(others) == 1 and others[0].kind == "concatenate":
            adopted = self._chosen[others[0].output]
            assert adopted is not None  # only outputs of products, averages and additions keep all bits
            return adopted
        return covering(*self._range(root), self._bits)

    def _range(self, root: int) -> Limits:
        values = [self._graph.values[i] for i in self._members[root]]
        return min(v.low for v in values), max(v.high for v in values)

    def _covers(self, code: Code, root: int) -> bool:
        """Whether the group's values lie in the range of a code, or not far outside."""
        low, high = self._range(root)
        slack = _TOLERANCE * (code.high - code.low) * code.scale
        inside = (code.low - code.zero) * code.scale - slack <= low and high <= (
            code.high - code.zero
        ) * code.scale + slack
        return inside and math.isfinite(low) and math.isfinite(high)
