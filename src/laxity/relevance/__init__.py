"""How much each output channel of a network's sites matters: criteria, one file each, by name in `CRITERIA`."""

from laxity.relevance.criterion import CRITERIA, Criterion, Scores, Subject
from laxity.relevance.felt import FeltCriterion
from laxity.relevance.gradient import Gradient
from laxity.relevance.lrp_epsilon import LrpEpsilon
from laxity.relevance.lrp_zplus import LrpZPlus
from laxity.relevance.magnitude import Magnitude
from laxity.relevance.random_order import RandomOrder
from laxity.relevance.scores import relevances, subject_of
from laxity.relevance.sensitivity import Sensitivity
from laxity.relevance.silence import Chosen, least_relevant, silenced
from laxity.relevance.taylor import Taylor

__all__ = [
    "CRITERIA",
    "Chosen",
    "Criterion",
    "FeltCriterion",
    "Gradient",
    "LrpEpsilon",
    "LrpZPlus",
    "Magnitude",
    "RandomOrder",
    "Scores",
    "Sensitivity",
    "Subject",
    "Taylor",
    "least_relevant",
    "relevances",
    "silenced",
    "subject_of",
]
