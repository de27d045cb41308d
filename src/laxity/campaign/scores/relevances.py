"""Layer-wise relevance of filters and of single neurons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.core.errors import TaskError
from laxity.relevance.channels import channel_axis
from laxity.relevance.lrp import export, propagate
from laxity.relevance.lrp.graph import site_nodes
from laxity.relevance.lrp.method import Method
from laxity.relevance.lrp.weighted import LAYERS

BATCH = 32


def relevance_maps(
    model: nn.Module,
    names: Sequence[str],
    inputs: Tensor,
    classes: Tensor,
    method: Method,
    where: str,
    filters: bool = False,
) -> dict[str, NDArray[np.float64]]:
    """Mean over images of the absolute relevance of what layers read or give.

    Args:
        model: in floating point, in evaluation mode.
        names: of its layers, each of which runs once.
        inputs: float32 (n, ...).
        classes: whose logit is divided, int64 (n,).
        method: how relevance is divided.
        where: ``input`` or ``output`` of the layers.
        filters: relevance is first summed over the positions of each filter.

    Returns:
        By name of layer float64, in the shape of one sample's activations, or (filters,).

    Raises:
        TaskError: relevance cannot be propagated through the network, or a layer runs several times.

    Source: C. Schorn, A. Guntoro, G. Ascheid, "Accurate neuron resilience prediction for a flexible reliability
    management in neural network accelerators", DATE 2018; reconstructed from a description of it.
    """
    size = min(BATCH, len(inputs))
    graph = export(model, inputs[:size])
    nodes = site_nodes(graph, names, LAYERS)
    for name, calls in nodes.items():
        if len(calls) != 1:
            raise TaskError(f"layer {name!r} runs {len(calls)} times; relevance of neurons needs layers that run once")
    chosen = {n: (calls[0] if where == "output" else calls[0].all_input_nodes[0]).name for n, calls in nodes.items()}
    totals: dict[str, Tensor] = {}
    for start in range(0, len(inputs), size):
        rows = torch.arange(start, start + size).clamp(max=len(inputs) - 1)
        real = min(size, len(inputs) - start)
        values = graph.run(inputs[rows])
        logits = values[graph.output.name]
        divided = logits * F.one_hot(classes[rows], logits.shape[1])
        found = propagate(graph, values, divided, method, set(chosen.values())).relevance
        for name, node in chosen.items():
            part = found.get(node, torch.zeros_like(values[node]))[:real].to(torch.float64)
            if filters:
                channels = part.dim() + channel_axis(model.get_submodule(name))
                part = part.movedim(channels, 1).flatten(2).sum(2) if part.dim() > 2 else part
            totals[name] = totals.get(name, torch.zeros(())) + part.abs().sum(0)
    return {name: (total / len(inputs)).numpy() for name, total in totals.items()}
