"""A systolic accelerator in Verilog that computes an integer-only network bit for bit."""

from laxity.rtl.accelerator.configuration import Configuration
from laxity.rtl.accelerator.placement import Placement, place_products
from laxity.rtl.accelerator.schedule import Counts, Schedule, StepSchedule, make_schedule
from laxity.rtl.accelerator.simulate import Simulation, StepResult, find_simulator, simulate
from laxity.rtl.accelerator.write import Written, write_accelerator

__all__ = [
    "Configuration",
    "Counts",
    "Placement",
    "Schedule",
    "Simulation",
    "StepResult",
    "StepSchedule",
    "Written",
    "find_simulator",
    "make_schedule",
    "place_products",
    "simulate",
    "write_accelerator",
]
