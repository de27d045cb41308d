"""An accelerator mapped to the cells of a library with Yosys.

Modules that are instantiated many times, elements and lanes among them, are mapped once and then copied; delays and the
like become part of the module around them, where constants are seen. Memories stay memories.

Adders of at most `RIPPLE_BITS` bits are chains of full adders, as in the elements of the cost models; wider ones, which
follow each other in the requantisation, have the parallel prefix of Yosys' own ``techmap``. What contains those is
mapped for speed, everything else for area, so that no module is much slower than the others.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from laxity.circuits.cells import CellLibrary, default_library
from laxity.circuits.synthesis.mapping import ABC_SCRIPT, ADDERS, genlib, library_key
from laxity.core.errors import CircuitError, RunError
from laxity.eda.run import Progress
from laxity.eda.store import Store, default_store, digest
from laxity.eda.tools import Tool, find
from laxity.eda.yosys import yosys
from laxity.rtl.accelerator.write import REPORT
from laxity.rtl.silicon.buffers import buffered
from laxity.rtl.silicon.netlist import Netlist
from laxity.rtl.silicon.reader import from_document, read_mapped, to_document

FLOW = "modules once, ripple to 32, extract_fa, abc amap, lanes abc map, buffers behind 16, 1"
"""Name and version of the flow; part of every cache key."""

RIPPLE_BITS = 32
"""Widest adder that is a chain of full adders."""

TIMEOUT_S = 3600.0
"""Time that Yosys may take."""

TOP = "accelerator"

KEPT = (
    "accumulators",
    "array",
    "controller",
    "engine",
    "pe",
    "post",
    "post_lane",
    "stream_in",
    "stream_out",
    "vector_lane",
    "walker",
)
"""Modules that are mapped by themselves."""

FAST = ("post_lane",)
"""Of them, those that are mapped for speed."""

OBSERVED = ("total", "total_valid")
"""Wires of the top module that become ports: sums before requantisation, which a simulation compares."""

_MODULE = re.compile(rf"^module ({'|'.join(KEPT)})\b", re.M)
_FAST_ABC = "strash; dch -f; map\n"

_RIPPLE = f"""
(* techmap_celltype = "$alu" *)
module laxity_ripple (A, B, CI, BI, X, Y, CO);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  input CI, BI;
  output [Y_WIDTH-1:0] X, Y, CO;
  wire _TECHMAP_FAIL_ = Y_WIDTH > {RIPPLE_BITS};
  wire [Y_WIDTH-1:0] a, b;
  wire [Y_WIDTH:0] carry;
  \\$pos #(.A_SIGNED(A_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_a (.A(A), .Y(a));
  \\$pos #(.A_SIGNED(B_SIGNED), .A_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_b (.A(B), .Y(b));
  assign carry[0] = CI;
  genvar i;
  generate
    for (i = 0; i < Y_WIDTH; i = i + 1) begin : bits
      wire second = b[i] ^ BI;
      assign X[i] = a[i] ^ second;
      assign Y[i] = X[i] ^ carry[i];
      assign carry[i+1] = (a[i] & second) | (carry[i] & X[i]);
    end
  endgenerate
  assign CO = carry[Y_WIDTH:1];
