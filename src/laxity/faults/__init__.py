"""Fault models, one file each; importing this package registers them. No torch here."""

from laxity.faults.bit_flip import BitFlip
from laxity.faults.fault import FAULTS, FaultModel, Words
from laxity.faults.masks import bit_mask
from laxity.faults.words import decode, encode

BUILT_IN_FAULTS = (BitFlip,)
"""Fault models that come with laxity; importing their modules registers them."""

__all__ = ["BUILT_IN_FAULTS", "FAULTS", "BitFlip", "FaultModel", "Words", "bit_mask", "decode", "encode"]
