"""What lies behind a cost: the processing element of a plan, and what each site makes the machine do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from laxity.targets.pe_design import PeDesign


@dataclass(frozen=True, slots=True)
class Element:
    """The processing element that all sites of a plan share.

    Attributes:
        units: cores, each with its adder where that is not the exact one.
        instances: elements of the array.
        flip_flops: of one element.
        area_um2: of one element by part: ``multiplier``, ``adder`` (sign logic among it), ``selection`` (between
            several cores or adders), ``registers``.
        delay_ns: slowest path of each unit, without the registers' own timing.
        register_ns: set-up and clock-to-output time of registers; None where the target does not state it.
        period_ns: of the clock; None where the target has none.
    """

    units: tuple[str, ...]
    instances: int
    flip_flops: int
    area_um2: Mapping[str, float]
    delay_ns: Mapping[str, float]
    register_ns: float | None = None
    period_ns: float | None = None

    @staticmethod
    def of(
        design: PeDesign, instances: int, register_ns: float | None = None, period_ns: float | None = None
    ) -> Element:
        """The element of a design."""
        return Element(
            units=tuple(design.elements),
            instances=instances,
            flip_flops=design.flip_flops,
            area_um2=dict(design.area_parts_um2),
            delay_ns=dict(design.unit_delay_ns),
            register_ns=register_ns,
            period_ns=period_ns,
        )


@dataclass(frozen=True, slots=True)
class SiteUse:
    """What one site makes the machine do for one sample.

    Attributes:
        site: name.
        unit: core and adder that it uses.
        macs: products that are executed.
        cycles: in which the machine is busy with it.
        utilisation: executed products per element and cycle, at most 1.
        moved_bits: bits read and written, by level of memory.
        product_pj: energy inside the element per executed product, by component of the cost, on the operands that the
            site was costed with.
        uniform_pj: the same on uniform operands of the same widths; empty where the target does not tell them apart.
        sampled: whether the site was costed with operands that were sampled there.
    """

    site: str
    unit: str
    macs: float
    cycles: int
    utilisation: float
    moved_bits: Mapping[str, float]
    product_pj: Mapping[str, float]
    uniform_pj: Mapping[str, float] = field(default_factory=dict)
    sampled: bool = False


@dataclass(frozen=True, slots=True)
class Breakdown:
    """What lies behind the cost of a network.

    Attributes:
        element: None where the target says nothing about it.
        sites: in running order; none where the target says nothing about them.
    """

    element: Element | None = None
    sites: tuple[SiteUse, ...] = ()
