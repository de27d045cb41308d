"""Netlists that look after sums, against Python's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from laxity.circuits import guards
from laxity.circuits.netlist import Circuit
from laxity.circuits.simulate import evaluate
from laxity.core.errors import CircuitError

BITS = 5
HALF, SIZE = 1 << (BITS - 1), 1 << BITS


def run(circuit: Circuit, inputs: dict[str, np.ndarray], output: str) -> np.ndarray:
    return np.asarray(evaluate(circuit, inputs)[output])


def signed(words: np.ndarray) -> np.ndarray:
    return np.where(words >= HALF, words - SIZE, words)


def every(count: int) -> list[np.ndarray]:
    """All combinations of so many words of `BITS` bits."""
    return [grid.ravel() for grid in np.meshgrid(*[np.arange(SIZE)] * count, indexing="ij")]


def test_limiter() -> None:
    value, low, high = every(3)
    found = run(guards.limiter(BITS), {"value": value, "low": low, "high": high}, "r")
    sensible = signed(low) <= signed(high)
    wanted = np.clip(signed(value), signed(low), np.maximum(signed(low), signed(high)))
    assert np.array_equal(signed(found)[sensible], wanted[sensible])


def test_interval() -> None:
    first, second, low = every(3)
    for high in (0, 3, HALF - 1, HALF, SIZE - 1):
        words = {"first": first, "second": second, "low": low, "high": np.full_like(first, high)}
        residual = (first - second + HALF) % SIZE - HALF
        wanted = (residual < signed(low)) | (residual > int(signed(np.array(high))))
        assert np.array_equal(run(guards.interval(BITS), words, "alarm") == 1, wanted)


def test_difference_vote_and_adder() -> None:
    first, second, third = every(3)
    two = {"first": first, "second": second}
    assert np.array_equal(run(guards.difference(BITS), two, "alarm") == 1, first != second)
    assert np.array_equal(run(guards.adder(BITS), two, "s"), (first + second) % SIZE)
    majority = (first & second) | (first & third) | (second & third)
    assert np.array_equal(run(guards.vote(BITS), {**two, "third": third}, "r"), majority)


def test_product_of_unequal_widths() -> None:
    a, b = (grid.ravel() for grid in np.meshgrid(np.arange(8), np.arange(64), indexing="ij"))
    assert np.array_equal(run(guards.product(3, 6), {"a": a, "b": b}, "p"), a * b)


@pytest.mark.parametrize("make", [guards.limiter, guards.interval, guards.difference, guards.vote, guards.adder])
def test_widths(make: object) -> None:
    for bits in (1, 63):
        with pytest.raises(CircuitError, match=f"{bits} bits"):
            make(bits)  # type: ignore[operator]
