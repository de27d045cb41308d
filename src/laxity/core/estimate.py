"""A number that knows where it comes from."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass


class Basis(enum.StrEnum):
    """How a figure was obtained, from the strongest evidence to the weakest."""

    MEASURED = "measured"
    SYNTHESISED = "synthesised"
    PUBLISHED = "published"
    SCALED = "scaled"
    MODELLED = "modelled"

    @property
    def rank(self) -> int:
        """0 for the strongest basis; larger is weaker."""
        return list(Basis).index(self)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with range, unit, basis and source.

    Attributes:
        value, low, high: in `unit`; ``low <= value <= high``.
        unit: for example ``"pJ"``, ``"um2"``, ``"cycles"``, ``"bit"``.
        basis: the weakest basis among everything the value was derived from.
        source: what the figure rests on, in words.
    """

    value: float
    low: float
    high: float
    unit: str
    basis: Basis
    source: str

    @staticmethod
    def point(value: float, unit: str, basis: Basis, source: str) -> Estimate:
        """An estimate without a stated range."""
        return Estimate(value, value, value, unit, basis, source)

    def scale(self, factor: float) -> Estimate:
        """Multiply value and range by a non-negative factor."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor, self.unit, self.basis, self.source)

    @staticmethod
    def total(parts: Iterable[Estimate], unit: str) -> Estimate:
        """Sum estimates of one unit with exactly rounded addition; the weakest basis and all sources are kept.

        Sources are phrases joined with ``"; "``; a phrase that several parts share is kept once, where it comes first.

        Raises:
            ValueError: the parts have different units.
        """
        items = list(parts)
        wrong = {e.unit for e in items} - {unit}
        if wrong:
            raise ValueError(f"cannot add {sorted(wrong)} to {unit}")
        basis = max((e.basis for e in items), key=lambda b: b.rank, default=Basis.MEASURED)
        sources = "; ".join(dict.fromkeys(phrase for e in items for phrase in e.source.split("; ")))
        return Estimate(
            math.fsum(e.value for e in items),
            math.fsum(e.low for e in items),
            math.fsum(e.high for e in items),
            unit,
            basis,
            sources,
        )
