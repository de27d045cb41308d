"""Terms of the loss that draw weights to values that quantisers and approximate multipliers treat well."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from laxity.emulate.build import emulated
from laxity.emulate.layer import EmulatedLayer
from laxity.recovery.elements import ElementErrors
from laxity.recovery.observe import observe
from laxity.techniques.data.codes import IntegerOperands, WeightCode
from laxity.techniques.data.operands import WeightCoder

_PATCHES = 32

Term = Callable[[], Tensor]


class Weighted:
    """A term with a weight for which it is a given share of the loss when it is first added in an epoch.

    Args:
        term: the term.
        share: of the loss.
    """

    def __init__(self, term: Term, share: float) -> None:
        self._term, self._share = term, share
        self._weight: float | None = None

    def __call__(self, loss: Tensor) -> Tensor:
        """The weighted term, to be added to a loss."""
        value = self._term()
        if self._weight is None:
            first = float(value.detach())
            self._weight = self._share * float(loss.detach()) / first if first > 0 else 0.0
        return self._weight * value


class ExpectedErrors:
    """Hardware-aware regularisation: expected error of the products by every weight, under the layer's own activations.

    ``m(w) = E_x |AM(x, w) - x w|`` is tabled per layer for all weight codes w. The term is the sum of m over the codes
    of all weights, relative to the expected magnitude of the exact products, averaged over layers. Its value is that of
    the codes, its gradient the slope of m interpolated linearly between them, so that weights move to the neighbouring
    code that the multiplier multiplies better.

    Args:
        model: emulated and calibrated; layers with exact products and products of two activations have no part in it.
        inputs: batches of calibration inputs, whose activations count.
        seed: root seed of the observation.

    Raises:
        PlanError: a site has no codes whose products can be tabled.

    Source: reconstructed from the abstract of C. De la Parra, A. Guntoro, A. Kumar, "ProxSim: GPU-based simulation
    framework for cross-layer approximate DNN optimization", DATE 2020.
    """

    def __init__(self, model: nn.Module, inputs: Sequence[Tensor], *, seed: int) -> None:
        self._parts: list[tuple[EmulatedLayer, WeightCode, Tensor, float]] = []
        seen = observe(model, inputs, seed=seed, patches=_PATCHES).sites
        for layer in emulated(model):
            operand = layer.operand
            if not isinstance(layer, EmulatedLayer) or not isinstance(operand, IntegerOperands):
                continue
            errors = ElementErrors.of(operand, layer.multiplier, layer.site.name)
            if errors.exact or not isinstance(operand.weight, WeightCode):
                continue
            histogram = seen[layer.site.name].histogram
            mean = torch.from_numpy(histogram @ np.abs(errors.table)).float().to(layer.weight.device)
            low, high = operand.input.code_range
            activation = float(histogram @ np.abs(np.arange(low, high + 1) - operand.input.zeros[0]))
            weight = layer.used_weight().detach()
            scale, zero = operand.weight.scale_and_zero(weight)
            codes = operand.weight.codes(weight, scale, zero) - _along(operand.weight, zero, weight)
            magnitude = activation * float(codes.abs().sum(dtype=torch.float64))
            self._parts.append((layer, operand.weight, mean, max(magnitude, 1e-12)))

    def __call__(self) -> Tensor:
        """The term for the present weights, with its gradient."""
        found = [self._one(*part) for part in self._parts]
        return torch.stack(found).mean() if found else torch.zeros(())

    @staticmethod
    def _one(layer: EmulatedLayer, coder: WeightCode, mean: Tensor, magnitude: float) -> Tensor:
        weight = layer.used_weight()
        scale, zero = coder.scale_and_zero(weight.detach())
        low, high = coder.code_range
        place = torch.clamp(weight / _along(coder, scale, weight) + _along(coder, zero, weight), low, high) - low
        below = place.detach().floor().clamp_max(high - low - 1).long()
        part = place - below
        between = mean[below] * (1 - part) + mean[below + 1] * part
        at_code = mean[place.detach().round().long()]
        return (between + (at_code - between).detach()).sum() / magnitude


class CodeDistances:
    """Alpha regularisation: squared distances of weights from the values that their codes stand for.

    Relative to the squared weights, averaged over layers. It knows nothing of the multiplier: it is the baseline for
    `ExpectedErrors`.

    Args:
        model: emulated and calibrated.

    Source: the name is that of a baseline in work on approximate networks whose definition is not public; taken to be
    the mean squared quantisation error as regulariser, weighted by a coefficient alpha, of Y. Choi, M. El-Khamy,
    J. Lee, "Learning low precision deep neural networks through regularization", arXiv:1809.00095, with alpha fixed by
    a share of the loss instead of learned.
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = [
            (layer, layer.operand.weight)
            for layer in emulated(model)
            if isinstance(layer, EmulatedLayer)
            and layer.operand is not None
            and isinstance(layer.operand.weight, WeightCoder)
        ]

    def __call__(self) -> Tensor:
        """The term for the present weights, with its gradient."""
        found = []
        for layer, coder in self._layers:
            weight = layer.used_weight()
            fixed = weight.detach()
            scale, zero = coder.scale_and_zero(fixed)
            value = coder.represent(fixed, coder.codes(fixed, scale, zero), scale, zero)
            found.append((weight - value).square().sum() / fixed.square().sum().clamp_min(1e-12))
        return torch.stack(found).mean() if found else torch.zeros(())


def _along(coder: WeightCode, values: Tensor, weight: Tensor) -> Tensor:
    """Scales or zero-points along the axis of the output channels of a weight."""
    if values.numel() == 1:
        return values.reshape(())
    return values.reshape([-1 if d == coder.axis else 1 for d in range(weight.dim())])
