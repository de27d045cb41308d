"""Bounds on what failing neurons and struck weights can do, and certificates of faults that change no prediction."""

from laxity.campaign.bounds.certificates import Certified, certified_masked
from laxity.campaign.bounds.feed_forward import FeedForward
from laxity.campaign.bounds.linearised import Forced, Linearised, Reach
from laxity.campaign.bounds.printed import LayerFacts, forward_error

__all__ = [
    "Certified",
    "FeedForward",
    "Forced",
    "LayerFacts",
    "Linearised",
    "Reach",
    "certified_masked",
    "forward_error",
]
