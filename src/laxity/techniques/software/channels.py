"""STRUCTURE: structured pruning that really removes output channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.core.slots import Slot
from laxity.sites.groups import group_outputs, load_torch_pruning, removal_group
from laxity.techniques.context import BuildContext


@TECHNIQUES.register("channels")
@dataclass(frozen=True)
class ChannelPruning(Approximation):
    """Remove the output channels of least norm, together with everything that depends on them.

    Attributes:
        ratio: fraction of channels to remove, in (0, 1); at least one channel stays.

    Source: filter norms as importance, H. Li et al., Pruning Filters for Efficient ConvNets (ICLR 2017);
    dependency groups by torch-pruning (G. Fang et al., DepGraph, CVPR 2023).
    """

    kind: ClassVar[str] = "channels"
    slot: ClassVar[Slot] = Slot.STRUCTURE

    ratio: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise PlanError(f"ratio of 'channels' is a fraction in (0, 1), not {self.ratio}")

    @classmethod
    def grouped(cls) -> bool:
        """Sites of one dependency group lose the same channels."""
        return True

    def label(self) -> str:
        """For example ``-25% channels``."""
        return f"-{self.ratio:.0%} channels"

    def restructure(self, context: BuildContext, sites: Sequence[Site]) -> None:
        """Remove channels group by group.

        Raises:
            PlanError: a site's channels cannot be removed, or a group is not chosen as a whole.
        """
        chosen = {s.name for s in sites}
        for group in dict.fromkeys(s.group for s in sites):
            members = {s.name for s in context.members(group)}
            if not members <= chosen:
                left = sorted(members - chosen)
                raise PlanError(f"channels of {left[0]!r} depend on those of {group!r}; give both the same 'channels' choice")
            if not context.site(group).removable:
                raise PlanError(f"the output channels of site {group!r} cannot be removed; use 'magnitude' there")
            self._remove(context, group)

    def _remove(self, context: BuildContext, name: str) -> None:
        pruning = load_torch_pruning()
        layer = context.model.get_submodule(name)
        count = int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)  # type: ignore[arg-type]
        remove = min(count - 1, round(self.ratio * count))
        if remove < 1:
            return
        group = removal_group(pruning, context.model, context.example_input, name, list(range(count)))
        importance = torch.zeros(count)
        for member, channels in group_outputs(context.model, group).items():
            weight = context.model.get_submodule(member).weight.detach().cpu()  # type: ignore[operator,union-attr]
            axis = 1 if type(context.model.get_submodule(member)).__name__.startswith("ConvTranspose") else 0
            norms = weight.movedim(axis, 0).flatten(1).norm(dim=1)
            importance += norms[torch.tensor(channels)] / norms.mean().clamp_min(1e-12)
        least = torch.argsort(importance, stable=True)[:remove].tolist()
        removal_group(pruning, context.model, context.example_input, name, sorted(least)).prune()
        for parameter in context.model.parameters():
            parameter.requires_grad_(False)

    @classmethod
    def candidates(cls, site: Site) -> Sequence[Approximation]:
        """Ratios from one eighth to one half; only where removal was shown to be sound."""
        return [cls(ratio) for ratio in (0.125, 0.25, 0.375, 0.5)] if site.removable else []
