"""The compiled kernels: whether they are here, and which instruction set they use."""

from __future__ import annotations

import os
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from laxity.core.errors import ToolError

VARIABLE = "LAXITY_ISA"
"""Environment variable that names the instruction set: ``avx512|avx2|portable``, or ``torch`` for none."""


@cache
def compiled() -> ModuleType | None:
    """The compiled module, or None where laxity was installed without a compiler."""
    try:
        import laxity.kernels._native as module
    except ImportError:
        return None
    return module


@cache
def levels() -> tuple[str, ...]:
    """Instruction sets that this machine has and whose kernels pass their self-test, best first."""
    module = compiled()
    return () if module is None else tuple(module.levels())


def level() -> str:
    """The instruction set in use; ``torch`` where products are computed by torch operations.

    Raises:
        ToolError: the environment asks for one that is not available.
    """
    return _chosen(os.environ.get(VARIABLE, ""))


@cache
def _chosen(wanted: str) -> str:
    if wanted == "torch":
        return wanted
    if not wanted:
        return levels()[0] if levels() else "torch"
    if wanted not in levels():
        have = ", ".join([*levels(), "torch"])
        raise ToolError(f"{VARIABLE} asks for {wanted!r}, which is not available here; choose one of {have}")
    return wanted


def threads() -> int:
    """Threads of one kernel call: those of torch."""
    return torch.get_num_threads()


def fingerprint(tensor: Tensor) -> int | None:
    """A number that changes with the elements of a tensor, or None where it cannot be had cheaply."""
    module = compiled()
    if module is None or level() == "torch" or tensor.device.type != "cpu" or not tensor.is_contiguous():
        return None
    return int(module.fingerprint(level(), tensor.data_ptr(), tensor.numel() * tensor.element_size()))
