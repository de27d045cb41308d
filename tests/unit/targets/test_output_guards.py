"""What looking after outputs costs on the array: counts by hand, energies that scale, prices that others refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from laxity.circuits.cells import default_library
from laxity.core.demand import Demand
from laxity.core.errors import TargetError
from laxity.core.guarding import Guarding
from laxity.core.op import Op, Site
from laxity.core.slots import Slot
from laxity.targets import load_target
from laxity.targets.output_guards import OutputGuards, windows

TARGET = "mac-array-45nm"
CHECKS = Guarding(check_filters=1, check_weight_bits=12, check_bits=32)


def demand(**changes: object) -> Demand:
    op = Op("conv2d", (8, 10, 10), (16, 4, 3, 3), (16, 10, 10), groups=2, rows=100, reduction=36, columns=8)
    return replace(Demand.of(Site("conv", op, (Slot.GUARD,), "conv")), **changes)  # type: ignore[arg-type]


def parts(of: Demand) -> dict[str, float]:
    cost = load_target(TARGET).cost([of])
    return {component: estimate.value for _, component, estimate in cost.energy_parts_pj}


def test_operations_by_hand() -> None:
    for guard, wanted in (
        (Guarding(comparisons=2), [1600]),
        (Guarding(copies=2), [1600]),
        (Guarding(copies=3), [1600]),
        (CHECKS, [1600, 200, 200 * 36]),
        (replace(CHECKS, checked_inputs=True), [1600, 200, 1600, 200 * 36]),
    ):
        guarded = demand(guard=guard)
        hardware = OutputGuards.of([guarded], 16, 16, 32)
        assert hardware is not None
        assert windows(guarded) == 200
        assert [n for n, _ in hardware.operations(guarded)] == wanted
        assert all(a.switching_pj > 0 and a.clocked > 0 for _, a in hardware.operations(guarded))
        assert hardware.words(guarded) == (200 * 3 if guard.check_filters else 0), "36 rows are three tiles of 16"
    assert OutputGuards.of([demand()], 16, 16, 32) is None


def test_copies_cost_what_they_repeat() -> None:
    twice, thrice = (parts(demand(guard=Guarding(copies=n))) for n in (2, 3))
    plain, memory = parts(demand()), load_target(TARGET).constants
    assert parts(demand(guard=Guarding())) == plain, "nothing is done"
    repeated = [name for name in plain if name not in {"dram", "leakage"}]
    least = sum(plain[name] for name in repeated)
    for n, found in ((2, twice), (3, thrice)):
        assert all(found[name] == pytest.approx(plain[name]) for name in repeated)
        words = (n - 1) * 1600 * demand().accumulator_bits / memory.value("accumulator_memory.word")
        waiting = words * (memory.value("accumulator_memory.read") + memory.value("accumulator_memory.write"))
        extra = found["protection"] - (n - 1) * least - waiting
        assert 0 < extra < 0.05 * least, "comparators or voters"
        assert found["leakage"] > n * plain["leakage"]
    cycles = [load_target(TARGET).cost([demand(guard=Guarding(copies=n))]).latency_cycles.value for n in (1, 2, 3)]
    assert cycles == [cycles[0], 2 * cycles[0], 3 * cycles[0]]


def test_a_checksum_column_costs_about_its_share_of_the_filters() -> None:
    plain, checked = parts(demand()), parts(demand(guard=CHECKS))
    core = plain["multiplier"] + plain["accumulator"]
    assert core / 8 < checked["protection"] < 4 * core / 8, "one filter more than eight, with wider weights"
    assert parts(demand(guard=replace(CHECKS, check_bits=20)))["protection"] < checked["protection"]
    assert parts(demand(guard=replace(CHECKS, checked_inputs=True)))["protection"] > checked["protection"]
    library = default_library()
    hardware = OutputGuards.of([demand(guard=CHECKS)], 16, 16, 32)
    assert hardware is not None
    assert hardware.element is not None
    own = 16 * hardware.element.area_um2(library)
    assert own < hardware.area_um2(library) < 3 * own
    areas = [load_target(TARGET).cost([d]).area_um2.value for d in (demand(), demand(guard=CHECKS))]
    assert areas[1] - areas[0] > hardware.area_um2(library), "and a memory for the sums"


def test_range_restriction_costs_less_than_checksums_and_checksums_less_than_copies() -> None:
    energies = [
        load_target(TARGET).cost([demand(guard=g)]).energy_pj.value
        for g in (None, Guarding(comparisons=2), CHECKS, Guarding(copies=2), Guarding(copies=3))
    ]
    assert energies == sorted(energies)


def test_other_targets_refuse() -> None:
    for name in ("eyeriss-like", "zynq-7020"):
        target = load_target(name)
        with pytest.raises(TargetError, match="looks after its outputs"):
            target.check_arithmetic([demand(guard=CHECKS)])


def test_too_slow_a_column_is_refused() -> None:
    with pytest.raises(TargetError, match="looks after outputs"):
        load_target(TARGET).cost([demand(guard=replace(CHECKS, check_bits=60))])
