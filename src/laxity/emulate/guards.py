"""Calibrate what looks after the outputs of layers: bounds, and what checksums may differ by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from laxity.emulate.intervals import (
    CodeCounts,
    Deviations,
    accept_possible,
    accept_predicted,
    fit_slopes,
    guard_of,
    parts,
)
from laxity.emulate.layer import EmulatedLayer
from laxity.techniques.guard import OutputGuard
from laxity.techniques.hardware.abft import ChecksumGuard
from laxity.techniques.hardware.range_restriction import RangeGuard

See = Callable[[EmulatedLayer, Tensor, Tensor], None]
"""What is done with a layer's inputs and outputs."""


def guarded(model: nn.Module) -> list[EmulatedLayer]:
    """Layers whose outputs something looks after."""
    return [m for m in model.modules() if isinstance(m, EmulatedLayer) and isinstance(m.guard, OutputGuard)]


@torch.no_grad()
def calibrate_guards(model: nn.Module, inputs: Sequence[Tensor]) -> None:
    """Set what guards decide from, by runs of the network as it is, with all guards out of action.

    Args:
        model: with calibrated codes; changed in place where its guards are calibrated, and not at all without any.
        inputs: batches of calibration inputs.

    Raises:
        PlanError: a guarded site is not reached.
        DataError: outputs of a guarded site are not finite.
    """
    layers = [layer for layer in guarded(model) if layer.guard.calibrated]  # type: ignore[union-attr]
    batches = [x for x in inputs if len(x)]
    if not layers or not batches:
        return
    with _out_of_action(guarded(model)):
        _calibrate_ranges(model, [layer for layer in layers if isinstance(layer.guard, RangeGuard)], batches)
        _calibrate_checksums(model, [layer for layer in layers if isinstance(layer.guard, ChecksumGuard)], batches)


def _calibrate_ranges(model: nn.Module, layers: Sequence[EmulatedLayer], batches: Sequence[Tensor]) -> None:
    _run(model, layers, batches, _outputs)
    for layer in layers:
        assert isinstance(layer.guard, RangeGuard)  # so chosen
        layer.guard.settle(layer.site.name)


def _outputs(layer: EmulatedLayer, _: Tensor, outputs: Tensor) -> None:
    assert isinstance(layer.guard, RangeGuard)  # so chosen
    layer.guard.observe(outputs)


def _calibrate_checksums(model: nn.Module, layers: Sequence[EmulatedLayer], batches: Sequence[Tensor]) -> None:
    """Intervals of residuals: from tables of errors, from counted codes, or from residuals that were seen."""
    checking = {layer: guard_of(layer).checking for layer in layers}
    counted = [
        n for n in layers if n.operand is not None and (checking[n].fitted or checking[n].threshold == "predicted")
    ]
    counts = {layer: CodeCounts(layer) for layer in counted}
    _run(model, counted, batches, lambda layer, x, _: counts[layer].see(x))
    for layer in layers:
        if checking[layer].fitted:
            fit_slopes(layer, counts[layer].shares)
        if checking[layer].threshold == "bound" and layer.operand is not None:
            accept_possible(layer)
        if checking[layer].threshold == "predicted":
            accept_predicted(layer, counts[layer].shares)
    measured = [layer for layer in layers if checking[layer].threshold == "measured"]
    seen = {layer: Deviations(layer) for layer in measured}
    first, second = parts(batches)
    _run(model, measured, first, lambda layer, x, _: seen[layer].locate(x))
    _run(model, measured, second, lambda layer, x, _: seen[layer].judge(x))
    for deviations in seen.values():
        deviations.settle()


def _run(model: nn.Module, layers: Sequence[EmulatedLayer], batches: Sequence[Tensor], see: See) -> None:
    """Run the model and show what layers get and give."""

    def hook(layer: EmulatedLayer, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> None:
        see(layer, args[0] if args else kwargs["input"], output)

    if not layers:
        return
    with ExitStack() as stack:
        for layer in layers:
            stack.callback(layer.register_forward_hook(hook, with_kwargs=True).remove)
        for batch in batches:
            model(batch)


@contextmanager
def _out_of_action(layers: Sequence[EmulatedLayer]) -> Iterator[None]:
    guards = [layer.guard for layer in layers if isinstance(layer.guard, OutputGuard)]
    for guard in guards:
        guard.off = True
    try:
        yield
    finally:
        for guard in guards:
            guard.off = False
