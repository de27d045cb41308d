"""The steps of a program as torch modules on integer tensors; products run on the kernels of the emulator."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.circuits import Adder, Multiplier
from laxity.core.parts import Code, Register, Window
from laxity.core.program import Program
from laxity.core.requantise import Requantiser
from laxity.core.steps import Add, Concatenate, Pad, Pool, Product, Rescale, Slice, Step
from laxity.emulate.form import window_sums
from laxity.emulate.integer.arithmetic import add_codes, requantise
from laxity.kernels import Accumulator, Geometry, Products, WeightOperand, products_for
from laxity.kernels.accumulators import AdderAccumulator, CurableAccumulator


class Requantise(nn.Module):
    """A requantiser whose multipliers and shifts are on the device of the model."""

    multipliers: Tensor
    shifts: Tensor

    def __init__(self, requantiser: Requantiser, after: int) -> None:
        """Lay out multipliers and shifts for channels that have `after` dimensions behind them."""
        super().__init__()
        shape = (-1, *([1] * after))
        self.limits = requantiser.zero, requantiser.low, requantiser.high
        self.register_buffer("multipliers", torch.tensor(requantiser.multipliers).reshape(shape), persistent=False)
        self.register_buffer("shifts", torch.tensor(requantiser.shifts).reshape(shape), persistent=False)

    def forward(self, sums: Tensor) -> Tensor:
        """Codes, int32, of integer sums."""
        return requantise(sums, self.multipliers, self.shifts, *self.limits)


def accumulator_of(register: Register | None, adders: Mapping[str, Adder]) -> Accumulator | None:
    """The accumulator that a register describes."""
    if register is None:
        return None
    if register.cuts:
        return CurableAccumulator(register.bits, register.cuts, register.chain)
    return AdderAccumulator(adders[register.adder], register.overflow, register.chain)


class ProductModule(nn.Module):
    """A product step.

    Attributes:
        step: what is computed.
    """

    weight: Tensor
    bias: Tensor
    weight_zero: Tensor

    def __init__(self, step: Product, source: Code, multiplier: Multiplier, adders: Mapping[str, Adder]) -> None:
        super().__init__()
        self.step, self._source, self._multiplier = step, source, multiplier
        self._accumulator = accumulator_of(step.register, adders)
        self._linear = step.operation == "linear"
        column = (-1, *([1] * len(step.window.kernel)))
        weight = torch.from_numpy(step.weight.astype(np.float32))
        self.register_buffer("weight", weight[:, :, None] if self._linear else weight, persistent=False)
        for name in ("bias", "weight_zero"):
            values = torch.from_numpy(getattr(step, name).astype(np.int64)).reshape(column)
            self.register_buffer(name, values, persistent=False)
        self.requantise = Requantise(step.requantiser, len(step.window.kernel))
        one = (1,)
        self._geometry = (
            Geometry(one, one, 1) if self._linear else Geometry(step.window.stride, step.window.dilation, step.groups)
        )
        self._ready: tuple[torch.device, Products, WeightOperand] | None = None

    def sums(self, codes: Tensor) -> Tensor:
        """What is requantised, int32, for codes (batch, ...)."""
        step = self.step
        rows = codes.reshape(-1, codes.shape[-1], 1) if self._linear else self._padded(codes)
        device, kernel, operand = self._kernel()
        values = rows.to(device, torch.float32)
        sums = kernel.convolve(values, operand, self._geometry).to(torch.int64)
        if self._linear:
            sums = sums.reshape(*codes.shape[:-1], len(step.weight))
        sums = sums + self.bias
        if bool(step.weight_zero.any()):
            inputs = window_sums(values, self.weight, self._geometry).to(torch.int64)
            inputs = inputs.reshape(sums.shape) if self._linear else inputs
            sums = sums - (inputs << step.fraction_bits) * self.weight_zero
        return sums.to(torch.int32)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes, int32, for codes (batch, ...)."""
        found: Tensor = self.requantise(self.sums(codes))
        return found

    def _padded(self, codes: Tensor) -> Tensor:
        return pad(codes, self.step.window, self._source.zero)

    def _kernel(self) -> tuple[torch.device, Products, WeightOperand]:
        if self._ready is None or self._ready[0] != self.weight.device:
            step, left = self.step, (self._source.low, self._source.high)
            right = step.weight_low, step.weight_high
            kernel, _ = products_for(self._multiplier, left, right, step.shifts, self._accumulator)
            self._ready = self.weight.device, kernel, kernel.prepare(self.weight)
        return self._ready

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is made for this machine."""
        return {**self.__dict__, "_ready": None}


class PoolModule(nn.Module):
    """A pooling step."""

    def __init__(self, step: Pool, source: Code) -> None:
        super().__init__()
        self._window, self._source = step.window, source
        self.requantise = None if step.requantiser is None else Requantise(step.requantiser, 0)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes, int32, for codes (batch, channels, *spatial)."""
        if self.requantise is None:
            return _reduced(pad(codes, self._window, self._source.low), self._window, torch.maximum)
        steps = pad(codes, self._window, self._source.zero) - self._source.zero
        found: Tensor = self.requantise(_reduced(steps, self._window, torch.add))
        return found


