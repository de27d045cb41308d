"""Functions whose every output is one of their inputs: relevance goes where the value came from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from laxity.relevance.lrp.method import Flow, Method, summed
from laxity.relevance.lrp.step import Step, pulled, rule

_SHAPES = (
    "view", "_unsafe_view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "permute", "transpose", "t",
    "movedim", "flip", "roll", "expand", "repeat", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "diagonal",
)  # fmt: skip
_PIECES = (
    "slice", "select", "narrow", "index", "index_select", "gather", "take_along_dim", "split", "split_with_sizes",
    "chunk", "unbind", "unfold", "cat", "stack", "slice_scatter", "select_scatter", "upsample_nearest1d",
    "upsample_nearest2d", "upsample_nearest3d",
)  # fmt: skip
_LARGEST = (
    "max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices",
    "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "amax", "max", "maximum",
)  # fmt: skip


@rule(*_SHAPES, *_PIECES, *_LARGEST)
def routed(step: Step, method: Method) -> Flow:
    """The transposed derivative: each output's relevance goes to the input that it is, constants absorb theirs.

    Where several inputs are the largest, relevance goes as torch sends the derivative: to one of them, or in equal
    shares.
    """
    constants = _constants(step)

    def call(*tensors: Tensor) -> list[Tensor]:
        replaced = dict(zip((n.name for n in constants), tensors[len(step.sources) :], strict=True))
        outputs = Step(step.node, {**step.values, **replaced}, step.active, []).call(*tensors[: len(step.sources)])
        return [out for out in outputs if out.is_floating_point()]

    back = [r for r in step.relevance if r.is_floating_point()]
    found = pulled(call, [*step.inputs, *(step.values[n.name] for n in constants)], back)
    count = len(step.sources)
    return found[:count], sum(summed(r) for r in found[count:])


def _constants(step: Step) -> list[fx.Node]:
    """The constants in floating point among the arguments."""
    found: dict[str, fx.Node] = {}

    def look(node: fx.Node) -> Any:
        value = step.values[node.name]
        if node.name not in step.active and isinstance(value, Tensor) and value.is_floating_point():
            found[node.name] = node

    fx.map_arg((step.node.args, step.node.kwargs), look)
    return list(found.values())


@rule("pad", "constant_pad_nd")
def padded(step: Step, method: Method) -> Flow:
    """As `routed`; what falls on padded constants is absorbed."""
    found, _ = routed(step, method)
    args, kwargs = step.arguments()
    mode = kwargs.get("mode", args[2] if len(args) > 2 else "constant")
    if step.function == "pad" and mode != "constant":
        return found, 0.0
    inside = torch.nn.functional.pad(torch.ones_like(step.inputs[0]), args[1])
    return found, summed(step.relevance[0] * (1 - inside))
