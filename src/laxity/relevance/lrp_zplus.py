"""Layer-wise relevance propagation by the z+ rule, and more generally by the alpha-beta rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from laxity.core.errors import ConfigError
from laxity.relevance.criterion import CRITERIA
from laxity.relevance.lrp.criterion import LayerwiseRelevance
from laxity.relevance.lrp.method import Flow, Method, Product, Total, cascaded, ratio, summed


@CRITERIA.register("lrp_zplus")
@dataclass(frozen=True)
class LrpZPlus(LayerwiseRelevance):
    """``R_i = sum_j (alpha z_ij+ / sum_i' z_i'j+ - beta z_ij- / sum_i' z_i'j-) R_j``.

    Here ``z_ij = a_i w_ij`` and ``beta = alpha - 1``. With alpha = 1 only what speaks for an output takes relevance,
    which then never changes its sign: the z+ rule ``a_i w_ij+ / sum_i' a_i' w_i'j+``, for activations that are not
    negative. Where nothing positive contributes, the negative contributions take all, unless the bias is positive
    there, which then absorbs it.

    Plain sums (residual additions, means, average pooling) are divided in proportion to their positive summands,
    whatever alpha.

    Attributes:
        alpha: at least 1.
        biases: whether positive (and with beta, negative) biases take their share, which is absorbed; by default they
            are left out of the sums.

    Raises:
        ConfigError: alpha is below 1 or not finite.

    Source: z+: G. Montavon et al., "Explaining nonlinear classification decisions with deep Taylor decomposition",
    Pattern Recognition 65, 2017; alpha-beta: S. Bach et al., PLoS ONE 10(7), 2015, equation 60. Relevance as
    resilience: C. Schorn, A. Guntoro, G. Ascheid, "Accurate neuron resilience prediction for a flexible reliability
    management in neural network accelerators", DATE 2018; reconstructed from a description of it.
    """

    kind: ClassVar[str] = "lrp_zplus"

    alpha: float = 1.0
    biases: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.alpha < float("inf"):
            raise ConfigError(f"alpha of 'lrp_zplus' is a finite number from 1, not {self.alpha}; beta is alpha - 1")

    def method(self) -> Method:
        """See `LayerwiseRelevance.method`."""
        return AlphaBetaRule(self.alpha, self.biases)


@dataclass(frozen=True, slots=True)
class AlphaBetaRule(Method):
    """See `LrpZPlus`."""

    alpha: float
    biases: bool

    @property
    def counts_constants(self) -> bool:
        """See `Method.counts_constants`."""
        return self.biases

    def weighted(self, product: Product, inputs: Tensor, weight: Tensor, bias: Tensor | None, back: Tensor) -> Flow:
        """See `Method.weighted`."""
        up, down = inputs.clamp(min=0), inputs.clamp(max=0)
        pairs = [(up, weight.clamp(min=0)), (down, weight.clamp(max=0))]
        positive = _Side(product, pairs, self._bias(bias, 1))
        rest = torch.where(positive.sums == 0, back, 0.0)
        absorbed = 0.0
        if bias is not None and not self.biases:
            by_bias = torch.where(bias > 0, rest, 0.0)
            absorbed, rest = summed(by_bias), rest - by_bias
        to_positive = torch.where(positive.sums == 0, 0.0, back)
        if self.alpha == 1 and not bool(rest.any()):
            flow, of_bias = positive.share(to_positive)
            return [flow], absorbed + of_bias
        pairs = [(up, weight.clamp(max=0)), (down, weight.clamp(min=0))]
        negative = _Side(product, pairs, self._bias(bias, -1))
        surplus = (self.alpha - 1) * torch.where(negative.sums == 0, 0.0, to_positive)
        flow, of_bias = positive.share(to_positive + surplus)
        other, of_other = negative.share(rest - surplus)
        nothing = summed(torch.where(negative.sums == 0, rest, 0.0))
        return [flow + other], absorbed + of_bias + of_other + nothing

    def _bias(self, bias: Tensor | None, sign: int) -> Tensor | None:
        if bias is None or not self.biases:
            return None
        return bias.clamp(min=0) if sign > 0 else bias.clamp(max=0)

    def divided(self, total: Total, parts: Sequence[Tensor], back: Tensor) -> list[Tensor]:
        """See `Method.divided`."""
        return cascaded(total, [[p.clamp(min=0) for p in parts], [p.abs() for p in parts]], back)


class _Side:
    """The contributions of one sign to weighted sums.

    Args:
        product: of the layer.
        pairs: activations and weights whose products have this sign.
        bias: its part of this sign, or None.

    Attributes:
        sums: of all contributions.
    """

    def __init__(self, product: Product, pairs: Sequence[tuple[Tensor, Tensor]], bias: Tensor | None) -> None:
        self._bias = bias
        pairs = [(a, w) for a, w in pairs if bool(a.any())] or [pairs[0]]
        self._leaves = [a.detach().requires_grad_() for a, _ in pairs]
        with torch.enable_grad():
            products = [product(leaf, weight) for leaf, (_, weight) in zip(self._leaves, pairs, strict=True)]
            self._products = products[0] if len(products) == 1 else products[0] + products[1]
        self.sums = self._products.detach() if bias is None else self._products.detach() + bias

    def share(self, back: Tensor) -> tuple[Tensor, float]:
        """Relevance of the activations, and that of the bias."""
        per_unit = ratio(back, self.sums)
        found = torch.autograd.grad(self._products, self._leaves, per_unit)
        flow = torch.stack([leaf.detach() * g for leaf, g in zip(self._leaves, found, strict=True)]).sum(0)
        return flow, 0.0 if self._bias is None else summed(self._bias * per_unit)
