"""What the numbers of a file mean: signedness, byte and bit order, two's complement, found by nearness to products."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from laxity.circuits.importers.importer import IntArray, Options, Reading, TableContent
from laxity.circuits.metrics import exact_products
from laxity.circuits.netlist import Circuit, Port
from laxity.circuits.simulate import MAX_TABLE_BITS, product_table
from laxity.circuits.source import Source
from laxity.core.errors import CircuitError

DECISIVE = 0.5
"""An unusual reading is taken if its mean error is below this fraction of that of the best usual one."""

_SIGNS = ((False, False), (True, True), (False, True), (True, False))


@dataclass(frozen=True, slots=True)
class Meaning:
    """One meaning of the content of a file.

    Attributes:
        table: products by operand codes, int64 (2**a_bits, 2**b_bits).
        a_signed: operand a is two's complement.
        b_signed: likewise b.
        notes: what this meaning assumes, in words.
        unusual: it departs from the conventions of the format.
        reversed_ports: ports of a netlist whose bits are taken in the other order.
        nmed: mean distance to exact products over the largest of them, a fraction.
    """

    table: IntArray
    a_signed: bool
    b_signed: bool
    notes: tuple[str, ...]
    unusual: bool
    reversed_ports: tuple[str, ...]
    nmed: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The meaning that was chosen.

    Attributes:
        chosen: the meaning.
        nmed_of: best mean distance by signedness (a, b), of the usual meanings.
    """

    chosen: Meaning
    nmed_of: dict[tuple[bool, bool], float]


def meaning_of_table(source: Source, content: TableContent, options: Options) -> Decision:
    """Choose how a table is to be read.

    Raises:
        CircuitError: its shape fits no operand widths, or others than those given.
    """
    return _decide(
        meaning
        for order, reading in enumerate(content.readings)
        for table, notes, unusual in _shapes(source, reading, options)
        for meaning in _table_meanings(table, reading, options, notes, unusual or order > 0)
    )


def meaning_of_circuit(circuit: Circuit, options: Options, declared_signed: bool | None) -> Decision:
    """Choose how the bits of a netlist with ports a, b and p are to be read.

    Raises:
        CircuitError: the operands are too wide for a table.
    """
    codes = product_table(circuit)
    signs = [(True, True)] if declared_signed and options.signed is None else _signs(options.signed)
    return _decide(
        _circuit_meaning(circuit, codes, pair, tuple(itertools.compress("abp", turned)))
        for turned in itertools.product((False, True), repeat=3)
        for pair in signs
    )


def reordered(circuit: Circuit, ports: Sequence[str]) -> Circuit:
    """The circuit with the bits of some ports in the other order."""

    def turned(port: Port) -> Port:
        return Port(port.name, port.nets[::-1]) if port.name in ports else port

    inputs, outputs = (tuple(turned(p) for p in side) for side in (circuit.inputs, circuit.outputs))
    return Circuit(circuit.name, inputs, outputs, circuit.gates, circuit.source)


def _signs(signed: bool | None) -> Sequence[tuple[bool, bool]]:
    return _SIGNS if signed is None else [(signed, signed)]


def _decide(meanings: Iterable[Meaning]) -> Decision:
    """The nearest usual meaning, or an unusual one that is decisively nearer; earlier ones win ties.

    Meanings are compared one at a time, as each holds a table.
    """
    usual: Meaning | None = None
    best: Meaning | None = None
    nmeds: dict[tuple[str, ...], dict[tuple[bool, bool], float]] = {}
    for meaning in meanings:
        signs = (meaning.a_signed, meaning.b_signed)
        nmed_of = nmeds.setdefault(meaning.reversed_ports, {})
        nmed_of[signs] = min(meaning.nmed, nmed_of.get(signs, meaning.nmed))
        best = meaning if best is None or meaning.nmed < best.nmed else best
        if not meaning.unusual:
            usual = meaning if usual is None or meaning.nmed < usual.nmed else usual
    if best is None:
        raise CircuitError("the file can be read in no way; name its format and widths")
    chosen = best if usual is None or best.nmed < DECISIVE * usual.nmed else usual
    return Decision(chosen, nmeds[chosen.reversed_ports])


def _nmed(table: IntArray, signs: tuple[bool, bool]) -> float:
    a_bits, b_bits = (side.bit_length() - 1 for side in table.shape)
    exact = exact_products(a_bits, b_bits, *signs)
    return float(np.abs(table - exact).mean() / max(1, int(np.abs(exact).max())))


def _twos(table: IntArray, bits: int) -> IntArray:
    """Unsigned words of some width as two's complement."""
    return table - ((table >> (bits - 1) & 1) << bits)


# Tables --------------------------------------------------------------------------------------------------------------


