"""Turn recorded calls into sites."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from laxity.core.errors import TaskError
from laxity.core.op import Op, Site
from laxity.core.slots import Slot
from laxity.sites.trace import Call, factors, record

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
        model: any module; it is run once in evaluation mode, without gradients, and stays as it is.
        example_input: float32 (n, ...), of which the first sample is used.

    Raises:
        TaskError: the model does not run on the example, or has nothing to approximate.
    """
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        return sites_of(run_recorded(model, example_input[:1]), model)
    finally:
        for module, training in modes:
            module.training = training


def plain_layer(module: nn.Module | None) -> bool:
    """Whether a module computes what its convolution or linear type computes; subclasses may compute something else."""
    base = next((t for t in MODULE_TYPES if isinstance(module, t)), None)
    same = ("forward", "_conv_forward")
    return base is not None and all(getattr(type(module), n, None) is getattr(base, n, None) for n in same)


def run_recorded(model: nn.Module, example_input: Tensor) -> list[Call]:
    """Record one forward pass on a single sample.

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
        functional = not plain_layer(module)
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
    """The operation of a call on one sample; whatever stands beside the sample in the first dimension is part of it."""
    if call.kind == "matmul":
        return _matmul(call, *factors(call.args, call.kwargs))
    data, weight = argument(call, 0, "input"), argument(call, 1, "weight")
    sample_in, sample_out = _sample(data), _sample(call.output)
    if call.kind == "linear":
        rows = math.prod(sample_in[:-1])
        return Op("linear", sample_in, tuple(weight.shape), sample_out, 1, rows, weight.shape[1], weight.shape[0])
    groups = int(argument(call, 6, "groups", 1))
    if call.kind.startswith("conv_transpose"):
        rows = math.prod(data.shape[2:])
        reduction, columns = weight.shape[0] // groups, math.prod(weight.shape[1:])
    else:
        rows = math.prod(call.output.shape[2:])
        reduction, columns = math.prod(weight.shape[1:]), weight.shape[0] // groups
    rows *= data.shape[0]
    return Op(call.kind, sample_in, tuple(weight.shape), sample_out, groups, rows, reduction, columns)


def _sample(data: Tensor) -> tuple[int, ...]:
    """Shape without the batch dimension of a single sample."""
    return tuple(data.shape[1:] if data.dim() and data.shape[0] == 1 else data.shape)


def _matmul(call: Call, left: Tensor, right: Tensor) -> Op:
    """A product of two activations."""
    rows = left.shape[-2] if left.dim() > 1 else 1
    columns = right.shape[-1] if right.dim() > 1 else 1
    groups = max(1, math.prod(call.output.shape) // max(1, rows * columns))
    return Op("matmul", _sample(left), (), _sample(call.output), groups, rows, left.shape[-1], columns)
