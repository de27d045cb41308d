"""Train an approximated model, with the treatments that its recovery names, and go on after an interruption."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from laxity.core.errors import PlanError, TaskError
from laxity.core.plan import Recovery
from laxity.core.seeds import derive
from laxity.core.serial import content_key
from laxity.emulate.apply import calibration_inputs
from laxity.recovery.checkpoint import Checkpoint
from laxity.recovery.distillation import Distillation
from laxity.recovery.gradients import with_gradient
from laxity.recovery.modelled import error_models, modelled
from laxity.recovery.regularisation import CodeDistances, ExpectedErrors, Weighted
from laxity.task.splits import batches, subset
from laxity.task.task import Task

Progress = Callable[[int, int, float], None]
Curve = list[dict[str, float]]

OBSERVED_SAMPLES = 64
"""Calibration inputs from which error models, gradients and regularisers are made, anew in every epoch."""

_PATCHES, _PATCHES_OF_MODELS = 128, 256
"""Outputs of a site from which a gradient, or an error model per kernel, is made."""


@dataclass(frozen=True, slots=True)
class Through:
    """What of the errors' models training goes through, where a recovery says `modelled`.

    Attributes:
        noise: what the models leave unexplained, drawn anew for every batch. Without it training finds weights that
            only the models like.
        clips: the ends of the models; straight lines otherwise.
    """

    noise: bool = True
    clips: bool = True


def retrain(
    model: nn.Module,
    task: Task,
    recovery: Recovery,
    *,
    seed: int,
    teacher: nn.Module | None = None,
    label: str = "",
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> list[float]:
    """Train weights and biases of an approximated model in place; ranges of activations stay as calibrated.

    The forward pass is the emulated hardware, or the model of its errors where the recovery says so; the backward pass
    is that of the native operation on the represented operands, or of the named gradient estimator. Adam with a
    cosine schedule; gradients are clipped to norm 1. With a teacher the loss is
    ``(1 - d) task loss + d T^2 KL(teacher || student)`` at temperature T.

    Args:
        model: a calibrated model, on the device it shall train on.
        task: gives the training split, its augmentation and the loss.
        recovery: how long, how fast, and by which treatments.
        seed: root seed of the order of samples and of augmentation.
        teacher: the original network, on the same device; None trains on the labels alone.
        label: names the random streams, for example the plan key.
        progress: called with (step, steps, loss).
        checkpoint: file that holds the state after every epoch; training goes on from it where it exists.

    Returns:
        Mean loss of each epoch.

    Raises:
        PlanError: the recovery begins with a quantised network, which `laxity.recovery.recover` does; or a treatment
            does not fit the plan.
        RegistryError: there is no such gradient.
        RunError: the checkpoint is damaged or of another training.
        TaskError: the loss became NaN or infinite.

    Source: straight-through estimator, Y. Bengio et al., arXiv:1308.3432; distillation, G. Hinton et al.,
    arXiv:1503.02531.
    """
    if recovery.staged:
        raise PlanError(
            "this recovery trains a quantised network with exact circuits first, which needs the plan and not only the "
            "model; call laxity.recovery.recover(task, plan, seed=...)"
        )
    found = train(
        model, task, recovery, seed=seed, teacher=teacher, label=label, progress=progress, checkpoint=checkpoint
    )
    return [epoch["loss"] for epoch in found]


def train(
    model: nn.Module,
    task: Task,
    recovery: Recovery,
    *,
    seed: int,
    teacher: nn.Module | None = None,
    label: str = "",
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    watched: int = 0,
    through: Through = Through(),
) -> Curve:
    """`retrain` with any teacher, as the last stage of a recovery, and with the accuracy after each epoch.

    Arguments are those of `retrain`, and `watched`: samples of the validation split on which accuracy is measured,
    with the true circuits, 0 for none; and `through`, which is for measurements: plans have the usual one.

    Returns:
        ``{"loss": ..., "accuracy": ...}`` of each epoch, accuracies as fractions where samples are watched.

    Raises:
        LaxityError: as `retrain`.
    """
    training = _Training(model, task, recovery, seed, teacher, label, progress, watched, through)
    stored = None
    if checkpoint is not None:
        own = [recovery, seed, label, task.fingerprint, teacher is not None, watched]
        own += [through] if through != Through() else []
        stored = Checkpoint(checkpoint, content_key(own))
    for parameter in training.parameters:
        parameter.requires_grad_(True)
    try:
        return training.run(stored)
    finally:
        for parameter in training.parameters:
            parameter.requires_grad_(False)
            parameter.grad = None


@dataclass(slots=True, eq=False)
class _Training:
    """One training; see `train` for the fields that are given."""

    model: nn.Module
    task: Task
    recovery: Recovery
    seed: int
    teacher: nn.Module | None
    label: str
    progress: Progress | None
    watched: int
    through: Through
    parameters: list[nn.Parameter] = field(init=False)
    count: int = field(init=False)
    _inputs: list[Tensor] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.parameters = [p for p in self.model.parameters() if p.is_floating_point()]
        self.count = min(len(self.task.train), self.recovery.samples or len(self.task.train))

    def run(self, stored: Checkpoint | None) -> Curve:
        """All epochs that are not done yet."""
        rate, epochs = self.recovery.learning_rate, self.recovery.epochs
        optimiser = torch.optim.Adam(self.parameters, lr=rate)
        per_epoch = math.ceil(self.count / self.recovery.batch_size)
        steps = max(1, epochs * per_epoch)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=rate * 0.02)
        curve = [] if stored is None else stored.load(self.model, optimiser, schedule)
        loss_of = Distillation(self.task, self.recovery, self.teacher)
        for epoch in range(len(curve), epochs):
            loss_of.begin(self.model, self.inputs if self.recovery.schedule != "constant" else [])
            place = _Place(epoch, epochs, per_epoch, stored)
            seed = derive(self.seed, "treatments", self.label, epoch)
            terms = self._terms(seed)
            inputs = self.inputs if _observes(self.recovery) else []
            with _way(self.model, self.recovery, inputs, seed, self.through):
                loss = self._epoch(place, loss_of, terms, optimiser, schedule)
            curve.append({"loss": loss, **self._accuracy()})
            if stored is not None:
                stored.save(self.model, optimiser, schedule, curve)
        return curve

    @property
    def inputs(self) -> list[Tensor]:
        """Calibration inputs on the device of the model."""
        if not self._inputs:
            device = next(self.model.parameters()).device
            self._inputs = calibration_inputs(self.task, device, OBSERVED_SAMPLES)
        return self._inputs

    def _terms(self, seed: int) -> list[Weighted]:
        """Regularisers of one epoch."""
        found = []
        if self.recovery.regularise > 0:
            found.append(Weighted(ExpectedErrors(self.model, self.inputs, seed=seed), self.recovery.regularise))
        if self.recovery.alpha > 0:
            found.append(Weighted(CodeDistances(self.model), self.recovery.alpha))
        return found

    def _epoch(
        self,
        place: _Place,
        loss_of: Distillation,
        terms: Sequence[Weighted],
        optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
    ) -> float:
        """One pass over the samples of an epoch; returns the mean loss without regularisers."""
        total, number = 0.0, place.epoch * place.per_epoch
        stream = derive(self.seed, "retrain", self.label, place.epoch)
        device = next(self.model.parameters()).device
        for inputs, targets in _samples(self.task, self.recovery.batch_size, self.count, stream):
            x, y = inputs.to(device), targets.to(device)
            optimiser.zero_grad(set_to_none=True)
            loss = loss_of(x, self.model(x), y)
            place.check(float(loss.detach()))
            whole = loss
            for term in terms:
                whole = whole + term(loss)
            whole.backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(y)
            number += 1
            if self.progress is not None:
                self.progress(number, place.epochs * place.per_epoch, total / self.count)
        return total / self.count

    @torch.no_grad()
    def _accuracy(self) -> dict[str, float]:
        """On the watched samples."""
        if not self.watched:
            return {}
        device = next(self.model.parameters()).device
        right, total = 0, 0
        for x, y in batches(self.task.validation, self.recovery.batch_size, limit=self.watched):
            right += int((self.model(x.to(device)).argmax(1).cpu() == y).sum())
            total += len(y)
        return {"accuracy": right / total}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a training is, to say so where it fails."""

    epoch: int
    epochs: int
    per_epoch: int
    stored: Checkpoint | None

    def check(self, loss: float) -> None:
        """Raise where a loss is not finite.

        Raises:
            TaskError: it is not; names the epoch, remedies, and what is kept.
        """
        if math.isfinite(loss):
            return
        kept = ""
        if self.stored is not None and self.epoch > 0:
            kept = f"; the state after epoch {self.epoch} is kept in {self.stored.path}"
        raise TaskError(
            f"the loss became {loss} while retraining, in epoch {self.epoch + 1} of {self.epochs}; use a smaller "
            f"learning rate, or a milder multiplier{kept}"
        )


def _observes(recovery: Recovery) -> bool:
    return recovery.modelled or recovery.gradient != "straight_through"


@contextmanager
def _way(model: nn.Module, recovery: Recovery, inputs: Sequence[Tensor], seed: int, through: Through) -> Iterator[None]:
    """How values and gradients are computed during one epoch; estimates are made from the present weights."""
    if recovery.modelled:
        models = error_models(model, inputs, seed=seed, patches=_PATCHES_OF_MODELS, per_kernel=True)
        with modelled(model, models, noise_seed=seed if through.noise else None, clips=through.clips):
            yield
    elif recovery.gradient != "straight_through":
        with with_gradient(model, recovery.gradient, inputs, seed=seed, patches=_PATCHES):
            yield
    else:
        yield


def _samples(task: Task, batch_size: int, count: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of `count` training samples in random order, augmented."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(task.train), generator=generator)[:count].tolist()
    for x, y in batches(subset(task.train, chosen), batch_size):
        yield (x if task.augment is None else task.augment(x, generator)), y
