"""Passes of the vector unit: pooling, additions, changes of code, and copies that pad, cut and join.

Every lane takes the greatest, or the sum, of the codes under a window and requantises it. A copy is a window of one tap
and a requantisation by 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from laxity.core.errors import PlanError
from laxity.core.parts import Window
from laxity.core.program import Add, Code, Concatenate, Pad, Pool, Program, Rescale, Slice, Step
from laxity.core.requantise import GREATEST_SUM, LEAST_SUM, MULTIPLIER_BITS, PRODUCT_BITS
from laxity.rtl.accelerator.images import UNUSED, Images, LaneParameters
from laxity.rtl.accelerator.layout import Layout, Place, map_of
from laxity.rtl.accelerator.passes import Pass
from laxity.rtl.accelerator.product import flat_window

_ONE = (1 << (MULTIPLIER_BITS - 1), MULTIPLIER_BITS - 1)
"""Multiplier and shift that keep a sum as it is."""

_POINT = Window((1, 1), (1, 1), (1, 1), (0, 0), (0, 0))


@dataclass(frozen=True, slots=True)
class _Finish:
    """What becomes of a sum: ``clamp(((sum + bias) * multiplier >> shift, rounded) + zero, low, high)``."""

    bias: int
    multiplier: int
    shift: int
    zero: int
    low: int
    high: int


def _unchanged(code: Code) -> _Finish:
    return _Finish(-code.zero, *_ONE, code.zero, code.low, code.high)


@dataclass(frozen=True, slots=True, eq=False)
class VectorLowering:
    """Writes the passes of all steps but products.

    Attributes:
        program: that has the steps.
        layout: of values in memory.
        images: memories that are filled.
        lanes: channels per word.
    """

    program: Program
    layout: Layout
    images: Images
    lanes: int

    def passes(self, step: Step) -> Iterator[Pass]:
        """The passes of a step, one or more for every block of channels.

        Raises:
            PlanError: the accelerator cannot compute the step; names it.
        """
        sources = [self.layout.places[name] for name in step.inputs]
        self._check_maps(step, sources)
        if isinstance(step, Pool):
            return self._pool(step, sources[0])
        if isinstance(step, Rescale):
            return self._rescale(step, sources[0])
        if isinstance(step, Add):
            return self._add(step, *sources)
        if isinstance(step, Pad):
            return self._pad(step, sources[0])
        if isinstance(step, Slice):
            return self._slice(step, sources[0])
        if isinstance(step, Concatenate):
            return self._concatenate(step, sources)
        raise PlanError(f"step {step.name!r} ({step.kind}) is none that the accelerator has")

    def _check_maps(self, step: Step, sources: list[Place]) -> None:
        """Raise unless a step reads maps as they are stored, or treats all their words alike."""
        maps = [(source.channels, source.height, source.width) for source in sources]
        wanted = [map_of(self.program.shape_of(name), name) for name in step.inputs]
        elementwise = isinstance(step, Add | Rescale)
        if len(set(maps)) > 1 if elementwise else maps != wanted:
            raise PlanError(
                f"step {step.name!r} ({step.kind}) reads {', '.join(step.inputs)}, stored as maps of {maps}; flattened "
                "maps are for linear layers only, so flatten after this step"
            )

    def _pass(
        self,
        source: Place,
        target: Place,
        block: int,
        out_block: int,
        finish: _Finish,
        window: Window = _POINT,
        **more: int,
    ) -> Pass:
        """A pass that reads one block and writes one."""
        before, width = window.before, source.width
        values = {
            "vector": 1,
            "base": source.base + block * source.area - before[0] * width - before[1],
            "first_y": -before[0],
            "first_x": -before[1],
            "height": source.height,
            "width": width,
            "blocks": 1,
            "kernel_rows": window.kernel[0],
            "kernel_columns": window.kernel[1],
            "rows": target.height,
            "columns": target.width,
            "block_words": 0,
            "tap_row_words": window.dilation[0] * width,
            "tap_words": window.dilation[1],
            "row_words": window.stride[0] * width,
            "column_words": window.stride[1],
            "tap_y": window.dilation[0],
            "tap_x": window.dilation[1],
            "stride_y": window.stride[0],
            "stride_x": window.stride[1],
            "pad_code": source.code.zero,
            "signed_codes": int(source.code.signed),
            "parameter_base": self._parameters(finish, min(self.lanes, target.channels - out_block * self.lanes)),
            "out_base": target.base + out_block * target.area,
            "to_output": int(target.output),
            "lanes": (1 << self.lanes) - 1,
            "zero": finish.zero,
            "low": finish.low,
            "high": finish.high,
        }
        return Pass(**{**values, **more})

    def _parameters(self, finish: _Finish, used: int) -> int:
        own = LaneParameters(finish.bias, finish.multiplier, finish.shift)
        return self.images.add_word((own,) * used + (UNUSED,) * (self.lanes - used))

    def _pool(self, step: Pool, source: Place) -> Iterator[Pass]:
        window, target = flat_window(step.window), self.layout.places[step.name]
        if step.requantiser is None:
            finish, more = _unchanged(source.code), {"maximum": 1, "pad_code": source.code.low}
        else:
            quantiser, taps = step.requantiser, window.kernel[0] * window.kernel[1]
            limits = (quantiser.zero, quantiser.low, quantiser.high)
            finish = _Finish(-source.code.zero * taps, quantiser.multipliers[0], quantiser.shifts[0], *limits)
            _check_range(step, finish, [(source.code, 1)] * taps)
            more = {}
        for block in range(source.blocks):
            yield self._pass(source, target, block, block, finish, window, **more)

    def _rescale(self, step: Rescale, source: Place) -> Iterator[Pass]:
        quantiser, target = step.requantiser, self.layout.places[step.name]
        limits = (quantiser.zero, quantiser.low, quantiser.high)
        finish = _Finish(-source.code.zero, quantiser.multipliers[0], quantiser.shifts[0], *limits)
        _check_range(step, finish, [(source.code, 1)])
        for block in range(source.blocks):
            yield self._pass(source, target, block, block, finish)

    def _add(self, step: Add, left: Place, right: Place) -> Iterator[Pass]:
        """Both operands, by their factors, are the two taps of a window that reaches from one region to the other."""
        addition, target = step.addition, self.layout.places[step.name]
        (m, n), (y, z) = addition.multipliers, addition.zeros
        finish = _Finish(-m * y - n * z, 1, addition.shift, addition.zero, addition.low, addition.high)
        _check_range(step, finish, [(left.code, m), (right.code, n)])
        for block in range(left.blocks):
            yield self._pass(
                left, target, block, block, finish,
                blocks=2, block_words=right.base - left.base, factor=m, second_factor=n,
                second_signed=int(right.code.signed),
            )  # fmt: skip

    def _pad(self, step: Pad, source: Place) -> Iterator[Pass]:
        before, after = (map_like(v, 0) for v in (step.before, step.after))
        target = self.layout.places[step.name]
        if before[0] % self.lanes:
            raise PlanError(
                f"step {step.name!r} puts {before[0]} channels before the others, which moves channels between lanes; "
                f"the accelerator pads by multiples of its {self.lanes} rows: choose an array of fewer rows"
            )
        window = Window((1, 1), (1, 1), (1, 1), before[1:], after[1:])
        for block in range(target.blocks):
            own = block - before[0] // self.lanes
            inside = 0 <= own < source.blocks
            # A map without rows is padding everywhere.
            more = {} if inside else {"height": 0}
            yield self._pass(source, target, own if inside else 0, block, _unchanged(source.code), window, **more)

    def _slice(self, step: Slice, source: Place) -> Iterator[Pass]:
        start, stride = map_like(step.start, 0), map_like(step.stride, 1)
        target = self.layout.places[step.name]
        if start[0] % self.lanes or (stride[0] != 1 and target.channels > 1):
            raise PlanError(
                f"step {step.name!r} takes channels {start[0]}, {start[0] + stride[0]}, ..., which moves channels "
                f"between lanes; the accelerator takes successive channels from a multiple of its {self.lanes} rows on"
            )
        window = Window((1, 1), stride[1:], (1, 1), (0, 0), (0, 0))
        offset = start[1] * source.width + start[2]
        for block in range(target.blocks):
            own = block + start[0] // self.lanes
            base = source.base + own * source.area + offset
            yield self._pass(source, target, own, block, _unchanged(source.code), window, base=base,
                             first_y=start[1], first_x=start[2])  # fmt: skip

    def _concatenate(self, step: Concatenate, sources: list[Place]) -> Iterator[Pass]:
        target, first = self.layout.places[step.name], [0, 0, 0]
        axis = step.axis + (1 if step.axis and len(step.shape) == 2 else 0)
        for name, source in zip(step.inputs, sources, strict=True):
            if first[0] % self.lanes:
                raise PlanError(
                    f"step {step.name!r} joins channels of {name!r} from channel {first[0]} on, which moves channels "
                    f"between lanes; the accelerator joins at multiples of its {self.lanes} rows"
                )
            yield from self._part(step, source, target, tuple(first))  # type: ignore[arg-type]
            first[axis] += (source.channels, source.height, source.width)[axis]

    def _part(self, step: Concatenate, source: Place, target: Place, first: tuple[int, int, int]) -> Iterator[Pass]:
        """Copy one operand of a concatenation to its place: block by block, or row by row where rows grow longer."""
        whole = source.width == target.width
        rows = 1 if not whole else source.height
        for block in range(source.blocks):
            for row in range(0, source.height, rows):
                out = target.base + (first[0] // self.lanes + block) * target.area
                yield self._pass(
                    source, target, block, first[0] // self.lanes + block, _unchanged(step.code),
                    base=source.base + block * source.area + row * source.width, first_y=row,
                    rows=rows, columns=source.width, out_base=out + (first[1] + row) * target.width + first[2],
                )  # fmt: skip


def map_like(values: tuple[int, ...], missing: int) -> tuple[int, int, int]:
    """Values per dimension as values for channels, rows and columns."""
    return (values[0], *(missing,) * (3 - len(values)), *values[1:])  # type: ignore[return-value]


def _check_range(step: Step, finish: _Finish, terms: list[tuple[Code, int]]) -> None:
    """Raise unless all sums fit 32 bits, also in the making, and their products with the multiplier 48."""
    ends = [sum(f * (c.low if low else c.high) for c, f in terms) for low in (True, False)]
    widest = sum(f * max(abs(c.low), abs(c.high)) for c, f in terms)
    limit = 1 << (PRODUCT_BITS - 1)
    sums = [*ends, *(e + finish.bias for e in ends), widest]
    products = [(e + finish.bias) * finish.multiplier for e in ends]
    fits = min(sums) >= LEAST_SUM and max(sums) <= GREATEST_SUM and min(products) >= -limit
    if not fits or max(products) + (1 << (finish.shift - 1)) >= limit:
        raise PlanError(
            f"step {step.name!r} ({step.kind}) may have sums of {min(sums)} to {max(sums)}, which leave 32 bits, or 48 "
            "with the multiplier; use narrower codes"
        )
