"""What all emulated operations have in common: a field per slot, and the kernel that follows from them."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.emulate.observe import Observer
from laxity.emulate.straight import Operation
from laxity.faults.protection import StorageProtection
from laxity.kernels import Accumulator, Products, opaque
from laxity.techniques.context import Guard
from laxity.techniques.data.operands import Operands
from laxity.techniques.hardware.arrangement import Circuits, products_of


class GradientRule(Protocol):
    """Takes the place of straight-through gradients at an operation that has a multiplier."""

    def __call__(self, layer: Slots, values: Tensor, left: Tensor, right: Tensor, operation: Operation) -> Tensor:
        """`values` with gradients for both operands, and for the bias of the layer if it has one.

        Args:
            layer: the emulated operation.
            values: what it computed, without gradients.
            left: what the codes of the left operand stand for; its gradient is passed on by what made it.
            right: the same of the right operand.
            operation: native operation that straight-through gradients take, without the layer's gain and bias.
        """


class Slots(nn.Module):
    """The fields that techniques fill.

    Attributes:
        structure: map from the stored to the used weight, or None.
        operand: coders of both operands, or None for float32.
        multiplier: circuit of every product, or an arrangement of circuits; None for the exact one.
        kept: original output channels that are left, or None for all.
        kernel_number: of the kernel, for operators.
        accumulator: how products are added, or None for exact sums.
        memory: how stored weights are protected, or None.
        guard: what looks after the outputs, or None.
        gradient: how gradients are found where there is a multiplier; None for straight-through gradients. Set for a
            time only: copies and files do not have it.
    """

    structure: nn.Module | None
    operand: Operands | None
    multiplier: Circuits | None
    accumulator: Accumulator | None
    memory: StorageProtection | None
    guard: Guard | None
    gradient: GradientRule | None = None

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        self.kept: list[int] | None = None
        self.structure = None
        self.operand = None
        self.multiplier = None
        self.accumulator = None
        self.memory = None
        self.guard = None
        self.observers: list[Observer] | None = None
        self.taken: list[Tensor] | None = None
        self._chosen: tuple[Products, float] | None = None
        self.kernel_number = -1
        self.register_load_state_dict_post_hook(_choose_again)

    @property
    def outputs(self) -> int:
        """Number of output channels; 0 where there are none."""
        return 0

    def facts(self) -> dict[str, float]:
        """Figures that demands need and only the built operation knows; a product of activations stores nothing."""
        return {"weight_nonzeros": 0.0}

    def products(self) -> tuple[Products, float]:
        """The kernel for the present operands, circuit and accumulator, and the factor that undoes the shifts.

        The choice cannot be traced. It is made after calibration, copying and loading, so that compiled and exported
        models find it.

        Raises:
            PlanError: the site computes in floating point, or its codes do not fit the circuit.
        """
        if self.operand is None:
            raise PlanError(f"site {self.site.name!r} computes in floating point; give it an OPERAND choice")
        if not torch.compiler.is_compiling() or self._chosen is None:
            chosen = products_of(self.operand, self.multiplier, self.accumulator, self.site.name)
            if self._chosen is None or self._chosen[0] is not chosen[0]:
                self.kernel_number = opaque.number_of(chosen[0])
            self._chosen = chosen
        return self._chosen

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is chosen or made for this machine."""
        return {**self.__dict__, "_chosen": None, "observers": None, "taken": None, "gradient": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Choose the kernel again."""
        super().__setstate__(state)
        _choose_again(self)


def _choose_again(layer: Slots, _: object = None) -> None:
    """Choose the kernel where there are codes."""
    if layer.operand is not None:
        layer.products()
