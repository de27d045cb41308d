"""Netlists that protected weights pass when they are read: decoders of Hsiao codes, parity trees, voters, comparators.

Names end with the bits of a weight, ``x``, and a number:

- ``hsiao8x8``: a Hsiao code over 8 weights of 8 bits with check bits beside them: inputs w0 to w7 and check, outputs r0
  to r7 and alarm.
- ``inplace8x8``: the same with check bit i in bit 6 of weight i, for the first seven; no check port.
- ``parity8x4``: alarm where 4 weights and the bit check have odd parity. ``parityzero8x1``: output r0 is 0 there.
- ``majority8x2``: 2 bits of a weight of 8 are voted on; inputs are the three copies of these bits only, first, second
  and third, output voted. The other bits pass by.
- ``rangezero8x1``, ``rangesaturate8x1``: weights of sign and magnitude, or of floating point: where the magnitude
  exceeds the port high, or low if the sign is set, output r0 is 0, or the limit of that sign; alarm tells it.

Encoders are not among them: weights are written by whoever loads them, with their check bits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from laxity.circuits import hsiao
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.netlist import ZERO, Circuit
from laxity.core.errors import CircuitError

_NAME = re.compile(r"(hsiao|inplace|parityzero|parity|majority|rangezero|rangesaturate)([1-9]\d?)x([1-9]\d?)")
_IN_PLACE = (8, 8)
FREE_BIT = 6
"""Place of check bits among the bits of weights in ``inplace8x8``."""

MOST_BITS = 32
"""Widest weight."""


@lru_cache(maxsize=128)
def reader(name: str) -> Circuit:
    """What a code word passes when it is read.

    Raises:
        CircuitError: there is no such circuit; says what names look like.
    """
    found = _NAME.fullmatch(name)
    if found is None or int(found[2]) > MOST_BITS:
        raise CircuitError(
            f"there is no circuit {name!r} that reads protected weights; names are like 'hsiao8x8', 'inplace8x8', "
            f"'parity8x4', 'majority8x2' or 'rangezero8x1', with weights of at most {MOST_BITS} bits"
        )
    kind, bits, count = found[1], int(found[2]), int(found[3])
    if kind == "majority":
        return _voter(name, count)
    if kind in {"hsiao", "inplace"}:
        return _decoder(name, bits, count, in_place=kind == "inplace")
    return _parity(name, bits, count) if kind.startswith("parity") else _comparator(name, bits)


def syndrome_columns(bits: int, weights: int, *, in_place: bool) -> list[list[int]]:
    """Column of every bit of every weight of a code word, the least significant bit first.

    Args:
        bits: of a weight.
        weights: of a code word.
        in_place: check bits stand among them.

    Raises:
        CircuitError: there is no such code.
    """
    if not in_place:
        columns = hsiao.columns(bits * weights)
        return [list(columns[w * bits : (w + 1) * bits]) for w in range(weights)]
    if (bits, weights) != _IN_PLACE:
        raise CircuitError(f"check bits stand in place in 8 weights of 8 bits, not in {weights} of {bits}")
    left, found = iter(hsiao.columns(bits * weights - (weights - 1))), list[list[int]]()
    for weight in range(weights):
        free = weight < weights - 1
        found.append([1 << weight if free and bit == FREE_BIT else next(left) for bit in range(bits)])
    return found


def _decoder(name: str, bits: int, weights: int, *, in_place: bool) -> Circuit:
    """Syndrome, comparison with every column, correction, alarm."""
    columns = syndrome_columns(bits, weights, in_place=in_place)
    builder = CircuitBuilder(name, "decoder of a Hsiao code, trees of exclusive ors and a comparison for every bit")
    words = [builder.input(f"w{i}", bits) for i in range(weights)]
    rows = weights - 1 if in_place else hsiao.check_bits(bits * weights)
    check = [] if in_place else builder.input("check", rows)
    with builder.block("syndrome"):
        syndrome = []
        for row in range(rows):
            taken = [
                n
                for word, own in zip(words, columns, strict=True)
                for n, c in zip(word, own, strict=True)
                if c >> row & 1
            ]
            syndrome.append(exclusive_or(builder, taken + check[row : row + 1]))
        inverted = [builder.inv(s) for s in syndrome]
    with builder.block("correction"):
        hits = []
        for i, (word, own) in enumerate(zip(words, columns, strict=True)):
            found = []
            for bit, (net, column) in enumerate(zip(word, own, strict=True)):
                hit = builder.all_of([syndrome[r] if column >> r & 1 else inverted[r] for r in range(rows)])
                hits.append(hit)
                is_check = in_place and i < weights - 1 and bit == FREE_BIT
                found.append(ZERO if is_check else builder.xor(net, hit))
            builder.output(f"r{i}", found)
    with builder.block("alarm"):
        for row in range(len(check)):
            hits.append(builder.all_of([syndrome[r] if r == row else inverted[r] for r in range(rows)]))
        even = builder.inv(exclusive_or(builder, syndrome))
        wrong = builder.any_of(syndrome)
        # All columns have odd weight; where every column of odd weight is one, even weight alone tells the rest.
        unknown = even if len(hits) == 1 << (rows - 1) else builder.inv(builder.any_of(hits))
        builder.output("alarm", [builder.and_(wrong, unknown)])
    return builder.build()


def _parity(name: str, bits: int, weights: int) -> Circuit:
    builder = CircuitBuilder(name, "parity of weights, a tree of exclusive ors")
    zero = name.startswith("parityzero")
    if zero and weights != 1:
        raise CircuitError(f"{name!r} reads {weights} weights for zero together; parityzero is for single weights")
    words = [builder.input(f"w{i}", bits) for i in range(weights)]
    check = builder.input("check", 1)
    odd = exclusive_or(builder, [net for word in words for net in word] + check)
    if zero:
        keep = builder.inv(odd)
        builder.output("r0", [builder.and_(net, keep) for net in words[0]])
    else:
        builder.output("alarm", [odd])
    return builder.build()


def _voter(name: str, count: int) -> Circuit:
    builder = CircuitBuilder(name, "majority of three copies of each bit")
    first, second, third = (builder.input(n, count) for n in ("first", "second", "third"))
    voted = []
    for x, y, z in zip(first, second, third, strict=True):
        voted.append(builder.nand(builder.nand(x, y), builder.nand(y, z), builder.nand(x, z)))
    builder.output("voted", voted)
    return builder.build()


def _comparator(name: str, bits: int) -> Circuit:
    if bits < 2 or not name.endswith("x1"):
        raise CircuitError(f"{name!r} compares single weights of a sign and at least one bit; write for example x1")
    builder = CircuitBuilder(name, "magnitude comparator with a limit for each sign")
    word, low, high = builder.input("w0", bits), builder.input("low", bits - 1), builder.input("high", bits - 1)
    sign = word[-1]
    limit = [builder.mux(sign, h, w) for h, w in zip(high, low, strict=True)]
    beyond = greater(builder, word[:-1], limit)
    if name.startswith("rangezero"):
        keep = builder.inv(beyond)
        builder.output("r0", [builder.and_(net, keep) for net in word])
    else:
        builder.output("r0", [builder.mux(beyond, net, most) for net, most in zip(word, limit, strict=False)] + [sign])
    builder.output("alarm", [beyond])
    return builder.build()


def exclusive_or(builder: CircuitBuilder, nets: Sequence[int]) -> int:
    """Exclusive or of nets, as a tree."""
    left = list(nets) or [ZERO]
    while len(left) > 1:
        pairs = [builder.xor(x, y) for x, y in zip(left[0::2], left[1::2], strict=False)]
        left = pairs + left[len(left) - len(left) % 2 :]
    return left[0]


def greater(builder: CircuitBuilder, xs: Sequence[int], ys: Sequence[int]) -> int:
    """One where the unsigned number `xs` is greater than `ys`, of the same width, as a tree."""
    parts = [(builder.and_(x, builder.inv(y)), builder.xnor(x, y)) for x, y in zip(xs, ys, strict=True)]
    while len(parts) > 1:
        joined = []
        for (low, low_same), (high, high_same) in zip(parts[0::2], parts[1::2], strict=False):
            above = builder.inv(builder.aoi21(high_same, low, high))
            joined.append((above, builder.and_(high_same, low_same)))
        parts = joined + parts[len(parts) - len(parts) % 2 :]
    return parts[0][0]
