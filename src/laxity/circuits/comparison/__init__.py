"""Circuits side by side: what they cost, how far they err, and which of them no other beats."""

from laxity.circuits.comparison.candidates import Candidate, find_candidates
from laxity.circuits.comparison.compare import Comparison, Row, compare
from laxity.circuits.comparison.figures import COSTS, Figures, measure
from laxity.circuits.comparison.pictures import (
    EnergyByOperand,
    ErrorBins,
    ErrorMap,
    energy_by_operand,
    error_bins,
    error_map,
)
from laxity.circuits.comparison.structure import Dots, Structure, dots, structure

__all__ = [
    "COSTS",
    "Candidate",
    "Comparison",
    "Dots",
    "EnergyByOperand",
    "ErrorBins",
    "ErrorMap",
    "Figures",
    "Row",
    "Structure",
    "compare",
    "dots",
    "energy_by_operand",
    "error_bins",
    "error_map",
    "find_candidates",
    "measure",
    "structure",
]
