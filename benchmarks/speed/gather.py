"""The explicit gather loop: compiled by the system's compiler into a temporary folder and called by its address."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from laxity.circuits import Multiplier
from laxity.emulate.layer import EmulatedLayer
from speed.cases import UnavailableError

_SOURCE = Path(__file__).resolve().parents[1] / "gather_loop.cpp"
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno", "-fopenmp", "-shared", "-fPIC")


class GatherLoop:
    """The compiled loop.

    Raises:
        UnavailableError: there is no C++ compiler, or it cannot compile the loop; says what it said.
    """

    def __init__(self) -> None:
        named = os.environ.get("CXX", "")
        compiler = next((c for c in (named, "c++", "g++", "clang++") if c and shutil.which(c)), None)
        if compiler is None:
            raise UnavailableError("no C++ compiler was found")
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "gather_loop.so"
            command = [compiler, *_FLAGS, str(_SOURCE), "-o", str(target)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise UnavailableError(f"{compiler} cannot compile the gather loop: {done.stderr.strip()[:500]}")
            self._function = ctypes.CDLL(str(target)).gather_convolution

    def call(self, layer: EmulatedLayer, x: Tensor, threads: int) -> GatherCall:
        """The loop over the codes, table and scales of a convolution with stride 1 that keeps the size of `x`."""
        return GatherCall(self._function, layer, x, threads)


class GatherCall:
    """One convolution with all its arguments.

    Attributes:
        output: what a call fills.
    """

    def __init__(self, function: Callable[..., object], layer: EmulatedLayer, x: Tensor, threads: int) -> None:
        self._function = function
        codes, _, _ = layer.stored_codes()
        outputs, inputs, kernel = codes.shape[:3]
        ordered = codes.permute(0, 2, 3, 1).reshape(outputs, -1).numpy().astype(np.int64)
        coder = layer.operand.input
        self.output = torch.empty(len(x), outputs, *x.shape[2:])
        scales = layer.operand.weight.scale_and_zero(layer.weight)[0] * coder.scale
        self._arrays = [
            x.contiguous().numpy(), self.output.numpy(), np.ascontiguousarray(ordered % 256, np.uint8),
            _full(layer.multiplier), scales.contiguous().numpy(), layer.bias.detach().numpy(),
        ]  # fmt: skip
        numbers = [coder.code_range[1], len(x), inputs, outputs, x.shape[-1], kernel, threads]
        self._arguments = [
            *(ctypes.c_void_p(array.ctypes.data) for array in self._arrays),
            ctypes.c_float(float(coder.scale)),
            *map(ctypes.c_int, numbers),
        ]

    def __call__(self) -> None:
        """Fill the output."""
        self._function(*self._arguments)


def _full(multiplier: Multiplier) -> np.ndarray:
    """The table with 256 rows, int32."""
    table = np.zeros((256, 256), np.int32)
    table[: len(multiplier.table)] = multiplier.table
    return table
