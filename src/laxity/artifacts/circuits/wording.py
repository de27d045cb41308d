"""Names, units and sentences of the page of circuits."""

from __future__ import annotations

from dataclasses import dataclass

from laxity.artifacts.page.numbers import THIN, number, quantity
from laxity.circuits.comparison import Comparison, Row
from laxity.circuits.metrics import SampledMetrics


@dataclass(frozen=True, slots=True)
class Quantity:
    """How a metric or cost is written.

    Attributes:
        key: in rows and controls.
        short: heading of a column.
        long: title of an axis, with unit.
        percent: a fraction, written as percent.
        meaning: what it is, in words.
    """

    key: str
    short: str
    long: str
    percent: bool
    meaning: str


METRICS = (
    Quantity("mred", "MRED", "mean relative error distance (MRED, %)", True, "mean of |e| / |y| where y is not 0"),
    Quantity("max_red", "Max RED", "largest relative error (%)", True, "largest |e| / |y| where y is not 0"),
    Quantity("ep", "EP", "error probability (EP, %)", True, "share of operand pairs with e other than 0"),
    Quantity("med", "MED", "mean error distance (MED, units of the result)", False, "mean of |e|"),
    Quantity("nmed", "NMED", "normalised mean error distance (NMED, %)", True, "MED over the largest exact result"),
    Quantity("wce", "WCE", "worst-case error (WCE, units of the result)", False, "largest |e|"),
    Quantity("mse", "MSE", "mean squared error (MSE, squared units of the result)", False, "mean of e squared"),
    Quantity("bias", "Bias", "magnitude of the bias (units of the result)", False, "mean of e"),
    Quantity("variance", "Variance", "variance of the error (squared units)", False, "MSE less the squared bias"),
    Quantity("relative_bias", "Relative bias", "magnitude of the relative bias (%)", True, "mean of e / y"),
    Quantity(
        "error_at_zero_operand",
        "At zero",
        "largest error where the exact result is 0",
        False,
        "largest |e| where y = 0",
    ),
)
"""Every error metric."""


def costs(clock_mhz: float) -> tuple[Quantity, ...]:
    """Every cost, for power at this clock."""
    return (
        Quantity("energy", "Energy, pJ", "switching energy per operation (pJ)", False, "glitches included"),
        Quantity(
            "pe-energy",
            "PE energy, pJ",
            "energy of a processing element per operation (pJ)",
            False,
            "core, adder, registers and clock",
        ),
        Quantity("area", "Area, µm²", "cell area (µm²)", False, "sum of the cells"),
        Quantity("delay", "Delay, ns", "delay (ns)", False, "longest path"),
        Quantity("power", "Power, mW", f"power at {clock_mhz:g} MHz (mW)", False, "switching and leakage"),
    )


def write(value: float | None, quantity_: Quantity, digits: int = 4) -> str:
    """A value of a metric or cost as people read it."""
    if value is None:
        return "–"
    return f"{number(100 * value, 3)}{THIN}%" if quantity_.percent else number(value, digits)


def title(comparison: Comparison) -> str:
    """The result in a sentence."""
    metric = next(m for m in METRICS if m.key == comparison.metric)
    cost = next(c for c in costs(comparison.clock_mhz) if c.key == comparison.against)
    known = [row for row in comparison.rows if row.figures is not None]
    what = f"{_plain(metric.long)} and {_plain(cost.long)}"
    if len(known) == 1:
        return f"{known[0].candidate.name}: {what}."
    return f"{len(comparison.front)} of {len(known)} circuits are beaten by no other in {what}."


def _plain(text: str) -> str:
    return text.partition(" (")[0].removeprefix("magnitude of the ")


def pairs(comparison: Comparison) -> str:
    """Over which operand pairs errors were taken."""
    first = comparison.rows[0].metrics
    amount = number(float(first.pairs), 9)
    if isinstance(first, SampledMetrics):
        return f"{amount} random operand pairs (seed {first.seed})"
    return f"all {amount} operand pairs that occur"


def facts(row: Row, clock_mhz: float) -> list[tuple[str, str, str]]:
    """Figures of a circuit as (name, value, what it means)."""
    found: list[tuple[str, str, str]] = []
    f = row.figures
    if f is not None:
        glitches = 1 - f.energy_zero_pj / f.energy_pj if f.energy_pj else 0.0
        found = [
            ("Gates", number(float(sum(f.cells.values())), 9), "half and full adders count as one"),
            ("Logic depth", number(float(f.depth), 9), "gates on the longest path"),
            ("Area", quantity(f.area_um2, "um2"), "sum of the cells"),
            ("Delay", quantity(f.delay_ns, "ns"), "longest path, pin loads, no wires"),
            ("Leakage", f"{number(f.leakage_nw)}{THIN}nW", "mean over states"),
            ("Energy", quantity(f.energy_pj, "pJ"), "per operation, inertial delays: with glitches"),
            ("Energy, zero delay", quantity(f.energy_zero_pj, "pJ"), "per operation, settled values only"),
            ("Glitches", f"{number(100 * glitches, 3)}{THIN}%", "of the energy"),
            ("Power", f"{number(f.power_mw)}{THIN}mW", f"at {clock_mhz:g} MHz, with leakage"),
        ]
        if f.pe_energy_pj is not None:
            found.append(("Energy of a PE", quantity(f.pe_energy_pj, "pJ"), "core, adder, registers, clock"))
    return found


def errors(row: Row) -> list[tuple[str, str, str]]:
    """Error metrics of a circuit as (name, value, interval or what it means)."""
    found = []
    for metric in METRICS:
        value = float(getattr(row.metrics, metric.key))
        low, high = row.metrics.interval(metric.key)
        note = metric.meaning
        if isinstance(row.metrics, SampledMetrics):
            if metric.key in row.metrics.LOWER_BOUNDS:
                note = f"{metric.meaning} that was seen: a lower bound"
            elif low != high:
                note = f"{100 * row.metrics.confidence:g}{THIN}%: {write(low, metric)} to {write(high, metric)}"
        found.append((metric.short, write(value, metric), note))
    return found
