"""What ``laxity rtl`` finds out about an accelerator: measured, kept beside it, and shown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from laxity.cli.output import emit_json, emit_table, note, write
from laxity.core.serial import canonical, to_json, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from laxity.circuits import Multiplier
    from laxity.core.program import Program
    from laxity.rtl.accelerator import Configuration, Schedule, Simulation
    from laxity.rtl.fpga import AcceleratorResources, ModuleResources
    from laxity.rtl.silicon import Silicon

SIMULATION = "simulation.json"
"""Name under which a simulation is kept beside the accelerator."""

REPORT = "accelerator.json"
"""Name of the file that says what was written."""

_RESULTS = (SIMULATION, "silicon.json")
_FPGA_RESULTS = "fpga_*.json"
_HARDWARE = ("rtl/*.v", "memory/weights.hex", "memory/parameters.hex", "memory/program.hex")
_EVERYTHING = ("rtl/*.v", "memory/*.hex", REPORT)


@dataclass(frozen=True, slots=True)
class Network:
    """What an accelerator is written for.

    Attributes:
        program: the integer-only network.
        circuits: its multipliers by name.
        codes: input codes of test images.
        origin: hashes of the files of the run that it was made of.
    """

    program: Program
    circuits: Mapping[str, Multiplier]
    codes: NDArray[np.integer]
    origin: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be found out.

    Attributes:
        simulate: whether to simulate.
        tool: what simulates; None for what is there.
        structural: whether multipliers are simulated gate by gate.
        families: FPGA families.
        place: whether to place and route on those that can be.
        seed: of place and route.
        silicon: whether to measure on standard cells.
    """

    simulate: bool
    tool: str | None
    structural: bool
    families: tuple[str, ...]
    place: bool
    seed: int
    silicon: bool

    @property
    def anything(self) -> bool:
        """Whether figures will be there to be shown."""
        return bool(self.simulate or self.families or self.silicon)

    def check(self) -> None:
        """Refuse options that do not fit each other, and look for the tools, before anything is written.

        Raises:
            BadParameter: place and route of nothing that can be placed.
            ToolError: a tool is missing or too old.
        """
        from laxity.circuits.synthesis.place import FLOWS
        from laxity.eda.tools import find
        from laxity.rtl.accelerator import find_simulator

        routed = [FLOWS[name] for name in self.families if name in FLOWS]
        if self.place and not routed:
            where = f" with --fpga {' --fpga '.join(self.families)}" if self.families else ""
            raise typer.BadParameter(
                f"there is nothing to place and route{where}; add --fpga ecp5 or --fpga ice40", param_hint="--place"
            )
        if self.simulate:
            find_simulator(self.tool)
        if self.families or self.silicon:
            find("yosys")
        if self.place:
            for flow in routed:
                flow.tools()


