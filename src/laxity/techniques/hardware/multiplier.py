"""MULTIPLIER: products by an approximate circuit of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

from laxity.circuits import catalogue, shelf
from laxity.circuits.wide import core
from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand
from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.core.slots import Slot
from laxity.techniques.context import BuildContext, Layer


@TECHNIQUES.register("multiplier")
@dataclass(frozen=True)
class CircuitMultiplier(Approximation):
    """Every product of the site is computed by the named circuit, on magnitudes, with the sign applied outside.

    Attributes:
        name: catalogue name of an unsigned multiplier, for example ``drum8_4``; operand a is the activation. Wider ones
            than `laxity.circuits.wide.MAX_TABLE_WIDTH` must belong to a family with a closed form.
    """

    kind: ClassVar[str] = "multiplier"
    slot: ClassVar[Slot] = Slot.MULTIPLIER

    name: str = "dadda8"

    def __post_init__(self) -> None:
        super().__post_init__()
        if catalogue.is_signed(self.name):
            raise PlanError(
                f"multiplier {self.name!r} is a two's complement circuit; sites multiply magnitudes and apply the sign "
                "outside, so name the unsigned one (without the 's' after the width)"
            )
        core(self.name)

    def label(self) -> str:
        """The circuit's name."""
        return self.name

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Set the circuit.

        Raises:
            PlanError: a site has no integer operands.
        """
        circuit = core(self.name)
        for layer in layers:
            if layer.operand is None:
                raise PlanError(
                    f"site {layer.site.name!r} has a multiplier but floating-point operands; "
                    "give it an OPERAND choice such as {'kind': 'integer'}"
                )
            layer.multiplier = circuit

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """Another circuit in the processing element."""
        return replace(demand, multiplier=self.name)

    def circuits_used(self) -> tuple[str, ...]:
        """See `Approximation.circuits_used`."""
        return (self.name,)

    def errors(self) -> tuple[float, ...]:
        """Mean, mean relative and worst error, and the error where an operand is zero."""
        found = catalogue.get(self.name).metrics()
        return found.med, found.mred, found.wce, found.error_at_zero_operand

    @classmethod
    def candidates(cls, site: Site) -> Sequence[Approximation]:
        """The approximate 8-bit circuits of the catalogue, and imported ones whose gates are known, by mean error."""
        return [cls(name) for name in _approximate(tuple(n for n in shelf.names() if _fits(n)))]


def _fits(imported: str) -> bool:
    m = catalogue.get(imported)
    return m.circuit is not None and (m.a_bits, m.b_bits) == (8, 8) and not (m.a_signed or m.b_signed)


@cache
def _approximate(imported: tuple[str, ...]) -> tuple[str, ...]:
    errors = {name: catalogue.get(name).metrics().med for name in (*sorted(catalogue.names(width=8)), *imported)}
    return tuple(sorted((name for name in errors if errors[name] > 0), key=errors.__getitem__))
