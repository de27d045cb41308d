"""Passes of the vector unit: pooling, additions, changes of code, and copies that pad, cut and join.

Every lane takes the greatest, or the sum, of the codes under a window and requantises it. A copy is a window of one tap
and a requantisation by 1.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
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
        values = {
            **source.walk(window, block),
            "vector": 1,
            "blocks": 1,
            "rows": target.height,
            "columns": target.width,
            "block_words": 0,
            "parameter_base": self._parameters(finish, range(target.channels - out_block * self.lanes)),
            "out_base": target.base + out_block * target.area,
            "to_output": int(target.output),
            "lanes": (1 << self.lanes) - 1,
            "zero": finish.zero,
            "low": finish.low,
            "high": finish.high,
        }
        return Pass(**{**values, **more})

    def _parameters(self, finish: _Finish, used: Container[int]) -> int:
        own = LaneParameters(finish.bias, finish.multiplier, finish.shift)
        return self.images.add_word(tuple(own if lane in used else UNUSED for lane in range(self.lanes)))

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
        window = Window((1, 1), (1, 1), (1, 1), before[1:], after[1:])
        inside = [(source, channel) for channel in range(source.channels)]
        return self._copies(step, source, [None] * before[0] + inside + [None] * after[0], target, window)

    def _slice(self, step: Slice, source: Place) -> Iterator[Pass]:
        start, stride = map_like(step.start, 0), map_like(step.stride, 1)
        target = self.layout.places[step.name]
        window = Window((1, 1), stride[1:], (1, 1), (0, 0), (0, 0))
        channels = range(start[0], start[0] + stride[0] * target.channels, stride[0])
        return self._copies(step, source, [(source, c) for c in channels], target, window, (start[1], start[2]))

    def _concatenate(self, step: Concatenate, sources: list[Place]) -> Iterator[Pass]:
        target = self.layout.places[step.name]
        if step.axis == 0:
            origins = [(source, channel) for source in sources for channel in range(source.channels)]
            yield from self._copies(step, sources[0], origins, target)
            return
        first = [0, 0, 0]
        axis = step.axis + (1 if len(step.shape) == 2 else 0)
        for source in sources:
            yield from self._part(step, source, target, (first[1], first[2]))
            first[axis] += (source.channels, source.height, source.width)[axis]

    def _copies(
        self,
        step: Step,
        any_source: Place,
        origins: Sequence[tuple[Place, int] | None],
        target: Place,
        window: Window = _POINT,
        first: tuple[int, int] = (0, 0),
    ) -> Iterator[Pass]:
        """Fill the channels of a map, each with a channel of a source or with the code of zero.

        Channels that move by the same number of lanes between the same words move together. The first pass over a word
        fills all its lanes, those of other channels with the code of zero; the next ones fill their own.
        """
        for block in range(target.blocks):
            moves: dict[tuple[int, int, int], tuple[Place, list[int]]] = {}
            for lane, origin in enumerate(origins[block * self.lanes : (block + 1) * self.lanes]):
                if origin is not None:
                    source, channel = origin
                    key = (source.base, channel // self.lanes, (lane - channel) % self.lanes)
                    moves.setdefault(key, (source, []))[1].append(lane)
            if not moves:
                # A map without rows is padding everywhere.
                yield self._pass(any_source, target, 0, block, _unchanged(step.code), window, height=0)
            for index, ((_, own, rotation), (source, lanes)) in enumerate(moves.items()):
                offset = own * source.area + first[0] * source.width + first[1]
                yield self._pass(
                    source, target, own, block, _unchanged(step.code), window,
                    base=source.base + offset - window.before[0] * source.width - window.before[1],
                    first_y=first[0] - window.before[0], first_x=first[1] - window.before[1], rotation=rotation,
                    lanes=sum(1 << lane for lane in lanes) if index else (1 << self.lanes) - 1,
                    parameter_base=self._parameters(_unchanged(step.code), lanes),
                )  # fmt: skip

    def _part(self, step: Concatenate, source: Place, target: Place, first: tuple[int, int]) -> Iterator[Pass]:
        """Copy one operand of a concatenation to its place: block by block, or row by row where rows grow longer."""
        whole = source.width == target.width
        rows = source.height if whole else 1
        for block in range(source.blocks):
            for row in range(0, source.height, rows):
                yield self._pass(
                    source, target, block, block, _unchanged(step.code),
                    base=source.base + block * source.area + row * source.width, first_y=row,
                    rows=rows, columns=source.width,
                    out_base=target.base + block * target.area + (first[0] + row) * target.width + first[1],
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
