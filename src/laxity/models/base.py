"""The registry of reference networks and the functions that build one by name."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from laxity.core.errors import TaskError
from laxity.core.registry import Registry
from laxity.core.seeds import derive

Builder = Callable[..., nn.Module]
"""Makes an untrained network. Takes `num_classes` and `in_channels`, `in_features` or `input_shape`, with defaults."""

registry: Registry[Builder] = Registry("network", "laxity.models")
"""Networks by name; other packages add theirs through the entry-point group ``laxity.models``."""


def build(name: str, **options: Any) -> nn.Module:
    """Build the network `name` with fresh weights, in evaluation mode.

    Args:
        name: a registered network, for example ``"resnet20"``.
        **options: `num_classes`, `in_channels`, and what else the builder accepts.

    Raises:
        RegistryError: no network has this name.
        TaskError: the network does not accept one of the options.
    """
    builder = registry[name]
    accepted = inspect.signature(builder).parameters
    for key, value in options.items():
        if key not in accepted:
            raise TaskError(f"network {name!r} takes no {key}={value!r}; it takes: {', '.join(accepted)}")
    return builder(**options).eval()


def build_for(name: str, input_shape: Sequence[int], num_classes: int) -> nn.Module:
    """Build the network `name` for inputs of `input_shape` (without the batch dimension).

    A builder with a parameter `in_channels` gets the first dimension, one with `in_features` the number of elements,
    one with `input_shape` the shape.

    Raises:
        RegistryError: no network has this name.
        TaskError: the network takes images, but the inputs are not (channels, height, width).
    """
    accepted = inspect.signature(registry[name]).parameters
    if "in_channels" in accepted and len(input_shape) != 3:
        shape = tuple(input_shape)
        raise TaskError(f"network {name!r} takes images (channels, height, width), not {shape}; give the input shape")
    sizes = {
        "in_channels": int(input_shape[0]), "in_features": math.prod(input_shape), "input_shape": tuple(input_shape)
    }  # fmt: skip
    return build(name, num_classes=num_classes, **{k: v for k, v in sizes.items() if k in accepted})


def initialised(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Call `make` with torch's global generator seeded from the stream ``(seed, "init")``; its state is restored."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "init"))
        return make()
