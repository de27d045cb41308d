"""Simulation of faults by the compiled module: all faults over a few words, then over the next ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from types import ModuleType

import numpy as np

from laxity.circuits.simulate import Words
from laxity.circuits.stuck_at.fault import STEM, Fault
from laxity.circuits.stuck_at.program import Numbers, Program
from laxity.circuits.stuck_at.sums import Lanes, Sums, signature_keys
from laxity.core.compiled import compiled_module

INTERFACE = 1
"""Version of the compiled module that this one speaks to."""


@cache
def compiled() -> ModuleType | None:
    """The compiled module, or None where laxity was installed without a compiler.

    Raises:
        ToolError: the module belongs to another version of laxity.
    """
    return compiled_module("laxity.circuits.stuck_at._stuck_at", INTERFACE, "the compiled simulation of faults")


class NativeEngine:
    """Faults in one call.

    Args:
        program: the circuit and its operand pairs.
        module: what `compiled` returns.
        isa: instruction set, one of ``module.instruction_sets()``; the best if empty.
    """

    name = "native"

    def __init__(self, program: Program, module: ModuleType, isa: str = "") -> None:
        self._program, block = program, module.BLOCK
        mask = program.stimuli.mask
        self._words, padding = mask.size, -mask.size % block
        golden = np.pad(program.golden, ((0, 0), (0, padding)), mode="edge")
        keys = np.pad(signature_keys(program.device.bits, self._words), ((0, 0), (0, 0), (0, padding)))
        lanes = Lanes(program)
        codes, exact = (np.pad(_by_word(x), ((0, padding), (0, 0))) for x in (lanes.codes, lanes.exact))
        self._padded = self._words + padding
        self._cones: dict[tuple[int, int], Numbers] = {}
        self._engine = module.Engine(
            program.cells,
            program.pins,
            program.drives,
            program.outputs,
            np.ascontiguousarray(golden.reshape(len(golden), -1, block).transpose(1, 0, 2)),
            np.pad(mask, (0, padding)),
            keys,
            codes,
            exact,
            program.device.signed,
            isa,
        )

    def differences(self, fault: Fault) -> dict[int, Words]:
        """Output bits that a fault changes, each with the words of its difference, uint64 (words,)."""
        planes = np.empty((self._program.device.bits, self._padded), dtype=np.uint64)
        self._engine.planes(*self._laid_out([fault]), planes)
        return {bit: plane[: self._words] for bit, plane in enumerate(planes) if plane.any()}

    def run(self, faults: Sequence[Fault]) -> Sums:
        """Counts of every fault."""
        sums = Sums.empty(len(faults))
        if faults:
            self._engine.run(*self._laid_out(faults), sums.counts, sums.changed, sums.signatures)
        return sums

    def _laid_out(self, faults: Sequence[Fault]) -> tuple[Numbers, np.ndarray, Numbers]:
        """Lines (faults, 4), starts of the cones (faults + 1,) and the cones, one after the other."""
        lines = np.array([(f.net, f.value, f.gate, f.pin) for f in faults], dtype=np.int32)
        cones = [self._cone(fault) for fault in faults]
        starts = np.zeros(len(faults) + 1, dtype=np.int64)
        np.cumsum([cone.size for cone in cones], out=starts[1:])
        return lines, starts, np.concatenate(cones)

    def _cone(self, fault: Fault) -> Numbers:
        place = (fault.net, STEM) if fault.gate == STEM else (STEM, fault.gate)
        if place not in self._cones:
            self._cones[place] = self._program.cone(fault)
        return self._cones[place]


def _by_word(placed: np.ndarray) -> np.ndarray:
    """Results (8, words, 8) as (words, 64)."""
    return np.ascontiguousarray(placed.transpose(1, 0, 2)).reshape(placed.shape[1], 64)
