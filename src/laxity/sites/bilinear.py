"""`nn.Bilinear`, opened into a linear layer and a product."""

from __future__ import annotations

from torch import Tensor, nn

from laxity.sites.composites import composite, linear_of
from laxity.sites.layers import Product


class OpenBilinear(nn.Module):
    """``y[o] = left @ W[o] @ right + b[o]``: first the left input times the weight, then the right input."""

    rigid = True

    def __init__(self, source: nn.Bilinear) -> None:
        super().__init__()
        self.in1_features, self.in2_features = source.in1_features, source.in2_features
        self.out_features, self.bias = source.out_features, source.bias
        outputs, _, right = source.weight.shape
        self.left = linear_of(source.weight.permute(0, 2, 1).reshape(outputs * right, -1), None)
        self.right = Product()

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """Combine (..., in1_features) and (..., in2_features) to (..., out_features)."""
        mixed = self.left(input1).unflatten(-1, (self.out_features, self.in2_features))
        result = self.right(mixed, input2[..., :, None])[..., 0]
        return result if self.bias is None else result + self.bias


@composite("bilinear", nn.Bilinear)
def _open_bilinear(module: nn.Bilinear) -> nn.Module:
    return OpenBilinear(module)
