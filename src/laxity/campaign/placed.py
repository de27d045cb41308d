"""What the sums of a layer change by where one element of a systolic array multiplies wrongly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from laxity.campaign.systolic import ArrayNetwork
from laxity.core.compiled import compiled_module
from laxity.core.errors import TaskError
from laxity.rtl.accelerator import Configuration, Placement
from laxity.rtl.accelerator.configuration import WEIGHT_STATIONARY
from laxity.rtl.accelerator.product import operand_bits
from laxity.techniques.data.codes import ActivationCode, IntegerOperands

IntArray = NDArray[np.int64]

INTERFACE = 1
"""Version of the compiled module that this one speaks to."""

_CHUNK = 1 << 18
"""Products that torch looks up at once, so that their indices stay in the cache."""

_LARGEST_SUM = 1 << 31


@cache
def compiled() -> ModuleType | None:
    """The compiled look-ups, or None where laxity was installed without a compiler.

    Raises:
        ToolError: the module belongs to another version of laxity.
    """
    return compiled_module("laxity.campaign._elements", INTERFACE, "the compiled look-ups of faulty elements")


@dataclass(frozen=True, slots=True, eq=False)
class FaultTable:
    """What products of codes change by.

    Attributes:
        entries: int32 (weight codes, activation codes), codes counted from the least one.
        used: uint8 (weight codes,), 0 where all entries of a weight are 0.
    """

    entries: NDArray[np.int32]
    used: NDArray[np.uint8]

    @staticmethod
    def of(entries: NDArray[np.int32]) -> FaultTable:
        """A table."""
        return FaultTable(np.ascontiguousarray(entries), np.asarray(entries.any(1)).astype(np.uint8))

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.entries.nbytes + self.used.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class Elements:
    """One faulty multiplier for each of some samples.

    Attributes:
        row, column: of its element, int64 (n,).
        table: which of the tables it has, int64 (n,).
    """

    row: Tensor
    column: Tensor
    table: Tensor

    def take(self, some: Tensor) -> Elements:
        """Those of some samples."""
        return Elements(self.row[some], self.column[some], self.table[some])


@dataclass(frozen=True, slots=True, eq=False)
class SumChanges:
    """What some sums of a layer change by; places may occur with 0 that are not meant.

    Attributes:
        outputs: int64 (n, groups).
        positions: int64 (n, p), or (1, p) for all samples.
        values: in units of the hardware's sums, integers (n, groups, p).
    """

    outputs: Tensor
    positions: Tensor
    values: Tensor

    def any(self) -> Tensor:
        """Which samples have a changed sum, bool (n,)."""
        return self.values.flatten(1).any(1)

    def places(self, positions: int) -> Tensor:
        """In the flattened sums of a sample, int64 (n, groups * p); `positions` is how many an output has."""
        return (self.outputs[:, :, None] * positions + self.positions[:, None, :]).flatten(1)


class PlacedLayer:
    """One layer on the array, one of whose elements has another product table in every sample.

    Args:
        placement: of the layer.
        configuration: of the array.
        coder: makes the codes of activations; None where codes are given.
        native: with the compiled look-ups where they are installed; both ways find the same integers.

    Raises:
        TaskError: sums with faults may not fit the 32 bits in which they are kept; names the layer.
    """

    def __init__(
        self,
        placement: Placement,
        configuration: Configuration,
        coder: ActivationCode | None = None,
        *,
        native: bool = True,
    ) -> None:
        self.placement, self._coder = placement, coder
        self._configuration, self._rows = configuration, configuration.rows
        self._stationary_weights = configuration.dataflow == WEIGHT_STATIONARY
        code, step = placement.source.code, placement.step
        self.codes = (code.low, code.high), (step.weight_low, step.weight_high)
        self._activations = code.high - code.low + 1
        self._size = self._activations * (step.weight_high - step.weight_low + 1)
        least = step.weight_low
        self._weights = [torch.from_numpy((w - least) * self._activations) for w in placement.weights]
        self._check_width()
        self._compiled: Any = self._build() if native and compiled() is not None else None

    @classmethod
    def of(cls, network: ArrayNetwork, name: str) -> PlacedLayer:
        """A layer of a network, whose inputs are values and not codes.

        Raises:
            TaskError: as above.
        """
        operand = network.layers[name].operand
        assert isinstance(operand, IntegerOperands)  # networks on an array have these
        return cls(network.placements[name], network.configuration, operand.input)

    @property
    def operands(self) -> tuple[Any, ...]:
        """What tables depend on besides what products change by: equal for layers that share their tables."""
        step = self.placement.step
        return (*self.codes, step.shifts, step.product_shift, step.multiplier)

    def _check_width(self) -> None:
        step, use = self.placement.step, self.placement.use
        products = max(w[0].size for w in self.placement.weights) << (use.a_bits + use.b_bits)
        if max(-int(step.least_sums.min()), int(step.greatest_sums.max())) + products >= _LARGEST_SUM:
            raise TaskError(
                f"sums of site {step.site!r} with a faulty multiplier may not fit the 32 bits in which the array keeps "
                "them; use narrower operands"
            )

    def _build(self) -> Any:
        """The layer for the compiled look-ups."""
        place, configuration, module = self.placement, self._configuration, compiled()
        assert module is not None  # the caller has looked
        source, form = place.source, place.form
        layer = module.Layer(
            self._stationary_weights,
            (configuration.rows, configuration.columns),
            (source.channels, source.height, source.width),
            form.kernel,
            form.stride,
            form.dilation,
            place.margins,
            (place.height, place.width),
            (source.code.zero - self.codes[0][0], self._activations),
        )
        for group, weights in zip(place.groups, place.weights, strict=True):
            codes = (weights - self.codes[1][0]).astype(np.int32)
            layer.add_group(group.outputs, group.blocks.start, codes.reshape(*codes.shape[:2], -1))
        return layer

    def table_of(self, difference: IntArray) -> FaultTable:
        """What products of codes change by, where those of bit patterns change by `difference`.

        Args:
            difference: of the products of all pairs of bit patterns, (2**a_bits, 2**b_bits).

        Returns:
            What enters sums, in units of the circuit's products, or, where each product is cut by itself, of sums.
        """
        step, use = self.placement.step, self.placement.use
        (a_low, a_high), (w_low, w_high) = self.codes
        a, a_negative = operand_bits(np.arange(a_low, a_high + 1) << step.shifts[0], use.a_bits, use.a_signed)
        w, w_negative = operand_bits(np.arange(w_low, w_high + 1) << step.shifts[1], use.b_bits, use.b_signed)
        plain = difference.T[np.ix_(w, a)]
        found = np.where(w_negative[:, None] ^ a_negative, -plain, plain)
        return FaultTable.of((found >> (step.product_shift if self._stationary_weights else 0)).astype(np.int32))

    def changes(self, x: Tensor, elements: Elements, tables: Sequence[FaultTable]) -> SumChanges:
        """What the sums of some samples change by.

        Args:
            x: inputs of the layer, float32 (n, ...), or their codes where there is no coder.
            elements: n faulty elements.
            tables: that their multipliers have.
        """
        source = self.placement.source
        maps = x.reshape(len(x), source.channels, source.height, source.width)
        return self._by_torch(maps, elements, tables) if self._compiled is None else self._fast(maps, elements, tables)

    def _fast(self, maps: Tensor, elements: Elements, tables: Sequence[FaultTable]) -> SumChanges:
        positions, (low, high) = self._positions(elements), self.codes[0]
        found = np.zeros((len(maps), len(self.placement.groups), positions.shape[1]), np.int32)
        quantiser = (1.0, float(self.placement.source.code.zero), float(low), float(high))
        if self._coder is not None:
            quantiser = tuple(self._coder.quantiser().tolist())
        else:
            maps = maps - self.placement.source.code.zero
        self._compiled.run(
            maps.to(torch.float32).contiguous().numpy(),
            quantiser,
            elements.row.numpy(),
            elements.column.numpy(),
            elements.table.numpy(),
            [table.entries for table in tables],
            [table.used for table in tables],
            found,
        )
        return self._joined(elements, positions, torch.from_numpy(found))

    def _joined(self, elements: Elements, positions: Tensor, sums: Tensor) -> SumChanges:
        """Changes from sums (n, groups, p) of table entries, 0 where there is no position or output."""
        place = self.placement
        first = torch.tensor([group.first for group in place.groups])
        outputs = (first + elements.column[:, None]).clamp_max(len(place.step.weight) - 1)
        values = sums if self._stationary_weights else sums >> place.step.product_shift
        return SumChanges(outputs, positions.clamp_max(place.positions - 1), values)

    def _by_torch(self, maps: Tensor, elements: Elements, tables: Sequence[FaultTable]) -> SumChanges:
        joined = torch.from_numpy(np.stack([table.entries for table in tables])).view(-1)
        chunks = torch.arange(len(maps)).split(max(1, _CHUNK // self._lookups()))
        sums = [self._part(maps[some], elements.take(some), joined) for some in chunks]
        return self._joined(elements, self._positions(elements), torch.cat(sums))

    def _lookups(self) -> int:
        """Products that one element makes for one sample."""
        place = self.placement
        taps = place.form.kernel[0] * place.form.kernel[1]
        channels = max(len(g.blocks) for g in place.groups)
        return taps * channels * place.positions

    def _part(self, maps: Tensor, elements: Elements, tables: Tensor) -> Tensor:
        """Sums of table entries, int64 (n, groups, p)."""
        place, made = self.placement, []
        positions = self._positions(elements)
        seen: dict[range, Tensor] = {}
        for group, weights in zip(place.groups, self._weights, strict=True):
            if group.blocks not in seen:
                seen[group.blocks] = self._seen(maps, group.blocks, elements.row, positions)
            sums = self._sums(seen[group.blocks], weights, elements, tables)
            made.append(sums * ((elements.column < group.outputs)[:, None] & (positions < place.positions)))
        return torch.stack(made, 1)

    def _positions(self, elements: Elements) -> Tensor:
        """That an element works on; beyond the last one there is nothing."""
        count = self.placement.positions
        if self._stationary_weights:
            return torch.arange(count)[None]
        return elements.row[:, None] + torch.arange(0, count, self._rows)

    def _seen(self, maps: Tensor, blocks: range, row: Tensor, positions: Tensor) -> Tensor:
        """Codes less the least one that elements meet: int64 (n, channels, taps, positions)."""
        if self._stationary_weights:
            channels = torch.arange(blocks.start, blocks.stop) * self._rows + row[:, None]
        else:
            channels = torch.arange(blocks.start * self._rows, blocks.stop * self._rows).expand(len(maps), -1)
        place, source = self.placement, self.placement.source
        planes = maps[torch.arange(len(maps))[:, None], channels.clamp_max(source.channels - 1)]
        codes = planes if self._coder is None else self._coder.codes(planes)
        codes = codes.masked_fill((channels >= source.channels)[:, :, None, None], source.code.zero)
        top, bottom, left, right = place.margins
        padded = F.pad(codes, (left, right, top, bottom), value=source.code.zero).to(torch.int64) - self.codes[0][0]
        return self._windows(padded) if self._stationary_weights else self._picked(padded, positions)

    def _windows(self, padded: Tensor) -> Tensor:
        form, place = self.placement.form, self.placement
        n, channels, _, width = padded.shape
        size = (n, channels, *form.kernel, place.height, place.width)
        steps = (form.dilation[0] * width, form.dilation[1], form.stride[0] * width, form.stride[1])
        padded = padded.contiguous()
        windows = padded.as_strided(size, (padded.stride(0), padded.stride(1), *steps))
        return windows.reshape(n, channels, -1, place.positions)

    def _picked(self, padded: Tensor, positions: Tensor) -> Tensor:
        form, place = self.placement.form, self.placement
        n, channels, _, width = padded.shape
        valid = positions.clamp_max(place.positions - 1)
        start = (valid // place.width) * (form.stride[0] * width) + valid % place.width * form.stride[1]
        taps = torch.arange(form.kernel[0])[:, None] * (form.dilation[0] * width)
        taps = (taps + torch.arange(form.kernel[1]) * form.dilation[1]).reshape(-1, 1)
        places = (taps + start[:, None, :]).reshape(n, 1, -1).expand(-1, channels, -1)
        return padded.flatten(2).gather(2, places).reshape(n, channels, len(taps), -1)

    def _sums(self, seen: Tensor, weights: Tensor, elements: Elements, tables: Tensor) -> Tensor:
        """Sums of table entries over channels and taps: int64 (n, positions)."""
        own = weights[elements.column].flatten(2)
        if self._stationary_weights:
            lanes = own.reshape(len(own), -1, self._rows, own.shape[2])
            own = lanes[torch.arange(len(own)), :, elements.row]
        index = seen + (own + elements.table[:, None, None] * self._size)[..., None]
        return tables.take(index).sum((1, 2), dtype=torch.int64)
