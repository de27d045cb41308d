"""What stands beside a weight-stationary array where sites ask for it, with its energy, area and leakage.

- ``correction``: adders and multipliers of a control variate (`laxity.targets.correction`).
- ``protection``: what protected weights pass when they are read (`laxity.targets.weight_readers`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from laxity.circuits.cells import default_library
from laxity.core.demand import Demand
from laxity.core.estimate import Basis, Estimate
from laxity.targets import correction
from laxity.targets.correction import Activity, Correction
from laxity.targets.dataflow import ArrayShape, Counts
from laxity.targets.description import Description
from laxity.targets.weight_readers import WeightReaders

PROTECTION = "protection"
"""Name of the energy component."""

CheckPeriod = Callable[[str, float, str], None]
"""Checks what needs so many ns against the clock; the last text is a remedy."""


@dataclass(frozen=True, slots=True)
class Beside:
    """The hardware beside the array.

    Attributes:
        constants: of the target.
        fix: what corrects outputs, or None.
        readers: what protected weights pass, or None.
    """

    constants: Description
    fix: Correction | None
    readers: WeightReaders | None

    @staticmethod
    def of(demands: Sequence[Demand], shape: ArrayShape, constants: Description, check: CheckPeriod) -> Beside:
        """What some sites need together, checked against the clock.

        Raises:
            TargetError: as `Correction.of` and `WeightReaders.of`, or something is too slow.
        """
        library = default_library()
        fix = Correction.of(demands, shape.rows, shape.columns, constants.count("accumulator_memory.sum_bits"))
        if fix is not None:
            where = next(f"site {d.site!r}" for d in demands if d.correction_bits)
            what = f"{where}: a unit that corrects by sums of {fix.total_bits} bits"
            check(what, fix.delay_ns(library), "correct fewer low bits")
        readers = WeightReaders.of(demands, shape.columns)
        if readers is not None:
            name, delay = readers.slowest(library)
            where = next(f"site {d.site!r}" for d in demands if d.protection is not None)
            check(f"{where}: the reader {name!r} of protected weights", delay, "use a simpler protection")
        return Beside(constants, fix, readers)

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the energy components."""
        return (*[correction.COMPONENT] * (self.fix is not None), *[PROTECTION] * (self.readers is not None))

    @property
    def leakage_nw(self) -> float:
        """Leakage of all cells."""
        parts = (part for part in (self.fix, self.readers) if part is not None)
        return math.fsum(part.leakage_nw(default_library()) for part in parts)

    def energies(self, demand: Demand, counts: Counts) -> list[Estimate]:
        """Energy of a site by component."""
        found = [] if self.fix is None else [self._correction(demand, self.fix)]
        return found if self.readers is None else [*found, self._protection(demand, counts, self.readers)]

    def area(self) -> list[Estimate]:
        """Areas that are added to that of the array."""
        library, parts = default_library(), []
        if self.fix is not None:
            parts += [
                self.constants.estimate("accumulator_memory.area", 1e6, "um2"),
                _cells(self.fix.area_um2(library), self.fix.parts),
            ]
        return parts if self.readers is None else [*parts, _cells(self.readers.area_um2(library), self.readers.parts)]

    def _correction(self, demand: Demand, fix: Correction) -> Estimate:
        """The adder column with its memory, and the units below the columns."""
        if not demand.correction_bits:
            return Estimate.point(0, "pJ", Basis.MODELLED, "outputs are not corrected here")
        words = fix.words(demand)
        return Estimate.total(
            [
                *self._worked(fix.operations(demand), fix.source(demand)),
                self._memory("accumulator_memory", words * fix.total_bits),
                self.constants.estimate("accumulator_memory.add", words, "pJ"),
            ],
            "pJ",
        )

    def _protection(self, demand: Demand, counts: Counts, readers: WeightReaders) -> Estimate:
        """Every code word passes its reader once per pass over the weights."""
        if demand.protection is None:
            return Estimate.point(0, "pJ", Basis.MODELLED, "weights are not protected here")
        reads = demand.protected_words * counts.weight_passes
        return Estimate.total(self._worked([(reads, readers.activity(demand))], readers.source(demand)), "pJ")

    def _worked(self, operations: Sequence[tuple[float, Activity]], source: str) -> list[Estimate]:
        """Switching, clock and register toggles of operations that are done so many times."""
        switching = math.fsum(n * each.switching_pj for n, each in operations)
        toggles = math.fsum(n * each.toggles for n, each in operations)
        clock_pj = 1e-3 * default_library().clock_energy_fj() * math.fsum(n * each.clocked for n, each in operations)
        sides = (f"registers.{side}_toggle" for side in ("output", "input"))
        return [
            Estimate.point(switching + clock_pj, "pJ", Basis.MODELLED, source),
            *(self.constants.estimate(side, 1e-3 * toggles, "pJ") for side in sides),
        ]

    def _memory(self, section: str, bits: float) -> Estimate:
        """So many bits written and read again."""
        accesses = bits / self.constants.value(f"{section}.word")
        return Estimate.total(
            [self.constants.estimate(f"{section}.{way}", accesses, "pJ") for way in ("read", "write")], "pJ"
        )


def _cells(area_um2: float, parts: str) -> Estimate:
    words = f"{parts}: cell areas of netlists, no wiring; {default_library().name}"
    return Estimate.point(area_um2, "um2", Basis.SYNTHESISED, words)
