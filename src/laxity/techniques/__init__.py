"""Techniques, one file each; importing this package registers them."""

from laxity.techniques.data import bfloat16, hybrid, integer, minifloat
from laxity.techniques.hardware import (
    accumulator,
    composed,
    control_variate,
    filter_multipliers,
    multiplier,
    range_restriction,
)
from laxity.techniques.software import channels, magnitude

Integer = integer.Integer
Minifloat = minifloat.Minifloat
BFloat16 = bfloat16.BFloat16
HybridFloat = hybrid.HybridFloat
MagnitudePruning = magnitude.MagnitudePruning
ChannelPruning = channels.ChannelPruning
CircuitMultiplier = multiplier.CircuitMultiplier
ComposedProduct = composed.ComposedProduct
ControlVariate = control_variate.ControlVariate
FilterMultipliers = filter_multipliers.FilterMultipliers
CircuitAccumulator = accumulator.CircuitAccumulator
CurableCarry = accumulator.CurableCarry
RangeRestriction = range_restriction.RangeRestriction

__all__ = [
    "BFloat16",
    "ChannelPruning",
    "CircuitAccumulator",
    "CircuitMultiplier",
    "ComposedProduct",
    "ControlVariate",
    "CurableCarry",
    "FilterMultipliers",
    "HybridFloat",
    "Integer",
    "MagnitudePruning",
    "Minifloat",
    "RangeRestriction",
]
