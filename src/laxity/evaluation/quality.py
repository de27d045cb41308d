"""Quality of a model on a split, with a confidence interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.core.intervals import clopper_pearson, paired_drop_error
from laxity.core.records import Quality
from laxity.task.splits import batches
from laxity.task.task import Loss, Task

BATCH_SIZE = 128


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a model says about the first samples of a split.

    Attributes:
        logits: float32 (n, classes).
        targets: label, int64 (n,).
        loss: mean loss.
        split: name of the split.
    """

    logits: Tensor
    targets: NDArray[np.int64]
    loss: float
    split: str

    @property
    def classes(self) -> NDArray[np.int64]:
        """Predicted class, int64 (n,)."""
        return self.logits.argmax(1).numpy()

    def first(self, samples: int, loss: Loss) -> Predictions:
        """The predictions for the first samples only."""
        if samples >= len(self.targets):
            return self
        logits, targets = self.logits[:samples], self.targets[:samples]
        return Predictions(logits, targets, float(loss(logits, torch.from_numpy(targets))), self.split)

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
    outputs, targets, loss, count = [], [], 0.0, 0
    for x, y in batches(task.splits()[split], BATCH_SIZE, limit=limit):
        logits = model(x.to(device)).cpu()
        loss += float(task.loss(logits, y)) * len(y)
        count += len(y)
        outputs.append(logits)
        targets.append(y)
    return Predictions(torch.cat(outputs), torch.cat(targets).numpy(), loss / count, split)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Accuracy before and after on the same samples.

    Attributes:
        drop: accuracy lost (negative where it rose).
        error: standard error of the drop.
        disagreement: fraction of samples with different predictions.
        divergence: mean Kullback-Leibler divergence of the later from the earlier softmax output, in nats.
    """

    drop: float
    error: float
    disagreement: float
    divergence: float


def compare(before: Predictions, after: Predictions) -> Comparison:
    """Compare predictions on the same samples, pairwise."""
    lost = int((before.correct & ~after.correct).sum())
    gained = int((~before.correct & after.correct).sum())
    total = len(before.targets)
    disagreement = float((before.classes != after.classes).mean())
    divergence = F.kl_div(
        F.log_softmax(after.logits, 1), F.log_softmax(before.logits, 1), log_target=True, reduction="batchmean"
    )
    error = paired_drop_error(lost, gained, total)
    return Comparison((lost - gained) / total, error, disagreement, max(0.0, float(divergence)))
