"""Apply a plan to a prepared model, slot by slot, and calibrate the result."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from laxity.core.approximation import Approximation
from laxity.core.errors import DataError, PlanError
from laxity.core.op import Site
from laxity.core.plan import Plan
from laxity.core.slots import Slot
from laxity.emulate.functional import FunctionalModel, emulated_call
from laxity.emulate.guards import calibrate_guards
from laxity.emulate.layer import EmulatedLayer
from laxity.emulate.observe import Observer
from laxity.emulate.product import EmulatedProduct
from laxity.emulate.slots import Slots
from laxity.sites.composites import left_exact, replace_module
from laxity.sites.find import run_recorded, sites_of
from laxity.sites.layers import is_operation
from laxity.sites.prepare import Prepared
from laxity.sites.trace import Call, argument, call_name
from laxity.techniques.context import BuildContext
from laxity.techniques.data.operands import WeightCoder

_OPTIONS = {
    "conv": ("stride", "padding", "dilation", "groups"),
    "conv_transpose": ("stride", "padding", "output_padding", "groups", "dilation"),
}


def build(prepared: Prepared, plan: Plan) -> nn.Module:
    """Return a new model in which every choice of the plan is in place; it still has to be calibrated.

    Raises:
        PlanError: a choice names an unknown site or slot, or choices cannot work together.
        ToolError: a technique needs a package that is not installed.
    """
    plan.check(prepared.sites)
    context = BuildContext(copy.deepcopy(prepared.model), prepared.example_input, prepared.sites)
    by_slot = _distinct(plan)
    for choice, names in by_slot[Slot.STRUCTURE]:
        choice.restructure(context, [s for s in prepared.sites if s.name in names])
    calls = run_recorded(context.model, context.example_input)
    context.sites = _refresh(sites_of(calls, context.model, prepared.exact), prepared.sites)
    layers = _replace(context, calls, plan.sites())
    if layers:
        _guard(context, prepared.exact)
    for slot in Slot:
        for choice, names in by_slot[slot]:
            choice.attach(context, [layers[n] for n in layers if n in names])  # type: ignore[misc]
    functional = {n: m for n, m in layers.items() if context.site(n).functional}
    if not functional:
        return context.model.eval()
    known = {call_name(c.owner, c.function, c.ordinal) for c in calls}
    return FunctionalModel(context.model, functional, known).eval()


def _distinct(plan: Plan) -> dict[Slot, list[tuple[Approximation, set[str]]]]:
    """Per slot, every distinct choice with the sites that carry it, in a stable order."""
    grouped: dict[Slot, dict[Approximation, set[str]]] = {slot: {} for slot in Slot}
    for site, slot, choice in plan:
        grouped[slot].setdefault(choice, set()).add(site)
    return {slot: list(choices.items()) for slot, choices in grouped.items()}


def _refresh(found: Iterable[Site], original: Iterable[Site]) -> tuple[Site, ...]:
    """Sites with their present shapes and their original groups."""
    before = {s.name: s for s in original}
    return tuple(
        Site(s.name, s.op, s.slots, before[s.name].group, s.functional, before[s.name].removable) for s in found
    )


def _replace(context: BuildContext, calls: list[Call], names: Iterable[str]) -> dict[str, Slots]:
    """Put an emulated operation in the place of every named site."""
    wanted = set(names)
    layers: dict[str, Slots] = {}
    for site in context.sites:
        if site.name not in wanted:
            continue
        if site.functional:
            layers[site.name] = _functional(site, calls)
            continue
        exact = context.model.get_submodule(site.name)
        layer = EmulatedProduct(site) if site.op.kind == "matmul" else EmulatedLayer(site, exact)
        layer.requires_grad_(False)
        if isinstance(layer, EmulatedLayer):
            layer.kept = context.kept.get(site.name)
        if exact is context.model:
            context.model = layer
        else:
            replace_module(context.model, exact, layer)
        layers[site.name] = layer
    return layers


def _guard(context: BuildContext, exact: tuple[str, ...]) -> None:
    """Let layers that are no sites because they did not run refuse to run, rather than be exact unnoticed."""
    known = {site.name for site in context.sites}
    for name, module in context.model.named_modules():
        if is_operation(module) and name not in known and not left_exact(name, exact):
            module.register_forward_pre_hook(_Unreached(name))


class _Unreached:
    """Forward hook of a layer that did not run when the sites were found."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, module: nn.Module, _: object) -> None:
        raise PlanError(
            f"layer {self._name!r} did not run when the sites were found, so it would silently stay exact; give an "
            f"example input that reaches it, or leave it exact with exact=[{self._name!r}]"
        )


def _functional(site: Site, calls: list[Call]) -> Slots:
    if site.op.kind == "matmul":
        return EmulatedProduct(site)
    call = next(c for c in calls if c.kind == site.op.kind and c.name == site.name)
    names = () if site.op.kind == "linear" else _OPTIONS[site.op.kind[:-2]]
    options = {n: argument(call, 3 + i, n) for i, n in enumerate(names)}
    given = {n: v for n, v in options.items() if v is not None}
    layer = emulated_call(site, argument(call, 1, "weight"), argument(call, 2, "bias"), given)
    layer.requires_grad_(False)
    return layer


def emulated(model: nn.Module) -> Iterator[Slots]:
    """All emulated operations of a built model, in order of registration."""
    return (m for m in model.modules() if isinstance(m, Slots))


@torch.no_grad()
def calibrate(model: nn.Module, batches: Iterable[Tensor], *, guards: bool = True) -> None:
    """Set the ranges of all codes from calibration inputs, float32 (n, ...), seen by the network in floating point.

    Args:
        model: as built.
        batches: of calibration inputs.
        guards: calibrate what looks after outputs too, in further passes of the network as it is then.

    Raises:
        DataError: there is no calibration input, or an activation is not finite.
        PlanError: a site was never reached.
    """
    layers = [m for m in emulated(model) if m.operand is not None]
    for layer in layers:
        layer.observers = [Observer(), Observer()]
    given = list(batches)
    try:
        for batch in given:
            if len(batch):
                model(batch)
        if not any(map(len, given)):
            raise DataError("calibration needs at least one input; the calibration split is empty")
        for layer in layers:
            _set_ranges(layer)
            layer.products()
    finally:
        for layer in layers:
            layer.observers = None
    if guards:
        calibrate_guards(model, given)


def _set_ranges(layer: Slots) -> None:
    operand, observers = layer.operand, layer.observers
    if operand is None or observers is None:
        raise PlanError(f"site {layer.site.name!r} has no codes to calibrate")
    if not observers[0].reached:
        raise PlanError(
            f"site {layer.site.name!r} was not reached by any calibration input; "
            "give inputs that reach it, or leave this site exact"
        )
    operand.input.calibrate(observers[0].values(), layer.site.name)
    if isinstance(operand.weight, WeightCoder):
        if isinstance(layer, EmulatedLayer):
            operand.weight.calibrate(layer.used_weight())
    else:
        operand.weight.calibrate(observers[1].values(), layer.site.name)
