"""What the MULTIPLIER slot may hold besides one circuit: several circuits, or a circuit with a correction."""

from __future__ import annotations

from abc import ABC, abstractmethod

from laxity.circuits.wide import Core
from laxity.core.errors import PlanError
from laxity.kernels import Accumulator, Products
from laxity.techniques.data.operands import Operands


class Arrangement(ABC):
    """Content of the MULTIPLIER slot that is more than one circuit. Hashable, equal by value."""

    @abstractmethod
    def describe(self) -> str:
        """What it is, in a few words that continue "site 'x' has"."""

    @abstractmethod
    def core_of(self, output: int) -> Core:
        """The circuit that multiplies for an output channel."""

    @abstractmethod
    def products(self, operand: Operands, accumulator: Accumulator | None, name: str) -> tuple[Products, float]:
        """As `Operands.products` for one circuit; the same object for the same arguments.

        Raises:
            PlanError: circuits or accumulator do not fit these codes, or each other.
        """


Circuits = Core | Arrangement
"""Content of the MULTIPLIER slot."""


def products_of(
    operand: Operands, multiplier: Circuits | None, accumulator: Accumulator | None, name: str
) -> tuple[Products, float]:
    """The kernel for the codes of a site and whatever its MULTIPLIER slot holds; see `Operands.products`."""
    if isinstance(multiplier, Arrangement):
        return multiplier.products(operand, accumulator, name)
    return operand.products(multiplier, accumulator, name)


def single(multiplier: Circuits | None, site: str, what: str) -> Core | None:
    """The one circuit that makes all of a site's products, for what knows no more than one.

    Args:
        multiplier: content of the slot.
        site: its name.
        what: what knows one circuit only, in the plural.

    Raises:
        PlanError: there is more than one circuit.
    """
    if isinstance(multiplier, Arrangement):
        raise PlanError(
            f"site {site!r} has {multiplier.describe()}, and {what} know one circuit for all products of a site; use "
            "{'kind': 'multiplier', 'name': ...} there"
        )
    return multiplier
