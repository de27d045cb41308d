"""The extension point for multipliers: a family turns a width and parameters into a netlist."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.formula import Formula
from laxity.circuits.netlist import Circuit
from laxity.circuits.signed import sign_magnitude
from laxity.core.errors import CircuitError
from laxity.core.registry import Registry

MIN_WIDTH = 2
"""Narrowest operand of a multiplier core."""

MAX_WIDTH = 16
"""Widest operand of a multiplier core."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """An integer parameter of a family.

    Attributes:
        name: as in the definition of the family, for example ``"k"``.
        meaning: what it does, in words.
        low: smallest value for a given operand width.
        high: largest value for a given operand width.
        default: value that circuit names leave out; only for the last parameters. None: the value is always written.
    """

    name: str
    meaning: str
    low: Callable[[int], int]
    high: Callable[[int], int]
    default: int | None = None


Generate = Callable[..., Sequence[int]]
"""Called as generate(builder, a, b, *parameters) with the operand bits; returns the product bits.

Of a family with `ModeLines`, it is called as generate(builder, a, b, lines) instead.
"""

MODE_PORT = "mode"
"""Name of the bus of `ModeLines`."""


@dataclass(frozen=True, slots=True)
class ModeLines:
    """Lines that choose a mode of a reconfigurable unit: all circuits of one width are the same gates.

    Attributes:
        count: number of lines for an operand width.
        word: called as word(width, *parameters): levels of the lines in a mode, as an unsigned number.
    """

    count: Callable[[int], int]
    word: Callable[..., int]


@dataclass(frozen=True, slots=True)
class Family:
    """n x n multipliers of one kind.

    Attributes:
        name: letters only; the start of circuit names.
        generate: adds the gates of one unsigned multiplier to a builder and returns the 2n product bits.
        parameters: in the order in which a circuit name lists them.
        grid: parameter values of the default catalogue for a width; none for modes of a unit, which cost more than
            other circuits for the same products where no other mode is used beside them.
        source: publication that defines the family.
        widths: operand widths that the family can build.
        formula: what the unsigned netlist computes in closed form, for operands too wide for a table; None where it has
            none.
        generate_signed: as `generate`, for two's complement operands and product, where the method itself is signed.
            None: sign and magnitude around the unsigned multiplier.
        unit: lines of the reconfigurable unit whose modes all circuits of one width are; the lowest parameters are its
            most exact mode. None: every circuit has gates of its own.
    """

    name: str
    generate: Generate
    parameters: tuple[Parameter, ...]
    grid: Callable[[int], Sequence[tuple[int, ...]]]
    source: str
    widths: tuple[int, ...] = tuple(range(MIN_WIDTH, MAX_WIDTH + 1))
    formula: Formula | None = None
    generate_signed: Generate | None = None
    unit: ModeLines | None = None

    @property
    def definition(self) -> str:
        """What the family computes: the docstring of its generator."""
        return (self.generate.__doc__ or "").strip()

    def circuit_name(self, width: int, parameters: Sequence[int] = (), *, signed: bool = False) -> str:
        """Name of a circuit, for example ``"bam8_6_2"``, signed ``"bam8s_6_2"``; trailing defaults are left out."""
        written = list(parameters)
        while written and written[-1] == self.parameters[len(written) - 1].default:
            written.pop()
        return f"{self.name}{width}{'s' * signed}" + "".join(f"_{p}" for p in written)

    def check(self, width: int, parameters: Sequence[int]) -> tuple[int, ...]:
        """Check width and parameters, and return all parameters, those with defaults included.

        Raises:
            CircuitError: an unsupported width, a wrong number of parameters, or one out of range; names the range.
        """
        if width not in self.widths:
            raise CircuitError(f"{self.name} exists for operand widths {_spans(self.widths)}, not {width}")
        defaults = [p.default for p in self.parameters[len(parameters) :] if p.default is not None]
        complete = (*parameters, *defaults)
        if len(complete) != len(self.parameters):
            wanted = ", ".join(p.name for p in self.parameters) or "no parameters"
            given = ", ".join(map(str, parameters)) or "none"
            raise CircuitError(f"{self.name}{width} takes {wanted}, got {given}; write {self._pattern(width)}")
        for parameter, value in zip(self.parameters, complete, strict=True):
            low, high = parameter.low(width), parameter.high(width)
            if not low <= value <= high:
                name = self.circuit_name(width, parameters)
                raise CircuitError(f"{parameter.name}={value} in {name!r} is out of range; use {low}..{high}")
        return complete

    def build(self, width: int, parameters: Sequence[int] = (), *, signed: bool = False) -> Circuit:
        """Return the netlist with input ports a and b (width bits each) and output port p (2 * width bits).

        Args:
            width: operand width in bits.
            parameters: of the family; those with defaults may be left out from the end.
            signed: operands and product are two's complement.

        Raises:
            CircuitError: as `check`.
        """
        complete = self.check(width, parameters)
        if signed and self.generate_signed is None:
            return sign_magnitude(self.build(width, complete), self.circuit_name(width, complete, signed=True))
        native = self.generate_signed if signed else None
        source = f"{self.source}; two's complement" if native else self.source
        name = self.circuit_name(width, complete, signed=signed)
        builder = CircuitBuilder(name, source)
        a, b = builder.input("a", width), builder.input("b", width)
        chosen: Sequence[object] = complete
        if self.unit is not None:
            chosen = [builder.input(MODE_PORT, self.unit.count(width))]
        with builder.block("multiplier"):
            product = (native or self.generate)(builder, a, b, *chosen)
        builder.output("p", product)
        built = builder.build()
        return built.tied(name, {MODE_PORT: self.unit.word(width, *complete)}) if self.unit else built

    def _pattern(self, width: int) -> str:
        required = "".join(f"_<{p.name}>" for p in self.parameters if p.default is None)
        optional = "".join(f"[_<{p.name}>" for p in self.parameters if p.default is not None)
        return f"{self.name}{width}{required}{optional}" + "]" * optional.count("[")


MULTIPLIERS: Registry[Family] = Registry("multiplier family", "laxity.multipliers")
"""All multiplier families; other packages add theirs through the entry-point group ``laxity.multipliers``."""


def multiplier_family(
    name: str,
    *,
    source: str,
    parameters: Sequence[Parameter] = (),
    grid: Callable[[int], Sequence[tuple[int, ...]]] = lambda width: [()],
    widths: Sequence[int] = tuple(range(MIN_WIDTH, MAX_WIDTH + 1)),
    formula: Formula | None = None,
    signed: Generate | None = None,
    unit: ModeLines | None = None,
) -> Callable[[Generate], Family]:
    """Return a decorator that turns a generator function into a registered `Family`.

    Args:
        name: see `Family`, as for all that follow.
        source: of the definition.
        parameters: in the order of names; those with defaults come last.
        grid: of the default catalogue.
        widths: that can be built.
        formula: of the unsigned multiplier.
        signed: generator of the two's complement multiplier, where sign and magnitude are not wanted.
        unit: lines of the unit whose modes its circuits are.

    Raises:
        CircuitError: the name holds anything but lower-case letters, or a parameter without default follows one with.
    """
    if not (name.isalpha() and name.isascii() and name.islower()):
        raise CircuitError(f"multiplier family name {name!r} must be lower-case letters, as in 'drum'")
    optional = [p.default is not None for p in parameters]
    if optional != sorted(optional):
        raise CircuitError(f"parameters of multiplier family {name!r} with defaults must come last")

    def wrap(generate: Generate) -> Family:
        family = Family(name, generate, tuple(parameters), grid, source, tuple(widths), formula, signed, unit)
        return MULTIPLIERS.register(name)(family)

    return wrap


def _spans(widths: Sequence[int]) -> str:
    if list(widths) == list(range(widths[0], widths[-1] + 1)):
        return f"{widths[0]}..{widths[-1]}"
    return ", ".join(map(str, widths))
