"""On-chip memories at 45 nm: area, energy of an access, leakage and access time, from a grid of CACTI 7 runs.

Every figure of the grid is what CACTI says of one array with one read-write port (``sram_45nm.toml``). Between the
points of the grid, the logarithm of a figure is interpolated linearly in the logarithms of words and bits. CACTI
changes the organisation of the array from point to point to get the least product of energy and delay, so energy and
access time are not smooth and may fall where a memory grows (32 to 64 kB at 64 bits); area and leakage never do.
Relative error where each inner point is foretold from its neighbours at half and twice the words, and at half and twice
the bits, which is twice the distance of the interpolation:

    figure        median    90 % below    largest
    area            3.4 %        8.2 %       36 %
    read            7.8 %         36 %       81 %
    write           5.8 %         29 %       65 %
    leakage         4.2 %         14 %       26 %
    access time     7.1 %         31 %       75 %

Outside of the grid:

- More words than the grid: as many equal banks as are needed, of which one is accessed. More bits: equal memories side
  by side, all accessed. What selects a bank is left out.
- Fewer words or bits than the grid: the smallest memory of the grid; what it has more stays unused.
- Flip-flops, where they take less area than that memory: a memory of few bits. Each word has a gated clock, each bit
  a flip-flop, and a tree of multiplexers reads; figures are those of the cells, with random words at random addresses.
  The decoder is left out.

Not modelled: test logic, redundancy, wires to the memory. CACTI's cells are of the high-performance kind and leak
accordingly: 0.1 uW per bit at 330 K, where a flip-flop of the cell table leaks 0.055 uW at 300 K.

Source: N. Muralimanohar, R. Balasubramonian, N. P. Jouppi, "CACTI 6.0: A Tool to Model Large Caches", HP Laboratories,
2009, and R. Balasubramonian, A. Kahng, N. Muralimanohar, A. Shafiee, V. Srinivas, "CACTI 7: New Tools for Interconnect
Exploration in Innovative Off-Chip Memories", ACM TACO 14(2), 2017, run as the table says.
"""

from __future__ import annotations

import functools
import itertools
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

from laxity.circuits.cells import CellLibrary, default_library
from laxity.core.errors import CircuitError

FIGURES = ("area_um2", "read_pj", "write_pj", "leakage_nw", "access_ns")
"""Figures of a memory, as they are called in the table."""

Kind = Literal["sram", "flip-flops"]
"""What a memory is made of."""

_KEYS = ("name", "source", "process_nm", "voltage_v", "temperature_k", "words", "width")


@dataclass(frozen=True, slots=True)
class MemoryCost:
    """Figures of one memory.

    Attributes:
        area_um2: layout area, of cells only where it is made of flip-flops.
        read_pj, write_pj: energy of one access to a whole word.
        leakage_nw: leakage power.
        access_ns: from address to data.
        kind: what it is made of.
        arrays: how many arrays of the grid it consists of, banks times memories side by side; 0 for flip-flops.
    """

    area_um2: float
    read_pj: float
    write_pj: float
    leakage_nw: float
    access_ns: float
    kind: Kind
    arrays: int


