"""The compiled kernels: whether they are here, and which instruction set they use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from laxity.core.compiled import compiled_module
from laxity.core.errors import ToolError

REMEDY = "install a C++17 compiler and then laxity again"

VARIABLE = "LAXITY_ISA"
"""Environment variable that names the instruction set: ``avx512|avx2|portable``, or ``torch`` for none."""


INTERFACE = 2
"""What the compiled module must say that it offers; raised with every change of its functions."""


@cache
def compiled() -> ModuleType | None:
    """The compiled module, or None where laxity was installed without a compiler.

    Raises:
        ToolError: the module belongs to another version of laxity.
    """
    return compiled_module("laxity.kernels._native", INTERFACE, "the module of compiled kernels")


def required() -> ModuleType:
    """The compiled module, for a model that was compiled or exported with its operators.

    Raises:
        ToolError: it is not there, or the environment asks for torch operations.
    """
    module = compiled()
    if module is None or level() == "torch":
        raise ToolError(
            "this model was compiled or exported with laxity's compiled kernels, which are "
            + (f"not installed here; {REMEDY}" if module is None else f"switched off by {VARIABLE}=torch; unset it")
        )
    return module


@cache
def levels() -> tuple[str, ...]:
    """Instruction sets that this machine has and whose kernels pass their self-test, best first."""
    module = compiled()
    return () if module is None else tuple(module.levels())


@cache
def level() -> str:
    """The instruction set in use; ``torch`` where products are computed by torch operations.

    Raises:
        ToolError: the environment asks for one that is not available.
    """
    wanted = os.environ.get(VARIABLE, "")
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


def fingerprint(tensors: Sequence[Tensor]) -> int | None:
    """A number that changes with elements and places of dense CPU tensors; None without the compiled module."""
    module = compiled()
    if module is None or level() == "torch":
        return None
    return module.fingerprint(level(), [t.data_ptr() for t in tensors], [t.nbytes for t in tensors])
