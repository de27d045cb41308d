"""Sees every multiply-accumulate that torch's dispatcher runs, however it was called."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_ACCUMULATES = re.compile(
    r"(^|_)(b?mm|hspmm|smm|addb?mm|baddbmm|sspaddmm|mv|addmv|v?dot|vecdot|inner|matmul|multi_dot|linear|einsum"
    r"|tensordot|bilinear|trilinear|matrix_power|matrix_exp|cdist|euclidean_dist|conv(olution)?(\dd)?|attention"
    r"|encoder_layer_fwd|lstm|gru|rnn)($|_)"
)
"""Words in the names of operators that are sums of products, in any operator namespace."""

_TRANSPARENT = ("aten", "prim", "prims", "torchvision")
"""Namespaces whose operators tell by their names whether they accumulate; those of others are black boxes."""


@cache
def accumulates(name: str) -> bool:
    """Whether an operator, for example ``"aten::addmm"``, is by its name a sum of products, or a black box."""
    namespace, _, base = name.rpartition("::")
    return namespace not in _TRANSPARENT or _ACCUMULATES.search(base) is not None


class Audit(TorchDispatchMode):
    """Notes the name of every operator that multiplies and accumulates floating-point or complex numbers.

    Operators that are no part of torch, and those that run functions given to them, count as well: nothing is known of
    what they compute.

    Args:
        where: tells the path of the running module.
    """

    supports_higher_order_operators = True

    def __init__(self, where: Callable[[], str]) -> None:
        super().__init__()
        self._where = where
        self._seen: list[tuple[str, str]] = []

    def take(self) -> list[tuple[str, str]]:
        """(Module path, operator) of what ran since the last call."""
        seen, self._seen = self._seen, []
        return seen

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        schema = getattr(func, "_schema", None)
        name = f"higher_order::{func}" if schema is None else schema.name
        if accumulates(name) and any(t.is_floating_point() or t.is_complex() for t in tensors_in(args)):
            self._seen.append((self._where(), name))
        with torch._C.DisableTorchFunction():
            return func(*args, **(kwargs or {}))


def tensors_in(values: Any) -> list[Tensor]:
    """All tensors among arguments, also inside lists and tuples."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found.extend(tensors_in(value))
    return found
