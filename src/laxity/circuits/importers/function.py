"""Multipliers given as Python functions, through the programming interface only: no file names a function to call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from laxity.circuits.importers.importer import IntArray
from laxity.circuits.importers.npy import MAX_PRODUCT
from laxity.circuits.metrics import operand_values
from laxity.circuits.multiplier import Multiplier
from laxity.circuits.simulate import MAX_TABLE_BITS
from laxity.core.errors import CircuitError
from laxity.core.seeds import stream

Function = Callable[[Any, Any], Any]

_PROBES = 64


def from_function(
    function: Function,
    a_bits: int,
    b_bits: int,
    *,
    signed: bool = False,
    a_signed: bool | None = None,
    b_signed: bool | None = None,
    vectorised: bool | None = None,
    name: str = "",
) -> Multiplier:
    """Make the product table of a function of two operand values by calling it for every pair.

    Args:
        function: called as function(a, b); a and b are the operand values, so negative ones where signed.
        a_bits: width of operand a, the activation.
        b_bits: width of operand b, the weight.
        signed: both operands are two's complement.
        a_signed: operand a is two's complement; as `signed` if not given.
        b_signed: likewise for b.
        vectorised: the function takes int64 arrays and returns integers of their shape; if False it is called once
            per pair with Python integers; if not given, arrays are tried and compared with some single calls.
        name: name of the multiplier; that of the function if not given.

    Raises:
        CircuitError: the operands are too wide for a table, or a result is no integer or too large; names the pair.
    """
    title = name or getattr(function, "__name__", "function").strip("<>")
    if a_bits < 1 or b_bits < 1 or a_bits + b_bits > MAX_TABLE_BITS:
        raise CircuitError(
            f"{title!r} has operands of {a_bits} and {b_bits} bits; use 2..{MAX_TABLE_BITS} bits together"
        )
    signs = (signed if a_signed is None else a_signed, signed if b_signed is None else b_signed)
    a, b = operand_values(a_bits, signs[0]), operand_values(b_bits, signs[1])
    table = None if vectorised is False else _vectorised(function, a, b, title, required=vectorised is True)
    if table is None:
        table = np.array([[_single(function, x, y, title) for y in b.tolist()] for x in a.tolist()], dtype=np.int64)
    return Multiplier(title, a_bits, b_bits, *signs, table, None, "function")


def _vectorised(function: Function, a: IntArray, b: IntArray, title: str, *, required: bool) -> IntArray | None:
    """Results for all pairs by one call; None where the function cannot do that and need not."""
    grid = np.broadcast_arrays(a[:, None], b[None, :])
    try:
        results = np.asarray(function(grid[0].copy(), grid[1].copy()))
    except Exception as error:  # a function for single numbers may fail on arrays in any way
        if required:
            raise CircuitError(f"{title!r} fails on arrays ({error}); leave vectorised out, or mend it") from error
        return None
    if required:
        return _checked(results, grid[0].shape, title)
    if results.shape != grid[0].shape or results.dtype.kind not in "iu":
        return None
    probes = stream(0, "function probes", title).integers(0, results.size, _PROBES).tolist()
    pairs = [(int(grid[0].flat[i]), int(grid[1].flat[i]), int(results.flat[i])) for i in probes]
    return (
        _checked(results, grid[0].shape, title)
        if all(_single(function, x, y, title) == r for x, y, r in pairs)
        else None
    )


def _checked(results: np.ndarray, shape: tuple[int, ...], title: str) -> IntArray:
    if results.shape != shape or results.dtype.kind not in "iub":
        raise CircuitError(f"{title!r} returned {results.dtype} {results.shape}; return integers of shape {shape}")
    if results.dtype.kind != "b" and (int(results.min()) < -MAX_PRODUCT or int(results.max()) > MAX_PRODUCT):
        raise CircuitError(f"{title!r} returned {results.min()}..{results.max()}; products lie within +-{MAX_PRODUCT}")
    return results.astype(np.int64)


def _single(function: Function, a: int, b: int, title: str) -> int:
    result = function(a, b)
    integral = isinstance(result, int | np.integer) or (isinstance(result, np.ndarray) and result.dtype.kind in "iu")
    if not integral or np.size(result) != 1 or abs(int(result)) > MAX_PRODUCT:
        raise CircuitError(f"{title!r} returned {result!r} for ({a}, {b}); return one integer within +-{MAX_PRODUCT}")
    return int(result)
