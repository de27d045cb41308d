"""STRUCTURE: structured pruning that really removes output channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.core.slots import Slot
from laxity.sites.groups import channel_norms, group_outputs, load_torch_pruning, output_channels, removal_group
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
        super().__post_init__()
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
                raise PlanError(
                    f"channels of {left[0]!r} depend on those of {group!r}; give both the same 'channels' choice"
                )
            if not context.site(group).removable:
                raise PlanError(f"the output channels of site {group!r} cannot be removed; use 'magnitude' there")
            self._remove(context, group)

    def _remove(self, context: BuildContext, name: str) -> None:
        pruning = load_torch_pruning()
        count = output_channels(context.model.get_submodule(name))
        remove = min(count - 1, round(self.ratio * count))
        if remove < 1:
            return
        least = self._least_important(context, name, count, remove)
        group = removal_group(pruning, context.model, context.example_input, name, least)
        for member, channels in group_outputs(context.model, group).items():
            layer = context.model.get_submodule(member)
            gone = set(channels)
            context.kept[member] = [c for c in range(output_channels(layer)) if c not in gone]
        group.prune()
        for parameter in context.model.parameters():
            parameter.requires_grad_(False)

    @staticmethod
    def _least_important(context: BuildContext, name: str, count: int, remove: int) -> list[int]:
        """Channels of least norm, summed over the members of the group after division by each member's mean."""
        pruning = load_torch_pruning()
        group = removal_group(pruning, context.model, context.example_input, name, list(range(count)))
        importance = torch.zeros(count)
        for member, channels in group_outputs(context.model, group).items():
            layer = context.model.get_submodule(member)
            norms = channel_norms(layer)
            importance += norms[torch.tensor(channels)] / norms.mean().clamp_min(1e-12)
        return sorted(torch.argsort(importance, stable=True)[:remove].tolist())

    @classmethod
    def candidates(cls, site: Site) -> Sequence[Approximation]:
        """Ratios from one eighth to one half; only where removal was shown to be sound."""
        return [cls(ratio) for ratio in (0.125, 0.25, 0.375, 0.5)] if site.removable else []
