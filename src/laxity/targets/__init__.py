"""Targets: machines that turn demands into energy, area, latency and memory. No torch here."""

from laxity.targets import fpga_groups, mac_array, spatial_array
from laxity.targets.breakdown import Breakdown, Element, SiteUse
from laxity.targets.description import Constant, ConstantSpec, Description, Schema
from laxity.targets.target import COST_MODELS, Target, load_target, target_names

BUILT_IN_MODELS = (mac_array.MacArray, spatial_array.SpatialArrayModel, fpga_groups.FpgaMacGroups)
"""Cost models that come with laxity; importing their modules registers them."""

__all__ = [
    "BUILT_IN_MODELS",
    "COST_MODELS",
    "Breakdown",
    "Constant",
    "ConstantSpec",
    "Description",
    "Element",
    "Schema",
    "SiteUse",
    "Target",
    "load_target",
    "target_names",
]
