"""Let a network be trained by other gradients than straight-through ones, for a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from laxity.core.errors import PlanError
from laxity.recovery.gradients.named import gradient_named
from laxity.recovery.gradients.site import SiteGradient
from laxity.recovery.observation import Observation
from laxity.recovery.observe import PATCHES, coded, observe


@contextmanager
def with_gradient(
    model: nn.Module,
    name: str,
    observed: Observation | Sequence[Tensor] | None = None,
    *,
    seed: int = 0,
    patches: int = PATCHES,
    **options: Any,
) -> Iterator[dict[str, SiteGradient]]:
    """Let emulated operations find their gradients in the way called `name` inside the context.

    Outputs do not change. Sites without a multiplier stay straight-through. Copies and files made inside do not have
    the gradients, and compiled models take them for an error. Scales and weights may change inside; multipliers and
    ranges of codes may not.

    Args:
        model: emulated and calibrated.
        name: in the registry `GRADIENTS`, with options behind it where they are wanted: ``table_2d window=4``.
        observed: what `observe` found, or batches of inputs to observe now, without multipliers: operands of a network
            that its multipliers have destroyed say little about those to which training leads. Used only by gradients
            that have to know the operands of sites.
        seed: root seed, where inputs are observed now.
        patches: outputs to draw per site, likewise.
        options: fields of the gradient.

    Yields:
        Gradients by site; those that are missing are straight-through.

    Raises:
        RegistryError: there is no gradient of this name.
        PlanError: it has no such option, needs operands that are not given, or does not exist for a site, which is
            named.
        DataError: as `observe`.
    """
    gradient = gradient_named(name, **options)
    layers = [layer for layer in coded(model) if layer.multiplier is not None]
    found: dict[str, SiteGradient] = {}
    sites = _sites(model, name, observed, seed, patches) if gradient.observes and layers else None
    for layer in layers:
        seen = None if sites is None else sites.sites.get(layer.site.name)
        if sites is not None and seen is None:
            raise PlanError(f"site {layer.site.name!r} is not in the observation; observe this network, not another")
        at_site = gradient.at(layer, seen)
        if at_site is not None:
            found[layer.site.name] = at_site
    before = [layer.gradient for layer in layers]
    try:
        for layer in layers:
            layer.gradient = found.get(layer.site.name)
        yield found
    finally:
        for layer, rule in zip(layers, before, strict=True):
            layer.gradient = rule


def _sites(
    model: nn.Module, name: str, observed: Observation | Sequence[Tensor] | None, seed: int, patches: int
) -> Observation:
    if observed is None:
        raise PlanError(
            f"gradient {name!r} has to know the operands of sites; give what 'observe' found, or batches of inputs"
        )
    return observed if isinstance(observed, Observation) else observe(model, observed, seed=seed, patches=patches)
