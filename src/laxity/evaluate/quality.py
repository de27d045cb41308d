"""Quality of a model on a split, with a confidence interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from laxity.core.intervals import clopper_pearson, paired_drop_error
from laxity.core.records import Quality
from laxity.task.splits import batches
from laxity.task.task import Task

BATCH_SIZE = 128


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a model says about the first samples of a split.

    Attributes:
        classes: predicted class, int64 (n,).
        targets: label, int64 (n,).
        loss: mean loss.
        split: name of the split.
    """

    classes: NDArray[np.int64]
    targets: NDArray[np.int64]
    loss: float
    split: str

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Which samples are right."""
        return self.classes == self.targets

    def quality(self, confidence: float = 0.95) -> Quality:
        """Accuracy with its Clopper-Pearson interval."""
        right, total = int(self.correct.sum()), len(self.targets)
        low, high = clopper_pearson(right, total, confidence)
        return Quality("accuracy", right / total, low, high, self.loss, total, self.split, confidence)


@torch.no_grad()
def predict(model: nn.Module, task: Task, split: str, *, limit: int | None = None) -> Predictions:
    """Run a model over the first `limit` samples of a split (all by default), on the device the model is on."""
    device = next(model.parameters()).device
    classes, targets, loss, count = [], [], 0.0, 0
    for x, y in batches(task.splits()[split], BATCH_SIZE, limit=limit):
        logits = model(x.to(device)).cpu()
        loss += float(task.loss(logits, y)) * len(y)
        count += len(y)
        classes.append(logits.argmax(1))
        targets.append(y)
    return Predictions(torch.cat(classes).numpy(), torch.cat(targets).numpy(), loss / count, split)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Accuracy before and after on the same samples.

    Attributes:
        drop: accuracy lost (negative where it rose).
        error: standard error of the drop.
        disagreement: fraction of samples with different predictions.
    """

    drop: float
    error: float
    disagreement: float


def compare(before: Predictions, after: Predictions) -> Comparison:
    """Compare predictions on the same samples, pairwise."""
    lost = int((before.correct & ~after.correct).sum())
    gained = int((~before.correct & after.correct).sum())
    total = len(before.targets)
    disagreement = float((before.classes != after.classes).mean())
    return Comparison((lost - gained) / total, paired_drop_error(lost, gained, total), disagreement)
