"""Instructions as words: the width of every field, the memory image, and the Verilog that takes a word apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from laxity.rtl.accelerator.passes import Pass

WORD_BITS = 32
"""Width of fields that are compared with sums."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the instruction word.

    Attributes:
        name: of the field of `Pass` and of the Verilog wire.
        kind: as in `Pass`.
        meaning: for people.
        low_bit: where it begins.
        bits: how many are stored.
        wire_bits: width of its wire, into which it is extended.
    """

    name: str
    kind: str
    meaning: str
    low_bit: int
    bits: int
    wire_bits: int

    @property
    def signed(self) -> bool:
        """Whether it is two's complement."""
        return self.kind in ("coordinate", "word", "code")

    def encode(self, value: int) -> int:
        """The bits of a value."""
        return (value - (self.kind == "count")) & ((1 << self.bits) - 1)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The format of the instruction word of one program."""

    fields: tuple[Field, ...]

    @property
    def bits(self) -> int:
        """Width of the word."""
        return sum(field.bits for field in self.fields)

    def wire_bits(self, name: str) -> int:
        """Width of the wire of a field."""
        return next(f.wire_bits for f in self.fields if f.name == name)

    def encode(self, one: Pass) -> int:
        """The word of a pass."""
        return sum(f.encode(getattr(one, f.name)) << f.low_bit for f in self.fields)

    def verilog(self) -> str:
        """The module that takes a word apart, with the meaning of every field."""
        longest = max(len(f.name) for f in self.fields)
        ports = ",\n".join(f"  output wire [{f.wire_bits - 1}:0] {f.name}" for f in self.fields)
        table = "\n".join(
            f"//   {_range(f):>9}  {f.name:<{longest}}  {f.meaning}{' (less one)' * (f.kind == 'count')}"
            for f in self.fields
        )
        wires = "\n".join(f"  assign {f.name} = {_extended(f)};" for f in self.fields)
        return (
            f"// Fields of an instruction word of {self.bits} bits, one word per pass:\n{table}\n"
            f"module descriptor (\n  input wire [{self.bits - 1}:0] instruction,\n{ports}\n);\n{wires}\nendmodule\n"
        )


def _range(field: Field) -> str:
    top = field.low_bit + field.bits - 1
    return str(top) if field.bits == 1 else f"{top}:{field.low_bit}"


def _extended(field: Field) -> str:
    part = f"instruction[{_range(field)}]"
    more = field.wire_bits - field.bits
    if more == 0:
        return part
    top = f"instruction[{field.low_bit + field.bits - 1}]" if field.signed else "1'b0"
    return f"{{{{{more}{{{top}}}}}, {part}}}"


def unsigned_bits(value: int) -> int:
    """Bits of an unsigned number, at least 1."""
    return max(1, value.bit_length())


def signed_bits(value: int) -> int:
    """Bits of a number in two's complement."""
    return (value if value >= 0 else ~value).bit_length() + 1


def describe(passes: Sequence[Pass], wire_bits: Mapping[str, int], lanes: int) -> Descriptor:
    """Choose the widths of all fields, as narrow as a program allows.

    Args:
        passes: of the program.
        wire_bits: widths of wires that other modules prescribe, by name or kind of field.
        lanes: of a word of activations.
    """
    fixed = {"flag": 1, "mask": lanes, **{kind: wire_bits[kind] for kind in ("address", "code")}}
    fixed["coordinate"] = max(_coordinate_bits(p) for p in passes)
    counts = [f.name for f in dataclasses.fields(Pass) if f.metadata["kind"] == "count"]
    fixed["count"] = max(unsigned_bits(getattr(p, name) - 1) for p in passes for name in counts)
    fields, low_bit = [], 0
    for field in dataclasses.fields(Pass):
        kind, values = field.metadata["kind"], [getattr(p, field.name) for p in passes]
        width = signed_bits if kind == "word" else unsigned_bits
        bits = fixed.get(kind) or max(width(v) for v in values)
        wire = WORD_BITS if kind == "word" else wire_bits.get(field.name, bits)
        fields.append(Field(field.name, kind, field.metadata["meaning"], low_bit, bits, wire))
        low_bit += bits
    return Descriptor(tuple(fields))


def _coordinate_bits(one: Pass) -> int:
    """Width in which no coordinate of a pass overflows, on the way to the farthest tap at the farthest position."""
    y = (one.kernel_rows * one.tap_y, one.rows * one.stride_y)
    x = (one.kernel_columns * one.tap_x, one.columns * one.stride_x)
    ends = (one.first_y, one.first_x, one.first_y + sum(y), one.first_x + sum(x), *y, *x, one.height, one.width)
    return max(signed_bits(v) for v in (*ends, one.tap_y, one.tap_x, one.stride_y, one.stride_x))
