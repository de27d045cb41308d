"""Built-in adder families, one file each; importing this package registers them all."""

from laxity.circuits.adders.aca import aca
from laxity.circuits.adders.ama import ama
from laxity.circuits.adders.copy import copy
from laxity.circuits.adders.etai import etai
from laxity.circuits.adders.etaii import etaii
from laxity.circuits.adders.gear import gear
from laxity.circuits.adders.koggestone import koggestone
from laxity.circuits.adders.loa import loa
from laxity.circuits.adders.loawa import loawa
from laxity.circuits.adders.oloca import oloca
from laxity.circuits.adders.ripple import ripple
from laxity.circuits.adders.sklansky import sklansky
from laxity.circuits.adders.trunc import trunc

__all__ = [
    "aca",
    "ama",
    "copy",
    "etai",
    "etaii",
    "gear",
    "koggestone",
    "loa",
    "loawa",
    "oloca",
    "ripple",
    "sklansky",
    "trunc",
]
