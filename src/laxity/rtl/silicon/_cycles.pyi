"""Types of the compiled module; arrays are shared, see `laxity.rtl.silicon.engine`."""

import numpy as np
import numpy.typing as npt

INTERFACE: int

class Engine:
    def __init__(
        self,
        groups: npt.NDArray[np.int32],
        pins: npt.NDArray[np.int32],
        next: npt.NDArray[np.int32],  # noqa: A002
        first_flip_flop: int,
        nets: npt.NDArray[np.uint64],
        toggles: npt.NDArray[np.int64],
        mask: npt.NDArray[np.uint64],
    ) -> None: ...
    def add_memory(
        self,
        address: npt.NDArray[np.int32],
        data: npt.NDArray[np.int32],
        words: npt.NDArray[np.uint64],
        last: npt.NDArray[np.uint64],
        stale: npt.NDArray[np.uint64],
        reads: npt.NDArray[np.int64],
    ) -> None: ...
    def add_write(
        self,
        enable: npt.NDArray[np.int32],
        address: npt.NDArray[np.int32],
        data: npt.NDArray[np.int32],
        writes: npt.NDArray[np.int64],
    ) -> None: ...
    def settle(self) -> None: ...
    def clock(self) -> None: ...
