"""Compiled modules of the package, which are there only where a compiler was found at installation."""

from __future__ import annotations

import importlib
from types import ModuleType

from laxity.core.errors import ToolError


def compiled_module(name: str, interface: int, what: str) -> ModuleType | None:
    """A compiled module, or None where laxity was installed without a compiler.

    Args:
        name: of the module, in full.
        interface: version of its functions that the caller speaks to; the module's ``INTERFACE``.
        what: the module in words.

    Raises:
        ToolError: the module belongs to another version of laxity.
    """
    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    if getattr(module, "INTERFACE", 0) != interface:
        raise ToolError(
            f"{what} at {module.__file__} is of another version of laxity; install laxity again, in a checkout by: "
            "pip install -e ."
        )
    return module
