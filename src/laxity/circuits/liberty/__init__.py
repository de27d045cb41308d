"""Liberty files: read by an own strict parser, and reduced to a cell table. Nothing in them is executed."""

from __future__ import annotations

from pathlib import Path

from laxity.circuits.cells import CellLibrary
from laxity.circuits.liberty.reduce import LOAD_INVERTERS, SLEW_PS, reduce_library
from laxity.circuits.liberty.syntax import MAX_BYTES, Group, parse
from laxity.core.errors import CircuitError

__all__ = ["LOAD_INVERTERS", "SLEW_PS", "Group", "load_liberty", "parse", "read_liberty", "reduce_library"]


def load_liberty(path: Path, slew_ps: float = SLEW_PS) -> CellLibrary:
    """Read a Liberty file as a cell library.

    Args:
        path: the file.
        slew_ps: input slew at which its tables are read.

    Raises:
        CircuitError: as `read_liberty`; or the file cannot be read, or is too large.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CircuitError(f"{path} has more than {MAX_BYTES >> 20} MiB; give the Liberty file of one corner")
        content = path.read_bytes()
    except OSError as error:
        raise CircuitError(f"cannot read Liberty file {path}: {error.strerror}; check the path") from error
    return read_liberty(content.decode("utf-8", errors="replace"), str(path), slew_ps)


def read_liberty(text: str, where: str, slew_ps: float = SLEW_PS) -> CellLibrary:
    """Parse and reduce the text of a Liberty file; `where` names it in messages.

    Raises:
        CircuitError: it breaks the syntax, or lacks units, a needed cell, the flip-flop or a figure; the message names
            file and line.
    """
    return reduce_library(parse(text, where), where, slew_ps)
