"""Pareto fronts of minimised objectives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def front(items: Sequence[T], objectives: Callable[[T], tuple[float, ...]]) -> list[T]:
    """Items that no other item beats in one objective without losing in another, sorted by the first objective.

    Of items with equal objectives the first is kept.
    """
    kept: list[tuple[tuple[float, ...], T]] = []
    for values, item in sorted(((objectives(i), i) for i in items), key=lambda pair: pair[0]):
        if not any(all(a <= b for a, b in zip(other, values, strict=True)) for other, _ in kept):
            kept.append((values, item))
    return [item for _, item in kept]
