"""Techniques, one file each; importing this package registers them."""

from laxity.techniques.data import integer
from laxity.techniques.hardware import accumulator, composed, multiplier
from laxity.techniques.software import channels, magnitude

Integer = integer.Integer
MagnitudePruning = magnitude.MagnitudePruning
ChannelPruning = channels.ChannelPruning
CircuitMultiplier = multiplier.CircuitMultiplier
ComposedProduct = composed.ComposedProduct
CircuitAccumulator = accumulator.CircuitAccumulator
CurableCarry = accumulator.CurableCarry

__all__ = [
    "ChannelPruning",
    "CircuitAccumulator",
    "CircuitMultiplier",
    "ComposedProduct",
    "CurableCarry",
    "Integer",
    "MagnitudePruning",
]
