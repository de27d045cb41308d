"""An adder as the rest of laxity sees it: its netlist, what it computes, and how far that is from the exact sum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from laxity.circuits.adder_family import MAX_ADDER_WIDTH
from laxity.circuits.assess import SAMPLING, Sampling, assess
from laxity.circuits.distribution import UNIFORM, Operands
from laxity.circuits.metrics import ErrorMetrics
from laxity.circuits.netlist import Circuit
from laxity.circuits.simulate import evaluate
from laxity.circuits.subject import netlist_subject
from laxity.core.errors import CircuitError

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Adder:
    """A two-operand adder of n bits; equal to another when the netlists are equal, whatever their names.

    Attributes:
        name: for people; the identity is `key`.
        circuit: input ports a and b of n bits each, output port s of n + 1 bits.
        family: name of the generating family, or ``"custom"``.
        exact: every sum is known to be exact, so that nobody needs to simulate the gates for it.

    Raises:
        CircuitError: the netlist has other ports or is too wide.
    """

    name: str
    circuit: Circuit
    family: str = "custom"
    exact: bool = False

    def __post_init__(self) -> None:
        """Check the ports."""
        inputs = {p.name: p.width for p in self.circuit.inputs}
        outputs = {p.name: p.width for p in self.circuit.outputs}
        bits = inputs.get("a", 0)
        if inputs != {"a": bits, "b": bits} or outputs != {"s": bits + 1} or not 1 <= bits <= MAX_ADDER_WIDTH:
            raise CircuitError(
                f"adder {self.name!r} has inputs {inputs} and outputs {outputs}; it needs a and b of n bits and s of "
                f"n + 1 bits, with n at most {MAX_ADDER_WIDTH}"
            )

    @property
    def bits(self) -> int:
        """Width of an operand."""
        return self.circuit.port("a").width

    @property
    def key(self) -> str:
        """Content hash of the netlist; the name does not enter."""
        return self.circuit.key

    def add(self, a: npt.ArrayLike, b: npt.ArrayLike) -> IntArray:
        """Sums of n + 1 bits, int64, of unsigned operands in 0..2^n - 1 of equal shapes.

        Raises:
            CircuitError: an operand does not fit, or the shapes differ.
        """
        return evaluate(self.circuit, {"a": a, "b": b})["s"]

    def add_signed(self, a: npt.ArrayLike, b: npt.ArrayLike) -> IntArray:
        """Two's complement sums of n bits, int64, of operands of any value, which are wrapped into n bits first.

        Raises:
            CircuitError: the operands are no integers, or their shapes differ.
        """
        mask = (1 << self.bits) - 1
        total = self.add(np.asarray(a) & mask, np.asarray(b) & mask) & mask
        return total - ((total >> (self.bits - 1)) << self.bits)

    def errors(self, operands: Operands = UNIFORM, sampling: Sampling = SAMPLING) -> ErrorMetrics:
        """Error metrics of sums of unsigned operands, carry out included; sampled where there are too many pairs.

        Args:
            operands: distribution of the operands by code.
            sampling: when and how operand pairs are sampled.

        Raises:
            CircuitError: as `assess`.
        """
        return assess(netlist_subject(self.circuit), operands, sampling)

    def __eq__(self, other: object) -> bool:
        """Compare netlists."""
        return isinstance(other, Adder) and self.key == other.key

    def __hash__(self) -> int:
        """Hash of the netlist."""
        return hash(self.key)
