"""From energies per site to the cost of a network: what all cost models do alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from laxity.core.demand import Demand
from laxity.core.estimate import Basis, Estimate
from laxity.core.records import Cost


def assemble(
    demands: Sequence[Demand],
    components: Sequence[str],
    energies: Iterable[Sequence[Estimate]],
    *,
    area_um2: Estimate,
    latency_cycles: Estimate,
    resources: Mapping[str, Estimate] | None = None,
    time_s: Estimate | None = None,
) -> Cost:
    """Name energies by site and component, and count the bits of the stored model.

    Args:
        demands: one per site.
        components: names of the energy components.
        energies: per demand, one estimate in pJ for each component.
        area_um2: as in `Cost`, like all that follow.
        latency_cycles: cycles of one sample.
        resources: parts of a given device.
        time_s: time of one sample.
    """
    stored = sum(d.weight_storage_bits for d in demands)
    return Cost(
        energy_parts_pj=tuple(
            (demand.site, name, energy)
            for demand, parts in zip(demands, energies, strict=True)
            for name, energy in zip(components, parts, strict=True)
        ),
        area_um2=area_um2,
        latency_cycles=latency_cycles,
        memory_bits=Estimate.point(stored, "bit", Basis.MEASURED, "stored weights and indices, counted"),
        resources=resources or {},
        time_s=time_s,
    )