@dataclass(frozen=True, slots=True)
class Figures:
    """An accelerator and what was found out about it.

    Attributes:
        folder: that holds it.
        schedule: what it executes.
        simulation: against the integers of the plan; None if it was not asked for, as the following.
        fpga: resources by family.
        silicon: on standard cells.
    """

    folder: Path
    schedule: Schedule
    simulation: Simulation | None
    fpga: Mapping[str, AcceleratorResources]
    silicon: Silicon | None

    @classmethod
    def measure(cls, network: Network, configuration: Configuration, folder: Path, wanted: Wanted) -> Figures:
        """Write an accelerator, find out what is wanted, and keep it in the folder."""
        from laxity.rtl.accelerator import write_accelerator

        before = {patterns: _content(folder, patterns) for patterns in (_HARDWARE, _EVERYTHING)}
        made = network.program, network.circuits, configuration, folder, network.codes
        schedule = write_accelerator(*made, network.origin).schedule
        stale = [name for name in _RESULTS if before[_EVERYTHING] != _content(folder, _EVERYTHING)]
        stale += [_FPGA_RESULTS] if before[_HARDWARE] != _content(folder, _HARDWARE) else []
        for path in [path for pattern in stale for path in folder.glob(pattern)]:
            path.unlink()
        simulation = _simulation(folder, len(network.codes), schedule.cycles, wanted) if wanted.simulate else None
        fpga = {name: _fpga(folder, name, wanted) for name in wanted.families}
        return cls(folder, schedule, simulation, fpga, _silicon(folder) if wanted.silicon else None)

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values."""
        steps = [{"name": s.step.name, "kind": s.step.kind, "counts": to_json(s.counts)} for s in self.schedule.steps]
        return {
            "folder": str(self.folder),
            "configuration": to_json(self.schedule.configuration),
            "cycles": self.schedule.cycles,
            "utilisation": self.schedule.utilisation,
            "steps": steps,
            "simulation": None if self.simulation is None else _facts(self.simulation),
            "fpga": {name: found.to_json() for name, found in self.fpga.items()},
            "silicon": None if self.silicon is None else self.silicon.to_json(),
        }


def _content(folder: Path, patterns: tuple[str, ...]) -> dict[str, str]:
    """Hashes of files, less the origin of the network: results belong to what was built."""
    paths = [path for pattern in patterns for path in folder.glob(pattern)]
    return {str(path): hashlib.sha256(_built(path)).hexdigest() for path in paths}


def _built(path: Path) -> bytes:
    content = path.read_bytes()
    if path.name != REPORT:
        return content
    try:
        return canonical({name: value for name, value in json.loads(content).items() if name != "origin"}).encode()
    except (ValueError, AttributeError):
        return content


def _facts(found: Simulation) -> dict[str, Any]:
    return {**to_json(found), "compared": found.compared, "mismatches": found.mismatches}


def _simulation(folder: Path, images: int, cycles: int, wanted: Wanted) -> Simulation:
    from laxity.rtl.accelerator import simulate

    note(f"simulating {images} image{'s' * (images != 1)} of {cycles} cycles")
    found = simulate(folder, wanted.tool, structural=wanted.structural)
    write_json(folder / SIMULATION, _facts(found))
    return found


def _fpga(folder: Path, name: Any, wanted: Wanted) -> AcceleratorResources:
    from laxity.circuits.synthesis.place import FLOWS
    from laxity.rtl.fpga import synthesise_accelerator

    return synthesise_accelerator(folder, name, placed=wanted.place and name in FLOWS, seed=wanted.seed, progress=note)


def _silicon(folder: Path) -> Silicon:
    from laxity.rtl.silicon import measure_accelerator, write_silicon

    found = measure_accelerator(folder, progress=note)
    write_silicon(folder, found)
    return found


def show(figures: Figures, *, as_json: bool) -> None:
    """Print the figures: tables, or one JSON document."""
    if as_json:
        emit_json(figures.to_json())
        return
    _show_steps(figures)
    if figures.fpga:
        _show_fpga(figures.fpga)
    if figures.silicon is not None:
        _show_silicon(figures.silicon)


def _show_steps(figures: Figures) -> None:
    schedule, found = figures.schedule, figures.simulation
    columns = ["step", "kind", "passes", "cycles", "MACs", "utilisation %"]
    rows = [
        [s.step.name, s.step.kind, s.counts.passes, s.counts.cycles, s.counts.macs, 100 * s.counts.utilisation]
        for s in schedule.steps
    ]
    if found is not None:
        columns += ["compared", "different"]
        for row, step in zip(rows, found.steps, strict=True):
            row += [step.codes + step.sums, step.wrong_codes + step.wrong_sums]
    emit_table(columns, rows)
    write(f"{schedule.cycles} cycles per image, utilisation {100 * schedule.utilisation:.1f} %, in {figures.folder}\n")
    if found is not None:
        write(
            f"{found.message}: {found.compared} integers compared, {found.mismatches} different, {found.time_s:.1f} s\n"
        )


def _show_fpga(fpga: Mapping[str, AcceleratorResources]) -> None:
    columns = ["family", "module", "instances", "lut", "carry", "ff", "dsp", "bram", "lutram"]
    rows: list[list[object]] = []
    for name, found in fpga.items():
        rows.append([name, "all", "", *_amounts(found)])
        rows += [[name, module, counts.instances, *_amounts(counts)] for module, counts in found.modules.items()]
    emit_table(columns, rows)
    for name, found in fpga.items():
        if found.placement is not None:
            placed = found.placement
            write(f"{name}: {placed.frequency_mhz:.1f} MHz on {placed.device}, {placed.bitstream_bytes} bytes; ")
            write(f"an element alone {found.element_frequency_mhz:.1f} MHz\n")
            note(f"{name}: the slowest path runs from {found.critical_path[0]} to {found.critical_path[1]}")


def _amounts(found: AcceleratorResources | ModuleResources) -> list[int]:
    return [found.lut, found.carry, found.ff, found.dsp, found.bram, found.lutram]


def _show_silicon(found: Silicon) -> None:
    columns = ["part", "cells", "flip-flops", "area_um2", "leakage_nw"]
    emit_table(columns, [[p.name, p.cells, p.flip_flops, p.area_um2, p.leakage_nw] for p in found.parts])
    columns = ["step", "cycles", "logic pJ", "with glitches", "clock", "memory", "leakage", "energy_pj"]
    parts = [[s.logic_pj, s.logic_glitch_pj, s.clock_pj, s.memory_pj, s.leakage_pj, s.energy_pj] for s in found.steps]
    emit_table(columns, [[s.name, s.cycles, *energies] for s, energies in zip(found.steps, parts, strict=True)])
    write(
        f"{found.library}: {found.area_um2:.0f} um2 of logic, {found.memory_area_um2:.0f} um2 of memories, "
        f"{found.delay_ns:.2f} ns, {found.energy_pj / 1e3:.1f} nJ per image over {found.images} images\n"
    )
