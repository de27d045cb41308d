"""Hsiao's codes: they correct one wrong bit of a word and notice two.

Every bit of a code word has a column of c bits; the syndrome of an error is the exclusive or of the columns of the
wrong bits. Columns are distinct and have an odd number of ones, those of the check bits a single one. Two wrong bits
give an even number of ones, which no column has; so the minimum distance is 4.

Source: M. Y. Hsiao, "A class of optimal minimum odd-weight-column SEC-DED codes", IBM Journal of Research and
Development 14 (4), 1970: columns of least weight, and rows of weights as equal as possible, for the smallest and
fastest circuits. The columns here are chosen one after the other so that rows stay even.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations

from laxity.core.errors import CircuitError

MAX_DATA_BITS = 247
"""Data bits that 9 check bits can serve."""


@cache
def check_bits(data_bits: int) -> int:
    """Fewest check bits c with enough columns of odd weight: 2^(c-1) >= data_bits + c.

    Raises:
        CircuitError: there is no such code here.
    """
    if not 1 <= data_bits <= MAX_DATA_BITS:
        raise CircuitError(f"a Hsiao code has 1 to {MAX_DATA_BITS} data bits, not {data_bits}")
    return next(c for c in range(3, 10) if 1 << (c - 1) >= data_bits + c)


@cache
def columns(data_bits: int) -> tuple[int, ...]:
    """Columns of the data bits, each a number of `check_bits` bits; check bit i has the column ``1 << i``.

    Raises:
        CircuitError: as `check_bits`.
    """
    bits = check_bits(data_bits)
    loads, found = [0] * bits, list[int]()
    for weight in range(3, bits + 1, 2):
        left = [frozenset(rows) for rows in combinations(range(bits), weight)]
        while left and len(found) < data_bits:
            best = min(left, key=lambda rows: (sum(2 * loads[r] + 1 for r in rows), sorted(rows)))
            left.remove(best)
            found.append(sum(1 << r for r in best))
            for r in best:
                loads[r] += 1
    return tuple(found)
