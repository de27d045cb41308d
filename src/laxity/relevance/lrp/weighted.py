"""Convolutions, linear layers and products of an activation with a weight."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from laxity.relevance.lrp.method import Flow, Method
from laxity.relevance.lrp.step import Step, rule

LAYERS = {
    "linear": 0, "conv1d": 1, "conv2d": 2, "conv3d": 3,
    "conv_transpose1d": 1, "conv_transpose2d": 2, "conv_transpose3d": 3,
}  # fmt: skip
"""Functions of layers with input, weight and bias as their first arguments, with the spatial dimensions of each."""


@rule(*LAYERS)
def layer(step: Step, method: Method) -> Flow:
    """Divide among the inputs of a layer."""
    args, kwargs = step.arguments()
    if step.sources != [step.node.args[0]]:
        raise step.refuse("whose weight depends on the data")
    bias = args[2] if len(args) > 2 else kwargs.get("bias")
    shaped = None if bias is None else bias.reshape(-1, *([1] * LAYERS[step.function]))
    rest = {key: value for key, value in kwargs.items() if key != "bias"}

    def product(inputs: Tensor, weight: Tensor) -> Tensor:
        result: Tensor = step.node.target(inputs, weight, None, *args[3:], **rest)  # type: ignore[operator]
        return result

    return method.weighted(product, step.inputs[0], args[1], shaped, step.relevance[0])


@rule("matmul", "mm", "bmm", "mv")
def matrix_product(step: Step, method: Method) -> Flow:
    """Divide among the elements of the operand that is an activation."""
    if len(step.sources) != 1:
        raise step.refuse("which multiplies two activations")
    right = step.sources[0] is step.node.args[1]
    operands, _ = step.arguments()

    def product(inputs: Tensor, weight: Tensor) -> Tensor:
        pair: tuple[Any, Any] = (weight, inputs) if right else (inputs, weight)
        result: Tensor = step.node.target(*pair)  # type: ignore[operator]
        return result

    weight = operands[0] if right else operands[1]
    return method.weighted(product, step.inputs[0], weight, None, step.relevance[0])
