"""Area, timing, leakage and energy of an accelerator, from the switching of the whole network on real images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from laxity.circuits.cells import CellLibrary
from laxity.circuits.sram import MemoryCost
from laxity.core.errors import ConfigError
from laxity.core.serial import write_json
from laxity.eda.run import Progress, ToolRunError
from laxity.eda.store import Store
from laxity.rtl.silicon.area import Part, memory_costs, part_of, parts_of
from laxity.rtl.silicon.energy import (
    Energies,
    Glitches,
    batch_energies_pj,
    by_row,
    glitch_ratio,
    toggle_energies_fj,
)
from laxity.rtl.silicon.engine import Kind
from laxity.rtl.silicon.mapping import SiliconDesign, map_accelerator
from laxity.rtl.silicon.netlist import Netlist
from laxity.rtl.silicon.samples import Samples
from laxity.rtl.silicon.testbench import Phase, Trace, run_netlist
from laxity.rtl.silicon.timing import Timing
from laxity.rtl.silicon.vectors import Vectors, read_vectors

FILE = "silicon.json"
"""Name under which a measurement is kept beside the accelerator."""

SAMPLES = 512
"""Transitions per step that are simulated with glitches unless the caller says otherwise."""

FREQUENCY_MHZ = 200.0
"""Clock for the energy of leakage: that of the cost model of a systolic array."""


@dataclass(frozen=True, slots=True)
class MeasuredMemory:
    """A memory and its figures; see `laxity.circuits.sram.MemoryCost`."""

    name: str
    words: int
    bits: int
    area_um2: float
    read_pj: float
    write_pj: float
    leakage_nw: float
    kind: str


@dataclass(frozen=True, slots=True)
class MeasuredPart:
    """A part of the logic.

    Attributes:
        name, cells, flip_flops, area_um2, leakage_nw, delay_ns: see `laxity.rtl.silicon.area.Part`.
        logic_pj: energy of changes of settled values per image, without clocks.
    """

    name: str
    cells: int
    flip_flops: int
    area_um2: float
    leakage_nw: float
    delay_ns: float
    logic_pj: float


@dataclass(frozen=True, slots=True)
class StepEnergy:
    """Energy of one step, or of an open stream, per image: means over the simulated images.

    Attributes:
        name, kind: of the step; the streams before and after have the kind ``"stream"``.
        cycles: that it takes.
        logic_pj: changes of settled values, exactly.
        logic_glitch_pj: with glitches, estimated from sampled cycles.
        logic_glitch_low_pj, logic_glitch_high_pj: 95 % interval of that.
        clock_pj: clocks of flip-flops.
        memory_pj: accesses to memories.
        leakage_pj: of logic and memories, at the stated frequency.
    """

    name: str
    kind: str
    cycles: int
    logic_pj: float
    logic_glitch_pj: float
    logic_glitch_low_pj: float
    logic_glitch_high_pj: float
    clock_pj: float
    memory_pj: float
    leakage_pj: float

    @property
    def energy_pj(self) -> float:
        """All of it, with glitches."""
        return self.logic_glitch_pj + self.clock_pj + self.memory_pj + self.leakage_pj


@dataclass(frozen=True, slots=True)
class Silicon:
    """What an accelerator is and takes in standard cells.

    Attributes:
        library, tool: cells, and what mapped to them.
        area_um2: of the logic.
        memory_area_um2: of the memories.
        delay_ns: shortest clock period that static timing allows.
        critical_path: what limits it.
        leakage_nw: of logic and memories.
        flip_flops: how many.
        parts: of the logic.
        memories: all of them.
        images: that were simulated.
        frequency_mhz: for the energy of leakage.
        steps: energy, streams among them.
    """

    library: str
    tool: str
    area_um2: float
    memory_area_um2: float
    delay_ns: float
    critical_path: tuple[str, ...]
    leakage_nw: float
    flip_flops: int
    parts: tuple[MeasuredPart, ...]
    memories: tuple[MeasuredMemory, ...]
    images: int
    frequency_mhz: float
    steps: tuple[StepEnergy, ...]

    @property
    def energy_pj(self) -> float:
        """Energy per image."""
        return sum(step.energy_pj for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values, with the energies of steps and of an image."""
        steps = [{**asdict(step), "energy_pj": step.energy_pj} for step in self.steps]
        return {**asdict(self), "critical_path": list(self.critical_path), "steps": steps, "energy_pj": self.energy_pj}


