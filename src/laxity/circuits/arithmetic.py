"""Building blocks shared by the multiplier families: partial products, adder trees, shifters, leading ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.netlist import ZERO

Columns = list[list[int]]
"""Bits to add: entry c holds the nets of weight 2**c."""


def partial_products(
    builder: CircuitBuilder,
    a: Sequence[int],
    b: Sequence[int],
    keep: Callable[[int, int], bool] = lambda i, j: True,
) -> list[list[int]]:
    """Rows of the partial-product matrix; row j belongs to bit j of `b`.

    Args:
        builder: receives the AND gates.
        a: operand bits, least significant first.
        b: likewise.
        keep: tells for bit i of `a` and bit j of `b` whether their product exists.

    Returns:
        For each row j the nets of bits i = 0..len(a) - 1 (weight i + j); 0 where dropped.
    """
    return [[builder.and_(x, y) if keep(i, j) else ZERO for i, x in enumerate(a)] for j, y in enumerate(b)]


def columns_of(rows: Sequence[Sequence[int]], width: int) -> Columns:
    """Sort the bits of partial-product rows (row j shifted by j) into `width` columns; constant 0 bits are dropped."""
    columns: Columns = [[] for _ in range(width)]
    for j, row in enumerate(rows):
        for i, net in enumerate(row):
            if net != ZERO:
                columns[i + j].append(net)
    return columns


def dadda_sum(builder: CircuitBuilder, columns: Columns) -> list[int]:
    """Add the bits of all columns, modulo 2**len(columns), by Dadda's reduction and a ripple-carry adder.

    Source: L. Dadda, "Some schemes for parallel multipliers", Alta Frequenza 34, 1965: column heights are reduced
    through 2, 3, 4, 6, 9, 13, ... with as few full and half adders as possible.
    """
    heap = [list(column) for column in columns]
    heights = [2]
    while heights[-1] < max((len(column) for column in heap), default=0):
        heights.append(heights[-1] * 3 // 2)
    for height in reversed(heights):
        for c, column in enumerate(heap):
            while len(column) > height:
                if len(column) == height + 1:
                    total, carry = builder.half_adder(column.pop(0), column.pop(0))
                else:
                    total, carry = builder.full_adder(column.pop(0), column.pop(0), column.pop(0))
                column.append(total)
                if c + 1 < len(heap):
                    heap[c + 1].append(carry)
    return two_row_sum(builder, heap)


def wallace_sum(builder: CircuitBuilder, columns: Columns) -> list[int]:
    """Add the bits of all columns, modulo 2**len(columns), by Wallace's reduction and a ripple-carry adder.

    In every stage each column puts as many bits as possible into full adders, and two that are left into a half adder.

    Source: C. S. Wallace, "A suggestion for a fast multiplier", IEEE Trans. Electronic Computers EC-13(1), 1964.
    """
    heap = [list(column) for column in columns]
    while max((len(column) for column in heap), default=0) > 2:
        reduced: Columns = [[] for _ in range(len(heap) + 1)]
        for c, column in enumerate(heap):
            for at in range(0, len(column), 3):
                group = column[at : at + 3]
                if len(group) == 1:
                    reduced[c] += group
                    continue
                total, carry = builder.full_adder(*group) if len(group) == 3 else builder.half_adder(*group)
                reduced[c].append(total)
                reduced[c + 1].append(carry)
        heap = reduced[: len(heap)]
    return two_row_sum(builder, heap)


def two_row_sum(builder: CircuitBuilder, columns: Columns) -> list[int]:
    """Add columns of at most two bits with a ripple-carry adder, modulo 2**len(columns)."""
    low = [column[0] if column else ZERO for column in columns]
    high = [column[1] if len(column) > 1 else ZERO for column in columns]
    return builder.add(low, high)[0]


def row_sum(builder: CircuitBuilder, rows: Sequence[Sequence[int]], width: int) -> list[int]:
    """Add partial-product rows one after the other with ripple-carry adders, as in an array multiplier."""
    total = [*rows[0], *[ZERO] * (width - len(rows[0]))]
    for j, row in enumerate(rows[1:], start=1):
        high, carry = builder.add(total[j : j + len(row)], row)
        total[j : j + len(row)] = high
        if j + len(row) < width:
            total[j + len(row)] = carry
    return total


def leading_one(builder: CircuitBuilder, bits: Sequence[int]) -> list[int]:
    """One-hot position of the most significant one; all zero for a zero input."""
    hot: list[int] = []
    above: list[int] = []
    for bit in reversed(bits):
        hot.append(builder.and_(bit, builder.inv(builder.any_of(above))) if above else bit)
        above = [builder.any_of(above), bit] if above else [bit]
    return hot[::-1]


def encode(builder: CircuitBuilder, hot: Sequence[int], values: Sequence[int]) -> list[int]:
    """Binary number selected by a one-hot code: `values[i]` where `hot[i]` is set, 0 where none is."""
    width = max(values, default=0).bit_length()
    return [builder.any_of([net for net, v in zip(hot, values, strict=True) if v >> k & 1]) for k in range(width)]


def shift_left(builder: CircuitBuilder, bits: Sequence[int], amount: Sequence[int], width: int) -> list[int]:
    """Barrel shifter: `bits` times 2**amount, modulo 2**width."""
    value = [*bits, *[ZERO] * (width - len(bits))][:width]
    for k, select in enumerate(amount):
        step = 1 << k
        value = [builder.mux(select, value[p], value[p - step] if p >= step else ZERO) for p in range(width)]
    return value


def times_power(builder: CircuitBuilder, hot: Sequence[int], number: Sequence[int], width: int) -> list[int]:
    """A two's complement number times a one-hot power of two, modulo 2**width; 0 where no bit of `hot` is set."""
    last = len(number) - 1
    return [
        builder.sum_of_products([(power, number[min(p - m, last)]) for m, power in enumerate(hot) if m <= p])
        for p in range(width)
    ]


