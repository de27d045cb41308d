"""Searching for the cheapest plan inside an accuracy budget, and comparing ways to repair plans."""

from laxity.search.driver import Budget, Outcome, search
from laxity.search.filters import Filterwise, approxann, axnn, filterwise, layerwise, networkwise
from laxity.search.treat import Treated, baselines, treat
from laxity.search.uniform import Ladder, Rung, uniform

__all__ = [
    "Budget",
    "Filterwise",
    "Ladder",
    "Outcome",
    "Rung",
    "Treated",
    "approxann",
    "axnn",
    "baselines",
    "filterwise",
    "layerwise",
    "networkwise",
    "search",
    "treat",
    "uniform",
]
