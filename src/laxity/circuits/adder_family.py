"""The extension point for adders: a family turns a width and parameters into a netlist."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Family, Generate, Parameter
from laxity.circuits.netlist import Circuit
from laxity.core.errors import CircuitError
from laxity.core.registry import Registry

MIN_ADDER_WIDTH = 2
"""Narrowest adder."""

MAX_ADDER_WIDTH = 48
"""Widest adder: sums of any two operands, and of many sums, stay exact integers in 64 bits."""

ADDER_WIDTHS = tuple(range(MIN_ADDER_WIDTH, MAX_ADDER_WIDTH + 1))
"""Widths that a family builds unless it says otherwise."""


@dataclass(frozen=True, slots=True)
class AdderFamily(Family):
    """Adders of one kind: two operands of n bits, a sum of n + 1 bits whose top bit is the carry out.

    Two's complement numbers are added by the same gates; their sum is the low n bits.

    Attributes:
        name, parameters, grid, source, widths: as in `Family`.
        generate: adds the gates of one adder to a builder and returns the n + 1 sum bits.
        exact: every sum is exact, whatever the parameters.
    """

    exact: bool = False

    def build(self, width: int, parameters: Sequence[int] = (), *, signed: bool = False) -> Circuit:
        """Return the netlist with input ports a and b (width bits each) and output port s (width + 1 bits).

        Args:
            width: of an operand.
            parameters: of the family.
            signed: makes no difference: the same gates add two's complement numbers.

        Raises:
            CircuitError: as `check`.
        """
        self.check(width, parameters)
        builder = CircuitBuilder(self.circuit_name(width, parameters), self.source)
        a, b = builder.input("a", width), builder.input("b", width)
        with builder.block("adder"):
            total = self.generate(builder, a, b, *parameters)
        builder.output("s", total)
        return builder.build()


ADDERS: Registry[AdderFamily] = Registry("adder family", "laxity.adders")
"""All adder families; other packages add theirs through the entry-point group ``laxity.adders``."""


def adder_family(
    name: str,
    *,
    source: str,
    parameters: Sequence[Parameter] = (),
    grid: Callable[[int], Sequence[tuple[int, ...]]] = lambda width: [()],
    widths: Sequence[int] = ADDER_WIDTHS,
    exact: bool = False,
) -> Callable[[Generate], AdderFamily]:
    """Return a decorator that turns a generator function into a registered `AdderFamily`.

    Args:
        name: lower-case letters; the start of circuit names.
        source: publication that defines the family.
        parameters: in the order in which a circuit name lists them.
        grid: parameter values of the default catalogue for a width.
        widths: operand widths that the family can build.
        exact: every sum is exact; exact adders are emulated without simulating their gates.

    Raises:
        CircuitError: the name holds anything but lower-case letters.
    """
    if not (name.isalpha() and name.isascii() and name.islower()):
        raise CircuitError(f"adder family name {name!r} must be lower-case letters, as in 'loa'")

    def wrap(generate: Generate) -> AdderFamily:
        family = AdderFamily(name, generate, tuple(parameters), grid, source, tuple(widths), exact=exact)
        return ADDERS.register(name)(family)

    return wrap


def low_part(meaning: str) -> Parameter:
    """The parameter l of the adders that treat their l least significant bits in another way; 0 to n - 1."""
    return Parameter("l", meaning, lambda n: 0, lambda n: n - 1)


def low_grid(width: int) -> list[tuple[int, ...]]:
    """Sizes of the low part in the default catalogue: a quarter and half of the width."""
    return [(low,) for low in dict.fromkeys((max(1, width // 4), width // 2)) if low < width]
