"""Outputs of a layer one of whose stored weights is another one in every sample of a batch."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.circuits import Multiplier
from laxity.circuits.wide import WideMultiplier
from laxity.core.errors import TaskError
from laxity.emulate.form import Form
from laxity.emulate.layer import EmulatedLayer
from laxity.techniques.context import Guard
from laxity.techniques.data.codes import IntegerOperands, WeightCode
from laxity.techniques.data.operands import ScalarProduct, WeightCoder
from laxity.techniques.software.magnitude import Mask

IntArray = NDArray[np.int64]

_CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """One changed weight per sample.

    Attributes:
        places: in the flattened weight, int64 (n,).
        values: what is stored there now: whole numbers for layers that store codes, else the weight's own type; (n,).
    """

    places: Tensor
    values: Tensor


class StruckLayer(ABC):
    """Computes a layer with another weight in every sample.

    Attributes:
        keeps_outputs: whether `outputs` wants those of the pass without faults.
        exact: outputs of a sample are the same in every batch, bit for bit.
    """

    keeps_outputs: bool
    exact = False

    @abstractmethod
    def values(self, x: Tensor, golden: Tensor | None, changes: Changes) -> Tensor:
        """What the layer gives before it is scaled and guarded, with one changed weight per sample.

        Args:
            x: inputs of the layer, float32 (n, ...).
            golden: its outputs without faults, (n, ...), where they are wanted.
            changes: n of them.

        Returns:
            A new tensor, (n, ...): accumulator contents of layers with codes, otherwise floating point.
        """

    @abstractmethod
    def outputs(self, values: Tensor) -> Tensor:
        """What the layer passes on, (n, ...), for what `values` gave."""


def struck_layer(layer: nn.Module) -> StruckLayer:
    """The fastest way for a layer that is exact.

    Whole-number codes with exact sums: the difference of one product is added to the sums, bit for bit what the layer
    computes with the changed code. Floating point: the filter that holds the weight is computed anew. Everything else:
    the whole layer, sample by sample.

    Raises:
        TaskError: the layer has no weight.
    """
    if isinstance(layer, EmulatedLayer):
        return _emulated(layer)
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, Tensor):
        raise TaskError(f"a {type(layer).__name__} has no weight to strike")
    if isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        return _FloatLayer(weight.detach(), Form.of(layer), layer.bias)
    return _WholeLayer(layer, weight.detach())


def _emulated(layer: EmulatedLayer) -> StruckLayer:
    """The way for an emulated layer; without operands it computes in floating point."""
    if layer.operand is not None:
        scalar = _single_products(layer)
        return _CodedLayer(layer) if scalar is None else _IntegerLayer(layer, scalar)
    if layer.form.transposed or not isinstance(layer.structure, Mask | None):
        return _WholeLayer(layer, layer.weight.detach())
    with torch.no_grad():
        weight = layer.used_weight().detach()
    return _FloatLayer(weight, layer.form, layer.bias, layer.gain, layer.guard)


def _single_products(layer: EmulatedLayer) -> ScalarProduct | None:
    """How products are computed where sums of them are exact and one changed weight changes one product per output."""
    if layer.accumulator is not None or layer.forced_codes is not None or layer.form.transposed:
        return None
    operand, circuit = layer.operand, layer.multiplier
    if not isinstance(operand, IntegerOperands) or not isinstance(operand.weight, WeightCode):
        return None
    if not isinstance(circuit, (Multiplier, WideMultiplier)) and circuit is not None:
        return None
    return operand.scalar(circuit, layer.site.name)


class _IntegerLayer(StruckLayer):
    """Adds the difference of one product per output of one filter to the layer's exact sums."""

    keeps_outputs = False
    exact = True

    def __init__(self, layer: EmulatedLayer, scalar: ScalarProduct) -> None:
        operand = layer.operand
        assert isinstance(operand, IntegerOperands)  # the caller has looked
        assert isinstance(operand.weight, WeightCode)
        self._layer, self._operand, self._scalar = layer, operand, scalar
        with torch.no_grad():
            codes, _, _ = layer.stored_codes()
            self._matrix = layer.form.as_convolution(codes)

    @torch.no_grad()
    def values(self, x: Tensor, golden: Tensor | None, changes: Changes) -> Tensor:
        """See `StruckLayer.values`."""
        layer, form = self._layer, self._layer.form
        codes = self._operand.input.codes(x)
        sums = layer.integer_sums(codes).to(torch.float64)
        filters, taps = _split(changes.places, self._matrix)
        old = self._matrix.reshape(len(self._matrix), -1)[filters, taps]
        windows = _seen_by(form, codes, self._matrix, filters, taps, float(self._operand.input.zeros[0]))
        difference = self._difference(windows, old, changes.values)
        samples = torch.arange(len(x))
        channel = (samples, ..., filters) if form.linear else (samples, filters)
        sums[channel] += difference
        return sums

    def outputs(self, values: Tensor) -> Tensor:
        """See `StruckLayer.outputs`."""
        return self._layer.scaled(values)

    def _difference(self, windows: Tensor, old: Tensor, new: Tensor) -> Tensor:
        """What the sums change by, in units of codes: float64, like `windows`."""
        a = windows.numpy().astype(np.int64)
        shape = (-1, *([1] * (a.ndim - 1)))
        before, after = (w.numpy().astype(np.int64).reshape(shape) for w in (old, new))
        products = self._scalar.compute(a, after) - self._scalar.compute(a, before)
        zero = round(self._operand.input.zeros[0])
        found = products * 2.0 ** -sum(self._scalar.shifts) - zero * (after - before)
        return torch.from_numpy(np.asarray(found, dtype=np.float64))