def _shapes(source: Source, reading: Reading, options: Options) -> Iterator[tuple[IntArray, tuple[str, ...], bool]]:
    """The table indexed by a and b, with what that assumes."""
    values, a_bits, b_bits = reading.values, options.a_bits, options.b_bits
    if values.ndim == 1:
        bits = values.size.bit_length() - 1
        if values.size != 1 << bits or bits < 2 or (a_bits is None and b_bits is None and bits % 2):
            raise source.error(None, f"{values.size} products in a row; tell the widths with --a-bits and --b-bits")
        if a_bits is None and b_bits is None:
            a_bits = b_bits = bits // 2
        a_bits = bits - b_bits if a_bits is None and b_bits is not None else a_bits
        a_bits = a_bits or 0
        b_bits = bits - a_bits if b_bits is None else b_bits
        if a_bits + b_bits != bits or min(a_bits, b_bits) < 1:
            raise source.error(
                None, f"{values.size} products are those of {bits} operand bits together, not {a_bits} + {b_bits}"
            )
        yield values.reshape(1 << a_bits, 1 << b_bits), ("products are listed with operand b running fastest",), False
        if a_bits != b_bits:
            turned = values.reshape(1 << b_bits, 1 << a_bits).T
            yield turned, ("products are listed with operand a running fastest",), True
        return
    sides = values.shape
    if values.ndim != 2 or any(s < 2 or s & (s - 1) for s in sides) or values.size > 1 << MAX_TABLE_BITS:
        raise source.error(
            None, f"a table of {' x '.join(map(str, sides))}; both sides must be powers of two, as 256 x 256"
        )
    widths = tuple(s.bit_length() - 1 for s in sides)
    wanted = (a_bits or widths[0], b_bits or widths[1])
    if wanted == widths:
        yield values, ("the first index (line) is operand a, the activation; the second is b, the weight",), False
    elif wanted == widths[::-1] or (a_bits, b_bits) in ((widths[1], None), (None, widths[0])):
        yield values.T, ("the first index (line) is operand b, as the widths given say; the second is a",), False
    else:
        raise source.error(
            None,
            f"a table of {sides[0]} x {sides[1]} has operands of {widths[0]} and {widths[1]} bits, not "
            f"{wanted[0]} and {wanted[1]}; correct --a-bits and --b-bits",
        )


def _table_meanings(
    table: IntArray, reading: Reading, options: Options, notes: tuple[str, ...], unusual: bool
) -> Iterator[Meaning]:
    signs = [(True, True)] if reading.signed_operands and options.signed is None else _signs(options.signed)
    notes = (*notes, reading.note) if reading.note else notes
    for pair in signs:
        mixed = pair[0] != pair[1]
        for ordered, order_notes, rolled in _index_orders(table, pair, reading):
            for words, word_notes in _words(ordered, any(pair), reading.unsigned_bits):
                yield Meaning(
                    words,
                    *pair,
                    (*notes, *order_notes, *word_notes),
                    unusual or rolled or mixed,
                    (),
                    _nmed(words, pair),
                )


def _index_orders(
    table: IntArray, signs: tuple[bool, bool], reading: Reading
) -> Iterator[tuple[IntArray, tuple[str, ...], bool]]:
    """Indices as codes; or, for signed operands, as rising values from the most negative one."""
    yield table, (), False
    if any(signs) and reading.signed_operands is None:
        rolled = table
        for axis, signed in enumerate(signs):
            rolled = np.roll(rolled, table.shape[axis] // 2, axis=axis) if signed else rolled
        yield rolled, ("indices rise from the most negative operand, not from code 0",), True


def _words(table: IntArray, signed: bool, unsigned_bits: int | None) -> Iterator[tuple[IntArray, tuple[str, ...]]]:
    """Products as they are, and as two's complement or unsigned words where their range allows it."""
    yield table, ()
    low, high = int(table.min()), int(table.max())
    bits = sum(side.bit_length() - 1 for side in table.shape)
    if signed and low >= 0:
        for width in sorted({bits, unsigned_bits or bits}):
            if 1 << (width - 1) <= high < 1 << width:
                yield _twos(table, width), (f"products are two's complement words of {width} bits",)
    if not signed and low < 0 and -low <= 1 << (bits - 1) and high < 1 << (bits - 1):
        yield table & ((1 << bits) - 1), (f"negative products are unsigned words of {bits} bits",)


# Netlists ------------------------------------------------------------------------------------------------------------


def _circuit_meaning(circuit: Circuit, codes: IntArray, signs: tuple[bool, bool], turned: tuple[str, ...]) -> Meaning:
    table = _turned(circuit, codes, turned)
    words = _twos(table, circuit.port("p").width) if any(signs) else table
    notes = tuple(f"the bits of port {name!r} are listed in the other order: lowest last" for name in turned)
    return Meaning(words, *signs, notes, bool(turned) or signs[0] != signs[1], turned, _nmed(words, signs))


def _turned(circuit: Circuit, codes: IntArray, ports: tuple[str, ...]) -> IntArray:
    """The table with the bits of some ports in the other order."""
    table = codes
    if "a" in ports:
        table = table[_mirror(circuit.port("a").width)]
    if "b" in ports:
        table = table[:, _mirror(circuit.port("b").width)]
    if "p" in ports:
        width = circuit.port("p").width
        turned = np.zeros_like(table)
        for bit in range(width):
            turned |= (table >> bit & 1) << (width - 1 - bit)
        table = turned
    return table


def _mirror(bits: int) -> IntArray:
    """For each code, the code with its bits in the other order."""
    codes = np.arange(1 << bits, dtype=np.int64)
    turned = np.zeros_like(codes)
    for bit in range(bits):
        turned |= (codes >> bit & 1) << (bits - 1 - bit)
    return turned
