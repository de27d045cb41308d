"""Cycle-accurate simulation of a mapped design, many images at once: bit i of every word belongs to image i.

There are two engines with one behaviour, one of numpy and one that is compiled. Both count, for each net, how often its
settled value changes from cycle to cycle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from laxity.circuits.netlist import CELL_PINS
from laxity.circuits.simulate import CELL_FUNCTIONS, Words
from laxity.core.compiled import compiled_module
from laxity.core.errors import ToolError
from laxity.core.seeds import stream
from laxity.rtl.silicon.netlist import Memory, Netlist
from laxity.rtl.silicon.rows import CELLS, Indices, Rows, make_rows

Counts = npt.NDArray[np.int64]

Kind = Literal["auto", "native", "numpy"]
"""Which engine: the compiled one, numpy, or the compiled one where laxity was installed with a compiler."""

INTERFACE = 1
"""What the compiled module must say that it offers; raised with every change of its functions."""

_ALL = ~np.uint64(0)


@dataclass(slots=True, eq=False)
class Contents:
    """A memory while it is simulated.

    Attributes:
        address, data: rows of the read port; the latter follow each other.
        writes: rows of enables, address and data of each write port.
        words: contents, uint64 (words, bits, image words).
        last: address that was read last, uint64 (address bits, image words).
        stale: images for which the word at that address has been written since, uint64 (image words,).
    """

    address: Indices
    data: Indices
    writes: list[tuple[Indices, Indices, Indices]]
    words: Words
    last: Words
    stale: Words


@dataclass(slots=True, eq=False)
class State:
    """Everything that changes.

    Attributes:
        rows: how nets lie in memory.
        nets: value of every net, uint64 (rows, image words).
        mask: images that count, uint64 (image words,).
        toggles: changes of every net over all images that count, int64 (rows,).
        stores: the memories.
        reads: accesses to each memory over all images that count, int64 (memories,). A word that is asked for again and
            was not written in between is no access: the memory holds its output.
        writes: words written to each memory, int64 (memories,).
    """

    rows: Rows
    nets: Words
    mask: Words
    toggles: Counts
    stores: list[Contents]
    reads: Counts
    writes: Counts


class Engine(Protocol):
    """Advances a `State`."""

    def settle(self) -> None:
        """Compute all gates from inputs, flip-flops and words that were read."""

    def clock(self) -> None:
        """Apply a rising edge: flip-flops take what is at their inputs, memories read and write."""


def make_state(netlist: Netlist, mask: Words, seed: int) -> State:
    """A design before its first cycle: flip-flops, and memories without contents, hold random bits.

    Nothing may depend on those, and whatever does shows, as every image gets others.
    """
    rows, width = make_rows(netlist), len(mask)
    random = stream(seed, "silicon", "power-up")
    nets = np.zeros((rows.count, width), np.uint64)
    nets[1] = _ALL
    nets[rows.flip_flops : rows.gates] = _bits(random, (rows.gates - rows.flip_flops, width))
    stores = [_store(memory, rows, width, random) for memory in netlist.memories]
    accesses = np.zeros((2, len(stores)), np.int64)
    return State(rows, nets, mask, np.zeros(rows.count, np.int64), stores, accesses[0], accesses[1])


def make_engine(state: State, kind: Kind = "auto") -> Engine:
    """An engine for a state.

    Raises:
        ToolError: an unknown engine, or the compiled one is asked for and not installed.
    """
    if kind not in get_args(Kind):
        raise ToolError(f"unknown engine {kind!r}; choose one of {', '.join(get_args(Kind))}")
    module = None if kind == "numpy" else compiled()
    if module is None:
        if kind == "native":
            raise ToolError("the compiled simulator is not installed; install a C++17 compiler and then laxity again")
        return NumpyEngine(state)
    rows = state.rows
    engine = module.Engine(rows.groups, rows.pins, rows.next, rows.flip_flops, state.nets, state.toggles, state.mask)
    for index, store in enumerate(state.stores):
        engine.add_memory(store.address, store.data, store.words, store.last, store.stale, state.reads[index:])
        for enable, address, data in store.writes:
            engine.add_write(enable, address, data, state.writes[index:])
    found: Engine = engine
    return found


@cache
def compiled() -> ModuleType | None:
    """The compiled module, or None where laxity was installed without a compiler.

    Raises:
        ToolError: the module belongs to another version of laxity.
    """
    return compiled_module("laxity.rtl.silicon._cycles", INTERFACE, "the compiled simulator")


def _bits(random: np.random.Generator, shape: Sequence[int]) -> Words:
    return random.integers(0, 1 << 64, tuple(shape), dtype=np.uint64)


def _store(memory: Memory, rows: Rows, width: int, random: np.random.Generator) -> Contents:
    if memory.contents is None:
        words = _bits(random, (memory.words, memory.bits, width))
    else:
        planes = [[_ALL * np.uint64(word >> bit & 1) for bit in range(memory.bits)] for word in memory.contents]
        words = np.repeat(np.array(planes, np.uint64)[:, :, None], width, 2)
    return Contents(
        rows.rows(memory.address),
        rows.rows(memory.data),
        [(rows.rows(w.enable), rows.rows(w.address), rows.rows(w.data)) for w in memory.writes],
        words,
        np.zeros((len(memory.address), width), np.uint64),
        np.full(width, _ALL),
    )


class NumpyEngine:
    """The engine of numpy."""

    def __init__(self, state: State) -> None:
        """Take a state, which is changed in place."""
        self._state = state
        self._groups = []
        for number, first, count, row in state.rows.groups.tolist():
            cell, pins = CELLS[number], state.rows.pins[first : first + count]
            inputs = [pins[:, k].copy() for k in range(CELL_PINS[cell][0])]
            self._groups.append((CELL_FUNCTIONS[cell], inputs, count, row))

    def settle(self) -> None:
        """Compute all gates."""
        nets, first = self._state.nets, self._state.rows.gates
        before = nets[first:].copy()
        for function, pins, count, row in self._groups:
            for output, words in enumerate(function(*(nets[rows] for rows in pins))):
                nets[row + output * count : row + (output + 1) * count] = words
        self._count(slice(first, None), before)

    def clock(self) -> None:
        """Apply a rising edge."""
        state = self._state
        held = slice(state.rows.flip_flops, state.rows.gates)
        before = state.nets[held].copy()
        taken = state.nets[state.rows.next]
        read = [self._access(index, store) for index, store in enumerate(state.stores)]
        state.nets[state.rows.flip_flops : state.rows.memories] = taken
        for store, words in zip(state.stores, read, strict=True):
            state.nets[store.data] = words
        self._count(held, before)

    def _count(self, part: slice, before: Words) -> None:
        changed = (self._state.nets[part] ^ before) & self._state.mask
        self._state.toggles[part] += np.bitwise_count(changed).sum(1, dtype=np.int64)

    def _access(self, index: int, store: Contents) -> Words:
        """Read, then write; the words that leave the memory."""
        state = self._state
        address = state.nets[store.address]
        again = ~(np.bitwise_or.reduce(address ^ store.last, 0) | store.stale)
        state.reads[index] += int(np.bitwise_count(~again & state.mask).sum())
        read = self._read(store, address)
        store.last[:], store.stale[:] = address, 0
        for enable, place, data in store.writes:
            enables, target = state.nets[enable], state.nets[place]
            written = np.bitwise_or.reduce(enables, 0)
            if written.any():
                state.writes[index] += int(np.bitwise_count(written & state.mask).sum())
                store.stale |= written & ~np.bitwise_or.reduce(target ^ address, 0)
                self._write(store, enables, target, state.nets[data])
        return read

    def _read(self, store: Contents, address: Words) -> Words:
        read = np.zeros(store.words.shape[1:], np.uint64)
        for place, images in _places(address):
            if place < len(store.words):
                read |= store.words[place] & images
        return read

    def _write(self, store: Contents, enables: Words, address: Words, data: Words) -> None:
        for place, images in _places(address):
            if place < len(store.words):
                chosen = enables & images
                store.words[place] = (store.words[place] & ~chosen) | (data & chosen)


def _places(address: Words) -> list[tuple[int, Words]]:
    """Every address that occurs, and the images that have it."""
    if ((address == 0) | (address == _ALL)).all() and (address == address[:, :1]).all():
        return [(sum(1 << bit for bit, plane in enumerate(address) if plane[0]), np.full(address.shape[1], _ALL))]
    bits = np.unpackbits(address.view(np.uint8), axis=1, bitorder="little").astype(np.int64)
    values = (bits << np.arange(len(address))[:, None]).sum(0)
    found = []
    for value in np.unique(values).tolist():
        images = np.packbits(values == value, bitorder="little").view(np.uint64)
        found.append((value, images))
    return found
