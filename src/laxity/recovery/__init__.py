"""Error models of approximate multipliers in a network: what the errors are like, what they do, how to train with them.

Reconstructed from the abstracts of C. De la Parra and co-authors (named where each part stands) and proved by
properties and measurements, not by their code, which is not public.
"""

from laxity.recovery.elements import ElementErrors
from laxity.recovery.gradients import GRADIENTS, Gradient, SiteGradient, with_gradient
from laxity.recovery.modelled import Modelled, error_models, modelled
from laxity.recovery.moments import (
    KernelMoments,
    MomentsCheck,
    check_moments,
    independent_moments,
    sampled_moments,
)
from laxity.recovery.observation import Feeling, Observation, SiteObservation
from laxity.recovery.observe import observe
from laxity.recovery.prediction import Harm, first_order, harm
from laxity.recovery.ranking import RankedMultiplier, approximate_names, rank_multipliers
from laxity.recovery.recipe import Recovered, quantised_plan, recover
from laxity.recovery.regression import ErrorModel, fit
from laxity.recovery.regularisation import CodeDistances, ExpectedErrors
from laxity.recovery.train import retrain

__all__ = [
    "GRADIENTS",
    "CodeDistances",
    "ElementErrors",
    "ErrorModel",
    "ExpectedErrors",
    "Feeling",
    "Gradient",
    "Harm",
    "KernelMoments",
    "Modelled",
    "MomentsCheck",
    "Observation",
    "RankedMultiplier",
    "Recovered",
    "SiteGradient",
    "SiteObservation",
    "approximate_names",
    "check_moments",
    "error_models",
    "first_order",
    "fit",
    "harm",
    "independent_moments",
    "modelled",
    "observe",
    "quantised_plan",
    "rank_multipliers",
    "recover",
    "retrain",
    "sampled_moments",
    "with_gradient",
]
