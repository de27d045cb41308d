"""Elementwise functions of one activation: relevance passes through them."""

from __future__ import annotations

from laxity.relevance.lrp.method import Flow, Method
from laxity.relevance.lrp.step import Step, rule

_ACTIVATIONS = (
    "relu", "relu6", "hardtanh", "clamp", "clamp_min", "leaky_relu", "rrelu", "prelu", "_prelu_kernel",
    "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish", "tanh",
)  # fmt: skip
_COPIES = (
    "dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "clone", "contiguous", "alias", "detach",
    "to", "_to_copy", "type_as", "lift_fresh_copy", "neg",
)  # fmt: skip


@rule(*_ACTIVATIONS, *_COPIES)
def passes(step: Step, method: Method) -> Flow:
    """What a value is relevant for, it was relevant for before the activation. Source: S. Bach et al. 2015, eq. 50."""
    if len(step.sources) != 1:
        raise step.refuse("which has several activations as operands")
    return [step.relevance[0].to(step.inputs[0].dtype)], 0.0


@rule("mul", "div")
def scaled(step: Step, method: Method) -> Flow:
    """A factor changes activation and result alike; where it is repeated for several results, these are added up."""
    divisor = step.function == "div" and step.sources[0] is not step.node.args[0]
    if len(step.sources) != 1 or divisor:
        raise step.refuse("which multiplies or divides by an activation")
    return [step.relevance[0].sum_to_size(step.inputs[0].shape)], 0.0
