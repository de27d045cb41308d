"""Circuits to silicon: mapped to cells or to an FPGA by open tools, proved equal, and measured."""

from laxity.circuits.synthesis.characterise import Characterisation, Energy, Flow, characterise
from laxity.circuits.synthesis.equivalence import Proof, prove_equal
from laxity.circuits.synthesis.families import Family
from laxity.circuits.synthesis.fpga import Resources, synthesise_fpga
from laxity.circuits.synthesis.mapping import Mapped, genlib, library_key, map_circuit, plain_verilog
from laxity.circuits.synthesis.operands import Streams, load_streams, trace_streams, uniform_streams
from laxity.circuits.synthesis.place import Placement, place

__all__ = [
    "Characterisation",
    "Energy",
    "Family",
    "Flow",
    "Mapped",
    "Placement",
    "Proof",
    "Resources",
    "Streams",
    "characterise",
    "genlib",
    "library_key",
    "load_streams",
    "map_circuit",
    "place",
    "plain_verilog",
    "prove_equal",
    "synthesise_fpga",
    "trace_streams",
    "uniform_streams",
]
