"""Operands that meet at randomly chosen outputs of a site, as batches of small matrices of codes."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from laxity.emulate.form import Form

COLUMNS = 64
"""Most columns of the right factor that are looked at of a product of two activations."""

_MATRICES = 8


def layer_patches(form: Form, codes: Tensor, zero: float, count: int, generator: np.random.Generator) -> Tensor:
    """Input codes under `count` randomly chosen outputs of a layer: float32 (groups, count, reduction).

    The outputs of all groups are taken at the same places, with replacement, so that few outputs are no special case.

    Args:
        form: of the layer, not transposed.
        codes: of its input, (batch, ...), with its batch dimension.
        zero: code of the value 0, which is padded.
        count: outputs to look at.
        generator: draws them.
    """
    padded = form.pad(codes, zero)
    geometry, kernel = form.codes_geometry, form.kernel or (1,)
    total = len(padded) * math.prod(geometry.output_size(padded, kernel))
    return geometry.patches_at(padded, kernel, torch.from_numpy(generator.integers(0, total, count)))


def padded_share(form: Form, size: torch.Size) -> float:
    """Fraction of the operands under all windows that are padded zeros, for inputs of the given size."""
    if form.linear or form.padding_mode != "zeros" or not any(map(any, form.padding)):
        return 0.0
    ones = torch.ones(1, 1, *size[-len(form.kernel) :])
    pairs = [amount for pair in reversed(form.padding) for amount in pair]
    windows = form.codes_geometry.windows(F.pad(ones, pairs), form.kernel)
    return 1.0 - float(windows.mean(dtype=torch.float64))


def product_patches(
    left: Tensor, right: Tensor, count: int, generator: np.random.Generator
) -> tuple[Tensor, Tensor] | None:
    """Rows and columns of a few randomly chosen matrices of a product, or None where there is nothing to multiply.

    Args:
        left: codes (..., M, K), or (K,).
        right: codes (..., K, N), or (K,).
        count: rows to look at, spread over up to 8 matrices.
        generator: draws matrices, rows and columns.

    Returns:
        Codes float32 (matrices, rows, K) and (matrices, K, columns), the latter at most `COLUMNS`.
    """
    a = left[None] if left.dim() == 1 else left
    b = right[:, None] if right.dim() == 1 else right
    shape = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    matrices = math.prod(shape)
    if not (matrices and a.numel() and b.numel()):
        return None
    chosen = torch.from_numpy(generator.integers(0, matrices, min(_MATRICES, count)))
    rows = torch.from_numpy(generator.integers(0, a.shape[-2], max(1, count // len(chosen))))
    columns = torch.from_numpy(generator.permutation(b.shape[-1])[:COLUMNS])
    places = torch.unravel_index(chosen, shape) if shape else ()
    a, b = (x.expand(*shape, *x.shape[-2:])[places] if shape else x[None].expand(len(chosen), -1, -1) for x in (a, b))
    return a[:, rows].contiguous(), b[:, :, columns].contiguous()
