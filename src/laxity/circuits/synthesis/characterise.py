"""Area, delay, leakage and energy of a circuit on a cell library, of the netlist as it is or mapped by Yosys.

What the figures are: sums over cells, static timing and simulated switching of a netlist without layout. There is no
wire load, no sizing, no buffering, no clock tree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from laxity.circuits.activity import Delays, switching_energy
from laxity.circuits.cells import CellLibrary, default_library
from laxity.circuits.netlist import Circuit
from laxity.circuits.synthesis.mapping import Kept, library_key, map_circuit
from laxity.circuits.synthesis.operands import UNIFORM, Streams, streams_key, uniform_streams
from laxity.circuits.timing import delay_ns
from laxity.core.errors import CircuitError
from laxity.eda.run import Progress
from laxity.eda.store import Store, default_store, digest

Flow = Literal["netlist", "yosys"]
"""``"netlist"``: the gates as they are, no tool needed; ``"yosys"``: mapped by Yosys, proved equal, the smaller one."""

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Energy:
    """Mean switching energy per operation.

    Attributes:
        operands: name of the operand source.
        delays: delay model; ``"inertial"`` counts glitches, ``"zero"`` does not.
        energy_pj: per transition between two input vectors.
        transitions: number averaged over.
    """

    operands: str
    delays: Delays
    energy_pj: float
    transitions: int


@dataclass(frozen=True, slots=True)
class Characterisation:
    """Figures of one circuit on one library, and where they come from.

    Attributes:
        name: of the circuit.
        key: of the netlist that was given.
        area_um2: sum of the cells.
        delay_ns: longest path, with pin loads and without wires.
        leakage_nw: sum of the cells, mean over states.
        energies: one for each operand source and delay model.
        cells: number of instances by cell.
        library: its name.
        library_source: where its figures come from.
        flow: how the netlist was made.
        measured: the netlist that was measured; with the flow ``"yosys"`` also the given one, where mapping made it
            larger.
        tool: name, version and provider; empty without a tool.
        proof: what was compared between the given and the measured netlist, in words.
    """

    name: str
    key: str
    area_um2: float
    delay_ns: float
    leakage_nw: float
    energies: tuple[Energy, ...]
    cells: Mapping[str, int]
    library: str
    library_source: str
    flow: Flow
    measured: Kept
    tool: str
    proof: str

    def energy_pj(self, delays: Delays = "inertial", operands: str = UNIFORM) -> float:
        """The energy under one delay model and operand source.

        Raises:
            CircuitError: it was not asked for.
        """
        for energy in self.energies:
            if (energy.delays, energy.operands) == (delays, operands):
                return energy.energy_pj
        known = ", ".join(f"{e.operands}/{e.delays}" for e in self.energies) or "none"
        raise CircuitError(f"no energy of {self.name!r} for {operands}/{delays}; known: {known}")

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return {**asdict(self), "energies": [asdict(energy) for energy in self.energies]}


def characterise(
    circuit: Circuit,
    *,
    library: CellLibrary | None = None,
    flow: Flow = "netlist",
    operands: Mapping[str, Streams] | None = None,
    delays: Sequence[Delays] = ("zero", "inertial"),
    progress: Progress | None = None,
    store: Store | None = None,
) -> Characterisation:
    """Characterise a circuit.

    Args:
        circuit: any combinational netlist.
        library: cell figures; the built-in 45 nm table if None.
        flow: whether the netlist is measured as it is, or after mapping by Yosys.
        operands: streams by the name of their source; the uniform source is always measured too.
        delays: delay models of the energies.
        progress: told what takes long.
        store: where results are kept; the user's if None.

    Raises:
        CircuitError: an unknown flow or delay model, or streams that do not fit the ports.
        ToolError: Yosys is needed and missing, or too old.
        ToolRunError: Yosys failed, or what it made is not equal to the circuit.
    """
    if flow not in get_args(Flow):
        raise CircuitError(f"unknown flow {flow!r}; use one of {', '.join(get_args(Flow))}")
    if UNIFORM in (operands or {}):
        raise CircuitError(f"the operand source {UNIFORM!r} is built in; give yours another name")
    cells, kept = library or default_library(), store or default_store()
    which: Kept = "given"
    measured, tool, proof = circuit, "", "the netlist itself"
    if flow == "yosys":
        mapped = map_circuit(circuit, cells, progress=progress, store=kept)
        measured, which, tool, proof = mapped.circuit, mapped.kept, mapped.tool, str(mapped.proof)
    sources = {UNIFORM: uniform_streams(circuit), **(operands or {})}
    energies = [
        _energy(measured, cells, name, streams, model, kept) for name, streams in sources.items() for model in delays
    ]
    return Characterisation(
        name=circuit.name,
        key=circuit.key,
        area_um2=cells.area_um2(measured),
        delay_ns=delay_ns(measured, cells),
        leakage_nw=cells.leakage_nw(measured),
        energies=tuple(energies),
        cells=measured.cells(),
        library=cells.name,
        library_source=cells.source,
        flow=flow,
        measured=which,
        tool=tool,
        proof=proof,
    )


def _energy(
    circuit: Circuit, library: CellLibrary, name: str, streams: Streams, delays: Delays, store: Store
) -> Energy:
    """The energy from the store, or simulated."""
    key = digest("energy", _FORMAT, circuit.key, library_key(library), streams_key(streams), delays)
    known = store.read("energy", key)
    if isinstance(known, list) and len(known) == 2:
        return Energy(name, delays, float(known[0]), int(known[1]))
    switching = switching_energy(circuit, streams, library, delays)
    store.write("energy", key, [switching.energy_pj, switching.transitions])
    return Energy(name, delays, switching.energy_pj, switching.transitions)
