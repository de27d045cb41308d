"""Cost model of an FPGA on which layers of equal operand widths share a group of multiply-accumulate units.

Energy per site, by component:

- ``control``: executed products times the share of the published energy per product that does not depend on the
  multiplier: memory blocks, routing, clock and static power together.
- ``multiplier``: executed products times that of the exact 8-bit core, times the energy index of the plan's core over
  that of the exact one: toggles of look-up table outputs times (1 + fan-out) on uniform operands.
- ``dram``: weights once per sample; input and output of the network; activations of a layer that exceed the memory
  blocks set aside for them.

Resources: look-up tables and flip-flops of the groups by `laxity.targets.mac_groups`; a unit is the core (synthesised
where Yosys is installed, `laxity.targets.fpga_units`), one table per bit of the sum and one for the sign, and registers
for operands and sum. A unit holds one core for each multiplier (modes of a reconfigurable one share it) and one adder
for each way to add that its sites use; gates that select among them are not counted. Of the arrangements with a group
for each pair of operand widths and with one group for all, the one with more units is taken. Memory blocks hold input
and output of the largest layer, and the weights of the largest.

Layers run one after the other: latency is the sum of executed products over units.

bfloat16 with shortened mantissas, for which the published figures are, takes the published unit with its core
exchanged; other formats are refused.

Not modelled: place and route, hence the clock is an assumption; switching on the operands of a layer; DSP blocks for
products, since approximate cores cannot use them and the comparison would be uneven.

Source: V. Akhlaghi, dissertation, UC San Diego, 2020, chapter 4.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import ClassVar, cast

from laxity.core.demand import Demand
from laxity.core.errors import TargetError
from laxity.core.estimate import Basis, Estimate
from laxity.core.records import Cost
from laxity.targets.assemble import assemble
from laxity.targets.breakdown import Breakdown, SiteUse
from laxity.targets.checks import check_network, exact_sum_bits, fitting_unit
from laxity.targets.dataflow import BufferSizes, DramTraffic, dram_traffic
from laxity.targets.description import ConstantSpec, Description, Options, Schema
from laxity.targets.fpga_units import LutSource, core_figures
from laxity.targets.mac_groups import Arrangement, Group, Published, most_units, totals
from laxity.targets.modes import mode_parts, unit_words
from laxity.targets.pe_design import Unit, core_circuit, is_composed
from laxity.targets.target import COST_MODELS, Target

COMPONENTS = ("control", "multiplier", "dram")
"""Energy components, in the order in which they are listed per site."""

BLOCK_BITS = 36 * 1024
"""Bits of a memory block. Source: AMD DS190, Zynq-7000 overview."""

NO_AREA = Estimate.point(
    0, "um2", Basis.MODELLED, "no area of its own: the device is given, and what is taken of it is counted in resources"
)
"""Area of a design on a device that exists already."""

REFERENCE, SMALLEST = Unit("dadda8"), Unit("dadda3")
"""Exact cores of bfloat16 with 7 and with 2 mantissa bits, the leading one included."""

_BFLOAT = re.compile(r"floating-point products E8M\d x E8M\d and .*")


@COST_MODELS.register("fpga-mac-groups")
class FpgaMacGroups(Target):
    """Groups of multiply-accumulate units on an FPGA; see the module for what is counted.

    Raises:
        TargetError: the baseline multiplier cannot be built.
        RegistryError: the baseline multiplier is unknown.
    """

    prices_modes: ClassVar[bool] = True
    schema: ClassVar[Schema] = {
        "device": {
            "lut": ConstantSpec("LUT", integer=True),
            "ff": ConstantSpec("FF", integer=True),
            "dsp": ConstantSpec("DSP", integer=True),
            "bram": ConstantSpec("BRAM", integer=True),
            "clock": ConstantSpec("MHz"),
        },
        "group": {
            "lut": ConstantSpec("LUT"),
            "ff": ConstantSpec("FF"),
            "units": ConstantSpec("unit", integer=True),
            "dsp": ConstantSpec("DSP", integer=True, zero=True),
        },
        "memory": {
            "activation_blocks": ConstantSpec("BRAM", integer=True),
            "weight_blocks": ConstantSpec("BRAM", integer=True),
        },
        "energy": {"control": ConstantSpec("pJ"), "multiplier": ConstantSpec("pJ")},
        "dram": {"access": ConstantSpec("pJ/bit", zero=True), "access_high": ConstantSpec("pJ/bit", zero=True)},
    }
    options: ClassVar[Options] = {"lut_source": ("auto", "yosys", "netlist")}

    def __init__(self, description: Description) -> None:
        super().__init__(description)
        c = description
        self._source = cast(LutSource, self.option("lut_source"))
        self.published = Published(c.estimate("group.lut", 1, "LUT"), c.estimate("group.ff", 1, "FF"))
        if c.value("dram.access_high") < c.value("dram.access"):
            raise TargetError(f"target {c.name!r}: dram.access_high is below dram.access; give the upper end")
        blocks = c.count("memory.activation_blocks") + c.count("memory.weight_blocks")
        if blocks > c.count("device.bram"):
            raise TargetError(
                f"target {c.name!r}: memory asks for {blocks} blocks, device.bram is {c.count('device.bram')}"
            )
        core_circuit(c.baseline_multiplier)

    def has_circuit(self, demand: Demand) -> bool:
        """Integer products, also composed ones, and bfloat16 with mantissas of any width."""
        return super().has_circuit(demand) or is_composed(demand) or is_bfloat(demand)

    @property
    def arithmetic_words(self) -> str:
        """What `has_circuit` accepts, for messages."""
        return f"{super().arithmetic_words}, integer products composed of narrower ones, bfloat16"

    def cost(self, demands: Sequence[Demand]) -> Cost:
        """Cost of one sample with resources; see `Target.cost` and the module for what is counted.

        Raises:
            TargetError: no demands, a site twice, an arithmetic without circuit, or units that exceed the device.
            RegistryError, CircuitError: the catalogue has no such multiplier.
            ToolError: ``lut_source`` is ``"yosys"`` and Yosys is missing.
        """
        arrangement = self._arrangement(demands)
        energies = [self._energies(demand, t) for demand, t in zip(demands, self._moved(demands), strict=True)]
        cycles = sum(arrangement.cycles(demand.macs) for demand in demands)
        words = f"executed products over {arrangement.units} units, layer after layer"
        clock = self.constants.constant("device.clock")
        return assemble(
            demands,
            COMPONENTS,
            energies,
            area_um2=NO_AREA,
            latency_cycles=Estimate.point(cycles, "cycles", Basis.MODELLED, words),
            resources=self._resources(demands, arrangement),
            time_s=Estimate.point(cycles / clock.value * 1e-6, "s", Basis.MODELLED, f"{words}; {clock.source}"),
        )

    def breakdown(self, demands: Sequence[Demand]) -> Breakdown:
        """What each site makes the units do; energies rest on uniform operands here, whatever was sampled.

        Raises:
            TargetError, RegistryError, CircuitError, ToolError: as `cost`.
        """
        arrangement = self._arrangement(demands)
        uses = []
        for demand, moved in zip(demands, self._moved(demands), strict=True):
            cycles = arrangement.cycles(demand.macs)
            energies = zip(COMPONENTS[:2], self._energies(demand, moved), strict=False)
            uses.append(
                SiteUse(
                    site=demand.site,
                    unit=unit_words([unit_of(part.demand) for part in mode_parts(demand)]),
                    macs=demand.macs,
                    cycles=int(cycles),
                    utilisation=demand.macs / (cycles * arrangement.units) if cycles else 0.0,
                    moved_bits={"dram": moved.bits},
                    product_pj={name: e.value / demand.macs for name, e in energies} if demand.macs else {},
                )
            )
        return Breakdown(sites=tuple(uses))

    def _moved(self, demands: Sequence[Demand]) -> list[DramTraffic]:
        return dram_traffic(demands, BufferSizes(0, BLOCK_BITS * self.constants.count("memory.activation_blocks")))

    def unit_lut(self, unit: Unit, sum_bits: int, *, bfloat: bool = False) -> Estimate:
        """Look-up tables of a multiply-accumulate unit.

        Args:
            unit: core and adder.
            sum_bits: width of the sum.
            bfloat: whether it is the published unit for bfloat16 with another core.

        Raises:
            ToolError: ``lut_source`` is ``"yosys"`` and Yosys is missing.
        """
        core = core_figures(unit, self._source).lut
        return Estimate.total([core, self._beside_core(sum_bits, bfloat=bfloat)], "LUT")

    def _beside_core(self, sum_bits: int, *, bfloat: bool) -> Estimate:
        if not bfloat:
            words = f"one table per bit of a sum of {sum_bits} bits and one for the sign"
            return Estimate.point(sum_bits + 1, "LUT", Basis.MODELLED, words)
        rest = max(0.0, self.published.unit_lut - core_figures(SMALLEST, self._source).lut.value)
        return Estimate.point(rest, "LUT", Basis.SCALED, f"unit by the slope of table 4.7; {self.published.lut.source}")

    def _arrangement(self, demands: Sequence[Demand]) -> Arrangement:
        """Check the demands; the groups, and how many units each has."""
        check_network(self.name, demands)
        self.check_arithmetic(demands)
        units = [[unit_of(part.demand) for part in mode_parts(d)] for d in demands]
        widths: dict[tuple[int, int, bool], list[int]] = {}
        for position, demand in enumerate(demands):
            widths.setdefault((demand.input_bits, demand.widest_weight_bits, is_bfloat(demand)), []).append(position)
        separate = [self._group([demands[i] for i in g], [units[i] for i in g]) for g in widths.values()]
        found = [a for groups in (separate, [self._group(demands, units)]) if (a := self._fitting(groups))]
        if not found:
            lut = totals([self._group(demands, units)], 16, self.published)[0].value
            raise TargetError(
                f"target {self.name!r}: 16 units that can compute every site take {lut:.0f} look-up tables, the device "
                f"has {self.constants.count('device.lut')}; use fewer different multipliers or narrower operands"
            )
        return max(found, key=lambda a: a.units)

    def _fitting(self, groups: Sequence[Group]) -> Arrangement | None:
        budget = self.constants.count("device.lut"), self.constants.count("device.ff")
        units = most_units(groups, self.published, budget, self.constants.count("group.units"))
        return None if units is None else Arrangement(tuple(groups), units)

    def _group(self, demands: Sequence[Demand], units: Sequence[Sequence[Unit]]) -> Group:
        """Units with one core for each multiplier and one adder for each way to add of some sites."""
        used = [(demand, unit) for demand, several in zip(demands, units, strict=True) for unit in several]
        cores = {unit.shared_core: core_figures(unit, self._source).lut for _, unit in used}
        adders: dict[str, int] = {}
        registers = 0
        for demand, unit in used:
            if is_bfloat(demand):
                continue
            bits = exact_sum_bits(demand, sum(unit.widths), demand.reduction)
            adders[unit.adder_name] = max(bits, adders.get(unit.adder_name, 0))
            registers = max(registers, sum(unit.widths) + 2 + bits)
        beside = [self._beside_core(bits, bfloat=False) for bits in adders.values()]
        words = "registers for operands with signs and sum"
        flip_flops = Estimate.point(registers, "FF", Basis.MODELLED, words)
        if any(is_bfloat(d) for d in demands):
            beside.append(self._beside_core(0, bfloat=True))
            published = self.published.ff
            flip_flops = Estimate.point(
                max(registers, self.published.unit_ff), "FF", Basis.SCALED, f"{published.source}; {words}"
            )
        lut = Estimate.total([*cores.values(), *beside], "LUT")
        return Group(tuple(d.site for d in demands), lut, flip_flops)

    def _energies(self, demand: Demand, t: DramTraffic) -> list[Estimate]:
        """One estimate for each of `COMPONENTS`."""
        parts = mode_parts(demand)
        units = [unit_of(part.demand) for part in parts]
        cores, exact = [core_figures(u, self._source) for u in units], core_figures(REFERENCE, self._source)
        constant = self.constants.constant("energy.multiplier")
        basis = max(constant.basis, Basis.SCALED, *(core.lut.basis for core in cores), key=lambda b: b.rank)
        names = ", ".join(dict.fromkeys(unit.core_name for unit in units))
        words = f"{constant.source}, times the energy index of {names} over that of the exact 8-bit core"
        index = math.fsum(part.share * core.energy_index for part, core in zip(parts, cores, strict=True))
        multiplier = constant.value * demand.macs * index / exact.energy_index
        dram = self.constants.estimate("dram.access", t.bits, "pJ")
        high = self.constants.value("dram.access_high") * t.bits
        return [
            self.constants.estimate("energy.control", demand.macs, "pJ"),
            Estimate.point(multiplier, "pJ", basis, words),
            Estimate(dram.value, dram.low, max(high, dram.value), "pJ", dram.basis, dram.source),
        ]

    def _resources(self, demands: Sequence[Demand], arrangement: Arrangement) -> dict[str, Estimate]:
        lut, ff = totals(arrangement.groups, arrangement.units, self.published)
        activations = max(
            (d.input_elements * d.input_bits + d.output_elements * d.output_bits) / d.calls for d in demands
        )
        weights = max(d.weight_storage_bits for d in demands)
        blocks = sum(
            min(self.constants.count(f"memory.{name}_blocks"), -(-bits // BLOCK_BITS))
            for name, bits in (("activation", activations), ("weight", weights))
        )
        words = "blocks of 36 Kbit for input and output of the largest layer and for the weights of the largest"
        groups = len(arrangement.groups)
        return {
            "lut": lut,
            "ff": ff,
            "dsp": self.constants.estimate("group.dsp", 1, "DSP"),
            "bram": Estimate.point(blocks, "BRAM", Basis.MODELLED, words),
            "units": Estimate.point(
                groups * arrangement.units, "unit", Basis.MODELLED, f"{groups} groups of {arrangement.units} units"
            ),
        }


def is_bfloat(demand: Demand) -> bool:
    """Whether both operands are bfloat16 with mantissas of any width."""
    return _BFLOAT.fullmatch(demand.arithmetic) is not None


def unit_of(demand: Demand) -> Unit:
    """Core and adder for a site; of bfloat16, the core is that of the significands.

    Raises:
        RegistryError, TargetError: as `laxity.targets.checks.fitting_unit`.
    """
    return Unit(demand.multiplier) if is_bfloat(demand) else fitting_unit(demand)
