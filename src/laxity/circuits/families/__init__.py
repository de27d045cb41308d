"""Built-in multiplier families, one file each; importing this package registers them all."""

from laxity.circuits.families.almsoa import almsoa
from laxity.circuits.families.array import array
from laxity.circuits.families.bam import bam
from laxity.circuits.families.booth import booth
from laxity.circuits.families.boothi import boothi
from laxity.circuits.families.boothii import boothii
from laxity.circuits.families.coltrunc import coltrunc
from laxity.circuits.families.coltruncc import coltruncc
from laxity.circuits.families.coltruncv import coltruncv
from laxity.circuits.families.dadda import dadda
from laxity.circuits.families.drum import drum
from laxity.circuits.families.dsm import dsm
from laxity.circuits.families.gated import gated
from laxity.circuits.families.gatedcol import gatedcol
from laxity.circuits.families.ilm import ilm
from laxity.circuits.families.letam import letam
from laxity.circuits.families.mbm import mbm
from laxity.circuits.families.mitchell import mitchell
from laxity.circuits.families.momenione import momenione
from laxity.circuits.families.momenitwo import momenitwo
from laxity.circuits.families.optrunc import optrunc
from laxity.circuits.families.perf import perf
from laxity.circuits.families.roba import roba
from laxity.circuits.families.roup import roup
from laxity.circuits.families.ssm import ssm
from laxity.circuits.families.tosam import tosam
from laxity.circuits.families.udm import udm
from laxity.circuits.families.venka import venka
from laxity.circuits.families.wallace import wallace

__all__ = [
    "almsoa",
    "array",
    "bam",
    "booth",
    "boothi",
    "boothii",
    "coltrunc",
    "coltruncc",
    "coltruncv",
    "dadda",
    "drum",
    "dsm",
    "gated",
    "gatedcol",
    "ilm",
    "letam",
    "mbm",
    "mitchell",
    "momenione",
    "momenitwo",
    "optrunc",
    "perf",
    "roba",
    "roup",
    "ssm",
    "tosam",
    "udm",
    "venka",
    "wallace",
]
