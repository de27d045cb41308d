"""Fault models, one file each; importing this package registers them. No torch here."""

from laxity.faults.bit_flip import BitFlip
from laxity.faults.burst import Burst
from laxity.faults.dead import Dead
from laxity.faults.fault import FAULTS, FaultModel, Random, uniform
from laxity.faults.fixed_value import FixedValue
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
from laxity.faults.masks import bit_mask, full_word, one_bit
from laxity.faults.multi_flip import MultiFlip
from laxity.faults.noise import Noise
from laxity.faults.random_value import RandomValue
from laxity.faults.reduced_voltage import ReducedVoltage, bit_error_rate, lowest_voltage
from laxity.faults.saturated import Saturated
from laxity.faults.stuck_at import StuckAt
from laxity.faults.words import Words, decode, encode

BUILT_IN_FAULTS = (
    BitFlip,
    StuckAt,
    MultiFlip,
    Burst,
    RandomValue,
    FixedValue,
    Noise,
    Dead,
    Saturated,
    ReducedVoltage,
)
"""Fault models that come with laxity; importing their modules registers them."""

__all__ = [
    "BFLOAT16",
    "BUILT_IN_FAULTS",
    "FAULTS",
    "FLOAT16",
    "FLOAT32",
    "FLOAT64",
    "BitFlip",
    "Burst",
    "Dead",
    "FaultModel",
    "FixedValue",
    "FloatLayout",
    "IntegerLayout",
    "Layout",
    "ListedLayout",
    "MultiFlip",
    "Noise",
    "Random",
    "RandomValue",
    "ReducedVoltage",
    "Saturated",
    "StuckAt",
    "Words",
    "bit_error_rate",
    "bit_mask",
    "decode",
    "encode",
    "full_word",
    "lowest_voltage",
    "one_bit",
    "uniform",
]
