"""The optimised lower-part constant-OR adder."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.adder_family import adder_family, low_part
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Parameter
from laxity.circuits.netlist import ONE, ZERO
from laxity.core.errors import CircuitError


def _grid(width: int) -> list[tuple[int, ...]]:
    return [(low, low - 2) for low in dict.fromkeys((width // 4, width // 2)) if 2 < low < width]


@adder_family(
    "oloca",
    parameters=[
        low_part("least significant bits that are not added"),
        Parameter("m", "least significant bits that are constant 1, at most l", lambda n: 0, lambda n: n - 1),
    ],
    grid=_grid,
    source="A. Dalloo, A. Najafi, A. Garcia-Ortiz, Systematic design of an approximate adder: the optimized lower part "
    "constant-OR adder, IEEE TVLSI 26(8), 2018",
)
def oloca(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], low: int, constant: int) -> list[int]:
    """Sum as that of the lower-part OR adder of l bits, with its m low bits set to 1."""
    if constant > low:
        raise CircuitError(f"oloca{len(a)}_{low}_{constant} sets more bits to 1 than its low part has; use m <= l")
    carry = builder.and_(a[low - 1], b[low - 1]) if low else ZERO
    high, top = builder.add(a[low:], b[low:], carry)
    joined = [builder.or_(x, y) for x, y in zip(a[constant:low], b[constant:low], strict=True)]
    return [*[ONE] * constant, *joined, *high, top]
