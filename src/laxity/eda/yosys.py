"""Yosys: scripts over files, cell counts out of the netlists that it writes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from laxity.eda.run import Finished, Progress, ToolRunError, run
from laxity.eda.tools import Tool, find

MEMORY_BYTES = 4 << 30
"""Memory that Yosys may use unless the caller says otherwise."""

TIMEOUT_S = 300.0
"""Time that a script may take unless the caller says otherwise."""

_SCRIPT, _LOG = "script.ys", "yosys.log"


def yosys(
    script: str,
    files: Mapping[str, bytes],
    wanted: Sequence[str],
    timeout_s: float = TIMEOUT_S,
    *,
    memory_bytes: int | None = MEMORY_BYTES,
    progress: Progress | None = None,
    shown: Mapping[str, str] | None = None,
    tool: Tool | None = None,
) -> Finished:
    """Run a Yosys script.

    Read results from files (``write_json``, ``tee -o``), not from what is printed: ABC inside the WebAssembly build
    loses it.

    Args:
        script: commands, one per line; file names in it are keys of `files` or of `wanted`, all in one folder.
        files: contents by file name.
        wanted: files that the script writes.
        timeout_s: wall-clock limit.
        memory_bytes: limit on memory; None for none.
        progress: told when Yosys has to be prepared first.
        shown: the user's name of a file, for messages, by its name in `files`.
        tool: which Yosys; found if None.

    Raises:
        ToolInputError: Yosys found an error in the files; with the user's file and line where it names them.
        ToolRunError: as `laxity.eda.run.run`.
        ToolError: Yosys is missing or too old.
    """
    found = tool or find("yosys")
    content = {**files, _SCRIPT: script.encode("ascii")}
    arguments = ["-q", "-l", _LOG, "-s", _SCRIPT]
    return run(found, arguments, content, wanted, timeout_s, memory_bytes, progress, shown)


def read_netlist(content: bytes) -> dict[str, Any]:
    """The document that ``write_json`` wrote.

    Raises:
        ToolRunError: it is not such a document.
    """
    try:
        document = json.loads(content)
    except ValueError as error:
        raise ToolRunError(f"yosys wrote a netlist that is not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("modules"), dict):
        raise ToolRunError("yosys wrote a netlist without modules")
    return document


def cell_counts(netlist: Mapping[str, Any], module: str) -> dict[str, int]:
    """Number of instances of each cell type in one module, without looking inside them, sorted by type."""
    cells = netlist["modules"][module]["cells"].values()
    return dict(sorted(Counter(cell["type"] for cell in cells).items()))
