"""Cost model of a weight-stationary systolic array with on-chip buffers and DRAM.

Energy per site, by component:

- ``multiplier``, ``accumulator``: switching of the element's netlist (core; adder and sign logic) on the operands
  sampled at the site, inertial glitches included, times the MACs that are executed. Elements without work are isolated.
- ``registers``: flip-flop toggles of activations and partial sums on their way through the array, and the gate inputs
  that registers drive.
- ``clock``: flip-flops that are clocked. Clocks are assumed to be gated twice. Idle elements: a register is clocked
  only when a word passes it (`laxity.targets.dataflow`), so rows and columns that a tile leaves empty cost nothing, and
  elements that wait while the array fills and drains cost nothing either. Unused bits: of each register, only the bits
  of the site's own word width are clocked.
- ``weight_buffer``, ``activation_buffer``, ``accumulator_memory``, ``dram``: bits moved times energy per bit;
  ``accumulator_memory`` includes the addition below the columns.
- ``correction``, ``protection``: only where a site asks for them (`laxity.targets.beside`).
- ``leakage``: cells of the array over the run time.

The core of an element is measured as its generator made it, or, with ``pe_source = "yosys"`` in the description, after
mapping to the same cells by Yosys. Cycles and words are those of a textbook array that works on one tile after the
other (`laxity.targets.dataflow`), or, with ``schedule = "accelerator"``, those of the array that ``laxity rtl`` writes
(`laxity.targets.generated`).

All elements are alike: adder and sum register are as wide as the widest core needs, and codes narrower than a core use
its upper bits. The switching of every site is simulated at that width.

Sites may add products by another adder than the exact one, of its own width. The column then brings products to two's
complement, drops the low bits that narrow codes leave at 0, and passes them through that adder, row after row; a chain
is one column of a tile, or, where chains run over the whole reduction, starts each tile from the sum of the one before.
Operands of its switching are sampled with exact partial sums.

Not modelled: wires, the clock-gating cells, leakage of the memories, the controller, requantisation, pooling and
activation functions, residual additions, toggles of weight registers while weights are loaded (trained 8-bit weights
change 3.6 to 3.8 bits per shift, which is about 27 % of the energy of clocking them). Weights are loaded between tiles,
not behind them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

from laxity.circuits import adder_catalogue
from laxity.circuits.cells import CellLibrary, default_library
from laxity.circuits.synthesis import Flow
from laxity.core.demand import Accumulation, Demand
from laxity.core.errors import CircuitError, RegistryError, TargetError
from laxity.core.estimate import Basis, Estimate
from laxity.core.records import Cost
from laxity.core.serial import to_json
from laxity.targets.assemble import assemble
from laxity.targets.beside import Beside
from laxity.targets.breakdown import Breakdown, Element, SiteUse
from laxity.targets.checks import check_network, exact_sum_bits
from laxity.targets.dataflow import ArrayShape, BufferSizes, Counts, Traffic, count, traffic
from laxity.targets.description import Description, Options, Schema
from laxity.targets.generated import count_generated
from laxity.targets.mac_array_constants import SCHEMA
from laxity.targets.modes import mode_units, site_energy, unit_words
from laxity.targets.pe_design import PeDesign, Unit, is_composed, pe_design, unit_element
from laxity.targets.target import COST_MODELS, Target

COMPONENTS = (
    "multiplier",
    "accumulator",
    "registers",
    "clock",
    "weight_buffer",
    "activation_buffer",
    "accumulator_memory",
    "dram",
    "leakage",
)
"""Energy components, in the order in which they are listed per site."""


@COST_MODELS.register("mac-array")
class MacArray(Target):
    """Weight-stationary systolic array; see the module for what is counted.

    Raises:
        TargetError: the constants contradict each other, or the exact multiplier does not fit the array.
        RegistryError: the baseline multiplier is unknown.
    """

    prices_modes: ClassVar[bool] = True
    prices_correction: ClassVar[bool] = True
    prices_protection: ClassVar[bool] = True
    prices_guard: ClassVar[bool] = True
    schema: ClassVar[Schema] = SCHEMA
    options: ClassVar[Options] = {"pe_source": ("netlist", "yosys"), "schedule": ("tiles", "accelerator")}

    def __init__(self, description: Description) -> None:
        super().__init__(description)
        c = description
        self._flow = cast(Flow, self.option("pe_source"))
        self._count = count_generated if self.option("schedule") == "accelerator" else count
        self.shape = ArrayShape(c.count("array.rows"), c.count("array.columns"), c.count("accumulator_memory.words"))
        self.sizes = BufferSizes(8 * c.count("weight_buffer.capacity"), 8 * c.count("activation_buffer.capacity"))
        if c.value("dram.access_high") < c.value("dram.access"):
            raise TargetError(f"target {c.name!r}: dram.access_high is below dram.access; give the upper end")
        sides = sorted((self.shape.rows, self.shape.columns))
        if self._count is count_generated and sides[1] % sides[0]:
            raise TargetError(
                f"target {c.name!r}: laxity writes no array of {self.shape.rows} x {self.shape.columns} elements; one "
                'side must divide the other, or leave out schedule = "accelerator"'
            )
        self._check_core("the baseline", Unit(c.baseline_multiplier), c.count("array.accumulator_bits"))

    def describe(self) -> dict[str, Any]:
        """Every constant with value, unit, basis and source, and the cell table of the processing elements."""
        return super().describe() | {"cell_library": _library_json(default_library())}

    def cost(self, demands: Sequence[Demand]) -> Cost:
        """Cost of one sample; see `Target.cost` and the module for what is counted.

        Raises:
            TargetError: no demands, a site twice, operands or sums too wide, or a multiplier that misses the clock.
            RegistryError, CircuitError: the catalogue has no such multiplier.
        """
        design, work = self._design(demands), self._work(demands)
        beside = Beside.of(demands, self.shape, self.constants, self._check_period)
        leakage_nw = self.shape.rows * self.shape.columns * design.leakage_nw + beside.leakage_nw
        energies = [
            self._site(self._array_energies(d, n, design), self._memory_energies(d, n, t), d, n, beside, leakage_nw)
            for d, n, t in work
        ]
        cycles = sum(n.cycles for _, n, _ in work)
        latency = Estimate.point(cycles, "cycles", Basis.MODELLED, self._latency_source())
        area, names = Estimate.total([self._area(design), *beside.area()], "um2"), (*COMPONENTS, *beside.components)
        return assemble(demands, names, energies, area_um2=area, latency_cycles=latency)

    def _site(
        self,
        array: list[Estimate],
        memories: list[Estimate],
        demand: Demand,
        n: Counts,
        beside: Beside,
        leakage_nw: float,
    ) -> list[Estimate]:
        """Energy of a site by component; a further copy repeats everything but DRAM traffic."""
        own_weights = demand.guard is not None and demand.guard.copied_weights
        copy = [*array, *memories[own_weights:3]]  # copied weights are counted as stored and read already
        return [*array, *memories, self._leakage(n.cycles, leakage_nw), *beside.energies(demand, n, copy)]

    def breakdown(self, demands: Sequence[Demand]) -> Breakdown:
        """The element, and what each site makes the array do.

        Raises:
            TargetError, RegistryError, CircuitError: as `cost`.
        """
        design = self._design(demands)
        period_ns = 1e3 / self.constants.value("array.clock")
        elements = self.shape.rows * self.shape.columns
        element = Element.of(design, elements, self.constants.value("registers.timing"), period_ns)
        return Breakdown(element, tuple(self._use(d, n, t, design) for d, n, t in self._work(demands)))

    def _work(self, demands: Sequence[Demand]) -> list[tuple[Demand, Counts, Traffic]]:
        """Every site with what it counts and moves."""
        counts = [self._executed(d) for d in demands]
        return list(zip(demands, counts, traffic(demands, counts, self.sizes), strict=True))

    def _executed(self, demand: Demand) -> Counts:
        """What a site counts; copies of its computation follow each other and take so many cycles more."""
        found = self._count(demand, self.shape)
        return found if demand.guard is None else replace(found, cycles=found.cycles * demand.guard.copies)

    def _use(self, demand: Demand, n: Counts, t: Traffic, design: PeDesign) -> SiteUse:
        def per_product(of: Demand) -> dict[str, float]:
            found = zip(COMPONENTS, self._array_energies(of, n, design), strict=False)
            return {name: e.value / demand.macs for name, e in found} if demand.macs else {}

        return SiteUse(
            site=demand.site,
            unit=unit_words(mode_units(demand)),
            macs=demand.macs,
            cycles=n.cycles,
            utilisation=n.utilisation,
            moved_bits={
                "weight_buffer": t.weight_read_bits + t.weight_write_bits,
                "activation_buffer": t.activation_read_bits + t.activation_write_bits,
                "accumulator_memory": 2 * n.accumulator_words * demand.accumulator_bits,
                "dram": t.dram_bits,
            },
            product_pj=per_product(demand),
            uniform_pj=per_product(replace(demand, trace=None)),
            sampled=demand.trace is not None,
        )

    def sum_bits(self, demand: Demand) -> int:
        """Width of the partial sums that a site passes through the array, in bits.

        Enough for every sum over the rows of one tile: ``input_bits + weight_bits + ceil(log2(min(K, rows)))`` bits for
        magnitudes of these widths and one for the sign. Every signed operand leaves one bit free, for cores that
        overestimate. Never wider than the array's limit or than the demand asks for.
        """
        terms = min(demand.reduction, self.shape.rows)
        operand_bits = demand.input_bits + demand.widest_weight_bits + demand.fraction_bits
        needed = exact_sum_bits(demand, operand_bits, terms)
        if demand.accumulation is not None:
            return needed
        return min(self.constants.count("array.accumulator_bits"), demand.accumulator_bits, needed)

    def _element_bits(self, demand: Demand) -> int:
        """Width of the adder and the sum register that a site needs: narrow codes sit in the upper bits of the core."""
        widest = max(sum(unit.widths) for unit in mode_units(demand))
        needed = exact_sum_bits(demand, widest, min(demand.reduction, self.shape.rows))
        if demand.accumulation is not None:
            return needed
        return min(self.constants.count("array.accumulator_bits"), needed)

    def _design(self, demands: Sequence[Demand]) -> PeDesign:
        """Check the demands and design the element that they share."""
        check_network(self.name, demands)
        self.check_arithmetic(demands)
        limit = self.constants.count("array.accumulator_bits")
        for demand in demands:
            self._check_demand(demand, limit)
        bits = max(self._element_bits(d) for d in demands)
        units = sorted({unit for d in demands for unit in mode_units(d)}, key=lambda unit: unit.name)
        return pe_design(tuple(units), bits, self._flow)

    def _check_demand(self, demand: Demand, accumulator_bits: int) -> None:
        where = f"site {demand.site!r}"
        for unit in mode_units(demand):
            self._check_core(where, replace(unit, accumulation=None, dropped=0), accumulator_bits)
        if demand.accumulation is not None:
            self._check_accumulation(where, demand, demand.accumulation)
        sum_bits = self.constants.count("accumulator_memory.sum_bits")
        if demand.accumulator_bits > sum_bits:
            raise TargetError(
                f"{where}: sums of {demand.accumulator_bits} bits do not fit accumulator_memory.sum_bits = {sum_bits}; "
                "use narrower sums or another target"
            )

    def _check_accumulation(self, where: str, demand: Demand, how: Accumulation) -> None:
        """Check that the adder fits the columns and the clock."""
        rows, limit = self.shape.rows, self.constants.count("array.accumulator_bits")
        if how.chain and how.chain != rows and min(how.chain, rows) < demand.reduction:
            raise TargetError(
                f"{where}: chains of {how.chain} products do not fit columns of {rows} rows; set chain to {rows}, or "
                "to 0 for one chain over the whole reduction"
            )
        bits = adder_catalogue.get(how.adder).bits
        if bits > limit:
            raise TargetError(f"{where}: adder {how.adder!r} has {bits} bits, array.accumulator_bits is {limit}")
        for unit in mode_units(demand):
            self._check_clock(where, unit, limit)

    def has_circuit(self, demand: Demand) -> bool:
        """Integer products, also those composed of narrower ones."""
        return super().has_circuit(demand) or is_composed(demand)

    @property
    def arithmetic_words(self) -> str:
        """What `has_circuit` accepts, for messages."""
        return f"{super().arithmetic_words}, integer products composed of narrower ones"

    def _check_core(self, where: str, unit: Unit, accumulator_bits: int) -> None:
        """Check that the core fits the buses and the clock."""
        try:
            pe = unit_element(unit, accumulator_bits, self._flow)
        except RegistryError as error:
            raise RegistryError(f"{where}: {error}") from error
        except (CircuitError, TargetError) as error:
            raise TargetError(f"{where}: {error}") from error
        widest, bus = max(pe.core.port(name).width for name in ("a", "b")), self.constants.count("array.operand_bits")
        if widest > bus:
            raise TargetError(f"{where}: {unit.core_name!r} has {widest}-bit operands, array.operand_bits is {bus}")
        self._check_clock(where, unit, accumulator_bits)

    def _check_clock(self, where: str, unit: Unit, accumulator_bits: int) -> None:
        delay_ns = pe_design((unit,), accumulator_bits, self._flow).delay_ns
        self._check_period(f"{where}: an element with {unit.name!r}", delay_ns, "choose a faster multiplier")

    def _check_period(self, what: str, delay_ns: float, remedy: str) -> None:
        period_ns = 1e3 / self.constants.value("array.clock")
        needed_ns = delay_ns + self.constants.value("registers.timing")
        if needed_ns > period_ns:
            raise TargetError(
                f"{what} needs {needed_ns:.2f} ns, the clock allows {period_ns:.2f}; {remedy} or set array.clock to "
                f"{math.floor(1e3 / needed_ns)} MHz or less"
            )

    def _array_energies(self, demand: Demand, n: Counts, design: PeDesign) -> list[Estimate]:
        """Multiplier, accumulator, registers, clock."""
        found = site_energy(demand, design.elements, self.shape.rows)
        mac, basis = found.mean, Basis.SYNTHESISED if found.sampled else Basis.MODELLED
        source = (
            f"switching of the {found.unit} element's {self._netlist} on {mac.transitions} operand transitions "
            f"{found.operands}, inertial delays, 45 nm cell table ({default_library().name})"
        )
        bits_moved = mac.activation_toggles * n.activation_moves + mac.sum_toggles * n.sum_moves
        registers = [
            Estimate.point(mac.register_load_pj * demand.macs, "pJ", basis, source),
            *self._toggles(bits_moved),
        ]
        return [
            Estimate.point(mac.multiplier_pj * demand.macs, "pJ", basis, source),
            Estimate.point(mac.accumulator_pj * demand.macs, "pJ", basis, source),
            Estimate.total(registers, "pJ"),
            self._clock(demand, n, design),
        ]

    def _clock(self, demand: Demand, n: Counts, design: PeDesign) -> Estimate:
        """Clocked register bits of activations, weights and sums."""
        sum_bits = self.sum_bits(demand)
        clocked_bits = (
            n.activation_moves * demand.input_bits + n.weight_moves * demand.mean_weight_bits + n.sum_moves * sum_bits
        )
        bit_pj = design.clock_energy_pj / design.flip_flops
        source = (
            f"{demand.input_bits} + {demand.mean_weight_bits:g} + {sum_bits} register bits clocked when words pass, "
            f"idle elements and unused bits gated; {default_library().name}"
        )
        return Estimate.point(bit_pj * clocked_bits, "pJ", Basis.SYNTHESISED, source)

    def _memory_energies(self, demand: Demand, n: Counts, t: Traffic) -> list[Estimate]:
        """Weight buffer, activation buffer, accumulator memory, DRAM."""
        sums = n.accumulator_words * demand.accumulator_bits
        add = self.constants.estimate("accumulator_memory.add", n.accumulator_words, "pJ")
        dram = self.constants.estimate("dram.access", t.dram_bits / self.constants.value("dram.word"), "pJ")
        high = self.constants.value("dram.access_high") / self.constants.value("dram.word") * t.dram_bits
        return [
            self._memory("weight_buffer", t.weight_read_bits, t.weight_write_bits),
            self._memory("activation_buffer", t.activation_read_bits, t.activation_write_bits),
            Estimate.total([self._memory("accumulator_memory", sums, sums), add], "pJ"),
            Estimate(dram.value, dram.low, max(high, dram.value), dram.unit, dram.basis, dram.source),
        ]

    def _memory(self, section: str, read_bits: float, write_bits: float) -> Estimate:
        word = self.constants.value(f"{section}.word")
        reads = self.constants.estimate(f"{section}.read", read_bits / word, "pJ")
        writes = self.constants.estimate(f"{section}.write", write_bits / word, "pJ")
        return Estimate.total([reads, writes], "pJ")

    def _leakage(self, cycles: int, power_nw: float) -> Estimate:
        time_us = cycles / self.constants.value("array.clock")
        source = f"cell leakage of the array over the run time; {default_library().name}"
        return Estimate.point(1e-3 * power_nw * time_us, "pJ", Basis.SYNTHESISED, source)

    def _toggles(self, bits: float) -> list[Estimate]:
        """Register bits that change, at their outputs and at their inputs."""
        return [self.constants.estimate(f"registers.{side}_toggle", 1e-3 * bits, "pJ") for side in ("output", "input")]

    def _area(self, design: PeDesign) -> Estimate:
        elements = self.shape.rows * self.shape.columns
        names, mapped = ", ".join(design.elements), self._netlist
        source = f"{elements} elements ({names}): cell areas of the {mapped}s, no wiring; {default_library().name}"
        parts = [
            Estimate.point(elements * design.area_um2, "um2", Basis.SYNTHESISED, source),
            self.constants.estimate("weight_buffer.area", 1e6, "um2"),
            self.constants.estimate("activation_buffer.area", 1e6, "um2"),
            self.constants.estimate("accumulator_memory.area", 1e6 * self.shape.columns, "um2"),
        ]
        return Estimate.total(parts, "um2")

    @property
    def _netlist(self) -> str:
        """What the figures of the elements were taken from, in words."""
        return "netlist" if self._flow == "netlist" else "Yosys-mapped netlist"

    def _latency_source(self) -> str:
        rows, columns = self.shape.rows, self.shape.columns
        whose = "array that laxity writes, its vector unit aside" if self._count is count_generated else "dataflow"
        return f"closed form of the {rows} x {columns} weight-stationary {whose}, no memory stalls"


def _library_json(library: CellLibrary) -> dict[str, Any]:
    return {
        "name": library.name,
        "source": library.source,
        "process_nm": library.process_nm,
        "voltage_v": library.voltage_v,
        "temperature_c": library.temperature_c,
        "flip_flop": to_json(library.flip_flop),
        "cells": {name: to_json(cell) for name, cell in library.cells.items()},
    }
