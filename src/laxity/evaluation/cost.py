"""From an approximated model to demands, and from demands to cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from laxity.core.demand import Demand, OperandTrace
from laxity.core.errors import PlanError
from laxity.core.plan import Plan
from laxity.core.records import Cost
from laxity.emulate.build import emulated
from laxity.emulate.operands import operand_traces
from laxity.emulate.slots import Slots
from laxity.targets import Target


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """What the layers of a model see, from which demands of plans are made.

    Attributes:
        layers: emulated layers in order of execution.
        traces: sampled operands by site.
    """

    layers: tuple[Slots, ...]
    traces: Mapping[str, OperandTrace]

    def demands(self, plan: Plan) -> list[Demand]:
        """What every site asks of the hardware under a plan, in order of execution.

        Args:
            plan: the one that the model was built from, or one that differs from it in circuits only.

        Raises:
            PlanError: a site computes in floating point, which a target of integers cannot cost.
        """
        found = [_demand(layer, plan, self.traces) for layer in self.layers]
        return [
            replace(demand, output_bits=after.input_bits)
            for demand, after in zip(found, [*found[1:], found[-1]], strict=True)
        ]


def observe(model: nn.Module, inputs: Tensor, *, seed: int, tile_rows: int = 16) -> Observed:
    """Run a calibrated model and sample what its layers see.

    Args:
        model: calibrated model.
        inputs: calibration inputs from which operands are sampled, float32 (n, ...).
        seed: root seed of the sampling.
        tile_rows: rows of the target's array.

    Raises:
        PlanError: no site is emulated.
    """
    layers = list(emulated(model))
    if not layers:
        raise PlanError(
            "the plan is empty: no site is emulated, so there is nothing to cost; give sites OPERAND choices"
        )
    order: dict[nn.Module, int] = {}

    def note(layer: nn.Module, _: object) -> None:
        order.setdefault(layer, len(order))

    handles = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        traces = operand_traces(model, inputs, seed=seed, tile_rows=tile_rows)
    finally:
        for handle in handles:
            handle.remove()
    layers.sort(key=lambda layer: order.get(layer, len(order)))
    return Observed(tuple(layers), traces)


def demands(model: nn.Module, plan: Plan, inputs: Tensor, *, seed: int, tile_rows: int = 16) -> list[Demand]:
    """What every site of an approximated model asks of the hardware, in order of execution.

    Args:
        model: calibrated model.
        plan: the plan that it was built from.
        inputs: calibration inputs from which operands are sampled, float32 (n, ...).
        seed: root seed of the sampling.
        tile_rows: rows of the target's array.

    Raises:
        PlanError: as `observe` and `Observed.demands`.
    """
    return observe(model, inputs, seed=seed, tile_rows=tile_rows).demands(plan)


def _demand(layer: Slots, plan: Plan, traces: Mapping[str, OperandTrace]) -> Demand:
    site = layer.site
    if layer.operand is None:
        raise PlanError(f"site {site.name!r} computes in floating point; give it an OPERAND choice to cost it")
    fraction_bits = -round(math.log2(layer.products()[1]))
    demand = replace(Demand.of(site), trace=traces.get(site.name), fraction_bits=fraction_bits)
    facts = layer.facts()
    for choice in plan.at(site.name).values():
        demand = choice.demand(demand, facts)
    return replace(demand, accumulator_bits=demand.accumulator_bits + fraction_bits)


def cost_of(model: nn.Module, plan: Plan, target: Target, inputs: Tensor, *, seed: int) -> Cost:
    """Cost of one sample on a target.

    Raises:
        PlanError, TargetError: the plan does not fit the target.
    """
    found = demands(model, plan, inputs, seed=seed)
    target.check_arithmetic(found)
    return target.cost(found)
