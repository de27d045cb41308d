"""Place and route of a circuit between registers, for ECP5 and iCE40, with nextpnr; the frequency and the bitstream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

from laxity.circuits.netlist import Circuit
from laxity.circuits.synthesis.mapping import plain_verilog
from laxity.core.errors import CircuitError
from laxity.eda.run import Progress, ToolRunError, run
from laxity.eda.store import Store, digest
from laxity.eda.tools import find
from laxity.eda.yosys import yosys

TARGET_MHZ = 100
"""Frequency that place and route aims at; missing it is no error."""

TIMEOUT_S = 600.0
"""Time that place and route may take."""

MEMORY_BYTES = 4 << 30
"""Memory that place and route may use."""

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Placement:
    """The circuit with registers at all inputs and outputs, after place and route.

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
class _Flow:
    """Commands of one family; `routed` and `bits` are the files between them."""

    device: str
    synthesis: str
    placer: str
    options: tuple[str, ...]
    routed: str
    packer: str
    bits: str


_FLOWS: Mapping[str, _Flow] = MappingProxyType(
    {
        "ecp5": _Flow(
            "LFE5U-25F-6CABGA381",
            "synth_ecp5 -nodsp -nowidelut -top wrapper",
            "nextpnr-ecp5",
            ("--25k", "--package", "CABGA381", "--lpf-allow-unconstrained", "--textcfg", "routed.config"),
            "routed.config",
            "ecppack",
            "out.bit",
        ),
        "ice40": _Flow(
            "iCE40HX8K-CT256",
            "synth_ice40 -top wrapper",
            "nextpnr-ice40",
            ("--hx8k", "--package", "ct256", "--pcf-allow-unconstrained", "--asc", "routed.asc"),
            "routed.asc",
            "icepack",
            "out.bin",
        ),
    }
)


def place(
    circuit: Circuit, family: str, *, seed: int = 1, progress: Progress | None = None, store: Store | None = None
) -> Placement:
    """Place and route a circuit between registers, and pack the bitstream.

    Args:
        circuit: any combinational netlist whose port bits fit the pins of the part.
        family: ``"ecp5"`` or ``"ice40"``.
        seed: of the placer; frequencies of one circuit differ by a few per cent between seeds.
        progress: told what takes long.
        store: where results are kept; nowhere if None.

    Raises:
        CircuitError: another family.
        ToolError: a tool is missing or too old.
        ToolRunError: a tool failed, for instance because the circuit does not fit.
    """
    if family not in _FLOWS:
        raise CircuitError(f"no place and route for {family!r}; use one of {', '.join(_FLOWS)}")
    flow, kept = _FLOWS[family], store or Store(None)
    tools = [find(name) for name in ("yosys", flow.placer, flow.packer)]
    names = ", ".join(tool.identity for tool in tools)
    key = digest("place", _FORMAT, asdict(flow), circuit.key, seed, TARGET_MHZ, names)
    known = kept.read("place", key)
    if isinstance(known, dict) and set(known) == set(Placement.__dataclass_fields__):
        return Placement(**known)
    files = {"in.v": plain_verilog(circuit) + wrapper(circuit).encode("ascii")}
    script = f"read_verilog in.v\n{flow.synthesis}\nwrite_json out.json\n"
    netlist = yosys(script, files, ["out.json"], progress=progress, tool=tools[0]).outputs["out.json"]
    options = ["--json", "in.json", "--freq", str(TARGET_MHZ), "--seed", str(seed), "--timing-allow-fail"]
    routed = run(
        tools[1],
        [*options, "--report", "report.json", "-q", *flow.options],
        {"in.json": netlist},
        [flow.routed, "report.json"],
        TIMEOUT_S,
        MEMORY_BYTES,
        progress,
    )
    bits = run(
        tools[2],
        [flow.routed, flow.bits],
        {flow.routed: routed.outputs[flow.routed]},
        [flow.bits],
        TIMEOUT_S,
        MEMORY_BYTES,
        progress,
    )
    frequency = _frequency(routed.outputs["report.json"], flow.placer)
    result = Placement(flow.device, frequency, len(bits.outputs[flow.bits]), seed, names)
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
    lines = [f"module wrapper ({', '.join(ports)});", *body, f"  circuit core ({', '.join(pins)});", "endmodule", ""]
    return "\n".join(lines)


def _frequency(report: bytes, placer: str) -> float:
    """The achieved frequency of the only clock."""
    try:
        clocks = json.loads(report)["fmax"]
        return float(min(clock["achieved"] for clock in clocks.values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolRunError(f"{placer} wrote no frequency ({type(error).__name__}: {error})") from error
