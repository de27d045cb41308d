"""An adder as the rest of laxity sees it: its netlist, what it computes, and how far that is from the exact sum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from laxity.circuits.adder_family import MAX_ADDER_WIDTH
from laxity.circuits.netlist import Circuit
from laxity.circuits.simulate import evaluate
from laxity.core.errors import CircuitError
from laxity.core.seeds import stream

IntArray = npt.NDArray[np.int64]

EXHAUSTIVE_WIDTH = 10
"""Widest adder whose error metrics are taken over all operand pairs."""

SAMPLES = 1 << 18
"""Operand pairs drawn for wider adders."""


@dataclass(frozen=True, slots=True)
class AdditionErrors:
    """Error of an adder; e is approximate minus exact, y the exact sum of two unsigned operands, carry out included.

    Attributes:
        ep: error probability P(e != 0), a fraction.
        med: mean error distance E|e|.
        wce: largest |e| over the pairs.
        mred: mean relative error distance E(|e| / y) over pairs with y != 0, a fraction.
        max_red: largest |e| / y over pairs with y != 0, a fraction.
        nmed: med / (2 (2^n - 1)), the largest exact sum.
        mse: mean squared error E(e^2).
        bias: mean error E(e).
        error_at_zero: |e| where both operands are 0.
        pairs: number of operand pairs.
        exhaustive: all operand pairs were taken, not a sample.

    Source: J. Liang, J. Han, F. Lombardi, "New metrics for the reliability of approximate and probabilistic adders",
    IEEE Trans. Computers 62(9), 2013.
    """

    ep: float
    med: float
    wce: int
    mred: float
    max_red: float
    nmed: float
    mse: float
    bias: float
    error_at_zero: int
    pairs: int
    exhaustive: bool


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

    def errors(self, samples: int = SAMPLES, seed: int = 0) -> AdditionErrors:
        """Error metrics over all operand pairs up to `EXHAUSTIVE_WIDTH` bits, else over uniform random ones.

        Args:
            samples: number of random pairs.
            seed: root seed from which they are drawn.
        """
        exhaustive = self.bits <= EXHAUSTIVE_WIDTH
        if exhaustive:
            codes = np.arange(1 << (2 * self.bits), dtype=np.int64)
            a, b = codes >> self.bits, codes & ((1 << self.bits) - 1)
        else:
            a, b = stream(seed, "adder errors", self.bits).integers(0, 1 << self.bits, (2, samples))
        zero = int(self.add(np.zeros(1, np.int64), np.zeros(1, np.int64))[0])
        return _errors(self.add(a, b), a + b, self.bits, zero, exhaustive)

    def __eq__(self, other: object) -> bool:
        """Compare netlists."""
        return isinstance(other, Adder) and self.key == other.key

    def __hash__(self) -> int:
        """Hash of the netlist."""
        return hash(self.key)


def _errors(sums: IntArray, exact: IntArray, bits: int, zero: int, exhaustive: bool) -> AdditionErrors:
    error = (sums - exact).astype(np.float64)
    distance = np.abs(error)
    positive = exact > 0
    relative = distance[positive] / exact[positive]
    return AdditionErrors(
        ep=float((distance > 0).mean()),
        med=float(distance.mean()),
        wce=int(distance.max()),
        mred=float(relative.mean()),
        max_red=float(relative.max()),
        nmed=float(distance.mean()) / (2 * ((1 << bits) - 1)),
        mse=float((error * error).mean()),
        bias=float(error.mean()),
        error_at_zero=zero,
        pairs=int(exact.size),
        exhaustive=exhaustive,
    )
