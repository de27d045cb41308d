"""A builder that writes netlists: it folds constants, shares equal gates and drops gates that drive nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise

from laxity.circuits.netlist import CELL_PINS, ONE, ZERO, Circuit, Gate, Port, Tie
from laxity.core.errors import CircuitError

_COMMUTATIVE = frozenset({"AND2", "OR2", "NAND2", "NAND3", "NOR2", "NOR3", "XOR2", "XNOR2", "HA", "FA"})


class CircuitBuilder:
    """Collects ports and gates and builds a `Circuit`.

    Every method takes and returns nets. Constants are folded, a gate with the same cell and inputs as an earlier one
    is not made again, and `build` keeps only gates that an output depends on. Gates belong to the block of the
    enclosing `block` context.

    Args:
        name: name of the circuit, a legal Verilog identifier.
        source: where the design comes from, in words.
    """

    def __init__(self, name: str, source: str) -> None:
        self._name = name
        self._source = source
        self._inputs: list[Port] = []
        self._outputs: list[Port] = []
        self._ties: dict[str, Tie] = {}
        self._gates: list[Gate] = []
        self._memo: dict[tuple[str, tuple[int, ...]], tuple[int, ...]] = {}
        self._inverse: dict[int, int] = {ZERO: ONE, ONE: ZERO}
        self._next = ONE + 1
        self._block = "core"

    # Ports and structure -------------------------------------------------------------------------------------------

    def input(self, name: str, width: int) -> list[int]:
        """Declare an input bus and return its nets, least significant first."""
        nets = [self._new_net() for _ in range(width)]
        self._inputs.append(Port(name, tuple(nets)))
        return nets

    def output(self, name: str, nets: Sequence[int]) -> None:
        """Declare an output bus driven by `nets`, least significant first."""
        self._outputs.append(Port(name, tuple(nets)))

    @contextmanager
    def block(self, tag: str) -> Iterator[None]:
        """Gates made inside the context belong to the block `tag`."""
        previous, self._block = self._block, tag
        try:
            yield
        finally:
            self._block = previous

    def instantiate(self, circuit: Circuit, connections: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
        """Copy the gates of `circuit` in, folding constants again, and return the nets of its outputs.

        Its tied buses come along; instances that tie a bus of one name to one value share it.

        Args:
            circuit: the netlist to copy; all its gates join the current block.
            connections: for each input port of `circuit`, the nets that drive it.

        Raises:
            CircuitError: an input port is not connected or has a different width.
        """
        net_of = {ZERO: ZERO, ONE: ONE}
        for port in circuit.inputs:
            nets = connections.get(port.name)
            if nets is None or len(nets) != port.width:
                raise CircuitError(f"port {port.name!r} of {circuit.name!r} needs {port.width} nets, got {nets}")
            net_of.update(zip(port.nets, nets, strict=True))
        for tie in circuit.ties:
            net_of.update(zip(tie.port.nets, self._tie(tie), strict=True))
        for gate in circuit.gates:
            outputs = self.gate(gate.cell, [net_of[net] for net in gate.inputs])
            net_of.update(zip(gate.outputs, outputs, strict=True))
        return {port.name: [net_of[net] for net in port.nets] for port in circuit.outputs}

    def build(self) -> Circuit:
        """Return the circuit with live gates only and nets numbered in order.

        A half adder of which only one output is used becomes the AND2 or XOR2 that is left of it.
        """
        live = {net for port in self._outputs for net in port.nets}
        kept: list[Gate] = []
        for gate in reversed(self._gates):
            if live.isdisjoint(gate.outputs):
                continue
            live.update(gate.inputs)
            kept.append(_shrink(gate, live))
        kept.reverse()
        number = {ZERO: ZERO, ONE: ONE}
        given = [*self._inputs, *(tie.port for tie in self._ties.values())]
        for net in [n for port in given for n in port.nets] + [n for gate in kept for n in gate.outputs]:
            number[net] = len(number)
        gates = tuple(
            Gate(g.cell, tuple(number[n] for n in g.inputs), tuple(number[n] for n in g.outputs), g.block) for g in kept
        )
        inputs, outputs, tied = (
            tuple(Port(p.name, tuple(number[n] for n in p.nets)) for p in side)
            for side in (self._inputs, self._outputs, [tie.port for tie in self._ties.values()])
        )
        ties = tuple(Tie(port, tie.value) for port, tie in zip(tied, self._ties.values(), strict=True))
        return Circuit(self._name, inputs, outputs, gates, self._source, ties)

    # Cells -----------------------------------------------------------------------------------------------------------

    def gate(self, cell: str, inputs: Sequence[int]) -> tuple[int, ...]:
        """Add a cell by name, with folding, and return its output nets.

        Raises:
            CircuitError: the cell is unknown.
        """
        if cell not in CELL_PINS:
            raise CircuitError(f"unknown cell {cell!r}; known: {sorted(CELL_PINS)}")
        if cell == "HA":
            return self.half_adder(*inputs)
        if cell == "FA":
            return self.full_adder(*inputs)
        single: dict[str, Callable[..., int]] = {
            "INV": self.inv,
            "BUF": self.buf,
            "AND2": self.and_,
            "OR2": self.or_,
            "NAND2": self.nand,
            "NAND3": self.nand,
            "NOR2": self.nor,
            "NOR3": self.nor,
            "XOR2": self.xor,
            "XNOR2": self.xnor,
            "AOI21": self.aoi21,
            "AOI22": self.aoi22,
            "OAI21": self.oai21,
            "MUX2": self.inverting_mux,
        }
        return (single[cell](*inputs),)

    def buf(self, x: int) -> int:
        """A buffer: x."""
        return x if x in (ZERO, ONE) else self._emit("BUF", x)[0]

    def inv(self, x: int) -> int:
        """Not x."""
        known = self._inverse.get(x)
        if known is not None:
            return known
        net = self._emit("INV", x)[0]
        self._inverse[x] = net
        self._inverse[net] = x
        return net

    def and_(self, x: int, y: int) -> int:
        """Conjunction of two nets."""
        if ZERO in (x, y) or self._inverse.get(x) == y:
            return ZERO
        if y in (x, ONE):
            return x
        return y if x == ONE else self._emit("AND2", x, y)[0]

    def or_(self, x: int, y: int) -> int:
        """Disjunction of two nets."""
        if ONE in (x, y) or self._inverse.get(x) == y:
            return ONE
        if y in (x, ZERO):
            return x
        return y if x == ZERO else self._emit("OR2", x, y)[0]

    def nand(self, *nets: int) -> int:
        """Not the conjunction of one to three nets."""
        terms = self._distinct(nets, neutral=ONE)
        if ZERO in terms or self._has_complements(terms):
            return ONE
        if len(terms) < 2:
            return self.inv(terms[0]) if terms else ZERO
        return self._emit(f"NAND{len(terms)}", *terms)[0]

    def nor(self, *nets: int) -> int:
        """Not the disjunction of one to three nets."""
        terms = self._distinct(nets, neutral=ZERO)
        if ONE in terms or self._has_complements(terms):
            return ZERO
        if len(terms) < 2:
            return self.inv(terms[0]) if terms else ONE
        return self._emit(f"NOR{len(terms)}", *terms)[0]

    def xor(self, x: int, y: int) -> int:
        """One where two nets differ."""
        folded = self._fold_xor(x, y)
        return self._emit("XOR2", x, y)[0] if folded is None else folded

    def xnor(self, x: int, y: int) -> int:
        """One where two nets are equal."""
        folded = self._fold_xor(x, y)
        return self._emit("XNOR2", x, y)[0] if folded is None else self.inv(folded)

    def aoi21(self, a: int, b: int, c: int) -> int:
        """not(a and b or c)."""
        if self._trivial((a, b, c)):
            return self.nor(self.and_(a, b), c)
        return self._emit("AOI21", *sorted((a, b)), c)[0]

    def aoi22(self, a: int, b: int, c: int, d: int) -> int:
        """not(a and b or c and d)."""
        if self._trivial((a, b, c, d)):
            return self.nor(self.and_(a, b), self.and_(c, d))
        return self._emit("AOI22", *sorted((a, b)), *sorted((c, d)))[0]

    def oai21(self, a: int, b: int, c: int) -> int:
        """not((a or b) and c)."""
        if self._trivial((a, b, c)):
            return self.nand(self.or_(a, b), c)
        return self._emit("OAI21", *sorted((a, b)), c)[0]

    def inverting_mux(self, select: int, zero: int, one: int) -> int:
        """not(one if select else zero)."""
        if self._trivial((select, zero, one)):
            return self.inv(self.mux(select, zero, one))
        return self._emit("MUX2", select, zero, one)[0]

    def mux(self, select: int, zero: int, one: int) -> int:
        """`one` if select else `zero`; the cell inverts, so chains of multiplexers alternate in polarity."""
        if zero == one or select in (ZERO, ONE):
            return one if select == ONE else zero
        if zero in (ZERO, select):
            return self.and_(select, one)
        if one in (ONE, select):
            return self.or_(select, zero)
        if one == ZERO:
            return self.and_(self.inv(select), zero)
        if zero == ONE:
            return self.or_(self.inv(select), one)
        return self._mux_cell(select, zero, one)

    def _mux_cell(self, select: int, zero: int, one: int) -> int:
        if self._inverse.get(zero) == one:
            return self.xor(select, zero)
        if zero in self._inverse and one in self._inverse:
            return self._emit("MUX2", select, self._inverse[zero], self._inverse[one])[0]
        return self.inv(self._emit("MUX2", select, zero, one)[0])

    def half_adder(self, x: int, y: int) -> tuple[int, int]:
        """(sum, carry) of two bits."""
        if ZERO in (x, y) or ONE in (x, y) or x == y or self._inverse.get(x) == y:
            return self.xor(x, y), self.and_(x, y)
        total, carry = self._emit("HA", x, y)
        return total, carry

    def full_adder(self, x: int, y: int, z: int) -> tuple[int, int]:
        """(sum, carry) of three bits."""
        x, y, z = sorted((x, y, z))
        if x == ZERO:
            return self.half_adder(y, z)
        if x == ONE:
            return self.xnor(y, z), self.or_(y, z)
        for a, b, c in ((x, y, z), (x, z, y), (y, z, x)):
            if a == b:
                return c, a
            if self._inverse.get(a) == b:
                return self.inv(c), c
        total, carry = self._emit("FA", x, y, z)
        return total, carry

    # Wider logic -----------------------------------------------------------------------------------------------------

    def all_of(self, nets: Sequence[int]) -> int:
        """Conjunction of any number of nets, as a tree of NAND and NOR."""
        terms = self._distinct(nets, neutral=ONE)
        if ZERO in terms or self._has_complements(terms):
            return ZERO
        if len(terms) <= 2:
            return self.and_(*terms) if len(terms) == 2 else (terms[0] if terms else ONE)
        if len(terms) == 3:
            return self.inv(self.nand(*terms))
        groups = _split(terms, 3) if len(terms) <= 9 else [[self.all_of(g)] for g in _split(terms, 3)]
        return self.nor(*(self.nand(*group) for group in groups))

    def any_of(self, nets: Sequence[int]) -> int:
        """Disjunction of any number of nets, as a tree of NOR and NAND."""
        terms = self._distinct(nets, neutral=ZERO)
        if ONE in terms or self._has_complements(terms):
            return ONE
        if len(terms) <= 2:
            return self.or_(*terms) if len(terms) == 2 else (terms[0] if terms else ZERO)
        if len(terms) == 3:
            return self.inv(self.nor(*terms))
        groups = _split(terms, 3) if len(terms) <= 9 else [[self.any_of(g)] for g in _split(terms, 3)]
        return self.nand(*(self.nor(*group) for group in groups))

    def sum_of_products(self, pairs: Sequence[tuple[int, int]]) -> int:
        """Disjunction of the conjunctions x and y of all (x, y), in AOI22, AOI21 and NAND cells."""
        products: list[tuple[int, int]] = []
        singles: list[int] = []
        for x, y in pairs:
            if ZERO in (x, y) or self._inverse.get(x) == y:
                continue
            if x == y or ONE in (x, y):
                singles.append(y if x == ONE else x)
            else:
                products.append((x, y))
        if len(products) + len(singles) < 2:
            return self.any_of([*singles, *(self.and_(x, y) for x, y in products)])
        if not products:
            return self.any_of(singles)
        return self._nand_of_groups(products, singles)

    def _nand_of_groups(self, products: list[tuple[int, int]], singles: list[int]) -> int:
        """Complement of the conjunction of complemented groups of at most two terms."""
        groups = [self.nor(*singles[i : i + 2]) for i in range(len(products) % 2, len(singles), 2)]
        if len(products) % 2:
            last = products[-1]
            groups.append(self.aoi21(*last, singles[0]) if singles else self.nand(*last))
        for (a, b), (c, d) in zip(products[0::2], products[1::2], strict=False):
            groups.append(self.aoi22(a, b, c, d))
        if len(groups) <= 3:
            return self.nand(*groups)
        return self.nand(*(self.all_of(part) for part in _split(groups, 3)))

    def add(self, xs: Sequence[int], ys: Sequence[int], carry: int = ZERO) -> tuple[list[int], int]:
        """Ripple-carry sum of two unsigned numbers of any widths; returns (sum bits, carry out)."""
        width = max(len(xs), len(ys))
        total: list[int] = []
        for i in range(width):
            x = xs[i] if i < len(xs) else ZERO
            y = ys[i] if i < len(ys) else ZERO
            bit, carry = self.full_adder(x, y, carry)
            total.append(bit)
        return total, carry

    # Internals -------------------------------------------------------------------------------------------------------

    def _new_net(self) -> int:
        net = self._next
        self._next += 1
        return net

    def _tie(self, tie: Tie) -> tuple[int, ...]:
        """Nets of a tied bus: those of one that is there already with this name, width and value, or new ones."""
        name, width = tie.port.name, tie.port.width
        while name in self._ties and (self._ties[name].value, self._ties[name].port.width) != (tie.value, width):
            name += "_"
        if name not in self._ties:
            self._ties[name] = Tie(Port(name, tuple(self._new_net() for _ in range(width))), tie.value)
        return self._ties[name].port.nets

    def _emit(self, cell: str, *inputs: int) -> tuple[int, ...]:
        pins = tuple(sorted(inputs)) if cell in _COMMUTATIVE else tuple(inputs)
        outputs = self._memo.get((cell, pins))
        if outputs is None:
            outputs = tuple(self._new_net() for _ in range(CELL_PINS[cell][1]))
            self._memo[cell, pins] = outputs
            self._gates.append(Gate(cell, pins, outputs, self._block))
        return outputs

    def _fold_xor(self, x: int, y: int) -> int | None:
        if x == y:
            return ZERO
        if self._inverse.get(x) == y:
            return ONE
        for constant, other in ((x, y), (y, x)):
            if constant == ZERO:
                return other
            if constant == ONE:
                return self.inv(other)
        return None

    def _trivial(self, nets: tuple[int, ...]) -> bool:
        return ZERO in nets or ONE in nets or len(set(nets)) < len(nets)

    def _distinct(self, nets: Sequence[int], neutral: int) -> list[int]:
        return [net for net in dict.fromkeys(nets) if net != neutral]

    def _has_complements(self, nets: Sequence[int]) -> bool:
        return any(self._inverse.get(net) in nets for net in nets)


def _split(items: list[int], most: int) -> list[list[int]]:
    """Cut a list into at most `most` parts of nearly equal length."""
    count = min(most, -(-len(items) // most)) if len(items) <= most * most else most
    bounds = [len(items) * i // count for i in range(count + 1)]
    return [items[a:b] for a, b in pairwise(bounds)]


def _shrink(gate: Gate, live: set[int]) -> Gate:
    """Replace a half adder with one dead output by the simple gate that is left."""
    if gate.cell != "HA" or live.issuperset(gate.outputs):
        return gate
    total, carry = gate.outputs
    if total in live:
        return Gate("XOR2", gate.inputs, (total,), gate.block)
    return Gate("AND2", gate.inputs, (carry,), gate.block)
