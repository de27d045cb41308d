"""The instruction of the accelerator: one pass over a window of activations, as a word of fields.

A step of a program is executed as one or more passes. The array takes a pass for every group of output channels (and
band of output rows); the vector unit takes one for every block of channels. The fields of a pass are what the
controller, the address walker and the post-processing read from the program memory.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


def _field(kind: str, meaning: str, default: int | None = None) -> Any:
    """A field of the instruction.

    `kind` is ``flag``; ``number``, unsigned; ``count``, at least 1 and stored less one; ``address``, modulo the size
    of the address space; ``coordinate``, signed; ``word``, signed of 32 bits; ``mask``, one bit per lane; ``code``.
    """
    metadata = {"kind": kind, "meaning": meaning}
    if default is None:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One instruction; the meaning of every field is in its metadata and in the generated Verilog."""

    vector: int = _field("flag", "executed by the vector unit, not by the array")
    maximum: int = _field("flag", "vector unit: greatest code of a window, else sum of codes times factors", 0)
    step_end: int = _field("flag", "last pass of a step", 0)
    program_end: int = _field("flag", "last pass of the program", 0)
    to_output: int = _field("flag", "codes go to the output memory, else to the activation memory", 0)
    base: int = _field("address", "word under the first tap at the first position, before padding is looked at")
    first_y: int = _field("coordinate", "row of that word; negative in the padding")
    first_x: int = _field("coordinate", "column of that word; negative in the padding")
    height: int = _field("coordinate", "rows of the map that is read; words beyond are padding")
    width: int = _field("coordinate", "columns of the map that is read")
    blocks: int = _field("count", "channel blocks that are reduced; operands of an addition")
    kernel_rows: int = _field("count", "rows of the window")
    kernel_columns: int = _field("count", "columns of the window")
    rows: int = _field("count", "rows of positions")
    columns: int = _field("count", "columns of positions")
    block_words: int = _field("address", "words from one channel block, or operand, to the next")
    tap_row_words: int = _field("address", "words from one row of taps to the next")
    tap_words: int = _field("address", "words from one tap to the next in its row")
    row_words: int = _field("address", "words from one row of positions to the next")
    column_words: int = _field("address", "words from one position to the next in its row")
    tap_y: int = _field("coordinate", "rows of the map from one row of taps to the next")
    tap_x: int = _field("coordinate", "columns of the map from one tap to the next")
    stride_y: int = _field("coordinate", "rows of the map from one row of positions to the next")
    stride_x: int = _field("coordinate", "columns of the map from one position to the next")
    pad_code: int = _field("code", "code of activations outside of the map")
    signed_codes: int = _field("flag", "codes are two's complement; those of the first channel block or operand")
    second_signed: int = _field("flag", "codes of all further channel blocks or operands are two's complement", 0)
    factor: int = _field("number", "vector unit: factor of codes; of the first operand of an addition", 1)
    second_factor: int = _field("number", "vector unit: factor of codes of the second operand", 1)
    rotation: int = _field("number", "vector unit: lanes by which codes move up; the last ones go to the first", 0)
    core: int = _field("number", "which multiplier core computes", 0)
    magnitude: int = _field("flag", "the core takes the magnitude of activations, the sign is applied outside", 0)
    code_shift: int = _field("number", "how far activation codes are shifted up before the core", 0)
    product_shift: int = _field("number", "low bits that all sums lack", 0)
    fraction: int = _field("number", "bits of a sum below one activation code times one weight code", 0)
    wrap: int = _field("number", "32 less the width of the accumulator that sums are wrapped into", 0)
    weight_base: int = _field("number", "first word in the weight memory", 0)
    parameter_base: int = _field("number", "word in the memory of lane parameters: bias, multiplier, shift")
    out_base: int = _field("address", "word that the first position is written to")
    out_words: int = _field("address", "words from one block of outputs of this pass to the next", 0)
    lanes: int = _field("mask", "lanes that are written")
    zero: int = _field("word", "added after the shift")
    low: int = _field("word", "least code")
    high: int = _field("word", "greatest code")

    @property
    def tiles(self) -> int:
        """Taps over all channel blocks: tiles of the reduction, or words per result of the vector unit."""
        return self.blocks * self.kernel_rows * self.kernel_columns

    @property
    def positions(self) -> int:
        """Results per lane."""
        return self.rows * self.columns