@dataclass(frozen=True, slots=True, eq=False)
class MemoryTable:
    """A grid of memories; `cost` gives any.

    Attributes:
        name: short name.
        source: where the figures come from.
        process_nm: feature size.
        voltage_v: supply of the memories.
        temperature_k: temperature.
        words: of the grid, ascending.
        bits: width of a word on the grid, ascending.
        figures: for each of `FIGURES` a row per entry of `bits` with a value per entry of `words`.
    """

    name: str
    source: str
    process_nm: float
    voltage_v: float
    temperature_k: float
    words: tuple[int, ...]
    bits: tuple[int, ...]
    figures: Mapping[str, tuple[tuple[float, ...], ...]]

    def cost(self, words: int, bits: int, library: CellLibrary | None = None) -> MemoryCost:
        """Figures of a memory of `words` words of `bits` bits (module documentation).

        Args:
            words: number of addresses.
            bits: of a word.
            library: cells of memories that are made of flip-flops; the built-in 45 nm table if None.

        Raises:
            CircuitError: `words` or `bits` is no whole number of at least 1.
        """
        for name, value in (("words", words), ("bits", bits)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise CircuitError(f"a memory with {name} = {value!r} is not possible; give a whole number from 1")
        array = self._sram(words, bits)
        registers = flip_flop_memory(words, bits, library or default_library())
        return registers if registers.area_um2 < array.area_um2 else array

    def _sram(self, words: int, bits: int) -> MemoryCost:
        """One array, or banks of several side by side."""
        banks, beside = math.ceil(words / self.words[-1]), math.ceil(bits / self.bits[-1])
        one = {name: self._at(name, words / banks, bits / beside) for name in FIGURES}
        arrays = banks * beside
        return MemoryCost(
            area_um2=arrays * one["area_um2"],
            read_pj=beside * one["read_pj"],
            write_pj=beside * one["write_pj"],
            leakage_nw=arrays * one["leakage_nw"],
            access_ns=one["access_ns"],
            kind="sram",
            arrays=arrays,
        )

    def _at(self, figure: str, words: float, bits: float) -> float:
        """One figure of one array, interpolated; sizes below the grid are those of its edge."""
        row, up = _place(self.bits, bits)
        column, right = _place(self.words, words)
        rows = self.figures[figure][row : row + 2]
        low, high = (_between(values[column], values[column + 1], right) for values in rows)
        return _between(low, high, up)


def flip_flop_memory(words: int, bits: int, library: CellLibrary) -> MemoryCost:
    """A memory of flip-flops with a tree of multiplexers for reading (module documentation).

    A multiplexer over 2^k words toggles when its word differs, which a new address of random bits brings about in
    ``1/2 (1 - 2^-k)`` of reads of random words. A write clocks the flip-flops of one word.
    """
    select, flip_flop, cells = library.cells["MUX2"], library.flip_flop, words * bits
    levels = math.ceil(math.log2(words))
    load_ff = select.input_capacitance_ff
    toggle_fj = select.internal_energy_fj[0] + 0.5 * load_ff * library.voltage_v**2
    toggles = math.fsum(words / 2**k * 0.5 * (1 - 2.0**-k) for k in range(1, levels + 1))
    trees = bits * (words - 1)
    return MemoryCost(
        area_um2=cells * flip_flop.area_um2 + trees * select.area_um2,
        read_pj=1e-3 * bits * toggles * toggle_fj,
        write_pj=1e-3 * bits * library.clock_energy_fj(),
        leakage_nw=cells * flip_flop.leakage_nw + trees * select.leakage_nw,
        access_ns=1e-3 * levels * (select.delay_ps[0] + select.resistance_ps_per_ff[0] * load_ff),
        kind="flip-flops",
        arrays=0,
    )


def _place(grid: Sequence[int], value: float) -> tuple[int, float]:
    """Index of the interval of a grid that holds `value`, and how far in it that is in logarithms, from 0 to 1."""
    value = min(max(value, grid[0]), grid[-1])
    index = max(k for k in range(len(grid) - 1) if grid[k] <= value)
    return index, math.log(value / grid[index]) / math.log(grid[index + 1] / grid[index])


def _between(low: float, high: float, part: float) -> float:
    """Linear in the logarithm, and exactly `low` and `high` at the ends."""
    if part in (0.0, 1.0):
        return high if part else low
    return math.exp((1 - part) * math.log(low) + part * math.log(high))


@functools.cache
def default_sram() -> MemoryTable:
    """The built-in 45 nm memories."""
    text = files("laxity.circuits").joinpath("sram_45nm.toml").read_text(encoding="utf-8")
    return parse_memories(text, "sram_45nm.toml")


def parse_memories(text: str, where: str) -> MemoryTable:
    """Parse and validate the TOML text of a grid of memories; `where` names it in messages.

    Raises:
        CircuitError: it is no TOML, keys are missing or unknown, sizes do not ascend, or a figure is not above 0.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CircuitError(f"memory table {where} is not valid TOML: {error}") from error
    _check_keys(document, _KEYS, where)
    words = _sizes(document["words"], f"{where} words")
    rows = document["width"]
    if not isinstance(rows, list):
        raise CircuitError(f"{where}: width must be a list of tables [[width]]")
    for row in rows:
        _check_keys(row, ("bits", *FIGURES), f"{where} [[width]]")
    bits = _sizes([row["bits"] for row in rows], f"{where} bits of [[width]]")
    figures = {
        name: tuple(_row(row[name], len(words), f"{where} {name} of {row['bits']} bits") for row in rows)
        for name in FIGURES
    }
    numbers = {key: _positive(document[key], f"{where} {key}") for key in ("process_nm", "voltage_v", "temperature_k")}
    return MemoryTable(
        name=str(document["name"]),
        source=str(document["source"]),
        words=words,
        bits=bits,
        figures=MappingProxyType(figures),
        **numbers,
    )


def _check_keys(table: Any, wanted: Sequence[str], place: str) -> None:
    found = set(table) if isinstance(table, dict) else set()
    if found != set(wanted):
        wrong = ", ".join(sorted(found ^ set(wanted)))
        raise CircuitError(f"{place} must have the keys {', '.join(wanted)}; missing or unknown: {wrong}")


def _sizes(values: Any, place: str) -> tuple[int, ...]:
    if not isinstance(values, list) or len(values) < 2 or not all(type(v) is int and v > 0 for v in values):
        raise CircuitError(f"{place} is {values!r}; give at least two whole numbers above 0")
    if any(low >= high for low, high in itertools.pairwise(values)):
        raise CircuitError(f"{place} is {values!r}; give them in ascending order")
    return tuple(values)


def _row(values: Any, length: int, place: str) -> tuple[float, ...]:
    if not isinstance(values, list) or len(values) != length:
        raise CircuitError(f"{place}: give a list of {length} numbers, one per entry of words")
    return tuple(_positive(value, place) for value in values)


def _positive(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise CircuitError(f"{place}: {value!r} is not possible; give a finite number above 0")
    return float(value)
