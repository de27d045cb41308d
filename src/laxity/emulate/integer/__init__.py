"""Integer-only networks, in which software and hardware agree without any float."""

from laxity.emulate.integer.model import FloatEnds, IntegerModel, integer_model

__all__ = ["FloatEnds", "IntegerModel", "integer_model"]
