"""Faults that hardware beside a layer notices: what its GUARD choice makes of trials, and how often it is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from laxity.core.errors import PlanError
from laxity.emulate.build import emulated
from laxity.emulate.checksum import Checksums
from laxity.emulate.layer import EmulatedLayer
from laxity.statistics import Interval, clopper_pearson
from laxity.techniques.guard import Evidence, OutputGuard, Place
from laxity.techniques.hardware.abft import ChecksumGuard


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What became of trials at one layer, bool (n,) each; no trial is both.

    Attributes:
        noticed: there is an alarm, and the fault remains.
        corrected: it was noticed and put right: everything is as without the fault.
    """

    noticed: NDArray[np.bool_]
    corrected: NDArray[np.bool_]

    @staticmethod
    def nothing(count: int) -> Verdict:
        """Of so many trials that nobody looks at."""
        none = np.zeros(count, np.bool_)
        return Verdict(none, none)

    def settled(self, logits: Tensor, golden: Tensor) -> Tensor:
        """Logits of the trials, those without the fault where it was corrected; (n, classes) each."""
        return torch.where(torch.from_numpy(self.corrected)[:, None], golden, logits)


class Watch:
    """The guard of one layer, with what it knows of the layer without faults.

    Args:
        layer: has a guard that notices faults; its weights are those without faults now.
    """

    def __init__(self, layer: EmulatedLayer) -> None:
        assert isinstance(layer.guard, OutputGuard)  # `watch_of` has looked
        self._guard, self._layer = layer.guard, layer
        self._checksums = Checksums(layer) if self._guard.wants_residuals else None

    @property
    def wants_differences(self) -> bool:
        """Whether it has to be told what the layer gives without the fault."""
        return self._guard.wants_differences

    @torch.no_grad()
    def values(self, x: Tensor) -> Tensor:
        """What the layer gives with the weights that it has now, before it is scaled and guarded.

        Accumulator contents where it has codes, otherwise outputs in float32.

        Args:
            x: inputs of the layer, float32 (n, ...).
        """
        layer = self._layer
        if layer.operand is None:
            return layer.unguarded(x)
        return layer.integer_sums(layer.operand.input.codes(x), layer.forced_codes)

    @torch.no_grad()
    def judge(
        self, place: Place, x: Tensor, values: Tensor, *, before: Tensor | None = None, changed: Tensor | None = None
    ) -> Verdict:
        """What the guard makes of faults.

        Args:
            place: where they strike.
            x: inputs of the layer as it reads them, float32 (n, ...).
            values: accumulator contents, or outputs in float32 before the guard, with the fault, (n, ...).
            before: the same without it; wanted where `wants_differences`.
            changed: whether an activation that is read is another one, bool (n,).
        """
        nothing = torch.zeros(len(x), dtype=torch.bool)
        differs = nothing if before is None else _differ(values, before)
        residuals = None if self._checksums is None else self._checksums.residuals(x, values)
        noticed = self._guard.notices(
            Evidence(
                place,
                differs,
                nothing if changed is None else changed,
                None if residuals is None else residuals.values,
                None if residuals is None else residuals.bounds,
            )
        ).numpy()
        none = np.zeros(len(noticed), np.bool_)
        return Verdict(none, noticed) if self._guard.corrects(place) else Verdict(noticed, none)


def watch_of(layer: nn.Module) -> Watch | None:
    """What watches a layer, or None where nothing gives an alarm."""
    guard = layer.guard if isinstance(layer, EmulatedLayer) else None
    return Watch(layer) if isinstance(guard, OutputGuard) and guard.notices_faults else None  # type: ignore[arg-type]


def _differ(values: Tensor, others: Tensor) -> Tensor:
    """Which samples differ in any value, bool (n,); NaN is taken to differ from everything."""
    return (values != others).flatten(1).any(1)


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """How often a checksum gives the alarm without a fault.

    Attributes:
        site: name.
        checks: comparisons that were made.
        alarms: of these.
        samples: runs of the site, and in how many there was an alarm, with its interval.
        share: runs with an alarm, fraction.
        stated: upper end of an interval for it that holds before anything is measured on held-out data: 0 where no
            operands can give a false alarm, that of the calibration for measured intervals; None where there is none.
    """

    site: str
    checks: int
    alarms: int
    samples: int
    share: Interval
    stated: float | None


@torch.no_grad()
def false_alarms(model: nn.Module, inputs: Iterable[Tensor], confidence: float = 0.99) -> list[FalseAlarms]:
    """Run a network without faults and count alarms of its checksums.

    Args:
        model: approximated, with 'abft' at some sites.
        inputs: batches that calibration has not seen.
        confidence: of the intervals.

    Raises:
        PlanError: no site has checksums.
    """
    layers = [m for m in emulated(model) if isinstance(m, EmulatedLayer) and isinstance(m.guard, ChecksumGuard)]
    if not layers:
        raise PlanError("no site of the network has checksums; give sites the GUARD choice 'abft'")
    counters = [_Counter(layer) for layer in layers]
    handles = [layer.register_forward_pre_hook(c) for layer, c in zip(layers, counters, strict=True)]
    try:
        for batch in inputs:
            model(batch)
    finally:
        for handle in handles:
            handle.remove()
    return [counter.found(confidence) for counter in counters]


class _Counter:
    """Forward pre-hook that compares checksums."""

    def __init__(self, layer: EmulatedLayer) -> None:
        self._layer, self._checksums = layer, Checksums(layer)
        self._checks = self._alarms = self._samples = self._struck = 0

    def __call__(self, _: nn.Module, args: tuple[Tensor, ...]) -> None:
        guard = self._layer.guard
        assert isinstance(guard, ChecksumGuard)  # so chosen
        residuals = self._checksums.residuals(args[0], self._checksums.clean(args[0]))
        alarms = guard.alarms(residuals.values, residuals.bounds)
        self._checks, self._alarms = self._checks + alarms.numel(), self._alarms + int(alarms.sum())
        self._samples, self._struck = self._samples + len(alarms), self._struck + int(alarms.any(1).sum())

    def found(self, confidence: float) -> FalseAlarms:
        """Everything that was counted."""
        guard = self._layer.guard
        assert isinstance(guard, ChecksumGuard)  # so chosen
        share = clopper_pearson(self._struck, self._samples, confidence)
        stated = stated_share(guard, confidence)
        return FalseAlarms(self._layer.site.name, self._checks, self._alarms, self._samples, share, stated)


def stated_share(guard: ChecksumGuard, confidence: float = 0.99) -> float | None:
    """Most runs that give a false alarm, fraction, as follows from how the interval of residuals was found.

    A measured interval that k of n calibration runs leave is left by a further run with a probability that, over
    calibrations, is at most beta distributed with parameters k + 1 and n - k, whatever the residuals are like, as long
    as runs are drawn alike. The quantile of this is the upper end of the Clopper-Pearson interval of k in n.

    Args:
        guard: calibrated.
        confidence: with which the share is below what is returned.

    Returns:
        None for predicted intervals, which state nothing that is guaranteed.

    Source: order statistics, S. S. Wilks, "Determination of sample sizes for setting tolerance limits", Annals of
    Mathematical Statistics 12 (1941) 91.
    """
    if guard.checking.threshold == "bound":
        return 0.0
    runs, beyond = guard.samples.tolist()
    if guard.checking.threshold == "predicted" or not runs:
        return None
    return clopper_pearson(beyond, runs, 1 - 2 * (1 - confidence)).high
