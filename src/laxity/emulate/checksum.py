"""Checksums of a layer: what sums over its output channels must be, and how far circuits and rounding are off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from laxity.core.errors import PlanError
from laxity.emulate.layer import EmulatedLayer
from laxity.kernels.accumulators import AdderAccumulator, CurableAccumulator
from laxity.techniques.data.codes import IntegerOperands, WeightCode
from laxity.techniques.hardware.abft import ChecksumGuard
from laxity.techniques.hardware.arrangement import Arrangement
from laxity.techniques.hardware.filter_multipliers import FilterCores

FloatArray = NDArray[np.float64]

UNIT_ROUNDOFF = 2.0**-24
"""Of float32."""

_SMALLEST = 2.0**-149
"""Smallest positive float32: what products that underflow may lose."""


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """Sums over the output channels less checksums.

    Attributes:
        values: float64, or float32 where the layer computes in it, (n, checks): groups, then positions; or groups only,
            where residuals are judged in total.
        bounds: what rounding alone can make of single ones, float32 (n, groups times positions); None where the layer
            computes with codes.
    """

    values: Tensor
    bounds: Tensor | None


class Checksums:
    """Checksums of a layer with its present stored weights.

    Args:
        layer: a convolution that is not transposed, or a linear layer, with codes that are whole numbers or in float32,
            and a `ChecksumGuard`.

    Raises:
        PlanError: the layer is another one.
    """

    def __init__(self, layer: EmulatedLayer) -> None:
        if layer.form.transposed or not isinstance(layer.guard, ChecksumGuard):
            raise PlanError(f"site {layer.site.name!r} has no checksums")
        self._layer, self._guard, self._form = layer, layer.guard, layer.form
        self._groups = layer.form.groups
        self._filters()

    @torch.no_grad()
    def _filters(self) -> None:
        """Sums of the filters of each group: (groups, inputs per group, *kernel)."""
        layer = self._layer
        if layer.operand is None:
            weight = self._form.as_convolution(layer.used_weight())
            scaled = weight * layer.gain.reshape(-1, *([1] * (weight.dim() - 1)))
            self._filter, self._magnitudes = self._grouped(scaled), self._grouped(scaled.abs())
            bias = torch.zeros_like(layer.gain) if layer.bias is None else layer.bias.detach()
            self._bias, self._biases = self._grouped(bias), self._grouped(bias.abs())
            return
        self._matrix, zeros = _weight_codes(layer)
        centred = self._matrix.double() - zeros
        self._filter = self._grouped(centred)
        if self._guard.checking.fitted:
            self._filter = self._filter + self._guard.slopes.reshape(self._filter.shape)

    def _grouped(self, values: Tensor) -> Tensor:
        return values.unflatten(0, (self._groups, -1)).sum(1)

    @torch.no_grad()
    def clean(self, x: Tensor) -> Tensor:
        """What the layer gives before it is scaled and guarded: accumulator contents, or outputs in float32.

        Args:
            x: inputs of the layer, float32 (n, ...).
        """
        layer = self._layer
        if layer.operand is None:
            return layer.unguarded(x)
        return layer.integer_sums(layer.operand.input.codes(x))

    @torch.no_grad()
    def residuals(self, x: Tensor, values: Tensor) -> Residuals:
        """Compare what a layer gave with checksums of its inputs.

        Args:
            x: inputs of the layer, as they were read for the checksum, float32 (n, ...).
            values: accumulator contents, or outputs in float32, as `clean` gives them or with a fault, (n, ...).
        """
        if self._layer.operand is None:
            return self._rounded(x, values)
        operand = self._layer.operand
        zero = float(operand.input.zeros[0])
        padded = self._form.pad(operand.input.codes(x), zero).double() - zero
        found = self._form.codes_geometry.convolve(padded, self._filter)
        difference = self._added(values.double()) - found.reshape(len(x), -1)
        return Residuals(self._judged(self._wrapped(difference)), None)

    def _rounded(self, x: Tensor, values: Tensor) -> Residuals:
        padded, geometry = self._form.pad(x, 0.0), self._form.codes_geometry
        column = (-1, *([1] * geometry.dims))
        found = geometry.convolve(padded, self._filter) + self._bias.reshape(column)
        size = geometry.convolve(padded.abs(), self._magnitudes) + self._biases.reshape(column)
        op = self._layer.site.op
        relative, tiny = rounding_bound(op.reduction, op.columns)
        bounds = size.reshape(len(x), -1) * relative + tiny
        return Residuals(self._judged(self._added(values) - found.reshape(len(x), -1)), bounds)

    def _judged(self, residuals: Tensor) -> Tensor:
        """What is compared: residuals of all positions, or their sum for each group."""
        if self._guard.checking.granularity != "total":
            return residuals
        return residuals.unflatten(1, (self._groups, -1)).sum(2)

    def _added(self, values: Tensor) -> Tensor:
        """Sums over the output channels of each group, (n, checks)."""
        if self._form.linear:
            return values.sum(-1).reshape(len(values), -1)
        return values.unflatten(1, (self._groups, -1)).sum(2).flatten(1)

    def _wrapped(self, residuals: Tensor) -> Tensor:
        """Residuals modulo a power of two, as signed numbers."""
        modulus = 2.0 ** min(self._guard.checking.bits, self._register_bits())
        return torch.remainder(residuals + modulus / 2, modulus) - modulus / 2

    def _register_bits(self) -> float:
        """Width modulo which the layer adds exactly, in bits above the unit of the codes."""
        accumulator = self._layer.accumulator
        if accumulator is None or not _wraps(self._layer):
            return float("inf")
        bits = accumulator.adder.bits if isinstance(accumulator, AdderAccumulator) else accumulator.bits  # type: ignore[attr-defined]
        return float(bits + np.log2(self._layer.products()[1]))

    def errors(self) -> FloatArray:
        """Error of the products at each place of the filter, added over the filters of a group, for every input code.

        With the slopes of a fitted filter taken off. The residual at a position is the sum of these over the places, at
        the codes that lie there.

        Returns:
            float64 (groups, places, input codes), from the least code on.

        Raises:
            PlanError: the layer does not multiply by a circuit per filter, or does not add exactly.
        """
        layer, operand = self._layer, self._layer.operand
        assert isinstance(operand, IntegerOperands)  # checked when the guard was attached
        several = isinstance(layer.multiplier, Arrangement) and not isinstance(layer.multiplier, FilterCores)
        if several or not _wraps(layer):
            raise PlanError(
                f"the errors of the sums at site {layer.site.name!r} do not follow from a table of its products; use "
                "threshold 'measured' of 'abft' there, not fitted"
            )
        first, last = operand.input.code_range
        codes = np.arange(first, last + 1)
        outputs = len(self._matrix)
        weights = self._matrix.reshape(outputs, -1).cpu().numpy().astype(np.int64)
        one = layer.multiplier
        cores = [one.core_of(k) if isinstance(one, Arrangement) else one for k in range(outputs)]
        found = np.zeros((self._groups, weights.shape[1], len(codes)))
        for core in dict.fromkeys(cores):
            scalar = operand.scalar(core, layer.site.name)
            if scalar is None:
                raise PlanError(f"site {layer.site.name!r} composes its products, whose errors are not tabled")
            used, inverse = np.unique(weights, return_inverse=True)
            table = scalar.compute(codes[:, None], used[None]) * 2.0 ** -sum(scalar.shifts) - codes[:, None] * used
            inverse = inverse.reshape(weights.shape)
            for k in (k for k in range(outputs) if cores[k] is core):
                found[k * self._groups // outputs] += table[:, inverse[k]].T
        if self._guard.checking.fitted:
            slopes = self._guard.slopes.cpu().numpy()[:, :, None]
            found -= slopes * (codes - operand.input.zeros[0])
        return found


def rounding_bound(reduction: int, outputs: int) -> tuple[float, float]:
    """What rounding can make of a residual in float32: a factor on the checksum of magnitudes, and a rest.

    Sums of products and their checksum take at most m = reduction + outputs + 2 roundings per term each, in any order,
    scaling, bias and the rounding of the checksum filter included. Twice gamma_m times the exact checksum of magnitudes
    bounds their difference before it is rounded itself; the checksum of magnitudes is rounded as well, and is at least
    1 - gamma_m times the exact one. Products may underflow; weights are taken to be normal numbers.

    Args:
        reduction: products of an output.
        outputs: that are added.

    Source: N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., 2002, lemma 3.1.
    """
    steps = (reduction + outputs + 3) * UNIT_ROUNDOFF
    gamma = steps / (1 - steps)
    return 2 * gamma / (1 - gamma), 2 * (reduction + 1) * (outputs + 1) * _SMALLEST


def _weight_codes(layer: EmulatedLayer) -> tuple[Tensor, Tensor]:
    """Clean codes in the form of a convolution, and their zero-points, (outputs, 1, ...) or ()."""
    codes, _, _ = layer.stored_codes()
    assert layer.operand is not None and isinstance(layer.operand.weight, WeightCode)  # noqa: PT018 (whole numbers)
    _, zero = layer.operand.weight.scale_and_zero(layer.used_weight())
    matrix = layer.form.as_convolution(codes)
    zeros = zero.double()
    return matrix, zeros.reshape(-1, *([1] * (matrix.dim() - 1))) if zeros.numel() > 1 else zeros.reshape(())


def _wraps(layer: EmulatedLayer) -> bool:
    """Whether sums are exact, at least modulo a power of two."""
    accumulator = layer.accumulator
    if accumulator is None:
        return True
    if isinstance(accumulator, AdderAccumulator):
        return accumulator.adder.exact and accumulator.overflow == "wrap" and not accumulator.chain
    return isinstance(accumulator, CurableAccumulator) and not accumulator.chain
