"""Whether emulator, netlist and simulated Verilog of all multipliers agree on all operand pairs, and how long it takes.

For every named circuit of the catalogue, unsigned and signed: its product table and error metrics are computed from the
netlist; the kernel that layers use multiplies all pairs; and Icarus Verilog simulates the printed Verilog with its
exhaustive test bench, which compares with the table.

Usage: ``python benchmarks/circuits.py [--json] [--width N] [--jobs N] [--without-verilog]``
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass

import numpy as np
import torch

from laxity.circuits import catalogue
from laxity.circuits.metrics import operand_values
from laxity.circuits.verilog import to_verilog
from laxity.eda.run import run
from laxity.eda.tools import find
from laxity.emulate import matmul
from laxity.rtl.vectors import bench_text, vector_lines


@dataclass(frozen=True, slots=True)
class Row:
    """One circuit.

    Attributes:
        name: in the catalogue.
        pairs: operand pairs compared.
        table_s: time for the table and its error metrics.
        emulator_equal: the kernel of layers gives the table.
        emulator_s: time for that, analysis of the table included.
        verilog_equal: the simulated Verilog gives the table; None where it was not simulated.
        verilog_s: time of Icarus Verilog.
    """

    name: str
    pairs: int
    table_s: float
    emulator_equal: bool
    emulator_s: float
    verilog_equal: bool | None
    verilog_s: float


def check(name: str, *, verilog: bool) -> Row:
    """All comparisons of one circuit."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    multiplier = catalogue.get(name)
    multiplier.metrics()
    tabled = time.perf_counter()
    sides = ((multiplier.a_bits, multiplier.a_signed), (multiplier.b_bits, multiplier.b_signed))
    a, w = (torch.from_numpy(operand_values(*side).astype(np.int8 if side[1] else np.uint8)) for side in sides)
    equal = np.array_equal(matmul(a[:, None], w[None], multiplier).numpy(), multiplier.table)
    emulated = time.perf_counter()
    simulated = _simulate(name) if verilog else None
    end = time.perf_counter()
    return Row(
        name,
        multiplier.table.size,
        tabled - start,
        equal,
        emulated - tabled,
        simulated,
        end - emulated if verilog else 0,
    )


def _simulate(name: str) -> bool:
    """Whether the exhaustive test bench passes."""
    multiplier, circuit = catalogue.get(name), catalogue.circuit(name)
    bench = bench_text(multiplier, circuit).replace(f"vectors/{circuit.name}.hex", "vectors.hex")
    files = {
        "circuit.v": to_verilog(circuit).encode(),
        "bench.v": bench.encode(),
        "vectors.hex": vector_lines(multiplier, circuit.port("p").width).encode(),
    }
    compiled = run(find("iverilog"), ["-g2005", "-o", "bench", "circuit.v", "bench.v"], files, ["bench"], 300)
    done = run(
        find("vvp"), ["-n", "bench"], {"bench": compiled.outputs["bench"], "vectors.hex": files["vectors.hex"]}, [], 300
    )
    return done.stdout.startswith(f"PASS {circuit.name}: {multiplier.table.size} vectors")


def main() -> None:
    """Check all circuits and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--width", type=int, default=8, help="operand width; 8 if not given")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes; all cores if not given")
    parser.add_argument("--without-verilog", action="store_true", help="tables, metrics and emulator only")
    options = parser.parse_args()
    names = catalogue.names(options.width) + catalogue.names(options.width, signed=True)
    start = time.perf_counter()
    with ProcessPoolExecutor(options.jobs) as pool:
        tasks = [pool.submit(check, name, verilog=not options.without_verilog) for name in names]
        for i, task in enumerate(as_completed(tasks), start=1):
            print(f"{i} of {len(names)}: {task.result().name}", file=sys.stderr, flush=True)
        rows = [task.result() for task in tasks]
    summary = {
        "circuits": len(rows),
        "pairs": sum(row.pairs for row in rows),
        "emulator_equal": sum(row.emulator_equal for row in rows),
        "verilog_simulated": sum(row.verilog_equal is not None for row in rows),
        "verilog_equal": sum(bool(row.verilog_equal) for row in rows),
        "table_cpu_s": sum(row.table_s for row in rows),
        "emulator_cpu_s": sum(row.emulator_s for row in rows),
        "verilog_cpu_s": sum(row.verilog_s for row in rows),
        "wall_s": time.perf_counter() - start,
        "jobs": options.jobs,
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "summary": summary}))
    else:
        for key, value in summary.items():
            print(f"{key:20} {value:.1f}" if isinstance(value, float) else f"{key:20} {value}")
    bad = [row.name for row in rows if not row.emulator_equal or row.verilog_equal is False]
    if bad:
        raise SystemExit(f"not equal: {', '.join(bad)}")


if __name__ == "__main__":
    main()
