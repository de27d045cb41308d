"""Protections of a network that is built, trained and calibrated already."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn

from laxity.core.plan import Plan
from laxity.core.slots import Slot
from laxity.emulate.build import emulated
from laxity.emulate.guards import calibrate_guards
from laxity.emulate.slots import Slots
from laxity.sites.prepare import Prepared
from laxity.techniques.context import BuildContext

PROTECTING = (Slot.MEMORY, Slot.GUARD)
"""Slots whose choices leave products, codes and sums as they are."""


def protections(plan: Plan) -> Plan:
    """Only the choices of a plan at the slots that protect."""
    return Plan(tuple(c for c in plan if c[1] in PROTECTING))


def protect(model: nn.Module, prepared: Prepared, plan: Plan, inputs: Sequence[Tensor]) -> nn.Module:
    """A copy of an approximated model with the protections of a plan, whatever it had before.

    Args:
        model: built from a plan that has the same choices at all other slots; not changed.
        prepared: the exact network.
        plan: every protected site must be emulated in the model.
        inputs: batches of calibration inputs.

    Raises:
        PlanError: a choice names an unknown site or slot, or cannot be made there.
    """
    own = copy.deepcopy(model)
    layers: dict[str, Slots] = {layer.site.name: layer for layer in emulated(own)}
    for layer in layers.values():
        layer.memory = layer.guard = None
    plan.check(prepared.sites)
    context = BuildContext(own, prepared.example_input, prepared.sites)
    for slot in PROTECTING:
        for choice in dict.fromkeys(c for _, s, c in plan if s is slot):
            places = [name for name, s, c in plan if s is slot and c == choice]
            choice.attach(context, [layers[name] for name in layers if name in places])  # type: ignore[misc]
    calibrate_guards(own, inputs)
    return own
