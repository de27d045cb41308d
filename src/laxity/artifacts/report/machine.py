"""Rows of the hardware page, ready to print."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from laxity.artifacts.page.numbers import THIN, number, percent, quantity
from laxity.artifacts.report.accelerator import Accelerator, Silicon
from laxity.artifacts.report.charts.bars import NETWORKS
from laxity.artifacts.report.charts.machine import PARTS, elements, paired_uses, product_columns
from laxity.artifacts.report.load import Constant, ElementFacts, Manifest, RunView, SiteUseFacts
from laxity.artifacts.report.tables import RESOURCES
from laxity.core.estimate import Basis, Estimate

NONE = "–"
TOLERANCE = 1e-6

Row = tuple[str, str, str]
"""Name, value of the exact and of the approximated network."""


@dataclass(frozen=True, slots=True)
class Card:
    """One figure of the whole network: after, and before."""

    name: str
    after: str
    before: str


def cards(view: RunView) -> list[Card]:
    """Cost of the whole network that is not energy; an area of 0 is none."""
    before, after = view.details.totals.int8_exact, view.details.totals.approximated
    found: list[tuple[str, Estimate | None, Estimate | None]] = [
        ("Area", before.area_um2, after.area_um2),
        ("Cycles per sample", before.latency_cycles, after.latency_cycles),
        ("Time per sample", before.time_s, after.time_s),
        ("Model memory", before.memory_bits, after.memory_bits),
    ]
    names = dict.fromkeys([*before.resources, *after.resources])
    found += [(RESOURCES.get(n, n), before.resources.get(n), after.resources.get(n)) for n in names]
    return [Card(name, _written(a), _written(b)) for name, b, a in found if (a and a.value) or (b and b.value)]


def _written(estimate: Estimate | None) -> str:
    if estimate is None:
        return NONE
    if estimate.unit == "s":
        return f"{number(1e6 * estimate.value)}{THIN}µs"
    if estimate.unit in ("um2", "bit"):
        return quantity(estimate.value, estimate.unit)
    return number(estimate.value)


def constant_groups(manifest: Manifest) -> list[tuple[str, list[tuple[str, Constant]]]]:
    """Constants of the target under the section of its file that they stand in."""
    groups: dict[str, list[tuple[str, Constant]]] = {}
    for constant in manifest.target.constants:
        section, _, name = constant.name.rpartition(".")
        groups.setdefault(section, []).append((name, constant))
    return list(groups.items())


def bases(manifest: Manifest) -> list[tuple[str, int]]:
    """How many constants of the target have which basis, strongest first."""
    counted = Counter(constant.basis for constant in manifest.target.constants)
    order = [basis.value for basis in Basis]
    return sorted(counted.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order))


def element_rows(view: RunView) -> list[Row]:
    """Facts of the element before and after."""
    found = dict(elements(view))
    if not found:
        return []
    parts = dict.fromkeys(n for e in found.values() for n, area in e.area_um2.items() if area)
    texts: list[tuple[str, Callable[[ElementFacts], str]]] = [
        ("Circuits", lambda e: ", ".join(e.units)),
        ("Elements", lambda e: number(e.instances, 9)),
        ("Flip-flops of one", lambda e: number(e.flip_flops, 9)),
        ("Area of one", lambda e: quantity(math.fsum(e.area_um2.values()), "um2")),
        *((f"of it {PARTS.get(part, part)}", functools.partial(_share, part)) for part in parts),
        (f"Slowest path{_registers(found)}", lambda e: _ns(_needed_ns(e))),
    ]
    if any(e.period_ns for e in found.values()):
        texts += [("Clock period", lambda e: _ns(e.period_ns)), ("Left for wires", _slack)]
    exact, after = (found.get(label) for _, label in NETWORKS)
    return [(name, _of(exact, text), _of(after, text)) for name, text in texts]


def _of(element: ElementFacts | None, text: Callable[[ElementFacts], str]) -> str:
    return NONE if element is None else text(element)


def _share(part: str, element: ElementFacts) -> str:
    area, total = element.area_um2.get(part, 0.0), math.fsum(element.area_um2.values())
    return f"{quantity(area, 'um2')} ({percent(area / total if total else 0.0, 0)})"


def _ns(value: float | None) -> str:
    return NONE if value is None else f"{number(value, 3)}{THIN}ns"


def _needed_ns(element: ElementFacts) -> float:
    return max(element.delay_ns.values(), default=0.0) + (element.register_ns or 0.0)


def _registers(found: Mapping[str, ElementFacts]) -> str:
    times = sorted({e.register_ns for e in found.values() if e.register_ns})
    return f", with {_ns(times[-1])} of the flip-flops" if times else ""


def _slack(element: ElementFacts) -> str:
    return NONE if element.period_ns is None else _ns(element.period_ns - _needed_ns(element))


@dataclass(frozen=True, slots=True)
class ProductTable:
    """Mean energy of a product: headings of the columns, and a row for each component and for the sum."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def product_table(view: RunView) -> ProductTable:
    """Mean energy of a product by component, for each network and kind of operands."""
    columns = product_columns(view)
    names = dict.fromkeys(name for _, column in columns for name in column)
    rows = [(name, [column.get(name, 0.0) for _, column in columns]) for name in names]
    if len(rows) > 1:
        rows.append(("together", [math.fsum(column.values()) for _, column in columns]))
    written = tuple((name, tuple(quantity(v, "pJ") for v in values)) for name, values in rows)
    return ProductTable(tuple(label[:1].upper() + label[1:] for label, _ in columns), written)


