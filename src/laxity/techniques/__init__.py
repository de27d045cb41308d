"""Techniques, one file each; importing this package registers them."""

from laxity.techniques.data import bfloat16, hybrid, integer, minifloat
from laxity.techniques.hardware import (
    abft,
    accumulator,
    composed,
    control_variate,
    filter_multipliers,
    multiplier,
    range_restriction,
    redundancy,
)
from laxity.techniques.protection import in_place_ecc, parity, secded, tmr, weight_clip
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
Secded = secded.Secded
Parity = parity.Parity
TmrBits = tmr.TmrBits
Tmr = tmr.Tmr
InPlaceEcc = in_place_ecc.InPlaceEcc
WeightClip = weight_clip.WeightClip
Abft = abft.Abft
RangeRestriction = range_restriction.RangeRestriction
Redundancy = redundancy.Redundancy

__all__ = [
    "Abft",
    "BFloat16",
    "ChannelPruning",
    "CircuitAccumulator",
    "CircuitMultiplier",
    "ComposedProduct",
    "ControlVariate",
    "CurableCarry",
    "FilterMultipliers",
    "HybridFloat",
    "InPlaceEcc",
    "Integer",
    "MagnitudePruning",
    "Minifloat",
    "Parity",
    "RangeRestriction",
    "Redundancy",
    "Secded",
    "Tmr",
    "TmrBits",
    "WeightClip",
]
