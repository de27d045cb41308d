"""Stuck-at faults of the multipliers in processing elements, and by how much they change products."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laxity.campaign.systolic import ArrayNetwork
from laxity.circuits.stuck_at import Fault, StuckAtStudy, stuck_at
from laxity.core.errors import CircuitError, TaskError
from laxity.rtl.accelerator.product import operand_bits

IntArray = NDArray[np.int64]

UNSEEN = -1
"""Size of a fault that changes no product."""


@dataclass(frozen=True, slots=True, eq=False)
class GateFaults:
    """All stuck-at faults of the circuits that an element of the array has, one circuit after the other.

    Attributes:
        studies: every fault over all operand pairs, by circuit.
        golden: product tables without fault, by circuit.
        circuit: of each fault, a number among the circuits, int64 (faults,).
        place: of each fault in its study, int64 (faults,).
        size: the bit of the product whose weight the mean absolute change of the product has, over all pairs of codes
            that the network may multiply: ``floor(log2(mean))``, at least 0; `UNSEEN` where no such product changes,
            which is proof that the fault changes nothing; int64 (faults,).
    """

    studies: dict[str, StuckAtStudy]
    golden: dict[str, IntArray]
    circuit: IntArray
    place: IntArray
    size: IntArray

    def __len__(self) -> int:
        """How many faults."""
        return len(self.place)

    @classmethod
    def of(cls, network: ArrayNetwork) -> GateFaults:
        """The faults of all multipliers that a network uses, in the order of their names.

        Raises:
            TaskError: a multiplier has no netlist.
        """
        names = sorted(network.circuits)
        studies = {name: _study(name, network) for name in names}
        bits = [
            _sizes(study, network.circuits[name].table, used_pairs(network, name)) for name, study in studies.items()
        ]
        return cls(
            studies,
            {name: network.circuits[name].table for name in names},
            np.concatenate([np.full(len(b), number, np.int64) for number, b in enumerate(bits)]),
            np.concatenate([np.arange(len(b), dtype=np.int64) for b in bits]),
            np.concatenate(bits),
        )

    def name_of(self, number: int) -> str:
        """The circuit that has a fault."""
        return list(self.studies)[int(self.circuit[number])]

    def fault(self, number: int) -> Fault:
        """The line of a fault."""
        return self.studies[self.name_of(number)].faults[int(self.place[number])]

    def table(self, number: int) -> IntArray:
        """Products of all pairs of bit patterns with a fault, int64 (2**a_bits, 2**b_bits)."""
        name = self.name_of(number)
        return self.studies[name].results(int(self.place[number])).reshape(self.golden[name].shape)

    def difference(self, number: int) -> IntArray:
        """By how much a fault changes them."""
        found: IntArray = self.table(number) - self.golden[self.name_of(number)]
        return found


def _study(name: str, network: ArrayNetwork) -> StuckAtStudy:
    try:
        return stuck_at(network.circuits[name])
    except CircuitError as error:
        raise TaskError(f"faults of the gates of multiplier {name!r} cannot be listed: {error}") from error


def used_pairs(network: ArrayNetwork, circuit: str) -> NDArray[np.bool_]:
    """Pairs of bit patterns that a circuit may get in a network, bool (2**a_bits, 2**b_bits)."""
    table = network.circuits[circuit].table
    found = np.zeros(table.shape, bool)
    for placement in network.placements.values():
        step, use, code = placement.step, placement.use, placement.source.code
        if use.name != circuit:
            continue
        codes = np.arange(code.low, code.high + 1) << step.shifts[0]
        weights = np.unique(np.concatenate([np.unique(w) for w in placement.weights])) << step.shifts[1]
        a, _ = operand_bits(codes, use.a_bits, use.a_signed)
        w, _ = operand_bits(weights, use.b_bits, use.b_signed)
        found[np.ix_(a, w)] = True
    return found


def _sizes(study: StuckAtStudy, golden: IntArray, used: NDArray[np.bool_]) -> IntArray:
    known: dict[bytes, int] = {}
    right = golden[used]
    for place, signature in enumerate(study.signatures):
        key = signature.tobytes()
        if key not in known:
            changed = study.shown[place] and np.abs(study.results(place).reshape(golden.shape)[used] - right)
            known[key] = UNSEEN if not np.any(changed) else max(0, math.floor(math.log2(float(np.mean(changed)))))
    return np.array([known[signature.tobytes()] for signature in study.signatures], np.int64)
