"""How fast the compiled kernels are, as measured, and what follows for the choice among them.

Rates are billions of products per second and core on an AMD Zen 4 (3.7 GHz), quantising and scaling included, for a
3x3 layer with 64 inputs and outputs at 28x28; cycles are fitted to layers of many shapes. Only their ratios matter.
"""

from __future__ import annotations

from laxity.kernels.layout import Entries, Layout

_LOW_RANK = {"avx512": 200.0, "avx2": 50.0, "portable": 7.0}
"""One term; more terms take proportionally longer."""

_LOOK_UP: dict[str, dict[Entries, dict[tuple[int, int], float]]] = {
    "avx512": {
        Entries.UP_TO_64: {(1, 6): 83, (1, 7): 82, (1, 8): 78, (2, 6): 59, (2, 7): 59, (2, 8): 47},
        Entries.UP_TO_128: {(1, 6): 74, (1, 7): 75, (1, 8): 71, (2, 6): 50, (2, 7): 50, (2, 8): 46},
        Entries.UP_TO_256: {(1, 6): 37, (1, 7): 53, (1, 8): 51, (2, 6): 19, (2, 7): 30, (2, 8): 29},
        Entries.SIGN_MAGNITUDE: {(1, 6): 62, (1, 7): 66, (1, 8): 58, (2, 6): 25, (2, 7): 35, (2, 8): 34},
    },
    "avx2": {
        Entries.UP_TO_64: {(1, 6): 29, (1, 7): 27, (1, 8): 27, (2, 6): 17, (2, 7): 16, (2, 8): 15},
        Entries.UP_TO_128: {(1, 6): 16, (1, 7): 16, (1, 8): 15, (2, 6): 9.3, (2, 7): 8.9, (2, 8): 8.4},
        Entries.UP_TO_256: {(1, 6): 8.6, (1, 7): 8.5, (1, 8): 8.4, (2, 6): 4.8, (2, 7): 4.8, (2, 8): 4.6},
        Entries.SIGN_MAGNITUDE: {(1, 6): 14, (1, 7): 14, (1, 8): 13, (2, 6): 8.0, (2, 7): 8.0, (2, 8): 7.7},
    },
}
_PORTABLE = 1.6

_GIGAHERTZ, _BLOCK, _TILE = 3.7, 64, 256
_STATIONARY = {"avx512": (10.0, 5.4), "avx2": (6.0, 49.0), "portable": (0.0, 148.0)}
"""Cycles per pair of codes for a tile of 256 entries, and for each of its blocks of 64 outputs."""


def low_rank_rate(level: str, terms: int) -> float:
    """Billions of products per second of a table of `terms` byte terms."""
    return _LOW_RANK[level] / max(1, terms)


def look_up_rate(level: str, layout: Layout) -> float:
    """Billions of products per second of look-up with few activations at rest; pairs of planes follow each other."""
    if level not in _LOOK_UP:
        return _PORTABLE / -(-layout.planes // 2)
    rates = _LOOK_UP[level][layout.entries]
    pairs, single = divmod(layout.planes, 2)
    seconds = pairs / rates[2, layout.bits if pairs == 1 else 8] + single / rates[1, layout.bits if not pairs else 8]
    return 1.0 / seconds


def stationary_wins(level: str, layout: Layout, entries: Entries, positions: int, outputs: int, zeros: float) -> bool:
    """Whether looking up all weights of one activation is faster than looking up all activations of one weight.

    Args:
        level: instruction set.
        layout: of the table for weights at rest.
        entries: of the table for activations at rest.
        positions: output positions of the call.
        outputs: outputs per group.
        zeros: fraction of activations that need no look-up.
    """
    start, each = _STATIONARY[level]
    each *= {Entries.UP_TO_64: 0.55, Entries.UP_TO_128: 0.65}.get(entries, 1.0)
    whole, rest = divmod(outputs, _TILE)
    tiles = whole * (start + 4 * each) + (start + -(-rest // _BLOCK) * each if rest else 0.0)
    at_rest = positions * (1.0 - zeros) * tiles
    # A tile of few positions takes as long as one of a whole block.
    lanes = -(-positions // _BLOCK) * _BLOCK
    streaming = outputs * lanes * _GIGAHERTZ / look_up_rate(level, layout)
    return at_rest < streaming
