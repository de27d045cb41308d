"""The cases, what is measured in each, and what it is to reach."""

from __future__ import annotations

from dataclasses import dataclass

from laxity import CircuitMultiplier
from laxity.core.approximation import Approximation
from speed.subjects import DEPTHWISE, LAYERS, MANY_OUTPUTS, NETWORKS, Network, Shape
from speed.tables import ArbitraryTable

RANK_ONE = "drum8_4"


class UnavailableError(Exception):
    """A case cannot be measured here; the message says why."""


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the summary.

    Attributes:
        title: for people.
        subjects: layers or networks, the smallest first.
        bits: of the activations.
        goal, stretch: largest ratio to float32 wanted; for the gather loop the least speed-up, without a stretch.
        method: ``forward|training|gather|network``.
        isa: instruction set of laxity, or "" for the one that it chooses.
        multiplier: instead of an arbitrary table.
        half_zero: half of the activations are 0; else none.
    """

    title: str
    subjects: tuple[Shape | Network, ...]
    bits: int
    goal: float
    stretch: float | None
    method: str = "forward"
    isa: str = ""
    multiplier: Approximation | None = None
    half_zero: bool = False

    @property
    def better(self) -> str:
        """Which way the figure is to go."""
        return "at least" if self.method == "gather" else "at most"


CASES = {
    "7bit": Case("arbitrary table, 7-bit magnitudes", LAYERS, 7, 1.4, 1.15),
    "8bit": Case("arbitrary table, full 8-bit activations", LAYERS, 8, 2.0, 1.7),
    "rank1": Case("rank-1 multiplier", LAYERS, 8, 0.6, 0.4, multiplier=CircuitMultiplier(RANK_ONE)),
    "depthwise7": Case("depthwise 3x3, 7-bit", DEPTHWISE, 7, 1.0, 0.8),
    "depthwise8": Case("depthwise 3x3, 8-bit", DEPTHWISE, 8, 1.0, 0.8),
    "zeros": Case("3x3, N >= 256, half of the activations zero, 8-bit", MANY_OUTPUTS, 8, 1.1, 0.8, half_zero=True),
    "zeros-odd": Case(
        "the same with a table whose products with 0 are not 0",
        MANY_OUTPUTS,
        8,
        1.1,
        0.8,
        multiplier=ArbitraryTable(8, clears=False),
        half_zero=True,
    ),
    "training7": Case("training step, 7-bit", LAYERS, 7, 1.3, 1.15, "training"),
    "training8": Case("training step, 8-bit", LAYERS, 8, 1.3, 1.15, "training"),
    "avx2-7": Case("AVX2 only, 7-bit", LAYERS, 7, 8.0, 6.0, isa="avx2"),
    "avx2-8": Case("AVX2 only, 8-bit", LAYERS, 8, 15.0, 10.0, isa="avx2"),
    "gather7": Case("speed-up over the gather loop, 7-bit", LAYERS, 7, 12.0, None, "gather"),
    "gather8": Case("speed-up over the gather loop, 8-bit", LAYERS, 8, 12.0, None, "gather"),
    "networks7": Case("whole networks, 7-bit", NETWORKS, 7, 1.5, None, "network"),
    "networks8": Case("whole networks, 8-bit", NETWORKS, 8, 1.8, None, "network"),
}
"""By the name that ``--cases`` takes."""


@dataclass(frozen=True, slots=True)
class Row:
    """One subject on a number of threads.

    Attributes:
        case, layer: titles.
        threads: of torch and of laxity.
        isa: instruction set of laxity.
        native_ms, laxity_ms: shortest time in the fastest memory layout of each.
        ratio: of these times.
        giga_products_per_s: emulated products per second of `laxity_ms`.
        exact: outputs agree bit for bit with the definition.
        native_layout, laxity_layout: the fastest.
        rounds: how often each was timed.
        others: cores kept busy by other programs in the quieter of two measurements; None where that is not known. With
            as many threads as cores anything but about 0 makes times useless.
        kernel: what laxity chose; "" for networks.
        gather_ms, speedup: of the gather loop, and `gather_ms` by `laxity_ms`; None in other cases.
    """

    case: str
    layer: str
    threads: int
    isa: str
    native_ms: float
    laxity_ms: float
    ratio: float
    giga_products_per_s: float
    exact: bool
    native_layout: str
    laxity_layout: str
    rounds: int
    others: float | None
    kernel: str = ""
    gather_ms: float | None = None
    speedup: float | None = None
