"""Straight-through gradients times one plus the slope of the error model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from laxity.core.errors import PlanError
from laxity.emulate.layer import EmulatedLayer
from laxity.emulate.slots import Slots
from laxity.emulate.straight import Native, Operation
from laxity.recovery.elements import errors_of_sums
from laxity.recovery.gradients.gradient import GRADIENTS, Gradient
from laxity.recovery.gradients.site import SiteGradient, Wanted, operands_of, right_scale_and_zero
from laxity.recovery.observation import SiteObservation
from laxity.recovery.regression import ErrorModel, fit

_SLACK = 1e-4
"""How far beyond its ends the line still counts, as a fraction of its range: the ends are sums that occur."""


@GRADIENTS.register("error_slope")
@dataclass(frozen=True, slots=True)
class ErrorSlope(Gradient):
    """The error of a sum y is taken as f(y), clipped and linear, so that outputs move by 1 + f'(y) with y.

    Forward the table computes as ever; only its derivative is that of the fitted model.

    Attributes:
        per_kernel: fit one model per kernel instead of one per site, as in the paper.

    Source: reconstructed from the abstract of C. De la Parra, X. Wu, A. Guntoro, A. Kumar, "Knowledge distillation and
    gradient estimation for active error compensation in approximate neural networks", DATE 2021.
    """

    per_kernel: bool = True

    @property
    def observes(self) -> bool:
        """The model is fitted to sampled operands."""
        return True

    def at(self, layer: Slots, seen: SiteObservation | None) -> ErrorSlopeAtSite | None:
        """See `Gradient.at`; straight-through where the error does not depend on the sum."""
        if seen is None:
            raise PlanError(f"the error model of site {layer.site.name!r} needs operands; give inputs to observe")
        operands_of(layer)
        model = fit(errors_of_sums(seen, layer.multiplier), seen, per_kernel=self.per_kernel)
        return ErrorSlopeAtSite(layer, model) if bool(model.slope.any()) else None


class ErrorSlopeAtSite(SiteGradient):
    """Gradients by an error model at one site.

    Args:
        layer: the operation.
        model: the error model of its sums.

    Attributes:
        model: likewise.
    """

    def __init__(self, layer: Slots, model: ErrorModel) -> None:
        super().__init__(layer)
        self.model = model

    def describe(self) -> str:
        """Name the slope, the mean one where kernels have their own."""
        return f"error slope {float(self.model.slope.mean()):+.3f}"

    def remember(
        self, layer: Slots, left: Tensor, right: Tensor, operation: Operation
    ) -> tuple[Tensor, Operation, tuple[Tensor | None, ...]]:
        """See `SiteGradient.remember`; keeps both operands and where the model is not clipped."""
        with torch.no_grad():
            y = operation.compute(left, right)
            slope, offset, low, high = self._like(y, layer)
            line, slack = y * slope + offset, _SLACK * (high - low)
            inside = (line >= low - slack) & (line <= high + slack)
        return left, operation, (left.detach(), right.detach(), inside)

    def _like(self, y: Tensor, layer: Slots) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The model in units of the output without gain, so that it broadcasts over the output."""
        model, operand = self.model, operands_of(layer)
        scale, _ = right_scale_and_zero(layer, 1)
        unit = scale * operand.input.scale
        slope, *rest = (v.to(y.device) for v in (model.slope, model.offset, model.low, model.high))
        offset, low, high = (v * unit for v in rest)
        return _spread(slope, y, layer), _spread(offset, y, layer), _spread(low, y, layer), _spread(high, y, layer)

    def backward(
        self, gradient: Tensor, operation: Operation, shapes: tuple[torch.Size, torch.Size], wanted: Wanted, *kept: Any
    ) -> tuple[Tensor | None, Tensor | None]:
        """See `SiteGradient.backward`."""
        left, right, inside = kept
        slope = self.model.slope.to(gradient.device)
        if isinstance(operation, Native) and not operation.linear:
            slope = slope.reshape(-1, *([1] * (gradient.dim() - 2)))
        felt = torch.addcmul(gradient, gradient * inside, slope)
        return operation.gradients(felt, left, right, (*wanted, False))[:2]


def _spread(values: Tensor, y: Tensor, layer: Slots) -> Tensor:
    """One value, or one per kernel, so that they broadcast over an output."""
    if isinstance(layer, EmulatedLayer) and not layer.form.linear and values.numel() > 1:
        return values.reshape(-1, *([1] * (y.dim() - 2)))
    return values.reshape(-1)
