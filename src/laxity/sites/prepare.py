"""From a trained model to the form that everything works on: folded, in eval mode, with its sites."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from laxity.core.errors import ToolError
from laxity.core.op import Site
from laxity.sites.find import run_recorded, sites_of
from laxity.sites.fold import Norms, fold_batch_norm
from laxity.sites.groups import channel_groups


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A model ready to be approximated; treat it as read-only.

    Attributes:
        model: folded copy of the user's model, eval mode.
        sites: in order of execution.
        norms: output mean and standard deviation that folded batch norms prescribe, per site.
        example_input: float32 (1, ...), on the model's device.
    """

    model: nn.Module
    sites: tuple[Site, ...]
    norms: Norms
    example_input: Tensor


def prepare(model: nn.Module, example_input: Tensor, device: str | torch.device = "cpu") -> Prepared:
    """Copy the model, fold its batch norms, find its sites and the groups in which channels depend on each other.

    Raises:
        TaskError: the model does not run on the example, or has no site.
    """
    own = copy.deepcopy(model).to(device).eval()
    example = example_input[:1].to(device)
    norms = fold_batch_norm(own, run_recorded(own, example))
    for parameter in own.parameters():
        parameter.requires_grad_(False)
    sites = sites_of(run_recorded(own, example), own)
    try:
        groups = channel_groups(own, example, sites)
    except ToolError:
        groups = {}
    named = tuple(replace(s, group=groups.get(s.name, s.name), removable=s.name in groups) for s in sites)
    return Prepared(own, named, norms, example)
