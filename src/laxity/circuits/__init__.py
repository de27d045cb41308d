"""Arithmetic circuits: one netlist, and all that follows from it (table, errors, Verilog, area, delay, energy)."""

from laxity.circuits import adder_catalogue
from laxity.circuits.accumulate import (
    accumulator_stage,
    curable_correction,
    curable_stage,
    curable_states,
    partial_sums,
)
from laxity.circuits.activity import Switching, switching_energy
from laxity.circuits.adder import Adder
from laxity.circuits.adder_family import ADDERS, AdderFamily, adder_family
from laxity.circuits.assess import Sampling
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.catalogue import circuit, describe, get, names
from laxity.circuits.cells import CellLibrary, default_library, load_library
from laxity.circuits.distribution import Operands, load_operands
from laxity.circuits.errors_of import errors_of
from laxity.circuits.family import MULTIPLIERS, Family, Parameter, multiplier_family
from laxity.circuits.metrics import ErrorMetrics, SampledMetrics, error_metrics
from laxity.circuits.multiplier import Multiplier
from laxity.circuits.netlist import Circuit, Gate, Port
from laxity.circuits.pe import ProcessingElement, processing_element
from laxity.circuits.shelf import use_folder
from laxity.circuits.signed import sign_magnitude
from laxity.circuits.simulate import evaluate, product_table
from laxity.circuits.sram import MemoryCost, MemoryTable, default_sram
from laxity.circuits.timing import delay_ns
from laxity.circuits.verilog import to_verilog

__all__ = [
    "ADDERS",
    "MULTIPLIERS",
    "Adder",
    "AdderFamily",
    "CellLibrary",
    "Circuit",
    "CircuitBuilder",
    "ErrorMetrics",
    "Family",
    "Gate",
    "MemoryCost",
    "MemoryTable",
    "Multiplier",
    "Operands",
    "Parameter",
    "Port",
    "ProcessingElement",
    "SampledMetrics",
    "Sampling",
    "Switching",
    "accumulator_stage",
    "adder_catalogue",
    "adder_family",
    "circuit",
    "curable_correction",
    "curable_stage",
    "curable_states",
    "default_library",
    "default_sram",
    "delay_ns",
    "describe",
    "error_metrics",
    "errors_of",
    "evaluate",
    "get",
    "load_library",
    "load_operands",
    "multiplier_family",
    "names",
    "partial_sums",
    "processing_element",
    "product_table",
    "sign_magnitude",
    "switching_energy",
    "to_verilog",
    "use_folder",
]
