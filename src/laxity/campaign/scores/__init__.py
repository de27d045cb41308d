"""Scores that predict which faults change predictions, without injecting them: one file each, by name in `SCORES`."""

from laxity.campaign.scores.disturbance import Disturbance
from laxity.campaign.scores.gradient import Gradient
from laxity.campaign.scores.lrp import Lrp
from laxity.campaign.scores.magnitude import Magnitude
from laxity.campaign.scores.margin import Margin
from laxity.campaign.scores.neurons import StruckNeurons
from laxity.campaign.scores.random_score import Random
from laxity.campaign.scores.ranking import Groups, ProtectionCurve, area_under_roc, protection_curve, spearman
from laxity.campaign.scores.relevances import relevance_maps
from laxity.campaign.scores.score import SCORES, Score, Struck
from laxity.campaign.scores.taylor_margin import TaylorMargin
from laxity.campaign.scores.weights import StruckWeights, weight_changes

__all__ = [
    "SCORES",
    "Disturbance",
    "Gradient",
    "Groups",
    "Lrp",
    "Magnitude",
    "Margin",
    "ProtectionCurve",
    "Random",
    "Score",
    "Struck",
    "StruckNeurons",
    "StruckWeights",
    "TaylorMargin",
    "area_under_roc",
    "protection_curve",
    "relevance_maps",
    "spearman",
    "weight_changes",
]
