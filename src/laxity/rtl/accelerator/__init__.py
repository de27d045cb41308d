"""A systolic accelerator in Verilog that computes an integer-only network bit for bit."""

from laxity.rtl.accelerator.configuration import Configuration
from laxity.rtl.accelerator.schedule import Counts, Schedule, StepSchedule, make_schedule
from laxity.rtl.accelerator.simulate import Simulation, StepResult, simulate
from laxity.rtl.accelerator.write import Written, write_accelerator

__all__ = [
    "Configuration",
    "Counts",
    "Schedule",
    "Simulation",
    "StepResult",
    "StepSchedule",
    "Written",
    "make_schedule",
    "simulate",
    "write_accelerator",
]
