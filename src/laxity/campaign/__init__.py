"""Fault campaigns: many different faults in one pass of the network, from the layer that they strike on."""

from laxity.campaign.activations import ActivationEngine, ActivationTrials
from laxity.campaign.replay import Golden, Replay
from laxity.campaign.struck import Changes, StruckLayer, struck_layer
from laxity.campaign.weights import WeightEngine, WeightTrials

__all__ = [
    "ActivationEngine",
    "ActivationTrials",
    "Changes",
    "Golden",
    "Replay",
    "StruckLayer",
    "WeightEngine",
    "WeightTrials",
    "struck_layer",
]
