"""Operations and the sites at which they can be approximated. Plain values: no framework objects."""

from __future__ import annotations

import math
from dataclasses import dataclass

from laxity.core.slots import Slot


@dataclass(frozen=True, slots=True)
class Op:
    """One multiply-accumulate operation, described per sample.

    Attributes:
        kind: ``conv1d|conv2d|conv3d|conv_transpose1d|...|linear|matmul``.
        input_shape, output_shape: without the batch dimension.
        weight_shape: shape of the stored weight; empty for ``matmul``.
        groups: number of independent matrix products.
        rows: positions M of the equivalent matrix product of one group.
        reduction: length K of each dot product.
        columns: outputs N of one group.
        calls: how often the operation runs in one forward pass (shared modules run more than once).
    """

    kind: str
    input_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    groups: int
    rows: int
    reduction: int
    columns: int
    calls: int = 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one sample, all calls together."""
        return self.groups * self.rows * self.reduction * self.columns * self.calls

    @property
    def weight_elements(self) -> int:
        """Stored weights."""
        return math.prod(self.weight_shape) if self.weight_shape else 0

    @property
    def input_elements(self) -> int:
        """Input values of one sample, all calls together."""
        return math.prod(self.input_shape) * self.calls

    @property
    def output_elements(self) -> int:
        """Output values of one sample, all calls together."""
        return math.prod(self.output_shape) * self.calls


@dataclass(frozen=True, slots=True)
class Site:
    """A named operation of a model, with the slots that techniques may fill.

    Attributes:
        name: module path, or ``path:function#i`` for the i-th such functional call made by module ``path``.
        op: what is computed there.
        slots: where approximations can act.
        group: sites of one group must share a STRUCTURE choice that changes shapes.
        functional: a call such as ``torch.matmul`` inside a forward method, not a module.
        removable: its output channels can be removed without changing anything but the group's members.
    """

    name: str
    op: Op
    slots: tuple[Slot, ...]
    group: str
    functional: bool = False
    removable: bool = False
