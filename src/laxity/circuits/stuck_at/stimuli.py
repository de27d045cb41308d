"""The operand pairs that faulty circuits are simulated with: all of them, or a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from laxity.circuits.assess import Sampling
from laxity.circuits.distribution import UNIFORM, Operands
from laxity.circuits.error_sums import FloatArray, IntArray
from laxity.circuits.simulate import MAX_TABLE_BITS, Words, exhaustive_planes, pack
from laxity.circuits.stuck_at.subject import Device
from laxity.core.errors import CircuitError
from laxity.core.seeds import stream

SAMPLING = Sampling(samples=1 << 16, exhaustive_bits=MAX_TABLE_BITS)
"""All pairs up to 20 operand bits together, else 65536 random ones."""

_SUM_BITS = 62
"""Sums of errors over all pairs must stay within int64."""


@dataclass(frozen=True, slots=True, eq=False)
class Stimuli:
    """Operand pairs; pair v is bit v % 64 of word v // 64.

    Attributes:
        planes: bits of operands, uint64 (width, words) by port.
        exact: exact results, int64 (pairs,).
        mask: uint64 (words,), ones where there is a pair.
        weights: of the pairs, float64 (pairs,) with sum 1; None where all count alike.
        exhaustive: these are all pairs, so that a fault that none of them shows cannot be detected.
    """

    planes: Mapping[str, Words]
    exact: IntArray
    mask: Words
    weights: FloatArray | None
    exhaustive: bool

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return self.exact.size


def stimuli_for(device: Device, operands: Operands = UNIFORM, sampling: Sampling = SAMPLING) -> Stimuli:
    """Operand pairs for a circuit: all of them up to `Sampling.exhaustive_bits`, else drawn from the distribution.

    Raises:
        CircuitError: the distribution does not fit the operands, or results are too wide for so many pairs.
    """
    bits, a_bits, b_bits = device.bits, device.a_bits, device.b_bits
    operands.check(1 << a_bits, 1 << b_bits)
    exhaustive = a_bits + b_bits <= min(sampling.exhaustive_bits, MAX_TABLE_BITS)
    pairs = 1 << (a_bits + b_bits) if exhaustive else sampling.samples
    bits = max(bits, a_bits + b_bits if device.operation == "multiply" else 0)
    if bits + (pairs - 1).bit_length() > _SUM_BITS:
        raise CircuitError(
            f"{pairs} pairs of {bits}-bit results of {device.name!r} overflow the sums; "
            f"use at most {1 << max(8, _SUM_BITS - bits)} pairs"
        )
    if exhaustive:
        codes = np.arange(pairs, dtype=np.int64)
        a, b = codes >> b_bits, codes & ((1 << b_bits) - 1)
        planes = exhaustive_planes(a_bits + b_bits)
        sides: dict[str, Words] = {"b": planes[:b_bits], "a": planes[b_bits:]}
        weights = _weights(operands, 1 << a_bits, 1 << b_bits)
    else:
        generator = stream(sampling.seed, "stuck-at", device.circuit.key, pairs)
        a, b = operands.draw(generator, pairs, a_bits, b_bits)
        sides, weights = {"a": pack(a, a_bits), "b": pack(b, b_bits)}, None
    mask = pack(np.ones(pairs, dtype=np.int64), 1)[0]
    return Stimuli(MappingProxyType(sides), _exact(device, a, b), mask, weights, exhaustive)


def _exact(device: Device, a: IntArray, b: IntArray) -> IntArray:
    x, y = (
        codes - (codes >> (bits - 1) << bits) if signed else codes
        for codes, bits, signed in ((a, device.a_bits, device.a_signed), (b, device.b_bits, device.b_signed))
    )
    return x * y if device.operation == "multiply" else x + y


def _weights(operands: Operands, rows: int, columns: int) -> FloatArray | None:
    """Weights of all pairs, a first; None where they are equal."""
    if operands.uniform:
        return None
    if operands.pairs is not None:
        weights = np.zeros((rows, columns))
        np.add.at(weights, (operands.pairs[0], operands.pairs[1]), operands.pairs[2])
    else:
        block = operands.block(0, rows, columns)
        weights = np.multiply.outer(*block) if isinstance(block, tuple) else np.broadcast_to(block, (rows, columns))
    return (weights / weights.sum()).ravel()
