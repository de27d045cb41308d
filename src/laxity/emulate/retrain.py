"""Fine-tune an approximated model with the straight-through estimator."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.core.errors import TaskError
from laxity.core.plan import Recovery
from laxity.core.seeds import derive
from laxity.task.splits import batches, subset
from laxity.task.task import Task

Progress = Callable[[int, int, float], None]


def retrain(
    model: nn.Module,
    task: Task,
    recovery: Recovery,
    *,
    seed: int,
    teacher: nn.Module | None = None,
    label: str = "",
    progress: Progress | None = None,
) -> list[float]:
    """Train weights and biases of an approximated model in place; ranges of activations stay as calibrated.

    The forward pass is the emulated hardware, the backward pass that of the native operation on the represented
    operands. Adam with a cosine schedule; gradients are clipped to norm 1. With a teacher the loss is
    ``(1 - d) task loss + d T^2 KL(teacher || student)`` at temperature T.

    Args:
        model: a calibrated model, on the device it shall train on.
        task: gives the training split, its augmentation and the loss.
        recovery: how long and how fast.
        seed: root seed of the order of samples and of augmentation.
        teacher: the original network, on the same device; None trains on the labels alone.
        label: names the random streams, for example the plan key.
        progress: called with (step, steps, loss).

    Returns:
        Mean loss of each epoch.

    Raises:
        TaskError: the loss became NaN or infinite.

    Source: straight-through estimator, Y. Bengio et al., arXiv:1308.3432; distillation, G. Hinton et al.,
    arXiv:1503.02531.
    """
    parameters = [p for p in model.parameters() if p.is_floating_point()]
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimiser = torch.optim.Adam(parameters, lr=recovery.learning_rate)
    count = min(len(task.train), recovery.samples or len(task.train))
    steps = max(1, recovery.epochs * math.ceil(count / recovery.batch_size))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=recovery.learning_rate * 0.02)
    loss_of = _Loss(task, recovery, teacher)
    losses: list[float] = []
    step = 0
    try:
        for epoch in range(recovery.epochs):
            total = 0.0
            for x, y in _epoch(task, recovery.batch_size, count, derive(seed, "retrain", label, epoch)):
                total += _step(model, loss_of, optimiser, x, y) * len(y)
                schedule.step()
                step += 1
                if progress is not None:
                    progress(step, steps, total / count)
            losses.append(total / count)
    finally:
        for parameter in parameters:
            parameter.requires_grad_(False)
            parameter.grad = None
    return losses


def _epoch(task: Task, batch_size: int, count: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of `count` training samples in random order, augmented."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(task.train), generator=generator)[:count].tolist()
    for x, y in batches(subset(task.train, chosen), batch_size):
        yield (x if task.augment is None else task.augment(x, generator)), y


class _Loss:
    """The task's loss, mixed with the distance to a teacher."""

    def __init__(self, task: Task, recovery: Recovery, teacher: nn.Module | None) -> None:
        self._task, self._teacher, self._temperature = task, teacher, recovery.temperature
        self._weight = recovery.distil if teacher is not None else 0.0

    def __call__(self, x: Tensor, logits: Tensor, y: Tensor) -> Tensor:
        loss = (1 - self._weight) * self._task.loss(logits, y)
        if self._teacher is None or self._weight == 0:
            return loss
        with torch.no_grad():
            wanted = F.log_softmax(self._teacher(x) / self._temperature, 1)
        got = F.log_softmax(logits / self._temperature, 1)
        distance = F.kl_div(got, wanted, log_target=True, reduction="batchmean")
        return loss + self._weight * self._temperature**2 * distance


def _step(model: nn.Module, loss_of: _Loss, optimiser: torch.optim.Optimizer, x: Tensor, y: Tensor) -> float:
    device = next(model.parameters()).device
    x, y = x.to(device), y.to(device)
    optimiser.zero_grad(set_to_none=True)
    loss = loss_of(x, model(x), y)
    if not bool(torch.isfinite(loss)):
        raise TaskError(f"the loss became {float(loss.detach())} while retraining; use a smaller learning rate")
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for g in optimiser.param_groups for p in g["params"]], 1.0)
    optimiser.step()
    return float(loss.detach())
