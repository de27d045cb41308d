"""Verilog of the accelerator: modules that are the same for all, and those that depend on the program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from laxity.circuits import Circuit, Multiplier, to_verilog
from laxity.circuits.catalogue import require_circuit
from laxity.circuits.verilog import identifier
from laxity.core.errors import CircuitError
from laxity.core.program import INPUT
from laxity.core.requantise import MULTIPLIER_BITS
from laxity.rtl.accelerator.configuration import WEIGHT_STATIONARY
from laxity.rtl.accelerator.descriptor import WORD_BITS, Descriptor, describe, signed_bits, unsigned_bits
from laxity.rtl.accelerator.layout import Place
from laxity.rtl.accelerator.schedule import Schedule

_TOP = "accelerator.v"
_CORE_PREFIX = "core_"


@dataclass(frozen=True, slots=True, eq=False)
class Core:
    """A multiplier inside of the processing elements.

    Attributes:
        name: of its module.
        multiplier: what it computes.
        circuit: how.
        signed: the product is two's complement.
    """

    name: str
    multiplier: Multiplier
    circuit: Circuit
    signed: bool

    @property
    def product_bits(self) -> int:
        """Width of the product."""
        return self.circuit.port("p").width

    @property
    def table_file(self) -> str:
        """File with all products for faster simulation."""
        return f"{self.name}.hex"


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """Everything that the Verilog of a schedule depends on.

    Attributes:
        schedule: what is executed.
        cores: in the order in which instructions number them.
        descriptor: format of instructions.
        parameters: of the top module, by name.
    """

    schedule: Schedule
    cores: tuple[Core, ...]
    descriptor: Descriptor
    parameters: Mapping[str, int]


def design(schedule: Schedule, circuits: Mapping[str, Multiplier]) -> Design:
    """Choose all widths and depths.

    Raises:
        CircuitError: a multiplier is known by its table only, or two have the same module name.
    """
    cores = tuple(_core(circuits[use.name]) for use in schedule.program.multipliers)
    if len({core.name for core in cores}) < len(cores):
        raise CircuitError(f"multipliers {[c.multiplier.name for c in cores]} share a module name; rename one")
    parameters = {**_array_parameters(schedule, cores), **_memory_parameters(schedule)}
    passes = schedule.passes
    code_bits = parameters["CODE_BITS"] + 1
    wires = {
        "address": parameters["ADDRESS_BITS"],
        "code": code_bits,
        "weight_base": parameters["WEIGHT_ADDRESS_BITS"],
        "parameter_base": parameters["PARAMETER_ADDRESS_BITS"],
        "rotation": unsigned_bits(schedule.configuration.rows - 1),
        "factor": MULTIPLIER_BITS,
        "second_factor": MULTIPLIER_BITS,
    }
    descriptor = describe(passes, wires, schedule.configuration.rows)
    widths = {
        "INSTRUCTION_BITS": descriptor.bits,
        "COUNT_BITS": descriptor.wire_bits("rows"),
        "COORDINATE_BITS": descriptor.wire_bits("first_y"),
        "SELECT_BITS": descriptor.wire_bits("core"),
        "CODE_SHIFT_BITS": descriptor.wire_bits("code_shift"),
        "PRODUCT_SHIFT_BITS": descriptor.wire_bits("product_shift"),
        "FRACTION_BITS": descriptor.wire_bits("fraction"),
        "WRAP_BITS": descriptor.wire_bits("wrap"),
        "WIDE_BITS": max(code_bits, parameters["A_BITS"]) + 1 + max(p.code_shift for p in passes),
    }
    return Design(schedule, cores, descriptor, {**parameters, **widths})


def _core(multiplier: Multiplier) -> Core:
    circuit = require_circuit(multiplier)
    signed = multiplier.a_signed or multiplier.b_signed
    return Core(identifier(circuit.name), multiplier, circuit, signed)


def _array_parameters(schedule: Schedule, cores: tuple[Core, ...]) -> dict[str, int]:
    configuration, passes = schedule.configuration, schedule.passes
    product_bits = max(core.product_bits for core in cores)
    zeros = [int(v) for step in schedule.program.products for v in step.weight_zero]
    stored = [p.code.bits for p in schedule.layout.places.values() if not p.output]
    rows = configuration.rows
    return {
        "ROWS": rows,
        "COLUMNS": configuration.columns,
        "GROUP_WORDS": configuration.words_per_group,
        "CODE_BITS": max(stored),
        "A_BITS": max(core.multiplier.a_bits for core in cores),
        "W_BITS": max(core.multiplier.b_bits for core in cores),
        "PRODUCT_BITS": product_bits,
        "SUM_BITS": _sum_bits(schedule, product_bits),
        "CODE_SUM_BITS": max(stored) + 1 + (rows - 1).bit_length(),
        "ACCUMULATOR_WORDS": schedule.accumulator_words,
        "WEIGHT_ZEROS": int(any(zeros)),
        "WEIGHT_ZERO_BITS": max(signed_bits(z) for z in zeros),
        "ROTATIONS": int(any(p.rotation for p in passes)),
        "FACTORS": int(any(p.factor != 1 or p.second_factor != 1 for p in passes)),
    }


def _sum_bits(schedule: Schedule, product_bits: int) -> int:
    """Width of sums inside of the array: of one tile, or of a whole reduction."""
    if schedule.configuration.dataflow == WEIGHT_STATIONARY:
        return product_bits + 1 + (schedule.configuration.rows - 1).bit_length()
    return WORD_BITS + max(p.product_shift for p in schedule.passes)


def _memory_parameters(schedule: Schedule) -> dict[str, int]:
    layout, passes, images = schedule.layout, schedule.passes, schedule.images
    source, target = layout.places[INPUT], layout.places[schedule.program.output.name]
    positions = max(*(p.positions for p in passes), schedule.accumulator_words)
    groups = schedule.configuration.words_per_group
    return {
        "PASSES": len(passes),
        "PASS_BITS": unsigned_bits(len(passes) - 1),
        "POSITION_BITS": unsigned_bits(positions - 1),
        "ADDRESS_BITS": unsigned_bits(max(layout.words, layout.output_words) - 1),
        "ACTIVATION_WORDS": layout.words,
        "WEIGHT_WORDS": images.weight_words,
        "WEIGHT_ADDRESS_BITS": unsigned_bits(images.weight_words - 1),
        "PARAMETER_WORDS": len(images.parameters),
        "PARAMETER_ADDRESS_BITS": unsigned_bits(max(len(images.parameters), groups) - 1),
        "BEAT_BITS": beat_bits(schedule),
        **_stream("IN", source),
        "IN_ZERO": source.code.zero & 0xFFFFFFFF,
        "OUT_BITS": target.code.bits,
        "OUT_SIGNED": int(target.code.signed),
        "OUT_MEMORY_WORDS": layout.output_words,
        **_stream("OUT", target),
    }


def beat_bits(schedule: Schedule) -> int:
    """Bits of one lane of the input stream: whole bytes."""
    stored = [p.code.bits for p in schedule.layout.places.values() if not p.output]
    return -(-max(stored) // 8) * 8


def _stream(name: str, place: Place) -> dict[str, int]:
    full = place.words if place.last_lanes == place.lanes else (place.blocks - 1) * place.area
    return {f"{name}_WORDS": place.words, f"{name}_FULL_WORDS": full, f"{name}_LAST_LANES": place.last_lanes}


def verilog_files(found: Design) -> dict[str, str]:
    """All synthesisable Verilog by file name, one module per file."""
    modules = files(__package__) / "modules"
    folders = (modules, modules / found.schedule.configuration.dataflow.replace("-", "_"))
    entries = [entry for folder in folders for entry in folder.iterdir() if entry.name.endswith(".v")]
    texts = {entry.name: entry.read_text(encoding="ascii") for entry in entries}
    texts[_TOP] = _top(found, texts[_TOP])
    texts["descriptor.v"] = found.descriptor.verilog()
    texts["product.v"] = _product(found)
    texts |= {f"{_CORE_PREFIX}{core.name}.v": _core_text(core) for core in found.cores}
    return dict(sorted(texts.items()))


def _top(found: Design, template: str) -> str:
    fields, parameters = found.descriptor.fields, found.parameters
    narrow = "\n".join(f"  localparam {name} = {value};" for name, value in parameters.items())
    wires = "\n".join(f"  wire [{f.wire_bits - 1}:0] f_{f.name};" for f in fields)
    ports = ",\n".join(f"    .{f.name}(f_{f.name})" for f in fields)
    reset = found.schedule.configuration.rows + found.schedule.configuration.columns + 16
    parts = {
        "HEADER": _header(found),
        "PARAMETERS": f"  localparam RESET_CYCLES = {reset};\n{narrow}",
        "FIELD_WIRES": wires,
        "FIELD_PORTS": ports,
        "ROWS": str(parameters["ROWS"]),
        "IN_BITS": str(parameters["ROWS"] * parameters["BEAT_BITS"]),
    }
    for name, text in parts.items():
        template = template.replace(f"@{name}@", text)
    return template


def _header(found: Design) -> str:
    schedule, parameters = found.schedule, found.parameters
    used = ", ".join(core.multiplier.name for core in found.cores)
    steps = "\n".join(
        f"//   {s.step.name} ({s.step.kind}): {s.counts.passes} passes, {s.counts.cycles} cycles"
        for s in schedule.steps
    )
    return (
        f"// Accelerator of {parameters['ROWS']} x {parameters['COLUMNS']} processing elements, "
        f"{schedule.configuration.dataflow}, multipliers: {used}.\n"
        f"// Written by laxity for one network; it computes, in {schedule.cycles} cycles per image:\n{steps}\n//\n"
        "// The weights, the lane parameters and the program are read from weights.hex, parameters.hex and program.hex."
    )


def _product(found: Design) -> str:
    """The module that every element multiplies with: one core, or several of which the selected one sees operands."""
    p = found.parameters
    lines = [
        "// The product of an activation and a weight, one bit wider than the widest core makes it.",
        "// Cores that are not selected get zeros, so that they rest." if len(found.cores) > 1 else "",
        "module product (",
        f"  input wire [{p['SELECT_BITS'] - 1}:0] select,",
        f"  input wire [{p['A_BITS'] - 1}:0] a,",
        f"  input wire [{p['W_BITS'] - 1}:0] b,",
        f"  output wire [{p['PRODUCT_BITS']}:0] p",
        ");",
    ]
    for index, core in enumerate(found.cores):
        lines += _instance(index, core, p, alone=len(found.cores) == 1)
    choice = "p0"
    for index in range(1, len(found.cores)):
        choice = f"select == {p['SELECT_BITS']}'d{index} ? p{index} : {choice}"
    return "\n".join([line for line in lines if line] + [f"  assign p = {choice};", "endmodule", ""])


def _instance(index: int, core: Core, parameters: Mapping[str, int], *, alone: bool) -> list[str]:
    width = core.product_bits
    more = parameters["PRODUCT_BITS"] + 1 - width
    bits = [("a", core.multiplier.a_bits), ("b", core.multiplier.b_bits)]
    operands = {name: f"{name}[{n - 1}:0]" for name, n in bits}
    lines = []
    if not alone:
        lines = [f"  wire selected{index} = select == {parameters['SELECT_BITS']}'d{index};"]
        operands = {name: f"{operands[name]} & {{{n}{{selected{index}}}}}" for name, n in bits}
    top = f"r{index}[{width - 1}]" if core.signed else "1'b0"
    pins = ", ".join(f".{name}({text})" for name, text in operands.items())
    return [
        *lines,
        f"  wire [{width - 1}:0] r{index};",
        f"  wire [{parameters['PRODUCT_BITS']}:0] p{index} = {{{{{more}{{{top}}}}}, r{index}}};",
        f"  {core.name} core{index} ({pins}, .p(r{index}));",
    ]


def _core_text(core: Core) -> str:
    """The netlist, and a body that looks products up, for simulation."""
    a, b, p = (core.circuit.port(name).width for name in "abp")
    ports = f"  input wire [{a - 1}:0] a,\n  input wire [{b - 1}:0] b,\n  output wire [{p - 1}:0] p\n"
    body = f"module {core.name} (\n{ports});\n  assign p = {table_module(core)}.words[{{a, b}}];\nendmodule\n"
    return (
        "// Simulation with SIM_TABLE defined looks products up in a table that holds what the netlist computes.\n"
        f"`ifdef SIM_TABLE\n{body}`else\n{to_verilog(core.circuit)}`endif\n"
    )


def table_module(core: Core) -> str:
    """Name of the module that holds the products of a core in simulation."""
    return f"{core.name}_table"


def table_text(core: Core) -> str:
    """Verilog of that module, which stands beside the test bench as a root of its own."""
    bits, p = core.multiplier.a_bits + core.multiplier.b_bits, core.product_bits
    return (
        f"// All products of {core.multiplier.name}, shared by all processing elements; for simulation only.\n"
        f"module {table_module(core)};\n  reg [{p - 1}:0] words [0:{(1 << bits) - 1}];\n"
        f'  initial $readmemh("{core.table_file}", words);\nendmodule\n'
    )
