"""Run the exact quantised network once and keep what error models need."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from laxity.core.errors import DataError, PlanError, TaskError
from laxity.emulate.build import emulated
from laxity.emulate.slots import Slots
from laxity.recovery.observation import Observation
from laxity.recovery.watch import Watch, watch_for

PATCHES = 512
FELT_CLASSES = 10


def observe(
    model: nn.Module,
    inputs: Sequence[Tensor],
    *,
    seed: int,
    patches: int = PATCHES,
    felt_samples: int = 0,
    felt_classes: int = FELT_CLASSES,
    approximate: bool = False,
) -> Observation:
    """Run a calibrated model on batches of inputs and sample what its sites see.

    Multipliers that the model has are left out meanwhile, unless operands are wanted as they are behind these. Per site
    are kept: histograms of the codes, the operands of randomly drawn outputs, and, for the first `felt_samples` inputs,
    sums of derivatives of the most likely classes' logits. Memory grows with one batch and with the samples and classes
    that are followed, not with the inputs. The draws depend on the seed and the site only.

    Args:
        model: emulated and calibrated, in eval mode.
        inputs: batches (n, ...), n the first dimension.
        seed: root seed.
        patches: outputs to draw per site; a few more where they do not divide among the batches.
        felt_samples: inputs for which derivatives of the logits are taken; 0 for none.
        felt_classes: classes per input whose logits are followed.
        approximate: keep the multipliers.

    Raises:
        DataError: there are no inputs.
        PlanError: no site has codes; or the errors of a site cannot be modelled (floating point, inexact sums,
            transposed convolution), or it was not reached; names the site.
        TaskError: derivatives are wanted of a model that gives no logits (n, classes).
    """
    batches = [batch for batch in inputs if len(batch)]
    if not batches:
        raise DataError("an error model needs at least one input to observe; the calibration inputs are empty")
    layers = coded(model)
    per_batch = math.ceil(patches / len(batches))
    watches = {layer: watch_for(layer, seed, per_batch) for layer in layers}
    felt: list[tuple[Tensor, Tensor]] = []
    with nullcontext() if approximate else exact_products(layers), ExitStack() as stack:
        for layer, watch in watches.items():
            stack.callback(layer.register_forward_hook(watch, with_kwargs=True).remove)
        for batch in batches:
            followed, rest = batch[:felt_samples], batch[felt_samples:]
            felt_samples -= len(followed)
            if len(followed):
                felt.append(_feel(model, followed, list(watches.values()), felt_classes))
            if len(rest):
                with torch.no_grad():
                    model(rest)
            for watch in watches.values():
                watch.end_batch()
    sites = {layer.site.name: watch.observation() for layer, watch in watches.items()}
    if not felt:
        return Observation(sites, torch.empty(0, 0), torch.empty(0, 0, dtype=torch.int64))
    logits, classes = (torch.cat(part) for part in zip(*felt, strict=True))
    return Observation(sites, logits, classes)


def coded(model: nn.Module) -> list[Slots]:
    """Emulated operations that have codes.

    Raises:
        PlanError: there are none.
    """
    layers = [layer for layer in emulated(model) if layer.operand is not None]
    if not layers:
        raise PlanError("the model has no site with codes; give its sites an OPERAND choice such as 'integer'")
    return layers


@contextmanager
def exact_products(layers: Sequence[Slots]) -> Iterator[None]:
    """Let layers multiply exactly inside the context."""
    before = [layer.multiplier for layer in layers]
    try:
        for layer in layers:
            layer.multiplier = None
        yield
    finally:
        for layer, multiplier in zip(layers, before, strict=True):
            layer.multiplier = multiplier
            layer.products()  # what is compiled or exported next shall find the kernel


def _feel(model: nn.Module, batch: Tensor, watches: Sequence[Watch], most: int) -> tuple[Tensor, Tensor]:
    """Logits and likely classes of a batch, whose derivatives every watch turns into features.

    Raises:
        TaskError: the model gives no logits.
    """
    for watch in watches:
        watch.begin()
    try:
        with torch.enable_grad():
            logits = model(batch)
        if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != len(batch):
            shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise TaskError(
                f"predictions are followed by logits of shape (n, classes), and the model gives {shape} for "
                f"{len(batch)} inputs; observe it with felt_samples=0"
            )
        classes = logits.detach().topk(min(most, logits.shape[1])).indices
        outputs = [output for watch in watches for output in watch.outputs]
        for rank in range(-1, classes.shape[1]):
            chosen = logits[0] if rank < 0 else logits.gather(1, classes[:, rank : rank + 1])
            found = iter(torch.autograd.grad(chosen.sum(), outputs, retain_graph=True, allow_unused=True))
            for watch in watches:
                gradients = [next(found) for _ in watch.outputs]
                if rank < 0:
                    watch.arrange(gradients, len(batch))
                else:
                    watch.feel(gradients)
    finally:
        for watch in watches:
            watch.finish()
    return logits.detach().cpu(), classes.cpu()
