"""GUARD: outputs beyond the bounds that calibration data gave are clamped or set to zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand
from laxity.core.errors import DataError, PlanError
from laxity.core.guarding import Guarding
from laxity.core.op import Site
from laxity.core.registry import did_you_mean
from laxity.core.slots import Slot
from laxity.techniques.context import BuildContext, Layer
from laxity.techniques.guard import OutputGuard

GRANULARITIES = ("layer", "channel")
ACTIONS = ("clamp", "zero")


@TECHNIQUES.register("range_restriction")
@dataclass(frozen=True)
class RangeRestriction(Approximation):
    """Outputs of a site that no calibration input gave are taken for faults; NaN becomes 0.

    Bounds are the least and the greatest output on calibration data, of the network as it is approximated but without
    faults, moved away from the middle between them by `margin`. Outputs are those of the convolution or matrix product
    with its bias and folded batch norm, before the activation function.

    Attributes:
        granularity: ``layer|channel``, one pair of bounds for all outputs or one per output channel.
        action: ``clamp`` to the nearer bound, or ``zero`` for 0.
        margin: factor on the distance of both bounds from the middle between them, above 0.

    Source: clamping is that of Z. Chen, G. Li, K. Pattabiraman, "A low-cost fault corrector for deep neural networks
    through range restriction", DSN 2021 (Ranger); zero that of L.-H. Hoang, M. A. Hanif, M. Shafique, "FT-ClipAct:
    resilience analysis of deep neural networks and improving their fault tolerance using clipped activation",
    DATE 2020, which besides searches the bounds.
    """

    kind: ClassVar[str] = "range_restriction"
    slot: ClassVar[Slot] = Slot.GUARD

    granularity: str = "layer"
    action: str = "clamp"
    margin: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("granularity", GRANULARITIES), ("action", ACTIONS)):
            value = getattr(self, name)
            if value not in known:
                raise PlanError(f"{name} of 'range_restriction' cannot be {value!r}{did_you_mean(value, known)}")
        if not 0 < self.margin < float("inf"):
            raise PlanError(f"margin of 'range_restriction' is a positive factor, not {self.margin}")

    def label(self) -> str:
        """For example ``clamp per channel``."""
        wider = "" if self.margin == 1 else f" x{self.margin:g}"
        return f"{self.action} per {self.granularity}{wider}"

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Give every layer bounds that restrict nothing until they are calibrated."""
        for layer in layers:
            kind = layer.site.op.kind
            axis = -1 if kind == "linear" else -1 - int(kind.removesuffix("d")[-1])
            count = layer.outputs if self.granularity == "channel" else 1
            guard = RangeGuard(count, axis, self.action, self.margin)
            layer.guard = guard.to(layer.weight.device)

    @classmethod
    def protections(cls, site: Site) -> Sequence[Approximation]:
        """Bounds of every channel."""
        return [cls("channel")]

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """Every output is compared with two bounds."""
        return replace(demand, guard=Guarding(comparisons=2))


class RangeGuard(OutputGuard):
    """Bounds of the outputs of one layer.

    Args:
        channels: output channels with bounds of their own, or 1.
        axis: of the output channels in outputs, counted from the end.
        action: see `RangeRestriction`.
        margin: likewise.

    Attributes:
        low, high: float32 (channels,).
    """

    calibrated: ClassVar[bool] = True

    low: Tensor
    high: Tensor

    def __init__(self, channels: int, axis: int, action: str, margin: float) -> None:
        super().__init__()
        self.axis, self.action, self.margin = axis, action, margin
        self.register_buffer("low", torch.full((channels,), -torch.inf))
        self.register_buffer("high", torch.full((channels,), torch.inf))
        self._seen: tuple[Tensor, Tensor] | None = None

    def observe(self, outputs: Tensor) -> None:
        """Take outputs of calibration data into account."""
        by_channel = outputs.detach().movedim(self.axis, 0).flatten(1)
        if len(self.low) == 1:
            by_channel = by_channel.reshape(1, -1)
        if not by_channel.numel():
            return
        low, high = by_channel.amin(1), by_channel.amax(1)
        if self._seen is not None:
            low, high = torch.minimum(low, self._seen[0]), torch.maximum(high, self._seen[1])
        self._seen = low, high

    def settle(self, name: str) -> None:
        """Set the bounds from what was seen.

        Raises:
            PlanError: nothing was.
            DataError: outputs were not finite.
        """
        if self._seen is None:
            raise PlanError(
                f"site {name!r} was not reached by any calibration input, so that there are no bounds for its outputs; "
                "give inputs that reach it, or leave this site without a GUARD choice"
            )
        low, high = self._seen
        self._seen = None
        if not bool(torch.isfinite(low).all() and torch.isfinite(high).all()):
            raise DataError(f"outputs of site {name!r} are not finite on the calibration data; check the inputs")
        if self.margin != 1:
            middle, reach = (high + low) / 2, (high - low) / 2 * self.margin
            low, high = middle - reach, middle + reach
        self.low.copy_(low)
        self.high.copy_(high)

    def treated(self, outputs: Tensor) -> Tensor:
        """Outputs within the bounds as they are, others clamped or 0."""
        shape = (-1, *([1] * (-1 - self.axis)))
        low, high = self.low.reshape(shape), self.high.reshape(shape)
        if self.action == "zero":
            return torch.where((outputs >= low) & (outputs <= high), outputs, 0.0)
        return torch.where(torch.isnan(outputs), 0.0, torch.clamp(outputs, low, high))

    def __getstate__(self) -> dict[str, object]:
        """Leave out what is only wanted during calibration."""
        return {**self.__dict__, "_seen": None}
