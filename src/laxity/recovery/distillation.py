"""The loss of training: the task's own, mixed with the distance to a teacher."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.core.plan import Recovery
from laxity.task.task import Task

_HOTTEST = 4.0
"""Most by which the error of the outputs raises the temperature."""


class Distillation:
    """``(1 - d) task loss + d T^2 KL(teacher || student)`` at temperature T.

    With the schedule ``error`` the temperature is ``T (1 + e)``, at most 4 T, with e the error of the student's logits
    against the teacher's at the start of the epoch, root mean square, relative to the spread of the teacher's logits
    over classes. A student that is far off is told more of how wrong classes compare; as it comes nearer, T falls
    to its base.

    Args:
        task: its loss.
        recovery: weight, temperature and schedule.
        teacher: None for the task's loss alone.

    Source: G. Hinton et al., arXiv:1503.02531; a temperature that grows with the approximation error is reconstructed
    from the abstract of C. De la Parra, X. Wu, A. Guntoro, A. Kumar, "Knowledge distillation and gradient estimation
    for active error compensation in approximate neural networks", DATE 2021, whose own schedule is not public.
    """

    def __init__(self, task: Task, recovery: Recovery, teacher: nn.Module | None) -> None:
        self._task, self._teacher, self._recovery = task, teacher, recovery
        self._weight = recovery.distil if teacher is not None else 0.0
        self.temperature = recovery.temperature

    @torch.no_grad()
    def begin(self, model: nn.Module, inputs: Sequence[Tensor]) -> None:
        """Choose the temperature of an epoch from the error on calibration inputs."""
        if self._teacher is None or self._weight == 0 or self._recovery.schedule == "constant":
            return
        wanted, got = (torch.cat([m(x) for x in inputs]) for m in (self._teacher, model))
        spread = (wanted - wanted.mean(-1, keepdim=True)).square().mean().sqrt().clamp_min(1e-12)
        error = float((got - wanted).square().mean().sqrt() / spread)
        self.temperature = self._recovery.temperature * min(1 + error, _HOTTEST)

    def __call__(self, x: Tensor, logits: Tensor, y: Tensor) -> Tensor:
        """Mean loss of a batch."""
        loss = (1 - self._weight) * self._task.loss(logits, y)
        if self._teacher is None or self._weight == 0:
            return loss
        with torch.no_grad():
            wanted = F.log_softmax(self._teacher(x) / self.temperature, 1)
        got = F.log_softmax(logits / self.temperature, 1)
        distance = F.kl_div(got, wanted, log_target=True, reduction="batchmean")
        return loss + self._weight * self.temperature**2 * distance