class _FloatLayer(StruckLayer):
    """Computes one filter anew for every sample.

    Args:
        weight: in the layout of the layer.
        form: of the layer.
        bias: (outputs,) or None.
        gain: factor of every output before the bias, (outputs,), or None.
        guard: looks after all outputs; what is in order stays as it is, so that it may see them twice.
    """

    keeps_outputs = True

    def __init__(
        self, weight: Tensor, form: Form, bias: Tensor | None, gain: Tensor | None = None, guard: Guard | None = None
    ) -> None:
        self._weight, self._form, self._gain, self._guard = weight, form, gain, guard
        self._bias = None if bias is None else bias.detach()

    @torch.no_grad()
    def values(self, x: Tensor, golden: Tensor | None, changes: Changes) -> Tensor:
        """See `StruckLayer.values`."""
        assert golden is not None  # the caller knows that they are wanted
        filters, taps = _split(changes.places, self._weight)
        rows = self._weight.reshape(len(self._weight), -1)[filters]
        rows[torch.arange(len(rows)), taps] = changes.values.to(rows.dtype)
        y = golden.clone()
        samples = torch.arange(len(x))
        if self._form.linear:
            value = (x * rows.reshape(len(rows), *([1] * (x.dim() - 2)), -1)).sum(-1)
        else:
            value = self._convolved(x, rows, filters)
        each = (-1, *([1] * (value.dim() - 1)))
        if self._gain is not None:
            value = value * self._gain[filters].reshape(each)
        if self._bias is not None:
            value = value + self._bias[filters].reshape(each)
        y[(samples, ..., filters) if self._form.linear else (samples, filters)] = value
        return y

    def outputs(self, values: Tensor) -> Tensor:
        """See `StruckLayer.outputs`."""
        return values if self._guard is None else self._guard(values)

    def _convolved(self, x: Tensor, rows: Tensor, filters: Tensor) -> Tensor:
        """One filter per sample, as one convolution with a group per sample."""
        form = self._form
        per_group = x.shape[1] // form.groups
        padded = form.pad(x, 0.0)
        if form.groups > 1:
            group = filters // (len(self._weight) // form.groups)
            first = group[:, None] * per_group + torch.arange(per_group)
            padded = padded[torch.arange(len(x))[:, None], first]
        kernel = rows.reshape(len(rows), per_group, *form.kernel)
        joined = padded.reshape(1, -1, *padded.shape[2:])
        convolve = _CONVOLUTIONS[len(form.kernel) - 1]
        return convolve(joined, kernel, None, form.stride, 0, form.dilation, len(rows))[0]


