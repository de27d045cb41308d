"""What a gate-level Verilog file says: modules, declarations, assignments, instances and expressions."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Number:
    """A constant: value and width in bits, 32 where the file gives none."""

    value: int
    width: int
    line: int


@dataclass(frozen=True, slots=True)
class Name:
    """A signal, or bits of it from `high` to `low`; both None: all of it."""

    name: str
    high: int | None
    low: int | None
    line: int


@dataclass(frozen=True, slots=True)
class Join:
    """A concatenation, most significant part first, `times` times."""

    parts: tuple[Expression, ...]
    times: int
    line: int


@dataclass(frozen=True, slots=True)
class Unary:
    """An operator before its operand: ~ ! & | ^ ~& ~| ~^ + -."""

    operator: str
    operand: Expression
    line: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands joined by operators of equal precedence, to be applied from left to right."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]
    line: int


@dataclass(frozen=True, slots=True)
class Choice:
    """``condition ? value : ... : otherwise``, with one or more conditions tried in order."""

    cases: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression
    line: int


Expression = Number | Name | Join | Unary | Chain | Choice


@dataclass(frozen=True, slots=True)
class Assign:
    """A continuous assignment."""

    target: Expression
    value: Expression
    line: int


@dataclass(frozen=True, slots=True)
class Instance:
    """A gate primitive, library cell or module with its connections.

    Attributes:
        kind: name of the primitive, cell or module.
        name: name of the instance; empty where the file gives none.
        named: connections by pin name; None stands for an open pin.
        listed: connections by position; empty where they are named.
        line: in the file.
    """

    kind: str
    name: str
    named: dict[str, Expression | None]
    listed: tuple[Expression | None, ...]
    line: int


@dataclass(slots=True)
class Signal:
    """A declared port or net.

    Attributes:
        direction: ``input``, ``output`` or empty for a net.
        left: index of the most significant bit; None for a single bit.
        right: index of the least significant bit; None for a single bit.
        line: of the declaration.
    """

    direction: str
    left: int | None
    right: int | None
    line: int

    @property
    def width(self) -> int:
        """Number of bits."""
        return 1 if self.left is None or self.right is None else abs(self.left - self.right) + 1


@dataclass(slots=True)
class Module:
    """One module.

    Attributes:
        name: of the module.
        line: where it begins.
        ports: names in order.
        signals: declared ports and nets by name.
        constants: values of parameters and local parameters by name.
        items: assignments and instances in order.
    """

    name: str
    line: int
    ports: list[str] = field(default_factory=list)
    signals: dict[str, Signal] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)
    items: list[Assign | Instance] = field(default_factory=list)
