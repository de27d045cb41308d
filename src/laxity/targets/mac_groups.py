"""Resources of groups of multiply-accumulate units on an FPGA: what does not grow with the units, and what does.

Layers with operands of the same widths share a group of M units. The tables and flip-flops of a group follow::

    T_M = alpha_M T_16,   F_M = beta_M F_16       M        16     32     64    128    256
                                                  alpha   1.00   1.20   1.68   2.25   3.78
                                                  beta    1.00   1.04   1.12   1.28   1.54

Source: V. Akhlaghi, dissertation, UC San Diego, 2020, equation 4.14 and table 4.7. Linear fits to the table, for M
between its columns: alpha = 0.850 + 0.01141 M and beta = 0.973 + 0.002253 M, within 7 %.

The table is for one unit. For other units, the slope of the fit is read as the published unit, and exchanged::

    T_M(unit) = alpha_M T_16 + M (unit - 0.01141 T_16),   F_M(unit) = beta_M F_16 + M (unit - 0.002253 F_16)

which is the equation itself for the published unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from laxity.core.estimate import Basis, Estimate

LUT_FACTORS: Mapping[int, float] = MappingProxyType({16: 1.0, 32: 1.2, 64: 1.68, 128: 2.25, 256: 3.78})
"""alpha of table 4.7 by number of units."""

FF_FACTORS: Mapping[int, float] = MappingProxyType({16: 1.0, 32: 1.04, 64: 1.12, 128: 1.28, 256: 1.54})
"""beta of table 4.7 by number of units."""

LUT_FIT, FF_FIT = (0.850, 0.01141), (0.973, 0.002253)
"""Offset and slope of the linear fits."""


def lut_factor(units: int) -> float:
    """alpha: from the table where it has this number of units, else from its linear fit."""
    return LUT_FACTORS.get(units, LUT_FIT[0] + LUT_FIT[1] * units)


def ff_factor(units: int) -> float:
    """beta: from the table where it has this number of units, else from its linear fit."""
    return FF_FACTORS.get(units, FF_FIT[0] + FF_FIT[1] * units)


@dataclass(frozen=True, slots=True)
class Published:
    """The group from which the table starts.

    Attributes:
        lut, ff: tables and flip-flops of 16 units, T_16 and F_16.
    """

    lut: Estimate
    ff: Estimate

    @property
    def unit_lut(self) -> float:
        """Tables of the published unit, by the slope of the fit."""
        return LUT_FIT[1] * self.lut.value

    @property
    def unit_ff(self) -> float:
        """Flip-flops of the published unit, by the slope of the fit."""
        return FF_FIT[1] * self.ff.value


@dataclass(frozen=True, slots=True)
class Group:
    """Units that some layers share.

    Attributes:
        sites: those that run on it.
        unit_lut: tables of one unit, with every core and adder that the sites need.
        unit_ff: its flip-flops.
    """

    sites: tuple[str, ...]
    unit_lut: Estimate
    unit_ff: Estimate

    def lut(self, units: int, published: Published) -> Estimate:
        """Tables of the group with so many units."""
        fixed = lut_factor(units) * published.lut.value - units * published.unit_lut
        return _group(fixed, units, self.unit_lut, published.lut)

    def ff(self, units: int, published: Published) -> Estimate:
        """Flip-flops of the group with so many units."""
        fixed = ff_factor(units) * published.ff.value - units * published.unit_ff
        return _group(fixed, units, self.unit_ff, published.ff)


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Groups that fit the device.

    Attributes:
        groups: every site is in one of them.
        units: M, the same in every group.
    """

    groups: tuple[Group, ...]
    units: int

    def cycles(self, macs: float) -> float:
        """Cycles in which one group works off so many products."""
        return -(-macs // self.units)


def totals(groups: Sequence[Group], units: int, published: Published) -> tuple[Estimate, Estimate]:
    """Tables and flip-flops of some groups with so many units each."""
    lut = Estimate.total([g.lut(units, published) for g in groups], "LUT")
    return lut, Estimate.total([g.ff(units, published) for g in groups], "FF")


def most_units(groups: Sequence[Group], published: Published, budget: tuple[int, int], most: int) -> int | None:
    """Largest number of units of table 4.7, at most `most`, with which the groups fit; None if none does.

    Args:
        groups: that stand beside each other on the device.
        published: the group from which the table starts.
        budget: tables and flip-flops of the device.
        most: upper limit.
    """
    fitting = []
    for units in LUT_FACTORS:
        lut, ff = totals(groups, units, published)
        if units <= most and lut.value <= budget[0] and ff.value <= budget[1]:
            fitting.append(units)
    return max(fitting, default=None)


def _group(fixed: float, units: int, unit: Estimate, published: Estimate) -> Estimate:
    part = max(0.0, fixed)
    shared = Estimate.point(part, unit.unit, max(published.basis, Basis.SCALED, key=lambda b: b.rank), published.source)
    return Estimate.total([shared, unit.scale(units)], unit.unit)
