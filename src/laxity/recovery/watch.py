"""Forward hooks that sample the operands of a site and follow how predictions depend on its outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from laxity.core.errors import PlanError
from laxity.core.seeds import stream
from laxity.emulate.layer import EmulatedLayer
from laxity.emulate.product import EmulatedProduct
from laxity.emulate.slots import Slots
from laxity.recovery.observation import Feeling, SiteObservation, histogram_of
from laxity.recovery.ownership import Layout, layout_of
from laxity.recovery.sampling import layer_patches, padded_share, product_patches
from laxity.techniques.data.codes import IntegerOperands, WeightCode


def watch_for(layer: Slots, seed: int, per_batch: int) -> Watch:
    """The hook for one emulated operation.

    Args:
        layer: emulated and calibrated.
        seed: root seed of the draws.
        per_batch: outputs to draw per batch.

    Raises:
        PlanError: the error of its products cannot be modelled; names the site and why.
    """
    name, operand = layer.site.name, layer.operand
    if not isinstance(operand, IntegerOperands) or operand.scalar(None, name) is None:
        raise PlanError(
            f"site {name!r} has no whole-number codes, whose products error models are about; give it an OPERAND "
            "choice such as {'kind': 'integer'}"
        )
    if layer.accumulator is not None:
        raise PlanError(
            f"site {name!r} adds products inexactly, and error models are about single products; take its ACCUMULATOR "
            "choice out of the plan"
        )
    if isinstance(layer, EmulatedLayer):
        if layer.form.transposed:
            raise PlanError(
                f"site {name!r} is a transposed convolution, whose outputs add up unequal numbers of products; error "
                "models have no form for these, so observe a plan that leaves it out"
            )
        return LayerWatch(layer, operand, seed, per_batch)
    assert isinstance(layer, EmulatedProduct)  # there is no third kind
    return ProductWatch(layer, operand, seed, per_batch)


class Watch(ABC):
    """Samples operands while the model runs.

    Args:
        layer: the operation.
        operand: its coders.
        seed: root seed of the draws.
        per_batch: outputs to draw per batch.

    Attributes:
        outputs: that carry gradients, one per call since `begin`.
    """

    def __init__(self, layer: Slots, operand: IntegerOperands, seed: int, per_batch: int) -> None:
        self.name, self.operand, self._per_batch = layer.site.name, operand, per_batch
        self._generator = stream(seed, "observe", self.name)
        self.outputs: list[Tensor] = []
        self._following = False
        self._layouts: list[Layout] = []
        self._rows: list[list[Tensor]] = []
        self._features: list[tuple[Tensor, Tensor, Tensor]] = []

    def __call__(self, layer: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Tensor) -> Tensor:
        """Sample, and let the output carry gradients where these are followed."""
        with torch.no_grad():
            self.sample(*args, **kwargs)
        if not self._following:
            return output
        felt = output if output.requires_grad else output.detach().requires_grad_()
        self.outputs.append(felt)
        return felt

    @abstractmethod
    def sample(self, *args: Any, **kwargs: Any) -> None:
        """Count codes and draw operands of one call, whose arguments are given."""

    @abstractmethod
    def end_batch(self) -> None:
        """Keep as many of the operands drawn since the last batch as are wanted of one batch."""

    @abstractmethod
    def observation(self) -> SiteObservation:
        """What was seen.

        Raises:
            PlanError: nothing was.
        """

    @abstractmethod
    def kernels_last(self, output: Tensor) -> Tensor:
        """A tensor of the output's shape with kernels in its last dimension."""

    @abstractmethod
    def unbiased(self, output: Tensor) -> Tensor:
        """The output without what is not a sum of products."""

    def begin(self) -> None:
        """Follow outputs from now on."""
        self._following = True

    def arrange(self, reach: Iterable[Tensor | None], samples: int) -> None:
        """Find the samples in every followed output from the derivatives of the first sample's logits."""
        for output, gradient in zip(self.outputs, reach, strict=True):
            found = torch.zeros_like(output) if gradient is None else gradient
            self._layouts.append(layout_of(self.kernels_last(found), samples, self.name))

    def feel(self, gradients: Iterable[Tensor | None]) -> None:
        """Turn the gradients of one followed class with respect to `outputs` into features."""
        row = [torch.zeros(()) for _ in range(3)]
        for output, gradient, layout in zip(self.outputs, gradients, self._layouts, strict=True):
            y = self.unbiased(output.detach())
            g = torch.zeros_like(y) if gradient is None else gradient
            parts = (layout.first(self.kernels_last(part)) for part in (g, g * y, g * g))
            row = [
                sofar + part.reshape(len(part), -1, part.shape[-1]).sum(1)
                for sofar, part in zip(row, parts, strict=True)
            ]
        self._rows.append(row)

    def finish(self) -> None:
        """Follow no longer; what was felt of all classes belongs to one batch."""
        if self.outputs and self._rows:
            a, b, c = (torch.stack(part, 1).cpu() for part in zip(*self._rows, strict=True))
            self._features.append((a, b, c))
        self._following, self.outputs, self._layouts, self._rows = False, [], [], []

    def _feeling(self) -> Feeling | None:
        if not self._features:
            return None
        return Feeling(*(torch.cat(part) for part in zip(*self._features, strict=True)))

    def _unreached(self) -> PlanError:
        return PlanError(
            f"site {self.name!r} was not reached by any input that was observed; give inputs that reach it, or leave "
            "it out of the plan"
        )


