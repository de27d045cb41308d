"""Criteria that need the outputs of sites and the derivatives of the loss with respect to them, of any network."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor

from laxity.core.errors import TaskError
from laxity.relevance.channels import Axes, arranged, channel_count, sample_axes, watched
from laxity.relevance.criterion import Criterion, Scores, Subject

BATCH_SIZE = 64


class FeltCriterion(Criterion):
    """Relevance from a site's outputs and what the loss feels of them; sites may run several times per pass."""

    @abstractmethod
    def of_channels(self, outputs: Tensor, gradients: Tensor) -> Tensor:
        """Relevance (n, channels), not below 0, of which the mean over all samples is the score.

        Args:
            outputs: of one site, float32 (n, channels, positions), of all its calls in one pass, bias included.
            gradients: derivatives of each sample's own loss, likewise.
        """

    def scores(self, subject: Subject) -> Scores:
        """See `Criterion.scores`; samples run one by one where they share a dimension with something else.

        Raises:
            TaskError: the loss does not depend on any site by a chain of derivatives.
        """
        prepared = subject.prepared
        axes = sample_axes(prepared.model, subject.layers, prepared.example_input)
        totals = {name: np.zeros(channel_count(layer)) for name, layer in subject.layers.items()}
        for inputs, targets in subject.batches(BATCH_SIZE if axes is not None else 1):
            for name, found in self._of_batch(subject, inputs, targets, axes).items():
                totals[name] += found.sum(0, dtype=torch.float64).cpu().numpy()
        return {name: total / len(subject.inputs) for name, total in totals.items()}

    def _of_batch(self, subject: Subject, inputs: Tensor, targets: Tensor, axes: Axes | None) -> dict[str, Tensor]:
        """Relevance (n, channels) of every site that the batch reaches."""
        outputs: dict[str, list[Tensor]] = {name: [] for name in subject.layers}

        def keep(name: str, output: Tensor) -> Tensor:
            kept = output if output.requires_grad else output.detach().requires_grad_()
            outputs[name].append(kept)
            return kept.clone()  # what follows may change its input in place

        with torch.enable_grad(), watched(subject.layers, keep):
            logits = subject.prepared.model(inputs)
            if not logits.requires_grad:
                raise TaskError(
                    "the network's outputs do not depend on any site by derivatives (is a part of it wrapped in "
                    "torch.no_grad?); use the criterion 'magnitude', which needs none"
                )
            loss = torch.stack([subject.loss(logits[i : i + 1], targets[i : i + 1]) for i in range(len(targets))]).sum()
        kept = [output for calls in outputs.values() for output in calls]
        gradients = iter(torch.autograd.grad(loss, kept, allow_unused=True))
        found = {}
        for name, calls in outputs.items():
            felt = [torch.zeros_like(call) if g is None else g for call, g in zip(calls, gradients, strict=False)]
            if calls:
                at, layer = axes[name] if axes is not None else None, subject.layers[name]
                values = [call.detach() for call in calls]
                found[name] = self.of_channels(arranged(values, layer, at), arranged(felt, layer, at))
        return found
