"""README.txt of a written accelerator."""

from __future__ import annotations

from laxity.rtl.accelerator.verilog import Design, table_module

_TEXT = """Accelerator of {rows} x {columns} processing elements, written by laxity for one integer-only network.

  rtl/      synthesisable Verilog-2005, one module per file; the top module is accelerator
  memory/   contents of memories, and the vectors of the test bench
  bench/    test bench, and product tables that replace the netlists in simulation
  accelerator.json   configuration, widths, cycles and accesses per step

Simulate, in the folder memory/ (memories are read from there):

  iverilog -g2005 -Wall -DSIM_TABLE -o bench.vvp ../rtl/*.v ../bench/*.v && vvp bench.vvp

Without -DSIM_TABLE (and with bench.v alone from bench/) the multipliers are simulated gate by gate, which is slower.
For each step the bench prints: its number; codes compared, and how many differ; sums compared, and how many differ;
cycles. Then the integers of the result, compared and different, and PASS or FAIL. Or, from Python:

  from pathlib import Path
  from laxity.rtl.accelerator import simulate
  simulate(Path(".."))

Synthesise, in the folder memory/:

  yosys -p "read_verilog -defer ../rtl/*.v; hierarchy -check -top accelerator; synth_ecp5 -json accelerator.json"

Interface. One clock, synchronous reset, two streams with tdata, tvalid, tready and tlast.
An image is sent in {in_words} beats of {rows} codes of {beat_bits} bits, the first in the low bits: blocks of {rows}
channels outermost, then rows, then columns; lanes beyond the last channel are ignored.
The result leaves in {results} beats of one 32-bit integer: channel blocks outermost, then rows, then columns, then the
channels of the block.
An image takes {cycles} cycles from its last input beat to its result, in which no input is taken.
framing_error tells that tlast came at another beat than the last; the image counts by its beats all the same.

Product tables for simulation: {tables}.
"""


def readme_text(design: Design) -> str:
    """How to simulate, synthesise and connect an accelerator."""
    p, planned = design.parameters, design.schedule
    result = planned.layout.places[planned.program.output.name]
    return _TEXT.format(
        rows=p["ROWS"],
        columns=p["COLUMNS"],
        in_words=p["IN_WORDS"],
        beat_bits=p["BEAT_BITS"],
        results=result.channels * result.area,
        cycles=planned.cycles,
        tables=", ".join(f"bench/{table_module(core)}.v" for core in design.cores),
    )
