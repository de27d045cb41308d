"""Netlists that look after two's complement sums: limiters, comparators, voters, and what adds checksums."""

from __future__ import annotations

from functools import lru_cache

from laxity.circuits.arithmetic import columns_of, dadda_sum, partial_products
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.netlist import ONE, Circuit
from laxity.core.errors import CircuitError

WIDEST_BITS = 62


@lru_cache(maxsize=64)
def limiter(bits: int) -> Circuit:
    """Output r is the input value, or the nearer of the inputs low and high where it lies beyond.

    Raises:
        CircuitError: the width is impossible.
    """
    _check(bits)
    builder = CircuitBuilder(f"limit{bits}", "two ripple comparisons and two selections per bit")
    value, low, high = (builder.input(name, bits) for name in ("value", "low", "high"))
    above, below = _less(builder, high, value), _less(builder, value, low)
    limited = [builder.mux(above, v, h) for v, h in zip(value, high, strict=True)]
    builder.output("r", [builder.mux(below, v, n) for v, n in zip(limited, low, strict=True)])
    return builder.build()


@lru_cache(maxsize=64)
def interval(bits: int) -> Circuit:
    """Output alarm is 1 where first - second, modulo 2**bits, lies outside of the inputs low and high.

    Raises:
        CircuitError: the width is impossible.
    """
    _check(bits)
    builder = CircuitBuilder(f"interval{bits}", "ripple subtraction and two ripple comparisons")
    first, second, low, high = (builder.input(name, bits) for name in ("first", "second", "low", "high"))
    residual = builder.add(first, [builder.inv(net) for net in second], ONE)[0][:bits]
    builder.output("alarm", [builder.or_(_less(builder, high, residual), _less(builder, residual, low))])
    return builder.build()


@lru_cache(maxsize=64)
def difference(bits: int) -> Circuit:
    """Output alarm is 1 where the inputs first and second, any words, are not the same.

    Raises:
        CircuitError: the width is impossible.
    """
    _check(bits)
    builder = CircuitBuilder(f"differ{bits}", "exclusive ors and a tree")
    first, second = (builder.input(name, bits) for name in ("first", "second"))
    builder.output("alarm", [builder.any_of([builder.xor(a, b) for a, b in zip(first, second, strict=True)])])
    return builder.build()


@lru_cache(maxsize=64)
def vote(bits: int) -> Circuit:
    """Output r is the majority of the inputs first, second and third, bit by bit.

    Raises:
        CircuitError: the width is impossible.
    """
    _check(bits)
    builder = CircuitBuilder(f"vote{bits}", "majority of three copies of each bit")
    copies = [builder.input(name, bits) for name in ("first", "second", "third")]
    builder.output("r", [builder.sum_of_products([(a, b), (a, c), (b, c)]) for a, b, c in zip(*copies, strict=True)])
    return builder.build()


@lru_cache(maxsize=64)
def adder(bits: int) -> Circuit:
    """Output s is the sum of the inputs first and second modulo 2**bits.

    Raises:
        CircuitError: the width is impossible.
    """
    _check(bits)
    builder = CircuitBuilder(f"sum{bits}", "ripple-carry adder")
    first, second = (builder.input(name, bits) for name in ("first", "second"))
    builder.output("s", builder.add(first, second)[0][:bits])
    return builder.build()


@lru_cache(maxsize=64)
def product(a_bits: int, b_bits: int) -> Circuit:
    """Exact unsigned product p of the inputs a and b, of any widths."""
    builder = CircuitBuilder(f"dadda{a_bits}x{b_bits}", "Dadda multiplier of an input and a checksum weight")
    a, b = builder.input("a", a_bits), builder.input("b", b_bits)
    with builder.block("multiplier"):
        found = dadda_sum(builder, columns_of(partial_products(builder, a, b), a_bits + b_bits))
    builder.output("p", found)
    return builder.build()


def _check(bits: int) -> None:
    if not 2 <= bits <= WIDEST_BITS:
        raise CircuitError(f"sums of {bits} bits cannot be looked after; use 2 to {WIDEST_BITS}")


def _less(builder: CircuitBuilder, x: list[int], y: list[int]) -> int:
    """Whether x is less than y: the sign of x - y with one bit more."""
    wide_x, wide_y = [*x, x[-1]], [*y, y[-1]]
    return builder.add(wide_x, [builder.inv(net) for net in wide_y], ONE)[0][len(x)]
