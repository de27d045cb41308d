"""The dynamic segment multiplier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from laxity.circuits.arithmetic import segment_product
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Parameter, multiplier_family
from laxity.circuits.formula import Formula, top_power
from laxity.core.demand import IntArray


def _kept(x: IntArray, _: int, m: int) -> list[IntArray]:
    return [x & -np.maximum(top_power(x) >> (m - 1), 1)]


@multiplier_family(
    "dsm",
    parameters=[Parameter("m", "bits kept from the leading one", lambda n: 1, lambda n: n)],
    grid=lambda n: [(m,) for m in range(2, n)],
    source="S. Narayanamoorthy et al., Energy-efficient approximate multiplication for digital signal processing and "
    "classification applications, IEEE TVLSI 23(6), 2015",
    formula=Formula(_kept, _kept),
)
def dsm(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], m: int) -> list[int]:
    """Product p = t(a) * t(b), exact product of truncated operands: t keeps the m bits from the leading one down."""
    return segment_product(builder, a, b, m, set_one=False)
