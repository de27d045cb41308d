"""The torch library of the compiled kernels: the look-up with weights at rest, and what all operators share.

Every operator takes float32 inputs, quantises them, adds products in integers and returns scaled float32 values, or
the integer sums. The CPU implementations are the compiled module's; other devices use `Products` of torch operations.
"""

from __future__ import annotations

import torch
from torch import Tensor

from laxity.kernels.call import NativeCall, address, empty_result

LIBRARY = torch.library.Library("laxity", "DEF")

LIBRARY.define(
    "table(Tensor x, Tensor quantiser, Tensor? index, Tensor codes, Tensor table, Tensor constants, "
    "Tensor? scale, Tensor? gain, Tensor? bias, int[] geometry, int[] layout, bool wide, str site) -> Tensor"
)


def table_call(  # noqa: PLR0917 (the operator's arguments)
    quantiser: Tensor,
    index: Tensor | None,
    codes: Tensor,
    table: Tensor,
    constants: Tensor,
    scale: Tensor | None,
    gain: Tensor | None,
    bias: Tensor | None,
    geometry: list[int],
    layout: list[int],
    wide: bool,
    site: str,
) -> NativeCall:
    """The compiled function with everything but the input."""
    kept = (quantiser, index, codes, table, constants, scale, gain, bias)
    middle = [address(t) for t in kept[:4]] + [*layout, wide] + [address(t) for t in kept[4:]]
    return NativeCall("table_layer", middle, len(codes), geometry, site, scaled=scale is not None, kept=kept)


def _table(x: Tensor, *arguments: object) -> Tensor:
    return table_call(*arguments)(x)  # type: ignore[arg-type]


@torch.library.register_fake("laxity::table", lib=LIBRARY)
def _table_fake(  # noqa: PLR0917 (the operator's arguments)
    x: Tensor,
    quantiser: Tensor,
    index: Tensor | None,
    codes: Tensor,
    table: Tensor,
    constants: Tensor,
    scale: Tensor | None,
    gain: Tensor | None,
    bias: Tensor | None,
    geometry: list[int],
    layout: list[int],
    wide: bool,
    site: str,
) -> Tensor:
    return empty_result(x, len(codes), geometry, scaled=scale is not None)


LIBRARY.impl("table", _table, "CPU")
