"""Where values lie: words of `rows` channels, and regions of the activation memory that are used again.

The word of channel block b, row y and column x of a map of H x W lies at ``base + (b * H + y) * W + x`` and holds the
channels ``b * rows`` to ``b * rows + rows - 1`` of that place, the first in the low bits. Lanes beyond the last channel
hold the code of zero, always: so they add a known constant to every sum, which the bias takes off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from laxity.core.errors import PlanError
from laxity.core.program import INPUT, Add, Code, Program, Rescale, Reshape, Shape, Step


class Sliding(Protocol):
    """How a window slides over a map; rows and columns."""

    @property
    def kernel(self) -> tuple[int, ...]:
        """Taps."""

    @property
    def stride(self) -> tuple[int, ...]:
        """Between windows."""

    @property
    def dilation(self) -> tuple[int, ...]:
        """Between taps."""

    @property
    def before(self) -> tuple[int, ...]:
        """Padding above and on the left."""


@dataclass(frozen=True, slots=True)
class Place:
    """A value in memory.

    Attributes:
        channels, height, width: of the map as it is stored.
        code: of its integers.
        base: first word of its region.
        lanes: channels per word.
        output: it lies in the output memory, not in that of activations.
    """

    channels: int
    height: int
    width: int
    code: Code
    base: int
    lanes: int
    output: bool

    @property
    def blocks(self) -> int:
        """Words per place of the map."""
        return -(-self.channels // self.lanes)

    @property
    def area(self) -> int:
        """Places of the map."""
        return self.height * self.width

    @property
    def words(self) -> int:
        """Words that hold channels."""
        return self.blocks * self.area

    @property
    def last_lanes(self) -> int:
        """Channels in words of the last block."""
        return self.channels - (self.blocks - 1) * self.lanes

    def walk(self, window: Sliding, block: int) -> dict[str, int]:
        """Fields of a pass that say how the address walker reads windows of this map, from a block of channels on."""
        (top, left), width = window.before, self.width
        return {
            "base": self.base + block * self.area - top * width - left,
            "first_y": -top,
            "first_x": -left,
            "height": self.height,
            "width": width,
            "kernel_rows": window.kernel[0],
            "kernel_columns": window.kernel[1],
            "tap_row_words": window.dilation[0] * width,
            "tap_words": window.dilation[1],
            "row_words": window.stride[0] * width,
            "column_words": window.stride[1],
            "tap_y": window.dilation[0],
            "tap_x": window.dilation[1],
            "stride_y": window.stride[0],
            "stride_x": window.stride[1],
            "pad_code": self.code.zero,
            "signed_codes": int(self.code.signed),
        }

    def pack(self, codes: NDArray[np.integer]) -> NDArray[np.int64]:
        """Words of a batch, int64 (batch, words, lanes), for codes (batch, ...)."""
        shape = (len(codes), self.blocks * self.lanes, self.height, self.width)
        full = np.full(shape, self.code.zero, np.int64)
        full[:, : self.channels] = codes.reshape(len(codes), self.channels, self.height, self.width)
        split = full.reshape(len(codes), self.blocks, self.lanes, self.area)
        return split.transpose(0, 1, 3, 2).reshape(len(codes), self.words, self.lanes)


@dataclass(frozen=True, slots=True)
class Layout:
    """All values of a program in memory.

    Attributes:
        places: by the names of steps, and of the input.
        words: size of the activation memory.
        output_words: size of the output memory.
        executed: steps that compute or move anything, in order; the others are views.
    """

    places: Mapping[str, Place]
    words: int
    output_words: int
    executed: tuple[Step, ...]


def map_of(shape: Shape, name: str) -> tuple[int, int, int]:
    """Channels, height and width of a value.

    Raises:
        PlanError: it has more dimensions, or none.
    """
    if not 1 <= len(shape) <= 3 or min(shape) < 1:
        raise PlanError(
            f"step {name!r} has shape {shape}; the accelerator keeps values of 1 to 3 dimensions without the batch: "
            "channels, rows and columns"
        )
    return (shape[0], *(1,) * (3 - len(shape)), *shape[1:])  # type: ignore[return-value]


def lay_out(program: Program, lanes: int, group_words: int) -> Layout:
    """Place every value of a program.

    Args:
        program: whose values are placed.
        lanes: channels per word.
        group_words: words that the array writes together; regions have a multiple of so many blocks.

    Raises:
        PlanError: a value has too many dimensions, or a reshape would have to move codes between lanes.
    """
    owner = {INPUT: INPUT}
    maps = {INPUT: map_of(program.input_shape, INPUT)}
    for step in program.steps:
        source = maps[step.inputs[0]]
        owner[step.name] = owner[step.inputs[0]] if isinstance(step, Reshape) else step.name
        if isinstance(step, Reshape):
            maps[step.name] = _view(step, source)
        else:
            maps[step.name] = source if isinstance(step, Add | Rescale) else map_of(step.shape, step.name)
    last = owner[program.output.name]
    if last == INPUT or any(owner[name] == last for s in program.steps for name in s.inputs if owner[s.name] != last):
        raise PlanError(
            f"the output {program.output.name!r} is a view of {last!r}, which other steps read too; the accelerator "
            "needs a step that makes the output only"
        )
    sizes = {}
    for name in dict.fromkeys(owner.values()):
        channels, height, width = maps[name]
        sizes[name] = -(-channels // (lanes * group_words)) * group_words * height * width
    bases = _allocate(program, owner, {n: s for n, s in sizes.items() if n != last})
    places = {
        name: Place(*maps[name], program.code_of(name), bases.get(owner[name], 0), lanes, owner[name] == last)
        for name in owner
    }
    words = max(base + sizes[name] for name, base in bases.items())
    executed = tuple(step for step in program.steps if owner[step.name] == step.name)
    return Layout(places, words, sizes[last], executed)


def _view(step: Step, source: tuple[int, int, int]) -> tuple[int, int, int]:
    """The map of a reshaped value, whose words are those of its source."""
    if len(step.shape) == 1:
        return source  # flattened: who reads it looks at the map
    wanted = map_of(step.shape, step.name)
    if wanted[0] != source[0] or math.prod(wanted) != math.prod(source):
        raise PlanError(
            f"step {step.name!r} (reshape) turns a map of {source[0]} channels into one of {wanted[0]}; the "
            "accelerator flattens maps and reshapes rows and columns, it does not move codes between channels"
        )
    return wanted


def _allocate(program: Program, owner: Mapping[str, str], sizes: Mapping[str, int]) -> dict[str, int]:
    """First words of regions: the first gap that is large enough while all values that are still needed stay."""
    needed_until = {INPUT: -1}
    for index, step in enumerate(program.steps):
        needed_until.setdefault(owner[step.name], index)
        for name in step.inputs:
            needed_until[owner[name]] = index
    bases = {INPUT: 0}
    for index, step in enumerate(program.steps):
        if step.name not in sizes:
            continue
        living = sorted((bases[n], bases[n] + sizes[n]) for n in bases if needed_until[n] >= index)
        base = 0
        for start, end in living:
            if base + sizes[step.name] <= start:
                break
            base = max(base, end)
        bases[step.name] = base
    return bases
