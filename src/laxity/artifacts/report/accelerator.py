"""A typed view of the files that ``laxity rtl`` writes beside the plan; each but the first may be absent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from laxity.artifacts.report.files import Amount, Count, Part, read_part

FAMILIES = ("xilinx7", "ecp5", "ice40")
"""FPGA families for which there may be a file."""

REMEDY = "write the accelerator again with laxity rtl, or delete the file"

_SOURCES = ("plan.json", "model.safetensors")
"""Files beside the folder of an accelerator of which it is made."""


class Configuration(Part):
    """Size of the array."""

    rows: Count
    columns: Count
    dataflow: str
    accumulator_words: Count | None = None


class StepCounts(Part):
    """One step of the program: cycles, products, and words read and written per sample."""

    name: str
    kind: str
    cycles: Count
    passes: Count
    macs: Count
    utilisation: Amount
    weight_reads: Count
    activation_reads: Count
    activation_writes: Count
    accumulator_reads: Count
    accumulator_writes: Count


class Facts(Part):
    """``accelerator.json``; `origin` has the hashes of the files that it was made of, where they were known."""

    configuration: Configuration
    multipliers: list[str]
    images: Count
    cycles: Count
    utilisation: Amount
    steps: list[StepCounts]
    origin: dict[str, str] = Field(default_factory=dict)


class StepCheck(Part):
    """What the simulation says of one step."""

    name: str
    kind: str
    codes: Count
    wrong_codes: Count
    sums: Count
    wrong_sums: Count
    cycles: Count
    planned_cycles: Count


class Simulation(Part):
    """``simulation.json``."""

    tool: str
    images: Count
    steps: list[StepCheck]
    results: Count
    wrong_results: Count
    passed: bool
    message: str
    time_s: Amount

    @property
    def compared(self) -> int:
        """Integers compared, added up from the steps."""
        return self.results + sum(s.codes + s.sums for s in self.steps)

    @property
    def mismatches(self) -> int:
        """Integers that differ, added up from the steps."""
        return self.wrong_results + sum(s.wrong_codes + s.wrong_sums for s in self.steps)


class Module(Part):
    """Resources of one module, and how often it is there."""

    instances: Count
    lut: Count
    carry: Count = 0
    ff: Count
    bram: Amount = 0
    lutram: Count = 0
    dsp: Count = 0


class Placement(Part):
    """What place and route say."""

    device: str
    frequency_mhz: Amount
    bitstream_bytes: Count
    seed: int
    tools: str


class Fpga(Part):
    """``fpga_<family>.json``."""

    family: str
    lut: Count
    carry: Count
    ff: Count
    dsp: Count
    bram: Amount
    lutram: Count
    modules: dict[str, Module]
    tool: str
    placement: Placement | None = None


class SiliconPart(Part):
    """Cells of one part of the logic."""

    name: str
    cells: Count
    flip_flops: Count
    area_um2: Amount
    leakage_nw: Amount


class Memory(Part):
    """One memory; energies are per access of a word."""

    name: str
    words: Count
    bits: Count
    area_um2: Amount
    read_pj: Amount
    write_pj: Amount
    leakage_nw: Amount


class SiliconStep(Part):
    """Energy of one step per image, in pJ; with glitches, a mean over sampled cycles with its interval."""

    name: str
    kind: str
    cycles: Count
    logic_pj: Amount
    logic_glitch_pj: Amount
    logic_glitch_low_pj: Amount
    logic_glitch_high_pj: Amount
    clock_pj: Amount
    memory_pj: Amount
    leakage_pj: Amount
    energy_pj: Amount


class Silicon(Part):
    """``silicon.json``: 45 nm cells."""

    library: str
    tool: str
    area_um2: Amount
    memory_area_um2: Amount
    delay_ns: Amount
    critical_path: list[str]
    leakage_nw: Amount
    flip_flops: Count
    parts: list[SiliconPart]
    memories: list[Memory]
    images: Count
    frequency_mhz: Amount
    steps: list[SiliconStep]
    energy_pj: Amount


@dataclass(frozen=True, slots=True)
class Accelerator:
    """All that is known of the written accelerator.

    Attributes:
        facts: what it is.
        simulation: its simulation; None if there is none, as `silicon`.
        fpga: one entry for each family.
        silicon: on 45 nm cells.
        changed: files of the plan that are others now than when it was written.
    """

    facts: Facts
    simulation: Simulation | None
    fpga: tuple[Fpga, ...]
    silicon: Silicon | None
    changed: tuple[str, ...] = ()


def origin_of(best: Path) -> dict[str, str]:
    """SHA-256 of the plan and of the weights in a folder, by file name; of those that are there.

    Raises:
        OSError: a file cannot be read.
    """
    paths = [best / name for name in _SOURCES]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.exists()}


def load_accelerator(folder: Path) -> Accelerator | None:
    """Read the files of a written accelerator; None where there is none.

    Raises:
        RunError: a file cannot be read, is not valid JSON, or lacks a field; names file and field.
    """
    if not (folder / "accelerator.json").exists():
        return None
    simulation, silicon = folder / "simulation.json", folder / "silicon.json"
    families = [path for name in FAMILIES if (path := folder / f"fpga_{name}.json").exists()]
    facts = read_part(folder / "accelerator.json", Facts, REMEDY)
    now = origin_of(folder.parent)
    return Accelerator(
        facts=facts,
        simulation=read_part(simulation, Simulation, REMEDY) if simulation.exists() else None,
        fpga=tuple(read_part(path, Fpga, REMEDY) for path in families),
        silicon=read_part(silicon, Silicon, REMEDY) if silicon.exists() else None,
        changed=tuple(name for name, value in facts.origin.items() if now.get(name) != value),
    )
