"""The definition of every step of an integer-only program, in numpy: slow, plain, and independent of the emulator."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from laxity.core.errors import CircuitError, DataError, PlanError
from laxity.core.program import (
    INPUT,
    Add,
    Code,
    CodeArray,
    Concatenate,
    MultiplierUse,
    Pad,
    Pool,
    Product,
    Program,
    Register,
    Rescale,
    Slice,
    Step,
    Window,
)

IntArray = NDArray[np.int64]
AdderFunction = Callable[[IntArray, IntArray], IntArray]
"""Sums of two arrays of unsigned words of the adder's width, of which the low bits count."""

SUMS = ":sums"
"""Ending of the names under which a trace holds the sums of a product step, before requantisation."""


def run_program(
    program: Program,
    codes: NDArray[np.integer],
    tables: Mapping[str, IntArray],
    adders: Mapping[str, AdderFunction] | None = None,
) -> dict[str, CodeArray]:
    """Run a program on a batch and keep all integers.

    Args:
        program: what to run.
        codes: of the input, integers (batch, *program.input_shape).
        tables: product table of every multiplier by its name, int64 (2**a_bits, 2**b_bits), indexed by bit patterns.
        adders: the adders of registers that are not exact, by name.

    Returns:
        int32 arrays (batch, ...) by name: ``"input"``, the result of every step, and for product steps under the name
        with ``":sums"`` behind it what is requantised.

    Raises:
        DataError: the codes have another shape or lie outside of their range.
        CircuitError: a table or an adder is missing, or a table is another one than the program was made with.
        PlanError: a sum lies outside of the bounds that the program states.
    """
    check_codes(codes, program)
    for use in program.multipliers:
        check_table(use, tables.get(use.name))
    trace: dict[str, CodeArray] = {INPUT: codes.astype(np.int32)}
    for step in program.steps:
        given = [trace[name].astype(np.int64) for name in step.inputs]
        code = program.code_of(step.inputs[0])
        if isinstance(step, Product):
            use = program.multiplier(step.multiplier)
            sums = _sums(step, given[0], code, use, tables[use.name], adders or {})
            _check_sums(step, sums)
            trace[step.name + SUMS] = sums.astype(np.int32)
            found = step.requantiser.apply(sums, axis=_output_axis(step, sums))
        else:
            found = _plain(step, given, code)
        trace[step.name] = found.astype(np.int32)
    return trace


def check_codes(codes: NDArray[np.integer], program: Program) -> None:
    """Raise unless an array can be the input of a program.

    Raises:
        DataError: it is not integer, has another shape, or holds codes outside of the range.
    """
    code, shape = program.input_code, program.input_shape
    if codes.dtype.kind not in "iu" or codes.ndim != len(shape) + 1 or codes.shape[1:] != shape:
        raise DataError(f"the program takes integer codes of shape (batch, {shape}), not {codes.dtype} {codes.shape}")
    if codes.size and (int(codes.min()) < code.low or int(codes.max()) > code.high):
        raise DataError(
            f"input codes {int(codes.min())}..{int(codes.max())} lie outside {code.low}..{code.high}; quantise the "
            "input with the program's input code"
        )


def check_table(use: MultiplierUse, table: IntArray | None) -> None:
    """Raise unless a table is that of a multiplier of a program.

    Raises:
        CircuitError: it is missing or another one.
    """
    if table is None:
        raise CircuitError(f"the program multiplies by {use.name!r}; give its product table")
    digest = hashlib.sha256(np.ascontiguousarray(table, "<i8").tobytes()).hexdigest()
    if table.shape != (1 << use.a_bits, 1 << use.b_bits) or digest != use.table_sha256:
        raise CircuitError(
            f"the table given for multiplier {use.name!r} is not the one of the program (SHA-256 {digest[:16]}, not "
            f"{use.table_sha256[:16]}); give the circuit that the program was made with"
        )


def _output_axis(step: Product, sums: IntArray) -> int:
    return sums.ndim - 1 if step.operation == "linear" else 1


def _check_sums(step: Product, sums: IntArray) -> None:
    rows = np.moveaxis(sums, _output_axis(step, sums), -1).reshape(-1, len(step.bias))
    if (rows < step.least_sums).any() or (rows > step.greatest_sums).any():
        raise PlanError(f"step {step.name!r} has sums outside of the bounds that the program states; make it again")


def _operands(codes: IntArray, shift: int, bits: int, signed: bool) -> tuple[IntArray, IntArray]:
    """Bit patterns that enter the circuit, and the signs that are applied outside."""
    shifted = codes << shift
    return (shifted % (1 << bits), np.ones_like(codes)) if signed else (abs(shifted), np.where(codes < 0, -1, 1))


