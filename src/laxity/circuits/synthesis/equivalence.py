"""Whether what a tool made computes the same as the circuit it was given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from laxity.circuits.netlist import Circuit
from laxity.circuits.simulate import Words, exhaustive_planes, settle, unpack
from laxity.core.seeds import stream
from laxity.eda.run import ToolRunError

EXHAUSTIVE_BITS = 16
"""Most operand bits together for which all vectors are compared."""

RANDOM_VECTORS = 1 << 20
"""Vectors compared above that."""

_CHUNK_WORDS = 1024

Evaluate = Callable[[Mapping[str, Words]], Mapping[str, Sequence[Words]]]
"""From the bit planes of each input port to those of each output port."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was compared.

    Attributes:
        vectors: number of input vectors.
        exhaustive: whether these are all there are.
    """

    vectors: int
    exhaustive: bool

    def __str__(self) -> str:
        """In words."""
        return f"equal on all {self.vectors} inputs" if self.exhaustive else f"equal on {self.vectors} random inputs"


def evaluator(circuit: Circuit) -> Evaluate:
    """The function that a circuit computes on bit planes."""

    def evaluate(planes: Mapping[str, Words]) -> Mapping[str, Sequence[Words]]:
        nets = settle(circuit, planes)
        return {port.name: [nets[net] for net in port.nets] for port in circuit.outputs}

    return evaluate


def prove_equal(circuit: Circuit, other: Evaluate, maker: str) -> Proof:
    """Compare every output bit on all input vectors, or on `RANDOM_VECTORS` seeded ones of wide circuits.

    Args:
        circuit: what was given.
        other: what was made of it.
        maker: who made it, for the message.

    Raises:
        ToolRunError: they differ; the message names an input on which they do.
    """
    bits = sum(port.width for port in circuit.inputs)
    exact, vectors = evaluator(circuit), 0
    valid = np.uint64((1 << min(64, 1 << bits)) - 1)
    for planes in _vectors(circuit, bits):
        words = next(iter(planes.values())).shape[1]
        vectors += min(64 * words, 1 << min(bits, EXHAUSTIVE_BITS)) if bits <= EXHAUSTIVE_BITS else 64 * words
        expected, found = exact(planes), other(planes)
        for port in circuit.outputs:
            for bit, (left, right) in enumerate(zip(expected[port.name], found[port.name], strict=True)):
                wrong = (left ^ right) & valid
                if wrong.any():
                    raise _different(circuit, planes, wrong, f"{port.name}[{bit}]", maker)
    return Proof(vectors, bits <= EXHAUSTIVE_BITS)


def _vectors(circuit: Circuit, bits: int) -> Iterator[dict[str, Words]]:
    if bits <= EXHAUSTIVE_BITS:
        planes, start, split = exhaustive_planes(bits), 0, {}
        for port in circuit.inputs:
            split[port.name] = planes[start : start + port.width]
            start += port.width
        yield split
        return
    generator = stream(0, "equivalence", circuit.key)
    for _ in range(RANDOM_VECTORS // (64 * _CHUNK_WORDS)):
        yield {
            port.name: generator.integers(0, 1 << 64, (port.width, _CHUNK_WORDS), dtype=np.uint64)
            for port in circuit.inputs
        }


def _different(circuit: Circuit, planes: Mapping[str, Words], wrong: Words, pin: str, maker: str) -> ToolRunError:
    place = int(np.flatnonzero(unpack([wrong], 64 * wrong.size))[0])
    values = {
        name: sum((int(plane[place // 64]) >> (place % 64) & 1) << bit for bit, plane in enumerate(several))
        for name, several in planes.items()
    }
    inputs = ", ".join(f"{name} = {value}" for name, value in values.items())
    return ToolRunError(
        f"what {maker} made of {circuit.name!r} differs from it at {pin} for {inputs}; no figure is reported. This is "
        f"a bug in laxity or in the tool: report it, and use another version of the tool"
    )
