"""From a plan to a model that computes what the approximate hardware computes."""

from laxity.emulate.apply import approximate
from laxity.emulate.build import build, calibrate
from laxity.emulate.integer import FloatEnds, IntegerModel, integer_model
from laxity.emulate.layer import EmulatedLayer
from laxity.emulate.matmul import matmul

__all__ = [
    "EmulatedLayer",
    "FloatEnds",
    "IntegerModel",
    "approximate",
    "build",
    "calibrate",
    "integer_model",
    "matmul",
]
