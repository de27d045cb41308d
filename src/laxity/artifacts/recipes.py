"""Recoveries in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from laxity.core.plan import Recovery


def in_words(recovery: Mapping[str, Any] | None) -> str:
    """What a recovery does, from its plain form; parameters that an older file lacks have their defaults."""
    if recovery is None:
        return "nothing"
    known = {name: recovery[name] for name in Recovery.__slots__ if name in recovery}
    given = Recovery(**known)
    parts = ["bias compensated"] if given.compensate else []
    parts += ["statistics re-estimated"] if given.reestimate else []
    parts += [_epochs(given.quantised_epochs) + " with exact circuits first"] if given.quantised_epochs else []
    if given.epochs:
        parts += [f"{_epochs(given.epochs)} at {given.learning_rate:g}", _taught(given)]
        parts += ["through error models"] if given.modelled else []
        parts += [f"gradient {given.gradient}"] if given.gradient != "straight_through" else []
        parts += [f"products regularised with {given.regularise:g}"] if given.regularise else []
        parts += [f"codes regularised with {given.alpha:g}"] if given.alpha else []
    return ", ".join(parts) or "nothing"


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' if count > 1 else ''}"


def _taught(recovery: Recovery) -> str:
    if not recovery.distil:
        return "labels"
    grows = " growing with the error" if recovery.schedule == "error" else ""
    return (
        f"taught by the {recovery.teacher} network ({recovery.distil:g} at temperature {recovery.temperature:g}{grows})"
    )
