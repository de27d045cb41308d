"""Turn recorded calls into sites."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from torch import Tensor, nn

from laxity.core.errors import TaskError
from laxity.core.op import Op, Site
from laxity.core.slots import Slot
from laxity.sites import bilinear as _bilinear
from laxity.sites import recurrent as _recurrent
from laxity.sites.composites import left_exact, opened_copy
from laxity.sites.layers import Product, plain_layer
from laxity.sites.trace import LAYERS, Call, argument, record

COMPOSITES = (_bilinear, _recurrent)
"""Modules whose import registers how composite modules are opened, beyond those that tracing imports."""

WEIGHT_SLOTS = (Slot.STRUCTURE, Slot.OPERAND, Slot.MULTIPLIER, Slot.ACCUMULATOR, Slot.MEMORY, Slot.GUARD)
MATMUL_SLOTS = (Slot.OPERAND, Slot.MULTIPLIER, Slot.ACCUMULATOR)
_SHOWN = 5


def find_sites(model: nn.Module, example_input: Tensor, exact: Sequence[str] = ()) -> list[Site]:
    """Find convolutions of every kind, linear layers and matrix products, in order of execution.

    Recurrent layers and attention are found as the linear layers and products that they consist of.

    Args:
        model: any module; it is run once in evaluation mode, without gradients, and stays as it is.
        example_input: (n, ...), of which the first sample is used.
        exact: patterns of module paths, sites and calls to leave exact, for example ``"decoder.*"``; a pattern that
            matches a module covers everything inside it.

    Raises:
        TaskError: the model does not run on the example, has nothing to approximate, or multiplies and accumulates in
            a way that cannot be emulated and is not left exact; a pattern matches nothing.
    """
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        opened = opened_copy(model, exact)
        return sites_of(run_recorded(opened, example_input[:1]), opened, exact)
    finally:
        for module, training in modes:
            module.training = training


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


def sites_of(calls: Iterable[Call], model: nn.Module, exact: Sequence[str] = ()) -> list[Site]:
    """Sites among recorded calls; calls of one shared module become one site.

    Args:
        calls: one recorded pass of an opened model.
        model: that model.
        exact: see `find_sites`.

    Raises:
        TaskError: there is none, one cannot be emulated, or a pattern matches nothing.
    """
    modules = dict(model.named_modules())
    found: dict[str, Site] = {}
    names: list[str] = []
    opaque: list[Call] = []
    for call in calls:
        if call.kind not in LAYERS | {"matmul", "opaque"}:
            continue
        functional = not _is_site(modules.get(call.owner), call.kind)
        name = call.name if functional else call.owner
        names.append(name)
        if left_exact(name, exact):
            continue
        if call.kind == "opaque":
            opaque.append(call)
            continue
        op = _op(call)
        if name in found:
            found[name] = replace(found[name], op=_again(found[name].op, op))
        else:
            product = functional or call.kind == "matmul"
            found[name] = Site(name, op, MATMUL_SLOTS if product else WEIGHT_SLOTS, name, functional)
    _check(found, names, opaque, modules, exact)
    return list(found.values())


def _is_site(module: nn.Module | None, kind: str) -> bool:
    """Whether a module is nothing but the operation that it was seen to call."""
    return type(module) is Product if kind == "matmul" else plain_layer(module)


def _check(
    found: dict[str, Site], names: list[str], opaque: list[Call], modules: dict[str, nn.Module], exact: Sequence[str]
) -> None:
    for pattern in exact:
        if not any(left_exact(n, [pattern]) for n in names) and not any(fnmatchcase(p, pattern) for p in modules if p):
            raise TaskError(
                f"exact={pattern!r} matches no module, site or call; call find_sites without it to see their names"
            )
    if opaque:
        listed = "; ".join(f"{c.name!r} ({c.reason})" for c in opaque[:_SHOWN])
        more = f" and {len(opaque) - _SHOWN} more" if len(opaque) > _SHOWN else ""
        raise TaskError(
            f"the model multiplies and accumulates where this cannot be emulated: {listed}{more}; write it with "
            f"torch.matmul or a linear layer, or leave it exact with exact=[{opaque[0].name!r}]"
        )
    if not found:
        raise TaskError("the model has no convolution, linear layer or matrix product to approximate")


def _again(seen: Op, op: Op) -> Op:
    """A site that runs once more; calls of another size are counted as more rows of a single call."""
    if replace(seen, calls=1) == op:
        return replace(seen, calls=seen.calls + 1)
    rows = round((seen.macs + op.macs) / (seen.groups * seen.reduction * seen.columns))
    return replace(
        seen,
        input_shape=(seen.input_elements + op.input_elements,),
        output_shape=(seen.output_elements + op.output_elements,),
        rows=rows,
        calls=1,
    )


def _op(call: Call) -> Op:
    """The operation of a call on one sample; whatever stands beside the sample in the first dimension is part of it."""
    if call.kind == "matmul":
        return _matmul(call, *call.args)
    data, weight = argument(call, 0, "input"), argument(call, 1, "weight")
    sample_in, sample_out = _sample(data), _sample(call.output)
    if call.kind == "linear":
        rows = math.prod(sample_in[:-1])
        return Op("linear", sample_in, tuple(weight.shape), sample_out, 1, rows, weight.shape[1], weight.shape[0])
    samples, spatial_in, spatial_out = data.shape[0], data.shape[2:], call.output.shape[2:]
    if data.dim() < weight.dim():  # one sample without a batch dimension
        sample_in, sample_out = tuple(data.shape), tuple(call.output.shape)
        samples, spatial_in, spatial_out = 1, data.shape[1:], call.output.shape[1:]
    groups = int(argument(call, 6, "groups", 1))
    if call.kind.startswith("conv_transpose"):
        rows = math.prod(spatial_in)
        reduction, columns = weight.shape[0] // groups, math.prod(weight.shape[1:])
    else:
        rows = math.prod(spatial_out)
        reduction, columns = math.prod(weight.shape[1:]), weight.shape[0] // groups
    return Op(call.kind, sample_in, tuple(weight.shape), sample_out, groups, rows * samples, reduction, columns)


def _sample(data: Tensor) -> tuple[int, ...]:
    """Shape without the batch dimension of a single sample."""
    return tuple(data.shape[1:] if data.dim() and data.shape[0] == 1 else data.shape)


def _matmul(call: Call, left: Tensor, right: Tensor) -> Op:
    """A product of two activations."""
    rows = left.shape[-2] if left.dim() > 1 else 1
    columns = right.shape[-1] if right.dim() > 1 else 1
    groups = max(1, math.prod(call.output.shape) // max(1, rows * columns))
    return Op("matmul", _sample(left), (), _sample(call.output), groups, rows, left.shape[-1], columns)
