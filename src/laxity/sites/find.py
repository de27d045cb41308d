"""Turn recorded calls into sites."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from laxity.core.errors import TaskError
from laxity.core.op import Op, Site
from laxity.core.slots import Slot
from laxity.sites.trace import Call, record

MODULE_TYPES: tuple[type[nn.Module], ...] = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Linear,
)
WEIGHT_SLOTS = (Slot.STRUCTURE, Slot.OPERAND, Slot.MULTIPLIER)
MATMUL_SLOTS = (Slot.OPERAND, Slot.MULTIPLIER)


def find_sites(model: nn.Module, example_input: Tensor) -> list[Site]:
    """Find convolutions of every kind, linear layers and matrix products, in order of execution.

    Args:
        model: any module; it is run once in its present mode, without gradients.
        example_input: float32 (1, ...).

    Raises:
        TaskError: the model does not run on the example, or has nothing to approximate.
    """
    return sites_of(run_recorded(model, example_input), model)


def run_recorded(model: nn.Module, example_input: Tensor) -> list[Call]:
    """Record one forward pass.

    Raises:
        TaskError: the model fails on the example.
    """
    try:
        return record(model, example_input)
    except Exception as error:  # the user's own code can fail in any way
        shape = tuple(example_input.shape)
        what = f"{type(error).__name__}: {error}"
        raise TaskError(f"the model does not run on an input of shape {shape}: {what}") from error


def sites_of(calls: Iterable[Call], model: nn.Module) -> list[Site]:
    """Sites among recorded calls; calls of one shared module become one site.

    Raises:
        TaskError: there is none.
    """
    modules = dict(model.named_modules())
    stored = {id(t) for t in (*model.parameters(), *model.buffers())}
    found: dict[str, Site] = {}
    for call in calls:
        if call.kind in {"other", "batch_norm", "attention"}:
            continue
        module = modules.get(call.owner)
        functional = not isinstance(module, MODULE_TYPES)
        name = f"{call.owner}:{call.kind}#{call.ordinal}" if functional else call.owner
        if name in found:
            seen = found[name]
            found[name] = replace(seen, op=replace(seen.op, calls=seen.op.calls + 1))
            continue
        found[name] = Site(name, _op(call), _slots(call, functional, stored), name, functional)
    if not found:
        raise TaskError("the model has no convolution, linear layer or matrix product to approximate")
    return list(found.values())


def _slots(call: Call, functional: bool, stored: set[int]) -> tuple[Slot, ...]:
    """Slots of a call; a functional call whose weight is computed on the fly has none."""
    if call.kind == "matmul":
        return MATMUL_SLOTS
    if not functional:
        return WEIGHT_SLOTS
    return MATMUL_SLOTS if id(argument(call, 1, "weight")) in stored else ()


def argument(call: Call, position: int, name: str, default: Any = None) -> Any:
    """Positional or keyword argument of a call."""
    return call.args[position] if len(call.args) > position else call.kwargs.get(name, default)


def _op(call: Call) -> Op:
    data = argument(call, 0, "input")
    if call.kind == "matmul":
        return _matmul(call, data, argument(call, 1, "other"))
    weight = argument(call, 1, "weight")
    sample_in, sample_out = tuple(data.shape[1:]), tuple(call.output.shape[1:])
    if call.kind == "linear":
        rows = math.prod(sample_in[:-1])
        return Op("linear", sample_in, tuple(weight.shape), sample_out, 1, rows, weight.shape[1], weight.shape[0])
    transposed = call.kind.startswith("conv_transpose")
    position, name = (6, "groups")
    groups = int(argument(call, position, name, 1))
    if transposed:
        rows = math.prod(sample_in[1:])
        reduction, columns = weight.shape[0] // groups, math.prod(weight.shape[1:])
    else:
        rows = math.prod(sample_out[1:])
        reduction, columns = math.prod(weight.shape[1:]), weight.shape[0] // groups
    return Op(call.kind, sample_in, tuple(weight.shape), sample_out, groups, rows, reduction, columns)


def _matmul(call: Call, left: Tensor, right: Tensor) -> Op:
    """A product of two activations; the batch dimension of the left operand is the sample."""
    rows = left.shape[-2] if left.dim() > 1 else 1
    columns = right.shape[-1] if right.dim() > 1 else 1
    groups = max(1, math.prod(call.output.shape) // max(1, rows * columns) // max(1, left.shape[0]))
    if left.dim() < 3:
        groups, rows = 1, 1
    shapes: Sequence[tuple[int, ...]] = (tuple(left.shape[1:]), tuple(call.output.shape[1:]))
    return Op("matmul", shapes[0], (), shapes[1], groups, rows, left.shape[-1], columns)