class PlainModule(nn.Module):
    """A step without requantisation per channel: addition, rescaling, or moving codes."""

    def __init__(self, step: Step, source: Code) -> None:
        super().__init__()
        self.step, self._source = step, source
        self.requantise = Requantise(step.requantiser, 0) if isinstance(step, Rescale) else None

    def forward(self, *codes: Tensor) -> Tensor:
        """Codes, int32, for codes (batch, ...)."""
        step, x = self.step, codes[0]
        if isinstance(step, Add):
            return add_codes(codes[0], codes[1], step.addition)
        if self.requantise is not None:
            found: Tensor = self.requantise(x - self._source.zero)
            return found
        if isinstance(step, Concatenate):
            return torch.cat(codes, 1 + step.axis)
        if isinstance(step, Pad):
            pairs = list(zip(step.before, step.after, strict=True))[::-1]
            return F.pad(x, list(itertools.chain(*pairs)), value=self._source.zero)
        if isinstance(step, Slice):
            parts = zip(step.start, step.stride, step.shape, strict=True)
            return x[(slice(None), *(slice(s, s + d * n, d) for s, d, n in parts))]
        return x.reshape(len(x), *step.shape)


def module_of(
    step: Step, program: Program, multipliers: Mapping[str, Multiplier], adders: Mapping[str, Adder]
) -> nn.Module:
    """The module that computes a step."""
    source = program.code_of(step.inputs[0])
    if isinstance(step, Product):
        return ProductModule(step, source, multipliers[step.multiplier], adders)
    return PoolModule(step, source) if isinstance(step, Pool) else PlainModule(step, source)


def pad(codes: Tensor, window: Window, value: int) -> Tensor:
    """Codes (batch, channels, *spatial) with `value` around them."""
    if not any((*window.before, *window.after)):
        return codes
    pairs = list(zip(window.before, window.after, strict=True))[::-1]
    return F.pad(codes, list(itertools.chain(*pairs)), value=value)


def _reduced(codes: Tensor, window: Window, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """All positions of every window combined, in integers."""
    size = window.output_size_of_padded(tuple(codes.shape[2:]))
    total: Tensor | None = None
    for tap in itertools.product(*(range(k) for k in window.kernel)):
        parts = zip(tap, window.dilation, window.stride, size, strict=True)
        place = (slice(None), slice(None), *(slice(t * d, t * d + s * (n - 1) + 1, s) for t, d, s, n in parts))
        total = codes[place] if total is None else combine(total, codes[place])
    assert total is not None  # windows have at least one position
    return total