class _CodedLayer(StruckLayer):
    """Multiplies by the changed codes, sample by sample."""

    keeps_outputs = False

    def __init__(self, layer: EmulatedLayer) -> None:
        assert layer.operand is not None  # the caller has looked
        assert isinstance(layer.operand.weight, WeightCoder)
        self._layer, self._operand, self._coder = layer, layer.operand, layer.operand.weight
        with torch.no_grad():
            clean, _, _ = layer.stored_codes()
            self._stored = self._coder.stored(clean if layer.forced_codes is None else layer.forced_codes)

    @torch.no_grad()
    def values(self, x: Tensor, golden: Tensor | None, changes: Changes) -> Tensor:
        """See `StruckLayer.values`."""
        found = []
        codes = self._operand.input.codes(x)
        for sample, place, value in zip(codes.split(1), changes.places.tolist(), changes.values, strict=True):
            stored = self._stored.clone()
            stored.view(-1)[place] = float(value)
            found.append(self._layer.integer_sums(sample, self._coder.restored(stored)))
        return torch.cat(found)

    def outputs(self, values: Tensor) -> Tensor:
        """See `StruckLayer.outputs`."""
        return self._layer.scaled(values)


class _WholeLayer(StruckLayer):
    """Computes the layer with another weight, sample by sample."""

    keeps_outputs = False

    def __init__(self, layer: nn.Module, weight: Tensor) -> None:
        self._layer, self._weight = layer, weight

    @torch.no_grad()
    def values(self, x: Tensor, golden: Tensor | None, changes: Changes) -> Tensor:
        """See `StruckLayer.values`; a guard has seen them already."""
        found = []
        for sample, place, value in zip(x.split(1), changes.places.tolist(), changes.values, strict=True):
            struck = self._weight.clone()
            struck.view(-1)[place] = value
            found.append(torch.func.functional_call(self._layer, {"weight": struck}, (sample,)))
        return torch.cat(found)

    def outputs(self, values: Tensor) -> Tensor:
        """See `StruckLayer.outputs`."""
        return values


def _split(places: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Filter, and place within it."""
    size = math.prod(matrix.shape[1:])
    return places // size, places % size


def _seen_by(form: Form, codes: Tensor, matrix: Tensor, filters: Tensor, taps: Tensor, zero: float) -> Tensor:
    """Codes that one weight per sample meets, one for each output of its filter: (n, *outputs)."""
    samples = torch.arange(len(codes))
    if form.linear:
        return codes[samples, ..., taps]
    padded = form.pad(codes, zero)
    kernel = matrix.shape[2:]
    group = filters // (len(matrix) // form.groups)
    channel = group * matrix.shape[1] + taps // math.prod(kernel)
    planes = padded[samples, channel]
    offsets = np.unravel_index((taps % math.prod(kernel)).numpy(), tuple(kernel))
    index: list[Tensor] = [samples.reshape(-1, *([1] * len(kernel)))]
    for axis, (offset, taken) in enumerate(zip(offsets, kernel, strict=True)):
        stride, dilation = form.stride[axis], form.dilation[axis]
        outputs = (planes.shape[1 + axis] - dilation * (taken - 1) - 1) // stride + 1
        first = torch.from_numpy(np.asarray(offset)) * dilation
        along = first[:, None] + stride * torch.arange(outputs)
        shape = [len(codes)] + [1] * len(kernel)
        shape[1 + axis] = outputs
        index.append(along.reshape(shape))
    return planes[tuple(index)]
