"""A small vision transformer for images whose sides are multiples of the patch size.

Source: A. Dosovitskiy et al., An Image is Worth 16x16 Words (ICLR 2021), with the simplifications of L. Beyer, X. Zhai,
A. Kolesnikov, Better plain ViT baselines for ImageNet-1k (arXiv:2205.01580): fixed sine-cosine positions in two
dimensions instead of trained ones, the mean over all patches instead of a class token, one linear layer as head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.models.base import registry

_TEMPERATURE = 10_000.0


class Encoder(nn.Module):
    """One block: layer norm, self-attention, residual; layer norm, two linear layers with GELU, residual."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (N, tokens, width) to tokens of the same shape."""
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x))))


class ViT(nn.Module):
    """Patches by a strided convolution, `depth` blocks, layer norm, mean over patches, linear layer.

    Input float32 (N, in_channels, H, W) with H and W multiples of `patch`, output float32 (N, num_classes).
    """

    def __init__(
        self, num_classes: int, in_channels: int, patch: int, width: int, depth: int, heads: int, hidden: int
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(in_channels, width, patch, stride=patch)
        self.blocks = nn.Sequential(*(Encoder(width, heads, hidden) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) to logits (N, num_classes)."""
        x = self.patches(x)
        tokens = (x + positions(x)).flatten(2).transpose(1, 2)
        return self.linear(self.norm(self.blocks(tokens)).mean(1))


def positions(features: Tensor) -> Tensor:
    """Sine and cosine of rows and columns at geometric frequencies, (width, H, W) for features (N, width, H, W).

    The width is a multiple of 4: one quarter each for sines and cosines of rows and of columns.
    """
    width, rows, columns = features.shape[1:]
    exponents = torch.arange(width // 4, device=features.device) / max(1, width // 4 - 1)
    rates = (_TEMPERATURE**-exponents)[:, None, None]
    row = rates * torch.arange(rows, device=features.device)[None, :, None].expand(1, rows, columns)
    column = rates * torch.arange(columns, device=features.device)[None, None].expand(1, rows, columns)
    return torch.cat([column.sin(), column.cos(), row.sin(), row.cos()]).to(features.dtype)


@registry.register("vit_tiny")
def vit_tiny(num_classes: int = 10, in_channels: int = 3, patch: int = 4, depth: int = 4) -> nn.Module:
    """Build an untrained `ViT` of width 64 with 4 heads and hidden layers of 128, for images of 32 x 32 or less."""
    return ViT(num_classes, in_channels, patch, 64, depth, 4, 128)
