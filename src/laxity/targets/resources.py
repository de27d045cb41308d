"""Cost of a machine whose silicon is given: what a plan takes of it is counted in parts, not in area."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from laxity.core.estimate import Basis, Estimate
from laxity.core.records import Cost


@dataclass(frozen=True, slots=True)
class ResourceCost(Cost):
    """Cost of one sample with the parts of the device that the machine takes.

    Attributes:
        resources: by name, for example ``"lut"``; each estimate has a unit such as ``"LUT"``.
        time_s: time of one sample at the clock of the description, in s.
    """

    resources: Mapping[str, Estimate] = field(default_factory=dict)
    time_s: Estimate = field(default_factory=lambda: Estimate.point(0, "s", Basis.MODELLED, "not stated"))


NO_AREA = Estimate.point(
    0, "um2", Basis.MODELLED, "no area of its own: the device is given, and what is taken of it is counted in resources"
)
"""Area of a design on a device that exists already."""
