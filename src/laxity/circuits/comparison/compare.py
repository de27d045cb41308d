"""Error against cost: which circuits no other beats, and who beats the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from laxity.circuits.assess import SAMPLING, Sampling, assess
from laxity.circuits.cells import CellLibrary, default_library
from laxity.circuits.comparison.candidates import Candidate
from laxity.circuits.comparison.figures import CLOCK_MHZ, COSTS, Figures, measure
from laxity.circuits.distribution import UNIFORM, Operands
from laxity.circuits.metrics import METRICS, ErrorMetrics, facts_of
from laxity.circuits.netlist import Circuit
from laxity.circuits.synthesis import Flow, map_circuit
from laxity.circuits.synthesis.mapping import Kept
from laxity.core.errors import CircuitError

Progress = Callable[[str], None]
"""Called with a line of text now and then."""

ElementEnergy = Callable[[Circuit, Operands], float]
"""Energy of a processing element around a core, per operation in pJ."""


@dataclass(frozen=True, slots=True)
class Row:
    """One circuit of a comparison.

    Attributes:
        candidate: the circuit.
        metrics: how far it errs.
        figures: what it costs; None without a netlist.
        beaten_by: a circuit of the front that is as good in error and cost and better in one of them, or as good in
            both and named before it; empty on the front and without figures.
        netlist: the one that was measured: as given, or mapped.
    """

    candidate: Candidate
    metrics: ErrorMetrics
    figures: Figures | None
    beaten_by: str = ""
    netlist: Kept = "given"

    def error(self, metric: str) -> float:
        """Magnitude of an error metric."""
        return abs(float(getattr(self.metrics, metric)))

    def cost(self, against: str) -> float | None:
        """A cost of `COSTS`; None where it is unknown."""
        return None if self.figures is None else getattr(self.figures, COSTS[against])

    def to_json(self) -> dict[str, Any]:
        """Name, source, metrics and figures as JSON values."""
        c = self.candidate
        figures = dict.fromkeys(Figures.__dataclass_fields__) if self.figures is None else _figures_json(self.figures)
        key = "" if c.circuit is None else c.circuit.key
        facts = {"name": c.name, "family": c.family, "source": c.source, "netlist": self.netlist, "netlist_key": key}
        return {**facts, **figures, **facts_of(self.metrics), "beaten_by": self.beaten_by or None}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Circuits side by side.

    Attributes:
        rows: all, cheapest first; those of unknown cost last.
        metric: the error that the front is about.
        against: the cost, a key of `COSTS`.
        operands: their distribution, in words.
        clock_mhz: for power.
        library: cells of the costs.
        tool: that mapped the netlists to them, with version and provider; empty for netlists as they are.
    """

    rows: tuple[Row, ...]
    metric: str
    against: str
    operands: str
    clock_mhz: float
    library: CellLibrary
    tool: str = ""

    @property
    def basis(self) -> str:
        """What costs are those of, in words."""
        how = f"mapped by {self.tool} (as given where that is smaller)" if self.tool else "as they are"
        return f"netlists {how}, on the cells of {self.library.name}"

    @property
    def front(self) -> list[Row]:
        """Rows that no other beats, cheapest first."""
        return [row for row in self.rows if not row.beaten_by and row.cost(self.against) is not None]


def compare(
    candidates: Sequence[Candidate],
    metric: str = "mred",
    against: str = "energy",
    *,
    operands: Operands = UNIFORM,
    operands_text: str = "uniform",
    sampling: Sampling = SAMPLING,
    clock_mhz: float = CLOCK_MHZ,
    element_energy: ElementEnergy | None = None,
    library: CellLibrary | None = None,
    flow: Flow = "netlist",
    progress: Progress = lambda _: None,
) -> Comparison:
    """Measure circuits and find the front of error and cost.

    Args:
        candidates: for the same operation on operands of the same widths.
        metric: one of `METRICS`; of signed ones the magnitude counts.
        against: a key of `COSTS`.
        operands: distribution of the operands, for errors and energies alike.
        operands_text: the same in words.
        sampling: when and how operand pairs are sampled.
        clock_mhz: for power.
        element_energy: measures processing elements; needed for ``"pe-energy"``.
        library: cells of the costs; the built-in 45 nm table if None.
        flow: whether costs are those of netlists as they are, or mapped by Yosys, which then stand in the rows.
        progress: told about each circuit.

    Raises:
        CircuitError: no candidates, an unknown metric or cost, none with a netlist, or as `assess` and `measure`.
        ToolError: Yosys is needed and missing, or too old.
        ToolRunError: Yosys failed, or what it made is not equal to the circuit.
    """
    if metric not in METRICS or against not in COSTS:
        raise CircuitError(
            f"cannot compare {metric!r} against {against!r}; choose of {', '.join(METRICS)} and of {', '.join(COSTS)}"
        )
    if flow not in get_args(Flow):
        raise CircuitError(f"unknown flow {flow!r}; use one of {', '.join(get_args(Flow))}")
    if against == "pe-energy" and element_energy is None:
        raise CircuitError("these circuits are no cores of a processing element; compare against energy")
    rows: list[Row] = []
    cells, tool = library or default_library(), ""
    for number, given in enumerate(candidates, 1):
        progress(f"[{number}/{len(candidates)}] {given.name}")
        metrics = assess(given.subject, operands, sampling)
        if given.circuit is None:
            rows.append(Row(given, metrics, None))
            continue
        netlist, kept, tool = _netlist(given.circuit, cells, flow, progress)
        pe = element_energy(netlist, operands) if element_energy else None
        figures = measure(netlist, operands, clock_mhz=clock_mhz, pe_energy_pj=pe, library=cells)
        rows.append(Row(replace(given, circuit=netlist), metrics, figures, netlist=kept))
    if all(row.figures is None for row in rows):
        raise CircuitError("none of these circuits has a netlist, so that their cost is unknown; give one that has")
    judged = tuple(_judged(rows, metric, against))
    return Comparison(judged, metric, against, operands_text, clock_mhz, cells, tool)


def _netlist(circuit: Circuit, library: CellLibrary, flow: Flow, progress: Progress) -> tuple[Circuit, Kept, str]:
    """The netlist that a flow measures, which one that is, and the tool that made it."""
    if flow == "netlist":
        return circuit, "given", ""
    mapped = map_circuit(circuit, library, progress=progress)
    return mapped.circuit, mapped.kept, mapped.tool


def _judged(rows: Sequence[Row], metric: str, against: str) -> list[Row]:
    """Rows by cost, with who beats them."""
    known = [(cost, row.error(metric), row) for row in rows if (cost := row.cost(against)) is not None]
    known.sort(key=lambda item: (item[0], item[1], item[2].candidate.name))
    judged: list[Row] = []
    front: list[Row] = []
    for _, error, row in known:
        better = [rival for rival in front if rival.error(metric) <= error]
        judged.append(replace(row, beaten_by=better[-1].candidate.name if better else ""))
        if not better:
            front.append(judged[-1])
    return judged + [row for row in rows if row.cost(against) is None]


def _figures_json(figures: Figures) -> dict[str, Any]:
    values = {name: getattr(figures, name) for name in Figures.__dataclass_fields__}
    return {**values, "cells": dict(figures.cells)}