class LayerWatch(Watch):
    """Of a convolution or linear layer."""

    def __init__(self, layer: EmulatedLayer, operand: IntegerOperands, seed: int, per_batch: int) -> None:
        super().__init__(layer, operand, seed, per_batch)
        self._layer = layer
        self._kept: list[Tensor] = []
        self._drawn: list[Tensor] = []
        low, high = operand.input.code_range
        self._counts = np.zeros(high - low + 1)
        self._weight: tuple[Tensor, Tensor, Tensor] | None = None

    def sample(self, input: Tensor, output_size: object = None) -> None:  # noqa: A002 (as in torch)
        """See `Watch.sample`; arguments as those of the layer."""
        layer, form, coder = self._layer, self._layer.form, self.operand.input
        codes = coder.codes(input).cpu()
        if not form.linear and codes.dim() == len(form.kernel) + 1:
            codes = codes[None]
        if not codes.numel():
            return
        low, high = coder.code_range
        share, zero = padded_share(form, codes.shape), int(coder.zeros[0])
        found = histogram_of(codes, low, high)
        found[zero - low] += found.sum() * share / (1 - share)
        self._counts += found
        self._drawn.append(layer_patches(form, codes, float(zero), self._per_batch, self._generator))
        if self._weight is None:
            weight, weight_coder = layer.used_weight(), self.operand.weight
            assert isinstance(weight_coder, WeightCode)  # layers have no other
            scale, weight_zero = weight_coder.scale_and_zero(weight)
            forced = layer.forced_codes
            weight_codes = weight_coder.codes(weight, scale, weight_zero) if forced is None else forced
            self._weight = form.as_convolution(weight_codes).cpu(), weight_zero.cpu(), scale * coder.scale

    def end_batch(self) -> None:
        """See `Watch.end_batch`."""
        if not self._drawn:
            return
        found = torch.cat(self._drawn, 1)
        if len(self._drawn) > 1:
            found = found[:, torch.from_numpy(self._generator.permutation(found.shape[1])[: self._per_batch])]
        self._kept.append(found)
        self._drawn = []

    def observation(self) -> SiteObservation:
        """See `Watch.observation`."""
        if self._weight is None:
            raise self._unreached()
        matrix, weight_zero, scale = self._weight
        right = matrix.flatten(1).unflatten(0, (self._layer.form.groups, -1)).transpose(1, 2).contiguous()
        left = torch.cat(self._kept, 1)
        zeros = weight_zero.expand(len(matrix)).reshape(len(right), 1, -1)
        low, high = self.operand.weight.code_range
        histogram = histogram_of(right, low, high)
        return SiteObservation(
            self.name,
            self.operand,
            left,
            right,
            self._counts / self._counts.sum(),
            histogram / histogram.sum(),
            (left.double() - self.operand.input.zeros[0]) @ (right.double() - zeros),
            (scale.expand(len(matrix)) * self._layer.gain).cpu(),
            products=False,
            feeling=self._feeling(),
        )

    def kernels_last(self, output: Tensor) -> Tensor:
        """See `Watch.kernels_last`."""
        form = self._layer.form
        return output if form.linear else output.movedim(-1 - len(form.kernel), -1)

    def unbiased(self, output: Tensor) -> Tensor:
        """See `Watch.unbiased`."""
        bias, form = self._layer.bias, self._layer.form
        tail = [1] * (0 if form.linear else len(form.kernel))
        return output if bias is None else output - bias.detach().reshape(-1, *tail)


class ProductWatch(Watch):
    """Of a product of two activations."""

    def __init__(self, layer: EmulatedProduct, operand: IntegerOperands, seed: int, per_batch: int) -> None:
        super().__init__(layer, operand, seed, per_batch)
        self._kept: list[tuple[Tensor, Tensor]] = []
        self._drawn: list[tuple[Tensor, Tensor]] = []
        self._ranges = operand.input.code_range, operand.weight.code_range
        self._counts = [np.zeros(high - low + 1) for low, high in self._ranges]

    def sample(self, left: Tensor, right: Tensor) -> None:
        """See `Watch.sample`; arguments as those of the product. Of products of several shapes the first is kept."""
        codes = self.operand.input.codes(left).cpu(), self.operand.weight.codes(right).cpu()  # type: ignore[call-arg]
        found = product_patches(*codes, self._per_batch, self._generator)
        if found is None:
            return
        for i, (values, (low, high)) in enumerate(zip(codes, self._ranges, strict=True)):
            self._counts[i] += histogram_of(values, low, high)
        first = next(iter([*self._kept, *self._drawn]), found)
        if [x.shape[1:] for x in first] == [x.shape[1:] for x in found]:
            self._drawn.append(found)

    def end_batch(self) -> None:
        """See `Watch.end_batch`; keeps as many matrices as one call gives."""
        if not self._drawn:
            return
        left, right = (torch.cat(part) for part in zip(*self._drawn, strict=True))
        chosen = torch.from_numpy(self._generator.permutation(len(left))[: len(self._drawn[0][0])])
        self._kept.append((left[chosen], right[chosen]))
        self._drawn = []

    def observation(self) -> SiteObservation:
        """See `Watch.observation`."""
        if not self._kept:
            raise self._unreached()
        left, right = (torch.cat(part) for part in zip(*self._kept, strict=True))
        coder = self.operand.input
        return SiteObservation(
            self.name,
            self.operand,
            left,
            right,
            self._counts[0] / self._counts[0].sum(),
            self._counts[1] / self._counts[1].sum(),
            (left.double() - coder.zeros[0]) @ right.double(),
            (coder.scale * self.operand.weight.scale).reshape(1).cpu(),  # type: ignore[operator]
            products=True,
            feeling=self._feeling(),
        )

    def kernels_last(self, output: Tensor) -> Tensor:
        """See `Watch.kernels_last`; there is one."""
        return output[..., None]

    def unbiased(self, output: Tensor) -> Tensor:
        """See `Watch.unbiased`."""
        return output
