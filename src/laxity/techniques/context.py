"""What a technique sees while a plan is applied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from laxity.core.op import Site

if TYPE_CHECKING:
    from laxity.faults.protection import StorageProtection
    from laxity.kernels import Accumulator
    from laxity.techniques.hardware.arrangement import Circuits


KEPT = "kept:"
"""Facts of a site that lost channels hold an entry with this prefix for every original channel that is left."""


class WeightTransform(Protocol):
    """Content of the STRUCTURE slot: a differentiable map from the stored weight to the weight that is used."""

    def __call__(self, weight: Tensor) -> Tensor:
        """Return the weight that takes part in the products; same shape and dtype."""


class Guard(Protocol):
    """Content of the GUARD slot: looks at what a layer gives before anything else reads it."""

    def __call__(self, outputs: Tensor) -> Tensor:
        """Return the outputs that are passed on, same shape and dtype; what is in order stays as it is."""


class Layer(Protocol):
    """An emulated operation, with one attribute per slot that a technique may fill.

    Attributes:
        site: the place in the original model.
        weight: trainable float32 weight in the layout of the layer type.
        channel_axis: axis of `weight` that runs over output channels.
        kept: original output channels that are left, or None for all.
        structure, operand, multiplier, accumulator: contents of the slots; None means exact.
        memory, guard: contents of the slots; None means unprotected.
    """

    site: Site
    weight: Any
    channel_axis: int
    kept: list[int] | None
    structure: Any
    operand: Any
    multiplier: Circuits | None
    accumulator: Accumulator | None
    memory: StorageProtection | None
    guard: Guard | None

    @property
    def outputs(self) -> int:
        """Number of output channels; 0 where there are none."""


@dataclass(slots=True)
class BuildContext:
    """A model on its way from prepared to approximated.

    Attributes:
        model: a private copy that techniques may change.
        example_input: float32 (1, ...).
        sites: the sites as they stand now.
        kept: per site, the original output channels that are left, where a technique removed some.
    """

    model: nn.Module
    example_input: Tensor
    sites: tuple[Site, ...]
    kept: dict[str, list[int]] = field(default_factory=dict)

    def site(self, name: str) -> Site:
        """The site of that name."""
        return next(s for s in self.sites if s.name == name)

    def members(self, group: str) -> Iterator[Site]:
        """Sites of one dependency group."""
        return (s for s in self.sites if s.group == group)
