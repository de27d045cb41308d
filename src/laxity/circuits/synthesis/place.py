"""Place and route for ECP5 and iCE40 with nextpnr: of a netlist, and of a circuit between registers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from laxity.circuits.netlist import Circuit
from laxity.circuits.synthesis.families import FAMILIES, Part
from laxity.circuits.synthesis.mapping import plain_verilog
from laxity.core.errors import CircuitError
from laxity.eda.run import Progress, ToolRunError, run
from laxity.eda.store import Store, digest
from laxity.eda.tools import Tool, find
from laxity.eda.yosys import yosys

TARGET_MHZ = 100
"""Frequency that place and route aims at; missing it is no error."""

TIMEOUT_S = 600.0
"""Time that place and route of a circuit may take."""

MEMORY_BYTES = 4 << 30
"""Memory that place and route may use."""

_FORMAT = 2
_TOP = "wrapper"


@dataclass(frozen=True, slots=True)
class Placement:
    """A design after place and route.

    Attributes:
        device: the part.
        frequency_mhz: post-route, from register to register.
        bitstream_bytes: size of the bitstream file.
        seed: of place and route.
        tools: name, version and provider of each tool.
    """

    device: str
    frequency_mhz: float
    bitstream_bytes: int
    seed: int
    tools: str


@dataclass(frozen=True, slots=True)
class Flow:
    """Place and route of one family.

    Attributes:
        placer: program that places and routes.
        emit: its option before the file that describes the routed design.
        options: further ones.
        routed: name of that file.
        packer: program that makes the bitstream of it.
        bits: name of the bitstream.
    """

    placer: str
    emit: str
    options: tuple[str, ...]
    routed: str
    packer: str
    bits: str

    def tools(self) -> tuple[Tool, Tool]:
        """The placer and the packer.

        Raises:
            ToolError: one is missing or too old.
        """
        return find(self.placer), find(self.packer)


FLOWS: Mapping[str, Flow] = MappingProxyType(
    {
        "ecp5": Flow(
            "nextpnr-ecp5", "--textcfg", ("--lpf-allow-unconstrained",), "routed.config", "ecppack", "out.bit"
        ),
        "ice40": Flow("nextpnr-ice40", "--asc", ("--pcf-allow-unconstrained",), "routed.asc", "icepack", "out.bin"),
    }
)
"""How netlists are placed and routed, by family."""


@dataclass(frozen=True, slots=True)
class Routed:
    """What place and route says.

    Attributes:
        frequency_mhz: from register to register.
        critical_path: cells at which the slowest path begins and ends.
        bitstream_bytes: size of the bitstream file.
    """

    frequency_mhz: float
    critical_path: tuple[str, str]
    bitstream_bytes: int


def route(
    netlist: bytes,
    part: Part,
    flow: Flow,
    *,
    top: str | None = None,
    seed: int = 1,
    timeout_s: float = TIMEOUT_S,
    memory_bytes: int = MEMORY_BYTES,
    progress: Progress | None = None,
) -> Routed:
    """Place and route a netlist of Yosys, and pack the bitstream.

    Args:
        netlist: as ``write_json`` writes it; nextpnr dissolves modules itself.
        part: which part.
        flow: of its family.
        top: module to place and route; the one that Yosys marked if None.
        seed: of the placer.
        timeout_s: wall-clock limit.
        memory_bytes: limit on memory.
        progress: told what takes long.

    Raises:
        ToolError: a tool is missing or too old.
        ToolRunError: a tool failed, for instance because the design does not fit.
    """
    placer, packer = flow.tools()
    options = ["--json", "in.json", "--freq", str(TARGET_MHZ), "--seed", str(seed), "--timing-allow-fail"]
    words = [*options, "--report", "report.json", "-q", *part.options, *flow.options, flow.emit, flow.routed]
    words += [] if top is None else ["--top", top]
    done = run(placer, words, {"in.json": netlist}, [flow.routed, "report.json"], timeout_s, memory_bytes, progress)
    content = {flow.routed: done.outputs[flow.routed]}
    bits = run(packer, [flow.routed, flow.bits], content, [flow.bits], timeout_s, memory_bytes, progress)
    frequency, path = _timing(done.outputs["report.json"], flow.placer)
    return Routed(frequency, path, len(bits.outputs[flow.bits]))


def place(
    circuit: Circuit, family: str, *, seed: int = 1, progress: Progress | None = None, store: Store | None = None
) -> Placement:
    """Place and route a circuit between registers, and pack the bitstream.

    Args:
        circuit: any combinational netlist whose port bits fit the pins of the smallest part.
        family: ``"ecp5"`` or ``"ice40"``.
        seed: of the placer; frequencies of one circuit differ by a few per cent between seeds.
        progress: told what takes long.
        store: where results are kept; nowhere if None.

    Raises:
        CircuitError: another family.
        ToolError: a tool is missing or too old.
        ToolRunError: a tool failed, for instance because the circuit does not fit.
    """
    if family not in FLOWS:
        raise CircuitError(f"no place and route for {family!r}; use one of {', '.join(FLOWS)}")
    flow, device, kept = FLOWS[family], FAMILIES[family], store or Store(None)  # type: ignore[index]
    part, command = device.parts[0], device.synthesis(_TOP)
    tools = [find("yosys"), *flow.tools()]
    names = ", ".join(tool.identity for tool in tools)
    key = digest("place", _FORMAT, asdict(flow), command, part.options, circuit.key, seed, TARGET_MHZ, names)
    known = kept.read("place", key)
    if isinstance(known, dict) and set(known) == set(Placement.__dataclass_fields__):
        return Placement(**known)
    files = {"in.v": plain_verilog(circuit) + wrapper(circuit).encode("ascii")}
    script = f"read_verilog in.v\n{command}\nwrite_json out.json\n"
    netlist = yosys(script, files, ["out.json"], progress=progress, tool=tools[0]).outputs["out.json"]
    routed = route(netlist, part, flow, seed=seed, progress=progress)
    result = Placement(part.name, routed.frequency_mhz, routed.bitstream_bytes, seed, names)
    kept.write("place", key, asdict(result))
    return result


def wrapper(circuit: Circuit) -> str:
    """Module ``wrapper``: module ``circuit`` of `plain_verilog` with registers at its inputs and outputs."""
    ports, body, pins = ["input wire clk"], [], []
    for k, port in enumerate(circuit.inputs):
        ports.append(f"input wire [{port.width - 1}:0] i{k}")
        body += [f"  reg [{port.width - 1}:0] r{k};", f"  always @(posedge clk) r{k} <= i{k};"]
        pins.append(f".i{k}(r{k})")
    for k, port in enumerate(circuit.outputs):
        ports.append(f"output reg [{port.width - 1}:0] o{k}")
        body += [f"  wire [{port.width - 1}:0] w{k};", f"  always @(posedge clk) o{k} <= w{k};"]
        pins.append(f".o{k}(w{k})")
    lines = [f"module {_TOP} ({', '.join(ports)});", *body, f"  circuit core ({', '.join(pins)});", "endmodule", ""]
    return "\n".join(lines)


def _timing(report: bytes, placer: str) -> tuple[float, tuple[str, str]]:
    """The achieved frequency of the only clock, and between which cells its slowest path runs."""
    try:
        found = json.loads(report)
        frequency = float(min(clock["achieved"] for clock in found["fmax"].values()))
        ends = [_ends(path["path"]) for path in found["critical_paths"] if _clocked(path)]
        return frequency, ends[0] if ends else ("", "")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ToolRunError(f"{placer} wrote no frequency ({type(error).__name__}: {error})") from error


def _clocked(path: Mapping[str, Any]) -> bool:
    return all("edge" in str(path[side]) for side in ("from", "to"))


def _ends(hops: list[Mapping[str, Any]]) -> tuple[str, str]:
    return str(hops[0]["from"]["cell"]), str(hops[-1]["to"]["cell"])
