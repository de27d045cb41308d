"""Cost model of an array whose elements keep weights, inputs and sums in registers of their own, as Eyeriss does.

Energies are those of one multiply-accumulate times a ratio for each level of memory. An access costs in proportion to
the bits of the word that a site uses. Energy per site, by component:

- ``mac``: executed products times the energy of the plan's multiplier with its adder. That is the published figure of
  the exact element times a ratio from netlists: switching of the site's element on the operands sampled there, over
  switching of the exact element on uniform operands of its full width. Inertial delays, 45 nm cell table.
- ``register_file``: per executed product a weight, an input and a sum read and a sum written.
- ``inter_element``: words that reach registers of elements over the network on chip, each also one write to a register
  (charged to ``register_file``), and sums handed down the columns (`laxity.targets.reuse`).
- ``global_buffer``: weights, inputs, outputs, and sums that wait for the next tile.
- ``dram``: weights once per sample, since the buffer holds one layer at a time; input and output of the network;
  activations of a layer that exceed the buffer.

Area is the published one of the exact machine, with its elements exchanged for those of the plan.

Not modelled: skipping of zero activations and run-length coding in DRAM, the two-dimensional window of a convolution
inside an element, leakage, the clock apart from what the ratios contain, control. Operands are sampled as a
weight-stationary array sees them. Approximate adders are charged in every element; in which order they add is not
modelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from laxity.circuits.pe import MAX_ACCUMULATOR_BITS
from laxity.core.demand import Demand
from laxity.core.errors import TargetError
from laxity.core.estimate import Basis, Estimate
from laxity.core.records import Cost
from laxity.targets.assemble import assemble
from laxity.targets.breakdown import Breakdown, Element, SiteUse
from laxity.targets.checks import check_network, exact_sum_bits
from laxity.targets.dataflow import BufferSizes, DramTraffic, dram_traffic
from laxity.targets.description import ConstantSpec, Description, Schema
from laxity.targets.modes import mode_units, site_energy, unit_words
from laxity.targets.pe_design import PeDesign, Unit, is_composed, pe_design, unit_element
from laxity.targets.pe_energy import CACHE, MacEnergy, uniform_trace
from laxity.targets.reuse import Reuse, SpatialArray, reuse
from laxity.targets.target import COST_MODELS, Target

COMPONENTS = ("mac", "register_file", "inter_element", "global_buffer", "dram")
"""Energy components, in the order in which they are listed per site."""

MAX_EXACT_BITS = 16
"""Widest operands of the exact element."""


@COST_MODELS.register("spatial-array")
class SpatialArrayModel(Target):
    """Array with registers in every element and a global buffer; see the module for what is counted.

    Raises:
        TargetError: the exact multiplier does not fit the array.
        RegistryError: the baseline multiplier is unknown.
    """

    prices_modes: ClassVar[bool] = True
    schema: ClassVar[Schema] = {
        "array": {
            "rows": ConstantSpec("PE", integer=True),
            "columns": ConstantSpec("PE", integer=True),
            "area": ConstantSpec("mm2"),
        },
        "element": {
            "operand_bits": ConstantSpec("bit", integer=True),
            "input_words": ConstantSpec("word", integer=True),
            "weight_words": ConstantSpec("word", integer=True),
            "sum_words": ConstantSpec("word", integer=True),
        },
        "energy": {
            "mac": ConstantSpec("pJ"),
            "register_file": ConstantSpec("MAC", zero=True),
            "inter_element": ConstantSpec("MAC", zero=True),
            "global_buffer": ConstantSpec("MAC", zero=True),
            "dram": ConstantSpec("MAC", zero=True),
        },
        "global_buffer": {"capacity": ConstantSpec("byte", integer=True)},
    }

    def __init__(self, description: Description) -> None:
        super().__init__(description)
        element = {n: description.count(f"element.{n}") for n in ("input_words", "weight_words", "sum_words")}
        self.array = SpatialArray(description.count("array.rows"), description.count("array.columns"), **element)
        self._bits = description.count("element.operand_bits")
        if self._bits > MAX_EXACT_BITS:
            raise TargetError(
                f"target {self.name!r}: element.operand_bits is {self._bits}; the exact element, with which others are "
                f"compared, is built for {MAX_EXACT_BITS} or fewer"
            )
        self._check_width("the baseline", Unit(description.baseline_multiplier))

    def has_circuit(self, demand: Demand) -> bool:
        """Integer products, also those composed of narrower ones."""
        return super().has_circuit(demand) or is_composed(demand)

    @property
    def arithmetic_words(self) -> str:
        """What `has_circuit` accepts, for messages."""
        return f"{super().arithmetic_words}, integer products composed of narrower ones"

    def cost(self, demands: Sequence[Demand]) -> Cost:
        """Cost of one sample; see `Target.cost` and the module for what is counted.

        Raises:
            TargetError: no demands, a site twice, an arithmetic without circuit, or operands too wide.
            RegistryError, CircuitError: the catalogue has no such multiplier.
        """
        design, work = self._design(demands), self._work(demands)
        energies = [
            [self._mac(d, design), *(self.access(level, bits) for level, bits in self._moved_bits(d, n, t).items())]
            for d, n, t in work
        ]
        cycles = sum(n.cycles for _, n, _ in work)
        latency = Estimate.point(cycles, "cycles", Basis.MODELLED, self._latency_source())
        return assemble(demands, COMPONENTS, energies, area_um2=self._area(design), latency_cycles=latency)

    def breakdown(self, demands: Sequence[Demand]) -> Breakdown:
        """The element, and what each site makes the array do.

        Raises:
            TargetError, RegistryError, CircuitError: as `cost`.
        """
        design = self._design(demands)
        element = Element.of(design, self.array.rows * self.array.columns)
        return Breakdown(element, tuple(self._use(d, n, t, design) for d, n, t in self._work(demands)))

    def _work(self, demands: Sequence[Demand]) -> list[tuple[Demand, Reuse, DramTraffic]]:
        """Every site with what it counts and moves."""
        sizes = BufferSizes(0, 8 * self.constants.count("global_buffer.capacity"))
        return [
            (demand, reuse(demand, self.array), moved)
            for demand, moved in zip(demands, dram_traffic(demands, sizes), strict=True)
        ]

    def _use(self, demand: Demand, n: Reuse, t: DramTraffic, design: PeDesign) -> SiteUse:
        def per_product(of: Demand) -> dict[str, float]:
            return {"mac": self._mac(of, design).value / demand.macs} if demand.macs else {}

        return SiteUse(
            site=demand.site,
            unit=unit_words(mode_units(demand)),
            macs=demand.macs,
            cycles=n.cycles,
            utilisation=n.utilisation,
            moved_bits=self._moved_bits(demand, n, t),
            product_pj=per_product(demand),
            uniform_pj=per_product(replace(demand, trace=None)),
            sampled=demand.trace is not None,
        )

    def sum_bits(self, demand: Demand) -> int:
        """Width of the sums that a site keeps and moves, in bits: no sum over the whole reduction overflows.

        Raises:
            RegistryError, CircuitError: the demand names an adder that the catalogue does not have.
        """
        operand_bits = demand.input_bits + demand.widest_weight_bits + demand.fraction_bits
        needed = exact_sum_bits(demand, operand_bits, demand.reduction)
        return needed if demand.accumulation is not None else min(demand.accumulator_bits, needed)

    def access(self, level: str, bits: float) -> Estimate:
        """Energy of moving bits to or from a level of memory: its ratio times the energy of the exact element.

        Args:
            level: ``register_file|inter_element|global_buffer|dram``.
            bits: number of bits, all words together.
        """
        mac = self.constants.constant("energy.mac")
        ratio = self.constants.estimate(f"energy.{level}", mac.value * bits / self._bits, "pJ")
        return Estimate.total([ratio, Estimate.point(0, "pJ", mac.basis, mac.source)], "pJ")

    def _check_width(self, where: str, unit: Unit) -> None:
        widest = max(unit.widths)
        if widest > self._bits:
            raise TargetError(
                f"{where}: {unit.core_name!r} has {widest}-bit operands, element.operand_bits is {self._bits}; use a "
                "narrower multiplier"
            )

    def _design(self, demands: Sequence[Demand]) -> PeDesign:
        """Check the demands and design the element that they share, with an adder for the widest sum."""
        check_network(self.name, demands)
        self.check_arithmetic(demands)
        used = [(demand, unit) for demand in demands for unit in mode_units(demand)]
        for demand, unit in used:
            self._check_width(f"site {demand.site!r}", unit)
        widths = [exact_sum_bits(demand, sum(unit.widths), demand.reduction) for demand, unit in used]
        units = sorted({unit for _, unit in used}, key=lambda unit: unit.name)
        return pe_design(tuple(units), min(MAX_ACCUMULATOR_BITS, max(widths)))

    def _exact_pj(self) -> float:
        """Switching of the exact element on uniform operands of its full width, from its netlist."""
        sums = min(MAX_ACCUMULATOR_BITS, 2 * self._bits + (self.array.rows - 1).bit_length() + 1)
        pe = unit_element(Unit(f"dadda{self._bits}"), sums)
        return _switching_pj(CACHE.mac_energy(pe, uniform_trace(self._bits, self._bits, self.array.rows)))

    def _mac(self, demand: Demand, design: PeDesign) -> Estimate:
        """Executed products times the energy of the site's element, the mean over its modes."""
        energy = site_energy(demand, design.elements, self.array.rows)
        found, basis = _switching_pj(energy.mean), Basis.SCALED if energy.sampled else Basis.MODELLED
        constant = self.constants.constant("energy.mac")
        source = (
            f"{constant.source}, times switching of the {energy.unit} element on operands {energy.operands} over that "
            f"of the exact {self._bits}-bit element on uniform operands, netlists, 45 nm cell table"
        )
        weakest = max(basis, constant.basis, key=lambda b: b.rank)
        return Estimate.point(constant.value * found / self._exact_pj() * demand.macs, "pJ", weakest, source)

    def _moved_bits(self, demand: Demand, n: Reuse, t: DramTraffic) -> dict[str, float]:
        """Bits read and written at each level of memory, in the order of `COMPONENTS`."""
        sum_bits, weight_bits = self.sum_bits(demand), demand.mean_weight_bits
        fills = n.weight_fills * weight_bits + n.input_fills * demand.input_bits
        registers = demand.macs * (weight_bits + demand.input_bits + 2 * sum_bits) + fills
        outputs = demand.output_elements * demand.output_bits
        buffered: float = n.input_reads * demand.input_bits + outputs + 2 * n.sum_spills * sum_bits
        if demand.weight_elements:
            buffered += demand.weight_storage_bits * (demand.calls + 1)  # written once, read in every call
        else:
            buffered += n.weight_reads * weight_bits
        return {
            "register_file": registers,
            "inter_element": fills + n.sum_hops * sum_bits,
            "global_buffer": buffered + t.input_bits,
            "dram": t.bits,
        }

    def _area(self, design: PeDesign) -> Estimate:
        elements = self.array.rows * self.array.columns
        exact = pe_design((f"dadda{self._bits}",), min(MAX_ACCUMULATOR_BITS, 2 * self._bits + 1))
        published = self.constants.estimate("array.area", 1e6, "um2")
        exchanged = elements * (design.area_um2 - exact.area_um2)
        names = ", ".join(design.elements)
        source = (
            f"{published.source}; {elements} exact {self._bits}-bit elements exchanged for {names}, cell areas of the "
            "netlists at 45 nm"
        )
        basis = max(published.basis, Basis.SCALED, key=lambda b: b.rank)
        return Estimate.point(max(0.0, published.value + exchanged), "um2", basis, source)

    def _latency_source(self) -> str:
        rows, columns = self.array.rows, self.array.columns
        return f"closed form of the mapping to {rows} x {columns} elements, registers filled while others compute"


def _switching_pj(energy: MacEnergy) -> float:
    """Multiplier, adder and the gate inputs that registers drive, per product."""
    return energy.multiplier_pj + energy.accumulator_pj + energy.register_load_pj
