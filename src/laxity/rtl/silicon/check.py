"""Simulation of the mapped accelerator against its vectors: the simulator that needs nothing but Yosys."""

from __future__ import annotations

import time
from pathlib import Path

from laxity.circuits.cells import CellLibrary
from laxity.eda.run import Progress
from laxity.eda.store import Store
from laxity.rtl.accelerator.simulate import Simulation
from laxity.rtl.silicon.engine import Kind
from laxity.rtl.silicon.mapping import SiliconDesign, map_accelerator
from laxity.rtl.silicon.testbench import Trace, run_netlist
from laxity.rtl.silicon.vectors import Vectors, read_vectors


def simulate_gates(
    folder: Path,
    *,
    images: int | None = None,
    library: CellLibrary | None = None,
    pauses: bool = True,
    kind: Kind = "auto",
    store: Store | None = None,
    progress: Progress | None = None,
) -> Simulation:
    """Map an accelerator to cells and run the mapped netlist on its vectors.

    Args:
        folder: from `laxity.rtl.accelerator.write_accelerator`.
        images: of the vectors, the first so many; all if None.
        library: cells; the built-in 45 nm table if None.
        pauses: both streams pause now and then.
        kind: of the engine that simulates.
        store: where mapped netlists are kept; the user's if None.
        progress: told what takes long.

    Raises:
        ToolError: Yosys is missing or too old, or the engine is not installed.
        ToolRunError: Yosys failed.
        RunError: the folder holds no accelerator.
        DataError: its vectors do not fit it.
    """
    vectors = read_vectors(folder, images)
    design = map_accelerator(folder, library, store=store, progress=progress)
    start = time.monotonic()
    trace = run_netlist(design.netlist, vectors, pauses=pauses, kind=kind)
    return as_simulation(trace, design, vectors, time.monotonic() - start)


def as_simulation(trace: Trace, design: SiliconDesign, vectors: Vectors, time_s: float) -> Simulation:
    """A trace in the form that all simulators share."""
    wrong = trace.wrong_results + sum(s.wrong_codes + s.wrong_sums for s in trace.steps)
    passed = not wrong and not trace.errors
    said = f"PASS {vectors.images} images"
    if not passed:
        said = "; ".join([f"FAIL {vectors.images} images: {wrong} integers differ", *trace.errors])
    return Simulation(
        f"cells of {design.library.name}, mapped by {design.tool}",
        vectors.images,
        trace.steps,
        trace.results,
        trace.wrong_results,
        passed,
        said,
        time_s,
    )