@dataclass(frozen=True, slots=True)
class UseRow:
    """What one site makes the machine do, exact and approximated."""

    site: str
    unit: str
    operands: str
    cycles: tuple[str, str]
    utilisation: tuple[str, str]


def use_rows(view: RunView) -> list[UseRow]:
    """One row per site."""
    rows = []
    for site, pair in paired_uses(view).items():
        known = pair[1] or pair[0]
        told = "" if known is None or not known.uniform_pj else "sampled there" if known.sampled else "uniform"
        rows.append(
            UseRow(
                site=site,
                unit=known.unit if known else "",
                operands=told,
                cycles=(_cycles(pair[0]), _cycles(pair[1])),
                utilisation=(_utilisation(pair[0]), _utilisation(pair[1])),
            )
        )
    return rows


def _cycles(use: SiteUseFacts | None) -> str:
    return NONE if use is None else number(use.cycles, 9)


def _utilisation(use: SiteUseFacts | None) -> str:
    return NONE if use is None else percent(use.utilisation)


def agreements(view: RunView) -> list[tuple[bool, str]]:
    """Whether figures add up: cycles of the sites, steps of the accelerator, parts of its energy."""
    found = []
    for key, label in NETWORKS:
        part = None if view.details.hardware is None else getattr(view.details.hardware, key)
        if part is not None and part.sites:
            summed = sum(use.cycles for use in part.sites)
            total = getattr(view.details.totals, key).latency_cycles.value
            found.append(_agreement(f"{label}: cycles of {len(part.sites)} sites", summed, total, "cycles"))
    return found + ([] if view.accelerator is None else _accelerator_agreements(view.accelerator))


def _accelerator_agreements(accelerator: Accelerator) -> list[tuple[bool, str]]:
    facts, silicon = accelerator.facts, accelerator.silicon
    steps = f"cycles of {len(facts.steps)} steps"
    found = [_agreement(f"accelerator: {steps}", sum(s.cycles for s in facts.steps), facts.cycles, "cycles")]
    if silicon is not None:
        parts = math.fsum(_step_pj(silicon, i) for i in range(len(silicon.steps)))
        found.append(_agreement("accelerator: energy of all steps and causes", parts, silicon.energy_pj, "pJ"))
    return found


def _step_pj(silicon: Silicon, index: int) -> float:
    step = silicon.steps[index]
    return math.fsum((step.logic_glitch_pj, step.clock_pj, step.memory_pj, step.leakage_pj))


def _agreement(what: str, summed: float, total: float, unit: str) -> tuple[bool, str]:
    agrees = math.isclose(summed, total, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    words = "the recorded total is the same" if agrees else f"the recorded total is {number(total, 9)} {unit}"
    return agrees, f"{what} add up to {number(summed, 9)} {unit}; {words}."


def accelerator_facts(accelerator: Accelerator) -> list[tuple[str, str]]:
    """What the accelerator is."""
    facts, size = accelerator.facts, accelerator.facts.configuration
    return [
        ("Array", f"{size.rows} × {size.columns} elements, {size.dataflow}"),
        ("Circuits", ", ".join(facts.multipliers) or NONE),
        ("Cycles per image", number(facts.cycles, 9)),
        ("Utilisation", percent(facts.utilisation)),
    ]


def simulation_text(accelerator: Accelerator) -> str:
    """What the simulation says, in a sentence."""
    found = accelerator.simulation
    if found is None:
        return "It was not simulated; laxity rtl with --simulate does it."
    images = f"{number(found.images, 9)} image{'s' * (found.images != 1)}"
    head = f"Simulated on {images} with {found.tool} in {number(found.time_s, 3)}{THIN}s"
    return (
        f"{head}: {number(found.compared, 12)} integers were compared with the emulator, "
        f"{number(found.mismatches, 12) if found.mismatches else 'none'} differ{'s' * (found.mismatches == 1)}."
    )
