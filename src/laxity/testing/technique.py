"""Conformance check for techniques: what every one must satisfy, whoever wrote it."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand
from laxity.core.errors import LaxityError, PlanError, TargetError
from laxity.core.op import Site
from laxity.core.plan import Plan
from laxity.core.seeds import derive
from laxity.core.serial import canonical, to_json
from laxity.core.slots import Slot
from laxity.core.space import Space
from laxity.emulate.apply import realise
from laxity.emulate.weights import restore
from laxity.evaluation.cost import demands
from laxity.evaluation.evaluator import base_plan
from laxity.sites.prepare import Prepared, prepare
from laxity.targets import load_target

_SAMPLES = 24
_TARGET = "mac-array-45nm"
_MAY_BE_NONE = {"index_bits", "fraction_bits", "correction_bits"}
_FAILURES = (RuntimeError, ValueError, TypeError, KeyError, AttributeError, IndexError, ZeroDivisionError, LaxityError)


class ExampleNetwork(nn.Module):
    """A small network with a site of every kind: convolutions, a depthwise one, a product of activations, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8)
        self.pointwise = nn.Conv2d(8, 12, 1)
        self.linear = nn.Linear(12, 6)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 6) of float32 (n, 3, 8, 8)."""
        x = torch.relu(self.depthwise(torch.relu(self.norm(self.conv(x)))))
        tokens = torch.relu(self.pointwise(x)).flatten(2).transpose(1, 2)
        mixed = torch.softmax(torch.matmul(tokens, tokens.transpose(1, 2)), -1)
        logits: Tensor = self.linear(torch.matmul(mixed, tokens).mean(1))
        return logits


def check_technique(technique: type[Approximation] | Approximation) -> None:
    """Check that a technique behaves as laxity relies on.

    The technique is registered under its kind, is a frozen dataclass with a JSON form that gives it back, and has a
    label. On a small network, on top of exact 8-bit integers: the original stays as it was, outputs keep their shape
    and are finite, do not depend on the run or on the other samples of a batch, survive a copy and a restart from saved
    weights, and let gradients through to all weights but those that were removed; demands keep their site and cost
    something finite on a target. A target may refuse an instance that it has no circuit for, with `TargetError`; what a
    class proposes for searches must have a price. Of a class, the mildest and the strongest candidates are applied
    wherever a search would, and the strongest must change something.

    Args:
        technique: the class, with candidates to check; or one instance, applied wherever its slot exists and its own
            ``check`` accepts the site.

    Raises:
        PlanError: lists every property that does not hold.
    """
    kind = technique if isinstance(technique, type) else type(technique)
    problems = list(_class_problems(kind))
    searched = isinstance(technique, type)
    if not problems:
        network = _example()
        plans, found = _plans(technique, kind, network)
        problems += found
        for plan in plans:
            problems += [f"{_named(plan, kind.slot)}: {p}" for p in _plan_problems(plan, network, must_price=searched)]
        if searched and plans and not problems:
            problems += _effect_problems(plans[-1], network)
    if problems:
        listed = "".join(f"\n- {problem}" for problem in dict.fromkeys(problems))
        raise PlanError(f"technique {kind.__name__} does not conform:{listed}")


def _class_problems(kind: type[Approximation]) -> Iterator[str]:
    name, slot = getattr(kind, "kind", None), getattr(kind, "slot", None)
    if not isinstance(name, str) or name not in TECHNIQUES or TECHNIQUES[name] is not kind:
        yield f"kind {name!r} is not registered for this class; decorate it with @TECHNIQUES.register"
    if not isinstance(slot, Slot):
        yield f"slot must be one of laxity.core.slots.Slot, not {slot!r}"
    parameters = getattr(kind, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen or "__dataclass_params__" not in vars(kind):
        yield "it is not a frozen dataclass; decorate it with @dataclass(frozen=True)"


def _choice_problems(choice: Approximation) -> Iterator[str]:
    try:
        again = Approximation.from_json(json.loads(json.dumps(choice.to_json(), allow_nan=False)))
        if again != choice or hash(again) != hash(choice):
            yield f"the JSON form of {choice} gives {again}"
    except (TypeError, ValueError, LaxityError) as error:
        yield f"{choice} has no JSON form that can be read back, or is not hashable: {error}"
    if not isinstance(choice.label(), str) or not choice.label().strip():
        yield f"the label of {choice} is empty"


def _example() -> Prepared:
    """The example network with random weights and settled batch-norm statistics, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(0, "check_technique"))
        model = ExampleNetwork()
    inputs = _inputs()
    with torch.no_grad():
        model.train()(inputs)
    return prepare(model, inputs[:1])


def _inputs() -> Tensor:
    generator = torch.Generator().manual_seed(derive(0, "check_technique", "inputs"))
    return torch.rand(_SAMPLES, 3, 8, 8, generator=generator)


def _plans(
    technique: type[Approximation] | Approximation, kind: type[Approximation], network: Prepared
) -> tuple[list[Plan], list[str]]:
    """Plans to try, and what is wrong with the choices they are made of."""
    base = base_plan(network)
    if isinstance(technique, Approximation):
        sites = [s for s in network.sites if kind.slot in s.slots and _suits(technique, s)]
        offered = [s for s in sites if kind.candidates(s)] or sites
        if not offered:
            return [], [f"no site of the example network has the slot {kind.slot.value!r} and suits {technique}"]
        plan = base
        for site in offered:
            plan = plan.with_(site.name, technique)
        return [plan], list(_choice_problems(technique))
    proposed = [c for s in network.sites if kind.slot in s.slots for c in kind.candidates(s)]
    if not proposed:
        return [], ["candidates() proposes nothing on the example network; check an instance instead"]
    if not all(isinstance(c, kind) for c in proposed):
        return [], ["candidates() proposes choices of another technique"]
    space = Space.of(network.sites, base, [kind.kind])
    ends = [[1] * len(space.variables), [len(v.candidates) - 1 for v in space.variables]]
    choices: Sequence[Approximation] = list(dict.fromkeys(proposed))
    return list(dict.fromkeys(space.plan(g) for g in ends)), [p for c in choices for p in _choice_problems(c)]