def leading_segment(
    builder: CircuitBuilder, bits: Sequence[int], k: int, *, set_one: bool
) -> tuple[list[int], list[int]]:
    """The k bits from the leading one down, or the low k bits of numbers below 2**k.

    Args:
        builder: receives the gates.
        bits: the number, least significant bit first.
        k: bits kept.
        set_one: set the lowest kept bit where bits below it are cut off.

    Returns:
        The kept bits, and in binary how far they were shifted down.
    """
    n = len(bits)
    hot = leading_one(builder, bits)[k:]
    truncated = builder.any_of(bits[k:])
    in_place = builder.inv(truncated)
    field = [builder.or_(bits[0], truncated)] if set_one and k > 1 else []
    for i in range(len(field), k - 1):
        moved = [(hot[s - 1], bits[i + s]) for s in range(1, n - k + 1)]
        field.append(builder.sum_of_products([(in_place, bits[i]), *moved]))
    field.append(builder.or_(bits[k - 1], truncated))
    return field, encode(builder, hot, range(1, n - k + 1))


def segment_product(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], k: int, *, set_one: bool) -> list[int]:
    """Product of the `leading_segment`s of two numbers, shifted back in place."""
    a_field, a_shift = leading_segment(builder, a, k, set_one=set_one)
    b_field, b_shift = leading_segment(builder, b, k, set_one=set_one)
    core = dadda_sum(builder, columns_of(partial_products(builder, a_field, b_field), 2 * k))
    shift, carry = builder.add(a_shift, b_shift)
    return shift_left(builder, core, [*shift, carry], len(a) + len(b))


def gated(builder: CircuitBuilder, condition: int, bits: Sequence[int]) -> list[int]:
    """The bits where `condition` is one, 0 elsewhere."""
    return [builder.and_(condition, bit) for bit in bits]


def clamped(builder: CircuitBuilder, value: Sequence[int], width: int) -> list[int]:
    """A two's complement number limited to 0..2**width - 1."""
    negative = value[-1]
    too_large = builder.and_(builder.any_of(value[width:-1]), builder.inv(negative))
    limited = gated(builder, builder.inv(negative), value[:width])
    return [builder.or_(bit, too_large) for bit in limited]


def normalise(builder: CircuitBuilder, bits: Sequence[int]) -> tuple[list[int], list[int]]:
    """Shift a number left until its top bit is one.

    Args:
        builder: receives the gates.
        bits: operand, least significant first; its width must be a power of two.

    Returns:
        The shifted bits (all zero for a zero operand) and the position of the leading one in binary. The position
        of a zero operand is 0.
    """
    value = list(bits)
    exponent: list[int] = []
    step = len(value) // 2
    while step:
        any_high = builder.any_of(value[-step:])
        value = [builder.mux(any_high, value[p - step] if p >= step else ZERO, value[p]) for p in range(len(value))]
        exponent.insert(0, any_high)
        step //= 2
    return value, exponent


def negate_if(builder: CircuitBuilder, condition: int, bits: Sequence[int]) -> list[int]:
    """Two's complement negation where `condition` is one: a bit flips when a lower bit is one."""
    result: list[int] = []
    flip = ZERO
    for i, bit in enumerate(bits):
        result.append(builder.xor(bit, flip))
        if i + 1 < len(bits):
            flip = builder.sum_of_products([(condition, bit), (flip, flip)]) if flip else builder.and_(condition, bit)
    return result
