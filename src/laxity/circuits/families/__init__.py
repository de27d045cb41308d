"""Built-in multiplier families, one file each; importing this package registers them all."""

from laxity.circuits.families.array import array
from laxity.circuits.families.bam import bam
from laxity.circuits.families.coltrunc import coltrunc
from laxity.circuits.families.dadda import dadda
from laxity.circuits.families.drum import drum
from laxity.circuits.families.mitchell import mitchell
from laxity.circuits.families.optrunc import optrunc
from laxity.circuits.families.roba import roba
from laxity.circuits.families.udm import udm

__all__ = ["array", "bam", "coltrunc", "dadda", "drum", "mitchell", "optrunc", "roba", "udm"]