def measure_accelerator(
    folder: Path,
    *,
    images: int | None = None,
    library: CellLibrary | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    frequency_mhz: float = FREQUENCY_MHZ,
    kind: Kind = "auto",
    store: Store | None = None,
    progress: Progress | None = None,
) -> Silicon:
    """Map an accelerator to cells and measure it while it works on its images.

    Args:
        folder: from `laxity.rtl.accelerator.write_accelerator`.
        images: of its vectors, the first so many; all if None.
        library: cells; the built-in 45 nm table if None.
        samples: transitions per step that are simulated with glitches, rounded up to a multiple of 64; at least 128.
        seed: of the draw of these transitions.
        frequency_mhz: clock for the energy of leakage; nothing else depends on it.
        kind: of the engine that simulates.
        store: where mapped netlists are kept; the user's if None.
        progress: told what takes long.

    Raises:
        ConfigError: too few samples, or no frequency.
        ToolError: Yosys is missing or too old, or the engine is not installed.
        ToolRunError: Yosys failed, or the mapped netlist gives other integers than the network.
        RunError: the folder holds no accelerator.
        DataError: its vectors do not fit it.
    """
    if samples < 128 or not frequency_mhz > 0:
        raise ConfigError(
            f"energy with {samples} samples per step at {frequency_mhz} MHz is not possible; give at least 128 samples "
            "and a frequency above 0"
        )
    vectors = read_vectors(folder, images)
    design = map_accelerator(folder, library, store=store, progress=progress)
    drawn = Samples(_cycles(vectors), vectors.images, samples, seed)
    if progress is not None:
        progress(f"{vectors.images} images run on {len(design.netlist.gates)} gates")
    trace = run_netlist(design.netlist, vectors, pauses=False, kind=kind, observer=drawn.observe)
    _check(trace, drawn, design)
    if progress is not None:
        progress(f"{drawn.words * 64} transitions of every step run with glitches")
    return _silicon(design, vectors, trace, drawn, frequency_mhz)


def write_silicon(folder: Path, found: Silicon) -> Path:
    """Keep a measurement beside the accelerator, as `FILE`; returns the path.

    Raises:
        RunError: it cannot be written.
    """
    write_json(folder / FILE, found.to_json())
    return folder / FILE


def _cycles(vectors: Vectors) -> list[int]:
    """Cycles of all phases where neither stream pauses; the word of each beat that leaves is read in one more."""
    p = vectors.parameters
    return [p["IN_WORDS"], *(step.cycles for step in vectors.steps), len(vectors.results) + p["OUT_WORDS"]]


def _check(trace: Trace, drawn: Samples, design: SiliconDesign) -> None:
    wrong = trace.wrong_results + sum(s.wrong_codes + s.wrong_sums for s in trace.steps)
    if wrong or trace.errors or drawn.missing:
        said = "; ".join([f"{wrong} integers differ", f"{drawn.missing} planned cycles did not come", *trace.errors])
        raise ToolRunError(
            f"what {design.tool} made of the accelerator does not compute the network ({said}); no figure is reported"
        )


