"""Fault campaigns: many different faults in one pass of the network, from the layer that they strike on."""

from laxity.campaign.activations import ActivationEngine, ActivationTrials
from laxity.campaign.bench import Bench, Source, Subject
from laxity.campaign.compare import difference, same_faults
from laxity.campaign.outcomes import Outcomes
from laxity.campaign.population import NO_BIT, POPULATIONS, Cells, Faults, Part, Population
from laxity.campaign.replay import Golden, Replay
from laxity.campaign.run import Aim, Campaign, run_campaign
from laxity.campaign.struck import Changes, StruckLayer, struck_layer
from laxity.campaign.summary import summary, table
from laxity.campaign.weights import WeightEngine, WeightTrials

__all__ = [
    "NO_BIT",
    "POPULATIONS",
    "ActivationEngine",
    "ActivationTrials",
    "Aim",
    "Bench",
    "Campaign",
    "Cells",
    "Changes",
    "Faults",
    "Golden",
    "Outcomes",
    "Part",
    "Population",
    "Replay",
    "Source",
    "StruckLayer",
    "Subject",
    "WeightEngine",
    "WeightTrials",
    "difference",
    "run_campaign",
    "same_faults",
    "struck_layer",
    "summary",
    "table",
]
