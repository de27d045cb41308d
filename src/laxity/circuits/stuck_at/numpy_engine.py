"""Simulation of faults by numpy: only what a fault can reach, and only as long as anything differs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from laxity.circuits.simulate import CELL_FUNCTIONS, Words
from laxity.circuits.stuck_at.fault import OUTPUT, STEM, Fault
from laxity.circuits.stuck_at.program import Program
from laxity.circuits.stuck_at.sums import SIGNATURE_WORDS, Lanes, Sums, signature_keys

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


class NumpyEngine:
    """Faults one by one, all operand pairs of a net in one array."""

    name = "numpy"

    def __init__(self, program: Program) -> None:
        """Take a program, which is not changed."""
        self._program, self._lanes = program, Lanes(program)
        circuit = program.device.circuit
        self._gates = [(CELL_FUNCTIONS[gate.cell], gate.inputs, gate.outputs) for gate in circuit.gates]
        self._golden = list(program.golden)
        self._octets = [words.tobytes() for words in self._golden]
        self._last = [reach.bit_length() - 1 for reach in self._direct()]
        self._keys = signature_keys(program.device.bits, self._lanes.words)
        zeros = [(keys & _LOW) * (keys >> _HALF) for keys in self._keys]
        self._zero = [[int(words.sum(dtype=np.uint64)) for words in planes] for planes in zeros]
        self._is_exact = np.array_equal(self._lanes.golden, self._lanes.exact)

    def differences(self, fault: Fault) -> dict[int, Words]:
        """Output bits that a fault changes, each with the words of its difference, uint64 (words,)."""
        changed = {} if fault.gate == OUTPUT else self._propagate(fault)
        mask, found = self._program.stimuli.mask, {}
        for bit, net in enumerate(self._program.outputs.tolist()):
            stuck = fault.gate == OUTPUT and fault.pin == bit
            words = self._constant(fault.value) if stuck else changed.get(net)
            if words is not None and (difference := (words ^ self._golden[net]) & mask).any():
                found[bit] = difference
        return found

    def run(self, faults: Sequence[Fault]) -> Sums:
        """Counts of every fault."""
        sums = Sums.empty(len(faults))
        for place, fault in enumerate(faults):
            planes = self.differences(fault)
            self._count(planes, sums.counts[place])
            sums.changed[place] = sum(1 << bit for bit in planes)
            sums.signatures[place] = self._signature(planes)
        return sums

    def _propagate(self, fault: Fault) -> dict[int, Words]:
        """Words of the nets that differ from those without fault."""
        changed: dict[int, Words] = {}
        golden, last, horizon = self._golden, self._last, fault.gate
        if fault.gate == STEM:
            changed[fault.net] = self._constant(fault.value)
            horizon = last[fault.net]
        for index in self._program.cone(fault).tolist():
            if index > horizon:
                break
            function, inputs, outputs = self._gates[index]
            stuck = index == fault.gate
            if not stuck and changed.keys().isdisjoint(inputs):
                continue
            words = [changed.get(net, golden[net]) for net in inputs]
            if stuck:
                words[fault.pin] = self._constant(fault.value)
            for net, made in zip(outputs, function(*words), strict=True):
                if made.tobytes() != self._octets[net]:  # twice as fast as numpy's comparison
                    changed[net] = made
                    horizon = max(horizon, last[net])
        return changed

    def _constant(self, value: int) -> Words:
        return self._golden[1 if value else 0]

    def _direct(self) -> list[int]:
        """For each net, one bit for each gate that reads it."""
        direct = [0] * len(self._golden)
        for index, (_, inputs, _) in enumerate(self._gates):
            for net in inputs:
                direct[net] |= 1 << index
        return direct

    def _count(self, planes: dict[int, Words], counts: np.ndarray) -> None:
        """Fill the counts of one fault. All pairs are looked at: picking out those that differ takes longer."""
        lanes = self._lanes
        values = lanes.changed(planes)
        if planes:
            counts[0:4] = _counted(values - lanes.golden)
        counts[4:8] = counts[0:4] if self._is_exact else _counted(values - lanes.exact)

    def _signature(self, planes: dict[int, Words]) -> list[int]:
        found = [0] * SIGNATURE_WORDS
        for bit, plane in planes.items():
            for place in range(SIGNATURE_WORDS):
                found[place] += self._hash(place, bit, plane)
        return [value % (1 << 64) for value in found]

    def _hash(self, place: int, bit: int, plane: Words) -> int:
        """Sum of products of the halves of words and keys, modulo 2^64, without what words of 0 contribute."""
        both = (plane.view(np.uint32) + self._keys[place, bit].view(np.uint32)).view(np.uint64)
        return int(np.multiply(both & _LOW, both >> _HALF).sum(dtype=np.uint64)) - self._zero[place][bit]


def _counted(errors: np.ndarray) -> tuple[int, int, int, int]:
    """How many are not 0, sum of magnitudes, largest magnitude, sum."""
    magnitudes = np.abs(errors)
    return (int(np.count_nonzero(errors)), _total(magnitudes), int(magnitudes.max(initial=0)), _total(errors))


def _total(values: np.ndarray) -> int:
    """Sum of (8, words, 8) values: int32 of at most 24 bits, or int64. Numpy adds rows faster than it casts."""
    return int(np.add.reduce(values, axis=0, dtype=values.dtype).sum(dtype=np.int64))
