"""Rank multipliers by what each would do to a network if it were used everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor, nn

from laxity.circuits import catalogue
from laxity.circuits.wide import Core, core
from laxity.core.errors import PlanError
from laxity.core.plan import Plan
from laxity.core.slots import Slot
from laxity.emulate.apply import BATCH_SIZE, CALIBRATION_SAMPLES, calibration_inputs, predictions, realise
from laxity.kernels import Products
from laxity.recovery.elements import sums_by
from laxity.recovery.modelled import modelled
from laxity.recovery.observation import Observation, SiteObservation
from laxity.recovery.observe import observe
from laxity.recovery.prediction import Harm, first_order, harm
from laxity.recovery.regression import ErrorModel, fit
from laxity.sites.prepare import prepare
from laxity.task.splits import batches
from laxity.task.task import Task
from laxity.techniques.hardware.multiplier import CircuitMultiplier

SAMPLES = 64
RANKING_PATCHES = 256
_OBSERVED = 128

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class RankedMultiplier:
    """One multiplier, used at every site.

    Attributes:
        name: in the catalogue.
        harm: what is predicted of it.
        basis: ``first order`` or ``modelled``, how.
        slope: mean over the sites of the slope of error on sum; -0.04 says that sums come out 4 % too small.
    """

    name: str
    harm: Harm
    basis: str
    slope: float


def approximate_names(width: int = 8) -> list[str]:
    """Unsigned multipliers of the default catalogue that are not exact, by name."""
    return sorted(name for name in catalogue.names(width) if not _is_exact(name))


@lru_cache(maxsize=512)
def _is_exact(name: str) -> bool:
    return catalogue.get(name).metrics().ep == 0


def rank_multipliers(
    subject: Task | nn.Module,
    plan: Plan,
    names: Iterable[str] | None = None,
    *,
    calibration: Tensor | None = None,
    samples: int = SAMPLES,
    patches: int = RANKING_PATCHES,
    refine: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[RankedMultiplier]:
    """Predict the harm of multipliers from the error of their products alone; no network is run through their tables.

    The exact quantised network runs once. For every multiplier the errors of the sums at sampled outputs are regressed
    on the sums, kernel by kernel, and what they do to the logits of some inputs is added up to first order. What does
    little harm is told apart well; of what destroys the network it is only said that it does, and `refine` then runs
    the least harmful ones by their error models, with all that first order leaves out.

    Args:
        subject: a task, of whose validation split the first `samples` inputs are predicted; or a trained model together
            with `calibration`, of which the first `samples` are, and keeping its own decisions counts as accuracy.
        plan: with integer operands where multipliers are to be ranked; its own multipliers and its recovery are left
            out.
        names: multipliers of the catalogue; all of 8 bits that are not exact if None.
        calibration: (n, ...), for a bare model.
        samples: inputs whose predictions are followed.
        patches: outputs to sample per site.
        refine: how many of the least harmful are predicted again by the modelled forward pass.
        seed: root seed.
        progress: called with (multipliers done, multipliers).

    Returns:
        From the least to the most harmful, by divergence; those that were refined first.

    Raises:
        PlanError: a name is of a signed multiplier or does not fit the operands; or the plan cannot be observed.
        RegistryError, CircuitError: a name is unknown.
        TaskError: the model gives no logits.

    Source: reconstructed from the abstract of C. De la Parra, A. Guntoro, A. Kumar, "Efficient accuracy recovery in
    approximate neural networks by systematic error modelling", ASP-DAC 2021; the step from errors to predictions is
    laxity's own.
    """
    wanted = [CircuitMultiplier(name).name for name in (approximate_names() if names is None else names)]
    model, inputs, labels = _exact_network(subject, plan, calibration, samples)
    observed = observe(model, inputs, seed=seed, patches=patches, felt_samples=samples)
    plain = {name: seen.left.double() @ seen.right.double() for name, seen in observed.sites.items()}
    found, models = [], {}
    for done, name in enumerate(wanted, 1):
        models[name] = _models(observed, core(name), plain)
        slope = sum(float(m.slope.mean()) for m in models[name].values()) / len(models[name])
        predicted = first_order(observed, models[name], labels, seed=seed)
        found.append(RankedMultiplier(name, predicted, "first order", slope))
        if progress is not None:
            progress(done, len(wanted))
    found.sort(key=_by_divergence)
    first = [_refined(row, model, inputs[0], observed, models[row.name], labels, seed) for row in found[:refine]]
    return sorted(first, key=_by_divergence) + found[refine:]


def _by_divergence(row: RankedMultiplier) -> tuple[float, str]:
    return row.harm.divergence, row.name


def _exact_network(
    subject: Task | nn.Module, plan: Plan, calibration: Tensor | None, samples: int
) -> tuple[nn.Module, list[Tensor], Tensor | None]:
    """The network under the plan without multipliers, batches whose first is predicted, and the labels of that."""
    bare = replace(plan, choices=tuple(c for c in plan if c[1] is not Slot.MULTIPLIER), recovery=None)
    if isinstance(subject, Task):
        prepared = prepare(subject.model, subject.example_input, "cpu", subject.exact)
        seen = calibration_inputs(subject, "cpu", CALIBRATION_SAMPLES)
        x, labels = next(iter(batches(subject.validation, samples, limit=samples)))
        return realise(prepared, bare, seen), [x, *torch.cat(seen)[:_OBSERVED].split(BATCH_SIZE)], labels
    if calibration is None or not len(calibration):
        raise PlanError("a bare model needs calibration inputs; pass calibration=tensor of shape (n, ...)")
    prepared = prepare(subject, calibration[:1])
    inputs = [calibration[:samples], *calibration[samples : samples + _OBSERVED].split(BATCH_SIZE)]
    return realise(prepared, bare, list(calibration.split(BATCH_SIZE))), [x for x in inputs if len(x)], None


def _models(observed: Observation, multiplier: Core, plain: Mapping[str, Tensor]) -> dict[str, ErrorModel]:
    """Error models per kernel, of straight lines; `plain` are sums of exact products of codes."""
    found = {}
    for name, seen in observed.sites.items():
        errors = sums_by(_kernel(seen, multiplier), seen) - plain[name]
        found[name] = fit(errors, seen, per_kernel=True, clips=False)
    return found


def _kernel(seen: SiteObservation, multiplier: Core) -> tuple[Products, float]:
    return seen.operand.products(multiplier, None, seen.site)


def _refined(
    row: RankedMultiplier,
    model: nn.Module,
    inputs: Tensor,
    observed: Observation,
    models: Mapping[str, ErrorModel],
    labels: Tensor | None,
    seed: int,
) -> RankedMultiplier:
    """Predict again by the modelled forward pass."""
    with modelled(model, models, noise_seed=seed):
        after = predictions(model, inputs.split(BATCH_SIZE))
    return replace(row, harm=harm(observed.logits, after, labels), basis="modelled")
