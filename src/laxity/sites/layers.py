"""The module types that are one operation each: convolutions, linear layers and products of two activations."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

MODULE_TYPES: tuple[type[nn.Module], ...] = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Linear,
)


class Product(nn.Module):
    """The matrix product of two activations as a module, so that it has a name and can be replaced like a layer."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Multiply (..., M, K) by (..., K, N)."""
        return left @ right


def plain_layer(module: nn.Module | None) -> bool:
    """Whether a module computes what its convolution or linear type computes; subclasses may compute something else."""
    base = next((t for t in MODULE_TYPES if isinstance(module, t)), None)
    same = ("forward", "_conv_forward")
    return base is not None and all(getattr(type(module), n, None) is getattr(base, n, None) for n in same)


def is_operation(module: nn.Module) -> bool:
    """Whether a module is one multiply-accumulate operation and nothing else: a plain layer or a product."""
    return type(module) is Product or plain_layer(module)


def steady(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """What to call in place of a layer that runs many times in one forward pass, in which its weights do not change.

    A layer may offer it by a method ``steady()``, so that it looks at its weights once per pass. Any other layer is
    called itself.
    """
    offered: Callable[[], Callable[[Tensor], Tensor]] | None = getattr(layer, "steady", None)
    return layer if offered is None else offered()
