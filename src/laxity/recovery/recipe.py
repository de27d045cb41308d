"""From a plan to its repaired network: the stages of a recovery in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from laxity.core.approximation import Approximation
from laxity.core.plan import Plan, Recovery
from laxity.core.slots import Slot
from laxity.emulate.apply import calibration_inputs, predictions, realise, settle
from laxity.emulate.guards import calibrate_guards
from laxity.emulate.reestimate import statistics
from laxity.emulate.weights import restore
from laxity.recovery.train import Curve, Progress, train
from laxity.sites.prepare import Prepared, prepare
from laxity.task.task import Task
from laxity.techniques import CircuitMultiplier, FilterMultipliers

_CIRCUITS = (Slot.MULTIPLIER, Slot.ACCUMULATOR)


@dataclass(frozen=True, slots=True, eq=False)
class Recovered:
    """A repaired network.

    Attributes:
        model: approximated and trained, in eval mode.
        curve: per epoch of the last stage, ``loss`` and, where samples are watched, ``accuracy``.
    """

    model: nn.Module
    curve: Curve


@dataclass(frozen=True, slots=True)
class Options:
    """How a training is carried out; nothing of it but the seed and the label changes weights.

    Attributes:
        seed: root seed.
        progress: called with (step, steps, loss).
        checkpoint: file for the state after every epoch, or None.
        watched: validation samples for the accuracy after each epoch.
    """

    seed: int
    progress: Progress | None = None
    checkpoint: Path | None = None
    watched: int = 0


def quantised_plan(plan: Plan) -> Plan | None:
    """First stage of a plan's recovery: the same choices with exact circuits, trained by the original network.

    Everything but the number of epochs is as in the second stage; treatments of circuits' errors are left out, because
    there are none. Plans that differ in circuits only have the same first stage. Where filters have modes, the first
    stage has mode 0 everywhere, which may be inexact; plans that differ in modes only share it too.

    Returns:
        None where the recovery has one stage.
    """
    recovery = plan.recovery
    if recovery is None or not recovery.staged:
        return None
    first = replace(recovery.plain(), epochs=recovery.quantised_epochs)
    choices = [(site, slot, _first(plan, site, choice)) for site, slot, choice in plan]
    return Plan(tuple((site, slot, choice) for site, slot, choice in choices if choice is not None), first)


def _first(plan: Plan, site: str, choice: Approximation) -> Approximation | None:
    """What the first stage has in the place of a choice; None for exact circuits."""
    if choice.slot not in _CIRCUITS:
        return choice
    if not isinstance(choice, FilterMultipliers):
        return None
    name, bits = choice.names[0], choice.widths[0]
    stored = getattr(plan.at(site).get(Slot.OPERAND), "weight_bits", bits)
    if not any(CircuitMultiplier(name).errors()) and bits in (None, stored):
        return None
    return FilterMultipliers.of([name], (), None if bits is None else [bits])


def recover(task: Task, plan: Plan, *, seed: int, device: str = "cpu", progress: Progress | None = None) -> Recovered:
    """Build the network of a plan and repair it as the plan's recovery says, with all of its stages.

    Two-stage distillation (approxKD): the quantised network with exact circuits is trained first, taught by the
    original one; the approximate network starts from its weights, its statistics are re-estimated to those of the
    quantised network, and it is taught by the original or by the quantised network.

    Args:
        task: network and data.
        plan: what to approximate where, and how to repair it.
        seed: root seed.
        device: where to train.
        progress: called with (step, steps, loss) in each stage.

    Raises:
        LaxityError: the plan does not fit the model, or a treatment does not fit the plan.

    Source: reconstructed from the abstract of C. De la Parra, X. Wu, A. Guntoro, A. Kumar, "Knowledge distillation and
    gradient estimation for active error compensation in approximate neural networks", DATE 2021.
    """
    prepared = prepare(task.model, task.example_input, device, task.exact)
    inputs = calibration_inputs(task, device)
    first = quantised_plan(plan)
    options = Options(seed, progress)
    quantised = None if first is None else repair(prepared, first, task, inputs, options).model
    return repair(prepared, plan, task, inputs, options, quantised=quantised)


def repair(
    prepared: Prepared,
    plan: Plan,
    task: Task,
    inputs: Sequence[Tensor],
    options: Options,
    *,
    quantised: nn.Module | None = None,
    wanted: Tensor | None = None,
) -> Recovered:
    """The last stage of a plan's recovery.

    Args:
        prepared: the original network.
        plan: what to approximate where, and how to repair it.
        task: gives training data and loss.
        inputs: batches of calibration inputs.
        options: how to train.
        quantised: the network of `quantised_plan`, where there is one.
        wanted: `predictions` of the original network on `inputs`; computed if None.

    Raises:
        LaxityError: as `recover`.
    """
    recovery = plan.recovery
    if quantised is None or recovery is None:
        model = realise(prepared, plan, inputs, wanted)
    else:
        model = _initialised(prepared, plan, recovery, inputs, quantised)
        calibrate_guards(model, inputs)
    if recovery is None or recovery.epochs == 0:
        return Recovered(model, [])
    taught = quantised is not None and recovery.teacher == "quantised"
    curve = train(
        model,
        task,
        recovery,
        seed=options.seed,
        teacher=quantised if taught else prepared.model,
        label=plan.key,
        progress=options.progress,
        checkpoint=options.checkpoint,
        watched=options.watched,
    )
    calibrate_guards(model, inputs)
    return Recovered(model, curve)


@torch.no_grad()
def _initialised(
    prepared: Prepared, plan: Plan, recovery: Recovery, inputs: Sequence[Tensor], quantised: nn.Module
) -> nn.Module:
    """The approximate network with the weights of the quantised one, compensated, with its statistics."""
    bare = replace(plan, recovery=None)
    model = restore(prepared, bare, {name: value.clone() for name, value in quantised.state_dict().items()})
    names = set(prepared.norms) or {site.name for site in prepared.sites}
    norms = statistics(quantised, names, inputs) if recovery.reestimate else {}
    return settle(model, recovery, norms, inputs, predictions(quantised, inputs))
