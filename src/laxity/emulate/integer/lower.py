"""From a traced model with codes to a program."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from laxity.circuits import Adder, Multiplier
from laxity.core.errors import PlanError
from laxity.core.parts import Code, Window
from laxity.core.program import INPUT, Program
from laxity.core.requantise import GREATEST_SUM, LEAST_SUM, Addition, Requantiser
from laxity.core.steps import Add, Concatenate, Pad, Pool, Rescale, Reshape, Slice, Step
from laxity.emulate.integer.codes import Coded, site_code
from laxity.emulate.integer.products import product_step, read_layer, units, use_of
from laxity.emulate.integer.trace import Graph, Limits, Node
from laxity.emulate.layer import EmulatedLayer
from laxity.kernels.accumulators import AdderAccumulator

_FINER = 2**-8
"""Unit of an output that is a sum of two codes, in units of the coarser of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """A program with the circuits that it names.

    Attributes:
        program: the program.
        multipliers, adders: by the names in the program.
    """

    program: Program
    multipliers: Mapping[str, Multiplier]
    adders: Mapping[str, Adder]


def lower(graph: Graph, coded: Coded) -> Lowered:
    """Write the program of a traced model.

    Raises:
        PlanError: a layer has no integer form, or two circuits have one name.
    """
    writer = _Writer(graph, coded)
    for node in coded.nodes:
        writer.write(node)
    source = graph.values[0]
    code = coded.codes.get(0)
    if code is None or not writer.steps:
        raise PlanError("the output of the model does not depend on its input through any emulated layer")
    uses = tuple(use_of(m) for m in writer.multipliers.values())
    program = Program(source.shape, code, tuple(writer.steps), uses)
    return Lowered(program, writer.multipliers, writer.adders)


