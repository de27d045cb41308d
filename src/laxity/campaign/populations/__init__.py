"""Fault populations, one file each; importing this package registers them."""

from laxity.campaign.populations.accumulators import Accumulators
from laxity.campaign.populations.activations import Activations, Neurons
from laxity.campaign.populations.gates import Gates
from laxity.campaign.populations.macs import Macs
from laxity.campaign.populations.weights import Weights

__all__ = ["Accumulators", "Activations", "Gates", "Macs", "Neurons", "Weights"]
