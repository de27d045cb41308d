"""Which simulation of faults is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, get_args

from laxity.circuits.simulate import Words
from laxity.circuits.stuck_at.fault import Fault
from laxity.circuits.stuck_at.native_engine import NativeEngine, compiled
from laxity.circuits.stuck_at.numpy_engine import NumpyEngine
from laxity.circuits.stuck_at.program import Program
from laxity.circuits.stuck_at.sums import Sums
from laxity.core.errors import CircuitError

Kind = Literal["auto", "native", "numpy"]
"""``"auto"`` is the compiled simulation where it is installed. Both count the same integers."""


class Engine(Protocol):
    """A simulation of faults of one program."""

    name: str

    def run(self, faults: Sequence[Fault]) -> Sums:
        """Counts of every fault, each alone in the circuit."""
        ...

    def differences(self, fault: Fault) -> dict[int, Words]:
        """Output bits that a fault changes, each with the words of its difference, uint64 (words,)."""
        ...


def make_engine(program: Program, kind: Kind = "auto") -> Engine:
    """A simulation of the faults of a program.

    Raises:
        CircuitError: an unknown kind, or the compiled one is asked for and not installed.
    """
    if kind not in get_args(Kind):
        raise CircuitError(f"unknown simulation of faults {kind!r}; choose one of {', '.join(get_args(Kind))}")
    module = None if kind == "numpy" else compiled()
    if module is not None:
        return NativeEngine(program, module)
    if kind == "native":
        raise CircuitError("the compiled simulation of faults is not installed; install a C++17 compiler, then laxity")
    return NumpyEngine(program)
