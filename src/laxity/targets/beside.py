"""What stands beside a weight-stationary array where sites ask for it, with its energy, area and leakage.

- ``correction``: adders and multipliers of a control variate (`laxity.targets.correction`).
- ``protection``: what protected weights pass when they are read (`laxity.targets.weight_readers`), and what looks after
  outputs (`laxity.targets.output_guards`), further copies of the computation included.
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
from laxity.targets.output_guards import OutputGuards, windows
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
        guards: what looks after outputs, or None.
    """

    constants: Description
    fix: Correction | None
    readers: WeightReaders | None
    guards: OutputGuards | None

    @staticmethod
    def of(demands: Sequence[Demand], shape: ArrayShape, constants: Description, check: CheckPeriod) -> Beside:
        """What some sites need together, checked against the clock.

        Raises:
            TargetError: as `Correction.of` and `WeightReaders.of`, or something is too slow.
        """
        library = default_library()
        sum_bits = constants.count("accumulator_memory.sum_bits")
        fix = Correction.of(demands, shape.rows, shape.columns, sum_bits)
        if fix is not None:
            where = next(f"site {d.site!r}" for d in demands if d.correction_bits)
            what = f"{where}: a unit that corrects by sums of {fix.total_bits} bits"
            check(what, fix.delay_ns(library), "correct fewer low bits")
        readers = WeightReaders.of(demands, shape.columns)
        if readers is not None:
            name, delay = readers.slowest(library)
            where = next(f"site {d.site!r}" for d in demands if d.protection is not None)
            check(f"{where}: the reader {name!r} of protected weights", delay, "use a simpler protection")
        guards = OutputGuards.of(demands, shape.rows, shape.columns, sum_bits)
        if guards is not None:
            name, delay = guards.slowest(library)
            where = next(f"site {d.site!r}" for d in demands if d.guard is not None)
            check(f"{where}: {name!r}, which looks after outputs,", delay, "use narrower sums (bits of 'abft')")
        return Beside(constants, fix, readers, guards)

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the energy components."""
        return (*[correction.COMPONENT] * (self.fix is not None), *[PROTECTION] * self._protects)

    @property
    def _protects(self) -> bool:
        return self.readers is not None or self.guards is not None

    @property
    def leakage_nw(self) -> float:
        """Leakage of all cells."""
        parts = (part for part in (self.fix, self.readers, self.guards) if part is not None)
        return math.fsum(part.leakage_nw(default_library()) for part in parts)

    def energies(self, demand: Demand, counts: Counts, copy: Sequence[Estimate]) -> list[Estimate]:
        """Energy of a site by component.

        Args:
            demand: of the site.
            counts: of the same.
            copy: what one more execution of it takes, for sites that are computed several times.
        """
        found = [] if self.fix is None else [self._correction(demand, self.fix)]
        if not self._protects:
            return found
        readers = [] if self.readers is None else [self._protection(demand, counts, self.readers)]
        guards = [] if self.guards is None else [self._guarding(demand, self.guards, copy)]
        return [*found, Estimate.total([*readers, *guards], "pJ")]

    def area(self) -> list[Estimate]:
        """Areas that are added to that of the array."""
        library, parts = default_library(), []
        if self.fix is not None:
            parts += [
                self.constants.estimate("accumulator_memory.area", 1e6, "um2"),
                _cells(self.fix.area_um2(library), self.fix.parts),
            ]
        if self.guards is not None and self.guards.element is not None:
            parts.append(self.constants.estimate("accumulator_memory.area", 1e6, "um2"))
        others = (part for part in (self.readers, self.guards) if part is not None)
        return [*parts, *(_cells(part.area_um2(library), part.parts) for part in others)]

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

    def _guarding(self, demand: Demand, guards: OutputGuards, copy: Sequence[Estimate]) -> Estimate:
        """Comparisons, checksums, and further copies with the sums that wait for them."""
        if demand.guard is None:
            return Estimate.point(0, "pJ", Basis.MODELLED, "outputs are not looked after here")
        further = demand.guard.copies - 1
        words = guards.words(demand)
        waiting = further * windows(demand) * demand.columns
        sums = words * demand.guard.check_bits + waiting * demand.accumulator_bits
        return Estimate.total(
            [
                *self._worked(guards.operations(demand), guards.source(demand)),
                *list(copy) * further,
                self._memory("accumulator_memory", sums),
                self.constants.estimate("accumulator_memory.add", words, "pJ"),
            ],
            "pJ",
        )

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
