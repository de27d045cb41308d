"""Techniques, one file each; importing this package registers them."""

from laxity.techniques.data import integer
from laxity.techniques.hardware import multiplier
from laxity.techniques.software import channels, magnitude

Integer = integer.Integer
MagnitudePruning = magnitude.MagnitudePruning
ChannelPruning = channels.ChannelPruning
CircuitMultiplier = multiplier.CircuitMultiplier

__all__ = ["ChannelPruning", "CircuitMultiplier", "Integer", "MagnitudePruning"]