def _silicon(design: SiliconDesign, vectors: Vectors, trace: Trace, drawn: Samples, frequency_mhz: float) -> Silicon:
    netlist, library = design.netlist, design.library
    costs = memory_costs(netlist, library)
    timing = Timing(netlist, library, costs)
    parts, path = parts_of(netlist, library, timing.delays_ns()), timing.critical_path()
    leakage_nw = sum(part.leakage_nw for part in parts) + sum(cost.leakage_nw for cost in costs)
    by_net = toggle_energies_fj(netlist, library)
    by_row_fj = by_row(by_net, trace.state.rows)
    own = _part_energies(netlist, trace, by_row_fj)
    figures = CycleFigures(
        by_row_fj,
        trace.state.rows.gates,
        clock_pj=len(netlist.flip_flops) * library.clock_energy_fj() * 1e-3,
        leakage_pj=leakage_nw / frequency_mhz * 1e-3,
        memories=costs,
        images=vectors.images,
    )
    glitches = _glitches(design, drawn, len(trace.phases), by_net)
    return Silicon(
        library=library.name,
        tool=design.tool,
        area_um2=sum(part.area_um2 for part in parts),
        memory_area_um2=sum(cost.area_um2 for cost in costs),
        delay_ns=path.delay_ns,
        critical_path=path.names,
        leakage_nw=leakage_nw,
        flip_flops=len(netlist.flip_flops),
        parts=tuple(_measured(part, own.get(part.name, 0.0) / vectors.images) for part in parts),
        memories=tuple(
            MeasuredMemory(m.name, m.words, m.bits, c.area_um2, c.read_pj, c.write_pj, c.leakage_nw, c.kind)
            for m, c in zip(netlist.memories, costs, strict=True)
        ),
        images=vectors.images,
        frequency_mhz=frequency_mhz,
        steps=tuple(figures.step(phase, more) for phase, more in zip(trace.phases, glitches, strict=True)),
    )


def _measured(part: Part, logic_pj: float) -> MeasuredPart:
    return MeasuredPart(part.name, part.cells, part.flip_flops, part.area_um2, part.leakage_nw, part.delay_ns, logic_pj)


def _part_energies(netlist: Netlist, trace: Trace, by_row_fj: Energies) -> dict[str, float]:
    """Energy of settled changes over all images and phases by part, in pJ; nets of inputs and memories are in none."""
    toggles = sum((phase.toggles for phase in trace.phases), np.zeros(len(by_row_fj), np.int64))
    spent = toggles * by_row_fj * 1e-3
    owned: dict[str, list[int]] = {}
    for gate in netlist.gates:
        owned.setdefault(gate.block, []).extend(gate.outputs)
    for flip_flop in netlist.flip_flops:
        owned.setdefault(flip_flop.block, []).append(flip_flop.q)
    found: dict[str, float] = {}
    for block, nets in owned.items():
        name = part_of(block)
        found[name] = found.get(name, 0.0) + float(spent[trace.state.rows.rows(nets)].sum())
    return found


@dataclass(frozen=True, slots=True, eq=False)
class CycleFigures:
    """What energies of phases are made of.

    Attributes:
        toggle_fj: energy of a change by row, float64 (rows,).
        gates: first row of gates.
        clock_pj: of all flip-flops per cycle.
        leakage_pj: of everything per cycle.
        memories: figures of each memory.
        images: over which phases are counted.
    """

    toggle_fj: Energies
    gates: int
    clock_pj: float
    leakage_pj: float
    memories: Sequence[MemoryCost]
    images: int

    def step(self, phase: Phase, glitches: Glitches) -> StepEnergy:
        """Energy of a phase per image."""
        spent = phase.toggles * self.toggle_fj * 1e-3 / self.images
        held, gates = float(spent[: self.gates].sum()), float(spent[self.gates :].sum())
        accesses = zip(phase.reads.tolist(), phase.writes.tolist(), self.memories, strict=True)
        memory = sum(reads * cost.read_pj + writes * cost.write_pj for reads, writes, cost in accesses)
        return StepEnergy(
            phase.name,
            phase.kind,
            phase.cycles,
            logic_pj=held + gates,
            logic_glitch_pj=held + gates * glitches.ratio,
            logic_glitch_low_pj=held + gates * glitches.low,
            logic_glitch_high_pj=held + gates * glitches.high,
            clock_pj=self.clock_pj * phase.cycles,
            memory_pj=memory / self.images,
            leakage_pj=self.leakage_pj * phase.cycles,
        )


def _glitches(design: SiliconDesign, drawn: Samples, phases: int, by_net_fj: Energies) -> list[Glitches]:
    """What glitches add, phase by phase."""
    settled, inertial = (
        batch_energies_pj(design.netlist, design.library, by_net_fj, drawn.before, drawn.after, delays)
        for delays in ("zero", "inertial")
    )
    parts = [slice(index * drawn.words, (index + 1) * drawn.words) for index in range(phases)]
    return [glitch_ratio(settled[part], inertial[part]) for part in parts]
