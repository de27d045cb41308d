"""The modes of a reconfigurable multiplier, and plans that give every filter one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from laxity.core.approximation import Approximation
from laxity.core.errors import ConfigError
from laxity.core.op import Site
from laxity.core.plan import Plan, Recovery
from laxity.core.slots import Slot
from laxity.techniques import CircuitMultiplier, FilterMultipliers, Integer

MOST_MODES = 10


@dataclass(frozen=True, slots=True)
class Modes:
    """Modes from the most exact to the strongest.

    Attributes:
        circuits: names of the catalogue, mode 0 first.
        weight_bits: bits that weights of each mode have in memory; empty for those of the operands in all modes.

    Raises:
        ConfigError: there are fewer than two modes or more than ten, or not one number of bits per mode.
    """

    circuits: tuple[str, ...]
    weight_bits: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 2 <= len(self.circuits) <= MOST_MODES:
            raise ConfigError(
                f"a search by filters needs 2 to {MOST_MODES} modes, not {len(self.circuits)}; name that many "
                "multipliers, the most exact one first"
            )
        if self.weight_bits and len(self.weight_bits) != len(self.circuits):
            raise ConfigError(
                f"{len(self.circuits)} modes have {len(self.weight_bits)} numbers of weight bits; give one per mode, "
                "or leave them out"
            )

    @staticmethod
    def of(circuits: Sequence[str], weight_bits: Sequence[int] | None) -> Modes:
        """From what a caller gives."""
        return Modes(tuple(circuits), tuple(weight_bits or ()))

    def choice(self, modes: Sequence[int]) -> FilterMultipliers:
        """The choice of a site whose filters are in these modes."""
        return FilterMultipliers.of(self.circuits, modes, self.weight_bits)


@dataclass(frozen=True, slots=True)
class Subject:
    """Sites of a network and the plans for them.

    Attributes:
        modes: of the multiplier.
        filters: number of output channels of every site with weights, in order of execution; functional calls are none.
        common: operands of all sites, and mode 0 for those that are not among `filters`.
        recovery: of all plans.
    """

    modes: Modes
    filters: Mapping[str, int]
    common: Plan
    recovery: Recovery | None

    @staticmethod
    def of(
        sites: Sequence[Site], modes: Modes, operands: Approximation | None = None, recovery: Recovery | None = None
    ) -> Subject:
        """All sites that have a multiplier."""
        own = [s for s in sites if Slot.MULTIPLIER in s.slots]
        filters = {s.name: outputs(s) for s in own if s.op.weight_shape and not s.functional}
        common = Plan.assign(own, [operands or Integer()])
        for site in own:
            if site.name not in filters:
                common = common.with_(site.name, CircuitMultiplier(modes.circuits[0]))
        return Subject(modes, filters, common, recovery)

    def plan(self, assignment: Mapping[str, Sequence[int]]) -> Plan:
        """The plan in which filters are in these modes; sites that are not named are in mode 0."""
        plan = self.common.with_recovery(self.recovery)
        for site, count in self.filters.items():
            plan = plan.with_(site, self.modes.choice(assignment.get(site, (0,) * count)))
        return plan

    def everywhere(self, mode: int) -> Plan:
        """The plan in which all filters are in one mode."""
        return self.plan({site: (mode,) * count for site, count in self.filters.items()})


def outputs(site: Site) -> int:
    """Output channels of a site with weights."""
    shape = site.op.weight_shape
    return shape[1] * site.op.groups if site.op.kind.startswith("conv_transpose") else shape[0]


def fixed(recipe: Recovery | None) -> Recovery | None:
    """The recipe with which plans that differ in circuits only have the same trained weights.

    Its training becomes the first stage, that of the network with the most exact circuits, whose weights are kept;
    every plan starts from them and is not trained. Re-estimation of statistics and compensation stay as they are.
    """
    if recipe is None or not recipe.trains:
        return recipe
    first = recipe.quantised_epochs or recipe.epochs
    plain = recipe.plain()
    return Recovery(
        reestimate=plain.reestimate,
        learning_rate=plain.learning_rate,
        batch_size=plain.batch_size,
        samples=plain.samples,
        distil=plain.distil,
        temperature=plain.temperature,
        compensate=recipe.compensate,
        quantised_epochs=first,
    )
