"""Layer-wise relevance propagation as a criterion: from logits to the outputs of sites."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from laxity.core.errors import ConfigError, TaskError
from laxity.relevance.channels import arranged, channel_count, sample_axes
from laxity.relevance.criterion import Criterion, Scores, Subject
from laxity.relevance.lrp.graph import export, site_nodes
from laxity.relevance.lrp.method import Method
from laxity.relevance.lrp.walk import propagate
from laxity.relevance.lrp.weighted import LAYERS

BATCH_SIZE = 32
STARTS = ("true", "predicted")


@dataclass(frozen=True)
class LayerwiseRelevance(Criterion):
    """Mean over the samples of the absolute relevance of a feature map, summed over its positions.

    Attributes:
        start: whose logit is divided: that of the ``"true"`` class, or of the ``"predicted"`` one.

    Raises:
        ConfigError: there is no such start.
    """

    start: str = "true"

    def __post_init__(self) -> None:
        if self.start not in STARTS:
            raise ConfigError(f"start of {self.kind!r} is the class 'true' or 'predicted', not {self.start!r}")

    @abstractmethod
    def method(self) -> Method:
        """How relevance is divided."""

    def scores(self, subject: Subject) -> Scores:
        """See `Criterion.scores`.

        Raises:
            TaskError: the network cannot be exported, or relevance cannot go through a part of it, which is named.
        """
        prepared, layers, method = subject.prepared, subject.layers, self.method()
        axes = sample_axes(prepared.model, layers, prepared.example_input)
        size = min(BATCH_SIZE, len(subject.inputs)) if axes is not None else 1
        graph = export(prepared.model, subject.inputs[:size])
        nodes = site_nodes(graph, layers, LAYERS)
        for name in layers:
            if not nodes[name] or (axes is not None and len(axes[name]) != len(nodes[name])):
                raise TaskError(f"site {name!r} is not in the exported network as often as it runs; use 'taylor'")
        keep = {node.name for calls in nodes.values() for node in calls}
        totals = {name: np.zeros(channel_count(layer)) for name, layer in layers.items()}
        for inputs, targets in subject.batches(size):
            values = graph.run(_filled(inputs, size))
            start = self._start(values[graph.output.name], targets)
            found = propagate(graph, values, start, method, keep).relevance
            for name, calls in nodes.items():
                reached = [found.get(n.name, torch.zeros_like(values[n.name])) for n in calls]
                maps = arranged(reached, layers[name], axes[name] if axes is not None else None)
                each = maps.sum(2, dtype=torch.float64).abs()[: len(inputs)]
                totals[name] += each.sum(0).cpu().numpy()
        return {name: total / len(subject.inputs) for name, total in totals.items()}

    def _start(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Relevance of the logits: those of one class per sample, 0 elsewhere and for samples that only fill up."""
        classes = targets if self.start == "true" else logits[: len(targets)].argmax(1)
        start = torch.zeros_like(logits)
        chosen = F.one_hot(classes, logits.shape[1]).to(logits.dtype)
        start[: len(targets)] = chosen * logits[: len(targets)]
        return start


def _filled(inputs: Tensor, size: int) -> Tensor:
    """The last samples repeat the first one: the graph takes batches of one size only."""
    missing = size - len(inputs)
    return torch.cat([inputs, inputs[:1].expand(missing, *inputs.shape[1:])]) if missing else inputs
