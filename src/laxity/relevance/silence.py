"""What silencing channels does: the test of any order of relevance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from laxity.core.errors import ConfigError, PlanError
from laxity.relevance.channels import channel_axis, channel_count, watched

Chosen = dict[str, NDArray[np.bool_]]
"""Per site, which of its output channels."""


def least_relevant(scores: Mapping[str, NDArray[np.float64]], share: float, *, across: str = "site") -> Chosen:
    """Choose the channels of least relevance; ties are broken by the order of sites and channels.

    Args:
        scores: relevance by site, as `relevances` gives it; negate it to choose the most relevant ones.
        share: fraction of the channels, from 0 to 1; the number is rounded to the nearest.
        across: ``"site"`` for this share of every site, ``"network"`` for this share of all channels together.

    Raises:
        ConfigError: the share is no fraction, or `across` is something else.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"the share of channels is a fraction from 0 to 1, not {share}")
    if across == "site":
        return {name: _lowest(values, share) for name, values in scores.items()}
    if across != "network":
        raise ConfigError(f"channels are chosen across 'site' or 'network', not {across!r}")
    together = _lowest(np.concatenate([*scores.values(), np.empty(0)]), share)
    ends = np.cumsum([len(values) for values in scores.values()])
    return dict(zip(scores, np.split(together, ends[:-1]), strict=True)) if len(scores) else {}


def _lowest(values: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    mask = np.zeros(len(values), bool)
    mask[np.argsort(values, kind="stable")[: round(share * len(values))]] = True
    return mask


@contextmanager
def silenced(model: nn.Module, channels: Mapping[str, NDArray[np.bool_]]) -> Iterator[None]:
    """Inside the context the outputs of the chosen channels are 0, bias included.

    Args:
        model: with the sites as modules, prepared or emulated.
        channels: per site a mask of its output channels.

    Raises:
        PlanError: the model has no such site, or one with another number of channels.
    """
    layers, factors = dict(model.named_modules()), {}
    for name, mask in channels.items():
        if name not in layers:
            raise PlanError(f"the model has no site {name!r} whose channels could be silenced")
        if len(mask) != channel_count(layers[name]):
            raise PlanError(f"site {name!r} has {channel_count(layers[name])} output channels, not {len(mask)}")
        shape = (-1, *([1] * (-1 - channel_axis(layers[name]))))
        factors[name] = torch.from_numpy(~np.asarray(mask, bool)).reshape(shape)

    def silence(name: str, output: Tensor) -> Tensor:
        return torch.where(factors[name].to(output.device), output, 0.0)

    with watched({name: layers[name] for name in channels}, silence):
        yield