@dataclass(slots=True)
class _Writer:
    graph: Graph
    coded: Coded
    steps: list[Step] = field(default_factory=list)
    multipliers: dict[str, Multiplier] = field(default_factory=dict)
    adders: dict[str, Adder] = field(default_factory=dict)
    made: dict[int, tuple[str, Code]] = field(default_factory=dict)
    rescaled: dict[tuple[int, Code], str] = field(default_factory=dict)

    def write(self, node: Node) -> None:
        """Append the step of a node, after the rescaling of what it reads."""
        if node.kind == "input":
            code = self.coded.codes[node.output]
            assert code is not None  # an input is no output of a product
            self.made[node.output] = INPUT, code
            return
        writers = {"product": self._product, "average": self._average, "add": self._add, "clamp": self._clamp,
                   "concatenate": self._concatenate}  # fmt: skip
        step = writers[node.kind](node) if node.kind in writers else self._keeping(node)
        self.steps.append(step)
        self.made[node.output] = step.name, step.code

    def _shape(self, index: int) -> tuple[int, ...]:
        return self.graph.values[index].shape

    def _rescaled(self, index: int, code: Code, reader: str) -> str:
        """Name of the step that has a value in the wanted code."""
        name, present = self.made[index]
        if present == code:
            return name
        found = self.rescaled.get((index, code))
        if found is None:
            found = f"{reader}:rescale#{len(self.rescaled)}"
            requantiser = _requantiser(reader, present.scale / code.scale, code)
            self.steps.append(Rescale(found, (name,), self._shape(index), code, requantiser))
            self.rescaled[index, code] = found
        return found

    def _product(self, node: Node) -> Step:
        wanted = site_code(node)
        source = self._rescaled(node.inputs[0], wanted, node.name)
        assert isinstance(node.layer, EmulatedLayer)  # as `site_code` has checked
        layer = read_layer(node.name, node.layer, wanted)
        self._register(node.name, layer.multiplier, node.layer)
        bias, scales = units(layer)
        code = self.coded.codes[node.output] or Code(float(scales.max()), 0, LEAST_SUM, GREATEST_SUM)
        return product_step(layer, bias, scales, source, self._shape(node.output), code, _limits(node.limits, code))

    def _register(self, site: str, multiplier: Multiplier, layer: EmulatedLayer) -> None:
        if self.multipliers.setdefault(multiplier.name, multiplier) != multiplier:
            raise PlanError(
                f"site {site!r} has another multiplier {multiplier.name!r} than an earlier site; rename one"
            )
        accumulator = layer.accumulator
        if isinstance(accumulator, AdderAccumulator):
            adder = accumulator.adder
            if self.adders.setdefault(adder.name, adder) != adder:
                raise PlanError(f"site {site!r} has another adder {adder.name!r} than an earlier site; rename one")

    def _average(self, node: Node) -> Step:
        name, present = self.made[node.inputs[0]]
        window, divisor = _window(node)
        code = self.coded.codes[node.output] or Code(present.scale / divisor, 0, LEAST_SUM, GREATEST_SUM)
        requantiser = _requantiser(node.name, present.scale / (divisor * code.scale), code, node.limits)
        count = math.prod(window.kernel)
        ends = [count * (present.low - present.zero), count * (present.high - present.zero)]
        if ends[0] < LEAST_SUM or ends[1] > GREATEST_SUM or requantiser.overflows([(ends[0], ends[1])]) is not None:
            raise PlanError(f"{node.name!r} averages {count} codes, whose sum or its product may overflow; use fewer")
        shape = self._shape(node.inputs[0])
        full, wanted = (shape[0], *window.output_size(shape[1:])), self._shape(node.output)
        pool = Pool(node.name, (name,), full, code, "average", window, requantiser)
        if full == wanted:
            return pool
        self.steps.append(pool)
        return Reshape(f"{node.name}:reshape", (node.name,), wanted, code)

    def _add(self, node: Node) -> Step:
        (left, a), (right, b) = (self.made[i] for i in node.inputs)
        code = self.coded.codes[node.output] or Code(max(a.scale, b.scale) * _FINER, 0, LEAST_SUM, GREATEST_SUM)
        scales = a.scale / code.scale, b.scale / code.scale
        try:
            addition = Addition.from_scales(scales, (a.zero, b.zero), code.zero, *_limits(node.limits, code))
        except PlanError as error:
            raise PlanError(f"{node.name!r}: {error}") from error
        return Add(node.name, (left, right), self._shape(node.output), code, addition)

    def _clamp(self, node: Node) -> Step:
        name, present = self.made[node.inputs[0]]
        code = self.coded.codes[node.output]
        assert code is not None  # only products, averages and additions keep all bits
        requantiser = _requantiser(node.name, present.scale / code.scale, code, node.limits)
        return Rescale(node.name, (name,), self._shape(node.output), code, requantiser)

    def _concatenate(self, node: Node) -> Step:
        code, operation = self.coded.codes[node.output], node.operation
        assert code is not None  # as in `_clamp`
        assert operation is not None  # only products have none
        names = tuple(self._rescaled(i, code, node.name) for i in node.inputs)
        return Concatenate(node.name, names, self._shape(node.output), code, operation.axis)

    def _keeping(self, node: Node) -> Step:
        name, code = self.made[node.inputs[0]]
        operation, shape = node.operation, self._shape(node.output)
        assert operation is not None  # only products have none
        if node.kind == "max":
            return Pool(node.name, (name,), shape, code, "max", _window(node)[0], None)
        if node.kind == "pad":
            return Pad(node.name, (name,), shape, code, operation.before, operation.after)
        if node.kind == "slice":
            return Slice(node.name, (name,), shape, code, operation.start, operation.stride)
        return Reshape(node.name, (name,), shape, code)


def _window(node: Node) -> tuple[Window, int]:
    operation = node.operation
    assert operation is not None
    assert operation.window is not None  # pooling has one
    return operation.window, operation.divisor


def _limits(limits: Limits, code: Code) -> tuple[int, int]:
    """Least and greatest code after clamping values to limits, which lie on both sides of 0 or at it."""
    low = code.low if limits[0] == -math.inf else max(code.low, code.zero + round(limits[0] / code.scale))
    high = code.high if limits[1] == math.inf else min(code.high, code.zero + round(limits[1] / code.scale))
    return low, high


def _requantiser(name: str, scale: float, code: Code, limits: Limits = (-math.inf, math.inf)) -> Requantiser:
    try:
        return Requantiser.from_scale(scale, code.zero, *_limits(limits, code))
    except PlanError as error:
        raise PlanError(f"{name!r}: {error}") from error