def _suits(choice: Approximation, site: Site) -> bool:
    """Whether a choice can be made at a site."""
    try:
        choice.check(site)
    except PlanError:
        return False
    return True


def _named(plan: Plan, slot: Slot) -> str:
    return " and ".join(dict.fromkeys(c.label() for _, at, c in plan if at is slot))


def _plan_problems(plan: Plan, network: Prepared, *, must_price: bool) -> Iterator[str]:
    originals = {"the example input": network.example_input, **network.model.state_dict()}
    before = {name: value.clone() for name, value in originals.items()}
    try:
        model, again = (realise(network, plan, [_inputs()]) for _ in range(2))
        yield from _output_problems(model, again, network)
        yield from _restart_problems(model, plan, network)
        yield from _gradient_problems(copy.deepcopy(model))
        yield from _demand_problems(model, plan, must_price=must_price)
    except _FAILURES as error:
        yield f"fails with {type(error).__name__}: {error}"
    for name, value in originals.items():
        if not torch.equal(value, before[name]):
            yield f"{name} of the original is changed; change context.model and the layers only"


@torch.no_grad()
def _output_problems(model: nn.Module, again: nn.Module, network: Prepared) -> Iterator[str]:
    inputs = _inputs()
    wanted, outputs = network.model(inputs), model(inputs)
    if outputs.shape != wanted.shape or outputs.dtype != wanted.dtype:
        yield f"outputs become {outputs.dtype} {tuple(outputs.shape)}, not {wanted.dtype} {tuple(wanted.shape)}"
        return
    if not bool(torch.isfinite(outputs).all()):
        yield "outputs are not finite"
    if not torch.equal(outputs, again(inputs)) or not torch.equal(outputs, model(inputs)):
        yield "outputs differ from run to run; draw from laxity.core.seeds only"
    single = torch.cat([model(x[None]) for x in inputs[:4]])
    if not torch.allclose(single, outputs[:4], rtol=1e-3, atol=1e-4):
        yield "the output of a sample depends on the other samples of its batch"


@torch.no_grad()
def _restart_problems(model: nn.Module, plan: Plan, network: Prepared) -> Iterator[str]:
    inputs = _inputs()
    wanted = model(inputs)
    if not torch.equal(copy.deepcopy(model)(inputs), wanted):
        yield "a copy of the model computes something else"
    state = {name: value.clone() for name, value in model.state_dict().items()}
    if not torch.equal(restore(network, plan, state)(inputs), wanted):
        yield "saved and restored weights give other outputs; keep what attach() computes in buffers or parameters"


def _gradient_problems(model: nn.Module) -> Iterator[str]:
    weights = {n: p.requires_grad_(True) for n, p in model.named_parameters() if p.dim() > 1}
    loss = model(_inputs()).square().sum()
    if not loss.requires_grad:
        yield "no gradient reaches any weight; retraining needs the straight-through estimator"
        return
    loss.backward()
    for name, weight in weights.items():
        if weight.grad is None:
            yield f"no gradient reaches {name}; retraining needs the straight-through estimator"
        elif not bool(torch.isfinite(weight.grad).all()):
            yield f"the gradient of {name} is not finite"


def _demand_problems(model: nn.Module, plan: Plan, *, must_price: bool) -> Iterator[str]:
    inputs = _inputs()
    found, again = demands(model, plan, inputs, seed=0), demands(model, plan, inputs, seed=0)
    if found != again:
        yield "the same model makes other demands the second time"
    for demand in found:
        yield from _figure_problems(demand)
    if {d.site for d in found} != set(plan.sites()):
        yield f"demands belong to {[d.site for d in found]}, not to the sites of the plan"
        return
    try:
        cost = load_target(_TARGET).cost(found)
    except TargetError as error:
        if must_price:
            yield f"candidates are what a search applies, but {_TARGET} has no price for them: {error}"
        return
    if not math.isfinite(cost.energy_pj.value) or cost.energy_pj.value <= 0:
        yield f"the network costs {cost.energy_pj.value} pJ on {_TARGET}"


def _figure_problems(demand: Demand) -> Iterator[str]:
    for entry in dataclasses.fields(demand):
        value = getattr(demand, entry.name)
        low = 1 if entry.name.endswith("_bits") and entry.name not in _MAY_BE_NONE else 0
        if isinstance(value, (int, float)) and not (math.isfinite(value) and value >= low):
            yield f"demand of {demand.site!r}: {entry.name} is {value}; it must be at least {low}"
    if demand.weight_nonzeros > demand.weight_elements:
        yield f"demand of {demand.site!r}: more non-zero weights than weights"
    canonical(to_json(dataclasses.replace(demand, trace=None)))


@torch.no_grad()
def _effect_problems(strongest: Plan, network: Prepared) -> Iterator[str]:
    """The strongest candidates must be visible, in what is computed or in what it asks of the hardware."""
    inputs, base = _inputs(), base_plan(network)
    exact, model = realise(network, base, [inputs]), realise(network, strongest, [inputs])
    same_outputs = torch.equal(exact(inputs), model(inputs))
    if same_outputs and demands(exact, base, inputs, seed=0) == demands(model, strongest, inputs, seed=0):
        yield "the strongest candidates change neither outputs nor demands"