endmodule
"""
"""Techmap of an adder to gates in which Yosys finds a chain of full adders."""

_SCRIPT = """read_verilog -defer {sources}
hierarchy -check -top {top}
proc
expose {observed}
opt -nodffe -nosdff
memory_dff
memory_share
opt_clean
memory_collect
flatten
opt -full -nodffe -nosdff
wreduce
alumacc
opt -nodffe -nosdff
maccmap -unmap
techmap -map ripple.map
techmap
opt -full -nodffe -nosdff
extract_fa -fa -ha
opt_clean
techmap -map adders.map
techmap
dfflegalize -cell $_DFF_P_ x
opt -fast -nodffe -nosdff
abc -script map.abc -genlib cells.genlib A:laxity_fast %n
abc -script fast.abc -genlib cells.genlib A:laxity_fast
opt_clean -purge
setattr -mod -unset keep_hierarchy
flatten
opt_clean -purge
write_json out.json
"""


@dataclass(frozen=True, slots=True, eq=False)
class SiliconDesign:
    """An accelerator in cells.

    Attributes:
        netlist: gates, flip-flops and memories.
        library: that the cells are of.
        tool: name, version and provider of what mapped it.
        key: hash of everything that it was made of.
    """

    netlist: Netlist
    library: CellLibrary
    tool: str
    key: str


def map_accelerator(
    folder: Path, library: CellLibrary | None = None, *, store: Store | None = None, progress: Progress | None = None
) -> SiliconDesign:
    """Map a written accelerator to standard cells.

    Args:
        folder: from `laxity.rtl.accelerator.write_accelerator`.
        library: cells; the built-in 45 nm table if None.
        store: where mapped netlists are kept; the user's if None.
        progress: told what takes long.

    Raises:
        ToolError: Yosys is missing or too old.
        ToolRunError: Yosys failed, or what it made cannot be read.
        RunError: the folder holds no accelerator.
    """
    cells, tool, kept = library or default_library(), find("yosys"), store or default_store()
    files, sources = _files(folder)
    contents = {name: hashlib.sha256(text).hexdigest() for name, text in files.items()}
    key = digest("silicon", FLOW, _SCRIPT, contents, library_key(cells), tool.identity)
    known = _stored(kept, key)
    if known is None:
        if progress is not None:
            progress(f"{tool.identity} maps the accelerator to {cells.name}")
        known = _mapped(files, sources, cells, tool, progress)
        kept.write("silicon", key, to_document(known))
    return SiliconDesign(known, cells, tool.identity, key)


def _files(folder: Path) -> tuple[dict[str, bytes], list[str]]:
    """Sources and the memories that they read; names of the sources."""
    try:
        json.loads((folder / REPORT).read_bytes())
        sources = {p.name: p.read_bytes() for p in sorted((folder / "rtl").glob("*.v"))}
        memories = {name: (folder / "memory" / name).read_bytes() for name in _memories(sources)}
    except (OSError, ValueError) as error:
        raise RunError(f"{folder} holds no accelerator: {error}; write one with write_accelerator") from error
    if f"{TOP}.v" not in sources:
        raise RunError(f"{folder} holds no accelerator: rtl/{TOP}.v is missing; write one with write_accelerator")
    return {**sources, **memories}, list(sources)


def _memories(sources: Mapping[str, bytes]) -> list[str]:
    """Names of the files with contents of memories."""
    return sorted({name.decode() for text in sources.values() for name in re.findall(rb'"(\w+\.hex)"', text)})


def _mapped(
    files: Mapping[str, bytes], sources: list[str], library: CellLibrary, tool: Tool, progress: Progress | None
) -> Netlist:
    marked = {name: _MODULE.sub(_marked, files[name].decode("ascii", "replace")).encode() for name in sources}
    maps = {"ripple.map": _RIPPLE, "adders.map": ADDERS, "cells.genlib": genlib(library)}
    maps |= {"map.abc": ABC_SCRIPT, "fast.abc": _FAST_ABC}
    script = _SCRIPT.format(
        sources=" ".join(sources), top=TOP, observed=" ".join(f"{TOP}/w:{wire}" for wire in OBSERVED)
    )
    given = {**files, **marked, **{name: text.encode("ascii") for name, text in maps.items()}}
    done = yosys(script, given, ["out.json"], TIMEOUT_S, progress=progress, tool=tool)
    return buffered(read_mapped(done.outputs["out.json"], TOP))


def _marked(found: re.Match[str]) -> str:
    """A module with attributes for the script."""
    marks = "keep_hierarchy, laxity_fast" if found[1] in FAST else "keep_hierarchy"
    return f"(* {marks} *) module {found[1]}"


def _stored(store: Store, key: str) -> Netlist | None:
    document = store.read("silicon", key)
    try:
        return None if document is None else from_document(document)
    except (CircuitError, KeyError, TypeError, ValueError, IndexError):
        return None
