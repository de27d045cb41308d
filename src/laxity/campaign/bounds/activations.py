"""What an elementwise activation makes of a bounded change of its input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from laxity.relevance.lrp.graph import function_name


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation f, differentiable but at its kinks.

    Attributes:
        lipschitz: the steepest slope.
        kinks: where the slope jumps, and by how much.
        curvature: largest absolute second derivative elsewhere.
        supremum: of ``|f|``; infinite where there is none.
        span: largest minus smallest value.
    """

    lipschitz: float
    kinks: tuple[tuple[float, float], ...] = ()
    curvature: float = 0.0
    supremum: float = math.inf
    span: float = math.inf

    def residual(self, values: Tensor, error: Tensor) -> Tensor:
        """Bound on ``|f(v + d) - f(v) - f'(v) d|`` for all ``|d| <= error``, in the shape of the values."""
        bent = self.curvature / 2 * error.square()
        for place, jump in self.kinks:
            bent = bent + jump * (error - (values - place).abs()).clamp(min=0)
        return torch.minimum(bent, 2 * self.lipschitz * error)

    def spread(self, slope: Tensor, error: Tensor, residual: Tensor) -> Tensor:
        """Bound on ``|f(v + d) - f(v)|`` where f has this slope at v."""
        near = slope.abs() * error + residual
        return torch.minimum(near, self.lipschitz * error).clamp(max=self.span)


_TANH_CURVATURE = 4 / (3 * math.sqrt(3))
_SIGMOID_CURVATURE = 1 / (6 * math.sqrt(3))


def activation_of(node: fx.Node) -> Activation | None:
    """The activation that a node of an exported network computes; None for other nodes.

    Source: constants are extrema of the derivatives: tanh'' at tanh^2 = 1/3, sigmoid'' at (3 +- sqrt 3)/6.
    """
    name = function_name(node)
    if node.kwargs or any(isinstance(a, fx.Node) for a in node.args[1:]):
        return None  # limits that are tensors, and the like
    if name == "relu":
        return Activation(1.0, ((0.0, 1.0),))
    if name == "tanh":
        return Activation(1.0, (), _TANH_CURVATURE, 1.0, 2.0)
    if name == "sigmoid":
        return Activation(0.25, (), _SIGMOID_CURVATURE, 1.0, 1.0)
    if name == "leaky_relu":
        slope = float(node.args[1]) if len(node.args) > 1 else 0.01  # type: ignore[arg-type]
        return Activation(max(1.0, abs(slope)), ((0.0, abs(1 - slope)),))
    limits = _limits(name, node.args)
    if limits is None:
        return None
    low, high = limits
    kinks = tuple((x, 1.0) for x in limits if math.isfinite(x))
    return Activation(1.0, kinks, 0.0, max(abs(low), abs(high)), high - low)


def _limits(name: str, args: Sequence[object]) -> tuple[float, float] | None:
    """Between what an activation clips, where it does nothing else."""
    if name == "relu6":
        return 0.0, 6.0
    if name not in {"hardtanh", "clamp", "clamp_min"}:
        return None
    low, high = (-1.0, 1.0) if name == "hardtanh" else (-math.inf, math.inf)
    given = [*args[1:3], None, None]
    low = low if given[0] is None else float(given[0])  # type: ignore[arg-type]
    high = high if given[1] is None else float(given[1])  # type: ignore[arg-type]
    return low, high
