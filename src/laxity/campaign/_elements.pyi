"""Types of the compiled module; see `laxity.campaign.placed`."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

INTERFACE: int

Pair = tuple[int, int]
Numbers = npt.NDArray[np.int64]
Entries = npt.NDArray[np.int32]

class Layer:
    """One layer on the array.

    Raises:
        ValueError: sizes do not fit each other, or a number is out of range; of every method too.
    """

    def __init__(
        self,
        weight_stationary: bool,
        array: Pair,
        map: tuple[int, int, int],  # noqa: A002
        kernel: Pair,
        stride: Pair,
        dilation: Pair,
        margins: tuple[int, int, int, int],
        positions: Pair,
        codes: Pair,
    ) -> None: ...
    def add_group(self, outputs: int, first_block: int, weights: Entries) -> None:
        """Outputs that columns work on together; weight codes (columns, channels, taps), counted from the least."""

    def run(
        self,
        maps: npt.NDArray[np.float32],
        quantiser: tuple[float, ...],
        row: Numbers,
        column: Numbers,
        table: Numbers,
        tables: Sequence[Entries],
        used: Sequence[npt.NDArray[np.uint8]],
        out: Entries,
    ) -> None:
        """Add to `out` (samples, groups, positions), zeros before."""
