"""Fault models, one file each; importing this package registers them. No torch here."""

from laxity.faults.bit_flip import BitFlip
from laxity.faults.fault import FAULTS, FaultModel, Random, uniform
from laxity.faults.layout import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    FloatLayout,
    IntegerLayout,
    Layout,
    ListedLayout,
)
from laxity.faults.masks import bit_mask, one_bit
from laxity.faults.stuck_at import StuckAt
from laxity.faults.words import Words, decode, encode

BUILT_IN_FAULTS = (BitFlip, StuckAt)
"""Fault models that come with laxity; importing their modules registers them."""

__all__ = [
    "BFLOAT16",
    "BUILT_IN_FAULTS",
    "FAULTS",
    "FLOAT16",
    "FLOAT32",
    "FLOAT64",
    "BitFlip",
    "FaultModel",
    "FloatLayout",
    "IntegerLayout",
    "Layout",
    "ListedLayout",
    "Random",
    "StuckAt",
    "Words",
    "bit_mask",
    "decode",
    "encode",
    "one_bit",
    "uniform",
]
