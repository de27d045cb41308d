"""What a multiplier does to predictions, from the errors of its sums and what predictions feel; no network is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from laxity.core.errors import DataError
from laxity.core.seeds import derive
from laxity.recovery.observation import Observation
from laxity.recovery.regression import ErrorModel

_DRAWS = 16


@dataclass(frozen=True, slots=True)
class Harm:
    """What happens to predictions.

    Attributes:
        divergence: mean Kullback-Leibler divergence of the new from the exact network's softmax output, in nats.
        loss_increase: rise of the mean cross-entropy with the labels, in nats.
        accuracy_drop: accuracy lost, a fraction; negative where it rises.
    """

    divergence: float
    loss_increase: float
    accuracy_drop: float


def harm(before: Tensor, after: Tensor, labels: Tensor | None = None) -> Harm:
    """Compare logits.

    Args:
        before: of the exact network (n, classes).
        after: of the other one for the same inputs, (n, classes), or (draws, n, classes).
        labels: int64 (n,); the exact network's predictions stand for them where there are none.

    Raises:
        DataError: there are not as many labels as inputs.
    """
    after = after if after.dim() == 3 else after[None]
    wanted = before.argmax(1) if labels is None else labels
    if wanted.shape != before.shape[:1]:
        raise DataError(f"{len(before)} inputs need as many labels, not {tuple(wanted.shape)}")
    exact, new = F.log_softmax(before, -1), F.log_softmax(after, -1)
    divergence = (exact.exp() * (exact - new)).sum(-1).mean()
    loss = F.nll_loss(new.flatten(0, 1), wanted.repeat(len(after))) - F.nll_loss(exact, wanted)
    right = [(logits.argmax(-1) == wanted).double().mean() for logits in (before, after)]
    return Harm(max(0.0, float(divergence)), float(loss), float(right[0] - right[1]))


def first_order(
    observed: Observation, models: Mapping[str, ErrorModel], labels: Tensor | None = None, *, seed: int = 0
) -> Harm:
    """Predict the harm of small errors at all sites at once.

    A site's errors are ``slope y + offset + eta`` per kernel. Their explained part moves every logit by a sum over all
    outputs that is known exactly to first order, so that errors of one sign add up over places and sites; the
    unexplained part is taken as independent from place to place, adds its variance, and is averaged over 16 draws.

    Args:
        observed: with features of the followed samples.
        models: error model of every site, per kernel or not; clips do not matter.
        labels: of the followed samples; see `harm`.
        seed: root seed of the draws.

    Raises:
        DataError: nothing was followed, or there are not as many labels as samples.
    """
    if not observed.logits.numel():
        raise DataError("predictions need features of some samples; observe the network with felt_samples=32 or more")
    shift = torch.zeros(observed.classes.shape)
    variance = torch.zeros(observed.classes.shape)
    for name, model in models.items():
        seen = observed.sites[name]
        feeling = seen.feeling
        if feeling is None:  # the site did not run for the followed samples
            continue
        slope, offset, spread = (
            v.expand(seen.kernels) for v in (model.slope, model.offset * seen.unit, model.residual_std * seen.unit)
        )
        shift += feeling.linear @ slope + feeling.constant @ offset
        variance += feeling.square @ spread.square()
    generator = torch.Generator().manual_seed(derive(seed, "first order"))
    noise = torch.randn(_DRAWS, *shift.shape, generator=generator)
    moved = shift + noise * variance.sqrt()
    after = observed.logits.expand(_DRAWS, -1, -1).scatter_add(2, observed.classes.expand(_DRAWS, -1, -1), moved)
    return harm(observed.logits, after, labels)
