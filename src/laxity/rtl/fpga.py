"""Size of a written accelerator on FPGA families, and its frequency after place and route.

A processing element is synthesised once and stays a module of its own, so that arrays of hundreds of them are as much
work as one; everything else is dissolved into one module, where constants reach across the borders of modules. The
multipliers of the array are netlists of gates and become look-up tables; DSP blocks, where a part has them, take the
multiplications of the requantisation only.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from laxity.circuits.synthesis.families import RESOURCES, Family, FpgaFamily, Part, family_named
from laxity.circuits.synthesis.place import FLOWS, TARGET_MHZ, Flow, Placement, route
from laxity.core.errors import RunError
from laxity.core.serial import write_json
from laxity.eda.run import Progress, ToolRunError
from laxity.eda.store import Store, default_store, digest
from laxity.eda.tools import Tool, find
from laxity.eda.yosys import cell_counts, read_netlist, yosys
from laxity.rtl.accelerator.write import REPORT

SYNTHESIS_S = 1800.0
"""Time that synthesis may take."""

ROUTING_S = 7200.0
"""Time that place and route may take."""

ROUTING_BYTES = 6 << 30
"""Memory that place and route may use; a nextpnr from a wheel never gets more than 4 GB of it."""

TOP, ELEMENT = "accelerator", "pe"
"""The module that everything is dissolved into, and the one that stays."""

_FORMAT = 1
_KIND = "accelerator"
_SPREAD = {"lut": 0.95}  # nextpnr needs some tables itself, to enter and leave carry chains
_WORDS = {"lut": "look-up tables", "ff": "flip-flops", "bram": "memory blocks", "dsp": "DSP blocks", "pin": "pins"}
_MEMORY = re.compile(r'"(\w+\.hex)"')


@dataclass(frozen=True, slots=True)
class ModuleResources:
    """What all instances of a module take together, without what they contain.

    Attributes:
        instances: how many there are.
        lut, carry, ff, dsp, bram, lutram: as in `AcceleratorResources`.
    """

    instances: int
    lut: int
    carry: int
    ff: int
    dsp: int
    bram: int
    lutram: int


@dataclass(frozen=True, slots=True)
class AcceleratorResources:
    """What an accelerator takes on an FPGA family.

    Attributes:
        family: device family.
        lut: look-up tables for logic (up to 6 inputs on Xilinx 7-series, 4 on the others).
        carry: carry cells (four bits on Xilinx 7-series, two on ECP5, one on iCE40).
        ff: flip-flops.
        dsp: multiplier blocks.
        bram: memory blocks of any size.
        lutram: look-up tables that are memories or shift registers.
        modules: shares of the processing elements and of everything else.
        tool: name, version and provider of Yosys.
        placement: after place and route, if asked for.
        critical_path: registers between which the slowest path runs; empty without placement.
        element_frequency_mhz: of one processing element placed and routed alone, with the multiplier and the adder
            between its registers: how fast the array could be if nothing else were slower; None without placement.
    """

    family: Family
    lut: int
    carry: int
    ff: int
    dsp: int
    bram: int
    lutram: int
    modules: Mapping[str, ModuleResources]
    tool: str
    placement: Placement | None = None
    critical_path: tuple[str, ...] = ()
    element_frequency_mhz: float | None = None

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return {**asdict(self), "critical_path": list(self.critical_path)}


def result_file(family: Family) -> str:
    """Name of the file in the folder of an accelerator that holds its figures for a family."""
    return f"fpga_{family}.json"


def synthesise_accelerator(
    folder: Path,
    family: Family,
    *,
    placed: bool = False,
    seed: int = 1,
    store: Store | None = None,
    progress: Progress | None = None,
) -> AcceleratorResources:
    """Synthesise a written accelerator for an FPGA family; the figures are written into its folder too.

    Args:
        folder: from `laxity.rtl.accelerator.write_accelerator`.
        family: device family.
        placed: whether to place and route it too, on the smallest part of the family that has room; not for
            ``"xilinx7"``. An array of 8 x 8 takes minutes.
        seed: of the placer.
        store: where results are kept; the user's if None.
        progress: told what takes long.

    Raises:
        CircuitError: an unknown family, or placement where there is none.
        ToolError: a tool is missing or too old.
        ToolRunError: a tool failed; or no part has room, with what is needed and what there is.
        RunError: the folder holds no accelerator, or cannot be written.
    """
    device, kept = family_named(family, placed=placed), store or default_store()
    work = _Work(device, family, _sources(folder), find("yosys"), kept, progress)
    found = work.counted()
    write_json(folder / result_file(family), found.to_json())
    if placed:
        routing = work.placed(found, seed)
        path = tuple(routing["critical_path"])
        placement, element_mhz = Placement(**routing["placement"]), work.element_mhz(seed)
        found = replace(found, placement=placement, critical_path=path, element_frequency_mhz=element_mhz)
        write_json(folder / result_file(family), found.to_json())
    return found


@dataclass(frozen=True)
class _Work:
    """An accelerator that is synthesised; what is in the store is not made again."""

    device: FpgaFamily
    family: Family
    sources: Mapping[str, bytes]
    tool: Tool
    store: Store
    progress: Progress | None

    @property
    def script(self) -> str:
        """Commands of Yosys."""
        lines = [f"read_verilog -defer {name}" for name in self.sources if name.endswith(".v")]
        lines += [
            f"hierarchy -check -top {TOP}",
            f"setattr -mod -set keep_hierarchy 1 A:hdlname={ELEMENT}",
            self.device.synthesis(TOP, dsp=True),
            "write_json out.json",
        ]
        return "\n".join([*lines, ""])

    @property
    def key(self) -> str:
        """Under which the counts are kept."""
        content = {name: hashlib.sha256(text).hexdigest() for name, text in self.sources.items()}
        return digest(_FORMAT, self.family, self.script, content, self.tool.identity)

    @functools.cached_property
    def netlist(self) -> bytes:
        """The modules as Yosys writes them."""
        if self.progress is not None:
            self.progress(f"synthesising for {self.family} ...")
        done = yosys(self.script, self.sources, ["out.json"], SYNTHESIS_S, progress=self.progress, tool=self.tool)
        return done.outputs["out.json"]

    def counted(self) -> AcceleratorResources:
        """What all modules take."""
        if (known := _known(self.store.read(_KIND, self.key))) is not None:
            return known
        found = self._count(self.netlist)
        self.store.write(_KIND, self.key, found.to_json())
        return found

    def placed(self, found: AcceleratorResources, seed: int) -> dict[str, Any]:
        """Placement and critical path on the smallest part that has room, as JSON values."""
        key = self._routing_key(TOP, seed)
        known = self.store.read(_KIND, key)
        if isinstance(known, dict) and set(known) == {"placement", "critical_path"}:
            return known
        routing = self._place(self.netlist, found, seed)
        self.store.write(_KIND, key, routing)
        return routing

    def element_mhz(self, seed: int) -> float:
        """Frequency of one processing element alone, on the smallest part."""
        key = self._routing_key(ELEMENT, seed)
        known = self.store.read(_KIND, key)
        if isinstance(known, float):
            return known
        modules = read_netlist(self.netlist)["modules"]
        top = next(name for name, facts in modules.items() if facts["attributes"].get("hdlname") == ELEMENT)
        part = self.device.parts[0]
        found = route(self.netlist, part, FLOWS[self.family], top=top, seed=seed, progress=self.progress)
        self.store.write(_KIND, key, found.frequency_mhz)
        return found.frequency_mhz

    def _routing_key(self, top: str, seed: int) -> str:
        flow, parts = FLOWS[self.family], [part.options for part in self.device.parts]
        named = [] if top == TOP else [top]
        return digest(self.key, asdict(flow), parts, seed, TARGET_MHZ, self._tools(flow), *named)

    def _count(self, netlist: bytes) -> AcceleratorResources:
        document = read_netlist(netlist)
        whole = cell_counts(document, TOP)
        modules: dict[str, ModuleResources] = {}
        for name, facts in sorted(document["modules"].items(), key=lambda item: item[0] != TOP):
            instances = 1 if name == TOP else whole.get(name, 0)
            if instances and not facts["attributes"].keys() & {"blackbox", "whitebox"}:
                counts = self.device.count(cell_counts(document, name))
                short = str(facts["attributes"].get("hdlname", name))
                modules[short] = ModuleResources(instances, **{r: instances * n for r, n in counts.items()})
        totals = {r: sum(getattr(m, r) for m in modules.values()) for r in RESOURCES}
        return AcceleratorResources(family=self.family, **totals, modules=modules, tool=self.tool.identity)

    def _place(self, netlist: bytes, found: AcceleratorResources, seed: int) -> dict[str, Any]:
        flow = FLOWS[self.family]
        part, use = _part(self.device, found, _pins(netlist))
        if self.progress is not None:
            self.progress(f"placing and routing on {part.name} ({use}) ...")
        try:
            routed = route(
                netlist, part, flow, seed=seed, timeout_s=ROUTING_S, memory_bytes=ROUTING_BYTES, progress=self.progress
            )
        except ToolRunError as error:
            raise ToolRunError(
                f"the accelerator was not placed and routed on {part.name}, of which it takes {use}: {error}"
            ) from error
        placement = Placement(part.name, routed.frequency_mhz, routed.bitstream_bytes, seed, self._tools(flow))
        return {"placement": asdict(placement), "critical_path": list(routed.critical_path)}

    def _tools(self, flow: Flow) -> str:
        return ", ".join(tool.identity for tool in (self.tool, *flow.tools()))


def _sources(folder: Path) -> dict[str, bytes]:
    """The Verilog, and the contents of the memories that it names."""
    try:
        json.loads((folder / REPORT).read_text(encoding="utf-8"))
        sources = {path.name: path.read_bytes() for path in sorted((folder / "rtl").glob("*.v"))}
        named = {name for text in sources.values() for name in _MEMORY.findall(text.decode("utf-8"))}
        sources |= {name: (folder / "memory" / name).read_bytes() for name in sorted(named)}
    except (OSError, ValueError) as error:
        raise RunError(f"{folder} holds no accelerator: {error}; write one with write_accelerator") from error
    return sources


def _known(value: Any) -> AcceleratorResources | None:
    """Counts as they were kept; None if they are not."""
    if not isinstance(value, dict) or set(value) != set(AcceleratorResources.__dataclass_fields__):
        return None
    modules = {name: ModuleResources(**counts) for name, counts in value["modules"].items()}
    return AcceleratorResources(**{**value, "modules": modules, "critical_path": ()})


def _pins(netlist: bytes) -> int:
    ports = read_netlist(netlist)["modules"][TOP]["ports"]
    return sum(len(port["bits"]) for port in ports.values())


def _part(device: FpgaFamily, found: AcceleratorResources, pins: int) -> tuple[Part, str]:
    """The smallest part that has room, and what is used of it in words."""
    slots = found.lut + sum(number * getattr(found, resource) for resource, number in device.slots.items())
    needed = {"lut": slots, "ff": found.ff, "bram": found.bram, "dsp": found.dsp, "pin": pins}
    for part in device.parts:
        if all(needed[name] <= _SPREAD.get(name, 1.0) * most for name, most in part.capacity.items()):
            return part, _use(needed, part)
    largest = device.parts[-1]
    raise ToolRunError(
        f"the accelerator does not fit {largest.name}, the largest part that is known here: it takes "
        f"{_use(needed, largest)}; use fewer rows and columns, or a smaller network"
    )


def _use(needed: Mapping[str, int], part: Part) -> str:
    shares = [
        f"{needed[name]} of {most} {_WORDS[name]} ({100 * needed[name] / most:.0f} %)"
        for name, most in part.capacity.items()
        if most
    ]
    return ", ".join(shares)
