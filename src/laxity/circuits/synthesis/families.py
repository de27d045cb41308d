"""FPGA families: how they are synthesised, what their cells are called, and which parts are placed and routed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from laxity.core.errors import CircuitError

Family = Literal["xilinx7", "ecp5", "ice40"]
"""Xilinx 7-series, Lattice ECP5, Lattice iCE40."""

RESOURCES = ("lut", "carry", "ff", "dsp", "bram", "lutram")
"""What is counted."""


@dataclass(frozen=True, slots=True)
class Part:
    """A device in a package.

    Attributes:
        name: as the vendor orders it.
        options: that tell nextpnr which one it is.
        capacity: number of ``"lut"``, ``"ff"``, ``"dsp"``, ``"bram"`` and ``"pin"``.
    """

    name: str
    options: tuple[str, ...]
    capacity: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class FpgaFamily:
    """How a family is synthesised, and what its cells are called.

    Attributes:
        command: of Yosys, without multiplexers that are wider than a table.
        flattened: option that makes it dissolve modules; empty where it does so anyway.
        without_dsp: option that keeps multiplications out of DSP blocks; empty where it does so anyway.
        luts: input pins of each look-up table, least significant first.
        output: output pin of a table.
        table: parameter that holds its contents.
        prefixes: beginnings of the names of the cells that are one of a resource.
        lutram: tables that a memory or shift register of tables takes, by its cell.
        slots: tables that a cell of another kind takes the place of, by resource.
        parts: from the smallest; none where there is no place and route.
    """

    command: str
    flattened: str
    without_dsp: str
    luts: Mapping[str, tuple[str, ...]]
    output: str
    table: str
    prefixes: Mapping[str, tuple[str, ...]]
    lutram: Mapping[str, int]
    slots: Mapping[str, int]
    parts: tuple[Part, ...]

    def synthesis(self, top: str, *, dsp: bool = False) -> str:
        """The command that synthesises a module; modules marked ``keep_hierarchy`` stay whole."""
        words = [self.command, "" if dsp else self.without_dsp, self.flattened, "-top", top]
        return " ".join(word for word in words if word)

    def count(self, cells: Mapping[str, int]) -> dict[str, int]:
        """How many of each of `RESOURCES` some cells are, from their numbers by type."""
        counts = {
            resource: sum(number for cell, number in cells.items() if cell.startswith(prefixes))
            for resource, prefixes in self.prefixes.items()
        }
        return counts | {"lutram": sum(self.lutram.get(cell, 0) * number for cell, number in cells.items())}


def _ecp5(size: str, device: str, package: str, lut: int, bram: int, dsp: int, pins: int) -> Part:
    capacity = {"lut": lut, "ff": lut, "bram": bram, "dsp": dsp, "pin": pins}
    return Part(f"LFE5U-{size}-6{package}", (f"--{device}", "--package", package), capacity)


FAMILIES: Mapping[Family, FpgaFamily] = MappingProxyType(
    {
        "xilinx7": FpgaFamily(
            "synth_xilinx -family xc7 -noiopad -nowidelut",
            "-flatten",
            "-nodsp",
            {f"LUT{n}": tuple(f"I{k}" for k in range(n)) for n in range(1, 7)},
            "O",
            "INIT",
            {"lut": ("LUT", "INV"), "carry": ("CARRY4",), "ff": ("FD",), "dsp": ("DSP48",), "bram": ("RAMB",)},
            {
                "RAM32M": 4,
                "RAM64M": 4,
                "RAM32X1D": 2,
                "RAM64X1D": 2,
                "RAM128X1D": 4,
                "RAM32X1S": 1,
                "RAM64X1S": 1,
                "RAM128X1S": 2,
                "RAM256X1S": 4,
                "SRL16E": 1,
                "SRLC32E": 1,
            },
            {},
            (),
        ),
        "ecp5": FpgaFamily(
            "synth_ecp5 -nowidelut",
            "",
            "-nodsp",
            {"LUT4": ("A", "B", "C", "D")},
            "Z",
            "INIT",
            {"lut": ("LUT4",), "carry": ("CCU2C",), "ff": ("TRELLIS_FF",), "dsp": ("MULT18",), "bram": ("DP16KD",)},
            {"TRELLIS_DPR16X4": 4},
            {"carry": 2, "lutram": 1},
            (
                _ecp5("25F", "25k", "CABGA381", 24288, 56, 28, 197),
                _ecp5("45F", "45k", "CABGA554", 43848, 108, 72, 245),
                _ecp5("85F", "85k", "CABGA756", 83640, 208, 156, 365),
            ),
        ),
        "ice40": FpgaFamily(
            "synth_ice40",
            "",
            "",
            {"SB_LUT4": ("I0", "I1", "I2", "I3")},
            "O",
            "LUT_INIT",
            {"lut": ("SB_LUT4",), "carry": ("SB_CARRY",), "ff": ("SB_DFF",), "dsp": ("SB_MAC",), "bram": ("SB_RAM",)},
            {},
            {},
            (
                Part(
                    "iCE40HX8K-CT256",
                    ("--hx8k", "--package", "ct256"),
                    {"lut": 7680, "ff": 7680, "bram": 32, "dsp": 0, "pin": 206},
                ),
            ),
        ),
    }
)
"""All families by name.

Source: device tables of the families (Lattice FPGA-DS-02012, FPGA-DS-02029), which nextpnr reports as available too;
tables per memory cell: Xilinx UG474, Lattice FPGA-TN-02204.
"""


def family_named(name: str, *, placed: bool = False) -> FpgaFamily:
    """A family by its name.

    Raises:
        CircuitError: an unknown one, or one that cannot be placed and routed where `placed` asks for that.
    """
    if name not in get_args(Family):
        raise CircuitError(f"unknown FPGA family {name!r}; use one of {', '.join(get_args(Family))}")
    family = FAMILIES[name]  # type: ignore[index]
    if placed and not family.parts:
        raise CircuitError(f"there is no open place and route for {name} here, only resource counts; leave out --place")
    return family
