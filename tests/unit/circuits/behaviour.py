"""What every multiplier family computes, on plain integers, written from the definitions and not from laxity's code.

Functions take arrays of operands a and b, the operand width n, and the parameters of the family.
"""

import numpy as np


def leading(x):
    """Position of the leading one; -1 for zero."""
    return np.where(x > 0, np.frexp(x.astype(np.float64))[1] - 1, -1)


def power(e):
    return np.left_shift(np.int64(1), np.maximum(e, 0))


def bit(x, i):
    """Bit i of two's complement integers; bits right of the point are 0."""
    return (x >> i) & 1 if i >= 0 else np.zeros_like(x)


def kept_bits(a, b, n, keep):
    rows = [bit(a, i) * bit(b, j) << (i + j) for i in range(n) for j in range(n) if keep(i, j)]
    return sum(rows, np.zeros_like(a * b))


def optrunc(a, b, n, k):
    return ((a >> k) << k) * ((b >> k) << k)


def gated(a, b, n, ka, kb):
    return (a - a % 2**ka) * (b - b % 2**kb)


def coltrunc(a, b, n, k):
    return kept_bits(a, b, n, lambda i, j: i + j >= k)


def coltruncc(a, b, n, k):
    """The constant from the mean over all operands of the dropped columns, by summation over bits."""
    mean = sum(2 ** (i + j) / 4 for i in range(n) for j in range(n) if i + j < k)
    return coltrunc(a, b, n, k) + int(np.floor(mean / 2**k + 0.5)) * 2**k


def coltruncv(a, b, n, k):
    last = sum((bit(a, i) * bit(b, j) for i in range(n) for j in range(n) if i + j == k - 1), np.zeros_like(a))
    return coltrunc(a, b, n, k) + (last << k)


def bam(a, b, n, vbl, hbl):
    return kept_bits(a, b, n, lambda i, j: i + j >= vbl and j >= hbl)


def perf(a, b, n, j, k):
    return sum((a * bit(b, row) << row for row in range(n) if not j <= row < j + k), np.zeros_like(a))


def udm(a, b, n):
    if n == 2:
        return np.where((a == 3) & (b == 3), 7, a * b)
    half = n // 2
    a_high, a_low, b_high, b_low = a >> half, a & power(half) - 1, b >> half, b & power(half) - 1
    middle = udm(a_high, b_low, half) + udm(a_low, b_high, half)
    return (udm(a_high, b_high, half) << n) + (middle << half) + udm(a_low, b_low, half)


def drum(a, b, n, k):
    def truncate(x):
        shift = np.maximum(leading(x) - k + 1, 0)
        return np.where(shift > 0, ((x >> shift) | 1) << shift, x)

    return truncate(a) * truncate(b)


def letam(a, b, n, t):
    """Fractions of t bits and half a unit more; operands that need no more bits than that are not changed."""

    def truncate(x):
        k = np.maximum(leading(x), 0)
        f = x / power(k) - 1
        rounded = power(k) * (1 + np.floor(f * 2**t) / 2**t + 2.0 ** -(t + 1))
        return np.where(k <= t + 1, x, rounded).astype(np.int64)

    return truncate(a) * truncate(b)


def dsm(a, b, n, m):
    def truncate(x):
        unit = power(leading(x) - m + 1)
        return x // unit * unit

    return truncate(a) * truncate(b)


def ssm(a, b, n, m):
    def segment(x):
        unit = np.where(x >= 2**m, 2 ** (n - m), 1)
        return x // unit * unit

    return segment(a) * segment(b)


def fractions(x):
    """Position k of the leading one and the fraction f in x = 2^k (1 + f)."""
    k = leading(x)
    return k, (x - power(k)) / power(k)


def floored(product, a, b):
    return np.where((a > 0) & (b > 0), np.floor(product), 0).astype(np.int64)


