"""Clock cycles of one pass of the systolic array that laxity writes, in closed form.

With T tiles of the reduction, M positions, R rows, C columns, W = max(1, C / R) words per group of sums, and
G = ceil(M / R) groups of positions, of which the last has L + 1::

    weight-stationary:  (T - 1) * max(M, R) + M * W + R + C + 9
    output-stationary:  (G - 1) * max(T, 2) * R + (T - 1) * R + 2 * L + W + R + C + 8

A weight-stationary array needs M cycles per tile, but R to read the weights of its rows; while one tile is worked on,
the weights of the next are loaded, and sums of the last tile leave one position every W cycles. An output-stationary
array needs R cycles per tile and group, and results leave in 2 R cycles. The constants are the way through fetching,
address, memory, array and post-processing; a pass begins when the one before has been written.

The schedule of the accelerator counts with these, its simulation confirms them, and targets price with them.
"""

from __future__ import annotations


def words_per_group(rows: int, columns: int) -> int:
    """Words of as many lanes as rows that the sums of all columns fill; 1 also where they fill a part of one."""
    return max(1, columns // rows)


def weight_stationary_cycles(tiles: int, positions: int, rows: int, columns: int) -> int:
    """Cycles of one pass with resting weights (module documentation)."""
    return (tiles - 1) * max(positions, rows) + positions * words_per_group(rows, columns) + rows + columns + 9


def output_stationary_cycles(tiles: int, positions: int, rows: int, columns: int) -> int:
    """Cycles of one pass with resting sums (module documentation)."""
    groups, last = -(-positions // rows), (positions - 1) % rows
    waiting = (groups - 1) * max(tiles, 2) * rows + (tiles - 1) * rows + 2 * last
    return waiting + words_per_group(rows, columns) + rows + columns + 8
