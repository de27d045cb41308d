"""Modes of single filters on a reconfigurable multiplier: the greedy search, and AxNN and ApproxANN as cases of it."""

from laxity.search.filters.layer import Level
from laxity.search.filters.methodology import filterwise, layerwise, networkwise
from laxity.search.filters.modes import Modes, Subject
from laxity.search.filters.neurons import Resilience, Threshold, approxann, axnn, resilient
from laxity.search.filters.result import Filterwise, Step

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