def mitchell(a, b, n):
    (ka, fa), (kb, fb) = fractions(a), fractions(b)
    scale, total = power(ka + kb).astype(np.float64), fa + fb
    return floored(np.where(total < 1, scale * (1 + total), 2 * scale * total), a, b)


def mbm(a, b, n, t):
    def truncate(f):
        kept = n - 1 - t
        return np.floor(f * 2**kept) / 2**kept + (0 if t == 0 else (1 - np.floor(f * 2**kept) % 2) / 2**kept)

    (ka, fa), (kb, fb) = fractions(a), fractions(b)
    scale, total = power(ka + kb).astype(np.float64), truncate(fa) + truncate(fb)
    product = np.where(total < 1, scale * (1 + total + 5 / 64), 2 * scale * (total + 5 / 128))
    return floored(np.minimum(product, 2.0 ** (2 * n) - 1), a, b)


def almsoa(a, b, n, m):
    """On logarithms as integers in units of 2^-(n - 1)."""

    def log(x):
        k, f = fractions(x)
        return (k * 2 ** (n - 1) + f * 2 ** (n - 1)).astype(np.int64)

    la, lb = log(a), log(b)
    carry = bit(la, m - 1) & bit(lb, m - 1)
    total = ((la >> m) + (lb >> m) + carry) * 2**m + 2**m - 1
    exponent, f = total >> (n - 1), total % 2 ** (n - 1) / 2 ** (n - 1)
    return floored(2.0**exponent * (1 + f), a, b)


def ilm(a, b, n, ecc):
    total = np.zeros_like(a)
    for _ in range(ecc + 1):
        a_power, b_power = (np.where(x > 0, power(leading(x)), 0) for x in (a, b))
        term = a_power * b_power + (a - a_power) * b_power + (b - b_power) * a_power
        total = total + np.where((a > 0) & (b > 0), term, 0)
        a, b = a - a_power, b - b_power
    return total


def roba(a, b, n):
    def nearest(x):
        candidates = 1 << np.arange(n + 1)
        distance = np.abs(x[..., None] - candidates)
        best = candidates[n - distance[..., ::-1].argmin(axis=-1)]
        return np.where(x == 3, 2, np.where(x == 0, 0, best))

    return nearest(a) * b + nearest(b) * a - nearest(a) * nearest(b)


def tosam(a, b, n, h, t):
    def long(f):
        return np.floor(f * 2**t) / 2**t

    def short(f):
        return np.floor(f * 2**h) / 2**h + 2.0 ** -(h + 1)

    (ka, fa), (kb, fb) = fractions(a), fractions(b)
    return floored(2.0 ** (ka + kb) * (1 + long(fa) + long(fb) + short(fa) * short(fb)), a, b)


def momeni_one(x, side):
    """(sum, carry, carry to the side) of design 1; None stands for a constant 0."""
    equal = (1 - (x[0] ^ x[1])) | (1 - (x[2] ^ x[3]))
    return equal if side is None else equal & (1 - side), side, (x[0] | x[1]) & (x[2] | x[3])


def momeni_two(x, _):
    return (1 - (x[0] ^ x[1])) | (1 - (x[2] ^ x[3])), (x[0] | x[1]) & (x[2] | x[3]), None


def venkatachalam(x, _):
    return (x[0] ^ x[1]) | (x[2] ^ x[3]) | (x[0] & x[1] & x[2] & x[3]), (x[0] & x[1]) | (x[2] & x[3]), None


def full_adder(x):
    return sum(x) & 1, sum(x) >> 1


