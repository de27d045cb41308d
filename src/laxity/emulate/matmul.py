"""Matrix products of integer codes under any multiplier with a table: the interface for other programs."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from laxity.circuits import Multiplier
from laxity.core.errors import CircuitError, DataError
from laxity.kernels import CodeRange, Products, exact_products, native, products_for
from laxity.kernels.analysis import IntArray, signed_table

_WIDEST = 8
_WORD = 64
_DIGIT = 24
_SMALL = 2**31
_LONGEST = 2**20
"""Products added at once: four times `_SMALL` each, which terms of products may be, they sum to 2**53 at most."""


def matmul(a: Tensor, w: Tensor, multiplier: Multiplier) -> Tensor:
    """Sums of table entries: ``out[m, n] = sum over k of table[a[m, k], w[k, n]]``, exact for any table.

    The kernel is the one that layers use for this multiplier. Inputs may have any strides and are not changed.

    Args:
        a: codes of the first operand (M, K): int8 where the multiplier takes it signed, else uint8.
        w: codes of the second operand (K, N), on the same device; int8 or uint8 likewise.
        multiplier: with a table, of at most 8 bits per operand.

    Returns:
        int64 (M, N), on the device of the operands.

    Raises:
        CircuitError: `multiplier` has no table, or takes more than 8 bits.
        DataError: an operand is no tensor, has another dtype, shape or device than described, or holds a code outside
            the declared width; or a sum exceeds 64 bits.
    """
    left, right = _ranges(multiplier)
    _check_operand(a, "a", multiplier.a_bits, multiplier.a_signed, left)
    _check_operand(w, "w", multiplier.b_bits, multiplier.b_signed, right)
    if a.shape[1] != w.shape[0]:
        raise DataError(f"a of shape {tuple(a.shape)} and w of shape {tuple(w.shape)} cannot be multiplied: K differs")
    if a.device != w.device:
        raise DataError(
            f"a of shape {tuple(a.shape)} is on {a.device} and w of shape {tuple(w.shape)} on {w.device}; "
            "move them to one device"
        )
    if not (a.numel() and w.numel()):
        return torch.zeros(a.shape[0], w.shape[1], dtype=torch.int64, device=a.device)
    a, w = a.detach(), w.detach()
    digits = [_sums(a, w, kernel) for kernel in _kernels(multiplier, left, right, native.level())]
    return digits[0] if len(digits) == 1 else _joined(digits)


def _ranges(multiplier: Multiplier) -> tuple[CodeRange, CodeRange]:
    if not isinstance(multiplier, Multiplier):
        raise CircuitError(
            f"a {type(multiplier).__name__} is no multiplier with a table; make one by Multiplier.from_table"
        )
    if max(multiplier.a_bits, multiplier.b_bits) > _WIDEST:
        raise CircuitError(
            f"multiplier {multiplier.name!r} takes operands of {multiplier.a_bits} and {multiplier.b_bits} bits; "
            f"products of codes have at most {_WIDEST} bits per operand"
        )
    return (
        _range(multiplier.a_bits, signed=multiplier.a_signed),
        _range(multiplier.b_bits, signed=multiplier.b_signed),
    )


def _range(bits: int, *, signed: bool) -> CodeRange:
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def _check_operand(codes: Tensor, name: str, bits: int, signed: bool, allowed: CodeRange) -> None:
    if not isinstance(codes, Tensor):
        raise DataError(f"{name} is a {type(codes).__name__}; give a torch.Tensor of codes")
    wanted = torch.int8 if signed else torch.uint8
    if codes.dtype != wanted or codes.dim() != 2 or codes.layout != torch.strided:
        raise DataError(
            f"{name} is {codes.dtype} of shape {tuple(codes.shape)}; the multiplier takes {wanted} of two dimensions, "
            f"strided, for this {'signed' if signed else 'unsigned'} operand"
        )
    if bits == _WIDEST or not codes.numel():
        return
    least, greatest = (int(v) for v in torch.aminmax(codes))
    if least < allowed[0] or greatest > allowed[1]:
        worst = least if least < allowed[0] else greatest
        raise DataError(
            f"{name}, {codes.dtype} of shape {tuple(codes.shape)}, holds code {worst}; the {bits}-bit "
            f"{'signed' if signed else 'unsigned'} operand takes {allowed[0]}..{allowed[1]}"
        )


@lru_cache(maxsize=64)
def _kernels(multiplier: Multiplier, left: CodeRange, right: CodeRange, level: str) -> tuple[Products, ...]:
    """One kernel where products are small; else one per digit of the products to the base 2**24, from low to high."""
    table = signed_table(multiplier, left, right)
    if int(table.min()) > -_SMALL and int(table.max()) < _SMALL:
        return (products_for(multiplier, left, right)[0],)
    return tuple(exact_products(digit, left, right) for digit in _digits(table))


def _digits(table: IntArray) -> list[IntArray]:
    """Digits of the products, all but the last non-negative."""
    found = []
    while not (int(table.min()) > -_SMALL and int(table.max()) < _SMALL):
        found.append(table & ((1 << _DIGIT) - 1))
        table = table >> _DIGIT
    return [*found, table]


def _sums(a: Tensor, w: Tensor, kernel: Products) -> Tensor:
    """Sums of products below 2**31, int64; kernels return at least whole numbers up to 2**53 exactly."""
    spans = zip(a.split(_LONGEST, 1), w.split(_LONGEST, 0), strict=True)
    parts = [kernel.matmul(x.to(torch.float32), y.to(torch.float32)).to(torch.int64) for x, y in spans]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _joined(digits: list[Tensor]) -> Tensor:
    """The number whose digits to the base 2**24 are the given sums, which may be of any size.

    Raises:
        DataError: it has more than 64 bits.
    """
    low = torch.zeros_like(digits[0])
    carry = torch.zeros_like(digits[0])
    for place, digit in enumerate(digits[:-1]):
        carry = carry + digit
        low = low | (carry & ((1 << _DIGIT) - 1)) << (_DIGIT * place)
        carry = carry >> _DIGIT
    shift = _DIGIT * (len(digits) - 1)
    top = carry + digits[-1]
    bound = 1 << (_WORD - 1 - shift)
    outside = (top < -bound) | (top >= bound)
    if bool(outside.any()):
        m, n = (int(i) for i in outside.nonzero()[0])
        raise DataError(
            f"the sum of products at row {m}, column {n} of shape {tuple(top.shape)} is outside -2**63..2**63 - 1, the "
            "range of int64; use a table with smaller entries or split the reduction"
        )
    return (top << shift) | low
