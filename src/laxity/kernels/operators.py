"""The torch library of the compiled kernels: how operators of layers are registered.

Every operator takes float32 inputs, quantises them, adds products in integers and returns scaled float32 values, or
the integer sums. The CPU implementations are the compiled module's; other devices use `Products` of torch operations.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import Tensor

from laxity.kernels.call import Layer, LayerCall, NativeCall, empty_result, observed

LIBRARY = torch.library.Library("laxity", "DEF")


def layer_operator(name: str, operands: str, call: Callable[..., NativeCall]) -> Callable[..., Layer]:
    """Register ``laxity::name``: a whole layer for float32 `x`, by the compiled module on the CPU.

    Args:
        name: of the operator.
        operands: its own arguments, in the language of torch's schemas, between those that all layers have.
        call: makes the compiled function of all arguments but the input; `constants`, `scale`, `geometry` among them.

    Returns:
        What makes a layer of all arguments but the input.
    """
    LIBRARY.define(
        f"{name}(Tensor x, Tensor quantiser, {operands}, Tensor constants, Tensor? scale, Tensor? gain, Tensor? bias, "
        "int[] geometry, int[] layout, bool wide, str site) -> Tensor"
    )
    signature = inspect.signature(call)

    def run(x: Tensor, *arguments: object) -> Tensor:
        return call(*arguments)(x)

    def fake(x: Tensor, *arguments: object) -> Tensor:
        given = signature.bind(*arguments).arguments
        return empty_result(x, len(given["constants"]), given["geometry"], scaled=given["scale"] is not None)

    LIBRARY.impl(name, run, "CPU")
    torch.library.register_fake(f"laxity::{name}", fake, lib=LIBRARY)
    operator = getattr(torch.ops.laxity, name)

    def layer(*arguments: object) -> Layer:
        def traced(x: Tensor) -> Tensor:
            result: Tensor = operator(x, *arguments)
            return result

        return traced if observed() else LayerCall(call(*arguments), traced)

    return layer