def compressor_tree(compressor):
    """The stages of `laxity.circuits.compressors`, as its documentation orders them, on arrays of bits."""

    def multiply(a, b, n, columns):
        heap = [[bit(a, c - j) * bit(b, j) for j in range(n) if 0 <= c - j < n] for c in range(2 * n)]
        while max(map(len, heap)) > 2:
            below, heap = heap, [[] for _ in heap] + [[]]
            side = []
            for c, bits in enumerate(below):
                fours = len(bits) // 4 if c < columns else 0
                sides, side = side + [None] * (fours - len(side)), []
                for r in range(fours):
                    total, carry, across = compressor(bits[4 * r : 4 * r + 4], sides[r])
                    heap[c].append(total)
                    heap[c + 1] += [] if carry is None else [carry]
                    side += [] if across is None else [across]
                heap[c] += sides[fours:]
                rest = bits[4 * fours :]
                for r in range(len(rest) // 3):
                    total, carry = full_adder(rest[3 * r : 3 * r + 3])
                    heap[c].append(total)
                    heap[c + 1].append(carry)
                heap[c] += rest[len(rest) // 3 * 3 :]
            heap = heap[: 2 * n]
        return sum((x << c for c, bits in enumerate(heap) for x in bits), np.zeros_like(a))

    return multiply


def booth_signed(approximation):
    """Two's complement product by rows of bits; `approximation` makes those of the lowest columns."""

    def multiply(a, b, n, columns=0):
        total = np.zeros_like(a)
        for i in range((n + 1) // 2):
            high, middle, low = bit(b, 2 * i + 1), bit(b, 2 * i), bit(b, 2 * i - 1)
            digit = middle + low - 2 * high
            ones = np.where(digit < 0, 1, 0)
            exact = a * digit - ones  # the bits to which the correction of negative digits is added
            row = exact >> max(columns - 2 * i, 0) << max(columns - 2 * i, 0)
            for j in range(columns - 2 * i):
                row = row + (approximation(middle ^ low, high ^ bit(a, j)) << j)
            total = total + ((row + ones) << (2 * i))
        return total

    return multiply


def booth_unsigned(approximation):
    def multiply(a, b, n, columns=0):
        return booth_signed(approximation)(a, b, n + 1, columns).clip(0, 2 ** (2 * n) - 1)

    return multiply


def single_only(one, flipped):
    return one & flipped


def always(_, flipped):
    return flipped


def roup_signed(a, b, n, p, r):
    def nearest(x, unit):
        return np.floor(x / unit + 0.5).astype(np.int64) * unit

    return nearest(a, 2**r) * nearest(b, 4**p)


def exact(a, b, n):
    return a * b


UNSIGNED = {
    "almsoa": almsoa,
    "array": exact,
    "bam": bam,
    "booth": exact,
    "boothi": booth_unsigned(single_only),
    "boothii": booth_unsigned(always),
    "coltrunc": coltrunc,
    "coltruncc": coltruncc,
    "coltruncv": coltruncv,
    "dadda": exact,
    "drum": drum,
    "dsm": dsm,
    "gated": gated,
    "gatedcol": coltrunc,
    "ilm": ilm,
    "letam": letam,
    "mbm": mbm,
    "mitchell": mitchell,
    "momenione": compressor_tree(momeni_one),
    "momenitwo": compressor_tree(momeni_two),
    "optrunc": optrunc,
    "perf": perf,
    "roba": roba,
    "roup": lambda a, b, n, p, r: np.minimum(roup_signed(a, b, n, p, r), 2 ** (2 * n) - 1),
    "ssm": ssm,
    "tosam": tosam,
    "udm": udm,
    "venka": compressor_tree(venkatachalam),
    "wallace": exact,
}
"""Families by name, on unsigned operands."""

SIGNED = {
    "booth": exact,
    "boothi": booth_signed(single_only),
    "boothii": booth_signed(always),
    "roup": roup_signed,
}
"""Families that are signed by themselves, on two's complement operands; all others go by sign and magnitude."""


def products(family, a, b, n, parameters, *, signed):
    """What the multiplier must give for operand values."""
    if signed and family in SIGNED:
        return SIGNED[family](a, b, n, *parameters)
    sign = np.where(a < 0, -1, 1) * np.where(b < 0, -1, 1)
    return sign * UNSIGNED[family](np.abs(a), np.abs(b), n, *parameters)
