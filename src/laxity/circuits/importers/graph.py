"""Single-bit signals and what drives them, in any order; from them a circuit with its gates in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.netlist import ONE, ZERO, Circuit
from laxity.circuits.source import Source, shown
from laxity.core.errors import CircuitError

MAX_DRIVERS = 200_000
"""Most gates and connections of an imported netlist, counted after hierarchy is opened."""

MAX_SIGNALS = 1_000_000
"""Most single-bit signals of an imported netlist."""

MAX_BITS = 10_000_000
"""Most bits that all expressions of an imported netlist have together."""

FALSE = 0
"""The signal that is always 0."""

TRUE = 1
"""The signal that is always 1."""

_SHOWN_LOOP = 4
_GROUP = 64

Emit = Callable[[CircuitBuilder, tuple[int, ...]], tuple[int, ...]]


def _tree(join: Callable[[Sequence[int]], int], nets: Sequence[int]) -> int:
    """Join many nets in groups, as the builder compares all nets of a group with each other."""
    level = list(nets)
    while len(level) > _GROUP:
        level = [join(level[i : i + _GROUP]) for i in range(0, len(level), _GROUP)]
    return join(level)


def _parity(builder: CircuitBuilder, nets: Sequence[int]) -> int:
    total = ZERO
    for net in nets:
        total = builder.xor(total, net)
    return total


def _nand(builder: CircuitBuilder, nets: Sequence[int]) -> int:
    return builder.nand(*nets) if len(nets) <= 3 else builder.inv(_tree(builder.all_of, nets))


def _nor(builder: CircuitBuilder, nets: Sequence[int]) -> int:
    return builder.nor(*nets) if len(nets) <= 3 else builder.inv(_tree(builder.any_of, nets))


def _xnor(builder: CircuitBuilder, nets: Sequence[int]) -> int:
    return builder.xnor(_parity(builder, nets[:-1]), nets[-1])


FUNCTIONS: Mapping[str, Emit] = MappingProxyType(
    {
        "WIRE": lambda _, x: x,
        "BUF": lambda b, x: (b.buf(*x),),
        "NOT": lambda b, x: (b.inv(*x),),
        "AND": lambda b, x: (_tree(b.all_of, x),),
        "OR": lambda b, x: (_tree(b.any_of, x),),
        "XOR": lambda b, x: (_parity(b, x),),
        "NAND": lambda b, x: (_nand(b, x),),
        "NOR": lambda b, x: (_nor(b, x),),
        "XNOR": lambda b, x: (_xnor(b, x),),
        "MUX": lambda b, x: (b.mux(*x),),
        "NMUX": lambda b, x: (b.inverting_mux(*x),),
        "AOI21": lambda b, x: (b.aoi21(*x),),
        "AOI22": lambda b, x: (b.aoi22(*x),),
        "OAI21": lambda b, x: (b.oai21(*x),),
        "OAI22": lambda b, x: (b.nand(b.or_(*x[:2]), b.or_(*x[2:])),),
        "ANDNOT": lambda b, x: (b.and_(x[0], b.inv(x[1])),),
        "ORNOT": lambda b, x: (b.or_(x[0], b.inv(x[1])),),
        "HA": lambda b, x: b.half_adder(*x),
        "FA": lambda b, x: b.full_adder(*x),
    }
)
"""Functions of drivers: AND, OR, XOR and their complements of any number of signals; MUX and NMUX take (select, value
at 0, value at 1); HA and FA return (sum, carry)."""


class Graph:
    """Collects signals and drivers of one file.

    Args:
        source: the file, for messages.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._names: list[tuple[str, int]] = [("0", 0), ("1", 0)]
        self._drivers: list[tuple[int, int] | None] = [None, None]
        self._gates: list[tuple[str, tuple[int, ...], tuple[int, ...], int]] = []
        self._inputs: set[int] = set()
        self._bits = 0

    def spend(self, bits: int, line: int) -> None:
        """Count the bits of an expression.

        Raises:
            CircuitError: there are too many.
        """
        self._bits += bits
        if self._bits > MAX_BITS:
            raise self._source.error(line, f"more than {MAX_BITS} bits in expressions; import a smaller circuit")

    def signal(self, name: str, line: int) -> int:
        """A new signal, declared at a line.

        Raises:
            CircuitError: there are too many.
        """
        if len(self._names) >= MAX_SIGNALS:
            raise self._source.error(line, f"more than {MAX_SIGNALS} single-bit signals; import a smaller circuit")
        self._names.append((name, line))
        self._drivers.append(None)
        return len(self._names) - 1

    def name(self, signal: int) -> str:
        """What the file calls a signal, printable."""
        return shown(self._names[signal][0])

    def drive(self, function: str, outputs: Sequence[int], inputs: Sequence[int], line: int) -> None:
        """Let a key of `FUNCTIONS` drive signals.

        Raises:
            CircuitError: a signal is a constant, an input, or driven already; or there are too many gates.
        """
        if len(self._gates) >= MAX_DRIVERS:
            raise self._source.error(line, f"more than {MAX_DRIVERS} gates; import a smaller circuit")
        for signal in outputs:
            before = self._drivers[signal]
            if signal in (FALSE, TRUE) or signal in self._inputs:
                what = "the constant" if signal in (FALSE, TRUE) else "the input"
                raise self._source.error(line, f"{what} {self.name(signal)!r} is driven; only outputs and wires can be")
            if before is not None:
                first = self._gates[before[0]][3]
                raise self._source.error(
                    line, f"{self.name(signal)!r} is driven again, first at line {first}; leave one driver"
                )
        number = len(self._gates)
        self._gates.append((function, tuple(inputs), tuple(outputs), line))
        for pin, signal in enumerate(outputs):
            self._drivers[signal] = (number, pin)

    def gate(self, function: str, inputs: Sequence[int], line: int, name: str = "") -> int:
        """A new signal driven by a function with one output."""
        output = self.signal(name or f"({function} at line {line})", line)
        self.drive(function, [output], inputs, line)
        return output

    def input(self, signals: Sequence[int]) -> None:
        """Declare signals to be driven from outside."""
        self._inputs.update(signals)

    def circuit(
        self,
        name: str,
        inputs: Sequence[tuple[str, Sequence[int]]],
        outputs: Sequence[tuple[str, Sequence[int]]],
    ) -> Circuit:
        """Build the circuit between ports, each with signals from the least significant on.

        Raises:
            CircuitError: logic runs in a circle, or an output depends on a signal that nothing drives.
        """
        builder = CircuitBuilder(name, f"imported from {self._source.label}")
        nets = {FALSE: ZERO, TRUE: ONE}
        for port, signals in inputs:
            nets.update(zip(signals, builder.input(port, len(signals)), strict=True))
        order = self._order([s for _, signals in outputs for s in signals])
        self._order([s for s, driver in enumerate(self._drivers) if driver is not None], required=False)
        for number in order:
            function, pins, driven, _ = self._gates[number]
            nets.update(zip(driven, FUNCTIONS[function](builder, tuple(nets[p] for p in pins)), strict=True))
        for port, signals in outputs:
            builder.output(port, [nets[s] for s in signals])
        return builder.build()

    def _order(self, roots: Sequence[int], *, required: bool = True) -> list[int]:
        """Gates that `roots` depend on, each after those it reads."""
        order: list[int] = []
        state = bytearray(len(self._gates))
        stack: list[tuple[int, bool]] = []
        for root in roots:
            self._visit(root, stack, state, required, 0)
            while stack:
                number, leaving = stack.pop()
                if leaving:
                    state[number] = 2
                    order.append(number)
                elif state[number] == 0:
                    state[number] = 1
                    stack.append((number, True))
                    for pin in self._gates[number][1]:
                        self._visit(pin, stack, state, required, self._gates[number][3])
        return order

    def _visit(self, signal: int, stack: list[tuple[int, bool]], state: bytearray, required: bool, line: int) -> None:
        driver = self._drivers[signal]
        if driver is not None:
            if state[driver[0]] == 1:
                raise self._loop(driver[0], stack)
            if state[driver[0]] == 0:
                stack.append((driver[0], False))
        elif required and signal not in self._inputs and signal not in (FALSE, TRUE):
            raise self._source.error(
                line or self._names[signal][1] or None,
                f"nothing drives {self.name(signal)!r}, so the outputs would be unknown (x); connect it to a gate, "
                "an input or a constant",
            )

    def _loop(self, number: int, stack: Sequence[tuple[int, bool]]) -> CircuitError:
        open_gates = [gate for gate, leaving in stack if leaving]
        start = open_gates.index(number) if number in open_gates else 0
        through = [self.name(self._gates[gate][2][0]) for gate in open_gates[start:][:_SHOWN_LOOP]]
        more = ", ..." if len(open_gates) - start > _SHOWN_LOOP else ""
        return self._source.error(
            self._gates[number][3],
            f"combinational loop through {', '.join(map(repr, through)) or repr(self.name(self._gates[number][2][0]))}"
            f"{more}; latches and feedback cannot be imported, cut the loop",
        )
