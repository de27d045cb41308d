"""Modes of single filters on a reconfigurable multiplier: the greedy search, and AxNN and ApproxANN as cases of it."""

from laxity.search.filterwise.layer import Level
from laxity.search.filterwise.methodology import filterwise, layerwise, networkwise
from laxity.search.filterwise.modes import Modes, Subject
from laxity.search.filterwise.neurons import Resilience, Threshold, approxann, axnn, resilient
from laxity.search.filterwise.result import Filterwise, Step

__all__ = [
    "Filterwise",
    "Level",
    "Modes",
    "Resilience",
    "Step",
    "Subject",
    "Threshold",
    "approxann",
    "axnn",
    "filterwise",
    "layerwise",
    "networkwise",
    "resilient",
]
