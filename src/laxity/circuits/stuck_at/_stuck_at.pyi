"""Types of the compiled simulation of faults, made from ``src/native/stuck_at.cpp``."""

import numpy as np
import numpy.typing as npt

INTERFACE: int
BLOCK: int
"""Words that are simulated together; all arrays have a multiple of it."""

Numbers = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]

def instruction_sets() -> list[str]:
    """Instruction sets that this machine has, the best first."""

class Engine:
    """Simulates stuck-at faults of one circuit."""

    def __init__(
        self,
        cells: Numbers,
        pins: Numbers,
        drives: Numbers,
        outputs: Numbers,
        golden: Words,
        mask: Words,
        keys: Words,
        codes: Numbers | Integers,
        exact: Numbers | Integers,
        is_signed: bool,
        isa: str,
    ) -> None:
        """Take the circuit, see ``src/native/stuck_at.h`` for the shapes.

        Raises:
            ValueError: shapes do not fit each other, a number is out of range, or the instruction set is missing.
        """

    def run(
        self,
        lines: Numbers,
        starts: Integers,
        cones: Numbers,
        counts: Integers,
        changed: Words,
        signatures: Words,
    ) -> None:
        """Add to the counts, changed bits and signatures of every fault, which are zeros before."""

    def planes(self, lines: Numbers, starts: Integers, cones: Numbers, planes: Words) -> None:
        """Write differences of the outputs (bits, words) with one fault."""
