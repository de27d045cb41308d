"""The accelerator in standard cells: mapped, simulated cycle by cycle, and measured."""

from laxity.rtl.silicon.check import simulate_gates
from laxity.rtl.silicon.mapping import SiliconDesign, map_accelerator
from laxity.rtl.silicon.measure import (
    MeasuredMemory,
    MeasuredPart,
    Silicon,
    StepEnergy,
    measure_accelerator,
    write_silicon,
)

__all__ = [
    "MeasuredMemory",
    "MeasuredPart",
    "Silicon",
    "SiliconDesign",
    "StepEnergy",
    "map_accelerator",
    "measure_accelerator",
    "simulate_gates",
    "write_silicon",
]
