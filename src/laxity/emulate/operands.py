"""Sample the operands that the processing elements of a weight-stationary array see at each site."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from laxity.circuits.wide import Core
from laxity.core.demand import IntArray, OperandTrace
from laxity.core.seeds import stream
from laxity.emulate.build import emulated
from laxity.emulate.layer import EmulatedLayer
from laxity.emulate.slots import Slots
from laxity.techniques.data.operands import ScalarProduct, WeightCoder
from laxity.techniques.hardware.arrangement import Arrangement

SEGMENTS = 64
STEPS = 33
TRACE_SAMPLES = 16


@torch.no_grad()
def operand_traces(model: nn.Module, inputs: Tensor, *, seed: int, tile_rows: int = 16) -> dict[str, OperandTrace]:
    """Run the model on a few inputs and cut operand traces out of what every site received.

    A trace holds, for randomly drawn weights, the activations that meet this weight one output position after the
    other, and the partial sums that arrive from the rows above in the same tile of the array. The draws depend on the
    seed and the site only, so that plans are compared on the same places. Of a product of two activations the right
    one rests in the array. Where a layer runs more than once, for example at every time step, calls of one sample
    follow each other; calls of another size than the first are left out.

    Args:
        model: calibrated model.
        inputs: float32 (n, ...); the first 16 are used.
        seed: root seed.
        tile_rows: rows of the array, over which partial sums run.
    """
    layers = {m: scalars for m in emulated(model) if (scalars := _scalars(m))}
    for layer in layers:
        layer.taken = []
    try:
        model(inputs[:TRACE_SAMPLES])
        return {
            layer.site.name: _cut(layer, scalars, layer.taken, seed, tile_rows)
            for layer, scalars in layers.items()
            if layer.taken
        }
    finally:
        for layer in layers:
            layer.taken = None


def _scalars(layer: Slots) -> list[ScalarProduct]:
    """Single products of each output channel, or of all; none where there are no traces.

    A trace holds operands as they enter one width of circuits.
    """
    operand, multiplier, name = layer.operand, layer.multiplier, layer.site.name
    if operand is None:
        return []
    if isinstance(multiplier, Arrangement):
        cores: list[Core | None] = [multiplier.core_of(output) for output in range(layer.outputs)]
    else:
        cores = [multiplier]
    made = {core: operand.scalar(core, name) for core in dict.fromkeys(cores)}
    found = [scalar for core in cores if (scalar := made[core]) is not None]
    alike = len(found) == len(cores) and len({scalar.shifts for scalar in found}) == 1
    return found if alike else []


def _cut(
    layer: Slots, scalars: Sequence[ScalarProduct], taken: list[Tensor], seed: int, tile_rows: int
) -> OperandTrace:
    if isinstance(layer, EmulatedLayer):
        columns, weights = _matrix_form(layer, _joined(taken))
    else:
        columns, weights = _batches(_joined(taken[::2]), _joined(taken[1::2]))
    groups, positions, reduction = columns.shape
    outputs, shifts = weights.shape[1], scalars[0].shifts
    rng = stream(seed, "operands", layer.site.name)
    draws = rng.random((SEGMENTS, 4))
    scaled = (draws * [groups, outputs, reduction, max(1, positions - STEPS + 1)]).astype(np.int64)
    steps = np.arange(STEPS)
    activations = np.empty((SEGMENTS, STEPS), np.int64)
    sums = np.empty((SEGMENTS, STEPS), np.int64)
    chosen = np.empty(SEGMENTS, np.int64)
    for i, (g, n, k, start) in enumerate(scaled):
        rows = (start + steps) % positions
        top = k - k % tile_rows
        window = columns[g][rows, top : k + 1]
        column = weights[g, n, top : k + 1]
        activations[i], chosen[i] = window[:, -1], column[-1]
        scalar = scalars[(g * outputs + n) * len(scalars) // (groups * outputs)]  # taps of an output follow each other
        sums[i] = scalar.compute(window[:, :-1], column[None, :-1]).sum(1)
    activations, chosen = activations << shifts[0], chosen << shifts[1]
    return OperandTrace(
        np.abs(activations), (activations < 0).astype(np.int64), np.abs(chosen), (chosen < 0).astype(np.int64), sums
    )


def _matrix_form(layer: EmulatedLayer, codes: Tensor) -> tuple[IntArray, IntArray]:
    """Codes as (groups, positions, reduction) over all samples, and weight codes as (groups, outputs, reduction)."""
    operand = layer.operand
    assert operand is not None and isinstance(operand.weight, WeightCoder)  # noqa: PT018 (chosen by the caller)
    weight = layer.used_weight()
    weight_codes = layer.form.as_convolution(operand.weight.codes(weight, *operand.weight.scale_and_zero(weight)))
    geometry = layer.form.codes_geometry
    patches = geometry.patches(layer.form.pad(codes, float(operand.input.zero)), tuple(weight_codes.shape[2:]))
    columns = patches.transpose(0, 1).flatten(1, 2)
    return _integers(columns), _integers(weight_codes.flatten(1).unflatten(0, (geometry.groups, -1)))


def _joined(calls: list[Tensor]) -> Tensor:
    """Codes of all calls of the first one's shape, the calls of each sample next to each other."""
    if len(calls) == 1 or not calls[0].dim():
        return calls[0]
    return torch.stack([c for c in calls if c.shape == calls[0].shape], 1).flatten(0, 1)


def _batches(left: Tensor, right: Tensor) -> tuple[IntArray, IntArray]:
    """Codes of a matrix product as (batch, positions, reduction) and (batch, outputs, reduction)."""
    a = left if left.dim() > 1 else left[None]
    b = right if right.dim() > 1 else right[:, None]
    shape = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (x.expand(*shape, *x.shape[-2:]).reshape(-1, *x.shape[-2:]) for x in (a, b.transpose(-2, -1)))
    return _integers(a), _integers(b)


def _integers(values: Tensor) -> IntArray:
    return values.cpu().numpy().astype(np.int64)
