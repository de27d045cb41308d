"""From a trained model to the form that everything works on: folded, in eval mode, with its sites."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from laxity.core.errors import ToolError
from laxity.core.op import Site
from laxity.sites.composites import open_composites
from laxity.sites.find import run_recorded, sites_of
from laxity.sites.fold import Norms, fold_batch_norm
from laxity.sites.groups import channel_groups


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A model ready to be approximated; treat it as read-only.

    Attributes:
        model: folded copy of the user's model with its composite modules opened, eval mode.
        sites: in order of execution.
        norms: output mean and standard deviation that folded batch norms prescribe, per site.
        example_input: (1, ...), on the model's device.
        exact: patterns of what is no site and stays as it is.
    """

    model: nn.Module
    sites: tuple[Site, ...]
    norms: Norms
    example_input: Tensor
    exact: tuple[str, ...] = ()


def prepare(
    model: nn.Module, example_input: Tensor, device: str | torch.device = "cpu", exact: Sequence[str] = ()
) -> Prepared:
    """Copy the model, open its composites, fold its batch norms, find its sites and which channels depend on others.

    Args:
        model: any module.
        example_input: (n, ...), of which the first sample is used.
        device: where the copy lives.
        exact: patterns of module paths, sites and calls to leave exact, as in `find_sites`.

    Raises:
        TaskError: the model does not run on the example, has no site, or one that cannot be emulated.
    """
    own = open_composites(copy.deepcopy(model), exact).to(device).eval()
    example = example_input[:1].to(device)
    norms = fold_batch_norm(own, run_recorded(own, example))
    for parameter in own.parameters():
        parameter.requires_grad_(False)
    sites = sites_of(run_recorded(own, example), own, exact)
    try:
        groups = channel_groups(own, example, sites)
    except ToolError:
        groups = {}
    named = tuple(replace(s, group=groups.get(s.name, s.name), removable=s.name in groups) for s in sites)
    return Prepared(own, named, norms, example, tuple(exact))
