"""Conformance check for targets: what every cost model must satisfy, whoever wrote it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from laxity.core.demand import Demand
from laxity.core.errors import TargetError
from laxity.core.estimate import Estimate
from laxity.core.op import Op, Site
from laxity.core.records import Cost
from laxity.core.serial import canonical, to_json
from laxity.targets.target import Target

_SLACK = 1e-9
"""Relative rounding error that does not count as a decrease."""


def example_demands(multiplier: str) -> list[Demand]:
    """A small network without traces: convolution, depthwise convolution, linear layer, product of activations.

    Args:
        multiplier: catalogue name that every demand uses.
    """
    ops = {
        "conv": Op("conv2d", (3, 8, 8), (8, 3, 3, 3), (8, 8, 8), 1, 64, 27, 8),
        "depthwise": Op("conv2d", (8, 8, 8), (8, 1, 3, 3), (8, 8, 8), 8, 64, 9, 1),
        "linear": Op("linear", (512,), (10, 512), (10,), 1, 1, 512, 10),
        "product": Op("matmul", (10, 10), (), (10, 10), 1, 10, 10, 10),
    }
    return [replace(Demand.of(Site(name, op, (), name)), multiplier=multiplier) for name, op in ops.items()]


def check_target(target: Target, demands: Sequence[Demand] | None = None) -> None:
    """Check that a target behaves as laxity relies on.

    Figures, resources among them, are finite, not negative and in the right units; energies belong to the sites that
    were asked for and add up by site and by component; equal demands give equal cost; cost and description have a JSON
    form; more MACs, more stored weights or wider words never cost less energy or memory.

    Args:
        target: the target to check.
        demands: a network to cost, in running order; a small one with the target's baseline multiplier if not given.

    Raises:
        TargetError: lists every property that does not hold.
    """
    network = list(demands) if demands is not None else example_demands(target.baseline_multiplier)
    cost = target.cost(network)
    problems = [
        *_identity_problems(target),
        *_figure_problems(cost),
        *_sum_problems(cost, {d.site for d in network}),
        *_repeat_problems(target, network, cost),
        *_monotony_problems(target, network, cost),
    ]
    if problems:
        listed = "".join(f"\n- {problem}" for problem in problems)
        raise TargetError(f"target {target.name!r} does not conform:{listed}")


def _identity_problems(target: Target) -> Iterator[str]:
    for attribute in ("name", "description", "key", "baseline_multiplier"):
        if not isinstance(getattr(target, attribute), str) or not getattr(target, attribute):
            yield f"{attribute} must be a non-empty text"
    try:
        json.dumps(target.describe(), allow_nan=False)
    except (TypeError, ValueError) as error:
        yield f"describe() has no JSON form: {error}"


def _figures(cost: Cost) -> Iterator[tuple[str, Estimate, str]]:
    for site, component, estimate in cost.energy_parts_pj:
        yield f"energy of {component} at {site}", estimate, "pJ"
    yield "area", cost.area_um2, "um2"
    yield "latency", cost.latency_cycles, "cycles"
    yield "memory", cost.memory_bits, "bit"
    if cost.time_s is not None:
        yield "time", cost.time_s, "s"
    for name, estimate in cost.resources.items():
        yield f"resource {name!r}", estimate, estimate.unit or "a unit"


def _figure_problems(cost: Cost) -> Iterator[str]:
    for name, e, unit in _figures(cost):
        if not all(math.isfinite(x) for x in (e.low, e.value, e.high)) or not 0 <= e.low <= e.value <= e.high:
            yield f"{name}: 0 <= low <= value <= high must hold with finite numbers, got {e.low}, {e.value}, {e.high}"
        if e.unit != unit:
            yield f"{name}: unit must be {unit!r}, not {e.unit!r}"
        if not e.source.strip():
            yield f"{name}: source is empty"


def _sum_problems(cost: Cost, sites: set[str]) -> Iterator[str]:
    charged = {site for site, _, _ in cost.energy_parts_pj}
    if charged != sites:
        yield f"energy is charged to sites {sorted(charged)}, asked for {sorted(sites)}"
    keys = [(site, component) for site, component, _ in cost.energy_parts_pj]
    if len(set(keys)) < len(keys):
        yield "a component occurs twice at one site; merge the two estimates"
    total = math.fsum(e.value for _, _, e in cost.energy_parts_pj)
    for name, parts in (("site", cost.by_site()), ("component", cost.by_component())):
        if not math.isclose(math.fsum(e.value for e in parts.values()), total, rel_tol=_SLACK, abs_tol=_SLACK):
            yield f"energies by {name} do not add up to {total} pJ"


def _repeat_problems(target: Target, network: Sequence[Demand], cost: Cost) -> Iterator[str]:
    try:
        if canonical(target.cost(list(network))) != canonical(cost):
            yield "the same demands cost something else the second time"
        json.dumps(to_json(cost), allow_nan=False)
    except (TypeError, ValueError) as error:
        yield f"the cost has no JSON form: {error}"


def _monotony_problems(target: Target, network: Sequence[Demand], cost: Cost) -> Iterator[str]:
    for change, lighter in _lighter_networks(network):
        less = target.cost(lighter)
        for name, light, full in (
            ("energy", less.energy_pj.value, cost.energy_pj.value),
            ("memory", less.memory_bits.value, cost.memory_bits.value),
        ):
            if light > full * (1 + _SLACK):
                yield f"{change} raises {name} from {full} to {light}"


def _lighter_networks(network: Sequence[Demand]) -> Iterable[tuple[str, list[Demand]]]:
    """The network with one demand figure lowered everywhere; multipliers and shapes stay."""
    yield "halving the executed MACs", [replace(d, macs=d.macs / 2) for d in network]
    yield "halving the output width", [replace(d, output_bits=max(1, d.output_bits // 2)) for d in network]
    yield (
        "halving the stored weights",
        [
            replace(d, weight_elements=-(-d.weight_elements // 2), weight_nonzeros=-(-d.weight_nonzeros // 2))
            for d in network
        ],
    )
