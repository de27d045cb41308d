"""The circuit of the catalogue whose products are nearest to those of an imported one, and names of known tables."""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from laxity.circuits import catalogue
from laxity.circuits.multiplier import Multiplier

MAX_COMPARED_BITS = 8
"""Widest operands for which the tables of the whole catalogue are compared."""

EVOAPPROX_NAME = re.compile(r"(?:mul|add)[0-9]+(?:x[0-9]+)?(?:u|se|s)_[0-9A-Z]{3,4}")
"""Names of circuits in EvoApproxLib."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest circuit of the catalogue.

    Attributes:
        name: in the catalogue.
        med: mean distance of the products.
        differ: fraction of operand pairs with another product.
        swapped: it is nearer with its operands exchanged.
    """

    name: str
    med: float
    differ: float
    swapped: bool

    @property
    def identical(self) -> bool:
        """Every product is equal."""
        return self.differ == 0


def nearest(multiplier: Multiplier) -> Nearest | None:
    """Compare with all circuits of the default catalogue of this width and signedness; the first of equals.

    Returns:
        None for operands of unequal kinds, or wider than `MAX_COMPARED_BITS`.
    """
    bits, signed = multiplier.a_bits, multiplier.a_signed
    if bits != multiplier.b_bits or signed != multiplier.b_signed or not 2 <= bits <= MAX_COMPARED_BITS:
        return None
    best: Nearest | None = None
    for name in catalogue.names(bits, signed=signed):
        table = catalogue.get(name).table
        for swapped in (False, True):
            distance = np.abs(multiplier.table - (table.T if swapped else table))
            med = float(distance.mean())
            if best is None or med < best.med:
                best = Nearest(name, med, float((distance > 0).mean()), swapped)
    return best


@functools.cache
def _evoapprox() -> dict[str, list[str]]:
    text = files("laxity.circuits.importers").joinpath("evoapprox.toml").read_text(encoding="utf-8")
    tables: dict[str, list[str]] = tomllib.loads(text)["tables"]
    return tables


def evoapprox_names(multiplier: Multiplier) -> list[str]:
    """Names and versions of EvoApproxLib whose 8x8 multipliers have this table, in either order of operands."""
    turned = Multiplier.from_table(
        multiplier.table.T, a_signed=multiplier.b_signed, b_signed=multiplier.a_signed, name="exchanged"
    )
    known = _evoapprox()
    return known.get(multiplier.table_sha256) or known.get(turned.table_sha256) or []
