"""The public way from a model and a plan to an approximated model."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.core.errors import PlanError, TaskError
from laxity.core.plan import Plan, Recovery
from laxity.emulate.build import build, calibrate
from laxity.emulate.compensate import compensate
from laxity.emulate.guards import calibrate_guards
from laxity.emulate.reestimate import reestimate, wanted_statistics
from laxity.sites.fold import Norms
from laxity.sites.prepare import Prepared, prepare
from laxity.task.splits import batches
from laxity.task.task import Task

CALIBRATION_SAMPLES = 256
BATCH_SIZE = 64
_JUDGED_BATCHES = 2


def calibration_inputs(task: Task, device: str | torch.device, samples: int = CALIBRATION_SAMPLES) -> list[Tensor]:
    """The first `samples` calibration inputs in batches, on `device`."""
    return [x.to(device) for x, _ in batches(task.calibration, BATCH_SIZE, limit=samples)]


def approximate(
    subject: Task | nn.Module,
    plan: Plan,
    *,
    calibration: Tensor | None = None,
    device: str | torch.device = "cpu",
    exact: Sequence[str] = (),
) -> nn.Module:
    """Return a copy of the model that computes what the plan's hardware computes.

    Args:
        subject: a task, or a trained model together with `calibration`.
        plan: what to approximate where.
        calibration: (n, ...) inputs from which the ranges of codes are chosen; a task brings its own.
        device: where the copy lives.
        exact: patterns of what cannot be emulated or shall not be, as in `find_sites`; added to those of a task.

    Returns:
        An ordinary module in eval mode; the subject is not changed. Training that the plan's recovery asks for is
        done by `retrain`; errors are compensated and statistics re-estimated here.

    Raises:
        PlanError: the plan does not fit the model, or a bare model comes without calibration inputs.
        TaskError: `subject` is no model, or the device is not there.
    """
    _check_arguments(subject, plan, calibration, device)
    if isinstance(subject, Task):
        prepared = prepare(subject.model, subject.example_input, device, (*subject.exact, *exact))
        return realise(prepared, plan, calibration_inputs(subject, device))
    if calibration is None or not len(calibration):
        raise PlanError("a bare model needs calibration inputs; pass calibration=tensor of shape (n, ...)")
    prepared = prepare(subject, calibration[:1], device, exact)
    return realise(prepared, plan, list(calibration.to(device).split(BATCH_SIZE)))


def _check_arguments(subject: object, plan: object, calibration: object, device: str | torch.device) -> None:
    """Raise where an argument is of another kind than it should be."""
    if not isinstance(subject, Task | nn.Module):
        raise TaskError(f"cannot approximate a {type(subject).__name__}; give a task or a torch.nn.Module")
    if not isinstance(plan, Plan):
        raise PlanError(f"a plan is a laxity.Plan, not a {type(plan).__name__}; read one by Plan.from_json")
    if calibration is not None and not isinstance(calibration, Tensor):
        raise PlanError(f"calibration inputs are a tensor of shape (n, ...), not a {type(calibration).__name__}")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise TaskError(f"device {str(device)!r} cannot be used: {first}; choose 'cpu' or another one") from error


def realise(prepared: Prepared, plan: Plan, inputs: Sequence[Tensor], wanted: Tensor | None = None) -> nn.Module:
    """Build and calibrate, then compensate errors and re-estimate statistics as the plan's recovery says.

    What looks after outputs is calibrated last.

    Args:
        prepared: the exact network.
        plan: what to approximate where.
        inputs: batches of calibration inputs.
        wanted: `predictions` of the exact network on `inputs`; computed if None.
    """
    model = build(prepared, plan)
    calibrate(model, inputs, guards=plan.recovery is None)
    if plan.recovery is None:
        return model
    target = wanted
    if target is None:
        target = predictions(prepared.model, inputs[:_JUDGED_BATCHES])
    norms = wanted_statistics(prepared, inputs) if plan.recovery.reestimate else {}
    found = settle(model, plan.recovery, norms, inputs, target)
    calibrate_guards(found, inputs)
    return found


def settle(model: nn.Module, recovery: Recovery, norms: Norms, inputs: Sequence[Tensor], wanted: Tensor) -> nn.Module:
    """Compensate errors and re-estimate statistics as a recovery says.

    Each is used where it brings outputs nearer: of the model and what treatments make of it, that one is taken whose
    predictions on the first inputs have the smallest Kullback-Leibler divergence from the wanted ones. Layers whose
    statistics are re-estimated are not compensated besides.

    Args:
        model: calibrated; not changed.
        recovery: what to do.
        norms: per site, the mean and deviation that output channels shall have.
        inputs: batches of calibration inputs.
        wanted: predictions that are wanted on `inputs`, or on the first two batches of them.

    Returns:
        The model, or a changed copy.
    """
    found = [model]
    if recovery.compensate:
        found.append(copy.deepcopy(model))
        compensate(found[-1], inputs)
    if recovery.reestimate and norms:
        found.append(copy.deepcopy(model))
        reestimate(found[-1], norms, torch.cat(list(inputs)))
        if recovery.compensate:
            compensate(found[-1], inputs, settled=norms.keys())
    if len(found) == 1:
        return model
    judged = list(inputs[:_JUDGED_BATCHES])
    target = wanted[: sum(len(x) for x in judged)]
    return min(found, key=lambda m: _divergence(target, predictions(m, judged)))


@torch.no_grad()
def predictions(model: nn.Module, inputs: Sequence[Tensor]) -> Tensor:
    """Outputs of a model on batches of inputs, float32 (n, ...)."""
    return torch.cat([model(x) for x in inputs])


def _divergence(wanted: Tensor, got: Tensor) -> float:
    """KL divergence of softmax outputs over the last axis, summed over samples."""
    target = F.log_softmax(wanted, -1)
    return float(F.kl_div(F.log_softmax(got, -1), target, log_target=True, reduction="sum"))