def _sums(
    step: Product,
    codes: IntArray,
    code: Code,
    use: MultiplierUse,
    table: IntArray,
    adders: Mapping[str, AdderFunction],
) -> IntArray:
    """What a product step requantises, int64 in the shape of its result."""
    linear = step.operation == "linear"
    patches = (
        codes.reshape(math.prod(codes.shape[:-1]), 1, 1, codes.shape[-1])
        if linear
        else _patches(codes, step.window, code.zero, step.groups)
    )
    a, a_sign = _operands(patches, step.shifts[0], use.a_bits, use.a_signed)
    w, w_sign = _operands(step.weight.astype(np.int64), step.shifts[1], use.b_bits, use.b_signed)
    per_group = len(step.weight) // step.groups
    columns = []
    for output in range(len(step.weight)):
        group = output // per_group
        row, sign = w[output].reshape(-1), w_sign[output].reshape(-1)
        products = table[a[:, group], row] * a_sign[:, group] * sign >> step.product_shift
        total = _accumulated(products, step.register, adders)
        inputs = patches[:, group].sum(-1) << step.fraction_bits
        columns.append(total + int(step.bias[output]) - int(step.weight_zero[output]) * inputs)
    sums = np.stack(columns, 1)
    if linear:
        return sums[:, :, 0].reshape(*codes.shape[:-1], len(step.weight))
    return sums.reshape(len(codes), *step.shape)


def _patches(codes: IntArray, window: Window, outside: int, groups: int = 1) -> IntArray:
    """Windows as (batch, groups, positions, reduction), the reduction over channels, then kernel positions."""
    pairs = [(0, 0), (0, 0), *zip(window.before, window.after, strict=True)]
    padded = np.pad(codes, pairs, constant_values=outside)
    size = window.output_size(codes.shape[2:])
    taps = []
    for tap in itertools.product(*(range(k) for k in window.kernel)):
        parts = zip(tap, window.dilation, window.stride, size, strict=True)
        place = tuple(slice(t * d, t * d + s * (n - 1) + 1, s) for t, d, s, n in parts)
        taps.append(padded[(slice(None), slice(None), *place)])
    batch, channels = codes.shape[:2]
    positions, inputs = math.prod(size), channels // groups
    stacked = np.stack(taps, -1).reshape(batch, groups, inputs, positions, len(taps))
    return stacked.transpose(0, 1, 3, 2, 4).reshape(batch, groups, positions, inputs * len(taps))


def _accumulated(products: IntArray, register: Register | None, adders: Mapping[str, AdderFunction]) -> IntArray:
    """Sums over the last axis, by the register or exactly."""
    if register is None:
        return products.sum(-1)
    reduction = products.shape[-1]
    chain = register.chain or max(1, reduction)
    total = np.zeros(products.shape[:-1], np.int64)
    for start in range(0, reduction, chain):
        part = products[..., start : start + chain]
        if register.cuts:
            total += _signed(part.sum(-1), register.bits)
        else:
            total += _register_sum(part, register, adders)
    return total


def _register_sum(products: IntArray, register: Register, adders: Mapping[str, AdderFunction]) -> IntArray:
    bits, top = register.bits, (1 << (register.bits - 1)) - 1
    add = adders.get(register.adder)
    if add is None and not register.exact:
        raise CircuitError(f"the program adds by {register.adder!r}; give this adder")
    mask = (1 << bits) - 1
    state = np.zeros(products.shape[:-1], np.int64)
    for i in range(products.shape[-1]):
        product = _signed(products[..., i], bits)
        plain = state + product if register.exact or add is None else add(state & mask, product & mask)
        following = _signed(plain, bits)
        if register.overflow == "saturate":
            over = ((state < 0) == (product < 0)) & ((following < 0) != (state < 0))
            following = np.where(over, np.where(state < 0, -top - 1, top), following)
        state = following
    return state


def _signed(values: IntArray, bits: int) -> IntArray:
    """The low bits in two's complement."""
    low: IntArray = values & ((1 << bits) - 1)
    return low - ((low >> (bits - 1)) << bits)


def _plain(step: Step, given: list[IntArray], code: Code) -> IntArray:
    """Every step but products."""
    codes = given[0]
    shape = (len(codes), *step.shape)
    if isinstance(step, Add):
        return step.addition.apply(given[0], given[1])
    if isinstance(step, Rescale):
        return step.requantiser.apply(codes - code.zero)
    if isinstance(step, Pool):
        return _pooled(step, codes, code).reshape(shape)
    if isinstance(step, Pad):
        pairs = [(0, 0), *zip(step.before, step.after, strict=True)]
        return np.pad(codes, pairs, constant_values=code.zero)
    if isinstance(step, Slice):
        parts = zip(step.start, step.stride, step.shape, strict=True)
        return codes[(slice(None), *(slice(s, s + d * n, d) for s, d, n in parts))]
    if isinstance(step, Concatenate):
        return np.concatenate(given, 1 + step.axis)
    return codes.reshape(shape)


def _pooled(step: Pool, codes: IntArray, code: Code) -> IntArray:
    outside = code.low if step.requantiser is None else code.zero
    patches = _patches(codes, step.window, outside, codes.shape[1])
    if step.requantiser is None:
        return patches.max(-1)
    return step.requantiser.apply((patches - code.zero).sum(-1))
