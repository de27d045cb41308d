"""The combinational part of an accumulator: an adder with wrap-around or saturation, or one whose carry is curable."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from laxity.circuits.adder import Adder
from laxity.circuits.adder_family import MAX_ADDER_WIDTH, MIN_ADDER_WIDTH
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.netlist import ZERO, Circuit
from laxity.circuits.simulate import evaluate
from laxity.core.errors import CircuitError

OVERFLOWS = ("wrap", "saturate")
"""What an accumulator does with sums that do not fit."""


def accumulator_stage(adder: Adder, overflow: str = "wrap") -> Circuit:
    """One step of a two's complement accumulator: the next sum from the sum and a product.

    Saturation judges by signs, as the flag of a processor does: where both operands have one sign and the adder's
    result the other, the result becomes the largest or smallest number of the operands' sign.

    Args:
        adder: adds sum (port a) and product (port b).
        overflow: ``wrap`` keeps the low n bits, ``saturate`` the nearest number that fits.

    Returns:
        A circuit with input ports a (sum) and b (product) and output port s, all of the adder's width.

    Raises:
        CircuitError: unknown overflow behaviour.
    """
    if overflow not in OVERFLOWS:
        raise CircuitError(f"an accumulator cannot {overflow!r} on overflow; choose one of {', '.join(OVERFLOWS)}")
    bits = adder.bits
    builder = CircuitBuilder(f"{adder.circuit.name}_{overflow}", f"{adder.circuit.source}; accumulator with {overflow}")
    a, b = builder.input("a", bits), builder.input("b", bits)
    with builder.block("accumulator"):
        total = builder.instantiate(adder.circuit, {"a": a, "b": b})["s"][:bits]
        if overflow == "saturate":
            over = builder.and_(builder.xnor(a[-1], b[-1]), builder.xor(a[-1], total[-1]))
            limit = [*[builder.inv(a[-1])] * (bits - 1), a[-1]]
            total = [builder.mux(over, bit, bound) for bit, bound in zip(total, limit, strict=True)]
    builder.output("s", total)
    return builder.build()


def curable_stage(bits: int, cuts: Sequence[int]) -> Circuit:
    """One step of an accumulator whose carry chain is cut; a carry that a cut stops is added in the next step.

    With one cut k the sum is kept as (s_lo, s_hi, c): ``s_lo + p_lo = s_lo' + 2^k c'`` and ``s_hi' = s_hi + p_hi + c``.
    After the last step, `curable_correction` adds what is pending, and the result is the exact sum modulo 2^bits.

    Args:
        bits: width of sum and product.
        cuts: ascending positions k, 0 < k < bits; the carry from bit k - 1 into bit k is the pending one.

    Returns:
        A circuit with input ports a (sum), b (product) and c (pending carries, one per cut), and output ports s and d,
        the next sum and pending carries. Its longest path is that of the widest part.

    Raises:
        CircuitError: the width or the cuts are out of range.

    Source: M. A. Hanif, F. Khalid, M. Shafique, "CANN: curable approximations for high-performance deep neural network
    accelerators", DAC 2019.
    """
    builder = _curable_builder("curable", bits, cuts)
    a, b, pending = builder.input("a", bits), builder.input("b", bits), builder.input("c", len(cuts))
    total: list[int] = []
    stopped: list[int] = []
    with builder.block("accumulator"):
        for carry, (low, high) in zip([ZERO, *pending], itertools.pairwise([0, *cuts, bits]), strict=True):
            found, out = builder.add(a[low:high], b[low:high], carry)
            total += found
            stopped.append(out)
    builder.output("s", total)
    builder.output("d", stopped[:-1])
    return builder.build()


def curable_correction(bits: int, cuts: Sequence[int]) -> Circuit:
    """The step that ends an accumulation by `curable_stage`: pending carries are added with the full carry chain.

    Returns:
        A circuit with input ports a (sum) and c (pending carries), and output port s.

    Raises:
        CircuitError: as `curable_stage`.
    """
    builder = _curable_builder("curable_correction", bits, cuts)
    a, pending = builder.input("a", bits), builder.input("c", len(cuts))
    addend = [ZERO] * bits
    for cut, net in zip(cuts, pending, strict=True):
        addend[cut] = net
    with builder.block("accumulator"):
        total, _ = builder.add(a, addend)
    builder.output("s", total)
    return builder.build()


def partial_sums(stage: Circuit, products: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """All contents of an accumulator that starts at 0, by simulation of its gates.

    Args:
        stage: input ports a (sum) and b (product), output port s.
        products: int64 (steps, ...), added in order; each is wrapped into the width of the stage.

    Returns:
        int64 (steps, ...), the two's complement sum after every product.
    """
    bits = stage.port("a").width
    state = np.zeros(products.shape[1:], dtype=np.int64)
    found = np.empty_like(products)
    for i, product in enumerate(products & ((1 << bits) - 1)):
        state = evaluate(stage, {"a": state, "b": product})["s"]
        found[i] = state
    return found - ((found >> (bits - 1)) << bits)


def curable_states(
    bits: int, cuts: Sequence[int], products: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Sums and pending carries of a curable accumulator after every step, by simulation of its gates.

    Args:
        bits: width of sum and product.
        cuts: as in `curable_stage`.
        products: int64 (steps, ...), added in order from 0; each is wrapped into `bits`.

    Returns:
        Two int64 arrays (steps, ...): sums as unsigned words of `bits`, and pending carries as words of one bit per
        cut. `curable_correction` turns each pair into the exact sum so far.

    Raises:
        CircuitError: as `curable_stage`.
    """
    stage = curable_stage(bits, cuts)
    out = {port: np.zeros(products.shape[1:], dtype=np.int64) for port in ("s", "d")}
    found = {port: np.empty_like(products) for port in out}
    for i, product in enumerate(products & ((1 << bits) - 1)):
        out = evaluate(stage, {"a": out["s"], "b": product, "c": out["d"]})
        for port, values in out.items():
            found[port][i] = values
    return found["s"], found["d"]


def _curable_builder(kind: str, bits: int, cuts: Sequence[int]) -> CircuitBuilder:
    ordered = all(low < high for low, high in itertools.pairwise([0, *cuts, bits]))
    if not (MIN_ADDER_WIDTH <= bits <= MAX_ADDER_WIDTH and cuts and ordered):
        raise CircuitError(
            f"a curable accumulator of {bits} bits cannot be cut at {list(cuts)}; give ascending positions between 0 "
            f"and the width, and a width of {MIN_ADDER_WIDTH}..{MAX_ADDER_WIDTH}"
        )
    name = "_".join(map(str, [kind, bits, *cuts]))
    return CircuitBuilder(name, "M. A. Hanif et al., CANN: curable approximations, DAC 2019; ripple-carry parts")
